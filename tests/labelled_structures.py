"""Small descriptors, and structures with energies, forces and stress, for tests."""

import numpy as np
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import cluster, triclinic
from finite_differences import displaced, strained

from lodekit.descriptors import (
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)

SHIFTS = (-2.0, -1.0, 1.0, 2.0)
#: Energies in eV that the labels owe to the composition alone.
ATOM_ENERGIES = {1: -13.5, 8: -430.0, 11: -160.0}


def density(cutoff=3.0, max_radial=2, max_angular=2, width=0.5, center_weight=1.0):
    return SphericalExpansion(
        cutoff={
            "radius": cutoff,
            "smoothing": {"type": "ShiftedCosine", "width": 1.0},
        },
        density={
            "type": "Gaussian",
            "width": width,
            "center_atom_weight": center_weight,
        },
        basis=orbitals(max_radial, max_angular),
    )


def potential(max_radial=1, max_angular=2, accuracy=1e-6):
    return LodeSphericalExpansion(
        density={"type": "SmearedPowerLaw", "smearing": 0.8, "exponent": 1},
        basis=orbitals(max_radial, max_angular, radius=2.0),
        accuracy=accuracy,
    )


def orbitals(max_radial, max_angular, **radial):
    return {
        "type": "TensorProduct",
        "max_angular": max_angular,
        "radial": {"type": "Gto", "max_radial": max_radial, **radial},
    }


def soap(**arguments):
    """Density x density."""
    return PowerSpectrum(density(**arguments))


def lode(max_angular=2):
    """Density x potential."""
    return PowerSpectrum(density(max_angular=max_angular), potential(1, max_angular))


DESCRIPTORS = {"soap": soap, "lode": lode}


def labelled(frames, sigma=1.1, epsilon=0.1):
    """Give frames a smooth Lennard-Jones energy, forces and stress, in place.

    The energies of the composition are added, so that there is a baseline to find.
    """
    for atoms in frames:
        atoms.calc = LennardJones(sigma=sigma, epsilon=epsilon, rc=3.0, smooth=True)
        results = {
            "energy": atoms.get_potential_energy()
            + sum(ATOM_ENERGIES[z] for z in atoms.numbers),
            "forces": atoms.get_forces(),
        }
        if atoms.pbc.all():
            results["stress"] = atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


def open_frames(n_frames=10, n_atoms=4, numbers=(1, 8), seed=0):
    """Labelled open structures."""
    frames = [cluster(n_atoms, numbers, seed=seed + i) for i in range(n_frames)]
    return labelled(frames)


def rattled_frames(n_frames=10, amplitude=0.05, seed=0):
    """Labelled copies of one open structure with displaced atoms: easy to learn."""
    frames = []
    for i in range(n_frames):
        atoms = cluster(4)
        atoms.rattle(amplitude, seed=1000 * seed + i)
        frames.append(atoms)
    return labelled(frames)


def periodic_frames(n_frames=6, n_atoms=4, numbers=(1, 8), seed=0):
    """Labelled periodic structures in skewed cells, no two alike."""
    volumes = np.linspace(7.0, 10.0, n_frames)
    frames = [
        triclinic(n_atoms, numbers, volume, seed=seed + i)
        for i, volume in enumerate(volumes)
    ]
    return labelled(frames)


def energies_of(frames):
    return np.array([atoms.get_potential_energy() for atoms in frames])


def moved_frames(atoms, step):
    """Frames with every coordinate moved by -2, -1, 1 and 2 steps in Å."""
    changes = np.eye(3 * len(atoms)).reshape(-1, len(atoms), 3)
    return [
        displaced(atoms, atoms.positions + shift * step * change)
        for change in changes
        for shift in SHIFTS
    ]


def strained_frames(atoms, step):
    """Frames with every component of the strain at -2, -1, 1 and 2 steps."""
    changes = np.eye(9).reshape(9, 3, 3)
    return [
        strained(atoms, shift * step * change) for change in changes for shift in SHIFTS
    ]


def differences(values, step):
    """Fourth-order derivatives from the values of `moved_frames` or `strained_frames`.

    ``values`` has one entry for every frame; the result one for every coordinate. All
    frames make one batch, which is far faster than one after the other.
    """
    values = np.asarray(values)
    values = values.reshape(-1, len(SHIFTS), *values.shape[1:])
    far, near = values[:, 0] - values[:, 3], values[:, 2] - values[:, 1]
    return (far + 8.0 * near) / (12.0 * step)
