"""Charges, dipoles and quadrupoles: energies, forces, stresses and fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.kernels.multipole_pairs import N_ORDERS
from lodekit.numerics.mesh import monomials
from lodekit.units import COULOMB_CONSTANT

from .boundary import Boundary, FarKernel
from .cutoff_choice import choose_cutoff
from .interaction_matrix import (
    COARSEST,
    FINEST,
    NEUTRAL,
    check_positions,
    check_widths,
)
from .multipole_mesh import MultipoleFarMesh
from .multipole_sums import (
    FIELD_DEGREE,
    MultipoleFarSum,
    MultipoleNearSum,
    gradients_of,
)
from .near_sum import check_pairs, find_half_pairs, gaussian_reach
from .split import CoulombSplit

#: Errors of fields and of forces on moments are larger than those on charges by this.
AMPLIFICATION = 1e3


@dataclass(frozen=True)
class Fields:
    """The potential and its derivatives at atoms or other points.

    Attributes
    ----------
    potential : ndarray of shape (n_points,)
        Potential phi in V.
    field : ndarray of shape (n_points, 3)
        Field E_a = -d phi / dr_a in V/Å.
    field_gradient : ndarray of shape (n_points, 3, 3)
        dE_b / dr_a in V/Å^2.
    """

    potential: np.ndarray
    field: np.ndarray
    field_gradient: np.ndarray

    @classmethod
    def of(cls, derivatives: np.ndarray) -> Fields:
        """Return the fields from derivatives of the potential, (n_points, >= 10)."""
        gradient = derivatives[:, [4, 5, 6, 5, 7, 8, 6, 8, 9]].reshape(-1, 3, 3)
        return cls(derivatives[:, 0].copy(), -derivatives[:, 1:4], -gradient)


@dataclass(frozen=True)
class MultipoleResult:
    """Energy, potentials, fields, forces and stress of multipoles at fixed positions.

    Attributes
    ----------
    energy : float
        Energy in eV.
    forces : ndarray of shape (n_atoms, 3)
        -dE/dr at fixed moments, in eV/Å.
    strain_gradient : ndarray of shape (3, 3)
        dE/de in eV at fixed moments, where r_b -> r_b + sum_a r_a e_ab.
    fields : Fields
        dE/dq = potential, dE/d(dipole) = -field and dE/d(quadrupole) =
        -field_gradient / 3.
    """

    energy: float
    forces: np.ndarray
    strain_gradient: np.ndarray
    fields: Fields

    @property
    def potential(self) -> np.ndarray:
        """dE/dq in V, (n_atoms,)."""
        return self.fields.potential


class MultipoleInteraction:
    """Coulomb interaction of charges, dipoles and quadrupoles on atoms.

    Quadrupoles are Cartesian and traceless, Q_ab = (1/2) sum q (3 r_a r_b - r^2
    delta_ab); their potential is Q_ab r_a r_b / r^5. Moments of one atom share a
    Gaussian width and do not feel each other, but for the self-interaction of Gaussians
    (as in `CoulombInteraction`, with the same boundaries).

    Parameters
    ----------
    positions, cell, pbc, widths, accuracy, cutoff
        As in `CoulombInteraction`.
    """

    def __init__(self, positions, cell, pbc, widths=0.0, *, accuracy=1e-8, cutoff=None):
        self.positions = check_positions(positions)
        self.widths = check_widths(widths, len(self.positions))
        self.boundary = Boundary.of(cell, pbc)
        if not FINEST <= accuracy <= COARSEST:
            raise ValueError(
                f"accuracy must be between {FINEST:g} and {COARSEST:g}, got "
                f"{accuracy:g}"
            )
        self.accuracy = accuracy
        self.cutoff = cutoff

    def compute(self, charges=None, dipoles=None, quadrupoles=None) -> MultipoleResult:
        """Return energy, forces, strain gradient and fields.

        Parameters
        ----------
        charges : array_like of shape (n_atoms,), optional
            In e; none if left out, like the others.
        dipoles : array_like of shape (n_atoms, 3), optional
            In e Å.
        quadrupoles : array_like of shape (n_atoms, 3, 3), optional
            In e Å^2, symmetric and without trace.

        Raises
        ------
        ValueError
            If shapes do not fit, quadrupoles have a trace, or a slab has a net charge.
        """
        moments = self.pack(charges, dipoles, quadrupoles)
        self.check_net_charge(moments)
        derivatives, strain = self.derivatives(self.positions, self.widths, moments)
        return MultipoleResult(
            energy=float(0.5 * (moments * derivatives[:, : moments.shape[1]]).sum()),
            forces=-gradients_of(moments, derivatives),
            strain_gradient=strain,
            fields=Fields.of(derivatives),
        )

    def fields_at(self, points, charges=None, dipoles=None, quadrupoles=None) -> Fields:
        """Return the potential and its derivatives at points (n_points, 3) in Å.

        Parameters
        ----------
        charges, dipoles, quadrupoles
            As in `compute`.

        Raises
        ------
        ValueError
            If a point sits on an atom.
        """
        points = check_positions(points)
        moments = self.pack(charges, dipoles, quadrupoles)
        self.check_net_charge(moments)
        nothing = np.zeros((len(points), moments.shape[1]))
        derivatives, _ = self.derivatives(
            np.concatenate([self.positions, points]),
            np.concatenate([self.widths, np.zeros(len(points))]),
            np.concatenate([moments, nothing]),
        )
        return Fields.of(derivatives[len(self.positions) :])

    def pack(self, charges, dipoles, quadrupoles) -> np.ndarray:
        """Return moments by monomial of degree 0 to 2, (n_atoms, 10)."""
        n_atoms = len(self.positions)
        moments = np.zeros((n_atoms, 10))
        if charges is not None:
            moments[:, 0] = check_shape("charges", charges, (n_atoms,))
        if dipoles is not None:
            moments[:, 1:4] = check_shape("dipoles", dipoles, (n_atoms, 3))
        if quadrupoles is not None:
            tensors = check_shape("quadrupoles", quadrupoles, (n_atoms, 3, 3))
            largest = abs(tensors).max(initial=0.0)
            traces = np.trace(tensors, axis1=1, axis2=2)
            uneven = abs(tensors - np.swapaxes(tensors, 1, 2)).max(initial=0.0)
            if max(abs(traces).max(initial=0.0), uneven) > 1e-9 * largest:
                raise ValueError(
                    "quadrupoles must be symmetric and traceless; subtract a third of "
                    "the trace from the diagonal"
                )
            x, y = np.triu_indices(3)
            moments[:, 4:] = tensors[:, x, y] * np.where(x == y, 1.0, 2.0) / 3.0
        return moments

    def check_net_charge(self, moments: np.ndarray) -> None:
        """Refuse a slab with a net charge."""
        net, total = moments[:, 0].sum(), abs(moments[:, 0]).sum()
        if self.boundary.n_periodic == 2 and abs(net) > NEUTRAL * total:
            raise ValueError(
                f"a slab with the net charge {net:.4g} e has no finite energy; add a "
                "counter-charge on a plane or in the slab, or make it periodic"
            )

    def derivatives(self, positions, widths, moments) -> tuple[np.ndarray, np.ndarray]:
        """Return derivatives of the potential at sites, and the strain gradient.

        Returns
        -------
        derivatives : ndarray of shape (n_sites, 20)
            By monomial of degree 0 to 3.
        strain : ndarray of shape (3, 3)
        """
        derivatives = np.zeros((len(positions), len(monomials(FIELD_DEGREE))))
        strain = np.zeros((3, 3))
        for part in self.parts(positions, widths):
            part.add(moments, derivatives, strain)
        if self.boundary.n_periodic == 3:
            spread, charges = self.spread(widths), moments[:, 0]
            excess = spread * charges.sum() + spread @ charges
            derivatives[:, 0] += excess
            strain -= 0.5 * charges @ excess * np.eye(3)
        return COULOMB_CONSTANT * derivatives, COULOMB_CONSTANT * strain

    def spread(self, widths) -> np.ndarray:
        """Return by how much the mean potential of Gaussians is below that of points.

        For unit charges, as in `InteractionMatrix`; zero without a background.
        """
        if self.boundary.n_periodic != 3:
            return np.zeros(len(widths))
        return 2.0 * np.pi / self.boundary.measure * widths**2

    def parts(self, positions, widths) -> list:
        """Return the near and the far sum over sites, of which some may be points."""
        n_sites, n_atoms = len(positions), len(self.positions)
        accuracy = max(self.accuracy / AMPLIFICATION, 1e-14)
        reach = gaussian_reach(0.01 * accuracy)
        if self.boundary.n_periodic == 0 or n_sites == 0:
            first, second = np.triu_indices(n_sites, 1)
            vectors = positions[second] - positions[first]
            pairs = check_pairs(first, second, vectors, n_atoms)
            return [MultipoleNearSum(pairs, widths, None, reach)]
        thickness = 0.0
        if self.boundary.n_periodic == 2:
            thickness = float(np.ptp(self.boundary.heights(positions)))
        bandwidth = CoulombSplit.make(1.0, accuracy).k_cutoff
        cutoff, use_mesh = choose_cutoff(
            self.boundary, n_sites, thickness, bandwidth, self.cutoff
        )
        split = CoulombSplit.make(cutoff, accuracy, N_ORDERS)
        longest = max(cutoff, reach * np.sqrt(2.0) * widths.max(initial=0.0))
        pairs = find_half_pairs(self.boundary, positions, longest, n_atoms)
        is_periodic = self.boundary.n_periodic == 3
        far = MultipoleFarMesh if use_mesh and is_periodic else MultipoleFarSum
        return [
            MultipoleNearSum(pairs, widths, split, reach),
            far(FarKernel(self.boundary, split, thickness), positions),
        ]


def check_shape(name: str, values, shape: tuple[int, ...]) -> np.ndarray:
    """Return values as an array of a shape, or say what is wrong with it."""
    values = np.asarray(values, dtype=float)
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {values.shape}")
    return values
