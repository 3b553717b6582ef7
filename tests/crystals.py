"""Structures for tests: no symmetry to hide a mistake, and small."""

import numpy as np
from ase import Atoms
from ase.build import bulk


def triclinic(n_atoms=5, numbers=(1, 8, 11), volume_per_atom=15.0, seed=0):
    """A skewed periodic cell with atoms at random, not too close to each other."""
    rng = np.random.default_rng(seed)
    cell = np.array([[1.0, 0.1, 0.0], [0.3, 1.1, -0.1], [-0.2, 0.25, 0.9]])
    cell *= (n_atoms * volume_per_atom / np.linalg.det(cell)) ** (1.0 / 3.0)
    positions = spread_positions(rng, n_atoms, cell)
    species = np.resize(numbers, n_atoms)
    return Atoms(species, positions=positions, cell=cell, pbc=True)


def spread_positions(rng, n_atoms, cell):
    """Random positions of which no two images are closer than half the mean gap."""
    gap = 0.55 * (np.linalg.det(cell) / n_atoms) ** (1.0 / 3.0)
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    positions = np.zeros((0, 3))
    while len(positions) < n_atoms:
        trial = rng.random(3) @ cell
        images = positions[:, None] + shifts @ cell
        if np.linalg.norm(images - trial, axis=2).min(initial=np.inf) > gap:
            positions = np.append(positions, trial[None], axis=0)
    return positions


def cluster(n_atoms=5, numbers=(1, 8), seed=0):
    """Atoms at random in open space, 1 to 2 Å apart from their neighbours."""
    atoms = triclinic(n_atoms, numbers, volume_per_atom=8.0, seed=seed)
    atoms.set_cell(None)
    atoms.set_pbc(False)
    return atoms


def rock_salt(repeat=1, rattle=0.1, seed=0):
    """NaCl with 8 * repeat^3 atoms and Gaussian displacements (Å)."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(repeat)
    atoms.rattle(rattle, seed=seed)
    return atoms


def random_rotation(seed=0):
    """A proper rotation matrix."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))
