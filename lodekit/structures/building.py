"""From the parsed items and columns of a frame to an ``ase.Atoms``.

What ASE calls results (energy, forces, stress, charges, dipole, ...) goes into a
``SinglePointCalculator``, as ASE's own reader does it; the rest into ``info`` and
``arrays``.
"""

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.data import atomic_numbers

from lodekit.quantities import TARGETS

from .cells import cell_problem
from .stress import as_voigt
from .values import as_numbers

_IN_RESULTS = [target for target in TARGETS.values() if target.home == "results"]
#: Results of ASE's calculators that structures have, with the sizes they may have, and
#: those that atoms have.
FRAME_RESULTS = {
    **{target.name: target.sizes for target in _IN_RESULTS if not target.per_atom},
    "magmom": (1,),
    "dielectric_tensor": (9,),
}
ATOM_RESULTS = (
    *(target.name for target in _IN_RESULTS if target.per_atom),
    *("stresses", "magmoms"),
)
_FLAGS = dict.fromkeys(("T", "TRUE", "1"), True)
_FLAGS |= dict.fromkeys(("F", "FALSE", "0"), False)


def build_structure(info, columns, place):
    """Return the structure that a parsed frame describes.

    Parameters
    ----------
    info : dict
        Items of the comment line; emptied of what is used.
    columns : dict of ndarray
        Columns by ASE's names; emptied of what is used.
    place : Place
        Where the frame stands, for messages.

    Returns
    -------
    structure : ase.Atoms
        The structure, values as they stand in the file.
    """
    positions = columns.pop("positions")
    if not np.isfinite(positions).all():
        row = int(np.argmin(np.isfinite(positions).all(axis=1)))
        values = " ".join(str(value) for value in positions[row])
        raise place.error(f"position {values} is not finite", row=row)
    cell, pbc = _cell_and_pbc(info, place)
    structure = Atoms(
        numbers=_atomic_numbers(columns, place),
        positions=positions,
        cell=cell,
        pbc=pbc,
    )
    results = _atom_results(columns) | _frame_results(info, place)
    if "move_mask" in columns:
        structure.set_constraint(_constraints(columns.pop("move_mask"), place))
    structure.arrays.update(columns)
    if results:
        structure.calc = SinglePointCalculator(structure, **results)
    structure.info = info
    return structure


def _cell_and_pbc(info, place):
    """Take cell (rows are vectors, Å) and periodic flags out of ``info``."""
    lattice = info.pop("Lattice", None)
    cell = np.zeros((3, 3))
    if lattice is not None:
        vectors = as_numbers(lattice)
        if vectors is None or vectors.shape != (9,):
            got = f"{lattice!r:.40}" if vectors is None else vectors.size
            raise place.error(
                f'Lattice must be nine numbers "ax ay az bx by bz cx cy cz", got {got}',
                in_comment=True,
            )
        cell = vectors.astype(float).reshape(3, 3)
    if "pbc" not in info:
        pbc = np.full(3, lattice is not None)
    else:
        pbc = _periodic_flags(info.pop("pbc"), place)
        if lattice is None and pbc.any():
            raise place.error(
                "pbc says periodic, but there is no Lattice; give the cell or write "
                'pbc="F F F"',
                in_comment=True,
            )
    problem = cell_problem(cell, pbc)
    if problem:
        raise place.error(problem, in_comment=True)
    return cell, pbc


def _periodic_flags(value, place):
    if (
        isinstance(value, list)
        and len(value) == 3
        and all(type(flag) is bool for flag in value)
    ):
        return np.array(value, dtype=bool)
    if isinstance(value, (list, np.ndarray)):
        words = list(map(str, value))
    else:
        words = str(value).replace(",", " ").split()
    flags = [_FLAGS.get(word.upper()) for word in words]
    if None in flags or len(flags) not in (1, 3):
        raise place.error(
            f'pbc must be three of T and F, such as pbc="T T F", got '
            f"{' '.join(words)!r}",
            in_comment=True,
        )
    return np.array(flags * (3 // len(flags)))


def _atomic_numbers(columns, place):
    symbols = columns.pop("symbols", None)
    numbers = columns.pop("numbers", None)
    if symbols is not None:
        try:
            from_symbols = np.array([atomic_numbers[symbol] for symbol in symbols])
        except KeyError:
            from_symbols = _numbers_of_unusual_symbols(symbols, place)
        if numbers is None:
            return from_symbols
        if (numbers != from_symbols).any():
            row = int(np.argmax(numbers != from_symbols))
            raise place.error(
                f"species {symbols[row]!r} and Z {numbers[row]} differ", row=row
            )
    if numbers.min() < 0 or numbers.max() >= len(atomic_numbers):
        row = int(np.argmax((numbers < 0) | (numbers >= len(atomic_numbers))))
        raise place.error(f"there is no element with Z = {numbers[row]}", row=row)
    return numbers


def _numbers_of_unusual_symbols(symbols, place):
    numbers = []
    for row, symbol in enumerate(symbols):
        number = atomic_numbers.get(symbol.capitalize())
        if number is None:
            raise place.error(
                f"unknown species {symbol!r}; write a chemical symbol such as O, or "
                "give atomic numbers in a column Z:I:1",
                row=row,
            )
        numbers.append(number)
    return np.array(numbers)


def _atom_results(columns):
    return {
        key: columns.pop(key)
        for key in ATOM_RESULTS
        if key in columns and columns[key].dtype.kind in "if"
    }


def _frame_results(info, place):
    """Take ASE's results out of ``info``; what has another size stays there."""
    results = {}
    for key, sizes in FRAME_RESULTS.items():
        if key not in info:
            continue
        value = info[key]
        if as_numbers(value) is None:
            raise place.error(
                f"{key!r} must be numbers, got {value!r}", in_comment=True
            )
        if np.size(value) not in sizes:
            continue
        try:
            results[key] = as_voigt(value) if key == "stress" else value
        except ValueError as problem:
            raise place.error(f"{key!r} {problem}", in_comment=True) from None
        del info[key]
    return results


def _constraints(move_mask, place):
    if (
        move_mask.dtype.kind not in "bi"
        or move_mask.ndim == 2
        and (move_mask.shape[1] != 3)
    ):
        raise place.error("move_mask must be one or three columns of T and F")
    move_mask = move_mask.astype(bool)
    if move_mask.ndim == 1:
        return [] if move_mask.all() else FixAtoms(mask=~move_mask)
    return [
        FixCartesian(atom, mask=~row)
        for atom, row in enumerate(move_mask)
        if not row.all()
    ]
