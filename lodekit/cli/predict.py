"""``lodekit predict``: from a model and structures to structures with predictions."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .density_results import predict_densities, writes_densities
from .options import (
    NameList,
    SpreadCommand,
    common_options,
    dask_option,
    file_options,
    flatten,
    jobs_option,
    overwrite_option,
    reading,
    strict_option,
    threads_option,
    use_processes,
    use_threads,
)
from .outputs import check_outputs
from .sources import paths_of

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.models.model import Model

    from .frames import Piece
    from .names_of_types import Options


@click.command("predict", cls=SpreadCommand)
@click.argument("model_path", metavar="MODEL", type=click.Path())
@click.argument("path", metavar="FILE.xyz", type=click.Path())
@click.option(
    "--output",
    "-o",
    type=click.Path(),
    metavar="OUT.xyz",
    help="File to write; OUT.npz for the coefficients of densities.",
)
@click.option(
    "--properties",
    multiple=True,
    type=NameList(),
    metavar="NAME...",
    help="What to predict, such as energy, forces, stress, energies (of atoms), "
    "charges, dipole, quadrupole, mep, atomic_dipoles, atomic_quadrupoles, "
    "electronegativities, hardnesses, extrapolation (of atoms: 1 is the limit of the "
    "training data), and with _std their standard deviations [what "
    "the model has of energy, forces, stress, charges, dipole, quadrupole and, at "
    "mep_points of the file, mep].",
)
@click.option("--std", is_flag=True, help="Add standard deviations.")
@click.option(
    "--field",
    nargs=3,
    type=float,
    metavar="X Y Z",
    help="Uniform electric field in V/Å, for models that respond to one.",
)
@click.option(
    "--displacement",
    nargs=3,
    type=float,
    metavar="X Y Z",
    help="Electric displacement D / eps_0 in V/Å instead of a field, for "
    "polarization models of periodic structures.",
)
@click.option(
    "--prefix",
    default="",
    metavar="TEXT",
    help="Write predictions under names that begin with TEXT and leave all names and "
    "values of the file as they are, instead of moving reference values to names that "
    "begin with REF.",
)
@click.option(
    "--cubes",
    type=click.Path(),
    metavar="DIR",
    help="Write a cube file of the density of every frame, of models of densities.",
)
@click.option(
    "--spacing",
    type=click.FloatRange(min=0.0, min_open=True),
    default=0.1,
    show_default=True,
    metavar="Å",
    help="Largest distance of the grid points of cube files.",
)
@file_options
@strict_option
@threads_option
@jobs_option
@dask_option
@overwrite_option
@common_options
def command(model_path: str, path: str, **options: Any) -> None:
    """Predict the structures of FILE.xyz and write them with the predictions.

    Predictions get the names that ASE uses (energy, forces, stress, charges, dipole),
    in eV, Å and e. Reference values that the file has under these names move to
    REF_energy and so on; all other keys and columns stay. Stress is written for fully
    periodic frames, moments for open ones, the mep where a frame has `mep_points`.
    Structures are read, predicted and written piece by piece.
    """
    if options["output"] is None and options["cubes"] is None:
        raise click.UsageError("Missing option '--output' / '-o'.")
    processes = use_processes(options["jobs"], options["dask"])
    with use_threads(options["threads"]), processes:
        if writes_densities(options):
            predict_densities(model_path, path, options)
        else:
            predict(model_path, path, options)


def predict(model_path: str, path: str, options: Options) -> None:
    """Do what `command` says."""
    from lodekit.errors import StructureFileError
    from lodekit.model_file import load_model
    from lodekit.structures import structure_writer

    from .annotation import check_prefix
    from .evaluation import check_properties, computed_targets, wanted_properties
    from .frames import read_pieces
    from .prediction import counted

    output, prefix = options["output"], options["prefix"]
    inputs = [model_path, *paths_of(path)]
    check_outputs(output, StructureFileError, inputs, overwrite=options["overwrite"])
    model = load_model(model_path)
    asked = flatten(options["properties"])
    check_properties(model, asked)
    properties = wanted_properties(
        model, asked or computed_targets(model), options["std"]
    )
    check_prefix(prefix, properties)
    control = {name: options[name] for name in ("field", "displacement")}
    work = PieceWork(model, path, properties, control, prefix)
    check_holds(output, properties, prefix, work.per_atom)
    work.needs_points = "mep" in (asked or ())
    pieces = read_pieces(path, **reading(options), originals=bool(prefix))
    n_frames = 0
    with (
        structure_writer(Path(output).resolve()) as write,
        counted("predicting") as advance,
    ):
        for piece in pieces:
            write(work.annotate(piece))
            n_frames += len(piece.frames)
            advance(len(piece.frames))
    if options["as_json"]:
        answer = {"output": str(output), "n": n_frames, "properties": properties}
        if work.watch.numbers:
            answer["extrapolation"] = work.watch.summary()
        click.echo(json.dumps(answer))
    else:
        click.echo(f"wrote {n_frames} structures with predictions to {output}")
    work.watch.finish(options["strict"])


def check_holds(
    output: str, properties: list[str], prefix: str, per_atom: Collection[str] = ()
) -> None:
    """Check that the format of the output has room for predictions."""
    from lodekit.structures import check_format

    from .annotation import place_of

    places = {prefix + name: place_of(name, prefix, per_atom) for name in properties}
    check_format(Path(output).resolve(), places)


class PieceWork:
    """The work on every piece of the structures.

    Parameters
    ----------
    model : estimator
        A fitted model.
    path : str
        The file that structures come from, for messages.
    properties : list of str
        What is predicted.
    control : dict
        "field" and "displacement", each a tuple of float or None, in V/Å.
    prefix : str
        Put before the names of predictions.
    """

    #: Whether every structure must say where the mep is wanted.
    needs_points = False

    def __init__(
        self,
        model: Model,
        path: str,
        properties: list[str],
        control: Options,
        prefix: str,
    ) -> None:
        from lodekit.errors import SettingsError
        from lodekit.models.charge_checks import field_argument

        from .evaluation import atomic_tensors
        from .range_watch import RangeWatch

        self.model, self.path, self.prefix = model, path, prefix
        self.watch = RangeWatch(model, path)
        self.per_atom = atomic_tensors(model)
        self.properties = properties
        if None not in control.values():
            raise SettingsError(
                "--field and --displacement were given; one of them follows from the "
                "other"
            )
        self.told: set[str] = set()
        self.field: dict = {}
        for name, value in control.items():
            self.field |= field_argument(model, value, name)

    def annotate(self, piece: Piece) -> list[Atoms]:
        """Return the structures of a piece with their predictions."""
        from lodekit.errors import LodekitError, StructureError

        from .annotation import add_predictions

        frames = piece.originals if self.prefix else piece.frames
        try:
            results = self.compute(piece, frames)
            for frame, result in zip(frames, results, strict=True):
                add_predictions(frame, result, self.prefix, self.per_atom)
        except LodekitError:
            raise
        except ValueError as problem:
            where = f" (counted from frame {piece.n_before + 1})" * bool(piece.n_before)
            raise StructureError(f"{self.path}: {problem}{where}") from problem
        return frames

    def compute(self, piece: Piece, frames: list[Atoms]) -> list[dict[str, Any]]:
        """Return the predictions of a piece; it is checked before."""
        import numpy as np

        from lodekit.errors import StructureError
        from lodekit.observables.fields import unread_causes
        from lodekit.observables.moments import check_points

        from .annotation import check_room
        from .prediction import check_frames
        from .shared_predictions import predict_shared
        from .unused import warn

        check_frames(self.model, piece.frames, self.path, piece.n_before)
        for key in unread_causes(piece.frames, self.model):
            if key not in self.told:
                warn(f"{self.path}: predictions of this model leave out the {key}")
                self.told.add(key)
        names = [*self.properties, *self.field]
        for number, frame in enumerate(frames, start=piece.n_before + 1):
            try:
                check_room(frame, names, self.prefix)
            except StructureError as problem:
                where = f"{self.path}: frame {number}"
                raise StructureError(f"{where}: {problem}") from None
        if self.needs_points:
            check_points(piece.frames)
        results = predict_shared(self.model, piece.frames, self.properties, self.field)
        self.watch.look(piece.frames)
        for result in results:
            result.update({name: np.array(array) for name, array in self.field.items()})
        return results
