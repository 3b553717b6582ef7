"""Sums of rows that a fit leaves behind, to which rows of other frames can be added.

    with kept_sums() as sums:
        model.fit(frames)
    model.update(others, sums)

Normal equations add up: weights are those of a fit to all frames, with the sparse
points, noises and baseline of the first one, and no row of the first frames is made
again. Sums of R weights and T targets take 8 T R^2 bytes.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lodekit.errors import CheckpointError
from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.normal_equations import NormalEquations
from lodekit.whole_files import written_whole

_current: ContextVar = ContextVar("sums", default=None)


@dataclass
class FitSums:
    """Sums of one fit.

    Attributes
    ----------
    equations : NormalEquations
        With the amplitudes of kernels in them.
    noises : dict of str to float
        Noise of every target, in units of its rows.
    """

    equations: NormalEquations
    noises: dict


@dataclass
class KeptSums:
    """Sums of the fits that make up a model.

    Attributes
    ----------
    fits : list of FitSums
        In the order in which they were made.
    frames : list of str
        Hashes of the structures in these sums.
    """

    fits: list = field(default_factory=list)
    frames: list = field(default_factory=list)

    def check_new(self, frames) -> None:
        """Raise ``ValueError`` for a structure that is in the sums already."""
        known = set(self.frames)
        for number, atoms in enumerate(frames, 1):
            if hash_of(atoms) in known:
                raise ValueError(
                    f"frame {number} is one that the model was fitted to; leave it out"
                )

    def add_frames(self, frames) -> None:
        """Remember which structures are in the sums."""
        known = set(self.frames)
        hashes = dict.fromkeys(hash_of(atoms) for atoms in frames)
        self.frames += [key for key in hashes if key not in known]

    def save(self, path, model_hash: str) -> None:
        """Write the sums to a file, with the hash of the file of their model."""
        arrays: dict = {}
        noises: list = []
        for number, fit in enumerate(self.fits):
            noises.append({"noises": fit.noises})
            for name, array in fit.equations.get_arrays().items():
                arrays[f"{number}/{name}"] = array
        meta = {"model": model_hash, "frames": self.frames, "fits": noises}
        text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        with written_whole(Path(path), CheckpointError) as file:
            np.savez(file, meta=text, **arrays)

    @classmethod
    def load(cls, path, model_hash: str) -> KeptSums:
        """Read the sums of a model.

        Raises
        ------
        CheckpointError
            If there is no such file, it is something else, or the sums of another
            model.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            meta = json.loads(arrays.pop("meta").tobytes())
            fits = [
                read_fit(fit["noises"], arrays, f"{number}/")
                for number, fit in enumerate(meta["fits"])
            ]
            frames, known = [str(key) for key in meta["frames"]], meta["model"]
        except FileNotFoundError:
            raise CheckpointError(
                f"{path}: there are no sums of this model; lodekit fit --keep-sums "
                "writes them beside it"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"{path}: these are no sums ({error})") from None
        if known != model_hash:
            raise CheckpointError(f"{path}: these are the sums of another model")
        return cls(fits, frames)


def read_fit(noises: dict, arrays: dict, prefix: str) -> FitSums:
    """Return the sums of one fit from arrays whose names begin with ``prefix``."""
    arrays_of_fit = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    rank = len(arrays_of_fit[f"{next(iter(noises))}/moment"])
    equations = NormalEquations(rank, noises)
    equations.set_arrays(arrays_of_fit)
    for gram in equations.grams.values():
        if gram.matrix.shape != (rank, rank) or gram.moment.shape != (rank,):
            raise ValueError(f"sums of {rank} weights have other shapes")
    return FitSums(equations, {name: float(noise) for name, noise in noises.items()})


def hash_of(atoms) -> str:
    """Return a hash of a structure."""
    digest = hashlib.sha256()
    for array in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


@contextmanager
def kept_sums():
    """Keep the sums of the fits in this block.

    Yields
    ------
    sums : KeptSums
    """
    sums = KeptSums()
    token = _current.set(sums)
    try:
        yield sums
    finally:
        _current.reset(token)


def keep(problem, equations, noises: dict) -> None:
    """Keep the sums of a fit that is done, where somebody asked for them.

    Of problems that are not linear, and of the solver "qr", there are none.
    """
    sums = _current.get()
    if sums is None or problem.n_linear is not None:
        return
    if isinstance(equations, DualEquations):
        equations = sum_rows(equations, problem.names)
    if isinstance(equations, NormalEquations):
        sums.fits.append(FitSums(equations, dict(noises)))
        sums.add_frames(problem.frames)


def sum_rows(rows: DualEquations, names) -> NormalEquations:
    """Return the sums of rows that were kept one by one."""
    equations = NormalEquations(rows.rank, names)
    arrays = rows.get_arrays()
    for name in names:
        is_target = arrays["names"] == name
        equations.add(name, arrays["matrix"][is_target], arrays["values"][is_target])
    return equations
