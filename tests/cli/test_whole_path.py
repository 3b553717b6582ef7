"""The whole path with the real potential, small enough to be quick."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from stub_model import make_frames

from lodekit import load_model, read_structures
from lodekit.calculators import LodekitCalculator
from lodekit.structures import write_structures

SETTINGS = """
[fit]
energy_noise = 1e-3
force_noise = 1e-2
stress_noise = 1e-3
n_ensemble = 4

[terms.soap]
type = "soap"
cutoff = 3.5
max_radial = 3
max_angular = 2
n_sparse = 12

[terms.lode]
type = "lode"
max_angular = 1
density_max_radial = 2
accuracy = 1e-3
n_sparse = 6
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole_path")
    write_structures(folder / "train.xyz", make_frames(20, periodic=True))
    write_structures(folder / "val.xyz", make_frames(6, periodic=True, seed=9))
    (folder / "settings.toml").write_text(SETTINGS)
    return folder


@pytest.fixture
def fitted(folder, lodekit, monkeypatch):
    """The folder with a model in it, fitted once."""
    monkeypatch.chdir(folder)
    if not (folder / "m.lodekit").exists():
        arguments = ("--settings", "settings.toml", "--output", "m.lodekit")
        status, _, err = lodekit("fit", "train.xyz", *arguments)
        assert status == 0, err
    return folder


def test_predictions_are_close_to_the_reference(fitted, lodekit):
    status, out, err = lodekit("evaluate", "m.lodekit", "val.xyz", "--json")
    assert status == 0, err
    errors = json.loads(out)
    # The reference is a short-ranged pair potential with 2 meV of noise.
    assert errors["energy"]["rmse"] < 0.02  # eV/atom
    assert errors["forces"]["rmse"] < 0.15  # eV/Å
    assert errors["forces"]["r2"] > 0.9


def test_file_and_python_predict_the_same(fitted, lodekit):
    status, _, err = lodekit(
        "predict", "m.lodekit", "val.xyz", "-o", "out.xyz", "--std", "--overwrite"
    )
    assert status == 0, err
    names = ["energy", "forces", "stress", "energy_std"]
    expected = load_model("m.lodekit").compute(read_structures("val.xyz"), names)
    for frame, result in zip(read("out.xyz", ":"), expected, strict=True):
        assert frame.get_potential_energy() == pytest.approx(result["energy"])
        np.testing.assert_allclose(frame.get_forces(), result["forces"], atol=1e-7)
        np.testing.assert_allclose(frame.get_stress(), result["stress"], atol=1e-8)
        assert frame.info["energy_std"] == pytest.approx(result["energy_std"])


def test_calculator_forces_and_stress_are_gradients(fitted):
    atoms = read_structures("val.xyz")[0]
    atoms.calc = LodekitCalculator("m.lodekit")
    forces = calculate_numerical_forces(atoms, eps=1e-4)
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-5)  # eV/Å
    stress = calculate_numerical_stress(atoms, eps=1e-4)
    np.testing.assert_allclose(atoms.get_stress(), stress, atol=1e-6)  # eV/Å^3


def test_wires_are_refused_by_a_long_range_term(fitted):
    atoms = read_structures("val.xyz")[0]
    atoms.pbc = (True, False, False)
    atoms.calc = LodekitCalculator("m.lodekit")
    with pytest.raises(ValueError, match="pbc"):
        atoms.get_potential_energy()


def test_lonely_atoms_have_finite_predictions(fitted, lodekit):
    far = Atoms("OH", [[0, 0, 0], [0, 0, 50]])
    write_structures("lonely.xyz", [Atoms("O"), far], overwrite=True)
    status, _, err = lodekit(
        "predict", "m.lodekit", "lonely.xyz", "-o", "l.xyz", "--overwrite"
    )
    assert status == 0, err
    for frame in read("l.xyz", ":"):
        assert np.isfinite(frame.get_potential_energy())
        np.testing.assert_allclose(frame.get_forces(), 0.0, atol=1e-2)  # eV/Å


def test_settings_of_a_model_make_the_same_model(fitted, lodekit):
    _, text, _ = lodekit("info", "m.lodekit", "--settings")
    (fitted / "again.toml").write_text(text)
    arguments = ("--settings", "again.toml", "--output", "n.lodekit", "--overwrite")
    assert lodekit("fit", "train.xyz", *arguments)[0] == 0
    first, second = load_model("m.lodekit"), load_model("n.lodekit")
    np.testing.assert_array_equal(first.weights_, second.weights_)


@pytest.mark.parametrize(
    "frames",
    [
        [Atoms("O")],
        [Atoms("OH", [[0, 0, 0], [0, 0, 30]])],
        make_frames(1),
        make_frames(1) * 3,
    ],
    ids=["one atom", "no neighbours", "one frame", "the same frame three times"],
)
def test_hardly_any_data_gives_a_model_or_one_line(fitted, lodekit, frames):
    for frame in frames:
        if frame.calc is None:
            forces = np.zeros((len(frame), 3))
            frame.calc = SinglePointCalculator(frame, energy=-1.0, forces=forces)
    write_structures("few.xyz", frames, overwrite=True)
    arguments = ("--settings", "settings.toml", "--output", "f.lodekit", "--overwrite")
    status, out, err = lodekit("fit", "few.xyz", *arguments)
    errors = [line for line in err.splitlines() if line.startswith("lodekit: error:")]
    assert status == len(errors)
    assert "unexpected" not in err
    if status == 0:
        assert "nan" not in out.lower()
