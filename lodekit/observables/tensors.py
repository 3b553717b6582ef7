"""Tensors of structures and of atoms, as they are written and as irreducible parts.

A Cartesian tensor is a sum of parts that turn like spherical harmonics, t = sum B y
with orthonormal columns B: y = B^T t. Components are in the order of rows, x before y
before z, or xx, yy, zz, yz, xz, xy for six; those of y in the order m = -order..order.

| tensor | numbers | parts (order, sigma) |
|---|---|---|
| scalar | 1 | (0, 1) |
| vector | 3 | (1, 1) |
| symmetric matrix | 6 or 9 | (0, 1), (2, 1) |
| matrix | 9 | (0, 1), (1, -1), (2, 1) |
| rank 3, symmetric in all indices | 27 | (1, 1), (3, 1) |
| spherical, of order l | 2 l + 1 | (l, 1) |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lodekit.descriptors.clebsch_gordan import clebsch_gordan
from lodekit.errors import StructureError
from lodekit.structures import TARGETS, frame_name, get_target
from lodekit.structures.values import as_numbers

#: A part that is smaller than this, times the length of the tensors, is left out.
SMALLEST_PART = 1e-3
#: Rows of the Cartesian components of six numbers among nine, and how often they occur.
SIX = np.array([0, 4, 8, 5, 2, 1])
TIMES = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])


@dataclass
class Tensor:
    """Shape and symmetry of one target.

    Attributes
    ----------
    name : str
    per_atom : bool
    shape : tuple of int
        Of one structure, or of one atom.
    parts : list of (order, sigma, ndarray of shape (n_components, 2 order + 1))
        Irreducible parts; multiplied with one, the matrix gives its components.
    is_spherical : bool
        Whether the components are those of a spherical tensor.
    """

    name: str
    per_atom: bool
    shape: tuple
    parts: list[tuple]
    is_spherical: bool = False

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Order and sigma of the parts."""
        return [part[:2] for part in self.parts]

    def part(self, index: int, values: np.ndarray) -> np.ndarray:
        """Return one part y of ``values`` (n, n_components), (n, 2 order + 1)."""
        matrix = self.parts[index][2]
        # six components stand for nine: their matrix is no longer orthonormal
        return values @ np.linalg.pinv(matrix).T


def axis_matrix() -> np.ndarray:
    """Return the harmonics of order 1, which are y, z, x, by x, y and z."""
    return np.eye(3)[[1, 2, 0]].T


@lru_cache(maxsize=8)
def matrix_parts() -> dict[tuple, np.ndarray]:
    """Return B of the parts of a matrix of nine components, by order and sigma."""
    axes = axis_matrix()
    return {
        (order, (-1) ** order): np.einsum(
            "am,bn,mnk->abk", axes, axes, clebsch_gordan(1, 1, order)
        ).reshape(9, -1)
        for order in range(3)
    }


@lru_cache(maxsize=8)
def cubic_parts() -> dict[tuple, np.ndarray]:
    """Return B of the parts of a symmetric tensor of 27 components."""
    axes = axis_matrix()
    second = matrix_parts()[2, 1].reshape(3, 3, 5)
    third = np.einsum("abm,cn,mnk->abck", second, axes, clebsch_gordan(2, 1, 3))
    vector = np.einsum("ab,ck->abck", np.eye(3), axes)
    vector = vector + vector.transpose(0, 2, 1, 3) + vector.transpose(2, 1, 0, 3)
    return {
        (1, 1): vector.reshape(27, 3) / np.sqrt(15.0),
        (3, 1): third.reshape(27, 7),
    }


def cartesian_parts(n_components: int) -> dict[tuple, np.ndarray]:
    """Return B of all parts that Cartesian tensors of a number of components have."""
    if n_components == 1:
        return {(0, 1): np.eye(1)}
    if n_components == 3:
        return {(1, 1): axis_matrix()}
    if n_components == 6:
        parts = matrix_parts()
        return {key: parts[key][SIX] for key in ((0, 1), (2, 1))}
    return matrix_parts() if n_components == 9 else cubic_parts()


def describe_tensor(name: str, values: np.ndarray, spherical=(), per_atom=False):
    """Return the `Tensor` that values are, with the parts that they have.

    Parameters
    ----------
    name : str
    values : ndarray of shape (n, ...)
        One row for a structure, or for an atom.
    spherical : iterable of str
        Names of targets that are spherical tensors.

    Raises
    ------
    ValueError
        If the number of components is that of no tensor, or one of rank 3 is not
        symmetric.
    """
    shape = values.shape[1:]
    values = values.reshape(len(values), -1)
    n_components = values.shape[1]
    if name in spherical:
        if n_components % 2 == 0:
            raise ValueError(
                f"a spherical tensor has 2 l + 1 components, {name} has {n_components}"
            )
        order = n_components // 2
        parts = [(order, 1, np.eye(n_components))]
        return Tensor(name, per_atom, shape, parts, is_spherical=True)
    if n_components not in (1, 3, 6, 9, 27):
        raise ValueError(
            f"{name} has {n_components} components; Cartesian tensors have 1, 3, 6 or "
            "9 (a matrix) or 27 (rank 3), others are named among `spherical`"
        )
    tensor = Tensor(name, per_atom, shape, [])
    rest, total = values.copy(), np.linalg.norm(values)
    for (order, sigma), matrix in cartesian_parts(n_components).items():
        part = Tensor(name, per_atom, shape, [(order, sigma, matrix)])
        component = part.part(0, values) @ matrix.T
        if np.linalg.norm(component) > SMALLEST_PART * total:
            tensor.parts += part.parts
            rest -= component
    if n_components == 27 and np.linalg.norm(rest) > SMALLEST_PART * total:
        raise ValueError(
            f"{name} has 27 components and is not symmetric in all indices; only "
            "symmetric tensors of rank 3 can be learned"
        )
    if not tensor.parts:
        raise ValueError(f"{name} is zero in all structures: nothing can be learned")
    return tensor


def read_tensor(structure, name: str) -> np.ndarray | None:
    """Return a tensor of a structure or of its atoms, None where it is missing.

    A target of `lodekit.structures.TARGETS` has the shape and the unit it has there;
    others are what ``info``, ``arrays`` or the results hold under their name, after
    ``REF_`` or ``other_``, where predictions have put it, or without.

    Raises
    ------
    ValueError
        If it is no numbers, or not finite.
    """
    if name in TARGETS:
        value = get_target(structure, name)
        return None if value is None else np.asarray(value, dtype=float)
    results = getattr(structure.calc, "results", {})
    candidates = [
        place[key]
        for key in (*asides(name), name)
        for place in (structure.info, structure.arrays, results)
        if key in place
    ]
    if not candidates:
        return None
    values = as_numbers(candidates[0])
    if values is None or not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite numbers, got {candidates[0]!r:.60}")
    return np.asarray(values, dtype=float)


def asides(name: str) -> tuple[str, str]:
    """Return the names under which reference values stand beside predictions."""
    return f"REF_{name}", f"other_{name}"


def is_per_atom(structure, name: str) -> bool:
    """Return whether a tensor that a structure has is one of every atom."""
    if name in TARGETS:
        return TARGETS[name].per_atom
    return not {name, *asides(name)}.isdisjoint(structure.arrays)


def collect_tensor(frames, name: str) -> tuple[list[np.ndarray], bool]:
    """Return the values of every frame, and whether they belong to atoms.

    Returns
    -------
    values : list of ndarray of shape (1, ...) or (n_atoms, ...)
    per_atom : bool

    Raises
    ------
    StructureError
        If the target is missing, bad, or of another shape in some frame.
    """
    per_atom, values = None, []
    for index, structure in enumerate(frames):
        try:
            value = read_tensor(structure, name)
        except ValueError as problem:
            raise StructureError(f"{frame_name(index)}: {problem}") from None
        if value is None:
            raise StructureError(
                f"{frame_name(index)} has no {name}; leave the frame out, or name "
                "another target"
            )
        if per_atom is None:
            per_atom = is_per_atom(structure, name)
        values.append(value if per_atom else value[None])
        if values[-1].shape[1:] != values[0].shape[1:]:
            raise StructureError(
                f"{frame_name(index)}: {name} has shape {values[-1].shape[1:]}, and "
                f"{values[0].shape[1:]} in {frame_name(0)}"
            )
    return values, bool(per_atom)
