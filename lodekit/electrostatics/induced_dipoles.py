"""Induced dipoles that polarize each other, and the energy that they make least.

Dipoles mu of atoms with permanent dipoles mu_0, polarizabilities a and charges q in a
field E minimise

    U(mu) = (mu - mu_0) . a^-1 . (mu - mu_0) / 2 + M . A M / 2 - E . (sum q R + mu),

with the interactions A of all moments M = (q, mu), but for those of an atom with
itself. With T = -A between dipoles and the field E_q of the charges, the minimum is

    (1 - a T) mu = mu_0 + a (E + E_q),

so that derivatives of U need none of mu. Moments are Gaussians, which damps the fields
of near atoms; the default width is that at which the field of a Gaussian dipole inside
itself is what a polarizability a gives, and no two atoms polarize each other without
end.

References
----------
J. Applequist, J. R. Carl, K.-K. Fung, J. Am. Chem. Soc. 94, 2952 (1972); A. Mayer,
Phys. Rev. B 75, 045407 (2007) (widths of Gaussian dipoles); A. Gao, R. C. Remsing, Nat.
Commun. 13, 1572 (2022) (self-consistent fields with learned responses).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from lodekit.numerics.mesh import monomials
from lodekit.units import COULOMB_CONSTANT

from .multipole_matrix import MultipoleMatrix
from .multipole_sums import FIELD_DEGREE, gradients_of
from .multipoles import MultipoleInteraction
from .thole import TholeInteraction

#: Atoms up to which the matrix is made and factorised.
DENSE_ATOMS = 700
#: Relative residual at which iterations end, and how many there are at the most.
TOLERANCE, MAX_ITERATIONS = 1e-9, 500


class PolarizationCatastrophe(ValueError):
    """Dipoles that polarize each other without end: 1 - a T is not positive."""


def default_widths(polarizabilities) -> np.ndarray:
    """Return widths in Å of Gaussian dipoles for polarizabilities in Å^3, (n_atoms,).

    Those at which the energy of a Gaussian dipole with itself is mu^2 / 2 a.
    """
    means = np.asarray(polarizabilities, dtype=float)
    if means.ndim == 3:
        means = np.trace(means, axis1=1, axis2=2) / 3.0
    return (np.maximum(means, 0.0) / (6.0 * np.sqrt(np.pi))) ** (1.0 / 3.0)


@dataclass(frozen=True)
class Induced:
    """Dipoles at the minimum of the energy, and the derivatives of the energy there.

    Attributes
    ----------
    energy : float
        U in eV.
    dipoles : ndarray of shape (n_atoms, 3)
        mu in e·Å.
    moment : ndarray of shape (3,)
        sum q R + mu in e·Å.
    forces : ndarray of shape (n_atoms, 3)
        -dU/dR in eV/Å at fixed charges, permanent dipoles and polarizabilities.
    strain_gradient : ndarray of shape (3, 3)
        dU/d(strain) in eV, likewise, at constant voltages of the cell vectors.
    by_charges : ndarray of shape (n_atoms,)
        dU/dq in V.
    by_dipoles : ndarray of shape (n_atoms, 3)
        dU/d(mu_0) in V/Å.
    by_polarizabilities : ndarray of shape (n_atoms, 3, 3)
        dU/da in eV/Å^3, at constant damping.
    """

    energy: float
    dipoles: np.ndarray
    moment: np.ndarray
    forces: np.ndarray
    strain_gradient: np.ndarray
    by_charges: np.ndarray
    by_dipoles: np.ndarray
    by_polarizabilities: np.ndarray


class InducedDipoles:
    """Atoms of one structure that polarize each other.

    Parameters
    ----------
    positions : array_like of shape (n_atoms, 3)
        In Å.
    cell, pbc
        As in `CoulombInteraction`; periodic ones have conducting boundaries, so that
        ``field`` is the mean field inside.
    polarizabilities : array_like of shape (n_atoms,) or (n_atoms, 3, 3)
        a in Å^3, positive.
    widths : float or array_like of shape (n_atoms,), optional
        Standard deviations of the Gaussians in Å, 0 for points; `default_widths` where
        None.
    thole : float, optional
        Thole's factor a (0.39 is usual): exponential clouds instead of Gaussians.
    thole_polarizabilities : array_like of shape (n_atoms,), optional
        Of which clouds are made, in Å^3; means of the polarizabilities where None.
    accuracy : float
        Relative error of the sums.
    iterative : bool, optional
        Whether dipoles are found by conjugate gradients instead of a factorised matrix;
        for more than `DENSE_ATOMS` atoms where None.

    Raises
    ------
    ValueError
        For polarizabilities that are not positive, widths and Thole's factor at once.
    """

    def __init__(
        self,
        positions,
        cell,
        pbc,
        polarizabilities,
        widths=None,
        *,
        thole=None,
        thole_polarizabilities=None,
        accuracy=1e-8,
        iterative=None,
    ):
        self.polarizabilities = check_polarizabilities(polarizabilities, len(positions))
        if thole is not None:
            if widths is not None:
                raise ValueError("give widths of Gaussians or Thole's factor, not both")
            means = np.trace(self.polarizabilities, axis1=1, axis2=2) / 3.0
            clouds = means if thole_polarizabilities is None else thole_polarizabilities
            self.interaction = TholeInteraction(
                positions, cell, pbc, clouds, thole, accuracy=accuracy
            )
        else:
            if widths is None:
                widths = default_widths(self.polarizabilities)
            self.interaction = MultipoleInteraction(
                positions, cell, pbc, widths, accuracy=accuracy
            )
        n_atoms = len(self.interaction.positions)
        self.iterative = n_atoms > DENSE_ATOMS if iterative is None else iterative
        #: a^-1 in V / (e Å^2), by atom
        self.stiffness = COULOMB_CONSTANT * np.linalg.inv(self.polarizabilities)
        self.itself = self_interactions(self.interaction.widths)

    def solve(self, charges=None, permanent=None, field=None) -> Induced:
        """Return the dipoles at the minimum of the energy.

        Parameters
        ----------
        charges : array_like of shape (n_atoms,), optional
            In e; they have to sum to zero in a periodic structure.
        permanent : array_like of shape (n_atoms, 3), optional
            mu_0 in e·Å.
        field : array_like of shape (3,), optional
            E in V/Å.

        Raises
        ------
        PolarizationCatastrophe
            If dipoles would grow without end.
        """
        n_atoms = len(self.interaction.positions)
        charges = np.zeros(n_atoms) if charges is None else np.asarray(charges, float)
        none = np.zeros((n_atoms, 3))
        permanent = none if permanent is None else np.asarray(permanent, dtype=float)
        field = np.zeros(3) if field is None else np.asarray(field, dtype=float)
        felt = self.felt(charges, none)[:, 1:4]  # dU/d(mu) of the charges alone
        pulled = np.einsum("iab,ib->ia", self.stiffness, permanent) + field - felt
        dipoles = self.respond(pulled[:, :, None])[:, :, 0]
        return self._result(charges, permanent, dipoles, field)

    def _result(self, charges, permanent, dipoles, field) -> Induced:
        """Return energy and derivatives for dipoles at the minimum."""
        positions = self.interaction.positions
        moments = self.interaction.pack(charges, dipoles, None)
        derivatives, strain = self.interaction.derivatives(
            positions, self.interaction.widths, moments
        )
        forces = -gradients_of(moments, derivatives)  # an atom does not push itself
        felt = derivatives[:, :4] - self.itself * moments[:, :4]
        change = dipoles - permanent
        stretched = np.einsum("iab,ib->ia", self.stiffness, change)
        moment = charges @ positions + dipoles.sum(axis=0)
        energy = 0.5 * (change * stretched).sum() + 0.5 * (moments[:, :4] * felt).sum()
        outer = stretched[:, :, None] * stretched[:, None]
        return Induced(
            energy=float(energy - field @ moment),
            dipoles=dipoles,
            moment=moment,
            forces=forces + charges[:, None] * field,
            strain_gradient=strain + np.outer(dipoles.sum(axis=0), field),
            by_charges=felt[:, 0] - positions @ field,
            by_dipoles=-stretched,
            by_polarizabilities=-0.5 * outer / COULOMB_CONSTANT,
        )

    def felt(self, charges, dipoles) -> np.ndarray:
        """Return A M, (n_atoms, 4): potentials in V and minus fields in V/Å."""
        moments = self.interaction.pack(charges, dipoles, None)
        return self.derivatives(moments)[:, :4] - self.itself * moments[:, :4]

    def derivatives(self, moments: np.ndarray) -> np.ndarray:
        """Return derivatives of the potential of moments at all atoms, by monomial.

        But for a constant, which charges add in a periodic structure.
        """
        derivatives = np.zeros((len(moments), len(monomials(FIELD_DEGREE))))
        strain = np.zeros((3, 3))
        for part in self.parts:
            part.add(moments, derivatives, strain)
        return COULOMB_CONSTANT * derivatives

    @cached_property
    def parts(self) -> list:
        """Near and far sums, made once."""
        interaction = self.interaction
        return interaction.parts(interaction.positions, interaction.widths)

    def respond(self, pulls: np.ndarray) -> np.ndarray:
        """Return dipoles for pulls: B^-1 of B = a^-1 + A.

        Parameters
        ----------
        pulls : ndarray of shape (n_atoms, 3, n)
            In V/Å.

        Returns
        -------
        dipoles : ndarray of shape (n_atoms, 3, n)
            In e·Å.
        """
        if not pulls.size:
            return np.zeros(pulls.shape)
        if self.iterative:
            columns = [self._descend(pulls[:, :, n]) for n in range(pulls.shape[2])]
            return np.stack(columns, axis=2)
        flat = pulls.reshape(-1, pulls.shape[2])
        return linalg.cho_solve((self.factor, True), flat).reshape(pulls.shape)

    @cached_property
    def factor(self) -> np.ndarray:
        """Cholesky factor of B, (3 n_atoms, 3 n_atoms)."""
        n_atoms = len(self.stiffness)
        matrix = MultipoleMatrix(self.interaction, 4).matrix[:, 1:, :, 1:].copy()
        atoms = np.arange(n_atoms)
        matrix[atoms, :, atoms] += self.stiffness
        matrix[atoms, :, atoms] -= self.itself[:, 1:, None] * np.eye(3)
        try:
            return linalg.cholesky(matrix.reshape(3 * n_atoms, -1), lower=True)
        except linalg.LinAlgError:
            raise catastrophe() from None

    def _descend(self, pull: np.ndarray) -> np.ndarray:
        """Return B^-1 pull by conjugate gradients, preconditioned by a."""
        compliance = np.linalg.inv(self.stiffness)
        no_charges = np.zeros(len(pull))
        dipoles = np.zeros_like(pull)
        residual = pull.copy()
        preconditioned = np.einsum("iab,ib->ia", compliance, residual)
        direction, product = (
            preconditioned.copy(),
            float((residual * preconditioned).sum()),
        )
        target = TOLERANCE**2 * product
        for _ in range(MAX_ITERATIONS):
            if product <= target:
                return dipoles
            bent = np.einsum("iab,ib->ia", self.stiffness, direction)
            bent += self.felt(no_charges, direction)[:, 1:4]
            curvature = float((direction * bent).sum())
            if not curvature > 0.0:
                raise catastrophe()
            step = product / curvature
            dipoles += step * direction
            residual -= step * bent
            preconditioned = np.einsum("iab,ib->ia", compliance, residual)
            before, product = product, float((residual * preconditioned).sum())
            direction = preconditioned + (product / before) * direction
        raise catastrophe()

    def susceptibility(self) -> np.ndarray:
        """Return the polarizability of the whole structure in Å^3, (3, 3)."""
        n_atoms = len(self.stiffness)
        uniform = np.broadcast_to(np.eye(3), (n_atoms, 3, 3))
        return COULOMB_CONSTANT * self.respond(uniform).sum(axis=0)


def check_polarizabilities(values, n_atoms: int) -> np.ndarray:
    """Return positive symmetric polarizabilities in Å^3, (n_atoms, 3, 3).

    Raises
    ------
    ValueError
    """
    values = np.asarray(values, dtype=float)
    if values.shape == (n_atoms,):
        values = values[:, None, None] * np.eye(3)
    if values.shape != (n_atoms, 3, 3):
        raise ValueError(
            f"polarizabilities must have shape ({n_atoms},) or ({n_atoms}, 3, 3), got "
            f"{values.shape}"
        )
    values = 0.5 * (values + values.swapaxes(1, 2))
    if not np.isfinite(values).all() or not (np.linalg.eigvalsh(values) > 0.0).all():
        raise ValueError("polarizabilities must be positive")
    return values


def self_interactions(widths: np.ndarray) -> np.ndarray:
    """Return the interaction of moments of Gaussians with themselves, (n_atoms, 4)."""
    itself = np.zeros((len(widths), 4))
    wide = widths > 0.0
    factor = COULOMB_CONSTANT / np.sqrt(np.pi)
    itself[wide, 0] = factor / widths[wide]
    itself[wide, 1:] = (factor / (6.0 * widths[wide] ** 3))[:, None]
    return itself


def catastrophe() -> PolarizationCatastrophe:
    """Return the error of dipoles that grow without end."""
    return PolarizationCatastrophe(
        "polarization catastrophe: atoms polarize each other without end; atoms are "
        "too near for their polarizabilities, give wider Gaussians or smaller "
        "polarizabilities"
    )
