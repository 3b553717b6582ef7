"""Densities of many structures in one file.

The file is a zip of ``density.json`` (basis, units, how the densities were made),
``frames.xyz`` (the structures, extended XYZ) and ``coefficients.npy`` (all
coefficients, frame after frame), with ``responses.npy`` where changes in a field or by
point charges are known.
``numpy.load`` reads the arrays and unzip everything.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from lodekit._version import __version__
from lodekit.errors import BasisError, DensityFileError, StructureFileError
from lodekit.structures import frame_name
from lodekit.structures.reading import parse_structures
from lodekit.structures.writing import frame_text
from lodekit.whole_files import check_destination, written_whole

from .basis import DensityBasis, number_of
from .electron_density import ElectronDensity
from .sites import check_coefficients

#: Number of the format that is written, and what makes a file one of lodekit's.
FORMAT_VERSION = 1
MAGIC = "lodekit densities"
#: What the numbers in a file mean, by the number of columns of responses.
UNITS = {
    3: {
        "coefficients": "Angstrom^(-3/2)",
        "responses": "Angstrom^(-3/2) per V/Angstrom",
    },
    1: {"coefficients": "Angstrom^(-3/2)", "responses": "Angstrom^(-3/2)"},
}
HEADER, FRAMES = "density.json", "frames.xyz"
COEFFICIENTS, RESPONSES = "coefficients.npy", "responses.npy"


@dataclass
class DensitySet:
    """Structures and the coefficients of their densities.

    Attributes
    ----------
    frames : list of ase.Atoms
        The structures.
    basis : DensityBasis
        The functions.
    coefficients : list of ndarray of shape (n_functions,)
        One array for every frame, in the order of the basis, in Å^(-3/2).
    responses : list of ndarray of shape (n_functions, 3) or (n_functions, 1), optional
        Derivatives of the coefficients by a uniform field along x, y, z, per V/Å. An
        axis of NaN is not known: a metal slab has no response to a field in its plane.
        One column is the change of the coefficients by the ``point_charges`` of the
        frame, in linear response.
    nuclear_charges : dict
        In e by atomic number, of elements with a pseudopotential.
    record : dict
        How the densities were made, as far as JSON can hold it.

    Raises
    ------
    BasisError
        If coefficients do not fit the basis and their frame.
    """

    frames: list
    basis: DensityBasis
    coefficients: list
    responses: list | None = None
    nuclear_charges: dict = field(default_factory=dict)
    record: dict = field(default_factory=dict)

    def __post_init__(self):
        """Check that all arrays fit the frames."""
        self.coefficients = self._checked(self.coefficients, "coefficients")
        if self.responses is not None:
            columns = [_columns(r) for r in self.responses]
            sizes = {r.shape[1] for r in columns}
            if len(sizes) > 1 or not sizes <= set(UNITS):
                raise BasisError(
                    "responses must have three columns each, of a field along x, y and "
                    f"z, or one, of point charges; got {sorted(sizes)}"
                )
            for axis in range(sizes.pop() if sizes else 0):
                along_axis = [r[:, axis] for r in columns]
                known = [
                    np.zeros(len(r)) if np.isnan(r).all() else r for r in along_axis
                ]
                self._checked(known, "responses")
            self.responses = columns

    @property
    def perturbation(self) -> str | None:
        """The cause of responses: "field", "charges", or None without any."""
        if self.responses is None:
            return None
        is_charge = any(response.shape[1] == 1 for response in self.responses)
        return "charges" if is_charge else "field"

    @property
    def axes(self) -> list[int]:
        """Axes of fields whose responses are known, 0 to 2, the same of all frames.

        Raises
        ------
        BasisError
            If they differ from frame to frame, or there are none.
        """
        known = {
            tuple(np.flatnonzero(~np.isnan(r).all(axis=0))) for r in self.responses
        }
        if len(known) != 1 or known == {()}:
            raise BasisError(
                "responses must be known along the same axes of all frames, at least "
                "along one"
            )
        return [int(axis) for axis in known.pop()]

    def _checked(self, arrays, name):
        if len(arrays) != len(self.frames):
            raise BasisError(
                f"there are {name} of {len(arrays)} structures and {len(self.frames)} "
                "frames; every frame needs its own"
            )
        pairs = enumerate(zip(self.frames, arrays, strict=True))
        return [
            check_coefficients(
                atoms, self.basis, values, f"{name} of {frame_name(index)}"
            )
            for index, (atoms, values) in pairs
        ]

    def __len__(self) -> int:
        """Return the number of structures."""
        return len(self.frames)

    def charges_of_nuclei(self, index: int) -> np.ndarray:
        """Return the charges of the nuclei of a frame, (n_atoms,), in e."""
        numbers = self.frames[index].numbers
        return np.array([self.nuclear_charges.get(int(z), float(z)) for z in numbers])

    def density(self, index: int) -> ElectronDensity:
        """Return the density of a frame."""
        return ElectronDensity(
            self.frames[index],
            self.basis,
            self.coefficients[index],
            self.charges_of_nuclei(index),
        )

    def change(self, index: int, axis: int = 0) -> ElectronDensity:
        """Return the change of the density of a frame, which has no nuclei.

        By a field of 1 V/Å along an axis, or by point charges, whose axis is 0.
        """
        atoms, response = self.frames[index], self.responses[index][:, axis]
        return ElectronDensity(atoms, self.basis, response, np.zeros(len(atoms)))

    def select(self, indices: Sequence[int]) -> DensitySet:
        """Return some of the frames with their densities."""
        responses = self.responses
        return DensitySet(
            [self.frames[i] for i in indices],
            self.basis,
            [self.coefficients[i] for i in indices],
            None if responses is None else [responses[i] for i in indices],
            self.nuclear_charges,
            self.record,
        )

    @classmethod
    def join(cls, sets: Sequence[DensitySet]) -> DensitySet:
        """Return several sets as one.

        Raises
        ------
        BasisError
            If their bases or the charges of their nuclei differ, or some of them have
            no responses.
        """
        first = sets[0]
        for number, other in enumerate(sets[1:], start=2):
            same = other.basis == first.basis
            if not same or other.nuclear_charges != first.nuclear_charges:
                raise BasisError(
                    f"densities 1 and {number} cannot be put together: they are in the "
                    f"bases {first.basis.name} and {other.basis.name}, which differ, "
                    "or have different nuclear charges"
                )
            if other.perturbation != first.perturbation:
                raise BasisError(
                    "some densities have responses to a field, some to point charges, "
                    "or none"
                )
        responses = None
        if first.responses is not None:
            responses = [values for part in sets for values in part.responses]
        return cls(
            [atoms for part in sets for atoms in part.frames],
            first.basis,
            [values for part in sets for values in part.coefficients],
            responses,
            first.nuclear_charges,
            first.record,
        )

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write everything to one file, all of it or nothing.

        Raises
        ------
        DensityFileError
            If the file exists, or cannot be written; what was there stays.
        """
        texts = [frame_text(atoms) for atoms in self.frames]
        write_density_file(path, self, texts, overwrite)

    @classmethod
    def load(cls, path: str | Path) -> DensitySet:
        """Read a file that `save` wrote.

        Raises
        ------
        DensityFileError
            If the file is missing, damaged, foreign or newer than this lodekit.
        """
        path = Path(path)
        try:
            with zipfile.ZipFile(path) as archive:
                return _read(path, archive)
        except OSError as problem:
            reason = problem.strerror or problem
            raise DensityFileError(f"{path}: cannot be read ({reason})") from None
        except (BasisError, StructureFileError) as problem:
            raise DensityFileError(f"{path}: {problem}") from None
        except DensityFileError:
            raise
        except Exception as problem:  # zipfile answers damage with errors of many kinds
            reason = " ".join(str(problem).split()) or type(problem).__name__
            raise DensityFileError(
                f"{path}: this file of densities is damaged, truncated or foreign "
                f"({reason:.100}); copy it again"
            ) from None


def is_density_file(path: str | Path) -> bool:
    """Return whether a file is one of densities, by its list of contents."""
    try:
        with zipfile.ZipFile(path) as archive:
            return HEADER in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def write_density_file(
    path: str | Path,
    densities: DensitySet,
    texts: Iterable[str],
    overwrite: bool = False,
) -> None:
    """Write a file of densities; ``texts`` are its frames as extended XYZ."""
    path = check_destination(path, overwrite, DensityFileError)
    charges = densities.nuclear_charges.items()
    n_columns = 1 if densities.perturbation == "charges" else 3
    header = {
        "magic": MAGIC,
        "format": FORMAT_VERSION,
        "lodekit": __version__,
        "units": UNITS[n_columns],
        "basis": densities.basis.to_dict(),
        "nuclear_charges": {chemical_symbols[z]: float(q) for z, q in charges},
        "record": densities.record,
    }
    with (
        written_whole(path, DensityFileError) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr(HEADER, json.dumps(header, indent=1, allow_nan=False))
        archive.writestr(FRAMES, "".join(texts))
        arrays = {COEFFICIENTS: densities.coefficients, RESPONSES: densities.responses}
        for name, parts in arrays.items():
            if parts is not None:
                shape = (0,) if name == COEFFICIENTS else (0, n_columns)
                array = np.concatenate([np.zeros(shape), *parts])
                archive.writestr(name, _npy(array))


def _columns(response) -> np.ndarray:
    """Return a response as columns; one without columns is of point charges."""
    values = np.asarray(response, dtype=float)
    return values.reshape(len(values), -1)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _read(path, archive) -> DensitySet:
    header = _read_header(path, archive)
    basis = DensityBasis.from_dict(header["basis"])
    text = archive.read(FRAMES).decode()
    frames = parse_structures(text, f"{path}: {FRAMES}") if text else []
    ends = np.cumsum([0, *(basis.size(atoms.numbers) for atoms in frames)])

    def arrays(name):
        whole = np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
        if len(whole) != ends[-1]:
            raise DensityFileError(
                f"{path}: {name} has {len(whole)} rows and the frames need {ends[-1]}; "
                "copy the file again"
            )
        return np.split(whole, ends[1:-1]) if frames else []

    has_responses = RESPONSES in archive.namelist()
    charges = header["nuclear_charges"].items()
    return DensitySet(
        frames,
        basis,
        arrays(COEFFICIENTS),
        arrays(RESPONSES) if has_responses else None,
        {number_of(symbol): charge for symbol, charge in charges},
        header["record"],
    )


def _read_header(path, archive) -> dict:
    if HEADER not in archive.namelist():
        raise DensityFileError(f"{path}: this is a zip file, but not one of densities")
    header = json.loads(archive.read(HEADER))
    if not isinstance(header, dict) or header.get("magic") != MAGIC:
        raise DensityFileError(f"{path}: this is a zip file, but not one of densities")
    if header["format"] > FORMAT_VERSION:
        raise DensityFileError(
            f"{path}: has format {header['format']}, this lodekit {__version__} reads "
            f"up to {FORMAT_VERSION}; update lodekit"
        )
    if header["units"] not in UNITS.values():
        raise DensityFileError(f"{path}: has other units than lodekit {__version__}")
    return header
