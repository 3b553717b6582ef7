"""Hardness that depends on environments.

    J_i = J_element(i) exp(h_i),    h_i = L tanh(x_i / L),
    x_i = a_0 v_element(i) + sum_k a_k Phi_ik v_k,

with the features Phi_ik of the electronegativities by term k, amplitudes a_k, and
weights v of unit prior that follow those of the electronegativities. J is positive
whatever v is, so that the energy keeps its minimum; the limit L, far beyond what
environments do, keeps J finite. The least energy is stationary in the charges (review,
Eqs. 14 and 15), and charges answer to dJ_i as to the potential q_i dJ_i: with
t = dh/dx = 1 - (h / L)^2 and x = X v,

    dU/dx_i = q_i^2 J_i t_i / 2,    dq/dv = -Abar diag(q J t) X.
"""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols

from lodekit.observables.charges import AffineCharges
from lodekit.observables.fragments import given_charges
from lodekit.regression.environments import batches
from lodekit.structures.batch import StructureBatch

from .linear_charges import BATCH_ATOMS

#: L.
FARTHEST = 10.0
#: Prior standard deviation of the part of an element in x. A wide one lets stiff
#: charges drift to what has the least weights.
ELEMENT_SPREAD = 0.2


class EnvironmentHardness:
    """What `ChargeEquilibrationModel` knows of the hardness of atoms.

    Attributes
    ----------
    hardness_amplitudes_ : ndarray of shape (n_terms,) or None
        a, None where hardness is by element.
    """

    hardness_amplitudes_ = None

    @property
    def rank(self) -> int:
        """Number of weights: elements, kernels, and those of the hardness."""
        return self.n_linear + self.hardness_scales.size

    @property
    def n_linear(self) -> int:
        """Number of weights of electronegativities, in which charges are affine."""
        return super().rank

    @property
    def hardness_scales(self) -> np.ndarray:
        """What X is in Phi by weight v, (n_linear,); none if hardness is by element."""
        if self.hardness_amplitudes_ is None:
            return np.zeros(0)
        elements = np.full(self.species_.size, ELEMENT_SPREAD / self.element_prior)
        ranks = [kernel.rank for kernel in self.kernels]
        return np.append(elements, np.repeat(self.hardness_amplitudes_, ranks))

    def element_hardness(self, numbers: np.ndarray) -> np.ndarray:
        """Return J of the elements in V/e, (n_atoms,)."""
        return self.hardness_[np.searchsorted(self.species_, numbers)]

    def hardness_of(self, atoms) -> np.ndarray:
        """Return J of the atoms of one structure in V/e, (n_atoms,)."""
        if self.hardness_amplitudes_ is None:
            return self.element_hardness(atoms.numbers)
        batch = StructureBatch.from_frames([atoms])
        return self.hardness_values(batch, self.latent_.evaluate(batch))[0]

    def hardness_values(self, batch, states) -> tuple[np.ndarray, list | None]:
        """Return J of atoms in V/e, and dh/d(features) by term.

        The latter are None where hardness is by element.
        """
        hardness = self.element_hardness(batch.species)
        if self.hardness_amplitudes_ is None:
            return hardness, None
        values, adjoints = self.latent_values(
            batch, states, self.hardness_scales * self.weights_[self.n_linear :]
        )
        factors, moves = hardness_factors(values)
        return hardness * factors, [moves[:, None] * own for own in adjoints]

    def latent_values(self, batch, states, weights) -> tuple[np.ndarray, list]:
        """Return Phi w of atoms, weights (n_linear,), and d/d(features) by term."""
        elements, rest = np.split(weights, [self.species_.size])
        values, adjoints = self.latent_.values(
            batch, states, self.latent_.coefficients(rest)
        )
        kinds = np.searchsorted(self.species_, batch.species)
        return values + self.element_prior * elements[kinds], adjoints

    def hardness_features(self, features: np.ndarray) -> np.ndarray:
        """Return X from Phi of electronegativities in V, (n_atoms, n_weights)."""
        if self.hardness_amplitudes_ is None:
            return features[:, :0]
        return features * (self.hardness_scales / self.stiffness)

    def hardness_rows(self, numbers, features) -> tuple[np.ndarray, np.ndarray]:
        """Return J of atoms in V/e, and dJ/dv, (n_atoms, n_weights).

        Parameters
        ----------
        numbers : ndarray of shape (n_atoms,)
            Atomic numbers.
        features : ndarray of shape (n_atoms, n_linear)
            Phi of electronegativities in V.
        """
        hardness, moves = self.hardness_at(numbers, features)
        return hardness, (hardness * moves)[:, None] * self.hardness_features(features)

    def hardness_at(self, numbers, features) -> tuple[np.ndarray, np.ndarray]:
        """Return J of atoms in V/e, and t; arguments as of `hardness_rows`."""
        elements = self.element_hardness(numbers)
        if self.hardness_amplitudes_ is None:
            return elements, np.ones_like(elements)
        weights = self.hardness_scales * self.weights_[self.n_linear :]
        factors, moves = hardness_factors(features @ weights / self.stiffness)
        return elements * factors, moves

    def hardness_ranges(self, frames) -> dict[str, list[float]]:
        """Return the least and the largest J of atoms in V/e by element."""
        found: dict = {}
        for group in batches(frames, BATCH_ATOMS):
            batch = StructureBatch.from_frames([frames[i] for i in group])
            hardness, _ = self.hardness_values(batch, self.latent_.evaluate(batch))
            for z in np.unique(batch.species):
                own = hardness[batch.species == z]
                found.setdefault(chemical_symbols[z], []).extend([own.min(), own.max()])
        return {name: [float(min(v)), float(max(v))] for name, v in found.items()}

    def linearised_charges(self, atoms, features, coulomb=None) -> AffineCharges:
        """Return charges that are affine around the present weights.

        Parameters
        ----------
        atoms : ase.Atoms
        features : ndarray of shape (n_atoms, n_linear)
            Phi of electronegativities in V.
        coulomb : ndarray of shape (n_atoms, n_atoms), optional
            The Coulomb matrix where it is known.
        """
        hardness, moves = self.hardness_at(atoms.numbers, features)
        equilibration = self.equilibration(atoms, coulomb, hardness)
        start = equilibration.start(*given_charges(atoms))
        linear = slice(self.n_linear)
        chi = features @ self.weights_[linear]
        charges = equilibration.solve_from(start, chi).charges
        # there are far more weights than atoms
        response = equilibration.response_matrix()
        matrix = np.empty((len(atoms), self.rank))
        matrix[:, linear] = response @ features
        own = matrix[:, self.n_linear :]
        np.matmul(response * (charges * hardness * moves), features, out=own)
        own *= self.hardness_scales / self.stiffness
        return AffineCharges(matrix, charges - matrix @ self.weights_)


def hardness_factors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return exp(h) and t = dh/dx of x, all (n_atoms,)."""
    changes = np.tanh(values / FARTHEST)
    return np.exp(FARTHEST * changes), 1.0 - changes**2
