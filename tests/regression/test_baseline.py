import numpy as np
import pytest
from ase import Atoms

from lodekit.regression.baseline import (
    count_species,
    fit_composition,
    isolated_atom_energies,
)

SPECIES = np.array([1, 6, 8])
ENERGIES = np.array([-13.0, -1030.0, -2040.0])  # eV


def test_atoms_are_counted_by_species():
    frames = [Atoms("H2O"), Atoms("CH4"), Atoms("O")]
    expected = [[2, 0, 1], [4, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(count_species(frames, SPECIES), expected)


def test_energies_of_additive_compounds_are_found():
    counts = np.array([[2, 0, 1], [4, 1, 0], [0, 1, 2], [6, 2, 1]])
    found = fit_composition(counts, counts @ ENERGIES)
    np.testing.assert_allclose(found, ENERGIES, rtol=1e-10)


def test_errors_count_per_atom_and_by_weight():
    counts = np.array([[1, 0, 0], [4, 0, 0]])
    energies = np.array([-1.0, -8.0])  # -1 and -2 eV/atom
    np.testing.assert_allclose(fit_composition(counts, energies), [-1.5, 0, 0])
    weights = np.array([3.0, 1.0])
    expected = [-1.25, 0, 0]
    np.testing.assert_allclose(fit_composition(counts, energies, weights), expected)


def test_one_composition_gives_the_smallest_energies():
    counts = np.tile([2, 0, 1], (3, 1))
    found = fit_composition(counts, np.full(3, -10.0))
    # 2 a + b = -10 with a^2 + b^2 smallest: (a, b) along (2, 1)
    np.testing.assert_allclose(found, [-4.0, 0.0, -2.0], atol=1e-12)


def test_isolated_atoms_are_read_from_frames_with_one_atom():
    frames = [Atoms("H2O"), Atoms("O"), Atoms("H")]
    found = isolated_atom_energies(frames, np.array([-470.0, -430.0, -13.0]), [1, 8])
    np.testing.assert_array_equal(found, [-13.0, -430.0])


def copper(energy, cell=None, pbc=False, **info):
    atoms = Atoms("Cu", cell=cell, pbc=pbc)
    atoms.info = info
    return atoms, energy


ATOM = copper(-1.0, total_charge=0)
BOXED = copper(-1.0, np.diag([8.0, 9.0, 8.0]), True)
SHEET = copper(-4.0, np.diag([3.0, 3.0, 30.0]), (True, True, False))
CRYSTAL = copper(-4.5, [[0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]], True)
CATION = copper(6.7, total_charge=1)


@pytest.mark.parametrize(
    "chosen",
    [[ATOM], [ATOM, CRYSTAL], [CRYSTAL, ATOM], [ATOM, CATION], [SHEET, BOXED, CATION]],
)
def test_isolated_atoms_are_neutral_and_far_from_their_images(chosen):
    frames, energies = zip(*chosen, strict=True)
    assert isolated_atom_energies(frames, energies, [29]).tolist() == [-1.0]


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ([CRYSTAL], r" \(frame 1 \(index 0\) is 2.55 Å from its images\)"),
        ([SHEET], r" \(frame 1 \(index 0\) is 3 Å from its images\)"),
        ([CATION, CRYSTAL], r" \(frame 1 \(index 0\) has the total charge 1 e\)"),
        ([(Atoms("Cu2"), -1.0)], ""),
    ],
)
def test_elements_without_an_isolated_atom_are_named(chosen, reason):
    frames, energies = zip(*chosen, strict=True)
    message = f"8 Å from its images, and there is none of Cu{reason}; add it, or give"
    with pytest.raises(ValueError, match=message):
        isolated_atom_energies(frames, energies, [29])


def test_isolated_atoms_that_contradict_each_other_are_named():
    frames, energies = zip(ATOM, BOXED, copper(-1.5), strict=True)
    message = (
        r"Cu has -1 eV in frame 1 \(index 0\) and -1.5 eV in frame 3 \(index 2\); keep"
    )
    with pytest.raises(ValueError, match=message):
        isolated_atom_energies(frames, energies, [29])


def test_no_frames_have_no_atoms():
    assert count_species([], SPECIES).shape == (0, 3)
    assert fit_composition(np.zeros((0, 3)), np.zeros(0)).tolist() == [0.0, 0.0, 0.0]
