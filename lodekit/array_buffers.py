"""Single arrays as metatensor buffers, and back.

A buffer is what ``metatensor.io.save_buffer`` writes for a `metatensor.TensorMap` with
one block: a zip of NumPy arrays, the values and their labels. It is made and taken
apart here, because only what is exactly such a buffer may be read: every size is
checked before memory is asked for.
"""

import io
import math
import zipfile

import numpy as np
from numpy.lib import format as npy

_KEYS = "keys.npy"
_VALUES = "blocks/0/values.npy"
#: Longest description of a NumPy array; numbers of axes and digits are limited.
_LONGEST_DESCRIPTION = 4096


def to_buffer(array):
    """Return an array as a metatensor buffer.

    Bits, shape of two and more axes and kind of number stay; arrays of no or one axis
    are stored as one column.

    Parameters
    ----------
    array : ndarray
        Numbers or booleans of any shape.

    Returns
    -------
    buffer : bytes
    """
    if array.dtype.kind not in "biufc":
        raise TypeError(f"a model file cannot hold an array of {array.dtype.name}")
    values = np.ascontiguousarray(array).reshape(_block_shape(array.shape))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, labels in _labels(values.shape).items():
            archive.writestr(zipfile.ZipInfo(name), _to_npy(labels))
        archive.writestr(zipfile.ZipInfo(_VALUES), _to_npy(values))
    return buffer.getvalue()


def from_buffer(buffer, shape, dtype):
    """Return the array that `to_buffer`, or metatensor, stored.

    Parameters
    ----------
    buffer : bytes
        From `to_buffer`.
    shape : list of int
        Shape of the array.
    dtype : str
        Name of its kind of number.

    Raises
    ------
    ValueError
        If the buffer holds anything else.
    """
    shape = tuple(shape)
    block = _block_shape(shape)
    if buffer_size(shape, dtype) + 4 * sum(block) > len(buffer):
        raise ValueError(f"an array of shape {shape} does not fit into its buffer")
    labels = _labels(block)
    with zipfile.ZipFile(io.BytesIO(buffer)) as archive:
        members = check_members(archive, len(buffer))
        if set(members) != {_VALUES, *labels}:
            raise ValueError("a buffer holds other members than an array has")
        for name, expected in labels.items():
            stored = _from_npy(archive.read(name), expected.dtype, expected.shape)
            if not np.array_equal(stored, expected):
                raise ValueError("the labels of an array are not those of its axes")
        values = _from_npy(archive.read(_VALUES), np.dtype(dtype), block)
    return values.reshape(shape)


def buffer_size(shape, dtype) -> int:
    """Return how many bytes of a buffer the values of an array take."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def check_members(archive, n_bytes) -> dict:
    """Return the members of a zip by name, all of them as lodekit writes them.

    Parameters
    ----------
    archive : zipfile.ZipFile
    n_bytes : int
        Size of the archive.

    Raises
    ------
    ValueError
        For two members of one name, members that are compressed or encrypted, and
        members that are larger than the archive.
    """
    members = {}
    for info in archive.infolist():
        if info.filename in members:
            raise ValueError(f"there are two members {info.filename!r:.40}")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise ValueError(f"the member {info.filename!r:.40} is not stored as it is")
        if info.file_size != info.compress_size:
            raise ValueError(f"the member {info.filename!r:.40} has two sizes")
        members[info.filename] = info
    if sum(info.file_size for info in members.values()) > n_bytes:
        raise ValueError("the members are larger than the whole")
    return members


def _block_shape(shape):
    """Return the shape of the block that holds an array."""
    return tuple(shape) if len(shape) > 1 else (math.prod(shape), 1)


def _labels(shape) -> dict:
    """Return the labels of a block by member: numbers along its axes."""
    components = {
        f"blocks/0/components/{axis}.npy": _range(f"component_{axis + 1}", size)
        for axis, size in enumerate(shape[1:-1])
    }
    return {
        _KEYS: np.zeros(1, dtype=[("_", "<i4")]),
        "blocks/0/samples.npy": _range("row", shape[0]),
        **components,
        "blocks/0/properties.npy": _range("column", shape[-1]),
    }


def _range(name, size):
    return np.arange(size, dtype="<i4").view([(name, "<i4")])


def _to_npy(array) -> bytes:
    """Return a NumPy file; metatensor wants an order of bytes even of single ones."""
    kind = array.dtype
    description = kind.descr if kind.names else kind.str.replace("|", "<")
    buffer = io.BytesIO()
    npy.write_array_header_1_0(
        buffer, {"descr": description, "fortran_order": False, "shape": array.shape}
    )
    return buffer.getvalue() + array.tobytes()


def _from_npy(content, dtype, shape):
    """Return the array of a NumPy file that has to be of this kind and shape."""
    stream = io.BytesIO(content)
    if npy.read_magic(stream) != (1, 0):
        raise ValueError("an array has another format than NumPy's first one")
    found, is_fortran, kind = npy.read_array_header_1_0(
        stream, max_header_size=_LONGEST_DESCRIPTION
    )
    if kind != dtype:
        raise ValueError(f"an array is {kind.name} and should be {dtype.name}")
    if found != shape or is_fortran:
        raise ValueError(f"an array has the shape {found} and should have {shape}")
    if len(content) - stream.tell() != buffer_size(shape, dtype):
        raise ValueError("an array is longer or shorter than its shape says")
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape).copy()
