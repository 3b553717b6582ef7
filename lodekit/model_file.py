"""One file for a fitted model: a zip of JSON and metatensor buffers.

Reading runs no code: the class is looked up in a fixed table, and settings and arrays
are data. Members are stored without compression, each with a checksum.
"""

import json
import math
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np

from lodekit._version import __version__
from lodekit.array_buffers import from_buffer, to_buffer
from lodekit.errors import ModelFileError
from lodekit.whole_files import check_destination, written_whole

#: Number of the format that is written; see `UPGRADES`.
FORMAT_VERSION = 1
#: Functions that change a header of one format into the next, by the older number.
UPGRADES = {}
#: Classes that a file may hold, and the modules they live in.
MODEL_CLASSES = {
    "SparsePotential": "lodekit.models",
    "ChargeModel": "lodekit.models",
    "DipoleModel": "lodekit.models",
    "ChargeEquilibrationModel": "lodekit.models",
    "LatentChargeModel": "lodekit.models",
    "GlobalPotential": "lodekit.models",
}
#: What the numbers in a file mean; a file with other conventions is refused.
CONVENTIONS = {
    "units": {"energy": "eV", "length": "Angstrom", "charge": "e"},
    "spherical_harmonics": "real, orthonormal, without Condon-Shortley phase; "
    "m from -l to l at index l*l + l + m",
    "stress": "Voigt order xx, yy, zz, yz, xz, xy; positive under tension",
}
_HEADER = "model.json"
_FIRST_BYTES = b"PK\x03\x04"
_MAGIC = "lodekit model"
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
        If the file exists already or cannot be written; what was there stays.
    """
    path = check_destination(path, overwrite, ModelFileError)
    state = model.get_state()
    if state["class"] not in MODEL_CLASSES:
        raise ModelFileError(
            f"{path}: a model file cannot hold a {state['class']}; it can hold "
            f"{', '.join(MODEL_CLASSES)}"
        )
    arrays = [(name, np.asarray(array)) for name, array in state["arrays"].items()]
    header = {
        "magic": _MAGIC,
        "format": FORMAT_VERSION,
        "lodekit": __version__,
        "class": state["class"],
        "conventions": CONVENTIONS,
        "settings": as_json(state["settings"]),
        "record": as_json(record or {}),
        "arrays": [_describe(*named, at) for at, named in enumerate(arrays)],
    }
    with (
        written_whole(path, ModelFileError) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        text = json.dumps(header, indent=1, ensure_ascii=False, allow_nan=False)
        archive.writestr(_HEADER, text)
        for entry, (_, array) in zip(header["arrays"], arrays, strict=True):
            archive.writestr(entry["file"], to_buffer(array))


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
        If the file is missing, damaged, not a model, or newer than this lodekit.
    """
    header, arrays = _read(Path(path), with_arrays=True)
    cls = getattr(import_module(MODEL_CLASSES[header["class"]]), header["class"])
    state = {"class": header["class"], "settings": header["settings"], "arrays": arrays}
    try:
        return cls.from_state(state)
    except (KeyError, TypeError, IndexError, AttributeError) as problem:
        raise ModelFileError(
            f"{path}: this model file lacks something ({type(problem).__name__}: "
            f"{problem}); fit again"
        ) from problem


def read_header(path):
    """Return what a model file says about itself, without its arrays.

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


def _describe(name, array, number):
    return {
        "name": name,
        "file": f"arrays/{number:04d}.mts",
        "shape": list(array.shape),
        "dtype": array.dtype.name,
    }


def _read(path, with_arrays):
    """Return the header, upgraded, and the arrays of a model file."""
    if not path.exists():
        raise ModelFileError(f"{path}: there is no such file")
    if not path.is_file():
        raise ModelFileError(f"{path}: this is not a file")
    try:
        with open(path, "rb") as file:
            if file.read(len(_FIRST_BYTES)) != _FIRST_BYTES:
                raise ModelFileError(f"{path}: this is not a lodekit model")
            with zipfile.ZipFile(file) as archive:
                _check_members(path, file, archive)
                header = _read_header(path, archive)
                arrays = _read_arrays(path, archive, header) if with_arrays else None
    except ModelFileError:
        raise
    except OSError as problem:
        reason = problem.strerror or problem
        raise ModelFileError(f"{path}: cannot be read ({reason})") from None
    except Exception as problem:  # zipfile answers damage with errors of many kinds
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise ModelFileError(
            f"{path}: this model file is damaged or truncated ({reason:.100}); copy it "
            "again or fit again"
        ) from None
    return header, arrays


def _check_members(path, file, archive):
    """Tell a foreign zip from a truncated model.

    Buffers of metatensor are zips too, so that in a truncated model file Python finds
    the end of a buffer and takes that for the whole.
    """
    if _HEADER in archive.namelist():
        return
    file.seek(0)
    if _HEADER.encode() in file.read(_NAME_WITHIN):
        raise zipfile.BadZipFile("the end is missing")
    raise ModelFileError(f"{path}: this is a zip file, but not a lodekit model")


def _read_header(path, archive):
    header = json.loads(archive.read(_HEADER))
    if not isinstance(header, dict) or header.get("magic") != _MAGIC:
        raise ModelFileError(f"{path}: this is a zip file, but not a lodekit model")
    version = header["format"]
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path}: the model file has format {version} (written by lodekit "
            f"{header.get('lodekit')}), this lodekit {__version__} reads up to "
            f"{FORMAT_VERSION}; update lodekit"
        )
    for step in range(version, FORMAT_VERSION):
        UPGRADES[step](header)
    if header["class"] not in MODEL_CLASSES:
        raise ModelFileError(
            f"{path}: the model file holds a {header['class']!r}, which this lodekit "
            f"does not know; it knows {', '.join(MODEL_CLASSES)}"
        )
    if header["conventions"] != CONVENTIONS:
        raise ModelFileError(
            f"{path}: the model file uses other conventions of units or harmonics than "
            f"lodekit {__version__}"
        )
    return header


def _read_arrays(path, archive, header):
    members = set(archive.namelist())
    arrays = {}
    for entry in header["arrays"]:
        if entry["file"] not in members:
            raise ModelFileError(
                f"{path}: the array {entry['name']!r} is missing from the model file; "
                "copy it again or fit again"
            )
        buffer = archive.read(entry["file"])
        arrays[entry["name"]] = from_buffer(buffer, entry["shape"], entry["dtype"])
    return arrays
