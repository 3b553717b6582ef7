"""``lodekit spectrum``: infrared and Raman spectra along a trajectory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

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
from .outputs import check_outputs

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from .names_of_types import Options


@click.command("spectrum", cls=SpreadCommand)
@click.argument("path", metavar="TRAJECTORY.xyz", type=click.Path())
@click.option(
    "--model",
    "model_path",
    type=click.Path(),
    metavar="MODEL",
    help="Model that computes polarization or dipole, and for --raman the "
    "polarizability, of every frame [what the file has].",
)
@click.option(
    "--timestep",
    type=click.FloatRange(0.0, min_open=True),
    required=True,
    metavar="FS",
    help="Time between frames in fs.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0.0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="K",
    help="Temperature in K.",
)
@click.option(
    "--resolution",
    type=click.FloatRange(0.0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="1/CM",
    help="Width of a line in 1/cm.",
)
@click.option("--raman", is_flag=True, help="Raman spectra, too.")
@click.option(
    "--output",
    "-o",
    type=click.Path(),
    metavar="FILE",
    help="Table to write: wavenumber in 1/cm, then intensities.",
)
@click.option(
    "--plot",
    type=click.Path(),
    metavar="FILE",
    help="Picture of the spectra, such as ir.png, ir.svg or ir.pdf.",
)
@file_options
@threads_option
@overwrite_option
@common_options
def command(path: str, **options: Any) -> None:
    """Make the infrared spectrum, and Raman spectra, of a trajectory.

    Moments come from a model, or from the polarization or dipole of the file; those of
    periodic structures are continued from frame to frame without jumps by quanta. The
    absorption is alpha(w) n(w) in 1/cm of a periodic structure, and in arbitrary units
    of an open one. Fluctuations of the moment give the dielectric tensor of ions.
    """
    with use_threads(options["threads"]):
        make_spectra(path, options)


def make_spectra(path: str, options: Options) -> None:
    """Do what `command` says."""
    import numpy as np

    from lodekit.analysis.spectra import (
        dielectric_tensor,
        infrared_spectrum,
        raman_spectra,
    )
    from lodekit.errors import StructureFileError

    from .frames import read_frames

    inputs, overwrite = [path, options["model_path"]], options["overwrite"]
    for output in (options["output"], options["plot"]):
        check_outputs(output, StructureFileError, inputs, overwrite=overwrite)
    frames = read_frames(path, **reading(options))
    moments, tensors = read_moments(path, frames, options)
    is_periodic = bool(frames[0].pbc.all())
    volumes = [atoms.get_volume() if is_periodic else 1.0 for atoms in frames]
    arguments = options["timestep"], float(np.mean(volumes)), options["temperature"]
    resolution = options["resolution"]
    spectra = {"infrared": infrared_spectrum(moments, *arguments, resolution)}
    if options["raman"]:
        names = ("raman isotropic", "raman anisotropic")
        made = raman_spectra(tensors, options["timestep"], resolution)
        spectra |= dict(zip(names, made, strict=True))
    answer = {
        "n": len(frames),
        "peaks": {name: spectrum.peaks() for name, spectrum in spectra.items()},
    }
    if is_periodic and len(frames) >= 10:
        parts = dielectric_tensor(moments, volumes, options["temperature"])
        names = ("dielectric_tensor_of_ions", "standard_error")
        answer |= {n: part.tolist() for n, part in zip(names, parts, strict=True)}
    write_outputs(spectra, options)
    show(answer, options)


def read_moments(
    path: str, frames: list[Atoms], options: Options
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return moments without jumps, and polarizabilities or None, of all frames."""
    import numpy as np

    from lodekit.errors import StructureError
    from lodekit.observables.branches import polarization_quanta, unwrap

    pbc = frames[0].pbc
    if any((atoms.pbc != pbc).any() for atoms in frames) or pbc.sum() in (1, 2):
        raise StructureError(
            f"{path}: a spectrum needs frames that are all open, or all periodic in "
            "three directions"
        )
    names = ["polarization" if pbc.all() else "dipole"]
    names += ["polarizability"] * options["raman"]
    values = compute(frames, names, path, options)
    moments = np.array([result[names[0]] for result in values], dtype=float)
    if pbc.all():
        quanta = [polarization_quanta(atoms) for atoms in frames]
        moments = unwrap(moments, quanta).values
    tensors = None
    if options["raman"]:
        tensors = np.array([result[names[1]] for result in values]).reshape(-1, 3, 3)
    return moments, tensors


def compute(
    frames: list[Atoms], names: list[str], path: str, options: Options
) -> list[dict[str, Any]]:
    """Return properties of every frame, of the model or of the file."""
    from lodekit.errors import StructureError
    from lodekit.model_file import load_model
    from lodekit.structures import get_target

    from .evaluation import check_properties
    from .prediction import check_frames, compute_in_chunks

    if options["model_path"]:
        model = load_model(options["model_path"])
        check_properties(model, names)
        check_frames(model, frames, path)
        return compute_in_chunks(model, frames, names)
    values = []
    for number, atoms in enumerate(frames, start=1):
        values.append({name: get_target(atoms, name) for name in names})
        for name, value in values[-1].items():
            if value is None:
                raise StructureError(
                    f"{path}: frame {number} has no {name}; compute it with --model"
                )
    return values


def write_outputs(spectra: dict[str, Any], options: Options) -> None:
    """Write the table and the picture."""
    from pathlib import Path

    import numpy as np

    from lodekit.whole_files import written_whole

    first = next(iter(spectra.values()))
    if options["output"]:
        columns = [first.wavenumbers, *(one.intensities for one in spectra.values())]
        names = [f"{name} ({one.unit})" for name, one in spectra.items()]
        header = ", ".join(["wavenumber (1/cm)", *names])
        with written_whole(Path(options["output"]).resolve()) as file:
            np.savetxt(
                file,
                np.column_stack(columns),
                fmt="%.8g",
                header=header,
                encoding="utf-8",
            )
        tell(f"wrote {options['output']}", options)
    if options["plot"]:
        draw(spectra, options["plot"])
        tell(f"wrote {options['plot']}", options)


def draw(spectra: dict[str, Any], path: str) -> None:
    """Plot all spectra, up to the last wavenumber that has any intensity."""
    from pathlib import Path

    from matplotlib.figure import Figure

    from lodekit.whole_files import replaced_whole

    figure = Figure(figsize=(6.0, 2.4 * len(spectra)), layout="constrained")
    panels = figure.subplots(len(spectra), 1, squeeze=False)[:, 0]
    for panel, (name, spectrum) in zip(panels, spectra.items(), strict=True):
        panel.plot(spectrum.wavenumbers, spectrum.intensities)
        seen = spectrum.intensities > 1e-3 * spectrum.intensities.max(initial=0.0)
        last = spectrum.wavenumbers[seen].max(initial=100.0)
        panel.set(xlim=(0.0, 1.05 * last), ylabel=f"{name}, {spectrum.unit}")
    panels[-1].set_xlabel("wavenumber, 1/cm")
    with replaced_whole(Path(path).resolve()) as partial:
        figure.savefig(partial, dpi=150)


def show(answer: dict[str, Any], options: Options) -> None:
    """Print peaks and the dielectric tensor."""
    if options["as_json"]:
        click.echo(json.dumps(answer))
        return
    for name, peaks in answer["peaks"].items():
        listed = ", ".join(f"{place:.0f} ({height:.3g})" for place, height in peaks)
        click.echo(f"{name}: peaks at {listed or 'no wavenumber'} 1/cm")
    if "dielectric_tensor_of_ions" in answer:
        pairs = zip(
            answer["dielectric_tensor_of_ions"], answer["standard_error"], strict=True
        )
        rows = [
            " ".join(f"{v:8.3f} ± {e:.3f}" for v, e in zip(*pair, strict=True))
            for pair in pairs
        ]
        click.echo("\n".join(["dielectric tensor without that of electrons", *rows]))
