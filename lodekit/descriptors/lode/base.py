"""LODE coefficients of a batch, whatever the boundaries of its structures."""

from __future__ import annotations

import numpy as np

from lodekit.descriptors.expansion import CoefficientJacobian
from lodekit.structures.batch import StructureBatch


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
    at_center : ndarray of shape (n_radial,), optional
        What an atom of charge 1 adds to its own coefficient c_n00, besides what is in
        the parts.
    """

    #: Whether sources carry charges, so that channels are not those of species.
    has_charges = False

    def __init__(
        self, batch: StructureBatch, channels, values, parts: list, at_center=None
    ):
        self.at_center = at_center
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

    def reverse(
        self, adjoint: np.ndarray, by_charges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(coefficients) into position and strain gradients.

        Derivatives with respect to the charges of sources are added to ``by_charges``,
        (n_atoms,), where it is given.
        """
        positions = np.zeros((self.batch.n_atoms, 3))
        strain = np.zeros((self.batch.n_structures, 3, 3))
        for atoms, structures, part in self.parts:
            charge_slopes = None if by_charges is None else np.zeros(len(atoms))
            more_positions, more_strain = part.reverse(adjoint[atoms], charge_slopes)
            if charge_slopes is not None:
                by_charges[atoms] += charge_slopes
            positions[atoms] += more_positions
            strain[structures] += more_strain
        if by_charges is not None and self.at_center is not None:
            central = at_centers(adjoint.reshape(self.values.shape), self.channels)
            by_charges += central @ self.at_center
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


def add_at_centers(values, channels, charges, at_center) -> None:
    """Add what atoms with charges add to their own coefficients c_n00, in place."""
    values[np.arange(channels.size), 0, channels] += charges[:, None] * at_center


def at_centers(adjoint: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Return the adjoints of the coefficients c_n00 of atoms in their own channels."""
    return adjoint[np.arange(channels.size), 0, channels]
