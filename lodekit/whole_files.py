"""Files that appear when they are complete, and not before."""

import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

#: Suffixes up to this length stay in the name of a file that is not complete: writers
#: of some formats look at them. Longer ones could make that name too long.
LONGEST_SUFFIX = 16


def check_destination(path, overwrite=False, error=OSError, inputs=()):
    """Return where to write, or say now why writing there would fail.

    Parameters
    ----------
    path : str or Path
        The file that will be written.
    overwrite : bool
        Whether it may replace a file that exists.
    error : type
        Class of the error to raise.
    inputs : iterable of str or Path
        Files that are read; none of them may be replaced.

    Returns
    -------
    path : Path
        The absolute path.
    """
    asked, path = path, Path(path).resolve()
    if any(path == Path(other).resolve() for other in inputs):
        raise error(
            f"{asked}: this file is read, it cannot be the output as well; choose "
            "another name"
        )
    exists = os.path.exists(path)  # False for names that are too long
    if exists and not path.is_file():
        raise error(f"{path}: this is not a file, choose another name")
    if exists and not overwrite:
        raise error(
            f"{path}: exists already; choose another name or overwrite it with "
            "--overwrite (in Python, overwrite=True)"
        )
    if not path.parent.is_dir():
        raise error(f"{path}: there is no folder {path.parent}")
    if exists and not os.access(path, os.W_OK):
        raise error(f"{path}: is read-only; choose another name")
    check_writable(path, error)
    return path


def check_writable(path, error=OSError):
    """Say now why a file of this name could not be made in its folder.

    A file is made and removed: permissions, read-only disks and names that are too long
    show in no other way on all systems.
    """
    try:
        for name in {path, _partial_name(path)}:
            if not name.exists():
                name.touch()
                name.unlink()
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise error(f"{path}: cannot be written there ({reason})") from None


@contextmanager
def written_whole(path, error=OSError):
    """Give a binary file to write, which becomes ``path`` if the block succeeds.

    Parameters
    ----------
    path : Path
        The file to write or replace.
    error : type
        Class of the error to raise when the disk refuses.
    """
    with replaced_whole(path, error) as partial, open(partial, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replaced_whole(path, error=OSError):
    """Give the name of a file to write, which becomes ``path`` if the block succeeds.

    It is hidden, in the same folder and of the same kind. It takes the place of
    ``path`` in the end, with the permissions that a file there has, and is removed when
    anything fails, an interrupt included.

    Parameters
    ----------
    path, error
        As in `written_whole`.
    """
    partial = _partial_name(path)
    try:
        yield partial
        _keep_permissions(path, partial)
        os.replace(partial, path)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise error(
            f"{path}: could not be written ({reason}); nothing was changed"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def write_all(contents, error=OSError):
    """Write several files: none of them changes before all are on the disk.

    Parameters
    ----------
    contents : dict of Path to bytes
        What to write, by file.
    error : type
        Class of the error to raise when the disk refuses.
    """
    with ExitStack() as stack:
        for path, content in contents.items():
            file = stack.enter_context(written_whole(path, error))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _partial_name(path):
    """Return a hidden name beside ``path`` that is never longer than need be."""
    suffix = path.suffix if len(path.suffix) <= LONGEST_SUFFIX else ""
    return path.with_name(f".{uuid4().hex[:12]}{suffix}")


def _keep_permissions(path, partial):
    """Give a file that takes the place of another its permissions and owner."""
    if not path.exists():
        return
    shutil.copymode(path, partial)
    before = path.stat()
    with suppress(OSError):  # only a superuser may give files away
        os.chown(partial, before.st_uid, before.st_gid)
