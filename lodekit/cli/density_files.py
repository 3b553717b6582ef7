"""Densities that commands read: files of ``density-fit``, or folders of SALTED."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lodekit.errors import DensityFileError, SettingsError

from .sources import find_sources, join_names

if TYPE_CHECKING:
    from lodekit.density.density_set import DensitySet

structures_option = click.option(
    "--structures",
    type=click.Path(),
    metavar="FILE.xyz",
    help="Structures of densities in SALTED's layout: a folder with coefficients, or "
    "an .npy file with a row for every structure.",
)
aux_basis_option = click.option(
    "--aux-basis",
    metavar="NAME",
    help="Basis of these densities: a name in PySCF, or a file with a table.",
)


def is_density_source(path: str | Path) -> bool:
    """Return whether a path holds densities rather than structures."""
    from lodekit.density.density_set import is_density_file

    path = Path(path)
    return path.is_dir() or path.suffix == ".npy" or is_density_file(path)


def read_densities(
    names: Sequence[str],
    structures: str | None = None,
    aux_basis: str | None = None,
    where: dict[str, str] | None = None,
) -> DensitySet:
    """Return the densities of files, or of a folder.

    Parameters
    ----------
    names : str or list of str
        Files of ``density-fit``, a folder of SALTED, or an .npy file.
    structures, aux_basis : str, optional
        Structures and basis of a folder or an .npy file.
    where : dict, optional
        Info keys and the values that chosen frames have there.

    Raises
    ------
    DensityFileError
        If one is no such thing, or damaged.
    SettingsError
        If structures or basis are missing, or have no use.
    """
    from lodekit.density import DensitySet

    from .frames import Choice

    sets = []
    for path, part in find_sources(names):
        if part is not None:
            raise SettingsError(
                f"{path}@{part}: parts of files are of structures; choose densities "
                "with --where KEY=VALUE"
            )
        sets.append(read_source(path, structures, aux_basis))
    densities, choice = DensitySet.join(sets), Choice(where)
    chosen = [i for i, atoms in enumerate(densities.frames) if choice.takes(atoms)]
    choice.check(join_names(names))
    if not chosen:
        raise DensityFileError(f"{join_names(names)}: there are no densities in it")
    return densities.select(chosen)


def read_source(path: str, structures: str | None, aux_basis: str | None) -> DensitySet:
    """Return the densities of one file or folder."""
    from lodekit.density import DensitySet
    from lodekit.density.density_set import is_density_file

    if is_density_file(path):
        if structures or aux_basis:
            raise SettingsError(
                f"{path}: --structures and --aux-basis are for folders in SALTED's "
                "layout and .npy files; a file of densities has both"
            )
        return DensitySet.load(path)
    if is_density_source(path):
        return read_layout(path, structures, aux_basis)
    if Path(path).exists():
        raise DensityFileError(
            f"{path}: is no file of densities; make one with lodekit density-fit, or "
            "give a folder in SALTED's layout with --structures and --aux-basis"
        )
    return DensitySet.load(path)


def read_layout(path: str, structures: str | None, aux_basis: str | None) -> DensitySet:
    """Return the densities of a folder of SALTED, or of an .npy file."""
    from lodekit.density import load_basis, read_salted

    from .frames import read_frames

    if not (structures and aux_basis):
        name = "--aux-basis" if structures else "--structures"
        raise SettingsError(
            f"{path}: coefficients in SALTED's layout need --structures FILE.xyz "
            f"and --aux-basis NAME; {name} is missing"
        )
    frames = read_frames(structures)
    numbers = {int(z) for atoms in frames for z in atoms.numbers}
    return read_salted(path, frames, load_basis(aux_basis, numbers))
