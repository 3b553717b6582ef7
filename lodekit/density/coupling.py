"""Products of real spherical harmonics: Gaunt coefficients, as tables for loops."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lodekit.descriptors.expansion import harmonic_prefactors
from lodekit.kernels.gaussian_pairs import fill_harmonics


@lru_cache(maxsize=16)
def coupling_tables(l_left: int, l_right: int) -> tuple[np.ndarray, ...]:
    """Return angular tables for `lodekit.kernels.gaussian_pairs`.

    Parameters
    ----------
    l_left, l_right : int
        Highest l on both sides.

    Returns
    -------
    prefactors : ndarray of shape (l_left + l_right + 1, l_left + l_right + 1)
        Norms of real harmonics.
    first_entry : ndarray of shape (l_left + 1, l_right + 1, 2)
        First and last entry of two l.
    entries : ndarray of shape (n_entries, 4)
        m + l, m' + l', L^2 + L + M and (L - |l - l'|) / 2.
    couplings : ndarray of shape (n_entries,)
        (-1)^((l - l' - L) / 2) / (2 pi^2) times the Gaunt coefficient.
    """
    prefactors = harmonic_prefactors(l_left + l_right)
    directions, weights = sphere_quadrature(2 * (l_left + l_right))
    values = harmonics_of(directions, prefactors)
    first_entry = np.zeros((l_left + 1, l_right + 1, 2), dtype=np.intp)
    entries, couplings = [np.zeros((0, 4), dtype=np.intp)], [np.zeros(0)]
    n_entries = 0
    for l in range(l_left + 1):
        for k in range(l_right + 1):
            rows = values[:, l * l : (l + 1) ** 2] * weights[:, None]
            columns = values[:, k * k : (k + 1) ** 2]
            for degree in range(abs(l - k), l + k + 1, 2):
                third = values[:, degree**2 : (degree + 1) ** 2]
                gaunt = np.einsum("pa,pb,pc->abc", rows, columns, third, optimize=True)
                places = np.argwhere(abs(gaunt) > 1e-12)
                sign = (-1.0) ** ((l - k - degree) // 2)
                couplings.append(sign / (2.0 * np.pi**2) * gaunt[tuple(places.T)])
                step = np.full(len(places), (degree - abs(l - k)) // 2)
                places[:, 2] += degree**2
                entries.append(np.column_stack([places, step]))
            first_entry[l, k] = n_entries, sum(map(len, entries))
            n_entries = first_entry[l, k, 1]
    return (
        prefactors,
        first_entry,
        np.ascontiguousarray(np.concatenate(entries), dtype=np.intp),
        np.concatenate(couplings),
    )


def harmonics_of(vectors: np.ndarray, prefactors: np.ndarray) -> np.ndarray:
    """Return r^l Y_lm of vectors (n, 3) up to the l of ``prefactors``, (n, n_lm)."""
    values = np.empty((len(vectors), len(prefactors) ** 2))
    fill_harmonics(np.ascontiguousarray(vectors), prefactors, values)
    return values


def sphere_quadrature(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return directions (n, 3) and weights exact for harmonics up to a degree."""
    z, z_weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    azimuth = 2.0 * np.pi * np.arange(degree + 1) / (degree + 1)
    sine = np.sqrt(1.0 - z**2)
    directions = np.stack(
        [
            np.outer(sine, np.cos(azimuth)),
            np.outer(sine, np.sin(azimuth)),
            np.outer(z, np.ones_like(azimuth)),
        ],
        axis=-1,
    )
    weights = np.repeat(z_weights, azimuth.size) * 2.0 * np.pi / azimuth.size
    return directions.reshape(-1, 3), weights
