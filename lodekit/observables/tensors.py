"""Tensors of structures and of atoms, as they are written and as irreducible parts.

A Cartesian tensor is a sum of parts that turn like spherical harmonics, t = sum B y
with orthonormal columns B: y = B^T t. Components are in the order of rows, x before y
before z, or xx, yy, zz, yz, xz, xy for six; those of y in the order m = -order..order.
Where several parts have the same order and sigma, a tensor has those combinations whose
squares, summed over the structures, are the eigenvalues of a matrix that are not zero.

| tensor | numbers | parts (order, sigma) |
|---|---|---|
| scalar | 1 | (0, 1) |
| vector | 3 | (1, 1) |
| symmetric matrix | 6 or 9 | (0, 1), (2, 1) |
| matrix | 9 | (0, 1), (1, -1), (2, 1) |
| rank 3 | 27 | (0, -1), (1, 1) three times, (2, -1) twice, (3, 1) |
| rank 3, symmetric in all indices | 27 | (1, 1), (3, 1) |
| rank 4 | 81 | (0, 1), (1, -1), (2, 1), (3, -1), (4, 1): 3, 6, 6, 3, 1 times |
| spherical, of order l | 2 l + 1 | (l, 1) |
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
    is_pseudo : bool
        Whether a reflection makes the opposite of it, and sigma is that of others times
        -1.
    directions : list of list of float
        What each part has of the `paths` to its order.
    """

    name: str
    per_atom: bool
    shape: tuple
    parts: list[tuple]
    is_spherical: bool = False
    is_pseudo: bool = False
    directions: list[list[float]] = field(default_factory=list)

    def add(self, key: tuple, directions: list[float], matrices: np.ndarray) -> None:
        """Add a part of order and sigma ``key``, see `combine_paths`.

        The sigma is that of a tensor that is no pseudotensor.
        """
        order, sigma = key
        matrix = combine_paths(directions, matrices)
        self.parts.append((order, sigma * self.sign, matrix))
        self.directions.append(directions)

    @property
    def sign(self) -> int:
        """-1 for pseudotensors, 1 for others."""
        return -1 if self.is_pseudo else 1

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
def paths(rank: int) -> dict[tuple, np.ndarray]:
    """Return B of all couplings of ``rank`` vectors, by order and sigma.

    Vectors are coupled one after the other, on different paths to the same order:
    arrays of shape (n_paths, 3^rank, 2 order + 1), all columns orthonormal.
    """
    if rank == 0:
        return {(0, 1): np.ones((1, 1, 1))}
    found: dict = {}
    for (l, _), before in paths(rank - 1).items():
        for order in range(abs(l - 1), l + 2):
            coupled = np.einsum(
                "pam,bn,mnk->pabk", before, axis_matrix(), clebsch_gordan(l, 1, order)
            )
            key = order, (-1) ** (rank + order)
            found.setdefault(key, []).append(
                coupled.reshape(-1, 3**rank, 2 * order + 1)
            )
    return {key: np.concatenate(found[key]) for key in sorted(found)}


#: What tensors that are symmetric in all indices have of the paths to order and sigma,
#: by rank.
SYMMETRIC = {
    2: {(0, 1): [1.0], (2, 1): [1.0]},
    3: {(1, 1): [-(5.0**0.5) / 3.0, 0.0, -2.0 / 3.0], (3, 1): [1.0]},
}
#: Rank of Cartesian tensors by number of components.
RANKS = {1: 0, 3: 1, 6: 2, 9: 2, 27: 3, 81: 4}


def cartesian_parts(n_components: int) -> dict[tuple, np.ndarray]:
    """Return `paths` of all parts that tensors of a number of components may have."""
    parts = paths(RANKS[n_components])
    if n_components == 6:
        return {key: parts[key][:, SIX] for key in ((0, 1), (2, 1))}
    return parts


def combine_paths(directions, matrices: np.ndarray) -> np.ndarray:
    """Return B of a part, a sum of those of all paths with a direction among them."""
    return np.tensordot(np.asarray(directions, dtype=float), matrices, 1)


def present_directions(values: np.ndarray, matrices: np.ndarray, least: float):
    """Return the directions among paths that tensors have, the largest part first.

    A tensor that is symmetric in some indices has fewer than there are paths.

    Parameters
    ----------
    values : ndarray of shape (n, n_components)
    matrices : ndarray of shape (n_paths, n_components, 2 order + 1)
    least : float
        Length of all tensors below which a part is left out.

    Returns
    -------
    directions : list of list of float
    """
    components = np.stack([values @ np.linalg.pinv(matrix).T for matrix in matrices])
    if len(components) == 1:
        length = np.linalg.norm(components[0] @ matrices[0].T)
        return [[1.0]] if length > least else []
    squares, axes = np.linalg.eigh(np.einsum("pnk,qnk->pq", components, components))
    axes = axes * np.sign(axes[np.argmax(abs(axes), axis=0), np.arange(len(axes))])
    return [
        axis.tolist()
        for square, axis in zip(squares[::-1], axes.T[::-1], strict=True)
        if square > least**2
    ]


def describe_tensor(
    name: str, values: np.ndarray, spherical=(), per_atom=False, is_pseudo=False
):
    """Return the `Tensor` that values are, with the parts that they have.

    Parameters
    ----------
    name : str
    values : ndarray of shape (n, ...)
        One row for a structure, or for an atom.
    spherical : iterable of str
        Names of targets that are spherical tensors.
    per_atom, is_pseudo : bool
        Whether it is one of every atom, and a pseudotensor.

    Raises
    ------
    ValueError
        If the number of components is that of no tensor, or a part is a pseudoscalar.
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
        tensor = Tensor(name, per_atom, shape, [], True, is_pseudo)
        tensor.add((order, 1), [1.0], np.eye(n_components)[None])
        return refuse_pseudoscalars(tensor)
    if n_components not in RANKS:
        raise ValueError(
            f"{name} has {n_components} components; Cartesian tensors have "
            f"{', '.join(map(str, RANKS))} (6 of a symmetric matrix), others are named "
            "among `spherical`"
        )
    tensor = Tensor(name, per_atom, shape, [], is_pseudo=is_pseudo)
    least = SMALLEST_PART * np.linalg.norm(values)
    for key, matrices in cartesian_parts(n_components).items():
        for directions in present_directions(values, matrices, least):
            tensor.add(key, directions, matrices)
    if not tensor.parts:
        raise ValueError(f"{name} is zero in all structures: nothing can be learned")
    return refuse_pseudoscalars(tensor)


def refuse_pseudoscalars(tensor: Tensor) -> Tensor:
    """Return a tensor; raise ``ValueError`` if it has a part that cannot be learned."""
    if (0, -1) in tensor.keys:
        raise ValueError(
            f"{tensor.name} has a pseudoscalar part, which a reflection turns to its "
            "opposite; products of two expansions have none"
        )
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
