"""The fit of one irreducible part of a tensor, by the kernels of its order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.observables.energy import Rows
from lodekit.observables.tensors import Tensor
from lodekit.regression.dual_equations import DualEquations, DualSolution
from lodekit.regression.environments import batches
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.regression.normal_equations import NormalEquations, Solution
from lodekit.structures.batch import StructureBatch

from .amplitudes import choose_amplitudes
from .progress import progress_bar
from .row_fit import fit_rows

#: Atoms whose features are held at once.
BATCH_ATOMS = 1000
#: Name of the rows: their values are in units of their spread.
ROWS = "tensor"
#: Prior standard deviation of the constant of an element, over the root mean square of
#: scalars divided by the number of atoms.
ELEMENT_PRIOR = 10.0
#: Smallest spread of scalars that are all but constant, over their length.
SMALLEST_SPREAD = 1e-6


class TermAmplitude:
    """The amplitude of one kernel in one part; what `amplify` asks of a kernel."""

    def __init__(self, kernel: EquivariantKernel):
        self.rank, self.factor = kernel.rank, 1.0

    def amplify(self, factor: float) -> None:
        """Multiply the amplitude."""
        self.factor *= float(factor)


@dataclass
class TensorPart:
    """One fitted part y of a tensor: y_i = spread (constant + sum_k a_k Phi_ik w_k).

    Attributes
    ----------
    order, sigma : int
    spread : float
        Root mean square of y beside constants of elements, of a structure over the root
        of its number of atoms.
    amplitudes : list of float
        a, of every kernel.
    n_elements : int
        Number of constants by element: scalars have them, other tensors have none.
    element_prior : float
        Their prior standard deviation, in units of the target.
    solution : Solution or DualSolution
        Of the constants, then of the kernels.
    std_scale : float
        Calibration factor of standard deviations.
    noise : float
        Standard deviation of the noise of a component of y, in units of the target.
    held_out_error : float or None
        Root mean square error of the components of y on held-out frames.
    n_rows : int
    """

    order: int
    sigma: int
    spread: float
    amplitudes: list[float]
    n_elements: int
    element_prior: float
    solution: Solution | DualSolution | None = None
    std_scale: float = 1.0
    noise: float = 0.0
    held_out_error: float | None = None
    n_rows: int = 0

    def kernel_weights(self, kernels: list[EquivariantKernel]) -> list[np.ndarray]:
        """Return weights of every kernel, in units of the target."""
        weights, start = [], self.n_elements
        for kernel, amplitude in zip(kernels, self.amplitudes, strict=True):
            own = self.solution.weights[start : start + kernel.rank]
            weights.append(self.spread * amplitude * own)
            start += kernel.rank
        return weights

    def values(self, kernels, states, is_element: np.ndarray) -> np.ndarray:
        """Return y of all atoms, (n_atoms, 2 order + 1).

        Parameters
        ----------
        kernels : list of EquivariantKernel
        states : list of EquivariantState
        is_element : ndarray of shape (n_atoms, n_species)
        """
        values = np.zeros((len(is_element), 2 * self.order + 1))
        weights = self.kernel_weights(kernels)
        for state, own in zip(states, weights, strict=True):
            values += state.values(own)
        constants = self.solution.weights[: self.n_elements]
        if self.n_elements:
            values += self.element_prior * (is_element @ constants)[:, None]
        return values

    def rows(self, states, is_element, batch, per_atom: bool) -> np.ndarray:
        """Return what y of every atom or structure is linear in.

        Returns
        -------
        rows : ndarray of shape (n, 2 order + 1, rank)
            Times weights and the spread they are y.
        """
        prior = self.element_prior / self.spread
        parts = [prior * is_element[:, None]] if self.n_elements else []
        if parts and not per_atom:
            parts = [np.add.reduceat(parts[0], batch.first_atom[:-1])]
        for state, amplitude in zip(states, self.amplitudes, strict=True):
            own = state.rows() if per_atom else state.structure_rows()
            parts.append(amplitude * own)
        return np.concatenate(parts, axis=2)


class PartFit:
    """Fits one part of a tensor.

    Parameters
    ----------
    frames : list of ase.Atoms
    values : list of ndarray of shape (1 or n_atoms, n_components)
        Of every frame.
    tensor : Tensor
    index : int
        Number of the part.
    kernels : list of EquivariantKernel
    species : ndarray of shape (n_species,)
    progress : bool
    """

    def __init__(
        self, frames, values, tensor: Tensor, index, kernels, species, progress
    ):
        self.frames, self.tensor, self.kernels = frames, tensor, kernels
        self.species, self.progress = species, progress
        self.values = [tensor.part(index, own) for own in values]
        order, sigma, _ = tensor.parts[index]
        n_elements = species.size if (order, sigma) == (0, 1) else 0
        spread, element_prior = self.scales(np.concatenate(self.values), n_elements)
        amplitudes = [1.0] * len(kernels)
        self.part = TensorPart(
            order, sigma, spread, amplitudes, n_elements, element_prior
        )

    def scales(self, values: np.ndarray, n_elements: int) -> tuple[float, float]:
        """Return the spread, and the prior of the constants of elements."""
        numbers = [atoms.numbers[:, None] == self.species for atoms in self.frames]
        if self.tensor.per_atom:
            counts = np.concatenate(numbers) * 1.0
        else:
            counts = np.array([own.sum(axis=0) for own in numbers], dtype=float)
        rest, size = values, counts.sum(axis=1).mean()
        if n_elements:
            rest = values - counts @ np.linalg.lstsq(counts, values)[0]
        square = np.mean(values**2)
        spread = np.sqrt(max(np.mean(rest**2), SMALLEST_SPREAD**2 * square) / size)
        return float(spread), float(ELEMENT_PRIOR * np.sqrt(square) / size)

    @property
    def rank(self) -> int:
        """Number of weights."""
        return self.part.n_elements + sum(kernel.rank for kernel in self.kernels)

    def run(self, train, held_out, noise, lap) -> TensorPart:
        """Fit to the frames of indices ``train``, then to the held-out ones, too.

        Parameters
        ----------
        train, held_out : ndarray of int
        noise : float or "auto"
            In units of the target.
        lap : callable
            See `fit_rows`.
        """
        part, n_rows = self.part, sum(own.size for own in self.values)
        equations = (
            DualEquations(self.rank)
            if n_rows < self.rank
            else NormalEquations(self.rank, [ROWS])
        )
        terms = [TermAmplitude(kernel) for kernel in self.kernels]
        given = {ROWS: noise if noise == "auto" else noise / part.spread}
        fit = fit_rows(
            self.stream(train),
            self.stream(held_out),
            equations,
            choose_amplitudes(terms, part.n_elements, given),
            lap,
        )
        part.amplitudes = [term.factor for term in terms]
        part.solution, part.std_scale = fit.solution, fit.std_scale
        part.noise = fit.noises[ROWS] * part.spread
        part.n_rows = fit.n_rows[ROWS]
        if ROWS in fit.held_out_errors:
            part.held_out_error = fit.held_out_errors[ROWS] * part.spread
        return part

    def stream(self, chosen):
        """Yield the rows of every chosen frame, in units of the spread."""
        some = [self.frames[i] for i in chosen]
        groups = list(batches(some, BATCH_ATOMS))
        for group in progress_bar(groups, f"order {self.part.order}", self.progress):
            batch = StructureBatch.from_frames([some[i] for i in group])
            cache: dict = {}
            states = [kernel.evaluate(batch, cache) for kernel in self.kernels]
            is_element = (batch.species[:, None] == self.species) * 1.0
            per_atom = self.tensor.per_atom
            matrix = self.part.rows(states, is_element, batch, per_atom)
            bounds = batch.first_atom if per_atom else np.arange(len(group) + 1)
            for place, index in enumerate(group):
                rows = matrix[bounds[place] : bounds[place + 1]].reshape(-1, self.rank)
                values = self.values[chosen[index]].ravel() / self.part.spread
                frames = np.full(values.size, chosen[index])
                yield ROWS, Rows(rows, values, frames), np.ones(values.size)


def summarize_parts(tensors: dict[str, Tensor], parts: dict[str, list]) -> dict:
    """Return what people may want to know of the fitted parts of all targets."""
    named = [(part_name(name, p), p) for name, own in parts.items() for p in own]
    errors = {name: held_out_error(tensors[name], own) for name, own in parts.items()}
    return {
        "tensors": {
            name: [[part.order, part.sigma] for part in own]
            for name, own in parts.items()
        },
        "n_rows": {
            name: sum(part.n_rows for part in own) for name, own in parts.items()
        },
        "rank": sum(len(part.solution.weights) for _, part in named),
        "effective_rank": sum(part.solution.effective_rank for _, part in named),
        "noises": {name: part.noise for name, part in named},
        "amplitudes": [a for _, part in named for a in part.amplitudes],
        "std_scales": {name: part.std_scale for name, part in named},
        "held_out_errors": {n: e for n, e in errors.items() if e is not None},
    }


def part_name(name: str, part: TensorPart) -> str:
    """Return how a summary calls a part of a target."""
    pseudo = "" if part.sigma == 1 else " (pseudotensor)"
    return f"{name} of order {part.order}{pseudo}"


def held_out_error(tensor: Tensor, parts: list[TensorPart]) -> float | None:
    """Return the root mean square error of the components on held-out frames."""
    if parts[0].held_out_error is None:
        return None
    squares = sum(
        part.held_out_error**2 * np.sum(matrix**2)
        for part, (_, _, matrix) in zip(parts, tensor.parts, strict=True)
    )
    return float(np.sqrt(squares / len(tensor.parts[0][2])))
