import json
import pathlib
import sys

import numpy as np
import pytest
from ase import Atoms

from lodekit.density import DensitySet
from lodekit.density import density_run as runs
from lodekit.density.pyscf_density import CalculatedDensity, NotConverged
from lodekit.structures import write_structures

OPTIONS = (
    "--basis",
    "sto-3g",
    "--aux-basis",
    "def2-universal-jfit",
    "--functional",
    "hf",
)


@pytest.fixture
def hydrogen():
    frames = [Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.1 * i]]) for i in range(3)]
    frames[1].info["label"] = "bad"
    write_structures("h2.xyz", frames)
    return "h2.xyz"


@pytest.fixture
def stub(monkeypatch):
    """A calculation that takes no time; the frame with a label does not converge."""
    pytest.importorskip("pyscf")

    def invented(atoms, calculation, basis):
        if "label" in atoms.info:
            raise NotConverged("no")
        values = np.zeros(basis.size(atoms.numbers))
        return CalculatedDensity(values, -1.0, np.zeros(3), atoms.numbers.astype(float))

    monkeypatch.setattr(runs, "calculate_density", invented)


def test_densities_of_a_file_go_to_one_file(lodekit, hydrogen):
    pytest.importorskip("pyscf")
    status, output, errors = lodekit(
        "density-fit",
        hydrogen,
        *OPTIONS,
        "-o",
        "h2.npz",
        "--field",
        0,
        0,
        0.1,
        "--json",
    )
    assert (status, errors.count("error")) == (0, 0)
    answer = json.loads(output)
    assert (answer["n"], answer["n_new"], answer["not_converged"]) == (3, 3, [])
    densities = DensitySet.load("h2.npz")
    assert densities.record["calculation"]["field"] == [0.0, 0.0, 0.1]
    for index in range(3):
        density = densities.density(index)
        assert density.n_electrons == pytest.approx(2.0, abs=1e-12)
        # electrons go against the field
        assert density.dipole()[2] > 0.0
    status, output, _ = lodekit("info", "h2.npz")
    assert status == 0
    assert "densities       3 frames" in output
    assert "def2-universal-jfit: H 11 (3s1p1d)" in output
    assert "field           [0.0, 0.0, 0.1]" in output
    answer = json.loads(lodekit("info", "h2.npz", "--json")[1])
    assert answer["calculation"]["functional"] == "hf"
    assert answer["dipole_rmse"] < 0.01  # e·Å, of 0.05 induced
    status, output, _ = lodekit(
        "density-fit", hydrogen, *OPTIONS, "-o", "h2.npz", "--field", 0, 0, 0.1
    )
    assert status == 0
    assert "h2.npz has 3 of 3 densities already" in output


def test_frames_that_do_not_converge_make_the_status_one(lodekit, hydrogen, stub):
    status, output, errors = lodekit("density-fit", hydrogen, *OPTIONS, "-o", "h2.npz")
    assert status == 1
    assert "wrote 2 densities in def2-universal-jfit" in output
    assert "1 of 3 frames did not converge" in errors
    assert "frames 2;" in errors
    assert len(DensitySet.load("h2.npz")) == 2


def test_a_missing_pyscf_names_the_extra(lodekit, hydrogen, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyscf"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyscf", None)
    status, _, errors = lodekit("density-fit", hydrogen, *OPTIONS, "-o", "h2.npz")
    assert status == 1
    assert "needs PySCF, which is not installed; pip install 'lodekit[data]'" in errors


def test_a_file_with_other_settings_is_refused(lodekit, hydrogen, stub):
    lodekit("density-fit", hydrogen, *OPTIONS, "-o", "h2.npz")
    status, _, errors = lodekit(
        "density-fit", hydrogen, *OPTIONS, "-o", "h2.npz", "--metric", "overlap"
    )
    assert status == 1
    assert "has densities with other settings (metric)" in errors


def test_structures_are_not_replaced_by_their_densities(lodekit, hydrogen, stub):
    before = pathlib.Path(hydrogen).read_bytes()
    status, _, errors = lodekit(
        "density-fit", hydrogen, *OPTIONS, "-o", f"./{hydrogen}", "--overwrite"
    )
    assert status == 1
    assert "is the file of the structures; choose another output" in errors
    assert pathlib.Path(hydrogen).read_bytes() == before


def test_options_that_are_missing_are_wrong_usage(lodekit, hydrogen):
    status, _, errors = lodekit("density-fit", hydrogen, "-o", "h2.npz")
    assert status == 2
    assert "Missing option '--basis'" in errors
