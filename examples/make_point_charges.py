"""Make changes of densities by point charges in ``examples/data``.

``water_point_charges.npz`` has distorted water molecules, each with one charge of 1 e
at 2 to 7 Å from its nearest atom, ``sodium_point_charges.npz`` sodium clusters of
growing size with a charge at 4 to 9 Å: structures with ``point_charges``, coefficients
of their densities, and the linear changes of these by the charge. Hartree-Fock, which
takes seconds for a structure. On one core, six minutes; a run that was interrupted
continues where it was::

    OMP_NUM_THREADS=1 python examples/make_point_charges.py

The same from files: ``lodekit density-fit FILE.xyz --response charges``.
"""

import argparse
import pathlib

import numpy as np
from make_densities import AUXILIARY_BASIS, draw_molecule
from make_metal_densities import COUNTS, RATIO, SMALLEST_EXPONENT, draw_cluster
from tqdm import tqdm

from lodekit.density import even_tempered, load_basis
from lodekit.density.density_run import DensityRun
from lodekit.density.pyscf_density import Calculation

DATA = pathlib.Path(__file__).parent / "data"
N_MOLECULES = 50
CLUSTERS = {2: 4, 4: 5, 6: 4, 8: 3}  # atoms: clusters
CHARGES_OF_CLUSTER = 2
NEAREST = {"water": (2.0, 7.0), "sodium": (4.0, 9.0)}  # Å from the nearest atom
SEED = 2029


def beside(atoms, limits, generator):
    """The structure with a charge of 1 e in a random direction."""
    direction = generator.normal(size=3)
    direction /= np.linalg.norm(direction)
    wanted, low, high = generator.uniform(*limits), 0.0, 40.0
    for _ in range(60):  # the nearest atom is farther for a charge farther out
        middle = 0.5 * (low + high)
        nearest = np.linalg.norm(atoms.positions - middle * direction, axis=1).min()
        low, high = (middle, high) if nearest < wanted else (low, middle)
    atoms = atoms.copy()
    atoms.info["point_charges"] = np.array([1.0, *np.round(high * direction, 8)])
    return atoms


def water():
    """Molecules with a charge; one does not depend on how many others there are."""
    frames = []
    for index in range(N_MOLECULES):
        generator = np.random.default_rng([SEED, index])
        frames.append(beside(draw_molecule(generator), NEAREST["water"], generator))
    return frames


def sodium():
    """Clusters of all sizes, each with several charges, one at a time."""
    frames = []
    for n_atoms, count in CLUSTERS.items():
        for index in range(count):
            generator = np.random.default_rng([SEED, n_atoms, index])
            cluster = draw_cluster(n_atoms, generator)
            for _ in range(CHARGES_OF_CLUSTER):
                frames.append(beside(cluster, NEAREST["sodium"], generator))
    return frames


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=DATA, help="folder")
    folder = parser.parse_args().output
    even = even_tempered(SMALLEST_EXPONENT, RATIO, COUNTS, "sodium-response")
    cases = {
        "water": (water(), "def2-svp", load_basis(AUXILIARY_BASIS, [1, 8])),
        "sodium": (sodium(), "lanl2dz", even),
    }
    for name, (frames, orbitals, basis) in cases.items():
        calculation = Calculation("hf", orbitals, response="charges")
        path = folder / f"{name}_point_charges.npz"
        run = DensityRun(frames, calculation, basis, path)
        with tqdm(total=len(frames), desc=name) as bar:
            densities = run.run(bar.update)
        run.check()
        print(f"{len(densities)} densities in {path}")


if __name__ == "__main__":
    main()
