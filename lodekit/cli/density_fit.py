"""``lodekit density-fit``: from structures to coefficients of their densities."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError

from .options import (
    SpreadCommand,
    common_options,
    file_options,
    overwrite_option,
    reading,
    tell,
    threads_option,
    use_threads,
)

if TYPE_CHECKING:
    from .names_of_types import Options


@click.command("density-fit", cls=SpreadCommand)
@click.argument("path", metavar="FILE.xyz", type=click.Path())
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(),
    metavar="OUT.npz",
    help="File for the densities of all frames. Densities that it has already, made in "
    "the same way, are kept.",
)
@click.option(
    "--basis",
    required=True,
    metavar="NAME",
    help="Basis of the orbitals, a name in PySCF, such as def2-svp.",
)
@click.option(
    "--aux-basis",
    required=True,
    metavar="NAME",
    help="Basis of the densities: a name in PySCF, such as def2-universal-jfit, or a "
    "file with a table of one.",
)
@click.option(
    "--functional",
    required=True,
    metavar="NAME",
    help="Functional, a name in PySCF, such as pbe or b3lyp; hf for Hartree-Fock.",
)
@click.option(
    "--metric",
    type=click.Choice(["coulomb", "overlap"]),
    default="coulomb",
    show_default=True,
    help="Norm of the difference between a density and its expansion.",
)
@click.option(
    "--field",
    nargs=3,
    type=float,
    default=(0.0, 0.0, 0.0),
    metavar="X Y Z",
    help="Uniform electric field in V/Å.",
)
@click.option(
    "--response",
    type=click.Choice(["field", "charges"]),
    default=None,
    help="Calculate changes of the density as well: in a uniform field, or by the "
    "`point_charges` of the frames, which the density itself is then without.",
)
@click.option(
    "--conserve-dipole",
    is_flag=True,
    help="Keep the dipole in the expansion, as the number of electrons always is.",
)
@file_options
@threads_option
@overwrite_option
@common_options
def command(path: str, **options: Any) -> None:
    """Calculate the electron densities of FILE.xyz and expand them in Gaussians.

    Every frame gets a self-consistent field by PySCF, with its `total_charge` and
    `spin_multiplicity` (2S + 1; the lowest possible when left out), beside its
    `point_charges` (q x y z of each, in e and Å). An interrupted run
    continues where it was when the same command is given again. Frames that do not
    converge are left out and named in the end.
    """
    with use_threads(options["threads"]):
        density_fit(path, options)


def check_output(output: str, path: str) -> None:
    """Refuse to replace the structures by their densities."""
    both_exist = os.path.exists(output) and os.path.exists(path)
    if both_exist and os.path.samefile(output, path):
        raise SettingsError(
            f"{output} is the file of the structures; choose another output"
        )


def density_fit(path: str, options: Options) -> None:
    """Do what `command` says."""
    from lodekit.density.basis_sources import import_pyscf, load_basis
    from lodekit.density.density_run import DensityRun
    from lodekit.density.pyscf_density import Calculation

    from .frames import read_frames
    from .prediction import progress

    import_pyscf("lib")  # say now if it is missing
    check_output(options["output"], path)
    frames = read_frames(path, **reading(options))
    numbers = {int(z) for atoms in frames for z in atoms.numbers}
    basis = load_basis(options["aux_basis"], numbers)
    calculation = Calculation(
        functional=options["functional"],
        orbital_basis=options["basis"],
        metric=options["metric"],
        field=tuple(options["field"]),
        conserve_dipole=options["conserve_dipole"],
        response=options["response"],
    )
    output, overwrite = options["output"], bool(options["overwrite"])
    run = DensityRun(frames, calculation, basis, output, overwrite)
    n_before = run.n_finished
    if n_before:
        tell(f"{output} has {n_before} of {len(frames)} densities already", options)
    with progress(len(frames), "densities") as advance:
        densities = run.run(advance)
    answer = {
        "output": str(output),
        "n": len(densities),
        "n_new": run.n_finished - n_before,
        "not_converged": [index + 1 for index in run.failed],
        "basis": basis.name,
        "n_functions": basis.describe(),
    }
    if options["as_json"]:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        click.echo(
            f"wrote {len(densities)} densities in {basis.name} ({basis.describe()}) to "
            f"{output}"
        )
    run.check()
