import numpy as np
import pytest
from ase.io.extxyz import key_val_str_to_dict

from lodekit.structures.comment_line import parse_comment_line

AS_ASE_READS_IT = [
    'Properties=species:S:1:pos:R:3 pbc="T T F"',
    "energy=-1.5 step=3 name=water flag=T other=false alone",
    'dipole="1.0 2 3" counts="1 2 3" words="two words" nine="1 2 3 4 5 6 7 8 9"',
    "a={1 2 3} b=[1, 2, 3] c=1,2,3",
    "i = 0, time = 0.500, E = -17.25",
    'stress="1 2 3 2 4 5 3 5 6" virial="1 2 3 2 4 5 3 5 6"',
    'm="_JSON [[1.0, 2.0], [3.0, 4.0]]" d="_JSON {\\"x\\": [1, 2]}"',
    "big=100000000000000000000000 tiny=1e-30 missing=nan uid=0123",
    'overflow="100000000000000000000000 1"',
    "label='single quoted' \"quoted key\"=2",
    "url=http://host/?a=b",
]


@pytest.mark.parametrize("line", AS_ASE_READS_IT)
def test_values_are_those_of_ase(line):
    ours, theirs = parse_comment_line(line), key_val_str_to_dict(line)
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        np.testing.assert_equal(ours[key], value)


def test_text_without_an_equals_sign_is_a_comment():
    assert parse_comment_line("It's a molecule\n") == {"comment": "It's a molecule"}
    assert parse_comment_line("\n") == {}


def test_an_empty_value_does_not_swallow_the_next_key():
    items = parse_comment_line('comment= energy=-1.0 pbc="F F F" last=')
    assert items == {
        "comment": "",
        "energy": -1.0,
        "pbc": [False, False, False],
        "last": "",
    }


def test_fortran_exponents_are_numbers_and_labels_are_not():
    items = parse_comment_line('energy=-1.5D+01 dipole="1.0d0 2.D0 .5D-1" id=1D2 n=1_0')
    assert items["energy"] == -15.0
    np.testing.assert_array_equal(items["dipole"], [1.0, 2.0, 0.05])
    assert items["id"] == "1D2"
    assert items["n"] == "1_0"


def test_words_without_values_may_repeat():
    assert parse_comment_line("step=5 of 10 of 20") == {
        "step": 5,
        "of": True,
        "10": True,
        "20": True,
    }


def test_nested_brackets_are_a_matrix():
    items = parse_comment_line("tensor=[[1, 2], [3, 4]] ragged=[[1], [2, 3]]")
    np.testing.assert_array_equal(items["tensor"], [[1, 2], [3, 4]])
    assert items["ragged"] == "[[1], [2, 3]]"


def test_json_of_any_kind_is_kept():
    items = parse_comment_line(
        'a="_JSON null" b="_JSON \\"\\"" c="_JSON [[1], [2, 3]]"'
    )
    assert items == {"a": None, "b": "", "c": [[1], [2, 3]]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("energy=1 energy=2", "key 'energy' occurs twice; keep one"),
        ("energy=1 energy", "key 'energy' occurs twice; keep one"),
        ('lattice="1 0 0 0 1 0 0 0 1"', "'lattice' must be spelled 'Lattice'"),
        ("properties=species:S:1:pos:R:3", "must be spelled 'Properties'"),
        ('PBC="T T T"', "must be spelled 'pbc'"),
        ('label="never closed energy=1', "cannot be read from 'label=\"never closed"),
        ('a="b"c', "cannot be read from 'a=\"b\"c' on; a value with spaces"),
        ("a==2", "cannot be read"),
        ("=2", "cannot be read"),
        ('a="_JSON [1, 2"', "the value of key 'a' is not valid JSON"),
    ],
)
def test_a_line_that_cannot_be_understood_is_refused(line, message):
    with pytest.raises(ValueError, match=message):
        parse_comment_line(line)
