"""Atomic latents: quantities that are linear in the features of sparse kernels.

a_i = Phi_i w, with the columns of Phi those of one sparse kernel after another.
Energies, charges, electronegativities and hardnesses of atoms are latents of this kind;
what they are good for is said in `lodekit.observables`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from lodekit.parameters import decode, encode
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch

from .environments import select_sparse_points
from .sparse_kernel import SparseKernel
from .stored_points import PointStore, check_term, read_points


@dataclass
class Latent:
    """An atomic quantity a_i = Phi_i w of one or several kernels.

    Attributes
    ----------
    kernels : list of SparseKernel
        One for each term.
    """

    kernels: list[SparseKernel]

    @classmethod
    def select(cls, frames, terms, species, *, selection=None, random_state=None):
        """Choose sparse points among the environments of ``frames``.

        Parameters
        ----------
        frames : list of ase.Atoms
        terms : iterable of (descriptor, covariance, n_sparse)
        species : ndarray of shape (n_species,)
            Sorted atomic numbers.
        selection, random_state
            See `select_sparse_points`.

        Raises
        ------
        ValueError
            If no environment has any features.
        """
        kernels = []
        for descriptor, covariance, n_sparse in terms:
            kernel = SparseKernel(descriptor, covariance, species)
            select_sparse_points(
                frames,
                kernel,
                n_sparse,
                compact=True,
                selection=selection,
                random_state=random_state,
            )
            kernels.append(kernel)
        if sum(kernel.rank for kernel in kernels) == 0:
            raise ValueError(
                "no environment has any features: no atom has a neighbour within the "
                "cutoff; raise the cutoff"
            )
        return cls(kernels)

    @property
    def rank(self) -> int:
        """Number of weights."""
        return sum(kernel.rank for kernel in self.kernels)

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter to an atom's quantity.

        A descriptor that does not say how far it reaches counts as endless.
        """
        return max(getattr(k.descriptor, "reach", np.inf) for k in self.kernels)

    def evaluate(self, batch: StructureBatch, cache: dict | None = None) -> list:
        """Return the features of every term, each expansion made once.

        ``cache`` shares features with other latents of the same batch, see
        `PowerSpectrum.evaluate`.
        """
        cache = {} if cache is None else cache
        return [
            kernel.descriptor.evaluate(batch, kernel.species, cache)
            for kernel in self.kernels
        ]

    def covariances(self, batch: StructureBatch, states: list) -> list[dict]:
        """Return covariances with the points, by term and species, to be used again.

        Each of the atoms of one species, see `PointKernel.covariance_values`.
        """
        present = set(batch.species.tolist())
        return [
            {
                z: kernel.covariance_values(state.features[batch.species == z], z)
                for z in kernel.points
                if z in present
            }
            for kernel, state in zip(self.kernels, states, strict=True)
        ]

    def rows(
        self, batch: StructureBatch, states: list, rows=None, covariances=None
    ) -> np.ndarray:
        """Return Phi, (n_atoms, rank), written to ``rows`` where given.

        ``covariances`` are those of `covariances`, where they are known.
        """
        if rows is None:
            rows = np.empty((batch.n_atoms, self.rank))
        start = 0
        for term, (kernel, state) in enumerate(zip(self.kernels, states, strict=True)):
            columns = rows[:, start : start + kernel.rank]
            known = covariances[term] if covariances else None
            kernel.write_rows(batch, state.features, columns, known)
            start += kernel.rank
        return rows

    def force_rows(self, batch: StructureBatch, states: list, scales=None):
        """Return minus d(sum_i scales_i Phi_i)/dR, (n_atoms, 3, rank).

        ``scales`` (n_atoms,) are 1 where None.
        """
        parts = [
            kernel.force_rows(batch, state, scales)
            for kernel, state in zip(self.kernels, states, strict=True)
        ]
        return np.concatenate(parts, axis=2)

    def strain_rows(self, batch: StructureBatch, states: list, scales=None):
        """Return d(sum_i scales_i Phi_i)/d(strain), (n_structures, 6, rank), Voigt."""
        parts = [
            kernel.strain_rows(batch, state, scales)
            for kernel, state in zip(self.kernels, states, strict=True)
        ]
        return np.concatenate(parts, axis=2)

    def coefficients(self, weights: np.ndarray) -> list[dict[int, np.ndarray]]:
        """Turn weights into coefficients of covariances, by term and species.

        Weights (..., rank) become (..., n_points).
        """
        coefficients, start = [], 0
        for kernel in self.kernels:
            columns = weights[..., start : start + kernel.rank]
            coefficients.append(kernel.coefficients(columns))
            start += kernel.rank
        return coefficients

    def values(self, batch: StructureBatch, states: list, coefficients: list):
        """Return the latents of all atoms, and their derivatives by term.

        Parameters
        ----------
        coefficients : list of dict
            See `coefficients`.

        Returns
        -------
        values : ndarray of shape (n_atoms,)
        adjoints : list of ndarray of shape (n_atoms, n_features)
            d(a_i)/d(features of i) of every term.
        """
        values, adjoints = np.zeros(batch.n_atoms), []
        for kernel, state, alpha in zip(
            self.kernels, states, coefficients, strict=True
        ):
            part, adjoint = kernel.contract(batch, state.features, alpha)
            values += part
            adjoints.append(adjoint)
        return values, adjoints

    def adjoints(self, batch: StructureBatch, states, weights, covariances) -> list:
        """Return d(Phi_i . weights)/d(features of i) by term, (n_atoms, n_features).

        Parameters
        ----------
        weights : ndarray of shape (n_structures, rank)
            Of every structure.
        covariances : list of dict
            See `covariances`.
        """
        parts = zip(
            self.kernels, states, self.coefficients(weights), covariances, strict=True
        )
        return [
            kernel.adjoint(batch, state.features, alpha, known)
            for kernel, state, alpha, known in parts
        ]

    def gradients(self, batch: StructureBatch, states, adjoints, scales=None):
        """Return the derivatives of sum_i scales_i a_i.

        Terms with the same features share one reverse pass.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        reverse_pass = ReversePass(batch)
        reverse_pass.add(states, adjoints, scales)
        return reverse_pass.run()

    def atom_gradients(self, states, adjoints) -> np.ndarray:
        """Return the derivatives of every a_i on its own, (n_atoms, n_atoms, 3)."""
        terms = merge_terms(states, adjoints)
        return sum(state.atom_gradients(adjoint) for state, adjoint in terms)

    def atom_strain_gradients(self, states, adjoints) -> np.ndarray:
        """Return the strain derivatives of every a_i on its own, (n_atoms, 3, 3)."""
        terms = merge_terms(states, adjoints)
        return sum(state.atom_strain_gradients(adjoint) for state, adjoint in terms)

    def get_state(self, name: str, store: PointStore) -> tuple[list, dict]:
        """Return settings and arrays (named ``name/...``) for a model file.

        Environments of sparse points go to ``store``.
        """
        settings, arrays = [], {}
        for number, kernel in enumerate(self.kernels):
            term, more = store.add(kernel, f"{name}/{number}")
            descriptor = encode(kernel.descriptor, "descriptor")
            covariance = encode(kernel.covariance, "covariance")
            settings.append(
                {**term, "descriptor": descriptor, "covariance": covariance}
            )
            arrays |= more
        return settings, arrays

    @classmethod
    def from_state(cls, stored: StoredModel, name: str, species: np.ndarray):
        """Rebuild what `get_state` returned; ``species`` are those of the model.

        Raises
        ------
        ValueError
            If a term contradicts itself.
        """
        kernels, known = [], {}
        for number, term in enumerate(stored.setting(name, list)):
            descriptor = decode(term["descriptor"], known)
            covariance = decode(term["covariance"])
            check_term(descriptor, covariance)
            kernel = SparseKernel(descriptor, covariance, species)
            read_points(stored, term, f"{name}/{number}", kernel)
            kernels.append(kernel)
        if not kernels:
            raise ValueError("a model needs a term")
        return cls(kernels)


class ReversePass:
    """Adjoints of features that are turned into gradients together.

    Whoever adds adjoints, every descriptor is passed once.

    Parameters
    ----------
    batch : StructureBatch
    """

    def __init__(self, batch: StructureBatch):
        self.batch = batch
        self.parts: dict = {}

    def add(self, states: list, adjoints: list, scales=None, coefficients=()) -> None:
        """Add adjoints of the features of some terms.

        Parameters
        ----------
        states : list
            Features of each term.
        adjoints : list of ndarray of shape (n_atoms, n_features)
        scales : ndarray of shape (n_atoms,), optional
            Factors of the adjoints.
        coefficients : sequence of ndarray, optional
            Adjoints of the coefficients of each factor of every term.
        """
        for state, adjoint in zip(states, adjoints, strict=True):
            if scales is not None:
                adjoint = adjoint * scales[:, None]
            _, known, more = self.parts.get(id(state), (state, 0.0, ()))
            more = [
                sum(parts) for parts in zip_longest(more, coefficients, fillvalue=0.0)
            ]
            self.parts[id(state)] = state, known + adjoint, more

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """Return derivatives by positions and strain, see `Latent.gradients`."""
        positions = np.zeros((self.batch.n_atoms, 3))
        strain = np.zeros((self.batch.n_structures, 3, 3))
        for state, adjoint, coefficients in self.parts.values():
            more_positions, more_strain = state.reverse(adjoint, coefficients)
            positions += more_positions
            strain += more_strain
        return positions, strain


def share_descriptors(kernels) -> None:
    """Give kernels with equal descriptors one object, whose features are made once."""
    known: dict = {}
    for kernel in kernels:
        key = json.dumps(encode(kernel.descriptor, "descriptor"), sort_keys=True)
        kernel.share(known.setdefault(key, kernel.descriptor))


def point_features(kernels):
    """Yield the features of the sparse points of kernels."""
    for kernel in kernels:
        for points in kernel.points.values():
            yield points.features


def count_points(kernels) -> list[dict]:
    """Return the number of sparse points by term and species."""
    return [
        {str(z): len(points.features) for z, points in kernel.points.items()}
        for kernel in kernels
    ]


def merge_terms(states: list, adjoints: list) -> list[tuple]:
    """Return features and the sum of their adjoints, once where terms share them."""
    sums: dict = {}
    for state, adjoint in zip(states, adjoints, strict=True):
        sums[id(state)] = state, sums.get(id(state), (state, 0.0))[1] + adjoint
    return list(sums.values())
