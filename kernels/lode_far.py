"""Sums over k-vectors: the phases of atoms, and the gradient of such sums."""

import numpy as np
from numba import njit, prange


@njit(cache=True, error_model="numpy", parallel=True)
def fill_phases(fractional, rows, first_column, phases):
    """Fill cos(k.R) and sin(k.R) of all atoms and k-vectors.

    The k-vectors are 2 pi (h, k, l) in fractional coordinates, listed as rows of
    constant h and k along which l grows by one. One table per axis and atom makes every
    phase a complex product.

    Shapes: fractional (n_atoms, 3); rows (n_rows, 3) with h, k and the first l;
    first_column (n_rows + 1,); phases (n_atoms, 2 * n_k), cosines first.
    """
    n_rows = rows.shape[0]
    n_k = first_column[n_rows]
    largest = 0
    for row in range(n_rows):
        last = rows[row, 2] + first_column[row + 1] - first_column[row] - 1
        for index in (rows[row, 0], rows[row, 1], rows[row, 2], last):
            largest = max(largest, abs(index))
    for atom in prange(fractional.shape[0]):
        real = np.empty((3, 2 * largest + 1))
        imag = np.empty((3, 2 * largest + 1))
        for axis in range(3):
            angle = 2.0 * np.pi * fractional[atom, axis]
            for index in range(largest + 1):
                real[axis, largest + index] = np.cos(index * angle)
                imag[axis, largest + index] = np.sin(index * angle)
                real[axis, largest - index] = real[axis, largest + index]
                imag[axis, largest - index] = -imag[axis, largest + index]
        for row in range(n_rows):
            h = largest + rows[row, 0]
            k = largest + rows[row, 1]
            row_real = real[0, h] * real[1, k] - imag[0, h] * imag[1, k]
            row_imag = real[0, h] * imag[1, k] + imag[0, h] * real[1, k]
            start = first_column[row]
            size = first_column[row + 1] - start
            l = largest + rows[row, 2]
            axis_real = real[2, l : l + size]
            axis_imag = imag[2, l : l + size]
            cosines = phases[atom, start : start + size]
            sines = phases[atom, n_k + start : n_k + start + size]
            for step in range(size):
                cosines[step] = row_real * axis_real[step] - row_imag * axis_imag[step]
                sines[step] = row_real * axis_imag[step] + row_imag * axis_real[step]


# the flags let the compiler keep several partial sums; their order is always the same
@njit(
    cache=True,
    error_model="numpy",
    parallel=True,
    fastmath={"contract", "nsz", "arcp", "reassoc"},
)
def add_phase_gradients(phases, adjoint, k_vectors, gradients):
    """Add the gradients of sum_k a_k cos(k.R_i) + b_k sin(k.R_i) for every atom i.

    Shapes: phases and adjoint (n_atoms, 2 * n_k), cosines first; k_vectors (3, n_k);
    gradients (n_atoms, 3).
    """
    n_k = k_vectors.shape[1]
    for atom in prange(phases.shape[0]):
        x = 0.0
        y = 0.0
        z = 0.0
        for k in range(n_k):
            slope = phases[atom, k] * adjoint[atom, n_k + k]
            slope -= phases[atom, n_k + k] * adjoint[atom, k]
            x += slope * k_vectors[0, k]
            y += slope * k_vectors[1, k]
            z += slope * k_vectors[2, k]
        gradients[atom, 0] += x
        gradients[atom, 1] += y
        gradients[atom, 2] += z
