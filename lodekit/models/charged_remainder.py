"""Remainders of energies that see equilibrated charges (4G potentials).

See `lodekit.physics.energies.ChargedEnergies`.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.base import clone

from lodekit.fitting.joint_fit import ROW_ATOMS
from lodekit.observables.energy import Rows, pack_rows
from lodekit.physics.energies import ChargedEnergies, ChargePowers
from lodekit.physics.rows import SumRows
from lodekit.regression.environments import batches
from lodekit.regression.latent import Latent
from lodekit.stored_model import StoredModel

from .sparse_potential import SparsePotential

#: Least standard deviation of the charges of an element in e: z stays of the order 1.
LEAST_SPREAD = 1e-3


class ChargedRemainder(SparsePotential):
    """A potential whose kernels are multiplied by powers of charges.

    It is fitted and predicts with charges of a model, which it does not keep.

    Attributes
    ----------
    means_, spreads_ : ndarray of shape (n_species,)
        m and s of the charges of every element in e.
    """

    n_powers = 0
    knows_range = False

    @classmethod
    def like(cls, potential, n_powers: int):
        """Return an unfitted one with the arguments of a potential.

        Parameters
        ----------
        potential : SparsePotential
        n_powers : int
            Highest power of the charges.
        """
        made = cls(**clone(potential).get_params(deep=False))
        made.n_powers = n_powers
        return made

    def fit(self, frames, equilibrate, **weighting):
        """Fit to the targets of ``frames``.

        Parameters
        ----------
        frames : list of ase.Atoms
            With what charges leave of energies, forces and stress.
        equilibrate : callable
            Returns `SolvedEquilibration` of some frames.
        **weighting
            ``sample_weight`` and ``groups`` of `SparsePotential.fit`.
        """
        self._equilibrate = equilibrate
        self._measure(frames)
        super().fit(frames, **weighting)
        del self._equilibrate
        return self

    def _measure(self, frames) -> None:
        """Take mean and standard deviation of the charges of every element."""
        numbers = np.concatenate([atoms.numbers for atoms in frames])
        charges = np.concatenate(
            [
                self._equilibrate([frames[i] for i in group]).charges
                for group in batches(frames, ROW_ATOMS)
            ]
        )
        by_element = [charges[numbers == z] for z in np.unique(numbers)]
        self.means_ = np.array([values.mean() for values in by_element])
        spreads = [max(values.std(), LEAST_SPREAD) for values in by_element]
        self.spreads_ = np.array(spreads)

    @property
    def _rank(self) -> int:
        return (1 + self.n_powers) * super()._rank

    def _coefficients(self) -> None:
        """Return None: what predictions contract depends on charges."""

    @property
    def powers(self) -> ChargePowers:
        """Powers of the charges."""
        return ChargePowers(self.species_, self.means_, self.spreads_, self.n_powers)

    def solve(self, charged, weights=None) -> ChargedEnergies:
        """Return the energies of structures with equilibrated charges."""
        weights = self.weights_ if weights is None else weights
        baseline = getattr(self, "baseline_", np.zeros(self.species_.size))
        latent = Latent(self.kernels_)
        return ChargedEnergies(latent, self.powers, weights, baseline, charged)

    def _rows(self, frames, targets) -> dict[str, Rows]:
        solved = self.solve(self._equilibrate(frames), np.zeros(self._rank))
        return pack_rows(SumRows(solved), solved.batch, targets)

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add means and spreads of the charges."""
        super().add_parts(settings, arrays)
        arrays.update(charge_means=self.means_, charge_spreads=self.spreads_)

    def take_state(self, stored: StoredModel) -> None:
        """Take means and spreads of the charges, and the highest power."""
        n_species = self.species_.size
        self.means_ = stored.array("charge_means", n_species)
        self.spreads_ = stored.array("charge_spreads", n_species)
        if not (self.spreads_ > 0.0).all():
            raise ValueError("the spreads of the charges are not positive")
        n_weights = stored.array("weights", None).size
        self.n_powers = n_weights // max(1, Latent(self.kernels_).rank) - 1
        if self.n_powers < 0:
            raise ValueError("a remainder has fewer weights than its terms")


def check_powers(n_powers, energies: list, learning: bool) -> None:
    """Raise ``ValueError`` unless powers of charges can be part of a remainder.

    Parameters
    ----------
    n_powers : int
    energies : list of str
        Targets that the remainder is fitted to.
    learning : bool
        Whether energies shape the charges.
    """
    if isinstance(n_powers, bool) or not isinstance(n_powers, Integral) or n_powers < 0:
        raise ValueError(
            f"charge_powers must be a whole number of at least 0, got {n_powers!r}"
        )
    if n_powers and not energies:
        raise ValueError(
            f"charge_powers={n_powers} is about the remainder of energies; name energy "
            "or forces among the targets"
        )
    if n_powers and learning:
        raise ValueError(
            f"charge_powers={n_powers} needs charges that are fitted before the "
            "remainder; set learn_from_energies=False"
        )
