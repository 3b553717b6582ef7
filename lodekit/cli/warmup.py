"""``lodekit warmup``: compile everything once, before it is needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import click

from .options import common_options, tell

if TYPE_CHECKING:
    from ase import Atoms


@click.command("warmup")
@common_options
def command(as_json: bool) -> None:
    """Compile the loops of all models and keep them.

    The first run of every command compiles what it needs, for up to a minute. This does
    it at once, such as after an installation or before jobs are sent to a cluster.
    """
    from .prediction import progress

    steps = list(all_steps())
    start = time.perf_counter()
    with progress(len(steps), "compiling") as advance:
        for step in steps:
            step()
            advance(1)
    seconds = time.perf_counter() - start
    if as_json:
        click.echo(json.dumps({"steps": len(steps), "seconds": round(seconds, 2)}))
    tell(
        f"compiled what {len(steps)} models need in {seconds:.1f} s",
        {"as_json": as_json},
    )


def all_steps() -> Iterator[Callable[[], None]]:
    """Yield functions that fit a small model each, and predict with it."""
    for pbc in (False, True):
        for kind in ("potential", "charges", "kqeq"):
            yield partial(fit_small, kind, pbc)
    yield partial(fit_small, "latent-charges", False)
    yield partial(fit_small, "tensor", False)


def fit_small(kind: str, pbc: bool) -> None:
    """Fit a model of a kind to a few molecules, and predict all its properties."""
    import warnings

    from lodekit.quantities import QUANTITIES

    from .kinds import KINDS

    frames = small_frames(pbc)
    targets = {
        "potential": ["energy", "forces", *(["stress"] if pbc else [])],
        "charges": ["charges"],
        "kqeq": ["charges"],
        "latent-charges": ["energy", "forces"],
        "tensor": ["dipole"],
    }[kind]
    model_kind = KINDS[kind]
    settings = model_kind.check_settings(model_kind.default_settings(frames, targets))
    settings["fit"]["targets"] = targets
    for part in (settings, settings.get("potential", {})):
        for term in part.get("terms", {}).values():
            term["n_sparse"] = 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = model_kind.build(settings)
        model.progress = False
        model.fit(frames)
        names = [
            name
            for name in model.properties
            if name in QUANTITIES
            and QUANTITIES[name].in_ase
            and QUANTITIES[name].fits(frames[0].pbc)
        ]
        model.compute(frames[:2], [*names, "extrapolation"])


def small_frames(pbc: bool) -> list[Atoms]:
    """Return a few water molecules with targets that mean nothing."""
    import numpy as np
    from ase.build import molecule
    from ase.calculators.singlepoint import SinglePointCalculator

    frames, rng = [], np.random.default_rng(0)
    for seed in range(6):
        atoms = molecule("H2O")
        atoms.rattle(0.05, seed=seed)
        if pbc:
            atoms.center(vacuum=2.5)
            atoms.pbc = True
        charges = np.array([-0.8, 0.4, 0.4])
        results = {
            "energy": rng.normal(),
            "forces": rng.normal(size=(3, 3)),
            "charges": charges,
        }
        if pbc:
            results["stress"] = rng.normal(size=6)
        else:
            results["dipole"] = charges @ atoms.positions
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames
