"""Structures, coefficients and metrics that a model of densities is fitted to."""

from __future__ import annotations

import numpy as np

from lodekit.density import DensityMetric, DensitySet
from lodekit.density.ordering import check_electrons
from lodekit.fitting.density_fit import DensityData, RecentMatrices
from lodekit.structures.batch import as_frames


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


def collect_densities(model, frames, y=None) -> DensitySet:
    """Return structures with their coefficients as a `DensitySet`."""
    if isinstance(frames, DensitySet):
        return frames
    if y is None:
        raise ValueError(
            "fit needs a DensitySet, or frames and the coefficients of each of them"
        )
    if model.basis is None:
        raise ValueError(
            "coefficients without a DensitySet need the basis they are in; give "
            "ElectronDensityModel(basis=...)"
        )
    frames = as_frames(frames)
    if not model.is_response:
        return DensitySet(frames, model.basis, list(y))
    zeros = [np.zeros(model.basis.size(atoms.numbers)) for atoms in frames]
    return DensitySet(frames, model.basis, zeros, list(y))


def density_data(model, densities: DensitySet, metrics) -> DensityData:
    """Return the targets of a fit, or of its judgement."""
    if not len(densities):
        raise ValueError("there are no structures to fit")
    if model.is_response and densities.responses is None:
        raise ValueError(
            "the densities have no responses to a field; make them with "
            "lodekit.density.pyscf_response, or choose target='density'"
        )
    if model.is_response:
        axes = densities.axes
        targets = [values[:, axes] for values in densities.responses]
    else:
        axes = [0]
        targets = [values[:, None] for values in densities.coefficients]
        check_electrons_of(densities)
    if metrics is not None:
        check_metrics(densities, metrics)
        matrix = metrics.__getitem__
    else:
        metric = model.metric or DensityMetric()
        frames, basis = densities.frames, densities.basis
        matrix = RecentMatrices(lambda index: metric.matrix(frames[index], basis))
    return DensityData(densities.frames, densities.basis, targets, axes, matrix)
