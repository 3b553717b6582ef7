"""Slow twins of the Coulomb sums, and crystals with known energies."""

import numpy as np
from scipy import special

#: Å; range of the Gaussian split of the references.
WIDTH = 1.1


def lattice(cell, limit):
    """All lattice vectors (of 2 or 3 rows) up to ``limit`` times each row."""
    ranges = [np.arange(-limit, limit + 1)] * len(cell)
    indices = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
    return indices.reshape(-1, len(cell)) @ np.asarray(cell, dtype=float)


def near_matrix(positions, widths, images):
    """Sum of erf(r / sqrt(2) s_ij) / r - erf(r / sqrt(2) WIDTH) / r over images."""
    matrix = np.zeros((len(positions),) * 2)
    spread = np.sqrt(widths[:, None] ** 2 + widths**2)
    for image in images:
        r = np.linalg.norm(positions - positions[:, None] + image, axis=2)
        here = r < 1e-12
        r[here] = 1.0
        outside = special.erfc(r / np.sqrt(2.0) / np.where(spread > 0, spread, 1.0))
        outside[spread == 0] = 0.0
        value = (special.erfc(r / np.sqrt(2.0) / WIDTH) - outside) / r
        own = np.zeros_like(spread)
        np.divide(1.0, spread, where=spread > 0, out=own)
        value[here] = np.sqrt(2.0 / np.pi) * (own[here] - 1.0 / WIDTH)
        matrix += value
    return matrix


def periodic_matrix(positions, cell, widths, limit=8):
    """Ewald sum with the background of Gaussian charges, in 1/Å."""
    volume = abs(np.linalg.det(cell))
    matrix = near_matrix(positions, widths, lattice(cell, limit))
    matrix -= 2.0 * np.pi / volume * (WIDTH**2 - widths[:, None] ** 2 - widths**2)
    k = lattice(2.0 * np.pi * np.linalg.inv(cell).T, limit)
    k = k[np.linalg.norm(k, axis=1) > 1e-9]
    square = (k**2).sum(axis=1)
    weights = 4.0 * np.pi / volume / square * np.exp(-0.5 * square * WIDTH**2)
    phases = np.exp(1j * positions @ k.T)
    return matrix + ((phases * weights) @ phases.conj().T).real


def slab_matrix(positions, cell, widths, limit=10):
    """Two-dimensional Ewald sum in the xy plane, in 1/Å.

    D. E. Parry, Surf. Sci. 49, 433 (1975); the term k = 0 is -2 pi |z| / A far away.
    """
    plane = np.asarray(cell)[:2, :2]
    area = abs(np.linalg.det(plane))
    images = lattice(np.asarray(cell)[:2], limit)
    matrix = near_matrix(positions, widths, images)
    alpha = 1.0 / np.sqrt(2.0) / WIDTH
    xy = positions[:, :2] - positions[:, None, :2]
    z = positions[:, 2] - positions[:, None, 2]
    for k in lattice(2.0 * np.pi * np.linalg.inv(plane).T, limit):
        size = np.linalg.norm(k)
        if size < 1e-9:
            matrix -= (2.0 * np.sqrt(np.pi) / area) * (
                np.exp(-((alpha * z) ** 2)) / alpha
                + np.sqrt(np.pi) * z * special.erf(alpha * z)
            )
            continue
        total = sum(
            np.exp(up * size * z) * special.erfc(up * alpha * z + 0.5 * size / alpha)
            for up in (1.0, -1.0)
        )
        matrix += np.pi / area / size * np.cos(xy @ k) * total
    return matrix
