"""Predictions of the commands, in chunks of bounded memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lodekit.errors import StructureError
from lodekit.logs import shows_bars
from lodekit.quantities import undefined

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from lodekit.models.model import Model

#: Atoms, and frames, that go to the model at once.
CHUNK_ATOMS = 20_000
CHUNK_FRAMES = 500
#: Seconds between lines of progress of work of unknown length.
SILENCE = 10.0


def check_frames(
    model: Model, frames: list[Atoms], path: str, n_before: int = 0
) -> None:
    """Check that a model knows every species, and has the total charges it needs."""
    is_charged = getattr(model, "is_charged_", False)
    check_known(frames, path, set(model.species_.tolist()), is_charged, n_before)


def check_known(
    frames: list[Atoms], path: str, known: set[int], is_charged: bool, n_before: int = 0
) -> None:
    """Check frames for a model.

    Parameters
    ----------
    frames : list of ase.Atoms
        The structures.
    path : str
        The file that they come from.
    known : set of int
        Atomic numbers that the model has seen.
    is_charged : bool
        Whether the model needs total charges.
    n_before : int
        Frames that stand before these ones, for messages.

    Raises
    ------
    StructureError
        For another species, or a total charge that is missing.
    """
    from ase.data import chemical_symbols

    from lodekit.structures import get_target

    for number, structure in enumerate(frames, start=n_before + 1):
        foreign = sorted(set(structure.numbers.tolist()) - known)
        if foreign:
            names = ", ".join(chemical_symbols[z] for z in sorted(known))
            raise StructureError(
                f"{path}: frame {number} has {chemical_symbols[foreign[0]]}, which the "
                f"model has not seen; it knows {names}"
            )
        if is_charged and get_target(structure, "total_charge") is None:
            raise StructureError(
                f"{path}: frame {number} has no total_charge, and the model was fitted "
                "to charged structures; write total_charge into every frame"
            )


def compute_in_chunks(
    model: Model,
    frames: list[Atoms],
    properties: list[str],
    description: str = "predicting",
    field: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """Return ``model.compute`` of many frames, showing how far it went.

    Parameters
    ----------
    model : estimator
        A fitted model.
    frames : list of ase.Atoms
        The structures.
    properties : list of str
        Properties to compute; stress only where a frame is fully periodic.
    description : str
        Name of the work for the progress bar.
    field : sequence of three float, optional
        In V/Å, for a model that responds to one.

    Returns
    -------
    results : list of dict
        One for each frame.
    """
    from lodekit.models.charge_checks import field_argument

    from .shared_predictions import predict_shared

    more = field_argument(model, field)
    with progress(len(frames), description) as advance:
        return predict_shared(
            model, frames, properties, more, lambda results: advance(len(results))
        )


def compute_piece(
    model: Model, frames: list[Atoms], properties: list[str], **more: Any
) -> list[dict[str, Any]]:
    """Return ``model.compute`` of frames that differ in what is defined for them."""
    results: list[dict[str, Any]] = [{}] * len(frames)
    # tensors are fitted to whatever moments a file has
    is_free = hasattr(model, "tensors_")
    lacking = [() if is_free else _lacking(atoms) for atoms in frames]
    for excluded in dict.fromkeys(lacking):
        indices = [i for i, other in enumerate(lacking) if other == excluded]
        wanted = [n for n in properties if n.removesuffix("_std") not in excluded]
        if wanted:
            computed = model.compute([frames[i] for i in indices], wanted, **more)
        else:
            computed = [{} for _ in indices]
        for index, result in zip(indices, computed, strict=True):
            results[index] = result
    return results


def _lacking(structure: Atoms) -> tuple[str, ...]:
    """Return the properties that a structure does not have."""
    from lodekit.structures import get_target

    names = undefined(structure.pbc)
    points = (get_target(structure, name) for name in ("mep", "mep_points"))
    return names if any(p is not None for p in points) else (*names, "mep")


def chunks(frames: list[Atoms], n_processes: int = 1) -> Iterator[tuple[int, int]]:
    """Yield first and last-plus-one index of runs of frames of bounded size.

    Where several processes share the work, every one gets some.

    >>> list(chunks([range(15_000), range(15_000), range(2)]))
    [(0, 1), (1, 3)]
    """
    start = n_atoms = 0
    most = CHUNK_FRAMES
    if n_processes > 1:
        most = max(1, min(CHUNK_FRAMES, -(-len(frames) // (2 * n_processes))))
    for stop, structure in enumerate(frames):
        full = n_atoms + len(structure) > CHUNK_ATOMS or stop - start >= most
        if stop > start and full:
            yield start, stop
            start, n_atoms = stop, 0
        n_atoms += len(structure)
    if frames:
        yield start, len(frames)


@contextmanager
def counted(description: str) -> Iterator[Callable[[int], Any]]:
    """Give a function to call with how many more are done of a number not known.

    It moves a counter on a terminal, and prints a line every `SILENCE` seconds
    elsewhere.
    """
    if not shows_bars():
        yield lambda count: None
        return
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=description, leave=False) as bar:
            yield bar.update
        return
    done, last = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last
        done, now = done + count, time.monotonic()
        if now - last > SILENCE:
            last = now
            print(f"{description}: {done}", file=sys.stderr)

    yield advance


@contextmanager
def progress(total: int, description: str) -> Iterator[Callable[[int], Any]]:
    """Give a function to call with how many more are done.

    It moves a bar on a terminal, and prints a line for every tenth elsewhere.
    """
    if not shows_bars():
        yield lambda count: None
        return
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=description, leave=False) as bar:
            yield bar.update
        return
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if done < total and 10 * done // total > 10 * before // total:
            print(f"{description}: {done}/{total}", file=sys.stderr)

    yield advance
