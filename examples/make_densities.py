"""Make the electron densities of water in ``examples/data`` with PySCF.

``water_densities.npz`` has distorted water molecules to learn from, dimers, and one
cluster of eight molecules to judge by: structures, coefficients of the densities in
def2-universal-jfit (71 functions for a molecule), energies and dipoles. On one core,
the file takes five minutes, and 600 molecules for benchmarks half an hour::

    OMP_NUM_THREADS=1 python examples/make_densities.py
    python examples/make_densities.py --n-monomers 600 --output water_600.npz

The first molecules of a longer file are those of a shorter one, and a run that was
interrupted continues where it was.
"""

import argparse
import pathlib

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from lodekit.density import load_basis
from lodekit.density.density_run import DensityRun
from lodekit.density.pyscf_density import Calculation

CALCULATION = Calculation(functional="pbe", orbital_basis="def2-svp")
AUXILIARY_BASIS = "def2-universal-jfit"
OUTPUT = pathlib.Path(__file__).parent / "data" / "water_densities.npz"

BOND, ANGLE = 0.968, 104.2  # Å and degrees, PBE
BOND_SPREAD, ANGLE_SPREAD = 0.04, 6.0  # standard deviations
DIMER_DISTANCES = (2.6, 4.5)  # Å between oxygen atoms
GRID_SPACING = 3.0  # Å between oxygen atoms of the cluster
SHORTEST_CONTACT = 1.6  # Å between atoms of two molecules
SEED = 2026


def draw_molecule(generator):
    """A distorted water molecule, oxygen at the origin, turned at random."""
    first, second = BOND + BOND_SPREAD * generator.normal(size=2)
    half = 0.5 * np.radians(ANGLE + ANGLE_SPREAD * generator.normal())
    sine, cosine = np.sin(half), np.cos(half)
    positions = np.array(
        [
            [0.0, 0.0, 0.0],
            [first * sine, 0.0, first * cosine],
            [-second * sine, 0.0, second * cosine],
        ]
    )
    return Atoms("OH2", Rotation.random(rng=generator).apply(positions))


def draw_cluster(generator, centers):
    """Molecules at centres (n, 3) in Å, turned so that none is too near another."""
    cluster = Atoms()
    for center in centers:
        while True:
            molecule = draw_molecule(generator)
            molecule.positions += center
            vectors = molecule.positions[:, None] - cluster.positions
            if np.linalg.norm(vectors, axis=2).min(initial=np.inf) > SHORTEST_CONTACT:
                break
        cluster += molecule
    return cluster


def make_frames(n_monomers, n_dimers):
    """Monomers, dimers and one cluster; frame n does not depend on how many follow."""
    frames = []
    for index in range(n_monomers):
        atoms = draw_molecule(np.random.default_rng([SEED, 1, index]))
        atoms.info["group"] = "monomer"
        frames.append(atoms)
    for index in range(n_dimers):
        generator = np.random.default_rng([SEED, 2, index])
        distance = generator.uniform(*DIMER_DISTANCES)
        atoms = draw_cluster(generator, [[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
        atoms.info["group"] = "dimer"
        frames.append(atoms)
    grid = GRID_SPACING * np.indices((2, 2, 2)).reshape(3, -1).T
    atoms = draw_cluster(np.random.default_rng([SEED, 8]), grid)
    atoms.info["group"] = "octamer"
    return [*frames, atoms]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-monomers", type=int, default=40)
    parser.add_argument("--n-dimers", type=int, default=16)
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    arguments = parser.parse_args()
    frames = make_frames(arguments.n_monomers, arguments.n_dimers)
    basis = load_basis(AUXILIARY_BASIS, [1, 8])
    run = DensityRun(frames, CALCULATION, basis, arguments.output)
    with tqdm(total=len(frames), desc="densities") as bar:
        densities = run.run(bar.update)
    run.check()
    print(f"{len(densities)} densities in {arguments.output}")


if __name__ == "__main__":
    main()
