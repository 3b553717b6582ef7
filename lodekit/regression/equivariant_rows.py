"""Derivatives of equivariant covariances with sparse points: rows by all weights.

With y_i the adjoint of tensor i and s_imb = sum_ac y_ia p_i[a, c] p_m[b, c],

    sum_a y_ia dK(i, m)_ab = df(i, m) s_imb + f(i, m) sum_ac y_ia dp_i[a, c] p_m[b, c].

The first part is that of scalars with 2 order + 1 scales, in `covariance_gradients`. In
the second one the contracted features sum_a y_ia p_i[a] are bilinear in the expansions,
as invariants are, and every column m, b is one of their points.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from lodekit.descriptors.contracted_factors import ContractedFactor
from lodekit.descriptors.power_spectrum import Factor

from .covariance_gradients import add_position_gradients, add_strain_gradients


class SpeciesRows:
    """Derivatives of sum_i adjoint_i . K(i, m) for the atoms of one species.

    Parameters
    ----------
    state : EquivariantState
    species : int
    adjoint : ndarray of shape (n_atoms, 2 order + 1)
    """

    def __init__(self, state, species: int, adjoint: np.ndarray):
        self.state, self.species = state, species
        self.kernel, self.points = state.kernel, state.kernel.points[species]
        self.atoms = state.atoms(species)
        self.adjoint = adjoint[self.atoms]
        tensors = state.tensors(species)
        pulled = np.einsum("iac,ia->ic", tensors, self.adjoint)
        n_points, n_components, n_channels = self.points.tensors.shape
        scales = pulled @ self.points.tensors.reshape(-1, n_channels).T
        scales = scales.reshape(-1, n_points, n_components).swapaxes(1, 2)
        values, *self.slopes = self.kernel.evaluate_species(
            state.batch, state.invariants.features, species, scales
        )
        # one column for every point and component
        self.values = np.repeat(values, n_components, axis=1)[:, None]
        self.n_components, self.n_points = n_components, n_points

    @cached_property
    def contracted(self) -> list[tuple[Factor, ContractedFactor]]:
        """The expansions of the tensors, contracted with the adjoint."""
        sigma, channels = self.kernel.sigma, self.kernel.channels(self.species)
        return [
            (
                factor,
                ContractedFactor(
                    factor, factor.partner, channels, sigma, self.atoms, self.adjoint
                ),
            )
            for factor in self.state.tensor_factors
        ]

    def positions(self) -> np.ndarray:
        """Return derivatives by positions, (n_atoms, 3, 2 order + 1, n_points)."""
        state, n_atoms = self.state, self.state.batch.n_atoms
        rows = np.zeros((n_atoms, 3, self.n_components, self.n_points))
        moving = [state.moving[id(factor)] for factor in state.invariants.factors]
        arguments = state.invariants, self.species, self.atoms, *self.slopes
        self.kernel.add_position_rows(moving, *arguments, rows)
        columns = np.zeros((n_atoms, 3, 1, self.values.shape[2]))
        for factor, contracted in self.contracted:
            moving_factor = replace(state.moving[id(factor)], factor=contracted)
            transfers = self.kernel.tensor_transfers(contracted, self.species)
            shifts = np.zeros_like(self.values)
            add_position_gradients(
                moving_factor, transfers, self.atoms, None, self.values, shifts, columns
            )
        return -(rows + self.by_component(columns))

    def strain(self) -> np.ndarray:
        """Return derivatives by strain, (n_structures, 6, 2 order + 1, n_points)."""
        state, batch = self.state, self.state.batch
        shape = (batch.n_structures, 6, self.n_components, self.n_points)
        rows = np.zeros(shape)
        arguments = state.invariants, self.species, self.atoms, *self.slopes
        self.kernel.add_strain_rows(batch, *arguments, rows)
        columns = np.zeros((batch.n_structures, 6, 1, self.values.shape[2]))
        for _, contracted in self.contracted:
            transfers = self.kernel.tensor_transfers(contracted, self.species)
            shifts, places = np.zeros_like(self.values), batch.structure_of_atom
            add_strain_gradients(
                contracted,
                transfers,
                self.atoms,
                None,
                self.values,
                shifts,
                places,
                columns,
            )
        return rows + self.by_component(columns)

    def by_component(self, columns: np.ndarray) -> np.ndarray:
        """Turn columns of points and components to an axis of each, points last."""
        shape = (*columns.shape[:2], self.n_points, self.n_components)
        return columns.reshape(shape).swapaxes(2, 3)
