"""The whole path with a model of polarization, from a file to predictions."""

import json
from pathlib import Path

import numpy as np
import polar_crystals as crystals
import pytest
from ase.io import read

from lodekit import load_model, read_structures
from lodekit.observables.polarization import transpose_born_charges
from lodekit.structures import write_structures

TERM = """
type = "soap"
cutoff = 3.6
smoothing_width = 0.8
density_width = 0.4
max_radial = 3
max_angular = 3
n_sparse = 20
"""
SETTINGS = f"""
[fit]
n_channels = 40
oxidation_states = {{Li = 1, F = -1}}
[terms.soap]{TERM}
[potential.terms.soap]{TERM}
[polarizability.fit]
n_channels = 30
[polarizability.terms.soap]{TERM}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("polarization_models")
    generator = np.random.default_rng(4)
    frames = [crystals.label(crystals.draw(generator), generator) for _ in range(24)]
    for atoms in frames[8:20]:
        del atoms.arrays["becs"]
    write_structures(folder / "train.xyz", frames[:20])
    write_structures(folder / "new.xyz", frames[20:])
    (folder / "s.toml").write_text(SETTINGS)
    return folder


@pytest.fixture
def fitted(folder, lodekit, monkeypatch):
    """What ``fit --json`` printed; fitted once."""
    monkeypatch.chdir(folder)
    if not Path("m.lodekit").exists():
        status, out, err = lodekit(
            *("fit", "train.xyz", "--model", "polarization", "--settings", "s.toml"),
            *("--output", "m.lodekit", "--validation", "new.xyz", "--json"),
        )
        assert status == 0, err
        Path("fit.json").write_text(out)
    return json.loads(Path("fit.json").read_text())


def test_fit_shows_errors_of_all_targets_on_any_branch(fitted):
    errors = fitted["errors"]["validation"]
    assert {*errors} == {
        *("energy", "forces", "polarization", "born_effective_charges"),
        "polarizability",
    }
    assert errors["born_effective_charges"]["unit"] == "e"
    assert errors["born_effective_charges"]["n"] == 4 * 36
    assert errors["polarization"]["rmse"] < 0.01
    assert {"polarization", "born_effective_charges"} <= {*fitted["errors"]["held out"]}


@pytest.mark.usefixtures("fitted")
def test_predict_writes_what_the_model_computes_in_a_field(lodekit):
    field = [0.0, 0.1, -0.2]
    status, _, err = lodekit(
        *("predict", "m.lodekit", "new.xyz", "-o", "out.xyz"),
        *("--field", *map(str, field)),
    )
    assert status == 0, err
    expected = load_model("m.lodekit").compute(read_structures("new.xyz"), field=field)
    for atoms, result in zip(read("out.xyz", ":"), expected, strict=True):
        found = {**atoms.info, **atoms.arrays, **atoms.calc.results}
        charges = found["born_effective_charges"].reshape(-1, 3, 3)
        values = result["born_effective_charges"]
        np.testing.assert_allclose(charges, values, atol=1e-7)
        assert atoms.get_potential_energy() == pytest.approx(result["energy"])
        np.testing.assert_allclose(
            found["polarization"], result["polarization"], atol=1e-7
        )


@pytest.mark.usefixtures("fitted")
def test_predict_takes_a_displacement_instead_of_a_field(lodekit):
    vector = ("1.0", "0.0", "-0.5")
    predict = ("predict", "m.lodekit", "new.xyz", "--displacement", *vector)
    status, _, err = lodekit(*predict, "-o", "displaced.xyz")
    assert status == 0, err
    control = [float(number) for number in vector]
    frames = read_structures("new.xyz")
    expected = load_model("m.lodekit").compute(frames, displacement=control)
    for atoms, result in zip(read("displaced.xyz", ":"), expected, strict=True):
        assert atoms.get_potential_energy() == pytest.approx(result["energy"])
    status, _, err = lodekit(*predict, "--field", *vector, "-o", "both.xyz")
    assert status == 1
    assert "one of them follows from the other" in err


def test_evaluate_and_info_know_the_model(fitted, lodekit):
    status, out, err = lodekit("evaluate", "m.lodekit", "new.xyz", "--json")
    assert status == 0, err
    answer = json.loads(out)
    for name in ("polarization", "born_effective_charges", "polarizability"):
        expected = fitted["errors"]["validation"][name]
        assert answer[name]["rmse"] == pytest.approx(expected["rmse"], rel=1e-6)
    status, out, _ = lodekit("info", "m.lodekit")
    assert status == 0
    assert "PolarizationModel" in out
    assert "oxidation states" in out
    status, out, _ = lodekit("info", "m.lodekit", "--settings")
    assert status == 0
    assert "[polarizability.terms.soap]" in out


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "fit.oxidation_states={Li = 1, F = -2}"), "total charge is"),
        (("--set", "fit.quantum=-1"), "quantum must be a positive charge"),
        (("--set", "potential.fit.targets=energy"), "[fit] holds for all parts"),
        (("--targets", "energy"), "learns energies alone"),
        (("--targets", "charges"), "cannot be fitted to charges"),
    ],
)
def test_mistakes_are_one_line(lodekit, arguments, message):
    fit = ("fit", "train.xyz", "--model", "polarization", "--settings", "s.toml")
    status, _, err = lodekit(*fit, *arguments, "-o", "bad.lodekit")
    assert status == 1
    assert message in err
    assert not Path("bad.lodekit").exists()


def without_a_cell(frames):
    frames[2].pbc = False


def of_the_wrong_size(frames):
    frames[1].arrays["REF_becs"] = frames[1].arrays["REF_becs"][:, :6]


def transposed(frames):
    transpose_born_charges(frames)


def in_the_wrong_order_of_atoms(frames):
    frames[3].arrays["REF_becs"] = frames[3].arrays["REF_becs"][[0, 0, 1, 2]]


def between_two_branches(frames):
    moment = frames[5].calc.results["polarization"]
    frames[5].calc.results["polarization"] = moment + 0.5 * frames[5].cell[1]


def in_a_field(frames):
    frames[4].info["electric_field"] = np.array([0.0, 0.0, 0.1])


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_a_cell, "frame 3 (index 2) has a polarization and is not periodic"),
        (of_the_wrong_size, "must have shape (4, 3, 3)"),
        (transposed, "the Born charges seem to be transposed"),
        (in_the_wrong_order_of_atoms, "the order of their nine numbers may be wrong"),
        (between_two_branches, "branch of the polarization is not certain for frame 6"),
        (in_a_field, "frame 5 (index 4) was computed in an electric field"),
    ],
)
def test_wrong_files_are_one_line(lodekit, spoil, message):
    frames = read_structures("train.xyz")[:8]
    spoil(frames)
    write_structures("wrong.xyz", frames, overwrite=True)
    status, _, err = lodekit(
        *("fit", "wrong.xyz", "--model", "polarization", "--settings", "s.toml"),
        *("--targets", "polarization", "born_effective_charges", "-o", "bad.lodekit"),
    )
    assert status == 1
    assert message in err
    assert len(err.strip().splitlines()[-1]) > len(message)
    assert not Path("bad.lodekit").exists()


@pytest.mark.usefixtures("fitted")
def test_a_field_along_a_slab_is_one_line(lodekit):
    slab = crystals.draw(np.random.default_rng(0))
    slab.pbc = (True, True, False)
    write_structures("slab.xyz", [slab])
    predict = ("predict", "m.lodekit", "slab.xyz", "-o", "out.xyz", "--overwrite")
    status, _, err = lodekit(*predict, "--field", "0.1", "0", "0")
    assert status == 1
    assert "has a component along a periodic direction of frame 1" in err
    status, _, err = lodekit(*predict, "--displacement", "0", "0", "1")
    assert status == 1
    assert "a displacement is defined for structures that are periodic in three" in err


def test_calculations_in_fields_have_the_same_path(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    generator = np.random.default_rng(7)
    frames = []
    for _ in range(5):
        atoms = crystals.draw(generator)
        for strength in (0.0, 0.5, -0.5):
            field = np.array([0.0, strength, strength])
            frames.append(crystals.in_field(atoms, field, generator))
        cubic = crystals.hyperpolarizability(atoms)
        frames[-3].info["hyperpolarizability"] = cubic.ravel()
    write_structures("fields.xyz", frames)
    cubic = SETTINGS[SETTINGS.index("[polariz") :]
    cubic = cubic.replace("polarizability", "hyperpolarizability")
    Path("f.toml").write_text(SETTINGS + cubic)
    status, out, err = lodekit(
        *("fit", "fields.xyz", "--model", "polarization", "--settings", "f.toml"),
        *("--json", "-o", "f.lodekit"),
    )
    assert status == 0, err
    errors = json.loads(out)["errors"]
    assert {"field_energy", "field_forces"} <= {*errors["held out"]}
    assert errors["training"]["hyperpolarizability"]["unit"] == "e·Å³/V²"
    assert errors["training"]["polarization"]["r2"] > 0.99
    status, out, err = lodekit("evaluate", "f.lodekit", "fields.xyz", "--json")
    assert status == 0, err
    found = json.loads(out)
    for name in ("energy", "forces", "polarization", "hyperpolarizability"):
        expected = errors["training"][name]["rmse"]
        assert found[name]["rmse"] == pytest.approx(expected, rel=1e-6)
    status, out, _ = lodekit("info", "f.lodekit", "--settings")
    assert "[hyperpolarizability.terms.soap]" in out


def test_centroids_of_wannier_centres_have_the_same_path(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    frames = read_structures("train.xyz")
    for atoms in frames:
        values = -crystals.atomic_dipoles(atoms) / 8.0
        values[atoms.numbers == 3] = 0.0
        atoms.arrays = {k: v for k, v in atoms.arrays.items() if "bec" not in k}
        atoms.arrays["wannier_centroid"] = values
    write_structures("wannier.xyz", frames)
    status, out, err = lodekit(
        *("fit", "wannier.xyz", "--model", "wannier", "--settings", "s.toml"),
        *("--targets", "wannier_displacements", "--json", "-o", "w.lodekit"),
        *("--set", "fit.center_charges={F = -8}"),
    )
    assert status == 0, err
    errors = json.loads(out)["errors"]
    assert errors["training"]["wannier_displacements"]["r2"] > 0.99
    status, out, err = lodekit("evaluate", "w.lodekit", "wannier.xyz", "--json")
    assert status == 0, err
    assert json.loads(out)["wannier_displacements"]["unit"] == "Å"


def test_induced_dipoles_have_the_same_path(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    generator = np.random.default_rng(6)
    frames = [crystals.draw(generator, pbc=False) for _ in range(8)]
    frames = [crystals.label(atoms) for atoms in frames]
    write_structures("clusters.xyz", frames)
    text = f"[fit]\nn_channels = 15\n[terms.soap]{TERM.replace('20', '3')}"
    Path("i.toml").write_text(text)
    status, out, err = lodekit(
        *("fit", "clusters.xyz", "--model", "induced-dipoles", "--settings", "i.toml"),
        *("--targets", "polarizability", "--json", "-o", "i.lodekit"),
    )
    assert status == 0, err
    assert json.loads(out)["errors"]["training"]["polarizability"]["r2"] > 0.5
    status, out, err = lodekit("evaluate", "i.lodekit", "clusters.xyz", "--json")
    assert status == 0, err
    assert json.loads(out)["polarizability"]["unit"] == "Å³"


def test_born_charges_alone_have_the_same_path(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    text = f"[fit]\nn_channels = 15\n[terms.soap]{TERM.replace('20', '6')}"
    Path("b.toml").write_text(text)
    status, out, err = lodekit(
        *("fit", "train.xyz", "--model", "born-charges", "--settings", "b.toml"),
        *("--json", "-o", "b.lodekit"),
    )
    assert status == 0, err
    name = "born_effective_charges"
    assert json.loads(out)["errors"]["training"][name]["r2"] > 0.9
    status, out, err = lodekit("evaluate", "b.lodekit", "new.xyz", "--json")
    assert status == 0, err
    assert json.loads(out)[name]["n"] == 4 * 36
