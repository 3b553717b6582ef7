"""Files that appear when they are complete, and not before."""

import os
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def check_destination(path, overwrite=False, error=OSError):
    """Return where to write, or say now why writing there would fail.

    Parameters
    ----------
    path : str or Path
        The file that will be written.
    overwrite : bool
        Whether it may replace a file that exists.
    error : type
        Class of the error to raise.

    Returns
    -------
    path : Path
        The absolute path.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        raise error(f"{path}: this is not a file, choose another name")
    if path.exists() and not overwrite:
        raise error(
            f"{path}: exists already; choose another name or overwrite it with "
            "--overwrite (in Python, overwrite=True)"
        )
    if not path.parent.is_dir():
        raise error(f"{path}: there is no folder {path.parent}")
    return path


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
    ``path`` in the end, and is removed when anything fails, an interrupt included.

    Parameters
    ----------
    path, error
        As in `written_whole`.
    """
    partial = path.with_name(f".{path.stem}-{uuid4().hex[:8]}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise error(
            f"{path}: could not be written ({reason}); nothing was changed"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
