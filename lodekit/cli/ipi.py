"""``lodekit ipi``: a model as a driver of i-PI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError, StructureError

from .options import (
    NameList,
    SpreadCommand,
    common_options,
    flatten,
    tell,
    threads_option,
    use_threads,
)

if TYPE_CHECKING:
    from .names_of_types import Options


@click.command("ipi", cls=SpreadCommand)
@click.argument("model_path", metavar="MODEL", type=click.Path())
@click.argument("path", metavar="FILE.xyz", type=click.Path())
@click.option(
    "--address",
    default="localhost",
    show_default=True,
    metavar="NAME",
    help="Host of i-PI, or with --unix the name of its socket.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=31415, show_default=True)
@click.option("--unix", is_flag=True, help="Use a socket in the file system.")
@click.option(
    "--extras",
    multiple=True,
    type=NameList(),
    metavar="NAME...",
    help="Properties that i-PI gets as extras, such as charges and dipole.",
)
@click.option(
    "--on-extrapolation",
    type=click.Choice(["warn", "raise", "ignore"]),
    default="warn",
    show_default=True,
    help="What happens far from the training data.",
)
@threads_option
@common_options
def command(model_path: str, path: str, **options: Any) -> None:
    """Answer i-PI with the energies, forces and virials of MODEL until it ends.

    FILE.xyz has one structure with the elements, the order of atoms and the boundary of
    the simulation. i-PI is started first, with an ffsocket of the same address and
    port.
    """
    with use_threads(options["threads"]):
        answer(model_path, path, options)


def answer(model_path: str, path: str, options: Options) -> None:
    """Do what `command` says."""
    from lodekit.calculators.ipi import IpiDriver, serve
    from lodekit.model_file import load_model

    from .evaluation import check_properties
    from .frames import read_frames
    from .prediction import check_frames

    model = load_model(model_path)
    extras = flatten(options["extras"])
    check_properties(model, [*extras, "energy", "forces"])
    frames = read_frames(path)
    if len(frames) != 1:
        raise StructureError(
            f"{path}: one structure is needed, there are {len(frames)}; name one, such "
            f"as {path}@0"
        )
    check_frames(model, frames, path)
    driver = IpiDriver(model, frames[0], extras, options["on_extrapolation"])
    address, unix = options["address"], options["unix"]
    try:
        n_answers = serve(driver, address, options["port"], unix)
    except (ConnectionRefusedError, FileNotFoundError):
        where = address if unix else f"{address}:{options['port']}"
        raise SettingsError(
            f"nobody answers at {where}; start i-PI first, with this address"
        ) from None
    tell(f"i-PI ended after {n_answers} structures", options)
