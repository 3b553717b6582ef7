"""Densities that commands read: files of ``density-fit``, or folders of SALTED."""

from pathlib import Path

import click

from lodekit.errors import DensityFileError, SettingsError

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


def is_density_source(path):
    """Return whether a path holds densities rather than structures."""
    from lodekit.density.density_set import is_density_file

    path = Path(path)
    return path.is_dir() or path.suffix == ".npy" or is_density_file(path)


def read_densities(path, structures=None, aux_basis=None, where=None):
    """Return the densities of a file or a folder.

    Parameters
    ----------
    path : str
        A file of ``density-fit``, a folder of SALTED, or an .npy file.
    structures, aux_basis : str, optional
        Structures and basis of a folder or an .npy file.
    where : dict, optional
        Info keys and the values that chosen frames have there.

    Raises
    ------
    DensityFileError
        If it is no such thing, or damaged.
    SettingsError
        If structures or basis are missing, or have no use.
    """
    from lodekit.density import DensitySet
    from lodekit.density.density_set import is_density_file

    from .frames import Choice

    if is_density_source(path) and not is_density_file(path):
        densities = read_layout(path, structures, aux_basis)
    elif structures or aux_basis:
        raise SettingsError(
            f"{path}: --structures and --aux-basis are for folders in SALTED's layout "
            "and .npy files; a file of densities has both"
        )
    elif Path(path).exists() and not is_density_file(path):
        raise DensityFileError(
            f"{path}: is no file of densities; make one with lodekit density-fit, or "
            "give a folder in SALTED's layout with --structures and --aux-basis"
        )
    else:
        densities = DensitySet.load(path)
    choice = Choice(where)
    chosen = [i for i, atoms in enumerate(densities.frames) if choice.takes(atoms)]
    choice.check(path)
    if not chosen:
        raise DensityFileError(f"{path}: there are no densities in it")
    return densities.select(chosen)


def read_layout(path, structures, aux_basis):
    """Return the densities of a folder of SALTED, or of an .npy file."""
    from lodekit.density import load_basis, read_salted

    from .frames import read_frames

    for name, value in (("--structures", structures), ("--aux-basis", aux_basis)):
        if not value:
            raise SettingsError(
                f"{path}: coefficients in SALTED's layout need --structures FILE.xyz "
                f"and --aux-basis NAME; {name} is missing"
            )
    frames = read_frames(structures)
    numbers = {int(z) for atoms in frames for z in atoms.numbers}
    return read_salted(path, frames, load_basis(aux_basis, numbers))
