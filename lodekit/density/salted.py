"""Coefficients in the folders that SALTED works with.

``FOLDER/coefficients/coefficients_conf0.npy`` and so on, one array for every frame of
an extended XYZ file, and metric matrices in ``FOLDER/overlaps/overlap_conf0.npy``;
changes in a field in ``FOLDER/coefficients/x``, ``y`` and ``z``. SALTED writes them
from PySCF, CP2K and FHI-aims: atoms, l, radial functions, m from -l to l, in atomic
units, with frames counted from 0. All coefficients may also stand in one array with a
row for every frame, where all frames have as many.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from ase import Atoms

from lodekit.errors import BasisError, DensityFileError
from lodekit.units import BOHR, HARTREE

from .basis import DensityBasis
from .density_set import DensitySet
from .metrics import DensityMetric
from .ordering import (
    COEFFICIENT_UNIT,
    LODEKIT,
    ORDERS,
    check_electrons,
    check_order,
    check_responses,
    places_in,
)
from .sites import check_coefficients

#: Overlaps that are computed and those of a file differ by less.
OVERLAP_TOLERANCE = 1e-4
_FIELD_UNIT = HARTREE / BOHR  # V/Å


def read_salted(
    path: str | Path,
    frames: list,
    basis: DensityBasis,
    *,
    order: str = LODEKIT,
    nuclear_charges: dict | None = None,
) -> DensitySet:
    """Return the densities of a folder in SALTED's layout, or of one array.

    Where the functions are known, numbers of electrons, overlaps of the first frame (if
    there is a file) and dipoles (if frames have them) tell coefficients in another
    order, basis or unit.

    Parameters
    ----------
    path : str or Path
        The folder that has ``coefficients``, or an .npy file with a row for every
        frame.
    frames : list of ase.Atoms
        All structures, in the order of the calculations.
    basis : DensityBasis
        From `lodekit.density.load_basis`, or `layout_only` for numerical functions.
    order : {"m from -l to l", "x, y, z for l = 1"}
        The order of l = 1; SALTED has the first, PySCF itself the second.
    nuclear_charges : dict, optional
        By atomic number, for elements with a pseudopotential.

    Raises
    ------
    DensityFileError
        If files are missing or damaged.
    BasisError
        If coefficients do not fit the basis or the frames.
    """
    path, charges = Path(path), dict(nuclear_charges or {})
    is_response = path.is_dir() and (path / "coefficients" / "x").is_dir()
    if is_response:
        return _read_responses(path, frames, basis, order, charges)
    raw = _read_vectors(path, frames, basis, "coefficients")
    raw = [COEFFICIENT_UNIT * values for values in raw]
    coefficients = in_order(raw, frames, basis, order)
    if basis.is_known and frames:
        check_overlap(path, frames[0], basis, order)
        check_electrons(frames, basis, coefficients, charges, str(path))
        check_order(frames, basis, raw, order, charges, str(path))
    return DensitySet(frames, basis, coefficients, None, charges)


def in_order(
    vectors: list, frames: list, basis: DensityBasis, order: str
) -> list[np.ndarray]:
    """Return arrays of all frames in lodekit's order."""
    return [
        values[places_in(order, basis, atoms.numbers)]
        for atoms, values in zip(frames, vectors, strict=True)
    ]


def _read_responses(path, frames, basis, order, charges) -> DensitySet:
    """Return the changes in a field along x, y and z, with coefficients of zero."""
    folders = [f"coefficients/{axis}" for axis in "xyz"]
    axes = [
        in_order(_read_vectors(path, frames, basis, folder), frames, basis, order)
        for folder in folders
    ]
    responses = [
        COEFFICIENT_UNIT / _FIELD_UNIT * np.stack(columns, axis=1)
        for columns in zip(*axes, strict=True)
    ]
    if basis.is_known and frames:
        check_overlap(path, frames[0], basis, order)
        check_responses(frames, basis, responses, str(path))
    coefficients = [np.zeros(len(response)) for response in responses]
    return DensitySet(frames, basis, coefficients, responses, charges)


def _read_vectors(path, frames, basis, folder) -> list[np.ndarray]:
    """Return the arrays of all frames in the order and unit of the files."""
    if path.is_file():
        table = read_array(path)
        if len(table) != len(frames):
            raise DensityFileError(
                f"{path}: has {len(table)} rows and there are {len(frames)} frames; "
                "give one row for every frame"
            )
        named = [(f"{path}, row {row + 1}", values) for row, values in enumerate(table)]
    else:
        files = find_files(path / folder, "coefficients", len(frames))
        named = [(str(file), read_array(file)) for file in files]
    vectors = []
    for atoms, (name, values) in zip(frames, named, strict=True):
        vectors.append(check_coefficients(atoms, basis, np.ravel(values), name))
    return vectors


def find_files(folder: Path, stem: str, n_frames: int) -> list[Path]:
    """Return ``stem_conf0.npy`` and so on, or say which are missing."""
    if not folder.is_dir():
        raise DensityFileError(
            f"{folder}: there is no such folder; give the one that holds coefficients"
        )
    files = [folder / f"{stem}_conf{index}.npy" for index in range(n_frames)]
    missing = [index for index, file in enumerate(files) if not file.is_file()]
    if missing:
        present = [
            re.fullmatch(rf"{stem}_conf(\d+)\.npy", f.name) for f in folder.iterdir()
        ]
        n_present = sum(match is not None for match in present)
        first = ", ".join(map(str, missing[:5])) + (", ..." if missing[5:] else "")
        raise DensityFileError(
            f"{folder}: {len(missing)} of {n_frames} frames have no {stem}_conf*.npy "
            f"(indices {first}); it holds {n_present} such files, and frames are "
            "counted from 0"
        )
    return files


def read_array(path: str | Path) -> np.ndarray:
    """Return the numbers of an .npy file, or say why there are none."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        reason = getattr(problem, "strerror", None) or " ".join(str(problem).split())
        raise DensityFileError(
            f"{path}: cannot be read as an array ({reason:.80}); copy it again"
        ) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise DensityFileError(f"{path}: does not hold an array of numbers")
    return array.astype(float, copy=False)


def read_overlap(
    path: str | Path, index: int, atoms: Atoms, basis: DensityBasis
) -> np.ndarray:
    """Return the metric matrix of a frame from a folder in SALTED's layout.

    Parameters
    ----------
    path : str or Path
        The folder that has ``overlaps``.
    index : int
        The frame, counted from 0.
    atoms : ase.Atoms
        Its structure.
    basis : DensityBasis
        Its basis.

    Returns
    -------
    overlap : ndarray of shape (n_functions, n_functions)
        In the order of the file.
    """
    file = Path(path) / "overlaps" / f"overlap_conf{index}.npy"
    matrix, size = read_array(file), basis.size(atoms.numbers)
    if matrix.shape != (size, size):
        raise BasisError(
            f"{file}: has shape {matrix.shape}, and {atoms.get_chemical_formula()} has "
            f"{size} functions in the basis {basis.name}"
        )
    return matrix


def check_overlap(path: Path, atoms: Atoms, basis: DensityBasis, order: str) -> None:
    """Compare overlaps of the first frame with those of a file, if there is one."""
    if not (path / "overlaps" / "overlap_conf0.npy").is_file():
        return
    of_file = read_overlap(path, 0, atoms, basis)
    of_basis = DensityMetric(overlap=1.0).matrix(atoms, basis)
    errors = {}
    for candidate in ORDERS:
        places = places_in(candidate, basis, atoms.numbers)
        errors[candidate] = abs(of_file[np.ix_(places, places)] - of_basis).max()
    best = min(errors, key=errors.get)
    if errors[order] < OVERLAP_TOLERANCE:
        return
    hint = "its functions, their order or their unit are others"
    if errors[best] < OVERLAP_TOLERANCE:
        hint = f"they agree in the order {best!r}; say order={best!r}"
    raise BasisError(
        f"{path}: overlaps of the file and of the basis {basis.name} differ by "
        f"{errors[order]:.2g}; {hint}"
    )
