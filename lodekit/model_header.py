"""The header of a model file: everything but the arrays, checked word by word."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from lodekit._version import __version__
from lodekit.array_buffers import buffer_size
from lodekit.array_packing import check_growth
from lodekit.errors import ModelFileError

MAGIC = "lodekit model"
#: What the numbers in a file mean; a file with other conventions is refused.
CONVENTIONS = {
    "units": {"energy": "eV", "length": "Angstrom", "charge": "e"},
    "spherical_harmonics": "real, orthonormal, without Condon-Shortley phase; "
    "m from -l to l at index l*l + l + m",
    "stress": "Voigt order xx, yy, zz, yz, xz, xy; positive under tension",
}
#: Bytes of a header, at the most.
LARGEST_HEADER = 2**24
#: Kinds of numbers that arrays may have.
_KINDS = {np.dtype(f"{kind}{size}").name for kind in "iuf" for size in (2, 4, 8)}
_KINDS |= {"bool", "int8", "uint8"}
#: Keys of a header and their kinds; format 1 has no checksum.
_KEYS = {
    "magic": str,
    "format": int,
    "lodekit": str,
    "class": str,
    "conventions": dict,
    "settings": dict,
    "record": dict,
    "arrays": list,
}


@dataclass
class ArrayEntry:
    """Name, shape and kind of one array in the header.

    Attributes
    ----------
    name : str
    file : str
        Member of the zip.
    shape : tuple of int
    dtype : str
        Of what is stored.
    checksum : str or None
        Of the member; format 1 has none.
    packed_shape : tuple of int or None
        Shape of the array, None where it is stored as it is.
    packed_dtype : str or None
    runs : ArrayEntry or None
        Where the runs of zeros are, see `lodekit.array_packing`.
    deflated : dict or None
        Of `lodekit.array_packing.Packed`.
    """

    name: str
    file: str
    shape: tuple
    dtype: str
    checksum: str | None = None
    packed_shape: tuple | None = None
    packed_dtype: str | None = None
    runs: ArrayEntry | None = None
    deflated: dict | None = None

    @classmethod
    def of(cls, entry: dict, name: str | None = None) -> ArrayEntry:
        """Return the entry that a header holds.

        Raises
        ------
        ValueError
            For other keys or kinds than `save_model` writes, and sizes that do not fit.
        """
        name = _of_kind(entry, "name", str) if name is None else name
        made = cls(
            name,
            _of_kind(entry, "file", str),
            _shape(entry),
            _kind_of_number(entry),
            entry.get("checksum"),
        )
        packed = entry.get("packed")
        if packed is not None:
            made.packed_shape = _shape(packed)
            made.packed_dtype = _kind_of_number(packed)
            if packed.get("runs") is not None:
                made.runs = cls.of(packed["runs"], name)
            if packed.get("deflated") is not None:
                made.deflated = _deflated(packed["deflated"])
            made.check_packed()
        return made

    def check_packed(self) -> None:
        """Check that the array can come from what is stored."""
        stored = {"shape": self.shape, "dtype": self.dtype}
        n_bytes = buffer_size(**stored)
        if self.deflated is not None:
            n_bytes = min(n_bytes, self.deflated["size"])
            if self.dtype != "uint8":
                raise ValueError(f"the array {self.name!r} is no deflated bytes")
            stored = {key: self.deflated[key] for key in stored}
        if self.runs is None and stored["shape"] != self.packed_shape:
            raise ValueError(f"the array {self.name!r} has two shapes")
        if self.runs is not None:
            n_bytes += buffer_size(self.runs.shape, self.runs.dtype)
            if self.runs.dtype != "uint32":
                raise ValueError(f"the array {self.name!r} counts zeros by fractions")
        packed, kind = np.dtype(self.packed_dtype), np.dtype(stored["dtype"])
        if packed.kind != kind.kind or packed.itemsize < kind.itemsize:
            raise ValueError(f"the array {self.name!r} has two kinds of numbers")
        check_growth(buffer_size(self.packed_shape, self.packed_dtype), n_bytes)
        check_growth(buffer_size(**stored), n_bytes)


def parse_header(content: bytes) -> dict:
    """Return the header that a file holds, without having looked at it closely.

    Raises
    ------
    ValueError
        For anything that is no JSON, has a key twice or a number that is not finite.
    ModelFileError
        For JSON that is no header.
    """
    header = json.loads(
        content,
        object_pairs_hook=_without_repetition,
        parse_constant=_refuse_constant,
        parse_float=_finite,
    )
    if not isinstance(header, dict) or header.get("magic") != MAGIC:
        raise ModelFileError("this is a zip file, but not a lodekit model")
    if type(header.get("format")) is not int or header["format"] < 1:
        raise ValueError(f"the format is {header.get('format')!r:.40}")
    return header


def check_header(header: dict, classes: dict, version: int) -> list[ArrayEntry]:
    """Check a header, of a format that is known, and the sizes of all arrays.

    Parameters
    ----------
    header : dict
        From `parse_header`.
    classes : dict
        Names of the models that a file may hold.
    version : int
        Number of the format.

    Returns
    -------
    entries : list of ArrayEntry

    Raises
    ------
    ValueError
        For anything that `save_model` does not write.
    ModelFileError
        For models and conventions that this lodekit does not know.
    """
    if version > 1 and header.get("checksum") != header_checksum(header):
        raise ValueError("it was changed after lodekit wrote it")
    known = {*_KEYS, *(["checksum"] if version > 1 else [])}
    if set(header) != known:
        raise ValueError(f"the header has the keys {', '.join(header)!s:.80}")
    for key, kind in _KEYS.items():
        _of_kind(header, key, kind)
    if header["class"] not in classes:
        raise ModelFileError(
            f"the model file holds a {header['class']!r:.60}, which this lodekit does "
            f"not know; it knows {', '.join(classes)}"
        )
    if header["conventions"] != CONVENTIONS:
        raise ModelFileError(
            "the model file uses other conventions of units or harmonics than lodekit "
            f"{__version__}"
        )
    entries = [ArrayEntry.of(entry) for entry in header["arrays"]]
    if len({entry.name for entry in entries}) < len(entries):
        raise ValueError("two arrays have one name")
    return entries


def header_checksum(header: dict) -> str:
    """Return the checksum of a header, which its own is no part of."""
    content = {key: value for key, value in header.items() if key != "checksum"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return checksum(text.encode("utf-8", "surrogatepass"))


def checksum(content: bytes) -> str:
    """Return the checksum of some bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _of_kind(table: dict, key: str, kind):
    if not isinstance(table, dict) or type(table.get(key)) is not kind:
        value = table.get(key) if isinstance(table, dict) else table
        raise ValueError(f"{key} is {value!r:.60} in the header")
    return table[key]


def _shape(entry: dict) -> tuple:
    shape = _of_kind(entry, "shape", list)
    if len(shape) > 8 or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"a shape is {shape!r:.60}")
    return tuple(shape)


def _deflated(entry: dict) -> dict:
    size = _of_kind(entry, "size", int)
    if size < 0:
        raise ValueError(f"a size is {size}")
    return {"shape": _shape(entry), "dtype": _kind_of_number(entry), "size": size}


def _kind_of_number(entry: dict) -> str:
    name = _of_kind(entry, "dtype", str)
    if name not in _KINDS:
        raise ValueError(f"a kind of number is {name!r:.40}")
    return name


def _without_repetition(pairs: list) -> dict:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key of the header occurs twice")
    return table


def _refuse_constant(word: str):
    raise ValueError(f"a number of the header is {word}")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"a number of the header is {text:.20}")
    return value
