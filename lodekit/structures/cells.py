"""Cells and boundaries: what can be periodic, and what the names of boundaries are."""

import math

import numpy as np

#: Number of periodic directions and its name in reports.
BOUNDARIES = ("open", "wire", "slab", "periodic")
#: Coordinates and cell vectors beyond this many Å are a wrong unit or digit. Neighbour
#: searches that grid space in cubes of the cutoff take forever there, or crash.
FARTHEST = 1e4
# Å; the thinnest chains of atoms repeat after some tenths of an Å under pressure.
_SHORTEST_VECTOR = 0.3
_SMALLEST_HEIGHT = 0.1


def boundary_name(pbc):
    """Return "open", "wire", "slab" or "periodic".

    >>> boundary_name([True, True, False])
    'slab'
    """
    return BOUNDARIES[int(np.count_nonzero(pbc))]


def cell_problem(cell, pbc):
    """Say what is wrong with a cell, or return None.

    Only periodic directions count: the third vector of a slab may be zero.

    Parameters
    ----------
    cell : ndarray of shape (3, 3)
        Cell vectors as rows, in Å.
    pbc : ndarray of shape (3,)
        Periodic flags.

    Returns
    -------
    problem : str or None
        One line for an error message.
    """
    vectors = np.asarray(cell, dtype=float).tolist()
    if not all(map(math.isfinite, sum(vectors, []))):
        return "the cell holds numbers that are not finite"
    longest = max(math.hypot(*vector) for vector in vectors)
    vectors = [vector for vector, flag in zip(vectors, pbc, strict=True) if flag]
    if not vectors:
        return None
    if longest > FARTHEST:
        return f"a cell vector is {longest:.4g} Å long; correct the cell or its unit"
    lengths = [math.hypot(*vector) for vector in vectors]
    if min(lengths) < _SHORTEST_VECTOR:
        described = " ".join(f"{length:.4g}" for length in lengths)
        return (
            f"periodic along {_flags(pbc)}, but the cell vectors there have the "
            f"lengths {described} Å; give the cell or set pbc to F"
        )
    if _smallest_height(vectors) < _SMALLEST_HEIGHT:
        return (
            f"periodic along {_flags(pbc)}, but the cell vectors there lie in one "
            "plane or line, so the volume is zero; correct the cell"
        )
    return None


def _smallest_height(vectors):
    """Return the smallest distance (Å) of opposite faces of the periodic cell."""
    faces = [_spanned(vectors[:k] + vectors[k + 1 :]) for k in range(len(vectors))]
    return _spanned(vectors) / max(faces) if max(faces) else 0.0


def _spanned(vectors):
    """Return the length, area or volume that one, two or three vectors span.

    Plain Python, because NumPy costs ten times more for nine numbers and this runs for
    every frame of a file.
    """
    if len(vectors) < 2:
        return math.hypot(*vectors[0]) if vectors else 1.0
    (ax, ay, az), (bx, by, bz) = vectors[:2]
    normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    if len(vectors) == 2:
        return math.hypot(*normal)
    return abs(sum(x * y for x, y in zip(normal, vectors[2], strict=True)))


def is_left_handed(cell):
    """Return whether three cell vectors (rows, Å) have a negative triple product."""
    return float(np.linalg.det(np.asarray(cell, dtype=float))) < 0.0


def _flags(pbc):
    return " ".join("T" if flag else "F" for flag in pbc)
