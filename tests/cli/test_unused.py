"""Nothing is ignored in silence: one line, or an error that says what to do."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from stub_model import make_frames

from lodekit.cli.targets import frame_weights
from lodekit.cli.unused import warn_of_unused_points
from lodekit.errors import StructureError
from lodekit.structures import write_structures


def rename(path, old, new):
    """Give a key or column of a file another name."""
    text = Path(path).read_text()
    changed = re.sub(rf"([ :]){old}([:=])", rf"\g<1>{new}\g<2>", text)
    assert changed != text
    Path(path).write_text(changed)


def warnings_of(err):
    return [line for line in err.splitlines() if line.startswith("lodekit: warning: ")]


@pytest.mark.parametrize(
    ("old", "new", "target"),
    [
        *(("energy", name, "energy") for name in ("Energy", "dft_energy", "E")),
        ("energy", "free_energy", "energy"),
        *(("forces", name, "forces") for name in ("Forces", "F", "my_column")),
        ("stress", "dft_stress", "stress"),
    ],
)
def test_a_target_under_another_name_is_an_error(
    lodekit, built, train, old, new, target
):
    rename(train, old, new)
    status, _, err = lodekit("fit", train)
    assert status == 1
    (line,) = err.splitlines()
    assert f"no frame has {target}, but {new!r} looks like it: use it with" in line
    others = [n for n in ("energy", "forces", "stress") if n != target]
    for hint in (f"{target}={new}", f"--targets {' '.join(others)}", f"--ignore {new}"):
        assert hint in line
    assert not built
    assert lodekit("fit", train, "--targets", *others, "--dry-run")[0] == 0
    options = ("--key", f"{target}={new}", "-o", "b.lodekit")
    status, out, err = lodekit("fit", train, *options)
    assert (status, warnings_of(err)) == (0, [])
    assert f"{target} (key {new})" in out


def test_an_ignored_key_is_not_there(lodekit, built, train):
    rename(train, "forces", "Forces")
    status, out, err = lodekit("fit", train, "--ignore", "Forces")
    assert (status, warnings_of(err)) == (0, [])
    assert "targets: energy (key energy), stress (key stress)" in out
    assert 'ignore = ["Forces"]' in out
    status, _, err = lodekit("fit", train, "--ignore", "forc", "-o", "b.lodekit")
    assert status == 1
    assert "no frame has the key 'forc' that is to be ignored" in err
    status, _, err = lodekit("fit", train, "--ignore", "energy", "Forces", "--dry-run")
    (line,) = warnings_of(err)
    assert "no frame has an energy: the energies of the model follow from the" in line


def test_a_virial_under_another_name_is_no_stress(lodekit, built, train):
    rename(train, "stress", "dft_virial")
    _, _, err = lodekit("fit", train)
    assert "no frame has stress, but 'dft_virial' looks like it: use it with" in err
    assert "--key virial=dft_virial, fit other targets" in err


def test_gradients_are_minus_the_forces(lodekit, built, train):
    rename(train, "forces", "gradient")
    _, _, err = lodekit("fit", train)
    assert "(gradients are minus the forces: change their sign first)" in err


def test_several_targets_under_other_names_are_one_line(lodekit, built, train):
    rename(train, "forces", "F")
    rename(train, "energy", "E")
    _, _, err = lodekit("fit", train)
    assert "no frame has energy or forces, but 'E' and 'F' look like it: use it" in err
    assert "--key energy=E forces=F, fit other targets with --targets stress" in err


def test_a_second_energy_is_one_line(lodekit, built):
    frames = make_frames(4)
    for frame in frames:
        frame.info["REF_energy"] = frame.get_potential_energy() - 1.0
        frame.info["dft_energy"] = 1.0
    write_structures("two.xyz", frames)
    status, out, err = lodekit("fit", "two.xyz", "--json")
    assert status == 0
    assert json.loads(out)["errors"]
    (line,) = warnings_of(err)
    assert "not used, though it looks like a target: " in line
    assert "'energy' (energy?)" in line
    assert "'dft_energy' (energy?)" in line
    assert "--key TARGET=KEY uses a key, --ignore KEY leaves it aside" in line


def test_evaluate_says_what_it_does_not_compare(lodekit, model, train):
    rename(train, "forces", "Forces")
    status, _, err = lodekit("evaluate", model, train)
    assert status == 0
    (line,) = warnings_of(err)
    assert "not compared: no frame has forces, but 'Forces' looks like it: use" in line
    status, _, err = lodekit("evaluate", model, train, "--targets", "forces")
    assert status == 1
    assert "train.xyz: no frame has forces, but 'Forces' looks like it: use it" in err


def some_forces(n_with, n_without):
    frames = make_frames(n_with + n_without)
    for frame in frames[:n_without]:
        del frame.calc.results["forces"]
    write_structures("some.xyz", frames)


def test_targets_are_fitted_where_they_are(lodekit, built):
    some_forces(2, 3)
    status, out, err = lodekit("fit", "some.xyz")
    assert (status, warnings_of(err)) == (0, [])
    assert "forces (key forces, in 2 of 5 frames)" in out
    assert built[0]["fit"]["targets"] == ["energy", "forces"]


def test_a_target_that_most_frames_lack_needs_partial(lodekit, built):
    some_forces(1, 3)
    for options in ((), ("--targets", "energy", "forces")):
        status, _, err = lodekit("fit", "some.xyz", *options)
        assert status == 1
        (line,) = err.splitlines()
        assert "forces is missing in 3 of 4 frames (the first is frame 1); fit" in line
        assert "--partial, or leave it out with --targets energy" in line
    status, out, _ = lodekit("fit", "some.xyz", "--partial")
    assert status == 0
    assert "forces (key forces, in 1 of 4 frames)" in out
    assert "[structures]\npartial = true\n" in out
    Path("s.toml").write_text("[structures]\npartial = true\n")
    options = ("--settings", "s.toml", "-o", "b.lodekit")
    assert lodekit("fit", "some.xyz", *options)[0] == 0


def test_single_atoms_need_no_forces_and_open_frames_no_stress(lodekit, built):
    frames = make_frames(3, periodic=True) + [atoms[:1] for atoms in make_frames(4)]
    for frame, whole in zip(frames[3:], make_frames(4), strict=True):
        frame.calc = whole.calc
        frame.calc = None
        frame.info["energy"] = -3.0
    write_structures("single.xyz", frames)
    status, out, _ = lodekit("fit", "single.xyz", "--dry-run")
    assert status == 0
    assert "forces (key forces, in 3 of 7 frames)" in out


def with_states(key, values):
    frames = make_frames(len(values))
    for frame, value in zip(frames, values, strict=True):
        frame.info[key] = value
    write_structures("states.xyz", frames, overwrite=True)
    return "states.xyz"


def test_total_charges_that_a_potential_does_not_see_are_one_line(lodekit, built):
    _, _, err = lodekit("fit", with_states("charge", [0, 1, -1, 0]), "--dry-run")
    (line,) = warnings_of(err)
    assert "total charges -1, 0 and 1 of the frames, which a potential does not" in line
    assert "fit --model charges, kqeq or latent-charges, or the frames of one" in line
    assert "--where total_charge=-1" in line
    chosen = ("--where", "total_charge=-1", "--dry-run")
    assert not warnings_of(lodekit("fit", "states.xyz", *chosen)[2])


@pytest.mark.parametrize("key", ["multiplicity", "n_unpaired", "Spin"])
def test_spins_that_no_model_sees_are_one_line(lodekit, built, key):
    _, _, err = lodekit("fit", with_states(key, [1, 3, 1, 1]), "--dry-run")
    (line,) = warnings_of(err)
    assert f"the frames have {key} = 1 and 3, which no model sees" in line
    assert f"--where {key}=1" in line
    same = with_states(key, [1, 1, 1, 1])
    assert not warnings_of(lodekit("fit", same, "--dry-run")[2])


def test_a_total_charge_under_another_name_is_an_error(lodekit):
    frames = make_frames(4)
    for frame in frames:
        frame.info["Qtot"] = 1
        frame.calc.results["dipole"] = np.ones(3)
    write_structures("ions.xyz", frames)
    for kind in ("dipole", "latent-charges"):
        status, _, err = lodekit("fit", "ions.xyz", "--model", kind)
        assert status == 1
        (line,) = err.splitlines()
        assert (
            "frame 1 (index 0) has no total_charge, but 'Qtot' = 1 looks like" in line
        )
        assert "--key total_charge=Qtot" in line
        assert "lodekit fit --ignore Qtot" in line
        for option in (("--key", "total_charge=Qtot"), ("--ignore", "Qtot")):
            arguments = ("--model", kind, *option, "--dry-run")
            assert lodekit("fit", "ions.xyz", *arguments)[0] == 0


@pytest.mark.parametrize("text", ["300", "300.0", "3e2"])
def test_numbers_are_compared_as_numbers(lodekit, built, text):
    path = with_states("temperature", [300.0, 400.0, 300.0])
    status, out, _ = lodekit("fit", path, "--where", f"temperature={text}", "--dry-run")
    assert status == 0
    assert "read 2 structures" in out


def test_moved_keys_choose_and_group_frames_by_their_names(lodekit, built, model):
    path = with_states("charge", [0, 1, 1])
    status, out, _ = lodekit("fit", path, "--where", "charge=1", "--dry-run")
    assert (status, "read 2 structures" in out) == (0, True)
    status, out, _ = lodekit("evaluate", model, path, "--by", "charge")
    assert status == 0
    assert "\nby charge\n" in out


@pytest.mark.filterwarnings("always")
def test_an_outlier_is_named(lodekit, built):
    frames = make_frames(12)
    frames[4].calc.results["forces"][1, 2] = 1e5
    write_structures("wild.xyz", frames)
    for command in (("fit", "wild.xyz", "--dry-run"), ("info", "wild.xyz")):
        status, out, err = lodekit(*command)
        assert status == 0
        assert (
            "forces of up to 1e+05 eV/Å in frame 5 (index 4), while nine of"
            in out + err
        )


def test_more_sparse_points_than_environments_are_one_line(capsys):
    frames = make_frames(3)  # 5 O, 7 H
    points = {"soap": {"n_sparse": 8}, "lode": {"n_sparse": 7}}
    settings = {"terms": points, "potential": {"terms": points}}
    warn_of_unused_points(frames, settings, settings)
    assert not capsys.readouterr().err
    warn_of_unused_points(frames, settings, {"terms": {}})
    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        "lodekit: warning: terms.soap.n_sparse = 8 exceeds the number of environments "
        "(5 of O, 7 of H): all of them are used"
    )
    assert second.startswith("lodekit: warning: potential.terms.soap.n_sparse = 8")


@pytest.mark.parametrize(
    "value", ["heavy", None, True, -1.0, 0, np.nan, np.inf, [1.0, 2.0], {"a": 1}]
)
def test_weights_are_positive_numbers(value):
    frames = make_frames(2)
    frames[0].info["w"], frames[1].info["w"] = np.array([2.0]), value
    with pytest.raises(
        StructureError, match="frame 2 has no positive weight under the"
    ):
        frame_weights(frames, "w")
    frames[1].info["w"] = 3
    assert frame_weights(frames, "w") == [2.0, 3.0]
