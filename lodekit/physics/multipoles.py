"""Charges, dipoles and quadrupoles of atoms that are latents, and their energy.

Moments M = (q, t) of different orders have the energy U = M.A M / 2, with the potential
and its derivatives (V, F) = A M. The charges q come from latents by `sharing`, the
others are latents themselves, so that

    U_a = (V - V_c, F),    (U_Ra + U_aa a_R) = (V_R - V_c,R, F_R),
    (V_R, F_R) = A_R M + A M_R,    V_c,R = c.V_R + V.c_R.

A Gaussian charge interacts with itself, or not: what depends on one atom alone may be
the task of a remainder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lodekit.electrostatics import (
    CoulombInteraction,
    MultipoleInteraction,
    MultipoleMatrix,
)
from lodekit.observables.charge_observable import AffineCharges, TotalCharge
from lodekit.observables.moments import MULTIPLICITY, VOIGT
from lodekit.regression.atomic_moments import AtomicMoments
from lodekit.regression.kept_rows import make_anew
from lodekit.regression.latent import ReversePass
from lodekit.regression.latent_states import ElementLatent, KernelFeatures
from lodekit.structures.stress import symmetric_part
from lodekit.units import COULOMB_CONSTANT

from .moved_dipoles import MovedDipoles
from .response import Solved
from .sharing import ConditionedShares, EqualShares

#: Where the monomials xx, xy, xz, yy, yz, zz stand among xx, yy, zz, yz, xz, xy, and
#: what the numbers of a quadrupole count there.
BY_MONOMIAL = [0, 5, 4, 1, 3, 2]
COUNTS = 0.5 * MULTIPLICITY[BY_MONOMIAL, None]


@dataclass(frozen=True)
class Multipoles:
    """Moments of atoms by their environments.

    Attributes
    ----------
    latent : ElementLatent
        Of the charges.
    moments : AtomicMoments
        Dipoles and quadrupoles, as far as there are any.
    width : float
        Standard deviation of Gaussian charges and moments in Å.
    conserving : bool
        Whether charges sum to the total charge of their structure.
    posterior : Solution or DualSolution, optional
        Of all weights: charges are conditioned on the total charge by it. Where None,
        all atoms have the same share of what is missing.
    interacts_with_itself : bool
        Whether the energy has that of a Gaussian charge with itself.
    """

    latent: ElementLatent
    moments: AtomicMoments
    width: float = 0.0
    conserving: bool = True
    posterior: object = None
    interacts_with_itself: bool = True

    @property
    def rank(self) -> int:
        """Number of weights: of charges, then of moments."""
        return self.latent.rank + self.moments.rank

    @property
    def species(self) -> np.ndarray:
        """Sorted atomic numbers."""
        return self.latent.species

    @property
    def kernels(self) -> list:
        """Kernels of charges, then of moments."""
        return [*self.latent.latent.kernels, *self.moments.kernels]

    def solve(self, frames, weights: np.ndarray, keep=make_anew) -> SolvedMultipoles:
        """Return moments and energies of structures, see `Response`."""
        return SolvedMultipoles(self, frames, weights, keep)

    @property
    def own_potential(self) -> float:
        """The potential in V of a charge of 1 e on itself, which does not count."""
        if self.interacts_with_itself or not self.width:
            return 0.0
        return COULOMB_CONSTANT / (np.sqrt(np.pi) * self.width)


class SolvedMultipoles(Solved):
    """Charges of structures that follow the atoms, with the moments beside them.

    Attributes
    ----------
    sharing : EqualShares
    """

    def __init__(self, response: Multipoles, frames, weights, keep=make_anew):
        super().__init__(frames)
        self.response, self.weights, self.keep = response, weights, keep
        of_charges, others = np.split(weights, [response.latent.rank])
        posterior = response.posterior
        features = KernelFeatures(
            response.latent.latent, self.batch, self.cache, keep, posterior is not None
        )
        charges = response.latent.evaluate(features, of_charges)
        self.moments = response.moments.evaluate(self.batch, self.cache, others)
        self.states = [charges, *self.moments]
        self.known_changes: dict = {}
        if posterior is None:
            self.sharing = EqualShares(charges, frames, response.conserving)
        else:
            solution = posterior.with_weights(weights)
            self.sharing = ConditionedShares(charges, frames, solution, keep)

    @cached_property
    def charges(self) -> list[np.ndarray]:
        """Q in e by structure, (n_atoms,)."""
        return [self.sharing.charges(i) for i in range(len(self.frames))]

    def affine(self, index: int) -> AffineCharges:
        """Return charges and moments of one structure, affine in the weights."""
        matrix = self.sharing.matrix(index)
        missing = self.response.rank - matrix.shape[1]
        moments = tuple(state.rows[self.atoms_of(index)] for state in self.moments)
        return AffineCharges(
            np.pad(matrix, ((0, 0), (0, missing))) if missing else matrix,
            self.sharing.shares[index] * self.sharing.totals[index],
            moments,
            self.moved(index),
        )

    def linear(self, index: int, name: str) -> AffineCharges:
        """Return the charges that a linear target is about.

        For a total charge, the latents, which sum to no total charge yet.
        """
        if name != TotalCharge.name:
            return super().linear(index, name)
        features = self.sharing.features(index)
        missing = self.response.rank - features.shape[1]
        return AffineCharges(
            np.pad(features, ((0, 0), (0, missing))), np.zeros(len(features))
        )

    def moved(self, index: int) -> MovedDipoles:
        """Return how the dipole of one structure follows displaced atoms."""
        conditioned = self.sharing.conditioned(index)
        return MovedDipoles(
            self.response, self.frames[index], self.weights, conditioned
        )

    def fixed(self, index: int) -> AffineCharges:
        """Return charges and moments of one structure as they are, see `Solved`."""
        charges, atoms = self.charges[index], self.atoms_of(index)
        moments = tuple(state.values[atoms, :, None] for state in self.moments)
        none = np.zeros((charges.size, len(moments)))
        return AffineCharges(none, charges, moments, self.moved(index))

    @cached_property
    def interactions(self) -> list:
        """Those of charges, or of charges and moments, by structure."""
        if self.expects_rows:
            return [matrix.interaction for matrix in self.matrices]
        kind = MultipoleInteraction if self.moments else CoulombInteraction
        return [self.interaction(atoms, kind) for atoms in self.frames]

    def interaction(self, atoms, kind):
        """Return the interaction of one structure."""
        return kind(atoms.positions, atoms.cell[:], atoms.pbc, self.response.width)

    def interact(self, index: int, charges: np.ndarray):
        """Return the energy of the charges and moments of one structure.

        Returns
        -------
        energy : float
            In eV.
        slopes : list of ndarray of shape (n_atoms, 1, 3 or 6)
            V in V and F in V/Å and V/Å^2.
        result : ElectrostaticResult or MultipoleResult
            With derivatives at fixed moments.
        """
        interaction = self.interactions[index]
        moments = [state.values[self.atoms_of(index)] for state in self.moments]
        moments[1:] = [1.5 * matrices(t) for t in moments[1:]]  # Buckingham's
        result = interaction.compute(charges, *moments)
        itself = self.response.own_potential * charges
        slopes = [(result.potential - itself)[:, None]]
        if len(moments) > 0:
            slopes.append(-result.fields.field)
        if len(moments) > 1:
            parts = [result.fields.field_gradient[:, a, b] for a, b in VOIGT]
            slopes.append(-0.5 * MULTIPLICITY * np.stack(parts, axis=1))
        return result.energy - 0.5 * itself @ charges, slopes, result

    def energy_of(self, index: int, charges: np.ndarray) -> float:
        """Return U in eV of one structure with other charges, (n_atoms,) in e."""
        return self.interact(index, charges)[0]

    @cached_property
    def interacting(self) -> list[tuple]:
        """Results of `interact` for the charges of every structure."""
        return [self.interact(i, part) for i, part in enumerate(self.charges)]

    @property
    def energies(self) -> np.ndarray:
        """U in eV, (n_structures,)."""
        return np.array([energy for energy, *_ in self.interacting])

    @cached_property
    def slopes(self) -> list[np.ndarray]:
        """V - V_c and F, (n_atoms, 1, 3 or 6) by order."""
        by_structure = [slopes for _, slopes, _ in self.interacting]
        scales = [
            self.sharing.slopes(index, potential)
            for index, (potential, *_) in enumerate(by_structure)
        ]
        orders = list(zip(*by_structure, strict=True))[1:]
        return [np.concatenate(part) for part in (scales, *orders)]

    def pull(self, reverse_pass: ReversePass) -> None:
        """Add what changes the energies as charges and moments follow the atoms."""
        scales, *fields = self.slopes
        self.sharing.pull(reverse_pass, scales[:, 0])
        for state, slopes in zip(self.moments, fields, strict=True):
            state.pull(reverse_pass, slopes)

    def add_fixed(self, positions, strain) -> None:
        """Add derivatives of the energies at fixed charges and moments, in place."""
        for index, (*_, result) in enumerate(self.interacting):
            positions[self.atoms_of(index)] -= result.forces
            strain[index] += result.strain_gradient

    @cached_property
    def matrices(self) -> list[MultipoleMatrix]:
        """A by structure, kept from step to step."""
        n_moments = (1, 4, 10)[len(self.moments)]
        return self.keep(
            "interactions",
            lambda: [
                MultipoleMatrix(self.interaction(a, MultipoleInteraction), n_moments)
                for a in self.frames
            ],
        )

    def moment_changes(self, strain: bool) -> tuple[list, list]:
        """Return M_R by structure, a list by order, and V.c_R by structure."""
        if strain not in self.known_changes:
            orders = [self.sharing.moved(strain)]
            orders += [state.atom_gradients(strain) for state in self.moments]
            shares = self.sharing.share_changes(self.slopes[0][:, 0], strain)
            self.known_changes[strain] = list(zip(*orders, strict=True)), shares
        return self.known_changes[strain]

    def slope_changes(self, index: int, strain: bool) -> list[np.ndarray]:
        """Return V_R - V_c,R and F_R of one structure."""
        changed, shares = self.moment_changes(strain)
        changes = pack(*changed[index])
        n_atoms, n_moments, n = changes.shape
        matrix = self.matrices[index].matrix.reshape(n_atoms * n_moments, -1)
        felt = (matrix @ changes.reshape(n_atoms * n_moments, n)).reshape(changes.shape)
        felt += self.felt_at_fixed(index, strain)
        potential, *fields = unpack(felt)
        potential = potential - self.response.own_potential * changed[index][0]
        return [
            self.sharing.slopes(index, potential[:, 0])[:, None] - shares[index],
            *fields,
        ]

    def felt_at_fixed(self, index: int, strain: bool) -> np.ndarray:
        """Return A_R M of one structure, (n_atoms, n_moments, n)."""
        atoms = self.atoms_of(index)
        moments = [state.values[atoms, :, None] for state in self.moments]
        packed = pack(self.charges[index][:, None, None], *moments)[..., 0]
        matrix = self.matrices[index]
        if strain:
            return symmetric_part(matrix.strain_gradients(packed), -2)
        return matrix.gradients(packed).reshape(*packed.shape, -1)


def pack(charges: np.ndarray, *moments) -> np.ndarray:
    """Return charges and moments by monomial, (n_atoms, n_moments, n).

    Of charges (n_atoms, 1, n), dipoles (n_atoms, 3, n), quadrupoles (n_atoms, 6, n).
    """
    parts = [charges, *moments[:1]]
    parts += [COUNTS * quadrupoles[:, BY_MONOMIAL] for quadrupoles in moments[1:]]
    return np.concatenate(parts, axis=1)


def unpack(slopes: np.ndarray) -> list[np.ndarray]:
    """Return derivatives by charges and moments from those by monomials: by order."""
    parts = [part for part in np.split(slopes, [1, 4], axis=1) if part.shape[1]]
    if len(parts) > 2:
        quadrupoles = np.empty_like(parts[2])
        quadrupoles[:, BY_MONOMIAL] = COUNTS * parts[2]
        parts[2] = quadrupoles
    return parts


def matrices(tensors: np.ndarray) -> np.ndarray:
    """Return symmetric (n, 3, 3) of (n, 6): xx, yy, zz, yz, xz, xy."""
    return tensors[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)
