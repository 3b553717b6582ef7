"""Cube files: values on a regular grid, with the atoms they belong to.

Files are in atomic units (positions in Bohr, densities in electrons per Bohr^3), values
here in Å and electrons per Å^3; the conversion is here and nowhere else. The file
format is that of the program Gaussian: two comment lines; number of atoms and origin;
number of points and step along each axis; atomic number, nuclear charge and position of
every atom; values, the last axis fastest. Negative numbers of points mean lengths in Å.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from lodekit.errors import DensityFileError
from lodekit.units import BOHR
from lodekit.whole_files import check_destination, written_whole

from .grid import Grid

#: Files round steps and positions to this many Bohr, and cells to more.
ROUNDING = 1e-6
_PER_LINE = 6


@dataclass(frozen=True)
class Cube:
    """A density on a grid.

    Attributes
    ----------
    atoms : ase.Atoms
        The structure; its cell and periodic directions are those of a frame where it
        was made from one, and unknown (open) where it was read from a file.
    grid : Grid
        The points.
    values : ndarray
        In electrons per Å^3, in the shape of the grid.
    nuclear_charges : ndarray of shape (n_atoms,), optional
        In e; atomic numbers where left out.
    """

    atoms: Atoms
    grid: Grid
    values: np.ndarray
    nuclear_charges: np.ndarray | None = None

    @property
    def n_electrons(self) -> float:
        """The sum over the grid times the volume of a step."""
        return float(self.values.sum() * self.grid.volume)

    def write(self, path: str | Path, overwrite: bool = False) -> None:
        """Write a cube file in atomic units.

        Parameters
        ----------
        path : str or Path
        overwrite : bool
            Replace a file that exists.

        Raises
        ------
        DensityFileError
            If the file exists, or cannot be written; what was there stays.
        """
        path = check_destination(path, overwrite, DensityFileError)
        charges = self.nuclear_charges
        charges = self.atoms.numbers if charges is None else charges
        lines = [
            "Density of electrons per Bohr^3, written by lodekit",
            "the last axis is the fastest",
            _row(len(self.atoms), self.grid.origin / BOHR),
        ]
        for size, step in zip(self.grid.shape, self.grid.steps / BOHR, strict=True):
            lines.append(_row(size, step))
        for number, charge, position in zip(
            self.atoms.numbers, charges, self.atoms.positions / BOHR, strict=True
        ):
            lines.append(_row(number, (charge, *position)))
        with written_whole(path, DensityFileError) as file:
            file.write(("\n".join(lines) + "\n").encode())
            for plane in (self.values * BOHR**3).reshape(-1, self.grid.shape[2]):
                file.write(_lines_of(plane).encode())

    @classmethod
    def read(cls, path: str | Path) -> Cube:
        """Read a cube file.

        Raises
        ------
        DensityFileError
            If the file is missing, or is no cube file.
        """
        path = Path(path)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return _parse(path, file)
        except OSError as problem:
            reason = problem.strerror or problem
            raise DensityFileError(f"{path}: cannot be read ({reason})") from None
        except (ValueError, IndexError) as problem:
            if isinstance(problem, DensityFileError):
                raise
            raise DensityFileError(
                f"{path}: this is not a cube file ({problem}); it needs two comment "
                "lines, then numbers"
            ) from None


def _row(number, values) -> str:
    return f"{int(number):6d}" + "".join(f"{value:18.10f}" for value in values)


def _lines_of(values: np.ndarray) -> str:
    words = [f"{value:19.11e}" for value in values]
    return "".join(
        "".join(words[start : start + _PER_LINE]) + "\n"
        for start in range(0, len(words), _PER_LINE)
    )


def _parse(path: Path, file) -> Cube:
    """Return the cube that an open file holds."""
    file.readline()
    file.readline()
    n_atoms, *origin = file.readline().split()[:4]
    n_atoms = int(n_atoms)
    sizes, steps = [], []
    for _ in range(3):
        size, *step = file.readline().split()
        sizes.append(int(size))
        steps.append(list(map(float, step)))
    unit = 1.0 if sizes[0] < 0 else BOHR
    shape = tuple(abs(size) for size in sizes)
    table = [file.readline().split() for _ in range(abs(n_atoms))]
    table = np.array(table, dtype=float).reshape(abs(n_atoms), 5)
    text = file.read().split()
    if n_atoms < 0:  # numbers of orbitals stand before the values
        n_orbitals = int(text[0])
        if n_orbitals != 1:
            raise DensityFileError(
                f"{path}: holds {n_orbitals} sets of values; write one density to a "
                "file"
            )
        text = text[2:]
    values = np.array(text, dtype=float)
    if values.size != np.prod(shape):
        raise DensityFileError(
            f"{path}: has {values.size} values for a grid of {shape[0]} x {shape[1]} x "
            f"{shape[2]} points; copy it again"
        )
    if not np.isfinite(values).all():
        raise DensityFileError(f"{path}: holds values that are not finite")
    grid = Grid(unit * np.array(origin, dtype=float), unit * np.array(steps), shape)
    atoms = Atoms(numbers=table[:, 0].astype(int), positions=unit * table[:, 2:])
    return Cube(atoms, grid, values.reshape(shape) / BOHR**3, table[:, 1])
