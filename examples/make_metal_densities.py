"""Make electron densities of sodium clusters and their changes in a field with PySCF.

``sodium_responses.npz`` has clusters of growing size: structures, coefficients of the
density of the outer electrons, their derivatives by a uniform field along x, y and z,
and polarizabilities. Each sodium atom has one electron outside of a pseudopotential.
Occupations are smeared, as in a metal: small clusters of a metal have nearly degenerate
orbitals, between which a calculation without that goes back and forth. On one core::

    OMP_NUM_THREADS=1 nice python examples/make_metal_densities.py --output FOLDER

A run that was interrupted continues where it was, cluster after cluster. The auxiliary
basis is chosen by the change of the density, which has no compact part.
"""

import argparse
import pathlib

import numpy as np
from ase import Atoms
from pyscf import dft, scf
from tqdm import tqdm

from lodekit.density import DensitySet, even_tempered
from lodekit.density.pyscf_density import (
    Calculation,
    apply_field,
    fit_density_matrix,
    orbital_dipole,
)
from lodekit.density.pyscf_molecule import build_molecule
from lodekit.units import BOHR, COULOMB_CONSTANT, HARTREE

CALCULATION = Calculation(functional="pbe", orbital_basis="lanl2dz", grid_level=2)
SMEARING = 0.01  # Hartree, Fermi-Dirac
FIELD_STEP = 0.02  # V/Å; metals are soft
FIELD_UNIT = HARTREE / BOHR
SMALLEST_EXPONENT = 0.04 / BOHR**2
RATIO = 2.2
COUNTS = {"Na": (6, 5, 4, 3)}  # functions of l = 0 to 3
LATTICE_CONSTANT = 4.05  # Å, body-centred cubic
DISTORTION = 0.15  # Å
SIZES = {2: 6, 4: 6, 6: 6, 8: 6, 10: 4, 14: 3, 20: 2}  # atoms: clusters
SEED = 2027


def draw_cluster(n_atoms, generator):
    """The atoms of a body-centred crystal nearest to a point, distorted."""
    cells = np.indices((7, 7, 7)).reshape(3, -1).T - 3
    sites = LATTICE_CONSTANT * np.concatenate([cells, cells + 0.5])
    center = LATTICE_CONSTANT * generator.uniform(0.0, 0.5, size=3)
    nearest = np.argsort(np.linalg.norm(sites - center, axis=1))[:n_atoms]
    positions = sites[nearest] + DISTORTION * generator.normal(size=(n_atoms, 3))
    return Atoms(f"Na{n_atoms}", np.round(positions - positions.mean(axis=0), 8))


def make_frames(sizes):
    """Clusters of all sizes; a cluster does not depend on how many others there are."""
    frames = []
    for n_atoms, count in sizes.items():
        for index in range(count):
            generator = np.random.default_rng([SEED, n_atoms, index])
            frames.append(draw_cluster(n_atoms, generator))
    return frames


def density_matrix(mol, field, start=None):
    """The density matrix in a field (V/Å), with smeared occupations."""
    mean_field = dft.RKS(mol, xc=CALCULATION.functional).density_fit()
    mean_field.grids.level = CALCULATION.grid_level
    mean_field.conv_tol = 1e-10
    mean_field.max_cycle = 200
    mean_field = scf.addons.smearing_(mean_field, sigma=SMEARING, method="fermi")
    if np.any(field):
        apply_field(mean_field, np.asarray(field) / FIELD_UNIT)
    mean_field.kernel(dm0=start)
    if not mean_field.converged:
        raise RuntimeError(f"no self-consistent field for {mol.natm} atoms")
    return mean_field.make_rdm1()


def respond(atoms, basis):
    """Coefficients, their changes per V/Å, and the polarizability in Å^3."""
    mol = build_molecule(atoms, CALCULATION.orbital_basis)
    start = density_matrix(mol, np.zeros(3))
    responses, polarizability = [], np.empty((3, 3))
    for axis in range(3):
        field = FIELD_STEP * np.eye(3)[axis]
        up, down = (density_matrix(mol, sign * field, start) for sign in (1.0, -1.0))
        up_fit, down_fit = (
            fit_density_matrix(atoms, mol, matrix, CALCULATION, basis)
            for matrix in (up, down)
        )
        responses.append((up_fit - down_fit) / (2.0 * FIELD_STEP))
        change = orbital_dipole(mol, up) - orbital_dipole(mol, down)
        polarizability[:, axis] = COULOMB_CONSTANT * change / (2.0 * FIELD_STEP)
    coefficients = fit_density_matrix(atoms, mol, start, CALCULATION, basis)
    return coefficients, np.stack(responses, axis=1), polarizability


def make_one(atoms, basis, path):
    """Calculate one cluster, unless a file of an earlier run has it."""
    if path.exists():
        return DensitySet.load(path)
    coefficients, responses, polarizability = respond(atoms, basis)
    atoms = atoms.copy()
    atoms.info["polarizability"] = polarizability.ravel()
    record = {
        "code": "PySCF",
        "calculation": CALCULATION.to_dict(),
        "smearing_hartree": SMEARING,
        "field_step": FIELD_STEP,
    }
    densities = DensitySet(
        [atoms], basis, [coefficients], [responses], {11: 1.0}, record
    )
    densities.save(path)
    return densities


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--largest", type=int, default=max(SIZES), help="atoms")
    arguments = parser.parse_args()
    sizes = {n: count for n, count in SIZES.items() if n <= arguments.largest}
    work = arguments.output / "sodium"
    work.mkdir(parents=True, exist_ok=True)
    basis = even_tempered(SMALLEST_EXPONENT, RATIO, COUNTS, "sodium-response")
    parts = []
    for index, atoms in enumerate(tqdm(make_frames(sizes), desc="clusters")):
        parts.append(make_one(atoms, basis, work / f"{len(atoms)}_{index:03d}.npz"))
    together = DensitySet(
        [part.frames[0] for part in parts],
        basis,
        [part.coefficients[0] for part in parts],
        [part.responses[0] for part in parts],
        parts[0].nuclear_charges,
        parts[0].record,
    )
    together.save(arguments.output / "sodium_responses.npz", overwrite=True)
    print(f"{len(parts)} clusters in {arguments.output / 'sodium_responses.npz'}")


if __name__ == "__main__":
    main()
