"""Arrays in less space, from which they come back bit by bit.

Numbers that single precision holds exactly are stored in it; zeros are counted instead
of stored, since triangles and matrices of blocks have many; and the bytes of what is
left are deflated, all first bytes of the numbers before all second ones: signs and
exponents repeat themselves, the last digits do not.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np

#: Arrays of fewer bytes are stored as they are.
SMALL = 1024
#: Arrays are never larger than so many times what is stored of them.
MOST_GROWTH = 32
#: A step is taken where it leaves less than this share of the bytes.
WORTHWHILE = 0.95


@dataclass
class Packed:
    """The stored form of an array.

    Attributes
    ----------
    values : ndarray
        The array itself, its numbers other than zero, or deflated bytes of these; the
        latter two are rectangles, filled up with zeros.
    runs : ndarray of uint32 or None
        Lengths of runs of zeros, numbers, zeros, ..., filled up to a rectangle; None
        where all numbers are stored.
    deflated : dict or None
        Shape and dtype of the numbers that were deflated, and ``size``, how many bytes
        they became; None where they were not.
    """

    values: np.ndarray
    runs: np.ndarray | None = None
    deflated: dict | None = None


def pack(array: np.ndarray) -> Packed:
    """Return the stored form of an array."""
    if array.nbytes < SMALL or array.dtype.kind != "f":
        return Packed(array)
    packed = Packed(_single(array))
    _count_zeros(packed, array.nbytes)
    _deflate(packed, array.nbytes)
    return packed


def unpack(packed: Packed, shape: tuple, dtype: str) -> np.ndarray:
    """Return the array of which `pack` made something smaller.

    Parameters
    ----------
    packed : Packed
    shape : tuple of int
        Shape of the array; it has been checked with `check_growth`.
    dtype : str
        Its kind of number.

    Raises
    ------
    ValueError
        If the parts do not belong together.
    """
    values = packed.values
    if packed.deflated is not None:
        values = _inflate(values, **packed.deflated)
    if packed.runs is None:
        return values.astype(dtype, copy=False).reshape(shape)
    lengths = packed.runs.ravel().astype(np.int64)
    if lengths.sum() != math.prod(shape):
        raise ValueError("zeros and numbers are more or less than the array has")
    present = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
    n_values = int(present.sum())
    stored = values.ravel()
    if stored.size < n_values or stored[n_values:].any():
        raise ValueError("an array has more or fewer numbers than it should")
    array = np.zeros(math.prod(shape), dtype)
    array[present] = stored[:n_values]
    return array.reshape(shape)


def check_growth(n_bytes: int, n_stored: int) -> None:
    """Raise ``ValueError`` for more bytes than can come from so many stored ones."""
    if n_bytes > max(MOST_GROWTH * n_stored, SMALL):
        raise ValueError("an array is larger than what is stored of it can be")


def _single(array: np.ndarray) -> np.ndarray:
    """Return an array in single precision if that changes nothing."""
    if array.dtype != np.float64:
        return array
    with np.errstate(over="ignore", under="ignore"):
        single = array.astype(np.float32)
    same = _bits(single.astype(np.float64)) == _bits(array)
    return single if same.all() else array


def _bits(array: np.ndarray) -> np.ndarray:
    """Return numbers as whole ones with the same bits: -0.0 is not 0.0."""
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def _count_zeros(packed: Packed, n_bytes: int) -> None:
    """Leave zeros out where they are many."""
    values = packed.values
    present = (_bits(values) != 0).ravel()
    edges = np.flatnonzero(np.diff(present, prepend=False))
    runs = np.diff(edges, prepend=0, append=present.size)
    n_stored = int(present.sum()) * values.itemsize + 4 * runs.size
    if _is_worthwhile(n_stored, values.nbytes, n_bytes) and runs.max() < 2**32:
        packed.values = _fold(values.ravel()[present])
        packed.runs = _fold(runs.astype(np.uint32))


def _deflate(packed: Packed, n_bytes: int) -> None:
    """Deflate numbers byte by byte where that makes them smaller."""
    values = packed.values
    planes = np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.itemsize)
    deflated = zlib.compress(planes.T.tobytes())
    n_stored = len(deflated) + (0 if packed.runs is None else packed.runs.nbytes)
    if _is_worthwhile(n_stored, values.nbytes, n_bytes):
        packed.deflated = {
            "shape": list(values.shape),
            "dtype": values.dtype.name,
            "size": len(deflated),
        }
        packed.values = _fold(np.frombuffer(deflated, np.uint8))


def _is_worthwhile(n_stored: int, n_before: int, n_bytes: int) -> bool:
    return n_stored < WORTHWHILE * n_before and n_bytes <= MOST_GROWTH * n_stored


def _inflate(stored: np.ndarray, shape: tuple, dtype: str, size: int) -> np.ndarray:
    """Return deflated numbers; no more memory is used than they take."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    inflater = zlib.decompressobj()
    planes = inflater.decompress(stored.ravel()[:size].tobytes(), n_bytes + 1)
    if len(planes) != n_bytes or not inflater.eof or inflater.unused_data:
        raise ValueError("deflated numbers are more or fewer than there should be")
    planes = np.frombuffer(planes, np.uint8).reshape(np.dtype(dtype).itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(shape)


def _fold(vector: np.ndarray) -> np.ndarray:
    """Return a vector as a rectangle, filled up with zeros: its labels stay short."""
    width = max(1, math.isqrt(vector.size))
    n_rows = -(-vector.size // width)
    folded = np.zeros(n_rows * width, vector.dtype)
    folded[: vector.size] = vector
    return folded.reshape(n_rows, width)
