import json
import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from stub_model import StubModel, make_frames

from lodekit import load_model, read_structures
from lodekit.cli import prediction
from lodekit.cli.annotation import add_predictions
from lodekit.cli.frames import read_pieces
from lodekit.cli.prediction import chunks, compute_in_chunks, counted, progress
from lodekit.structures import get_target, write_structures


def test_predictions_get_the_names_of_ase(lodekit, model, train):
    status, out, err = lodekit("predict", model, train, "--output", "out.xyz")
    assert status == 0, err
    assert "wrote 12 structures with predictions to out.xyz" in out
    expected = load_model(model).compute(read_structures(train))
    for frame, result in zip(read("out.xyz", ":"), expected, strict=True):
        assert frame.get_potential_energy() == pytest.approx(
            result["energy"], rel=1e-12
        )
        np.testing.assert_allclose(frame.get_forces(), result["forces"], atol=1e-7)
        np.testing.assert_allclose(frame.get_stress(), result["stress"], atol=1e-12)


def test_reference_values_move_to_ref_names_and_are_found_again(lodekit, model, train):
    lodekit("predict", model, train, "--output", "out.xyz")
    before, after = read_structures(train), read_structures("out.xyz")
    for old, new in zip(before, after, strict=True):
        for target in ("energy", "forces", "stress"):
            np.testing.assert_allclose(
                get_target(new, target), get_target(old, target), atol=1e-7
            )


def test_other_keys_and_columns_stay(lodekit, model):
    (frame,) = make_frames(1)
    frame.info |= {"name": "water 1", "total_charge": 1.0}
    frame.arrays["my_column"] = np.arange(3)
    frame.calc.results["dipole"] = np.array([0.1, 0.2, 0.3])
    write_structures("in.xyz", [frame])
    lodekit("predict", model, "in.xyz", "--output", "out.xyz")
    after = read("out.xyz")
    assert after.info["name"] == "water 1"
    assert after.info["label"] == "far"
    assert after.info["total_charge"] == 1.0
    np.testing.assert_array_equal(after.arrays["my_column"], [0, 1, 2])
    np.testing.assert_allclose(after.info["REF_dipole"], [0.1, 0.2, 0.3])
    assert "dipole" not in after.calc.results
    assert "target_keys" not in after.info


def test_a_prefix_leaves_the_file_as_it_was(lodekit, model, train):
    arguments = ("--prefix", "lodekit_", "--std")
    status, _, err = lodekit("predict", model, train, "-o", "out.xyz", *arguments)
    assert status == 0, err
    for old, new in zip(read(train, ":"), read("out.xyz", ":"), strict=True):
        assert new.get_potential_energy() == old.get_potential_energy()
        np.testing.assert_array_equal(new.get_forces(), old.get_forces())
        assert new.info["lodekit_energy_std"] == pytest.approx(1e-3 * len(new))
        assert new.arrays["lodekit_forces_std"].shape == (len(new), 3)
        assert "lodekit_stress" in new.info


def test_fields_and_charges_that_a_model_does_not_read_are_named_once(lodekit, model):
    frames = make_frames(3)
    for frame in frames[1:]:
        frame.info["electric_field"] = [0.0, 0.0, 0.1]
    frames[2].info["point_charges"] = [1.0, 9.0, 9.0, 9.0]
    write_structures("in.xyz", frames)
    status, _, err = lodekit("predict", model, "in.xyz", "--output", "out.xyz")
    assert status == 0, err
    for key in ("electric_field", "point_charges"):
        assert err.count(f"predictions of this model leave out the {key}") == 1


def test_chosen_frames_are_predicted_alone(lodekit, model, train):
    lodekit("predict", model, train, "--output", "out.xyz", "--where", "label=near")
    assert [frame.info["label"] for frame in read("out.xyz", ":")] == ["near"] * 6


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("label=ner", "train.xyz: no frame has label=ner; it is far, near"),
        ("lable=near", "train.xyz: no frame has lable=near; no frame has that key"),
    ],
)
def test_choosing_nothing_gives_one_line(lodekit, model, train, where, message):
    status, _, err = lodekit("predict", model, train, "-o", "o.xyz", "--where", where)
    assert (status, err) == (1, f"lodekit: error: {message}\n")


def test_chosen_properties_are_written_alone(lodekit, model, train):
    names = ("energies", "energy_std")
    lodekit("predict", model, "--properties", *names, train, "--output", "out.xyz")
    frame = read("out.xyz", 0)
    assert set(frame.calc.results) == {"energies"}
    assert frame.info["energy_std"] > 0


def test_standard_deviations_follow_the_properties(lodekit, model, train):
    arguments = ("--properties", "energy", "--std", "--json")
    _, out, _ = lodekit("predict", model, train, "--output", "out.xyz", *arguments)
    assert json.loads(out) == {
        "output": "out.xyz",
        "n": 12,
        "properties": ["energy", "energy_std"],
    }


def test_open_and_periodic_frames_mix(lodekit, model):
    frames = [make_frames(1)[0], make_frames(1, periodic=True)[0], make_frames(2)[1]]
    write_structures("in.xyz", frames)
    status, _, err = lodekit("predict", model, "in.xyz", "--output", "out.xyz")
    assert status == 0, err
    has_stress = ["stress" in frame.calc.results for frame in read("out.xyz", ":")]
    assert has_stress == [False, True, False]


def test_structures_without_targets_are_predicted(lodekit, model):
    write_structures("in.xyz", [Atoms("OH", [[0, 0, 0], [0, 0, 1]]), Atoms("O")])
    status, _, err = lodekit("predict", model, "in.xyz", "--output", "out.xyz")
    assert status == 0, err
    frames = read("out.xyz", ":")
    assert np.isfinite([frame.get_potential_energy() for frame in frames]).all()


def test_existing_output_is_refused_before_the_work(lodekit, model, train, monkeypatch):
    Path("old.xyz").write_text("old")
    monkeypatch.delattr(StubModel, "compute")
    status, _, err = lodekit("predict", model, train, "--output", "old.xyz")
    assert status == 1
    assert "old.xyz: exists already; choose another name or overwrite it" in err
    assert Path("old.xyz").read_text() == "old"


@pytest.mark.parametrize("name", ["m.lodekit", "train.xyz"])
def test_an_output_that_is_read_is_refused_before_the_work(
    lodekit, model, train, monkeypatch, name
):
    before = Path(name).read_bytes()
    monkeypatch.delattr(StubModel, "compute")
    status, _, err = lodekit("predict", model, train, "-o", name, "--overwrite")
    assert status == 1
    assert f"{name}: this file is read, it cannot be the output as well" in err
    assert Path(name).read_bytes() == before


def test_foreign_species_names_file_and_frame(lodekit, model):
    frames = [Atoms("OH", [[0, 0, 0], [0, 0, 1]]), Atoms("OXe", [[0, 0, 0], [0, 0, 2]])]
    write_structures("in.xyz", frames)
    status, _, err = lodekit("predict", model, "in.xyz", "--output", "out.xyz")
    assert status == 1
    assert "in.xyz: frame 2 has Xe, which the model has not seen; it knows H, O" in err
    assert not os.path.exists("out.xyz")


def test_structures_are_predicted_and_written_piece_by_piece(
    lodekit, model, train, monkeypatch
):
    lodekit("predict", model, train, "-o", "whole.xyz")
    monkeypatch.setattr(prediction, "CHUNK_FRAMES", 5)
    sizes, compute = [], StubModel.compute

    def watch(self, frames, properties):
        sizes.append(len(frames))
        return compute(self, frames, properties)

    monkeypatch.setattr(StubModel, "compute", watch)
    status, out, err = lodekit("predict", model, train, "-o", "out.xyz")
    assert status == 0, err
    assert sizes == [5, 5, 2]
    assert "wrote 12 structures" in out
    assert Path("out.xyz").read_bytes() == Path("whole.xyz").read_bytes()


def test_an_error_in_a_later_piece_names_the_frame_and_leaves_no_file(
    lodekit, model, monkeypatch
):
    monkeypatch.setattr(prediction, "CHUNK_FRAMES", 5)
    for fault, message in (
        (Atoms("OXe", [[0, 0, 0], [0, 0, 2]]), "frame 9 has Xe, which the model"),
        (Atoms("OH", [[0, 0, 0], [0, 0, 1e-3]]), r"frame 9 (index 8): atoms 1 and 2"),
    ):
        frames = make_frames(12)
        frames[8] = fault
        write_structures("in.xyz", frames, overwrite=True)
        status, _, err = lodekit("predict", model, "in.xyz", "-o", "out.xyz")
        assert status == 1
        assert f"in.xyz: {message}" in err
        assert {own.name for own in Path().iterdir()} == {"in.xyz", "m.lodekit"}


def test_pieces_hold_at_most_so_many_atoms(train, monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK_ATOMS", 10)
    pieces = list(read_pieces(train))
    sizes = [[len(frame) for frame in piece.frames] for piece in pieces]
    assert sizes == [[3, 4], [5, 3], [4, 5]] * 2
    assert [piece.n_before for piece in pieces] == [0, 2, 4, 6, 8, 10]


def test_work_of_unknown_length_is_counted_in_lines_off_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(prediction, "SILENCE", -1.0)
    with counted("working") as advance:
        advance(5)
        advance(7)
    assert capsys.readouterr().err == "working: 5\nworking: 12\n"


@pytest.mark.parametrize("name", ["none.lodekit", "train.xyz"])
def test_a_model_that_is_none_gives_one_line(lodekit, train, name):
    status, _, err = lodekit("predict", name, train, "--output", "out.xyz")
    assert status == 1
    assert len(err.splitlines()) == 1
    assert f"{name}: " in err


def test_chunks_bound_atoms_and_frames(monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK_ATOMS", 10)
    monkeypatch.setattr(prediction, "CHUNK_FRAMES", 3)
    sizes = [4, 4, 4, 20, 1, 1, 1, 1]
    found = list(chunks([range(size) for size in sizes]))
    assert found == [(0, 2), (2, 3), (3, 4), (4, 7), (7, 8)]
    assert list(chunks([])) == []


def test_chunks_do_not_change_predictions(monkeypatch):
    frames = [*make_frames(5, periodic=True), *make_frames(4)]
    model = StubModel().fit(frames)
    whole = compute_in_chunks(model, frames, ["energy", "stress"])
    monkeypatch.setattr(prediction, "CHUNK_FRAMES", 2)
    parts = compute_in_chunks(model, frames, ["energy", "stress"])
    for left, right in zip(whole, parts, strict=True):
        assert left.keys() == right.keys()
        assert left["energy"] == right["energy"]


def test_stress_alone_of_open_frames_is_nothing():
    frames = make_frames(2)
    assert compute_in_chunks(StubModel().fit(frames), frames, ["stress"]) == [{}, {}]


def test_progress_is_plain_lines_off_a_terminal(capsys):
    with progress(100, "working") as advance:
        for _ in range(20):
            advance(5)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"working: {done}/100" for done in range(10, 100, 10)]


def test_progress_is_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress(10, "working") as advance:
        advance(5)
        advance(5)
    assert "working: " in capsys.readouterr().err


def test_predictions_of_a_bare_structure_need_no_calculator():
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 1]])
    add_predictions(atoms, {"energy": -1.0, "energy_std": 0.1})
    assert atoms.get_potential_energy() == -1.0
    assert atoms.info == {"energy_std": 0.1}
