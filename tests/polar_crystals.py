"""Structures of two elements with energies and polarization in closed form.

With the vectors r from an atom to its neighbours and f(r) = exp(-r^2 / 2 s^2), atoms
have dipoles d_i = (1 + n_i) sum_j c f(r) r, which n_i = sum_j f(r) makes many-body
(those of pairs have symmetric Born charges), and polarizabilities a + sum_j b f(r) (r
r^T) and hyperpolarizabilities b' sum_j f(r) r r r. The energy is that of Gaussian
repulsion, and M = sum_i q_i R_i + d_i.
"""

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list

WIDTH, REACH = 0.9, 4.5
CHARGES = {3: 1.0, 9: -1.0}
PUSH = {3: 0.4, 9: 0.9}  # c in e, of the atom that has the dipole
MEANS = {3: 0.3, 9: 0.9}  # a in Å^3
TILT = 0.25  # b in Å
BEND = {3: 0.2, 9: 0.5}  # b' in e/V²
HEIGHT = 3.0  # eV
SKEW = np.array([[4.1, 0.0, 0.0], [0.9, 3.8, 0.0], [-0.6, 0.8, 4.3]])


def draw(generator, pbc=True, n_cells=1):
    """Return a distorted triclinic crystal of LiF, or a cluster of four atoms."""
    shares = [[0, 0, 0], [0.5, 0.5, 0.1], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    atoms = Atoms("Li2F2", scaled_positions=shares, cell=SKEW, pbc=pbc)
    atoms = atoms * (n_cells, 1, 1)
    atoms.positions += generator.normal(0.0, 0.12, (len(atoms), 3))
    if not pbc:
        atoms.cell = None
    return atoms


def atomic_dipoles(atoms):
    """Return d in e·Å, (n_atoms, 3)."""
    i, vectors = neighbor_list("iD", atoms, REACH)
    values = np.exp(-(vectors**2).sum(axis=1) / (2.0 * WIDTH**2))
    pushes = np.array([PUSH[z] for z in atoms.numbers])
    dipoles = np.zeros((len(atoms), 3))
    np.add.at(dipoles, i, values[:, None] * vectors)
    pushes = pushes * (1.0 + np.bincount(i, values, minlength=len(atoms)))
    return pushes[:, None] * dipoles


def moment(atoms):
    """Return M in e·Å."""
    charges = np.array([CHARGES[z] for z in atoms.numbers])
    return charges @ atoms.positions + atomic_dipoles(atoms).sum(axis=0)


def born_charges(atoms, step=1e-4):
    """Return Z in e by central differences, (n_atoms, 3, 3)."""
    charges = np.empty((len(atoms), 3, 3))
    for atom in range(len(atoms)):
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * step
                ends.append(moment(moved))
            charges[atom, :, axis] = (ends[0] - ends[1]) / (2.0 * step)
    return charges


def polarizability(atoms):
    """Return alpha in Å^3."""
    i, vectors = neighbor_list("iD", atoms, REACH)
    factors = TILT * np.exp(-(vectors**2).sum(axis=1) / (2.0 * WIDTH**2))
    total = sum(MEANS[z] for z in atoms.numbers) * np.eye(3)
    return total + np.einsum("p,pa,pb->ab", factors, vectors, vectors)


def hyperpolarizability(atoms):
    """Return beta in e·Å³/V²."""
    i, vectors = neighbor_list("iD", atoms, REACH)
    factors = np.exp(-(vectors**2).sum(axis=1) / (2.0 * WIDTH**2))
    factors = factors * np.array([BEND[z] for z in atoms.numbers])[i]
    return np.einsum("p,pa,pb,pc->abc", factors, vectors, vectors, vectors)


def energy_and_forces(atoms):
    """Return U_0 in eV and its forces in eV/Å."""
    i, vectors = neighbor_list("iD", atoms, REACH)
    values = HEIGHT * np.exp(-(vectors**2).sum(axis=1) / (2.0 * WIDTH**2))
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i, -values[:, None] * vectors / WIDTH**2)
    return 0.5 * values.sum(), forces


def in_field(atoms, field, generator=None):
    """Return a structure with energy, forces and M in a field, M on some branch."""
    i, j, vectors = neighbor_list("ijD", atoms, REACH)
    pushes, bends = (np.array([own[z] for z in atoms.numbers]) for own in (PUSH, BEND))

    def change(vectors):
        """Return U_0 - U without the part of the ions."""
        values = np.exp(-(vectors**2).sum(axis=1) / (2.0 * WIDTH**2))
        along = vectors @ field
        crowds = 1.0 + np.bincount(i, values, minlength=len(atoms))
        sums = np.bincount(i, values * along, minlength=len(atoms))
        squares = TILT * (values * along**2).sum() / 14.399645
        return (
            pushes * crowds @ sums + squares / 2.0 + bends[i] * values @ along**3 / 6.0
        )

    energy, forces = energy_and_forces(atoms)
    charges = np.array([CHARGES[z] for z in atoms.numbers])
    forces = forces + charges[:, None] * field
    for atom, axis in np.ndindex(forces.shape):
        step = 1e-4 * ((j == atom) * 1.0 - (i == atom))[:, None] * np.eye(3)[axis]
        slope = (change(vectors + step) - change(vectors - step)) / 2e-4
        forces[atom, axis] += slope
    alpha, beta = polarizability(atoms) / 14.399645, hyperpolarizability(atoms)
    free = moment(atoms)
    squares = alpha @ field / 2.0 + beta @ field @ field / 6.0
    energy -= field @ (free + squares)
    value = free + alpha @ field + beta @ field @ field / 2.0
    labelled = atoms.copy()
    results = {"energy": energy, "forces": forces}
    if atoms.pbc.all():
        if generator is not None:
            step = generator.integers(-3, 4, 3) @ atoms.cell[:]
            value, results["energy"] = value + step, results["energy"] - field @ step
        labelled.info["polarization"] = value
    else:
        results["dipole"] = value
    if field.any():
        labelled.info["electric_field"] = field
    labelled.calc = SinglePointCalculator(labelled, **results)
    return labelled


def label(atoms, generator=None):
    """Return a structure with all targets, M on some branch where it is periodic."""
    labelled = atoms.copy()
    energy, forces = energy_and_forces(atoms)
    results = {"energy": energy, "forces": forces}
    value = moment(atoms)
    if atoms.pbc.all():
        if generator is not None:
            value = value + generator.integers(-3, 4, 3) @ atoms.cell[:]
        labelled.info["polarization"] = value
    else:
        results["dipole"] = value
    labelled.arrays["becs"] = born_charges(atoms).reshape(-1, 9)
    labelled.info["polarizability"] = polarizability(atoms).ravel()
    labelled.calc = SinglePointCalculator(labelled, **results)
    return labelled
