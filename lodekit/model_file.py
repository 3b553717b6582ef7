"""One file for a fitted model: a zip of JSON and metatensor buffers.

Reading runs no code: classes are looked up in fixed tables, and settings and arrays are
data. Members are stored without compression, each with a checksum. What is not exactly
as `save_model` writes it is refused, and every size is checked before memory is asked
for.
"""

import errno
import json
import math
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np

from lodekit._version import __version__
from lodekit.array_buffers import check_members
from lodekit.errors import ModelFileError
from lodekit.model_arrays import check_files, read_arrays, store_arrays
from lodekit.model_header import (
    CONVENTIONS,
    LARGEST_HEADER,
    MAGIC,
    check_header,
    header_checksum,
    parse_header,
)
from lodekit.model_upgrades import UPGRADES
from lodekit.stored_model import check_numbers
from lodekit.whole_files import check_destination, written_whole

#: Number of the format that is written; see `UPGRADES`.
FORMAT_VERSION = 3
#: Classes that a file may hold, and the modules they live in.
MODEL_CLASSES = {
    "SparsePotential": "lodekit.models",
    "ChargeModel": "lodekit.models",
    "DipoleModel": "lodekit.models",
    "ChargeEquilibrationModel": "lodekit.models",
    "LatentChargeModel": "lodekit.models",
    "GlobalPotential": "lodekit.models",
    "TensorModel": "lodekit.models",
    "ElectronDensityModel": "lodekit.models",
    "PolarizationModel": "lodekit.models",
    "BornChargeModel": "lodekit.models",
    "WannierModel": "lodekit.models",
    "InducedDipoleModel": "lodekit.models",
}
_HEADER = "model.json"
_FIRST_BYTES = b"PK\x03\x04"
#: How the last record of a zip without a comment begins, and its size.
_END, _END_SIZE = b"PK\x05\x06", 22
#: The name of the first member of a zip stands within so many bytes.
_NAME_WITHIN = 64


def save_model(model, path, overwrite=False, record=None):
    """Write a fitted model to one file, all of it or nothing.

    Parameters
    ----------
    model : estimator
        A fitted model of a class in `MODEL_CLASSES`.
    path : str or Path
        The file to write.
    overwrite : bool
        Replace a file that exists.
    record : dict, optional
        How the model was made, as far as JSON can hold it; `read_header` returns it.

    Raises
    ------
    ModelFileError
        If the file exists already or cannot be written, or the model has a parameter
        that a file cannot hold, or numbers that are not finite; what was there stays.
    """
    path = check_destination(path, overwrite, ModelFileError)
    state = model.get_state()
    if state["class"] not in MODEL_CLASSES:
        raise ModelFileError(
            f"{path}: a model file cannot hold a {state['class']}; it can hold "
            f"{', '.join(MODEL_CLASSES)}"
        )
    for name, array in state["arrays"].items():
        try:
            check_numbers(name, np.asarray(array))
        except ValueError as problem:
            raise ModelFileError(f"{path}: not written, {problem}") from None
    with (
        written_whole(path, ModelFileError) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        # the header comes first, and is written when the checksums of all are known
        entries, buffers = store_arrays(state["arrays"])
        header = {
            "magic": MAGIC,
            "format": FORMAT_VERSION,
            "lodekit": __version__,
            "class": state["class"],
            "conventions": CONVENTIONS,
            "settings": as_json(state["settings"]),
            "record": as_json(record or {}),
            "arrays": entries,
        }
        archive.writestr(_HEADER, seal(header))
        for name, buffer in buffers.items():
            archive.writestr(name, buffer)


def seal(header):
    """Return the text of a header, with its checksum."""
    header["checksum"] = header_checksum(header)
    text = json.dumps(header, indent=1, ensure_ascii=False, allow_nan=False)
    if len(text) > LARGEST_HEADER:
        raise ModelFileError(
            f"the settings of this model take {len(text)} bytes, a model file holds "
            f"{LARGEST_HEADER}"
        )
    return text


def load_model(path):
    """Read a model from the file that `save_model` wrote.

    Parameters
    ----------
    path : str or Path
        The model file.

    Returns
    -------
    model : estimator
        The fitted model, ready to predict.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model, changed by anything else than
        lodekit, or newer than this lodekit.
    """
    path = Path(path)
    header, arrays = _read(path, with_arrays=True)
    cls = getattr(import_module(MODEL_CLASSES[header["class"]]), header["class"])
    state = {"class": header["class"], "settings": header["settings"], "arrays": arrays}
    try:
        return cls.from_state(state)
    except KeyError as problem:
        raise ModelFileError(
            f"{path}: this model file lacks {problem}; copy it again or fit again"
        ) from problem
    except Exception as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise ModelFileError(
            f"{path}: this model file contradicts itself ({reason:.200}); copy it "
            "again or fit again"
        ) from problem


def read_header(path):
    """Return the header of a model file, without its arrays.

    Returns
    -------
    header : dict
        Keys "format", "lodekit" (the version that wrote it), "class", "conventions",
        "settings", "record" and "arrays" (name, shape and kind of each).
    """
    return _read(Path(path), with_arrays=False)[0]


def is_model_file(path):
    """Return whether a file begins like a model file, damaged or not."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_FIRST_BYTES)) == _FIRST_BYTES
    except OSError:
        return False


def as_json(value):
    """Return a copy of ``value`` that JSON holds.

    NumPy numbers and arrays become Python numbers and lists; numbers that are not
    finite become None, because JSON has no word for them.

    >>> as_json({"rank": np.int64(3), "noise": (0.5, float("inf"))})
    {'rank': 3, 'noise': [0.5, None]}
    """
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return as_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError(f"a model file cannot hold {value!r} in its settings")


def _read(path, with_arrays):
    """Return the header, upgraded, and the arrays of a model file."""
    if not path.exists():
        raise ModelFileError(f"{path}: there is no such file")
    if not path.is_file():
        raise ModelFileError(f"{path}: this is not a file")
    try:
        with open(path, "rb") as file:
            if file.read(len(_FIRST_BYTES)) != _FIRST_BYTES:
                raise ModelFileError("this is not a lodekit model")
            with zipfile.ZipFile(file) as archive:
                _check_archive(file, archive)
                header = _read_header(archive)
                arrays = read_arrays(archive, header) if with_arrays else None
    except ModelFileError as problem:
        raise ModelFileError(f"{path}: {problem}") from None
    except OSError as problem:
        if problem.errno == errno.EINVAL:  # a place before the file's beginning
            raise damage(path, problem) from None
        reason = problem.strerror or problem
        raise ModelFileError(f"{path}: cannot be read ({reason})") from None
    except Exception as problem:  # zipfile answers damage with errors of many kinds
        raise damage(path, problem) from None
    return header, arrays


def damage(path, problem):
    """Return the error that says that a file is damaged."""
    reason = " ".join(str(problem).split()) or type(problem).__name__
    return ModelFileError(
        f"{path}: this model file is damaged or truncated ({reason:.100}); copy it "
        "again or fit again"
    )


def _check_archive(file, archive):
    """Tell a foreign zip from a truncated model, and check the sizes of all members.

    Buffers of metatensor are zips too, so that in a truncated model file Python finds
    the end of a buffer and takes that for the whole.
    """
    if _HEADER not in archive.namelist():
        file.seek(0)
        if _HEADER.encode() in file.read(_NAME_WITHIN):
            raise zipfile.BadZipFile("the end is missing")
        raise ModelFileError("this is a zip file, but not a lodekit model")
    members = check_members(archive, file.seek(0, 2))
    file.seek(-_END_SIZE, 2)
    if file.read(len(_END)) != _END:
        raise ValueError("there is something behind the end")
    if members[_HEADER].file_size > LARGEST_HEADER:
        raise ValueError(f"{_HEADER} is too large")


def _read_header(archive):
    header = parse_header(archive.read(_HEADER))
    version = header["format"]
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"the model file has format {version} (written by lodekit "
            f"{header.get('lodekit')}), this lodekit {__version__} reads up to "
            f"{FORMAT_VERSION}; update lodekit"
        )
    check_files(archive, check_header(header, MODEL_CLASSES, version), {_HEADER})
    for step in range(version, FORMAT_VERSION):
        UPGRADES[step](header)
    if type(header["settings"].get("summary")) is not dict:
        raise ValueError("it has no summary of the fit")
    return header
