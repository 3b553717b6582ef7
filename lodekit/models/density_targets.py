"""Structures, coefficients and metrics that a model of densities is fitted to."""

from __future__ import annotations

import numpy as np

from lodekit.density import DensityMetric, DensitySet
from lodekit.density.ordering import check_electrons
from lodekit.density.perturbations import PointCharges, UniformField, point_charges
from lodekit.fitting.density_fit import DensityData, RecentMatrices
from lodekit.observables.fields import refuse_point_charges
from lodekit.quantities import family
from lodekit.structures import frame_name
from lodekit.structures.batch import as_frames

from .density_prediction import (
    CHARGE_RESPONSE,
    COEFFICIENTS,
    DIPOLE_STD,
    INDUCED_DIPOLE_STD,
    POLARIZABILITY_STD,
    RESPONSE,
)

#: What is learned: what changes the density, the family of what follows, the main
#: property, and the integral with standard deviations.
TARGETS = {
    "density": (None, "densities", COEFFICIENTS, DIPOLE_STD),
    "response": (UniformField(), "density responses", RESPONSE, POLARIZABILITY_STD),
    "charge_response": (
        PointCharges(),
        "charge responses",
        CHARGE_RESPONSE,
        INDUCED_DIPOLE_STD,
    ),
}


class DensityTarget:
    """The part of `ElectronDensityModel` that knows what is learned."""

    #: Densities are beside charges, or without them: `density_data` knows.
    reads_point_charges = True

    @property
    def facts(self) -> tuple:
        """The entry of the target in `TARGETS`."""
        if self.target not in TARGETS:
            raise ValueError(
                f"target must be one of {', '.join(TARGETS)}, got {self.target!r}"
            )
        return TARGETS[self.target]

    @property
    def perturbation(self) -> UniformField | PointCharges | None:
        """The cause of the change; None where the density itself is learned."""
        return self.facts[0]

    @property
    def is_response(self) -> bool:
        """Whether changes of the density are learned."""
        return self.perturbation is not None

    def check_charges(self, frames) -> None:
        """Raise ``StructureError`` where point charges are asked for and missing."""
        if isinstance(self.perturbation, PointCharges):
            for index, atoms in enumerate(frames):
                point_charges(atoms, frame_name(index))

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        _, name, _, _ = self.facts
        known = [self.deviation_property] if self.covariance_ is not None else []
        return [*family(name), *known, *self.range_properties]

    @property
    def deviation_property(self) -> str:
        """Name of the standard deviation, among `properties`."""
        return self.facts[3]

    @property
    def main_property(self) -> str:
        """Name of what is learned, among `properties`."""
        return self.facts[2]


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


def check_responses(model, densities: DensitySet) -> None:
    """Raise ``ValueError`` unless densities have the responses of the target."""
    name = model.perturbation.name
    if densities.perturbation == name:
        return
    to = {"field": "a field", "charges": "point charges"}
    kind = to.get(densities.perturbation)
    raise ValueError(
        f"the densities have {f'responses to {kind}' if kind else 'no responses'} and "
        f"target='{model.target}' needs those to {to[name]}; make them with lodekit "
        f"density-fit --response {name}, or choose another target"
    )


def density_data(model, densities: DensitySet, metrics) -> DensityData:
    """Return the targets of a fit, or of its judgement."""
    if not len(densities):
        raise ValueError("there are no structures to fit")
    if model.perturbation != PointCharges() and densities.perturbation != "charges":
        refuse_point_charges(densities.frames, model)
    if model.is_response:
        check_responses(model, densities)
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
