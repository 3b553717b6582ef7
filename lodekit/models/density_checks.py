"""Checks of what a model of densities is given."""

from __future__ import annotations

import numpy as np

from lodekit.density import DensitySet
from lodekit.density.ordering import check_electrons


def check_positive(name: str, value) -> None:
    """Raise ``ValueError`` unless a number is positive."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValueError(f"{name} must be a positive number, got {value!r}")


def check_electrons_of(densities: DensitySet) -> None:
    """Raise ``BasisError`` for coefficients in another order, unit or basis."""
    if densities.basis.is_known:
        check_electrons(
            densities.frames,
            densities.basis,
            densities.coefficients,
            densities.nuclear_charges,
            "coefficients",
        )


def check_metrics(densities: DensitySet, metrics) -> None:
    """Raise ``ValueError`` unless every frame has a matrix of the right size."""
    if len(metrics) != len(densities):
        raise ValueError(
            f"there are {len(metrics)} metric matrices and {len(densities)} frames; "
            "give one for every frame"
        )
    for index, matrix in enumerate(metrics):
        size = len(densities.coefficients[index])
        if np.shape(matrix) != (size, size):
            raise ValueError(
                f"the metric of frame {index + 1} has shape {np.shape(matrix)}, and "
                f"its density {size} functions"
            )
