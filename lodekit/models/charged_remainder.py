"""Remainders of energies that see equilibrated charges (4G potentials).

    E = sum_i sum_p z_i^p Phi_i w_p,    z_i = (q_i - m) / s,

with powers p from 0, kernel features Phi of the environments, and mean m and standard
deviation s of the charges of an element. Charges depend on all atoms, and this energy
is not stationary in them, so that forces contain dq/dR:

    dE/dR = sum_ip z_i^p (dPhi_i/dR) w_p + sum_i f_i dq_i/dR,    f_i = dE/dq_i.

References
----------
T. W. Ko, J. A. Finkler, S. Goedecker, J. Behler, Nat. Commun. 12, 398 (2021).
"""

from __future__ import annotations

from functools import cached_property
from numbers import Integral

import numpy as np
from sklearn.base import clone

from lodekit.observables.energy import Rows, pack_rows
from lodekit.regression.environments import batches
from lodekit.regression.latent import Latent
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part

from .charge_energy import default_potential
from .sparse_potential import ROW_ATOMS, SparsePotential

#: Least standard deviation of the charges of an element in e: z stays of the order 1.
LEAST_SPREAD = 1e-3


class ChargedRemainder(SparsePotential):
    """A potential whose kernels are multiplied by powers of charges.

    It is fitted and predicts with `EquilibratedBatch`, which it does not keep.

    Attributes
    ----------
    means_, spreads_ : ndarray of shape (n_species,)
        m and s of the charges of every element in e.
    coefficients_ : list
        One for each power.
    """

    n_powers = 0
    knows_range = False

    @classmethod
    def like(cls, potential, n_powers: int):
        """Return an unfitted one with the arguments of a potential.

        Parameters
        ----------
        potential : SparsePotential or None
            The default of charge models where None.
        n_powers : int
            Highest power of the charges.
        """
        given = default_potential() if potential is None else clone(potential)
        made = cls(**given.get_params(deep=False))
        made.n_powers = n_powers
        return made

    def fit(self, frames, equilibrate, **weighting):
        """Fit to the targets of ``frames``.

        Parameters
        ----------
        frames : list of ase.Atoms
            With what charges leave of energies, forces and stress.
        equilibrate : callable
            Returns the `EquilibratedBatch` of some frames.
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
        own = [charges[numbers == z] for z in np.unique(numbers)]
        self.means_ = np.array([values.mean() for values in own])
        spreads = [max(values.std(), LEAST_SPREAD) for values in own]
        self.spreads_ = np.array(spreads)

    @property
    def _rank(self) -> int:
        return (1 + self.n_powers) * super()._rank

    def _coefficients(self) -> list:
        latent = Latent(self.kernels_)
        parts = np.split(self.weights_, self.weights_.size // latent.rank)
        return [latent.coefficients(own) for own in parts]

    def powers(self, kinds, charges) -> tuple[np.ndarray, np.ndarray]:
        """Return z^p and dz^p/dq in 1/e, (1 + n_powers, n_atoms).

        ``kinds`` (n_atoms,) are the numbers of elements in the model.
        """
        z = (charges - self.means_[kinds]) / self.spreads_[kinds]
        orders = np.arange(1 + self.n_powers)[:, None]
        slopes = orders * z ** np.maximum(orders - 1, 0) / self.spreads_[kinds]
        return z**orders, slopes

    def _rows(self, frames, targets) -> dict[str, Rows]:
        together = self._equilibrate(frames)
        return pack_rows(PowerRows(self, together), together.batch, targets)

    def compute(self, together, properties=None) -> list[dict]:
        """Return energy, forces and, of fully periodic structures, stress.

        Parameters
        ----------
        together : EquilibratedBatch
        properties : list of str, optional
            Energy alone costs less than all, which come otherwise.
        """
        batch, latent = together.batch, Latent(self.kernels_)
        states = latent.evaluate(batch)
        kinds = np.searchsorted(self.species_, batch.species)
        powers, slopes = self.powers(kinds, together.charges)
        energies, by_charge = np.zeros(batch.n_atoms), np.zeros(batch.n_atoms)
        adjoints = [0.0] * len(states)
        for own, power, slope in zip(self.coefficients_, powers, slopes, strict=True):
            values, moved = latent.values(batch, states, own)
            energies += power * values
            by_charge += slope * values
            adjoints = [
                total + power[:, None] * adjoint
                for total, adjoint in zip(adjoints, moved, strict=True)
            ]
        energies += self.baseline_[kinds]
        totals = np.add.reduceat(energies, batch.first_atom[:-1])
        if properties == ["energy"]:
            return [{"energy": float(total)} for total in totals]
        positions, strain = (
            at_fixed_charges + more
            for at_fixed_charges, more in zip(
                latent.gradients(batch, states, adjoints),
                together.charge_gradients(by_charge),
                strict=True,
            )
        )
        results = []
        for index, atoms in enumerate(together.frames):
            own = {
                "energy": float(totals[index]),
                "forces": -positions[together.own(index)],
            }
            if atoms.pbc.all():
                own["stress"] = symmetric_part(strain[index]) / atoms.get_volume()
            results.append(own)
        return results

    def energies(self, atoms, charges) -> np.ndarray:
        """Return energies in eV of one structure with any charges, (n_sets,).

        Parameters
        ----------
        atoms : ase.Atoms
        charges : ndarray of shape (n_sets, n_atoms)
            In e.
        """
        batch, latent = StructureBatch.from_frames([atoms]), Latent(self.kernels_)
        states = latent.evaluate(batch)
        values = [latent.values(batch, states, own)[0] for own in self.coefficients_]
        kinds = np.searchsorted(self.species_, batch.species)
        baseline = self.baseline_[kinds].sum()
        return np.array(
            [baseline + np.vdot(self.powers(kinds, own)[0], values) for own in charges]
        )

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


class PowerRows:
    """Rows of kernels times powers of charges, as `KernelRows`.

    Parameters
    ----------
    remainder : ChargedRemainder
        With its kernels.
    together : EquilibratedBatch
    """

    def __init__(self, remainder: ChargedRemainder, together):
        self.together, self.batch = together, together.batch
        self.latent = Latent(remainder.kernels_)
        self.states = self.latent.evaluate(self.batch)
        self.features = self.latent.rows(self.batch, self.states)
        kinds = np.searchsorted(remainder.species_, self.batch.species)
        powers = remainder.powers(kinds, together.charges)
        self.powers = list(zip(*powers, strict=True))

    @cached_property
    def charge_rows(self) -> list[np.ndarray]:
        """dq/dR and dq/d(strain) by structure."""
        return [self.together.charge_rows(i) for i in range(self.batch.n_structures)]

    def energy(self) -> np.ndarray:
        """Return sums over structures, (n_structures, rank)."""
        first = self.batch.first_atom[:-1]
        parts = [
            np.add.reduceat(power[:, None] * self.features, first, axis=0)
            for power, _ in self.powers
        ]
        return np.hstack(parts)

    def forces(self) -> np.ndarray:
        """Return minus derivatives by positions, (n_atoms, 3, rank)."""
        parts = []
        for power, slope in self.powers:
            rows = self.latent.force_rows(self.batch, self.states, power)
            by_charge = slope[:, None] * self.features
            for index, changes in enumerate(self.charge_rows):
                own = self.together.own(index)
                moved = changes[:, :-9].T @ by_charge[own]
                rows[own] -= moved.reshape(rows[own].shape)
            parts.append(rows)
        return np.concatenate(parts, axis=2)

    def strain(self) -> np.ndarray:
        """Return derivatives by strain, (n_structures, 6, rank), Voigt."""
        parts = []
        for power, slope in self.powers:
            rows = self.latent.strain_rows(self.batch, self.states, power)
            by_charge = slope[:, None] * self.features
            for index, changes in enumerate(self.charge_rows):
                moved = changes[:, -9:].T @ by_charge[self.together.own(index)]
                rows[index] += symmetric_part(moved.reshape(3, 3, -1))
            parts.append(rows)
        return np.concatenate(parts, axis=2)


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
