"""Stress and virial: Voigt order, signs, and whether both agree.

Stress is in eV/Å³ with ASE's sign, tension positive; the virial in eV is minus stress
times volume, as GAP and MACE write it. Voigt order is xx, yy, zz, yz, xz, xy.
"""

import numpy as np

# Codes print stress with a few digits and leave it slightly asymmetric.
_ASYMMETRY = 1e-2
_AGREEMENT = 1e-2
_SMALLEST_VIRIAL = 1e-2  # eV; differences below are rounding


def as_voigt(matrix):
    """Return the six numbers of a symmetric matrix.

    Parameters
    ----------
    matrix : array_like
        Six numbers in Voigt order, nine numbers, or shape (3, 3).

    Returns
    -------
    voigt : ndarray of shape (6,)
        The mean of upper and lower triangle, in the unit of the input.

    Raises
    ------
    ValueError
        If the size is another or the matrix is not symmetric within 1 %.

    Examples
    --------
    >>> as_voigt([[1, 6, 5], [6, 2, 4], [5, 4, 3]])
    array([1., 2., 3., 4., 5., 6.])
    """
    values = np.asarray(matrix, dtype=float)
    if values.size == 6:
        return values.reshape(6)
    if values.size != 9:
        raise ValueError(f"must be six or nine numbers, got shape {values.shape}")
    xx, xy, xz, yx, yy, yz, zx, zy, zz = values.ravel().tolist()
    asymmetry = max(abs(yz - zy), abs(xz - zx), abs(xy - yx))
    if asymmetry > 1e-9 and asymmetry > _ASYMMETRY * np.abs(values).max():
        raise ValueError(
            f"must be symmetric, but the triangles differ by {asymmetry:.3g}"
        )
    # halves first: the sum of large numbers may be infinite
    return np.array([xx, yy, zz, yz / 2 + zy / 2, xz / 2 + zx / 2, xy / 2 + yx / 2])


def symmetric_part(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the symmetric part of two axes as one in Voigt order.

    Parameters
    ----------
    values : ndarray of shape (..., 3, 3, ...)
        Such as derivatives by strain.
    axis : int
        The first of the two.

    Returns
    -------
    symmetric : ndarray of shape (..., 6, ...)
    """
    axis %= values.ndim
    first = np.moveaxis(values, (axis, axis + 1), (0, 1))
    symmetric = 0.5 * (first + np.swapaxes(first, 0, 1))
    places = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
    return np.moveaxis(symmetric[places], 0, axis)


def as_matrix(voigt):
    """Return the symmetric matrix of shape (3, 3) of six numbers in Voigt order."""
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def stress_from_virial(virial, volume):
    """Return minus virial (eV, any shape) over volume (Å³), in eV/Å³."""
    return -np.asarray(virial, dtype=float) / volume


def disagreement(stress, virial, volume):
    """Say how stress and virial contradict each other, or return None.

    Parameters
    ----------
    stress : ndarray of shape (6,)
        Stress in eV/Å³.
    virial : ndarray of shape (6,)
        Virial in eV.
    volume : float
        Volume of the cell in Å³.

    Returns
    -------
    problem : str or None
        End of a sentence that begins with "virial".
    """
    expected = -stress * volume
    tolerance = _AGREEMENT * np.abs(virial).max() + _SMALLEST_VIRIAL
    difference = np.abs(virial - expected).max()
    if difference <= tolerance:
        return None
    problem = (
        f"contradicts the stress: it should be minus stress times volume, they differ "
        f"by {difference:.3g} eV"
    )
    if np.abs(virial + expected).max() <= tolerance:
        problem += " because one of them has the opposite sign"
    return f"{problem}; remove the wrong one"
