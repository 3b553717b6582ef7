"""Model files that lodekit did not write, or that something has changed, are refused.

Checksums are made anew after every change, so that the checks behind them are tested.
"""

import io
import json
import pathlib
import zipfile

import numpy as np
import pytest
from labelled_structures import lode, open_frames, soap

from lodekit import load_model
from lodekit.array_buffers import from_buffer
from lodekit.array_packing import Packed, unpack
from lodekit.errors import ModelFileError
from lodekit.model_file import as_json, read_header, seal, store_arrays
from lodekit.model_header import ArrayEntry, checksum
from lodekit.models import SparsePotential
from lodekit.regression import PolynomialCovariance

OLD = pathlib.Path(__file__).parent / "data" / "format_1"
#: Models of format 1 that stand for their kinds.
KINDS = ("charges", "charges_of_few_rows", "kqeq_bonds", "kqeq_powers", "latent")


@pytest.fixture(scope="module")
def models():
    """A fitted model of every kind, with what a file holds of it."""
    models = [load_model(OLD / f"{name}.lodekit") for name in (*KINDS, "global")]
    models.append(
        SparsePotential(
            *([soap(), lode()], PolynomialCovariance(2), 3),
            energy_noise=1e-3,
            targets=["energy"],
            n_ensemble=2,
        ).fit(open_frames(4))
    )
    return models


@pytest.fixture(scope="module")
def states(models):
    """Class, settings as JSON has them, and arrays of every kind."""
    states = []
    for model in models:
        state = model.get_state()
        settings = json.loads(json.dumps(as_json(state["settings"])))
        states.append((type(model), settings, state["arrays"]))
    return states


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    """The members of a file of a potential, and of one of charges."""
    folder = tmp_path_factory.mktemp("files")
    for name, model in (("potential", models[-1]), ("kqeq", models[2])):
        model.save(folder / name)
    return {own.name: members_of(own.read_bytes()) for own in folder.iterdir()}


@pytest.fixture
def potential(files):
    return dict(files["potential"])


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


def arrays_of(members):
    """Return the arrays of a file by name."""
    arrays = {}
    for entry in map(ArrayEntry.of, header_of(members)["arrays"]):
        parts = [
            None
            if own is None
            else from_buffer(members[own.file], own.shape, own.dtype)
            for own in (entry, entry.runs)
        ]
        array = parts[0]
        if entry.packed_shape is not None:
            packed = Packed(*parts, entry.deflated)
            array = unpack(packed, entry.packed_shape, entry.packed_dtype)
        arrays[entry.name] = array
    return arrays


def write_changed(path, members, arrays=None, header=None):
    """Write a file with other arrays or another header, and right checksums."""
    members, header = dict(members), header or header_of(members)
    if arrays is not None:
        header["arrays"], buffers = store_arrays(arrays)
        members = {"model.json": b"", **buffers}
    members["model.json"] = seal(header).encode()
    write(path, members)


def refused(path, match=""):
    """Check that a file is refused with one line."""
    with pytest.raises(ModelFileError, match=match) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_states_that_nothing_has_changed_are_models(states):
    for cls, settings, arrays in states:
        assert cls.from_state({"settings": settings, "arrays": arrays}).weights_.size


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:-1],
        lambda a: a[:0],
        lambda a: np.concatenate([a, a]),
        lambda a: a[..., None],
        lambda a: a.reshape(1, -1) if a.ndim == 1 else a.ravel(),
        lambda a: a.astype(bool),
        lambda a: a.astype(complex),
    ],
)
def test_arrays_whose_shapes_contradict_others_are_refused(states, change):
    for cls, settings, arrays in states:
        for name, array in arrays.items():
            if len(change(array)) == len(array) == 0:
                continue
            state = {"settings": settings, "arrays": {**arrays, name: change(array)}}
            with pytest.raises(
                ValueError, match="shape|rows|points|differ|species|fewer weights"
            ):
                cls.from_state(state)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e300])
def test_arrays_with_numbers_that_are_not_finite_are_refused(states, number):
    for cls, settings, arrays in states:
        for name, array in arrays.items():
            may_be = name == "bond_hardness" and number == np.inf
            if array.dtype.kind != "f" or not array.size or may_be:
                continue
            other = array.astype(float)
            other.flat[-1] = number
            with pytest.raises(ValueError, match="a number that is not finite"):
                cls.from_state(
                    {"settings": settings, "arrays": {**arrays, name: other}}
                )


def test_arrays_that_are_missing_or_too_many_are_refused(states):
    for cls, settings, arrays in states:
        for name in arrays:
            rest = {other: array for other, array in arrays.items() if other != name}
            try:
                cls.from_state({"settings": settings, "arrays": rest})
            except (KeyError, ValueError):
                continue
            assert name in ("bond_hardness", "ensemble")  # not all models have them
        more = {**arrays, "more": np.zeros(3)}
        with pytest.raises(ValueError, match="'more' does not belong to this model"):
            cls.from_state({"settings": settings, "arrays": more})


def places(table, place=()):
    """Yield the places of all values of nested tables and lists, but for reports."""
    for key in table if isinstance(table, dict) else range(len(table)):
        if key not in ("summary", "parameters", "std_scales", "targets"):
            yield *place, key
            if isinstance(table[key], (dict, list)):
                yield from places(table[key], (*place, key))


def changed(settings, place, value=None):
    """Return settings with another value, or without one."""
    settings = json.loads(json.dumps(settings))
    table = settings
    for key in place[:-1]:
        table = table[key]
    if value is None:
        del table[place[-1]]
    else:
        table[place[-1]] = value[0]
    return settings


def test_settings_that_lack_something_are_refused(states):
    for cls, settings, arrays in states:
        for place in places(settings):
            state = {"settings": changed(settings, place), "arrays": arrays}
            with pytest.raises(Exception):  # noqa: B017, PT011
                cls.from_state(state)


@pytest.mark.parametrize("value", [None, True, -1, 10**400, "x", [], {}, [[]]])
def test_settings_of_another_kind_are_refused(states, value):
    for cls, settings, arrays in (states[0], states[-1]):
        for place in places(settings):
            state = {"settings": changed(settings, place, [value]), "arrays": arrays}
            try:
                cls.from_state(state)
            except Exception:
                continue
            table = settings
            for key in place:
                table = table[key]
            assert table == value or (place[-1], value) == ("is_charged", True)


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
    write_changed(path, potential, header=header)
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
    write_changed(path, potential, header=header)
    refused(path, "damaged or truncated")


def test_two_arrays_of_one_name_are_refused(potential, path):
    header = header_of(potential)
    header["arrays"][1]["name"] = header["arrays"][0]["name"]
    write_changed(path, potential, header=header)
    refused(path, "two arrays have one name")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoff": 1e9}, "the radius of a cutoff is 1e[+]09 Å"),
        (
            {"covariance": {"class": "CurSelection", "parameters": {}}},
            "the covariance of",
        ),
        (
            {"descriptor": {"class": "CurSelection", "parameters": {}}},
            "the descriptor of",
        ),
        ({"points": {"8": 3, "1": 3}}, r"the species of a term are \['8', '1'\]"),
        ({"points": {"1": 3, "92": 3}}, "the species of a term are"),
        ({"points": {"1": -3}}, "a number of points is -3"),
        ({"amplitude": 0.0}, "the setting 'amplitude' is 0.0"),
        ({"environments": "7"}, "lacks 'environments/7/1/left'"),
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
    write_changed(path, potential, header=header)
    refused(path, message)


def test_a_factor_that_is_no_triangle_is_refused(states):
    cls, settings, arrays = states[0]
    factor = arrays["solution/factor"]
    for other in (factor.T, -factor, factor @ factor.T):
        state = {"settings": settings, "arrays": {**arrays, "solution/factor": other}}
        with pytest.raises(ValueError, match="is no Cholesky factor"):
            cls.from_state(state)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hardness", -1.0, "'hardness' is not positive"),
        ("widths", 0.0, "'widths' is not positive"),
        ("widths", 500.0, "a charge is 500 Å wide"),
        ("bond_hardness", 3.0, "the bond hardness of pairs is not symmetric"),
        ("potential/species", 200, r"the species are \[1, 200\]"),
        ("species", 1, r"the species are \[1, 1\]"),
    ],
)
def test_elements_that_cannot_be_are_refused(states, name, value, message):
    cls, settings, arrays = states[2]
    other = np.array(arrays[name])
    other.flat[1] = value
    with pytest.raises(ValueError, match=message):
        cls.from_state({"settings": settings, "arrays": {**arrays, name: other}})
