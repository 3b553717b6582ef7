"""Time the particle mesh against non-uniform FFTs for the far part of Coulomb sums.

    python benchmarks/coulomb_mesh.py [--size 20]

Potential, forces and strain of the same k-vectors, for rattled NaCl: the mesh of
lodekit, and FINUFFT with one transform to the k-vectors and four back. Processor time
on one thread, the best of three; errors of forces against the direct sum of the first
100 atoms. FINUFFT has to be installed.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from coulomb import crystal, relative_error

from lodekit.electrostatics.boundary import Boundary, FarKernel
from lodekit.electrostatics.far_mesh import FarMesh
from lodekit.electrostatics.split import CoulombSplit


def nufft_gradients(kernel, positions, charges, tolerance):
    """Return potential and its gradient at the atoms by FINUFFT."""
    import finufft

    cell = kernel.cell
    angles = 2.0 * np.pi * (positions @ np.linalg.inv(cell))
    angles = [np.ascontiguousarray(axis) for axis in (angles % (2.0 * np.pi)).T]
    k_cutoff = kernel.split.k_cutoff
    largest = (k_cutoff * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(int)
    shape = tuple(2 * largest + 1)
    options = {"eps": tolerance, "nthreads": 1}
    factors = finufft.nufft3d1(
        *angles, charges.astype(complex), shape, isign=-1, **options
    )
    ranges = [np.arange(-most, most + 1) for most in largest]
    indices = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
    k = indices @ (2.0 * np.pi * np.linalg.inv(cell).T)
    size = np.linalg.norm(k, axis=-1)
    inside = (size < k_cutoff) & (size > 0)
    spectrum = np.zeros(shape, dtype=complex)
    spectrum[inside] = kernel.weights(k[inside])[0] * factors[inside]
    spectra = np.stack([spectrum, *(1j * np.moveaxis(k, -1, 0) * spectrum)])
    return finufft.nufft3d2(*angles, spectra, isign=1, **options).real


def direct_gradients(kernel, positions, charges, k_vectors, n_atoms):
    """Return the gradients of the potential at the first atoms by the plain sum."""
    weights = 2.0 * kernel.weights(k_vectors)[0]
    gradients = np.zeros((n_atoms, 3))
    for start in range(0, len(k_vectors), 1000):
        k = k_vectors[start : start + 1000]
        factors = np.exp(-1j * positions @ k.T).T @ charges
        waves = np.exp(1j * positions[:n_atoms] @ k.T)
        amplitudes = (weights[start : start + 1000] * factors)[:, None] * 1j * k
        gradients += (waves @ amplitudes).real
    return gradients


def best_of_three(function):
    """Return the shortest processor time and the last result."""
    times = []
    for _ in range(3):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return min(times), result


def main():
    """Print times and errors at three accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10)
    positions, cell, charges = crystal(parser.parse_args().size)
    for accuracy, tolerance in ((1e-3, 1e-3), (1e-4, 1e-4), (1e-6, 1e-6)):
        split = CoulombSplit.make(6.0, accuracy)
        kernel = FarKernel(Boundary.of(cell, True), split, 0.0)

        def with_mesh(kernel=kernel):
            return FarMesh(kernel, positions).gradients(charges, charges)

        def with_nufft(kernel=kernel, tolerance=tolerance):
            return nufft_gradients(kernel, positions, charges, tolerance)

        mesh_time, mesh = best_of_three(with_mesh)
        nufft_time, nufft = best_of_three(with_nufft)
        k_vectors = FarMesh(kernel, positions).mesh.k_vectors
        exact = direct_gradients(kernel, positions, charges, k_vectors, 100)
        field = mesh[1][:100] / (2.0 * charges[:100, None])
        print(
            f"{len(charges)} ions, accuracy {accuracy:g}: mesh {1e3 * mesh_time:.0f} ms"
            f" (error {relative_error(field, exact):.1e}), FINUFFT "
            f"{1e3 * nufft_time:.0f} ms "
            f"({relative_error(nufft[1:, :100].T, exact):.1e})"
        )


if __name__ == "__main__":
    main()
