"""Bases from elsewhere: PySCF's, tables in files, even-tempered and bare layouts.

Tables of basis sets have exponents in 1/Bohr^2; they are converted here.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
from ase.data import chemical_symbols

from lodekit.errors import BasisError
from lodekit.units import BOHR

from .basis import DensityBasis, Shell, number_of


def load_basis(name: str, numbers: Iterable[int]) -> DensityBasis:
    """Return a basis for some elements.

    Parameters
    ----------
    name : str
        A name that PySCF knows, such as "def2-universal-jfit" or "cc-pvqz-jkfit", or a
        file: JSON of `DensityBasis.to_dict`, or a table of CP2K's format.
    numbers : iterable of int
        Atomic numbers.

    Raises
    ------
    BasisError
        If the basis does not exist, or lacks an element.
    """
    path = Path(name)
    if path.suffix == ".json" or path.is_file():
        basis = read_basis(path)
        for number in numbers:
            basis.shells_of(int(number))
        return basis
    return pyscf_basis(name, numbers)


def pyscf_basis(name: str, numbers: Iterable[int]) -> DensityBasis:
    """Return a basis of PySCF's library for some elements."""
    load = import_pyscf("gto").basis.load
    symbols = [chemical_symbols[z] for z in sorted({int(z) for z in numbers})]
    return DensityBasis(
        {symbol: shells_of_table(load_table(load, name, symbol)) for symbol in symbols},
        name,
    )


def load_table(load: Callable, name: str, symbol: str) -> list:
    """Return a table of an element in PySCF's library, or say that there is none.

    Parameters
    ----------
    load : callable
        PySCF's loader of bases or of pseudopotentials.
    name, symbol : str
        Basis and element.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # hints at other packages
            return load(name, symbol)
    except (RuntimeError, KeyError, OSError) as problem:
        reason = " ".join(str(problem).split())
        raise BasisError(
            f"PySCF has no basis {name!r} for {symbol} ({reason:.80})"
        ) from None


def import_pyscf(module: str) -> ModuleType:
    """Return a module of PySCF, or say how to install it."""
    try:
        return import_module(f"pyscf.{module}")
    except ImportError:
        raise BasisError(
            "this needs PySCF, which is not installed; pip install 'lodekit[data]'"
        ) from None


def shells_of_table(table: list) -> list[Shell]:
    """Return the shells of a table as PySCF has them.

    A table is a list of [l, [exponent, coefficient, ...], ...] with exponents in
    1/Bohr^2 and one column for each contracted function.
    """
    shells = []
    for l, *rows in table:
        if rows and isinstance(rows[0], int):  # kappa of relativistic bases
            rows = rows[1:]
        exponents = tuple(float(row[0]) / BOHR**2 for row in rows)
        for column in range(1, len(rows[0])):
            coefficients = tuple(float(row[column]) for row in rows)
            used = [p for p, d in enumerate(coefficients) if d != 0.0]
            shells.append(
                Shell(
                    int(l),
                    tuple(exponents[p] for p in used),
                    tuple(coefficients[p] for p in used),
                )
            )
    return shells


def table_of_shells(shells: Iterable[Shell]) -> list:
    """Return shells as a table of PySCF, the inverse of `shells_of_table`."""
    table = []
    for shell in shells:
        pairs = zip(shell.exponents, shell.coefficients, strict=True)
        table.append([shell.l, *([a * BOHR**2, d] for a, d in pairs)])
    return table


def even_tempered(
    smallest: float, ratio: float, counts: Mapping, name: str = "even-tempered"
) -> DensityBasis:
    """Return a basis of single Gaussians with exponents smallest * ratio^n.

    Parameters
    ----------
    smallest : float
        Smallest exponent in 1/Å^2.
    ratio : float
        Ratio of neighbouring exponents, more than 1.
    counts : mapping
        For every element the number of functions of every l, such as {"Na": (6, 5,
        4)}.
    name : str
        What people call the basis.
    """
    if not (smallest > 0 and ratio > 1):
        raise BasisError(
            "an even-tempered basis needs a positive smallest exponent and a ratio "
            f"above 1, got {smallest} and {ratio}"
        )
    elements = {
        element: [
            Shell(l, (float(smallest * ratio**n),), (1.0,))
            for l, count in enumerate(of_l)
            for n in range(count)
        ]
        for element, of_l in counts.items()
    }
    return DensityBasis(elements, name)


def layout_only(counts: Mapping, name: str) -> DensityBasis:
    """Return a basis of which only the numbers of shells are known.

    Coefficients can be learned and predicted in it, with metric matrices from files;
    what needs the functions is refused.

    Parameters
    ----------
    counts : mapping
        For every element the number of shells of every l (SALTED's nmax), such as
        {"H": [4, 3, 3, 2, 1]}.
    name : str
        What people call the basis.
    """
    elements = {
        element: [Shell(l) for l, count in enumerate(of_l) for _ in range(count)]
        for element, of_l in counts.items()
    }
    return DensityBasis(elements, name)


def read_basis(path: str | Path) -> DensityBasis:
    """Read a basis from JSON of `DensityBasis.to_dict` or a table of CP2K's format.

    A table has, for every element, a line with its symbol; the number of sets; and for
    every set a line with a number that is not used, the lowest and highest l, the
    number of exponents, and the number of functions of every l; then a line with an
    exponent (1/Bohr^2) and coefficients for every exponent. Lines that begin with #
    are comments.

    Raises
    ------
    BasisError
        If the file is missing or has another form.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not a text file"
        raise BasisError(f"{path}: cannot be read as a basis ({reason})") from None
    if text.lstrip().startswith("{"):
        try:
            return DensityBasis.from_dict(json.loads(text))
        except json.JSONDecodeError as problem:
            raise BasisError(f"{path}: this is not JSON ({problem})") from None
    try:
        return DensityBasis(parse_table(text), path.name)
    except (ValueError, IndexError, StopIteration) as problem:
        if isinstance(problem, BasisError):
            raise BasisError(f"{path}: {problem}") from None
        raise BasisError(
            f"{path}: this is neither JSON of a basis nor a table of CP2K's format "
            f"({problem or 'it ends too early'})"
        ) from None


def parse_table(text: str) -> dict[str, list[Shell]]:
    """Return the shells of every element in a table of CP2K's format."""
    lines = iter(
        [
            words
            for line in text.splitlines()
            if (words := line.partition("#")[0].split())
        ]
    )
    elements: dict[str, list[Shell]] = {}
    for words in lines:
        number_of(words[0])
        shells = elements.setdefault(words[0], [])
        for _ in range(int(next(lines)[0])):
            _, lowest, highest, n_exponents, *counts = map(int, next(lines))
            rows = np.array([next(lines) for _ in range(n_exponents)], dtype=float)
            column = 1
            for l, count in zip(range(lowest, highest + 1), counts, strict=True):
                table = [[l, *rows[:, [0, *range(column, column + count)]].tolist()]]
                shells.extend(shells_of_table(table))
                column += count
    return elements
