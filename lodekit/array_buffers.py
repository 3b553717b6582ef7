"""Single arrays as metatensor buffers, and back."""

import numpy as np


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
        A serialized `metatensor.TensorMap` with one block.
    """
    import metatensor
    from metatensor import Labels, TensorBlock, TensorMap

    if array.dtype.kind not in "biufc":
        raise TypeError(f"a model file cannot hold an array of {array.dtype.name}")
    shape = array.shape if array.ndim > 1 else (array.size, 1)
    components = [
        Labels.range(f"component_{axis}", size)
        for axis, size in enumerate(shape[1:-1], start=1)
    ]
    block = TensorBlock(
        np.ascontiguousarray(array).reshape(shape),
        Labels.range("row", shape[0]),
        components,
        Labels.range("column", shape[-1]),
    )
    return bytes(metatensor.io.save_buffer(TensorMap(Labels.single(), [block])))


def from_buffer(buffer, shape, dtype):
    """Return the array that `to_buffer` stored.

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
        If the buffer holds another array.
    """
    import metatensor

    values = np.array(metatensor.io.load_buffer(buffer).block().values)
    if values.dtype.name != dtype:
        raise ValueError(f"an array is {values.dtype.name} and should be {dtype}")
    return values.reshape(shape)
