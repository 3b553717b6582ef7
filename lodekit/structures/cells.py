"""Cells and boundaries: what can be periodic, and what the names of boundaries are."""

import math

import numpy as np

#: Number of periodic directions and its name in reports.
BOUNDARIES = ("open", "wire", "slab", "periodic")
# Cell vectors in Å; the thinnest crystals measure some Å.
_SHORTEST_VECTOR = 1e-3
# Area or volume over the product of the lengths: the sine of the angle for two vectors.
_FLATTEST_CELL = 1e-4


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
    vectors = [vector for vector, flag in zip(vectors, pbc, strict=True) if flag]
    lengths = [math.hypot(*vector) for vector in vectors]
    if vectors and min(lengths) < _SHORTEST_VECTOR:
        described = " ".join(f"{length:.4g}" for length in lengths)
        return (
            f"periodic along {_flags(pbc)}, but the cell vectors there have the "
            f"lengths {described} Å; give the cell or set pbc to F"
        )
    if _spanned(vectors) < _FLATTEST_CELL * math.prod(lengths):
        return (
            f"periodic along {_flags(pbc)}, but the cell vectors there lie in one "
            "plane or line, so the volume is zero; correct the cell"
        )
    return None


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
