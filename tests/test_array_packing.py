import zlib

import numpy as np
import pytest

from lodekit.array_packing import (
    MOST_GROWTH,
    Packed,
    check_growth,
    pack,
    unpack,
)
from lodekit.model_arrays import store_arrays


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape)


def rounded(array):
    return array.astype(np.float32).astype(float)


def stored_bytes(array):
    packed = pack(array)
    return packed.values.nbytes + (0 if packed.runs is None else packed.runs.nbytes)


ARRAYS = {
    "numbers": numbers(30, 20),
    "rounded": rounded(numbers(30, 20)),
    "triangle": np.tril(numbers(60, 60)),
    "other triangle": np.triu(numbers(60, 60)),
    "blocks": np.kron(np.eye(5), numbers(20, 30)),
    "zeros": np.zeros((100, 30)),
    "negative zeros": -np.zeros((100, 30)),
    "in the other order": np.asfortranarray(np.tril(numbers(60, 60))),
    "single": numbers(30, 20).astype(np.float32),
    "infinite": np.where(np.eye(30) > 0, np.inf, numbers(30, 30)),
    "large and small": numbers(300) * 10.0 ** np.arange(-150, 150),
    "denormal": np.full(200, 5e-324),
    "whole": np.arange(300),
    "few": numbers(3),
    "none": np.zeros((0, 5)),
    "a number": np.array(2.5),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_bit_by_bit(name):
    array = ARRAYS[name]
    again = unpack(pack(array), array.shape, array.dtype.name)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()


def test_what_is_known_already_is_not_stored():
    n = 200
    # half of a triangle, half of its digits, and labels of the rectangle it fills
    assert stored_bytes(np.tril(rounded(numbers(n, n)))) < 0.26 * 8 * n * n
    assert stored_bytes(np.kron(np.eye(8), abs(numbers(25, 25)))) < 0.135 * 8 * n * n
    assert stored_bytes(numbers(n, n)) <= 8 * n * n


def test_arrays_of_the_same_content_share_a_buffer():
    first, other = numbers(20, 20), numbers(20, 21)
    entries, buffers = store_arrays({"a": first, "b": other, "c": first.copy()})
    assert len(buffers) == 2
    assert entries[0]["file"] == entries[2]["file"] != entries[1]["file"]


def test_arrays_never_grow_more_than_is_allowed():
    almost_nothing = np.zeros(10**5)
    almost_nothing[::5000] = numbers(20)
    assert almost_nothing.nbytes <= MOST_GROWTH * stored_bytes(almost_nothing)
    check_growth(MOST_GROWTH * 100, 100)
    with pytest.raises(ValueError, match="larger than what is stored of it can be"):
        check_growth(MOST_GROWTH * 100 + 1, 100)


@pytest.mark.parametrize(
    ("runs", "values", "message"),
    [
        ([4, 2, 3], [1.0, 2.0], "zeros and numbers are more or less than the array"),
        ([4, 2], [1.0, 2.0], "zeros and numbers are more or less than the array"),
        ([8, 2], [1.0], "an array has more or fewer numbers than it should"),
        ([8, 2], [1.0, 2.0, 3.0], "an array has more or fewer numbers than it should"),
        ([2**32 - 1, 2], [1.0, 2.0], "zeros and numbers are more or less"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(runs, values, message):
    packed = Packed(np.array([values]), np.array([runs], dtype=np.uint32))
    with pytest.raises(ValueError, match=message):
        unpack(packed, (10,), "float64")


@pytest.mark.parametrize("n_bytes", [0, 79, 81, 10**7])
def test_deflated_bytes_of_another_number_are_refused(n_bytes):
    deflated = zlib.compress(bytes(n_bytes))
    stored = np.frombuffer(deflated, np.uint8)[None]
    about = {"shape": (10,), "dtype": "float64", "size": len(deflated)}
    with pytest.raises(ValueError, match="deflated numbers are more or fewer"):
        unpack(Packed(stored, None, about), (10,), "float64")
