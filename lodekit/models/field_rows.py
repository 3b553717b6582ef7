"""Rows of structures in electric fields, by dipoles and responses together.

With the factors c of `physics.field_energy` every target of a structure in a field E is
a sum over Y = M, alpha and beta, each of them linear in its weights:

    M(E), alpha(E), beta:   t = sum_Y c_Y(E) . Y,
    Z(E), a derivative:     t = sum_Y c_Y(E) . dY/dR,
    U(E) - U(E'):           t = sum_Y (U_Y(E) - U_Y(E')) . Y,
    F(E) - F(E'):           t = -sum_Y (U_Y(E) - U_Y(E')) . dY/dR.

Differences of energies and forces of two calculations at the same positions do not
depend on U_0.
"""

from __future__ import annotations

import numpy as np

from lodekit.observables.tensors import SYMMETRIC, Tensor, cartesian_parts
from lodekit.physics.atomic_dipoles import AtomicDipoles
from lodekit.quantities import quantity
from lodekit.structures.batch import StructureBatch

from .polarization_prediction import RESPONSES
from .tensor_fit import ELEMENT_PRIOR, TensorPart, TermAmplitude

#: Spreads of alpha and beta to start from, over the root of the number of atoms.
SPREADS = dict(zip(RESPONSES, (1.0, 1e-2), strict=True))


def symmetric_tensor(name: str) -> Tensor:
    """Return shape and parts of a response, symmetric in all indices."""
    shape = quantity(name).shape
    tensor, known = Tensor(name, False, shape, []), cartesian_parts(3 ** len(shape))
    for key, directions in SYMMETRIC[len(shape)].items():
        tensor.add(key, directions, known[key])
    return tensor


class ResponseLatents:
    """Alpha or beta of structures, linear in weights.

    Parameters
    ----------
    model : TensorModel
        With its kernels.
    name : str
    """

    def __init__(self, model, name: str):
        self.model, self.tensor = model, model.tensors_[name]
        self.unit, self.parts, self.amplitudes = RESPONSES[name], [], []
        spread = SPREADS[name]
        for order, sigma, _ in self.tensor.parts:
            kernels = model.kernels_[order, sigma]
            n_elements = model.species_.size if order == 0 else 0
            part = TensorPart(
                *(order, sigma, [1.0] * len(kernels), n_elements),
                *(spread, ELEMENT_PRIOR * spread),
            )
            self.parts.append(part)
            self.amplitudes.append([TermAmplitude(kernel) for kernel in kernels])

    @property
    def n_elements(self) -> int:
        """Number of constants of elements, the first weights."""
        return sum(part.n_elements for part in self.parts)

    @property
    def ranks(self) -> list[int]:
        """Weights of the kernels of every part."""
        return [sum(response.rank for response in part) for part in self.amplitudes]

    def evaluate(self, batch: StructureBatch, cache: dict) -> None:
        """Make the features of a batch."""
        self.batch = batch
        self.is_element = (batch.species[:, None] == self.model.species_) * 1.0
        self.states = []
        for part, amplitudes in zip(self.parts, self.amplitudes, strict=True):
            part.amplitudes = [response.factor for response in amplitudes]
            kernels = self.model.kernels_[part.order, part.sigma]
            self.states.append([kernel.evaluate(batch, cache) for kernel in kernels])

    def components(self, factors: np.ndarray) -> list[np.ndarray]:
        """Return factors of all parts, (n_structures, 2 order + 1)."""
        flat = factors.reshape(len(factors), -1) / self.unit
        return [flat @ matrix for *_, matrix in self.tensor.parts]

    def rows(self, factors: np.ndarray) -> np.ndarray:
        """Return the rows of the sum of factor . Y, (n_structures, rank).

        Constants of elements first.
        """
        constants, kernels = [], []
        for part, states, weights in zip(
            self.parts, self.states, self.components(factors), strict=True
        ):
            rows = part.rows(states, self.is_element, self.batch, per_atom=False)
            rows = part.spread * np.einsum("nm,nmw->nw", weights, rows)
            constants.append(rows[:, : part.n_elements])
            kernels.append(rows[:, part.n_elements :])
        return np.hstack([*constants, *kernels])

    def position_rows(self, factors: np.ndarray) -> np.ndarray:
        """Return the derivatives of `rows` by positions, (n_atoms, 3, rank)."""
        rows = [np.zeros((self.batch.n_atoms, 3, self.n_elements))]
        places = self.batch.structure_of_atom
        for part, states, weights in zip(
            self.parts, self.states, self.components(factors), strict=True
        ):
            for state, amplitude in zip(states, part.amplitudes, strict=True):
                scale = part.spread * amplitude
                rows.append(scale * state.position_rows(weights[places]))
        return np.concatenate(rows, axis=2)

    def fitted(self, weights: np.ndarray, solve, noise: float, n_frames: int):
        """Return the model with its fitted parts.

        Parameters
        ----------
        weights : ndarray of shape (rank,)
            Numbers of the weights among those of the fit.
        solve : callable
            Returns the posterior of some weights.
        noise : float
        n_frames : int
        """
        constants, kernels = np.split(weights, [self.n_elements])
        kernels = np.split(kernels, np.cumsum(self.ranks)[:-1])
        for part, amplitudes, columns in zip(
            self.parts, self.amplitudes, kernels, strict=True
        ):
            part.amplitudes = [one.factor for one in amplitudes]
            some = np.concatenate([constants[: part.n_elements], columns])
            part.solution, part.noise = solve(some.astype(int)), noise
        summary = {
            "n_structures": n_frames,
            "noises": {self.tensor.name: noise},
            "amplitudes": [a for part in self.parts for a in part.amplitudes],
        }
        return self.model.adopt(self.parts, summary)


class FieldLatents:
    """Dipoles and responses, with the columns of their weights.

    Weights are the constants of elements, then the kernels of dipoles and responses.

    Parameters
    ----------
    dipoles : AtomicDipoles
    responses : dict of str to ResponseLatents
    """

    def __init__(self, dipoles: AtomicDipoles, responses: dict):
        self.dipoles, self.responses = dipoles, responses
        alpha_and_beta = list(responses.values())
        self.first_column = sum(response.n_elements for response in alpha_and_beta)
        self.rank = self.first_column + dipoles.rank
        self.rank += sum(sum(response.ranks) for response in alpha_and_beta)
        self.kernels = [*dipoles.kernels]
        for response in alpha_and_beta:
            self.kernels += [one for part in response.amplitudes for one in part]

    def columns(self) -> tuple[np.ndarray, dict]:
        """Return the columns of dipoles, and by name those of responses."""
        stop = self.first_column + self.dipoles.rank
        of_dipoles, of_responses = np.arange(self.first_column, stop), {}
        first = 0
        for name, response in self.responses.items():
            n_kernels = sum(response.ranks)
            constants = np.arange(first, first + response.n_elements)
            kernels = np.arange(stop, stop + n_kernels)
            of_responses[name] = np.concatenate([constants, kernels]).astype(int)
            first, stop = first + response.n_elements, stop + n_kernels
        return of_dipoles, of_responses

    def evaluate(self, batch: StructureBatch) -> None:
        """Make the features of a batch."""
        self.batch, cache = batch, {}
        self.state = self.dipoles.evaluate(batch)
        for response in self.responses.values():
            response.evaluate(batch, cache)
        self.moment_rows = self.state.moment_rows()

    def rows(self, factors: list[np.ndarray]) -> np.ndarray:
        """Return the rows of the sum of factor . Y, (n_structures, rank)."""
        by_moment = np.einsum("na,naw->nw", factors[0], self.moment_rows)
        return self.join(by_moment, [response.rows for response in self.all()], factors)

    def position_rows(self, factors: list[np.ndarray]) -> np.ndarray:
        """Return the derivatives of `rows` by positions, (n_atoms, 3, rank)."""
        adjoint = factors[0][self.batch.structure_of_atom]
        by_moment = self.state.position_rows(adjoint)
        makers = [response.position_rows for response in self.all()]
        return self.join(by_moment, makers, factors)

    def all(self) -> list[ResponseLatents]:
        """Return alpha, then beta where it is fitted."""
        return list(self.responses.values())

    def join(self, by_moment, makers, factors) -> np.ndarray:
        """Put the rows of dipoles and responses into their columns."""
        rows = np.empty((*by_moment.shape[:-1], self.rank))
        of_dipoles, of_responses = self.columns()
        rows[..., of_dipoles] = by_moment
        places = list(RESPONSES)
        for (name, columns), make in zip(of_responses.items(), makers, strict=True):
            rows[..., columns] = make(factors[1 + places.index(name)])
        return rows
