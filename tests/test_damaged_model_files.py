"""Model files that lodekit did not write, or that something has changed, are refused.

Checksums are made anew after every change, so that the checks behind them are tested.
"""

import io
import json
import zipfile

import pytest
from labelled_structures import lode, open_frames, soap

from lodekit import load_model
from lodekit.errors import ModelFileError
from lodekit.model_file import read_header, seal
from lodekit.model_header import checksum
from lodekit.models import SparsePotential
from lodekit.regression import PolynomialCovariance


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A model file."""
    path = tmp_path_factory.mktemp("files") / "m.lodekit"
    SparsePotential(
        *([soap(), lode()], PolynomialCovariance(2), 3),
        energy_noise=1e-3,
        targets=["energy"],
        n_ensemble=2,
    ).fit(open_frames(4)).save(path)
    return path.read_bytes()


@pytest.fixture
def potential(content):
    """Its members by name."""
    return members_of(content)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.lodekit"


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, method=zipfile.ZIP_STORED):
    """Write a zip of (name, content)."""
    pairs = members.items() if isinstance(members, dict) else members
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in pairs:
            archive.writestr(name, content)


def header_of(members):
    return json.loads(members["model.json"])


def write_changed(path, members, header):
    """Write a file with another header, and its checksum."""
    write(path, {**members, "model.json": seal(header).encode()})


def refused(path, match=""):
    """Check that a file is refused with one line."""
    with pytest.raises(ModelFileError, match=match) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "damaged or truncated"),
        ('{"magic": ' + "[" * 5000 + "]" * 5000 + "}", "damaged or truncated"),
        ('{"magic": "lodekit model", "magic": "lodekit model"}', "occurs twice"),
        ('{"magic": "lodekit model", "format": NaN}', "a number of the header is NaN"),
        ('{"magic": "lodekit model", "format": 1e999}', "of the header is 1e999"),
        ('{"magic": "lodekit model", "format": "2"}', "the format is '2'"),
        ('{"magic": "lodekit model", "format": true}', "the format is True"),
        ('{"magic": "lodekit model", "format": 2}', "it was changed after lodekit"),
        ('{"magic": "lodekit model", "format": 1}', "the header has the keys magic"),
        (f'{{"format": {"1" * 5000}}}', "damaged or truncated"),
        ("\ud800", "damaged or truncated"),
        ("", "damaged or truncated"),
    ],
)
def test_headers_that_are_none_are_refused(potential, path, text, message):
    potential["model.json"] = text.encode("utf-8", "surrogatepass")
    write(path, potential)
    for read in (load_model, read_header):
        with pytest.raises(ModelFileError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_any_change_of_the_header_is_noticed_by_its_checksum(potential, path):
    text = potential["model.json"].decode()
    potential["model.json"] = text.replace('"rank": ', '"rank": 1').encode()
    write(path, potential)
    for read in (load_model, read_header):
        with pytest.raises(ModelFileError, match="it was changed after lodekit wrote"):
            read(path)


def test_any_change_of_an_array_is_noticed_by_its_checksum(potential, path):
    entry = header_of(potential)["arrays"][-1]
    buffer = bytearray(potential[entry["file"]])
    buffer[buffer.index(b"NUMPY") + 200] ^= 1
    potential[entry["file"]] = bytes(buffer)
    write(path, potential)
    refused(path, f"the array {entry['name']!r} was changed")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_that_expand_are_refused_before_they_are_read(potential, path, method):
    potential["model.json"] += b" " * 2**24
    write(path, potential, method)
    assert path.stat().st_size < 2**20
    for read in (load_model, read_header):
        with pytest.raises(ModelFileError, match="'model.json' is not stored as it is"):
            read(path)


def test_a_header_that_is_too_large_is_refused_before_it_is_read(potential, path):
    potential["model.json"] += b" " * 2**24
    write(path, potential)
    with pytest.raises(ModelFileError, match="model.json is too large"):
        read_header(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["model.json", "arrays/0001.mts"])
def test_two_members_of_one_name_are_refused(potential, path, name):
    write(path, [*potential.items(), (name, potential[name])])
    refused(path, f"there are two members '{name}'")


@pytest.mark.parametrize("name", ["more", "../model.json", "/etc/passwd"])
def test_members_that_the_header_does_not_know_are_refused(potential, path, name):
    write(path, {**potential, name: b""})
    refused(path, "nothing is known about the member")


def test_something_behind_the_end_is_refused(potential, path):
    write(path, potential)
    path.write_bytes(path.read_bytes() + b"more")
    refused(path, "damaged or truncated")


@pytest.mark.parametrize("part", ["values", "samples", "properties"])
@pytest.mark.parametrize(
    "shape",
    ["(1000000000000,)", "(10000000, 10000000)", "(-1,)", "()", f"({'9' * 90},)"],
)
def test_shapes_larger_than_the_file_are_refused(potential, path, part, shape):
    header = header_of(potential)
    entry = header["arrays"][0]
    name = f"blocks/0/{part}.npy"
    inner = members_of(potential[entry["file"]])
    begin = inner[name].index(b"'shape': ")
    end = inner[name].index(b"}", begin)
    room = end - begin
    inner[name] = (
        inner[name][:begin]
        + f"'shape': {shape}".ljust(room).encode()
        + inner[name][end:]
    )
    buffer = io.BytesIO()
    write(buffer, inner)
    potential[entry["file"]] = buffer.getvalue()
    entry["checksum"] = checksum(buffer.getvalue())
    write_changed(path, potential, header)
    refused(path, "damaged or truncated")


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**12]},
        {"shape": [10**6, 10**6]},
        {"shape": [0, 10**12]},
        {"shape": [1] * 40},
        {"dtype": "object"},
        {"dtype": "complex128"},
        {"dtype": "<U9"},
        {"packed": {"shape": [10**12], "dtype": "float64"}},
        {"packed": {"shape": [2], "dtype": "float64", "runs": {"shape": [10**12]}}},
        {
            "packed": {
                "shape": [10**9],
                "dtype": "float64",
                "deflated": {"shape": [10**9], "dtype": "float64", "size": 10},
            }
        },
    ],
    ids=str,
)
def test_arrays_that_declare_more_than_there_is_are_refused(potential, path, change):
    header = header_of(potential)
    header["arrays"][-1] |= change
    write_changed(path, potential, header)
    refused(path, "damaged or truncated")


def test_two_arrays_of_one_name_are_refused(potential, path):
    header = header_of(potential)
    header["arrays"][1]["name"] = header["arrays"][0]["name"]
    write_changed(path, potential, header)
    refused(path, "two arrays have one name")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoff": 1e9}, "the radius of a cutoff is 1e[+]09"),
        (
            {"covariance": {"class": "CurSelection", "parameters": {}}},
            "the covariance of",
        ),
        (
            {"descriptor": {"class": "CurSelection", "parameters": {}}},
            "the descriptor of",
        ),
        ({"species": [8, 1]}, r"the species of a term are \[8, 1\]"),
        ({"species": [1, 92]}, "the species of a term are"),
        ({"species": [1, "x"]}, "the species of a term are"),
        ({"species": [1]}, "contradicts itself .zip"),
        ({"n_points": [3, -3]}, "a number of points is -3"),
        ({"amplitude": 0.0}, "the setting 'amplitude' is 0.0"),
        ({"points": "7"}, "lacks 'points/7/1/left'"),
    ],
)
def test_terms_that_make_no_sense_are_refused(potential, path, change, message):
    header = header_of(potential)
    (term, _) = header["settings"]["terms"]
    if "cutoff" in change:
        left = term["descriptor"]["parameters"]["left"]
        cutoff = dict(left["parameters"]["cutoff"]["pairs"])
        pairs = {**cutoff, "radius": change["cutoff"]}.items()
        left["parameters"]["cutoff"]["pairs"] = [list(pair) for pair in pairs]
    else:
        term |= change
    write_changed(path, potential, header)
    refused(path, message)
