"""Charges of atoms as an atomic latent that is moved to the total charge.

q_i = q_0(species of i) + a_i, less what the atoms of a structure have together over its
total charge, shared equally.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch

from .latent import Latent
from .stored_points import PointStore


@dataclass
class ChargeLatent:
    """Predicted charges in e.

    Attributes
    ----------
    latent : Latent
    elements : ndarray of shape (n_species,)
        Charges of the elements, in the order of the species of the kernels.
    weights : ndarray of shape (rank,)
        Of the latent.
    """

    latent: Latent
    elements: np.ndarray
    weights: np.ndarray

    def __post_init__(self):
        """Contract the weights with the projections once."""
        self.coefficients = self.latent.coefficients(self.weights)

    @property
    def species(self) -> np.ndarray:
        """Sorted atomic numbers that charges are known for."""
        return self.latent.kernels[0].species

    def get_state(self, store: PointStore) -> tuple[list, dict]:
        """Return settings and arrays, ``sources/...``, for a model file.

        Environments of sparse points go to ``store``.
        """
        settings, arrays = self.latent.get_state("sources", store)
        arrays |= {"sources/elements": self.elements, "sources/weights": self.weights}
        return settings, arrays

    @classmethod
    def from_state(cls, stored: StoredModel, species: np.ndarray) -> ChargeLatent:
        """Rebuild what `get_state` returned, the setting "sources" and arrays.

        Raises
        ------
        ValueError
            If they contradict each other.
        """
        latent = Latent.from_state(stored, "sources", species)
        elements = stored.array("sources/elements", species.size)
        return cls(latent, elements, stored.array("sources/weights", latent.rank))

    def evaluate(self, batch: StructureBatch) -> ChargeState:
        """Return the charges of a batch."""
        return ChargeState(self, batch)


class ChargeState:
    """Charges of one batch, and their derivatives.

    Attributes
    ----------
    values : ndarray of shape (n_atoms,)
        In e; they sum to the total charge of every structure.
    """

    def __init__(self, model: ChargeLatent, batch: StructureBatch):
        self.latent, self.batch = model.latent, batch
        self.states = model.latent.evaluate(batch)
        values, self.adjoints = model.latent.values(
            batch, self.states, model.coefficients
        )
        values = values + model.elements[np.searchsorted(model.species, batch.species)]
        sizes = np.diff(batch.first_atom)
        share = np.repeat(batch.total_charges / sizes, sizes)
        self.values = self.less_means(values) + share

    def less_means(self, values: np.ndarray) -> np.ndarray:
        """Return values (n_atoms, ...) less their means over each structure."""
        values, limits = values.copy(), self.batch.first_atom
        for start, stop in zip(limits[:-1], limits[1:], strict=True):
            values[start:stop] -= values[start:stop].mean(axis=0)
        return values

    def gradients(self, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return those of sum_i scales_i q_i by positions and by strain."""
        scales = self.less_means(scales)
        return self.latent.gradients(self.batch, self.states, self.adjoints, scales)

    def atom_gradients(self) -> np.ndarray:
        """Return the derivatives of every charge, (n_atoms, n_atoms, 3)."""
        gradients = self.latent.atom_gradients(self.states, self.adjoints)
        return self.less_means(gradients)

    def atom_strain_gradients(self) -> np.ndarray:
        """Return the strain derivatives of every charge, (n_atoms, 3, 3)."""
        gradients = self.latent.atom_strain_gradients(self.states, self.adjoints)
        return self.less_means(gradients)
