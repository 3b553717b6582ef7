"""Time charge equilibration of periodic crystals: matrix and solution, and iteration.

    python benchmarks/charge_equilibration.py [--sizes 4 5 11]

Rattled NaCl (8 n^3 ions) with Gaussian charges of 0.7 covalent radii and the hardness
k_e / (2 r). Dense: the matrix, its factors, charges and forces; iterative: charges to
1e-8 and forces with products by pairs and mesh; model: charges, energy and forces of a
fitted `ChargeEquilibrationModel` with its default descriptors, features included. One
core, the shortest of ``--repeats`` runs, peak memory of the process so far.
"""

import argparse
import os
import resource
import time

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np


def crystal(n, seed=1):
    """Return 8 n^3 rattled ions with electronegativities, hardness and widths."""
    from ase.build import bulk
    from ase.data import covalent_radii

    from lodekit.units import COULOMB_CONSTANT

    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (n, n, n)
    atoms.rattle(0.2, seed=seed)
    radii = covalent_radii[atoms.numbers]
    chi = np.where(atoms.numbers == 11, 2.8, 8.3)
    chi += np.random.default_rng(seed).normal(scale=0.3, size=len(atoms))
    return atoms, chi, 0.5 * COULOMB_CONSTANT / radii, 0.7 * radii


def equilibrate(atoms, chi, hardness, widths, iterative, accuracy):
    """Return charges and forces, from nothing but the structure."""
    from lodekit.electrostatics import ChargeEquilibration

    equilibration = ChargeEquilibration(
        atoms.positions,
        atoms.cell[:],
        True,
        hardness,
        widths,
        iterative=iterative,
        accuracy=accuracy,
        tolerance=1e-8,
    )
    result = equilibration.solve(chi)
    return result.charges, -equilibration.gradients(result.charges)[0]


def fit_model():
    """Return a model fitted to charges of small crystals."""
    from lodekit.models import ChargeEquilibrationModel

    frames = []
    for seed in range(20):
        atoms, *parameters = crystal(1, seed)
        charges, _ = equilibrate(atoms, *parameters, False, 1e-6)
        atoms.arrays["charges"] = charges
        frames.append(atoms)
    return ChargeEquilibrationModel(hardness=0.5, targets=["charges"]).fit(frames)


def shortest(repeats, work):
    """Return the shortest time of some runs in s, and what the last one returned."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 5, 8, 11])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--accuracy", type=float, default=1e-6)
    parser.add_argument("--dense-atoms", type=int, default=1100)
    arguments = parser.parse_args()
    model = fit_model()
    wanted = ["charges", "electrostatic_energy", "electrostatic_forces"]
    equilibrate(*crystal(2), True, arguments.accuracy)  # compile
    model.compute(crystal(2)[0], wanted)
    for n in arguments.sizes:
        case = crystal(n)
        kinds = {
            "dense": lambda case=case: equilibrate(*case, False, arguments.accuracy),
            "iterative": lambda case=case: equilibrate(*case, True, arguments.accuracy),
            "model": lambda case=case: model.compute(case[0], wanted),
        }
        if 8 * n**3 > arguments.dense_atoms:
            del kinds["dense"]
        results = {}
        for label, work in kinds.items():
            seconds, results[label] = shortest(arguments.repeats, work)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(
                f"{8 * n**3:7d} atoms {label:10s} {seconds:8.2f} s {memory:6.2f} GB",
                flush=True,
            )
        if "dense" in results:
            difference = abs(results["iterative"][0] - results["dense"][0]).max()
            print(f"        largest difference of charges {difference:.1e} e")


if __name__ == "__main__":
    main()
