import errno
import io
import json
import os
import zipfile

import numpy as np
import pytest
from stub_model import StubModel, make_frames

from lodekit import load_model, model_file
from lodekit.array_buffers import from_buffer, to_buffer
from lodekit.errors import ModelFileError
from lodekit.model_file import is_model_file, read_header, save_model, seal


@pytest.fixture(autouse=True)
def _stub_is_a_known_class(monkeypatch):
    monkeypatch.setitem(model_file.MODEL_CLASSES, "StubModel", "stub_model")


@pytest.fixture
def model():
    return StubModel().fit(make_frames())


@pytest.fixture
def path(model, tmp_path):
    save_model(model, tmp_path / "water.lodekit", record={"files": ["train.xyz"]})
    return tmp_path / "water.lodekit"


def rewrite(path, change):
    """Write the zip again after ``change`` worked on the dictionary of its members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def change_header(path, **changes):
    """Change the header, and its checksum with it."""

    def change(members):
        header = json.loads(members["model.json"]) | changes
        members["model.json"] = seal(header).encode()

    rewrite(path, change)


def test_loaded_model_predicts_the_same_bits(model, path):
    frames = make_frames(5, periodic=True, seed=3)
    before, after = model.compute(frames), load_model(path).compute(frames)
    for left, right in zip(before, after, strict=True):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


def test_header_tells_how_the_model_was_made(path):
    header = read_header(path)
    assert header["class"] == "StubModel"
    assert header["format"] == model_file.FORMAT_VERSION
    assert header["record"] == {"files": ["train.xyz"]}
    assert header["conventions"]["units"]["energy"] == "eV"
    assert "l*l + l + m" in header["conventions"]["spherical_harmonics"]
    assert header["settings"]["summary"]["n_structures"] == 12
    (entry,) = header["arrays"]
    assert entry.pop("checksum")
    assert entry == {
        "name": "weights",
        "file": "arrays/0000.mts",
        "shape": [2],
        "dtype": "float64",
    }


def test_members_are_stored_without_compression(path):
    with zipfile.ZipFile(path) as archive:
        kinds = {member.compress_type for member in archive.infolist()}
    assert kinds == {zipfile.ZIP_STORED}
    assert is_model_file(path)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[np.nan, np.inf, -0.0, 5e-324, 0.1]]),
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5),
        np.array(2.5),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.array([True, False]),
        np.array([2**62, -1]),
        np.array([1 + 2j]),
        np.array([1.5], dtype=np.float32),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back_bit_by_bit(array):
    back = from_buffer(to_buffer(array), list(array.shape), array.dtype.name)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_text_arrays_are_refused():
    with pytest.raises(TypeError, match="cannot hold an array of str"):
        to_buffer(np.array(["H", "O"]))


def test_unfit_settings_are_refused_and_leave_no_file(model, tmp_path):
    with pytest.raises(TypeError, match="cannot hold .*function.* in its settings"):
        save_model(model, tmp_path / "m.lodekit", record={"made_by": make_frames})
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_finite_is_not_written(model, tmp_path):
    model.weights_ = np.array([1.0, np.nan])
    with pytest.raises(
        ModelFileError, match="m.lodekit: not written, the array 'weights' holds a num"
    ):
        save_model(model, tmp_path / "m.lodekit")
    assert not list(tmp_path.iterdir())


def test_existing_file_stays_unless_overwritten(model, path):
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match="water.lodekit: exists already"):
        save_model(model, path)
    assert path.read_bytes() == before
    save_model(model, path, overwrite=True)
    assert path.read_bytes() != before
    assert [entry.name for entry in path.parent.iterdir()] == ["water.lodekit"]


def test_missing_folder_is_named(model, tmp_path):
    with pytest.raises(ModelFileError, match="there is no folder .*nowhere"):
        save_model(model, tmp_path / "nowhere" / "m.lodekit")


def test_folder_is_not_overwritten(model, tmp_path):
    with pytest.raises(ModelFileError, match="this is not a file, choose another name"):
        save_model(model, tmp_path, overwrite=True)


def test_unknown_class_is_not_saved(model, tmp_path, monkeypatch):
    monkeypatch.delitem(model_file.MODEL_CLASSES, "StubModel")
    with pytest.raises(ModelFileError, match="cannot hold a StubModel; it can hold"):
        save_model(model, tmp_path / "m.lodekit")


def test_full_disk_leaves_the_old_file_and_nothing_else(model, path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelFileError, match=r"No space left on device\); nothing was"):
        save_model(model, path, overwrite=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["water.lodekit"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_disk_that_fills_up_while_writing_gives_one_line(model, tmp_path, monkeypatch):
    real_open = open

    def open_full(path, mode="r", **arguments):
        if mode == "xb":
            real_open(path, mode).close()
            return real_open("/dev/full", "wb")
        return real_open(path, mode, **arguments)

    monkeypatch.setattr("lodekit.whole_files.open", open_full, raising=False)
    with pytest.raises(ModelFileError, match="No space left on device"):
        save_model(model, tmp_path / "m.lodekit")
    assert not list(tmp_path.iterdir())


def test_interrupt_while_writing_leaves_nothing(model, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lodekit.model_arrays.to_buffer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, tmp_path / "m.lodekit")
    assert not list(tmp_path.iterdir())


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match="m.lodekit: there is no such file"):
        load_model(tmp_path / "m.lodekit")


def test_folder_is_no_model(tmp_path):
    with pytest.raises(ModelFileError, match="this is not a file"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"3\n\nH 0 0 0\n"])
def test_foreign_file_is_no_model(tmp_path, content):
    (tmp_path / "m.lodekit").write_bytes(content)
    with pytest.raises(ModelFileError, match="this is not a lodekit model"):
        load_model(tmp_path / "m.lodekit")


def test_foreign_zip_is_no_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.lodekit", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(ModelFileError, match="a zip file, but not a lodekit model"):
        load_model(tmp_path / "m.lodekit")


def test_zip_with_another_model_json_is_no_model(path):
    rewrite(path, lambda members: members.update({"model.json": b"[1, 2]"}))
    with pytest.raises(ModelFileError, match="a zip file, but not a lodekit model"):
        load_model(path)


def test_every_truncation_gives_one_line(path):
    whole = path.read_bytes()
    for length in range(4, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="damaged or truncated") as caught:
            load_model(path)
        assert "\n" not in str(caught.value)


def test_every_flipped_byte_is_noticed_or_harmless(model, path):
    whole = path.read_bytes()
    frames = make_frames(3, seed=5)
    expected = model.predict(frames)
    n_noticed = 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            loaded = load_model(path)
        except ModelFileError as problem:
            n_noticed += "\n" not in str(problem)
        else:
            np.testing.assert_array_equal(loaded.predict(frames), expected)
    # What is left are dates, flags and comments of the zip, which mean nothing here.
    assert n_noticed > 0.9 * len(whole) / 3


def test_damaged_json_with_a_right_checksum_gives_one_line(path):
    rewrite(path, lambda members: members.update({"model.json": b'{"magic": '}))
    with pytest.raises(ModelFileError, match="damaged or truncated"):
        load_model(path)


def test_missing_array_is_named(path):
    rewrite(path, lambda members: members.pop("arrays/0000.mts"))
    with pytest.raises(ModelFileError, match="the array 'weights' is missing"):
        load_model(path)


def test_array_that_the_header_forgot_is_missed(path):
    change_header(path, arrays=[])
    with pytest.raises(ModelFileError, match="nothing is known about .*0000.mts"):
        load_model(path)
    rewrite(path, lambda members: members.pop("arrays/0000.mts"))
    with pytest.raises(ModelFileError, match="this model file lacks 'weights'; copy"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float32"}, "should be float32"),
        ({"shape": [3]}, r"has the shape \(2,\) and should have \(3,\)"),
    ],
)
def test_array_of_another_kind_or_shape_is_damage(path, change, message):
    entry = read_header(path)["arrays"][0] | change
    change_header(path, arrays=[entry])
    with pytest.raises(ModelFileError, match=f"damaged or truncated .*{message}"):
        load_model(path)


def test_newer_format_asks_for_an_update(path):
    change_header(path, format=model_file.FORMAT_VERSION + 1, lodekit="99.0")
    with pytest.raises(ModelFileError, match="by lodekit 99.0.*update lodekit"):
        load_model(path)


def test_older_format_is_upgraded_step_by_step(path, monkeypatch):
    change_header(path, format=2, settings={"summry": {"species": [1, 8]}})

    def rename(header):
        header["settings"] = {"summary": header["settings"]["summry"]}

    def remember(header):
        header["settings"]["summary"]["n_structures"] = 7

    monkeypatch.setattr(model_file, "FORMAT_VERSION", 4)
    monkeypatch.setattr(model_file, "UPGRADES", {2: rename, 3: remember})
    assert load_model(path).summary_ == {"species": [1, 8], "n_structures": 7}


def test_there_is_an_upgrade_for_every_older_format():
    assert set(model_file.UPGRADES) == set(range(1, model_file.FORMAT_VERSION))


def test_unknown_class_is_not_loaded(path):
    change_header(path, **{"class": "os.system"})
    with pytest.raises(ModelFileError, match="holds a 'os.system', which this lodekit"):
        load_model(path)


def test_other_conventions_are_refused(path):
    change_header(path, conventions={"units": {"energy": "Hartree"}})
    with pytest.raises(ModelFileError, match="other conventions of units or harmonics"):
        load_model(path)


def test_unreadable_file_gives_one_line(path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("lodekit.model_file.open", refuse, raising=False)
    with pytest.raises(ModelFileError, match=r"cannot be read \(Permission denied\)"):
        load_model(path)
    assert not is_model_file(path)


def test_model_file_has_no_pickle(path):
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        suffixes = {name.rpartition(".")[2] for name in archive.namelist()}
    assert suffixes == {"json", "mts"}
