"""Wigner matrices of real harmonics, from the harmonics themselves."""

import numpy as np
from reference import real_harmonics


def wigner_matrix(order, rotation):
    """D with Y(R r) = D Y(r), for proper and improper R."""
    directions = np.random.default_rng(order).normal(size=(4 * order + 4, 3))
    place = slice(order**2, (order + 1) ** 2)
    before = real_harmonics(order, directions)[:, place]
    after = real_harmonics(order, directions @ rotation.T)[:, place]
    return np.linalg.lstsq(before, after, rcond=None)[0].T
