"""Charge equilibration as a response: what it is made of; see `equilibrated`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lodekit.electrostatics import ChargeEquilibration, fragment_constraints
from lodekit.observables.fragments import fragment_labels
from lodekit.regression.kept_rows import make_anew
from lodekit.regression.latent import Latent
from lodekit.regression.latent_states import ElementLatent
from lodekit.stored_model import StoredModel
from lodekit.units import COULOMB_CONSTANT

from .bonds import BondEquilibration, Bonds
from .equilibrated import SolvedEquilibration

#: No charge of an atom is wider, in Å; sums of wider ones would not end.
WIDEST = 20.0
#: Prior standard deviation of the part of an element in x. A wide one lets stiff
#: charges drift to what has the least weights.
ELEMENT_SPREAD = 0.2


@dataclass(frozen=True)
class Equilibration:
    """Electronegativities and hardness of environments to charges.

    Attributes
    ----------
    latent : Latent
        Kernels of both.
    species : ndarray of shape (n_species,)
        Sorted atomic numbers.
    element_prior : float
        Prior standard deviation of the electronegativity of an element, in units of
        the stiffness.
    hardness, widths : ndarray of shape (n_species,)
        In V/e and Å.
    bond_hardness : ndarray of shape (n_species, n_species) or None
        In V/e, infinite for pairs without bonds; None where charge needs no bonds.
    amplitudes : ndarray of shape (n_terms,) or None
        Of the terms of x; None where the hardness is that of elements.
    accuracy : float
        Of Coulomb sums.
    """

    latent: Latent
    species: np.ndarray
    element_prior: float
    hardness: np.ndarray
    widths: np.ndarray
    bond_hardness: np.ndarray | None = None
    amplitudes: np.ndarray | None = None
    accuracy: float = 1e-6

    @property
    def self_interaction(self) -> np.ndarray:
        """That of Gaussian charges by element in V/e, (n_species,)."""
        return COULOMB_CONSTANT / (np.sqrt(np.pi) * self.widths)

    @property
    def stiffness(self) -> float:
        """The mean stiffness of the elements in V/e: the scale of chi.

        With it, the weights have a unit prior whatever the hardness is.
        """
        return float(np.mean(self.hardness + self.self_interaction))

    @cached_property
    def latents(self) -> list[ElementLatent]:
        """Electronegativities in V, and x where there are amplitudes."""
        scale = self.stiffness
        chi = ElementLatent(
            self.latent, self.species, scale * self.element_prior, scale
        )
        if self.amplitudes is None:
            return [chi]
        ranks = [kernel.rank for kernel in self.latent.kernels]
        scales = np.repeat(self.amplitudes, ranks)
        return [chi, ElementLatent(self.latent, self.species, ELEMENT_SPREAD, scales)]

    @property
    def n_linear(self) -> int:
        """Number of weights of electronegativities, in which charges are affine."""
        return self.latents[0].rank

    @property
    def rank(self) -> int:
        """Number of weights: of electronegativities, then of x."""
        return len(self.latents) * self.n_linear

    @property
    def kernels(self) -> list:
        """Kernels of electronegativities and hardness."""
        return self.latent.kernels

    def element_hardness(self, numbers: np.ndarray) -> np.ndarray:
        """Return J of the elements in V/e, (n_atoms,)."""
        return self.hardness[np.searchsorted(self.species, numbers)]

    def system(self, atoms, hardness, coulomb=None) -> ChargeEquilibration:
        """Return the charge equilibration of one structure.

        ``hardness`` (n_atoms,) is that of its atoms in V/e, ``coulomb`` its Coulomb
        matrix where that is known.
        """
        widths = self.widths[np.searchsorted(self.species, atoms.numbers)]
        arguments = atoms.positions, atoms.cell[:], atoms.pbc, hardness, widths
        labels = fragment_labels(atoms)
        setting = None if labels is None else fragment_constraints(labels)
        options = {
            "constraints": setting,
            "accuracy": self.accuracy,
            "coulomb": coulomb,
        }
        if self.bond_hardness is None:
            return ChargeEquilibration(*arguments, **options)
        bonds = Bonds.find(atoms, self.species, self.bond_hardness, labels)
        return BondEquilibration(*arguments, bonds, **options)

    def solve(
        self, frames, weights: np.ndarray, keep=make_anew, field=None
    ) -> SolvedEquilibration:
        """Return charges and energies of structures, see `Response`.

        ``field`` (3,) in V/Å is along directions that are not periodic.
        """
        return SolvedEquilibration(self, frames, weights, keep, field)

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return elements and amplitudes for a model file."""
        arrays = {
            "hardness": self.hardness,
            "widths": self.widths,
            "bond_hardness": self.bond_hardness,
            "hardness_amplitudes": self.amplitudes,
        }
        return {name: array for name, array in arrays.items() if array is not None}


def read_arrays(stored: StoredModel, n_species: int, n_terms: int) -> list:
    """Return hardness, widths, bond hardness and amplitudes of `get_arrays`.

    The last two are None where a file has none.

    Raises
    ------
    ValueError
        If they contradict each other, or are not positive.
    """
    hardness = read_positive(stored, "hardness", n_species)
    widths = read_positive(stored, "widths", n_species)
    if widths.max() > WIDEST:
        raise ValueError(f"a charge is {widths.max():g} Å wide")
    bonds = amplitudes = None
    if stored.has("bond_hardness"):
        bonds = read_positive(stored, "bond_hardness", n_species, n_species)
        if not np.array_equal(bonds, bonds.T):
            raise ValueError("the bond hardness of pairs is not symmetric")
    if stored.has("hardness_amplitudes"):
        amplitudes = stored.array("hardness_amplitudes", n_terms)
    return [hardness, widths, bonds, amplitudes]


def read_positive(stored: StoredModel, name: str, *shape) -> np.ndarray:
    """Return an array of positive numbers."""
    array = stored.array(name, *shape)
    if not (array > 0.0).all():
        raise ValueError(f"the array {name!r} is not positive")
    return array
