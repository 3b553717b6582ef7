"""Sparse points of kernels of tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lodekit.stored_model import StoredModel

from .covariances import CovarianceValues
from .point_kernel import KernelPoints
from .rounding import SINGLE
from .stored_points import StoredTerm


@dataclass
class TensorPoints(KernelPoints):
    """Sparse points of one centre species, for tensors.

    Attributes
    ----------
    tensors : ndarray of shape (n_points, 2 l + 1, n_q)
        C, divided by s.
    scale : float
        s.
    """

    #: Moments are known to fewer digits than energies.
    n_bits = SINGLE

    tensors: np.ndarray = field(default=None, kw_only=True)
    scale: float = field(default=1.0, kw_only=True)

    def keep(self, used: np.ndarray) -> None:
        """Keep some of the points."""
        super().keep(used)
        self.tensors = self.tensors[used]


@dataclass
class WeightedPoints:
    """Atoms of one species, and their sparse points at given weights.

    Attributes
    ----------
    atoms : ndarray of shape (n,)
    points : TensorPoints
    directions : ndarray of shape (n_points, n_q)
        C of the points times projected weights: t_ia = sum_mq k(i, m) C_i[a, q]
        directions[m, q].
    covariances : CovarianceValues
        k and its derivatives.
    """

    atoms: np.ndarray
    points: TensorPoints
    directions: np.ndarray
    covariances: CovarianceValues


def read_tensor_points(stored: StoredModel, settings: dict, name: str, kernel) -> None:
    """Give a `TensorKernel` the sparse points that a model file holds.

    Parameters are those of `lodekit.regression.stored_points.read_points`.
    """
    term = StoredTerm(stored, settings, name, kernel)
    kernel.amplitude = term.amplitude
    kernel_part = StoredModel({"settings": settings, "arrays": {}})
    scales = StoredModel(
        {"settings": kernel_part.setting("scales", dict), "arrays": {}}
    )
    for z, n_points in term.points.items():
        shape = n_points, 2 * kernel.order + 1
        base = stored.array(f"{name}/{z}/projection", np.prod(shape), None)
        features, factors = term.environments(z)
        scale = scales.positive(str(z))
        if factors:
            tensors = factors[0][:, kernel.harmonics].astype(float) / scale
        else:
            (_, n_q), *_ = kernel.descriptor.coefficient_shapes(kernel.species)
            tensors = stored.array(f"{name}/{z}/tensors", *shape, n_q)
        kernel.points[z] = TensorPoints(
            features,
            kernel.amplitude * base,
            coefficients=factors,
            base=base,
            tensors=tensors,
            scale=scale,
        )
