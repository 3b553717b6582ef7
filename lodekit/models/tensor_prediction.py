"""Predictions of tensors for a few frames at a time."""

from __future__ import annotations

import numpy as np

from lodekit.observables.tensors import Tensor
from lodekit.structures.batch import StructureBatch


class TensorPrediction:
    """Predictions of a fitted `TensorModel` for some frames.

    Parameters
    ----------
    model : TensorModel
    frames : list of ase.Atoms
    """

    def __init__(self, model, frames):
        self.model, self.frames = model, frames
        self.batch, cache = StructureBatch.from_frames(frames), {}
        self.states = {
            key: [kernel.evaluate(self.batch, cache) for kernel in kernels]
            for key, kernels in model.kernels_.items()
        }
        self.is_element = (self.batch.species[:, None] == model.species_) * 1.0

    def results(self, wanted: list[str]) -> list[dict]:
        """Return targets, or with _std their standard deviations, of every frame."""
        results = [{} for _ in self.frames]
        for name in wanted:
            tensor = self.model.tensors_[name.removesuffix("_std")]
            is_value = name in self.model.tensors_
            values = self.values(tensor) if is_value else self.deviations(tensor)
            bounds = np.arange(1, len(self.frames))
            if tensor.per_atom:
                bounds = self.batch.first_atom[1:-1]
            for result, part in zip(results, np.split(values, bounds), strict=True):
                part = part.reshape(len(part), *tensor.shape)
                result[name] = part if tensor.per_atom else part[0]
        return results

    def parts(self, tensor: Tensor):
        """Yield every fitted part of a target with its matrix and its states."""
        fitted = self.model.parts_[tensor.name]
        for part, (_, _, matrix) in zip(fitted, tensor.parts, strict=True):
            yield part, matrix, self.states[part.order, part.sigma]

    def values(self, tensor: Tensor) -> np.ndarray:
        """Return a target of all atoms or structures, (n, n_components)."""
        total = np.zeros((self.batch.n_atoms, len(tensor.parts[0][2])))
        for part, matrix, states in self.parts(tensor):
            kernels = self.model.kernels_[part.order, part.sigma]
            total += part.values(kernels, states, self.is_element) @ matrix.T
        if tensor.per_atom:
            return total
        return np.add.reduceat(total, self.batch.first_atom[:-1])

    def deviations(self, tensor: Tensor) -> np.ndarray:
        """Return standard deviations of a target, (n, n_components).

        Parts have posteriors of their own: their variances add up.
        """
        variances = 0.0
        for part, matrix, states in self.parts(tensor):
            rows = part.rows(states, self.is_element, self.batch, tensor.per_atom)
            rows = part.std_scale * part.spread * (matrix @ rows)
            deviations = part.solution.standard_deviations(
                rows.reshape(-1, rows.shape[2])
            )
            variances = variances + deviations.reshape(rows.shape[:2]) ** 2
        return np.sqrt(variances)

    def gradients(self, tensor: Tensor, adjoints: np.ndarray):
        """Return the derivatives of sum_k adjoint_k t_k of every structure.

        Parameters
        ----------
        tensor : Tensor
        adjoints : ndarray of shape (n_structures, n_components)

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        positions = np.zeros((self.batch.n_atoms, 3))
        strain = np.zeros((self.batch.n_structures, 3, 3))
        of_atoms = adjoints[self.batch.structure_of_atom]
        for part, matrix, states in self.parts(tensor):
            weights = part.kernel_weights(self.model.kernels_[part.order, part.sigma])
            for state, weights_of_kernel in zip(states, weights, strict=True):
                more = state.gradients(weights_of_kernel, of_atoms @ matrix)
                positions += more[0]
                strain += more[1]
        return positions, strain
