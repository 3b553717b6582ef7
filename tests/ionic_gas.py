"""Random gases of point charges with exact energies."""

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from lodekit.electrostatics import CoulombInteraction


def random_positions(n_atoms, length, rng, closest=2.0):
    """Points in a box of some length, none closer than ``closest`` (Å)."""
    points = []
    while len(points) < n_atoms:
        point = rng.uniform(0.0, length, 3)
        vectors = np.array(points).reshape(-1, 3) - point
        vectors -= length * np.round(vectors / length)
        if not len(points) or np.linalg.norm(vectors, axis=1).min() > closest:
            points.append(point)
    return np.array(points)


def gas(n_atoms, length, periodic, seed, charge=1.0):
    """Half Na+, half Cl-, labelled with the energy and forces of the point charges."""
    rng = np.random.default_rng(seed)
    half = n_atoms // 2
    atoms = Atoms(f"Na{half}Cl{half}", random_positions(n_atoms, length, rng))
    if periodic:
        atoms.set_cell(np.eye(3) * length)
        atoms.set_pbc(True)
    return label(atoms, charge * np.repeat([1.0, -1.0], half))


def label(atoms, charges):
    """Set the energy and forces of point charges, in place."""
    found = CoulombInteraction(
        atoms.positions, atoms.cell[:], atoms.pbc, accuracy=1e-10
    ).compute(charges)
    results = {"energy": found.energy, "forces": found.forces}
    if atoms.pbc.all():
        stress = found.strain_gradient / atoms.get_volume()
        stress = 0.5 * (stress + stress.T)
        results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms
