"""Make changes of the density of water by point charges in ``examples/data``.

``water_point_charges.npz`` has distorted water molecules, each with one charge of 1 e
at 2 to 7 Å from its nearest atom: structures with ``point_charges``, coefficients of
their densities in def2-universal-jfit, and the linear changes of these by the charge.
On one core it takes ten minutes, and a run that was interrupted continues where it
was::

    OMP_NUM_THREADS=1 python examples/make_point_charges.py

The same from files: ``lodekit density-fit FILE.xyz --response charges``.
"""

import argparse
import pathlib

import numpy as np
from make_densities import AUXILIARY_BASIS, draw_molecule
from tqdm import tqdm

from lodekit.density import load_basis
from lodekit.density.density_run import DensityRun
from lodekit.density.pyscf_density import Calculation

CALCULATION = Calculation(
    functional="pbe", orbital_basis="def2-svp", grid_level=2, response="charges"
)
OUTPUT = pathlib.Path(__file__).parent / "data" / "water_point_charges.npz"
NEAREST = (2.0, 7.0)  # Å from the nearest atom
SEED = 2029


def place_charge(atoms, generator):
    """A point in a random direction, at a random distance from the nearest atom."""
    direction = generator.normal(size=3)
    direction /= np.linalg.norm(direction)
    wanted, low, high = generator.uniform(*NEAREST), 0.0, 20.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        point = middle * direction
        nearest = np.linalg.norm(atoms.positions - point, axis=1).min()
        low, high = (middle, high) if nearest < wanted else (low, middle)
    return np.round(high * direction, 8)


def make_frames(n_frames):
    """Molecules with a charge; one does not depend on how many others there are."""
    frames = []
    for index in range(n_frames):
        generator = np.random.default_rng([SEED, index])
        atoms = draw_molecule(generator)
        atoms.info["point_charges"] = np.array([1.0, *place_charge(atoms, generator)])
        frames.append(atoms)
    return frames


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-frames", type=int, default=80)
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    arguments = parser.parse_args()
    frames = make_frames(arguments.n_frames)
    basis = load_basis(AUXILIARY_BASIS, [1, 8])
    run = DensityRun(frames, CALCULATION, basis, arguments.output)
    with tqdm(total=len(frames), desc="densities") as bar:
        densities = run.run(bar.update)
    run.check()
    print(f"{len(densities)} densities in {arguments.output}")


if __name__ == "__main__":
    main()
