"""Spectra of a trajectory whose polarization oscillates, by the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from lodekit.analysis.spectra import WAVENUMBER
from lodekit.structures import write_structures


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spectrum")
    frames, open_ones = [], []
    for step in range(400):
        atoms = Atoms("NaCl", [[0, 0, 0], [0, 0, 2.8]], cell=[6.0] * 3, pbc=True)
        moment = np.zeros(3)
        moment[0] = 4.0 * np.cos(WAVENUMBER * 500.0 * step)
        atoms.info["polarizability"] = (1.0 + 0.05 * moment[0]) * np.eye(3).ravel()
        atoms.info["polarization"] = moment - 6.0 * np.rint(moment / 6.0)
        frames.append(atoms)
        single = Atoms("NaCl", atoms.positions)
        single.info["dipole"] = moment
        open_ones.append(single)
    write_structures(folder / "t.xyz", frames)
    write_structures(folder / "open.xyz", open_ones)
    write_structures(folder / "mixed.xyz", [frames[0], open_ones[0]])
    return folder


def test_spectra_are_made_of_unwrapped_moments(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    outputs = ("-o", "ir.dat", "--plot", "ir.png")
    status, out, err = lodekit(
        *("spectrum", "t.xyz", "--timestep", "1", "--raman", "--json"),
        *("--resolution", "100", *outputs),
    )
    assert status == 0, err
    answer = json.loads(out)
    for name in ("infrared", "raman isotropic"):
        assert answer["peaks"][name][0][0] == pytest.approx(500.0, abs=10.0)
    assert answer["dielectric_tensor_of_ions"][0][0] > 0.0
    table = np.loadtxt("ir.dat", encoding="utf-8")
    assert table.shape[1] == 4
    assert Path("ir.png").stat().st_size > 5000
    status, _, err = lodekit("spectrum", "t.xyz", "--timestep", "1", *outputs)
    assert status == 1
    assert "exists already" in err


def test_open_structures_have_spectra_of_their_dipoles(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    status, out, err = lodekit(
        *("spectrum", "open.xyz", "--timestep", "1", "--resolution", "100", "--json")
    )
    assert status == 0, err
    place, _ = json.loads(out)["peaks"]["infrared"][0]
    assert place == pytest.approx(500.0, abs=10.0)


def test_mistakes_are_one_line(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    status, _, err = lodekit("spectrum", "mixed.xyz", "--timestep", "1")
    assert status == 1
    assert "all open, or all periodic" in err
    status, _, err = lodekit("spectrum", "open.xyz", "--timestep", "1", "--raman")
    assert status == 1
    assert "frame 1 has no polarizability; compute it with --model" in err


def test_info_shows_the_branches_of_a_file(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    status, out, err = lodekit("info", "t.xyz")
    assert status == 0, err
    assert "polarization of 400 frames: known up to quanta of 6 to 6 e·Å" in out
    answer = json.loads(lodekit("info", "t.xyz", "--json")[1])
    assert answer["polarization"]["n"] == 400
