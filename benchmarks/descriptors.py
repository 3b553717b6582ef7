"""Time SOAP and LODE features of lodekit and featomic, side by side in one run.

    python benchmarks/descriptors.py [--threads 1]

Rattled NaCl: the SOAP power spectrum of 1,000 atoms (cutoff 5 Å, max_radial 7,
max_angular 6, width 0.3 Å) with and without forces, and LODE coefficients (smearing
1 Å, l <= 4, 6 radial functions). featomic gives gradients as a Jacobian, lodekit by one
reverse pass; featomic's gradients are timed on fewer atoms, and per atom.
"""

import argparse
import os
import time


def best_time(function, n_runs=5):
    """Return the shortest of several runs after one that compiles, in seconds."""
    function()
    times = []
    for _ in range(n_runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def show(label, n_atoms, ours, theirs, n_theirs=None):
    """Print microseconds per atom and the ratio."""
    ours = 1e6 * ours / n_atoms
    theirs = 1e6 * theirs / (n_theirs or n_atoms)
    print(
        f"{label:44s} lodekit {ours:9.1f}  featomic {theirs:9.1f} µs/atom  "
        f"ratio {theirs / ours:6.1f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)

    import featomic
    import numpy as np
    from ase.build import bulk

    from lodekit.descriptors import (
        LodeSphericalExpansion,
        PowerSpectrum,
        SphericalExpansion,
    )
    from lodekit.structures.batch import StructureBatch

    def crystal(n):
        atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (n, n, n)
        atoms.rattle(0.05, seed=1)
        return atoms

    species = np.array([11, 17])
    soap = {
        "cutoff": {"radius": 5.0, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
        "density": {"type": "Gaussian", "width": 0.3},
        "basis": {
            "type": "TensorProduct",
            "max_angular": 6,
            "radial": {"type": "Gto", "max_radial": 7},
        },
    }
    lode = {
        "density": {"type": "SmearedPowerLaw", "smearing": 1.0, "exponent": 1},
        "basis": {
            "type": "TensorProduct",
            "max_angular": 4,
            "radial": {"type": "Gto", "max_radial": 5, "radius": 5.0},
        },
    }

    large, small = crystal(5), crystal(2)
    descriptor = PowerSpectrum(SphericalExpansion(**soap))
    batch = StructureBatch.from_frames([large])
    adjoint = np.ones((len(large), descriptor.n_features(species)))
    calculator = featomic.SoapPowerSpectrum(**soap)
    show(
        "SOAP power spectrum, 1,000 atoms",
        len(large),
        best_time(lambda: descriptor.evaluate(batch, species)),
        best_time(lambda: calculator.compute(large), 3),
    )
    show(
        "SOAP with forces, 1,000 atoms",
        len(large),
        best_time(lambda: descriptor.evaluate(batch, species).reverse(adjoint)),
        best_time(lambda: calculator.compute(small, gradients=["positions"]), 2),
        len(small),
    )
    expansion = LodeSphericalExpansion(**lode, accuracy=1e-5)
    reference = featomic.LodeSphericalExpansion(**lode)
    for n in (3, 5):
        atoms = crystal(n)
        own = StructureBatch.from_frames([atoms])
        show(
            f"LODE coefficients, {len(atoms)} atoms",
            len(atoms),
            best_time(lambda own=own: expansion.expand(own, species), 3),
            best_time(lambda atoms=atoms: reference.compute(atoms), 1),
        )
    own = StructureBatch.from_frames([crystal(3)])
    ones = np.ones_like(expansion.expand(own, species).coefficients)
    seconds = best_time(lambda: expansion.expand(own, species).reverse(ones), 3)
    print(f"LODE with forces by a reverse pass, 216 atoms: {seconds:.3f} s")


if __name__ == "__main__":
    main()
