"""Options that several commands share, and options that take several values."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import suggest
from lodekit.logs import be_quiet, be_verbose
from lodekit.threads import request_threads

if TYPE_CHECKING:
    from .names_of_types import Options


class SpreadCommand(click.Command):
    """A command whose repeatable options also take several values in a row.

    ``--targets energy forces`` means ``--targets energy --targets forces``. Values go
    on until the next option, and until something that looks like a file: the name of
    one that exists, or a word with a dot or a slash but without "=". Options that take
    files take all words until the next option.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments after spreading the values of repeatable options."""
        repeated = [
            option
            for option in self.params
            if isinstance(option, click.Option) and option.multiple
        ]
        spread = {name for option in repeated for name in option.opts}
        takes_files = {
            name
            for option in repeated
            if isinstance(option.type, click.Path)
            for name in option.opts
        }
        return super().parse_args(ctx, spread_values(args, spread, takes_files))


def spread_values(
    arguments: list[str], names: Collection[str], takes_files: Collection[str] = ()
) -> list[str]:
    """Repeat options before each of their values.

    Parameters
    ----------
    arguments : list of str
    names : set of str
        Options that are repeated.
    takes_files : set of str
        Those whose values are files.

    >>> spread_values(["--targets", "energy", "forces", "a.xyz"], {"--targets"})
    ['--targets', 'energy', '--targets', 'forces', 'a.xyz']
    """
    spread: list[str] = []
    option = None
    for place, argument in enumerate(arguments):
        if argument == "--":
            return spread + list(arguments[place:])
        if argument.startswith("-"):
            option = argument if argument in names else None
        elif option and arguments[place - 1] != option:
            if option not in takes_files and looks_like_file(argument):
                option = None
            else:
                spread.append(option)
        spread.append(argument)
    return spread


def is_number(word: str) -> bool:
    """Return whether a word is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def looks_like_file(word: str) -> bool:
    """Return whether a word is rather a file than the value of an option."""
    if "=" in word or is_number(word):
        return False
    return "." in word or os.sep in word or os.path.isfile(word)


class NameList(click.ParamType):
    """Names separated by commas, out of a list of known ones where there is one."""

    name = "name"

    def __init__(self, known: Sequence[str] | None = None) -> None:
        self.known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names as a tuple."""
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        for name in names:
            if self.known and name not in self.known:
                hint = suggest(name, self.known)
                self.fail(
                    f"{name!r} is not one of {', '.join(self.known)}{hint}", param, ctx
                )
        return names


def flatten(groups: Iterable[Iterable[str]]) -> list[str]:
    """Return the names of a repeated `NameList` in order, each once.

    >>> flatten([("energy", "forces"), ("energy",)])
    ['energy', 'forces']
    """
    return list(dict.fromkeys(name for group in groups for name in group))


def parse_pairs(pairs: Iterable[str], what: str) -> dict[str, str]:
    """Return ``name=value`` options as a dictionary.

    >>> parse_pairs(["energy=Hartree", "length=Bohr"], "--unit")
    {'energy': 'Hartree', 'length': 'Bohr'}
    """
    parsed = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not (name and separator and value):
            raise click.BadParameter(
                f"{pair!r} is not of the form name=value", param_hint=what
            )
        if name in parsed:
            raise click.BadParameter(f"{name!r} is given twice", param_hint=what)
        parsed[name] = value
    return parsed


def reading(options: Options) -> dict[str, Any]:
    """Return the values of `file_options` as arguments of `frames.read_frames`."""
    return {
        "keys": parse_pairs(options["keys"], "--key"),
        "units": parse_pairs(options["units"], "--unit"),
        "where": parse_pairs(options["where"], "--where"),
    }


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a structure file is to be read."""
    for option in (
        click.option(
            "--where",
            multiple=True,
            metavar="KEY=VALUE",
            help="Use only the frames whose info key has this value, such as "
            "subset=train.",
        ),
        click.option(
            "--unit",
            "units",
            multiple=True,
            metavar="NAME=UNIT",
            help="Unit in the file, such as energy=Hartree or length=Bohr; eV and "
            "Angstrom when left out.",
        ),
        click.option(
            "--key",
            "keys",
            multiple=True,
            metavar="TARGET=KEY",
            help="Key of a target in the file, such as energy=my_energy.",
        ),
    ):
        command = option(command)
    return command


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command."""
    for option in (
        click.option(
            "--traceback",
            is_flag=True,
            expose_value=False,
            hidden=True,
        ),
        click.option(
            "--verbose",
            "-v",
            is_flag=True,
            expose_value=False,
            callback=lambda ctx, option, value: be_verbose() if value else None,
            help="Tell the steps of the work with the time of day.",
        ),
        click.option(
            "--quiet",
            "-q",
            is_flag=True,
            expose_value=False,
            callback=lambda ctx, option, value: be_quiet() if value else None,
            help="Show no progress; warnings and errors are told.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON object instead."
        ),
    ):
        command = option(command)
    return command


threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use at most N cores; all of them when left out.",
)
strict_option = click.option(
    "--strict",
    is_flag=True,
    help="End with exit status 1 where a frame is far from the training data, when "
    "everything is written.",
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Let N processes make rows of fits and predictions, each with its share of "
    "the cores.",
)
dask_option = click.option(
    "--dask",
    metavar="ADDRESS",
    help="Let the workers of a cluster of dask do so, such as tcp://host:8786.",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, default=None, help="Replace what exists."
)
report_option = click.option(
    "--report",
    metavar="DIR",
    type=click.Path(),
    help="Write plots and a page that a browser opens.",
)


def use_threads(n_threads: int | None) -> AbstractContextManager[None]:
    """Return a context in which ``n_threads`` cores work; call before heavy imports."""
    if n_threads is not None:
        request_threads(n_threads)
    from lodekit.threads import limit_threads

    return limit_threads(n_threads)


@contextmanager
def use_processes(
    n_jobs: int | None, dask_address: str | None = None
) -> Iterator[None]:
    """Let other processes make the rows of fits in the block.

    Parameters
    ----------
    n_jobs : int or None
        On this machine.
    dask_address : str or None
        Of the scheduler of a cluster.
    """
    if dask_address is None and (n_jobs or 1) == 1:
        yield
        return
    import joblib

    if dask_address is None:
        with joblib.parallel_config("loky", n_jobs=n_jobs):
            yield
        return
    try:
        from dask.distributed import Client
    except ImportError:
        raise click.UsageError(
            "--dask needs dask: pip install 'lodekit[dask]'"
        ) from None
    config = joblib.parallel_config
    with Client(dask_address, timeout=20), config("dask", n_jobs=n_jobs or -1):
        yield


def tell(text: str, options: Options) -> None:
    """Print a line for people, unless an object was asked for."""
    if not options["as_json"]:
        click.echo(text)
