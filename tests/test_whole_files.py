import errno
import os
import stat
from pathlib import Path

import pytest

from lodekit.errors import ModelFileError, ReportError
from lodekit.whole_files import (
    check_destination,
    check_writable,
    replaced_whole,
    write_all,
    written_whole,
)


def test_an_input_is_no_output_whatever_its_name_is(tmp_path):
    data = tmp_path / "data.xyz"
    data.write_text("years of work")
    (tmp_path / "link.xyz").symlink_to(data)
    for name in ("data.xyz", "link.xyz", "../" + tmp_path.name + "/data.xyz"):
        with pytest.raises(ModelFileError, match="this file is read, it cannot be the"):
            check_destination(tmp_path / name, True, ModelFileError, [data])


def test_an_existing_file_is_refused_with_the_option_that_replaces_it(tmp_path):
    (tmp_path / "m.lodekit").write_text("")
    with pytest.raises(ModelFileError, match=r"or overwrite it with --overwrite \(in"):
        check_destination(tmp_path / "m.lodekit", error=ModelFileError)


def test_a_read_only_disk_is_noticed_before_the_work(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(
        ModelFileError, match=r"m.lodekit: cannot be written there \(Read-only file"
    ):
        check_destination(tmp_path / "m.lodekit", error=ModelFileError)


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "m.lodekit").write_text("")
    monkeypatch.setattr(os, "access", lambda *_: False)  # a superuser may do all
    with pytest.raises(ModelFileError, match="m.lodekit: is read-only; choose another"):
        check_destination(tmp_path / "m.lodekit", True, ModelFileError)


def test_a_name_that_is_too_long_is_noticed_before_the_work(tmp_path):
    with pytest.raises(ModelFileError, match=r"written there \(File name too long\)"):
        check_destination(tmp_path / ("m" * 300), error=ModelFileError)


@pytest.mark.parametrize("name", ["m" * 255, "m." + "s" * 253, "m" * 251 + ".xyz"])
def test_every_name_that_the_disk_allows_can_be_written(tmp_path, name):
    path = check_destination(tmp_path / name, error=ModelFileError)
    with written_whole(path, ModelFileError) as file:
        file.write(b"all")
    assert [(own.name, own.read_bytes()) for own in tmp_path.iterdir()] == [
        (name, b"all")
    ]


def test_looking_whether_a_file_can_be_written_leaves_nothing(tmp_path):
    (tmp_path / "old").write_text("old")
    for name in ("old", "new"):
        check_writable(tmp_path / name)
    assert [own.read_text() for own in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_replaced_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "m.lodekit"
    path.write_text("old")
    path.chmod(mode)
    with replaced_whole(path) as partial:
        partial.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text() == "new"


def test_several_files_change_together_or_not_at_all(tmp_path, monkeypatch):
    before = {"a.png": b"a", "index.html": b"page"}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    synced = []

    def full(number):
        synced.append(number)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    contents = {tmp_path / name: b"new" for name in before}
    with pytest.raises(ReportError, match="index.html: could not be written .No space"):
        write_all(contents, ReportError)
    assert {own.name: own.read_bytes() for own in tmp_path.iterdir()} == before
    monkeypatch.undo()
    write_all(contents, ReportError)
    assert {own.read_bytes() for own in tmp_path.iterdir()} == {b"new"}
