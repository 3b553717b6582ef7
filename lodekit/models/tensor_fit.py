"""The fit of one irreducible part of a tensor, by the kernels of its order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lodekit.fitting.fit import fit
from lodekit.fitting.left_out import scale_of
from lodekit.fitting.problem import FitResult
from lodekit.fitting.progress import progress_bar
from lodekit.observables.rows import Rows
from lodekit.observables.tensors import Tensor
from lodekit.regression.dual_equations import DualSolution
from lodekit.regression.environments import batches
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.regression.normal_equations import Solution
from lodekit.structures.batch import StructureBatch

#: Atoms whose features are held at once.
BATCH_ATOMS = 1000
#: Name of the rows: their values are in units of their spread.
ROWS = "tensor"
#: Prior standard deviation of the constant of an element, over the root mean square of
#: scalars divided by the number of atoms.
ELEMENT_PRIOR = 10.0
#: Smallest spread of scalars that are all but sums of constants of elements, over their
#: length: digits of the constants are left beside it.
SMALLEST_SPREAD = 1e-4


class TermAmplitude:
    """The amplitude of one kernel in one part; what a fit asks of a kernel."""

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
    amplitudes : list of float
        a, of every kernel.
    n_elements : int
        Number of constants by element: scalars have them, other tensors have none.
    spread : float
        Root mean square of y beside constants of elements, of a structure over the root
        of its number of atoms.
    element_prior : float
        Prior standard deviation of the constants, in units of the target.
    solution : Solution or DualSolution
        Of the constants, then of the kernels.
    std_scale : float
        Calibration factor of standard deviations.
    noise : float
        Standard deviation of the noise of a component of y, in units of the target.
    left_out_error : float or None
        Root mean square error of the components of y on groups of frames left out.
    n_rows : int
    fit_summary : dict
        What else came out of the fit.
    """

    order: int
    sigma: int
    amplitudes: list[float]
    n_elements: int
    spread: float
    element_prior: float
    solution: Solution | DualSolution | None = None
    std_scale: float = 1.0
    noise: float = 0.0
    left_out_error: float | None = None
    n_rows: int = 0
    fit_summary: dict = field(default_factory=dict)

    def take(self, result: FitResult) -> None:
        """Take over what a fit has found."""
        self.solution, self.n_rows = result.solution, result.n_rows[ROWS]
        self.std_scale = scale_of(result.std_scales, ROWS)
        self.noise = result.noises[ROWS] * self.spread
        self.left_out_error = None
        if ROWS in result.errors:
            self.left_out_error = result.errors[ROWS] * self.spread
        self.fit_summary = result.summary()

    def kernel_weights(self, kernels: list[EquivariantKernel]) -> list[np.ndarray]:
        """Return weights of every kernel, in units of the target."""
        weights, start = [], self.n_elements
        for kernel, amplitude in zip(kernels, self.amplitudes, strict=True):
            part = self.solution.weights[start : start + kernel.rank]
            weights.append(self.spread * amplitude * part)
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
        for state, part in zip(states, weights, strict=True):
            values += state.values(part)
        constants = self.solution.weights[: self.n_elements]
        if self.n_elements:
            values += self.element_prior * (is_element @ constants)[:, None]
        return values

    def rows(self, states, is_element, batch, per_atom: bool) -> np.ndarray:
        """Return the rows of y of every atom or structure.

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
            state_rows = state.rows() if per_atom else state.structure_rows()
            parts.append(amplitude * state_rows)
        return np.concatenate(parts, axis=2)


class PartProblem:
    """Rows of one part of a tensor, linear in the weights: a `lodekit.fitting.Problem`.

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

    names, n_linear, solver, units = [ROWS], None, "cholesky", {ROWS: ""}

    def __init__(
        self, frames, values, tensor: Tensor, index, kernels, species, progress
    ):
        self.frames, self.tensor, self.terms = frames, tensor, kernels
        self.species, self.progress = species, progress
        self.values = [tensor.part(index, array) for array in values]
        self.n_rows = np.array([array.size for array in self.values])
        order, sigma, _ = tensor.parts[index]
        self.first_column = species.size if (order, sigma) == (0, 1) else 0
        self.kernels = [TermAmplitude(kernel) for kernel in kernels]
        self.rank = self.first_column + sum(kernel.rank for kernel in kernels)
        scales = self.scales(np.concatenate(self.values))
        amplitudes = [1.0] * len(kernels)
        self.part = TensorPart(order, sigma, amplitudes, self.first_column, *scales)

    def content(self):
        """Yield targets."""
        yield from self.values

    def scales(self, values: np.ndarray) -> tuple[float, float]:
        """Return the spread, and the prior of the constants of elements."""
        numbers = [atoms.numbers[:, None] == self.species for atoms in self.frames]
        if self.tensor.per_atom:
            counts = np.concatenate(numbers) * 1.0
        else:
            counts = np.array([array.sum(axis=0) for array in numbers], dtype=float)
        rest, size = values, counts.sum(axis=1).mean()
        if self.first_column:
            rest = values - counts @ np.linalg.lstsq(counts, values)[0]
        square = np.mean(values**2)
        spread = np.sqrt(max(np.mean(rest**2), SMALLEST_SPREAD**2 * square) / size)
        return float(spread), float(ELEMENT_PRIOR * np.sqrt(square) / size)

    def fit(self, noise, arguments: dict) -> TensorPart:
        """Fit the part.

        Parameters
        ----------
        noise : float or "auto"
            In units of the target.
        arguments : dict
            Of `lodekit.fitting.fit.fit`.
        """
        part = self.part
        noises = {ROWS: noise if noise == "auto" else noise / part.spread}
        result = fit(self, noises, **arguments)
        part.amplitudes = [kernel.factor for kernel in self.kernels]
        part.take(result)
        return part

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and weights (1) of rows, in units of the spread."""
        # a fit that is made again goes on from the amplitudes that were chosen before
        if self.kernels:
            self.part.amplitudes = [kernel.factor for kernel in self.kernels]
        some = [self.frames[i] for i in frames]
        groups = list(batches(some, BATCH_ATOMS))
        for group in progress_bar(groups, f"order {self.part.order}", self.progress):
            batch = StructureBatch.from_frames([some[i] for i in group])
            cache: dict = {}
            states = [kernel.evaluate(batch, cache) for kernel in self.terms]
            is_element = (batch.species[:, None] == self.species) * 1.0
            per_atom = self.tensor.per_atom
            matrix = self.part.rows(states, is_element, batch, per_atom)
            values = [self.values[i] for i in frames[group]]
            owners = np.repeat(
                frames[group], [state_rows.size for state_rows in values]
            )
            values = np.concatenate(values).ravel() / self.part.spread
            rows = Rows(matrix.reshape(-1, self.rank), values, owners)
            yield ROWS, rows, np.ones(values.size)


def summarize_parts(tensors: dict[str, Tensor], parts: dict[str, list]) -> dict:
    """Return facts about the fitted parts of all targets for people."""
    named = [
        (part_name(name, of_tensor, index), part)
        for name, of_tensor in parts.items()
        for index, part in enumerate(of_tensor)
    ]
    errors = {
        name: left_out_error(tensors[name], of_tensor)
        for name, of_tensor in parts.items()
    }
    return {
        "tensors": {
            name: [[part.order, part.sigma] for part in of_tensor]
            for name, of_tensor in parts.items()
        },
        "n_rows": {
            name: sum(part.n_rows for part in of_tensor)
            for name, of_tensor in parts.items()
        },
        "rank": sum(len(part.solution.weights) for _, part in named),
        "effective_rank": sum(p.fit_summary["effective_rank"] for _, p in named),
        "n_groups": named[0][1].fit_summary["n_groups"],
        "n_left_out": named[0][1].fit_summary["n_left_out"],
        "outliers": [
            {**outlier, "target": name}
            for name, part in named
            for outlier in part.fit_summary["outliers"]
        ],
        "noises": {name: part.noise for name, part in named},
        "amplitudes": [a for _, part in named for a in part.amplitudes],
        "std_scales": {name: part.std_scale for name, part in named},
        "held_out_errors": {n: e for n, e in errors.items() if e is not None},
    }


def part_name(name: str, parts: list[TensorPart], index: int) -> str:
    """Return how a summary calls a part of a target; some are one of several."""
    part = parts[index]
    alike = [(other.order, other.sigma) for other in parts[:index]]
    place = alike.count((part.order, part.sigma))
    number = f" ({place + 1})" if place else ""
    pseudo = "" if part.sigma == 1 else " (pseudotensor)"
    return f"{name} of order {part.order}{pseudo}{number}"


def left_out_error(tensor: Tensor, parts: list[TensorPart]) -> float | None:
    """Return the root mean square error of the components on groups left out."""
    if parts[0].left_out_error is None:
        return None
    squares = sum(
        part.left_out_error**2 * np.sum(matrix**2)
        for part, (_, _, matrix) in zip(parts, tensor.parts, strict=True)
    )
    return float(np.sqrt(squares / len(tensor.parts[0][2])))
