"""The arrays of a model file: each content is stored once, and read once."""

import numpy as np

from lodekit.array_buffers import from_buffer, to_buffer
from lodekit.array_packing import Packed, pack, unpack
from lodekit.errors import ModelFileError
from lodekit.model_header import ArrayEntry, checksum


def store_arrays(arrays):
    """Return entries of the header, and buffers by member, of named arrays.

    Arrays of the same content share a buffer.
    """
    entries, buffers, members = [], {}, {}

    def store(values):
        buffer = to_buffer(values)
        digest = checksum(buffer)
        if digest not in members:
            members[digest] = f"arrays/{len(members):04d}.mts"
            buffers[members[digest]] = buffer
        return {
            "file": members[digest],
            "shape": list(values.shape),
            "dtype": values.dtype.name,
            "checksum": digest,
        }

    for name, array in arrays.items():
        array = np.asarray(array)
        packed = pack(array)
        entry = {"name": name, **store(packed.values)}
        if packed.values is not array:
            entry["packed"] = {"shape": list(array.shape), "dtype": array.dtype.name}
            if packed.runs is not None:
                entry["packed"]["runs"] = store(packed.runs)
            if packed.deflated is not None:
                entry["packed"]["deflated"] = packed.deflated
        entries.append(entry)
    return entries, buffers


def check_files(archive, entries, others):
    """Check that a file holds the arrays of its header, and no more.

    Parameters
    ----------
    archive : zipfile.ZipFile
    entries : list of ArrayEntry
    others : set of str
        Members that are no arrays.
    """
    members = set(archive.namelist())
    known = set(others)
    for entry in entries:
        for part in filter(None, (entry, entry.runs)):
            known.add(part.file)
            if part.file not in members:
                raise ModelFileError(
                    f"the array {entry.name!r} is missing from the model file; copy it "
                    "again or fit again"
                )
    if members != known:
        name = min(members - known)
        raise ValueError(f"nothing is known about the member {name!r:.40}")


def read_arrays(archive, header):
    """Return the arrays of a file by name; every member is read once."""
    known: dict = {}

    def read(entry: ArrayEntry):
        key = entry.file, entry.shape, entry.dtype
        if key not in known:
            buffer = archive.read(entry.file)
            if entry.checksum and checksum(buffer) != entry.checksum:
                raise ValueError(f"the array {entry.name!r} was changed")
            known[key] = from_buffer(buffer, entry.shape, entry.dtype)
        return known[key]

    arrays = {}
    for entry in map(ArrayEntry.of, header["arrays"]):
        values = read(entry)
        if entry.packed_shape is not None:
            runs = None if entry.runs is None else read(entry.runs)
            packed = Packed(values, runs, entry.deflated)
            values = unpack(packed, entry.packed_shape, entry.packed_dtype)
        arrays[entry.name] = values
    return arrays
