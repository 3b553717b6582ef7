"""LODE coefficients of a batch, whatever the boundaries of its structures."""

from __future__ import annotations

import numpy as np

from lodekit.structures.batch import StructureBatch

from .expansion import CoefficientJacobian


class LodeExpansion:
    """LODE coefficients of a batch, a sum of parts that cover some structures each.

    Parameters
    ----------
    batch : StructureBatch
    channels : ndarray of shape (n_atoms,)
        Channel of every atom's species.
    values : ndarray of shape (n_atoms, n_lm, n_channels, n_radial)
        Coefficients.
    parts : list of (atoms, structures, expansion)
        Indices into the batch, and the expansion of these structures.
    """

    def __init__(self, batch: StructureBatch, channels, values, parts: list):
        self.batch = batch
        self.channels = channels
        self.values = values
        self.parts = parts

    @property
    def coefficients(self) -> np.ndarray:
        """Coefficients of shape (n_atoms, n_lm, n_channels * n_radial)."""
        return self.values.reshape(*self.values.shape[:2], -1)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.values.shape[2]

    @property
    def has_neighbor(self) -> np.ndarray:
        """Whether a species is in the structure of an atom, (n_atoms, n_channels)."""
        structure = self.batch.structure_of_atom
        has = np.zeros((self.batch.n_structures, self.values.shape[2]), dtype=bool)
        has[structure, self.channels] = True
        return has[structure]

    def reverse(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(coefficients) into position and strain gradients."""
        positions = np.zeros((self.batch.n_atoms, 3))
        strain = np.zeros((self.batch.n_structures, 3, 3))
        for atoms, structures, part in self.parts:
            more_positions, more_strain = part.reverse(adjoint[atoms])
            positions[atoms] += more_positions
            strain[structures] += more_strain
        return positions, strain

    def jacobian(self) -> CoefficientJacobian:
        """Return the derivatives with respect to positions."""
        parts = [part.jacobian() for _, _, part in self.parts]
        if len(parts) == 1:
            return parts[0]
        centers = np.concatenate(
            [atoms[p.centers] for p, (atoms, *_) in zip(parts, self.parts, strict=True)]
        )
        movers = np.concatenate(
            [atoms[p.movers] for p, (atoms, *_) in zip(parts, self.parts, strict=True)]
        )
        order = np.argsort(centers, kind="stable")
        return CoefficientJacobian(
            centers[order],
            movers[order],
            np.concatenate([part.channels for part in parts])[order],
            np.concatenate([part.derivatives for part in parts])[order],
        )

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain, (n_atoms, 3, 3, n_lm, n_q)."""
        n_atoms, n_lm, n_channels, n_radial = self.values.shape
        jacobian = np.zeros((n_atoms, 3, 3, n_lm, n_channels * n_radial))
        for atoms, _, part in self.parts:
            jacobian[atoms] += part.strain_jacobian()
        return jacobian
