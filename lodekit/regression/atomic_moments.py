"""Atomic dipoles and quadrupoles beside charges, each by a kernel of its order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.descriptors.channel_selection import ChannelSelection
from lodekit.descriptors.pair_harmonics import PairHarmonics
from lodekit.parameters import decode, encode
from lodekit.stored_model import StoredModel
from lodekit.structures.stress import symmetric_part

from .covariances import PolynomialCovariance
from .equivariant_covariance import EquivariantCovariance
from .equivariant_kernel import EquivariantKernel
from .latent import ReversePass
from .latent_states import by_structure
from .selection import FarthestPointSelection
from .sparse_kernel import SparseKernel
from .stored_points import PointStore

#: Prior standard deviation of the components, in e·Å and e·Å², by order.
PRIORS = {1: 0.1, 2: 0.1}
#: Sparse points, 2 l + 1 weights each, by one of the charges'.
SHARES = {1: 0.5, 2: 0.3}
#: Channels of the features of an order and a centre, at the most.
N_CHANNELS = 300

_HALF, _SIXTH = 0.5**0.5, 6.0**-0.5
#: Cartesian components (x, y, z or xx, yy, zz, yz, xz, xy) of the real harmonics with m
#: from -l to l, each of length 1.
CARTESIAN = {
    1: np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    2: np.array(
        [
            [0.0, 0.0, -_SIXTH, 0.0, _HALF],
            [0.0, 0.0, -_SIXTH, 0.0, -_HALF],
            [0.0, 0.0, 2.0 * _SIXTH, 0.0, 0.0],
            [0.0, _HALF, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, _HALF, 0.0],
            [_HALF, 0.0, 0.0, 0.0, 0.0],
        ]
    ),
}


@dataclass
class AtomicMoments:
    """Dipoles and quadrupoles of atoms, linear in weights.

    Attributes
    ----------
    kernels : list of EquivariantKernel
        Of order 1, 2, as far as there are moments; all of the expansions of one
        descriptor.
    """

    kernels: list[EquivariantKernel]

    @classmethod
    def select(cls, frames, scalar: SparseKernel, max_multipole: int, random_state):
        """Choose channels and sparse points for the descriptor of charges.

        Raises
        ------
        ValueError
            If its products do not reach an order.
        """
        n_sparse = max(len(points.features) for points in scalar.points.values())
        kernels = []
        for order in range(1, max_multipole + 1):
            kernel = make_kernel(scalar, order, None)
            check_order(kernel)
            kernel.equivariants.selection = ChannelSelection.select(
                frames,
                kernel.equivariants,
                N_CHANNELS,
                FarthestPointSelection(),
                keys=[(order, 1)],
                random_state=random_state,
            )
            size = max(1, int(SHARES[order] * n_sparse))
            kernels.append(kernel.select(frames, size, random_state=random_state))
        return cls(kernels)

    @property
    def rank(self) -> int:
        """Number of weights."""
        return sum(kernel.rank for kernel in self.kernels)

    def evaluate(self, batch, cache: dict, weights: np.ndarray) -> list[MomentState]:
        """Return the moments of a batch by order, with weights (rank,) of all orders.

        ``cache`` as in `Latent.evaluate`.
        """
        ends = np.cumsum([kernel.rank for kernel in self.kernels])
        parts = np.split(weights, ends[:-1]) if self.kernels else []
        return [
            MomentState(kernel, batch, cache, part)
            for kernel, part in zip(self.kernels, parts, strict=True)
        ]

    def get_state(self, store: PointStore) -> tuple[list, dict]:
        """Return settings by order, and arrays, for a model file."""
        settings, arrays = [], {}
        for kernel in self.kernels:
            part, more = kernel.get_state(f"moments/{kernel.order}", store)
            selection = encode(kernel.equivariants.selection, "selection")
            settings.append({**part, "selection": selection})
            arrays |= more
        return settings, arrays

    @classmethod
    def from_state(cls, stored: StoredModel, scalar: SparseKernel):
        """Rebuild what `get_state` returned, with the descriptor of ``scalar``."""
        settings = stored.setting("moments", list)
        if len(settings) > len(PRIORS):
            raise ValueError(f"moments of {len(settings)} orders")
        kernels = []
        for order, part in enumerate(settings, start=1):
            selection = decode(part["selection"])
            if selection is None:
                kernel = make_pair_kernel(scalar, order)
            else:
                kernel = make_kernel(scalar, order, selection)
            check_order(kernel)
            kernel.take_state(stored, part, f"moments/{order}")
            kernels.append(kernel)
        return cls(kernels)


def make_kernel(scalar: SparseKernel, order: int, selection) -> EquivariantKernel:
    """Return a kernel of products of the expansions of charges, without points."""
    descriptor, covariance = scalar.descriptor, EquivariantCovariance()
    if isinstance(scalar.covariance, PolynomialCovariance):
        covariance.set_params(
            zeta=scalar.covariance.zeta, normalize=scalar.covariance.normalize
        )
    return EquivariantKernel(
        order,
        1,
        EquivariantPowerSpectrum(
            descriptor.left, descriptor.right, selection=selection
        ),
        descriptor,
        covariance,
        scalar.species,
    )


def make_pair_kernel(scalar: SparseKernel, order: int) -> EquivariantKernel:
    """Return a kernel of pairs times that of charges, as older files have them."""
    return EquivariantKernel(
        order,
        1,
        PairHarmonics(scalar.descriptor.left),
        scalar.descriptor,
        scalar.covariance,
        scalar.species,
    )


def check_order(kernel: EquivariantKernel) -> None:
    """Raise ``ValueError`` if the features of a kernel do not reach its order."""
    selection = kernel.equivariants.selection
    if selection is not None and not isinstance(selection, ChannelSelection):
        raise ValueError(f"the channels of atomic moments are {selection!r:.60}")
    if (kernel.order, kernel.sigma) not in kernel.equivariants.keys:
        raise ValueError(
            f"atomic multipoles of order {kernel.order} need a first descriptor with a "
            f"max_angular of at least 1, got {kernel.descriptor.n_angular - 1}"
        )


class MomentState:
    """Moments of one order of one batch, see `LatentState`.

    Their components are Cartesian, (n_atoms, 3 or 6), in e·Å and e·Å².
    """

    def __init__(
        self, kernel: EquivariantKernel, batch, cache: dict, weights: np.ndarray
    ):
        self.kernel, self.batch, self.cache = kernel, batch, cache
        self.weights, self.rank = weights, kernel.rank

    @cached_property
    def state(self):
        """The harmonic components."""
        return self.kernel.evaluate(self.batch, self.cache)

    @cached_property
    def rows(self) -> np.ndarray:
        """Psi, (n_atoms, n_components, rank)."""
        return to_cartesian(self.kernel, self.state.rows())

    @cached_property
    def values(self) -> np.ndarray:
        """The moments, (n_atoms, n_components); from rows where these are known."""
        if "rows" in vars(self):
            return self.rows @ self.weights
        return to_cartesian(self.kernel, self.state.values(self.weights))

    def pull(self, reverse_pass: ReversePass, adjoint: np.ndarray) -> None:
        """Add the adjoints of the features of sum_i adjoint_i . t_i."""
        state, invariants = self.state, self.state.invariants
        by_features, by_tensors = state.feature_adjoints(
            state.weigh_points(self.weights), self.harmonic(adjoint)
        )
        parts = zip(
            state.tensor_factors,
            state.equivariants.reverse_product(by_tensors),
            invariants.factors,
            strict=False,
        )
        by_factors = [
            part if factor.expansion is invariant.expansion else 0.0
            for factor, part, invariant in parts
        ]
        reverse_pass.add([invariants], [by_features], coefficients=by_factors)

    def position_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i . Psi_i)/dR, (n_atoms, 3, rank)."""
        return self.state.position_rows(self.harmonic(adjoint))

    def strain_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i . Psi_i)/d(strain), (n_structures, 6, rank)."""
        return self.state.strain_rows(self.harmonic(adjoint))

    def atom_gradients(self, strain: bool = False) -> list[np.ndarray]:
        """Return d(t_i)/dR or by strain by structure, see `LatentState`."""
        if strain:
            gradients = self.state.atom_strain_gradients(self.weights)
            gradients = symmetric_part(gradients, -2)
        else:
            gradients = self.state.atom_gradients(self.weights)
        return by_structure(to_cartesian(self.kernel, gradients), self.batch, strain)

    def harmonic(self, adjoint: np.ndarray) -> np.ndarray:
        """Return derivatives by harmonic components from those by Cartesian ones."""
        return PRIORS[self.kernel.order] * adjoint @ CARTESIAN[self.kernel.order]


def to_cartesian(kernel: EquivariantKernel, values: np.ndarray) -> np.ndarray:
    """Turn components of t_i, (n_atoms, 2 l + 1, ...), to those of moments."""
    n_atoms, n_components, *others = values.shape
    matrix = PRIORS[kernel.order] * CARTESIAN[kernel.order]
    moments = matrix @ values.reshape(n_atoms, n_components, -1)
    return moments.reshape(n_atoms, len(matrix), *others)
