"""Comparison of predictions with reference values, for fit and evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lodekit.errors import SettingsError, StructureError

from .prediction import compute_in_chunks
from .unused import describe_lookalikes, warn

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.analysis.errors import Comparison
    from lodekit.models.model import Model
    from lodekit.observables.tensors import Tensor


def check_judged(model: Model, frames: Any) -> None:
    """Raise ``StructureError`` for frames to judge a model by that it cannot know.

    Parameters
    ----------
    model : estimator
        Fitted or not.
    frames : list of ase.Atoms or DensitySet
    """
    try:
        model.check_labelled(getattr(frames, "frames", frames))
    except ValueError as problem:
        raise StructureError(f"frames to judge by: {problem}") from None


def compare_frames(
    model: Model,
    frames: list[Atoms],
    targets: list[str],
    description: str,
    std: bool = False,
) -> dict[str, Comparison]:
    """Return comparisons by target of a model with the values in the frames.

    Parameters
    ----------
    model : estimator
        A fitted model.
    frames : list of ase.Atoms
        Structures with reference values.
    targets : list of str
        Targets to compare.
    description : str
        Name of the work for the progress bar.
    std : bool
        Compute standard deviations, too; those of forces take time.

    Returns
    -------
    comparisons : dict of Comparison
        By target.
    """
    from lodekit.analysis.errors import compare

    properties = wanted_properties(model, targets, std)
    results = compute_in_chunks(model, frames, properties, description)
    return compare(frames, results, targets)


def wanted_properties(model: Model, names: Sequence[str], std: bool) -> list[str]:
    """Return some properties, and the standard deviations that the model has of them.

    >>> from types import SimpleNamespace
    >>> model = SimpleNamespace(properties=["energy", "energy_std", "stress"])
    >>> wanted_properties(model, ["energy", "stress"], std=True)
    ['energy', 'stress', 'energy_std']
    """
    deviations = [f"{name}_std" for name in names] if std else []
    known = [name for name in deviations if name in model.properties]
    return list(dict.fromkeys([*names, *known]))


def present_targets(
    model: Model, frames: list[Atoms], asked: Sequence[str] | None, path: str
) -> list[str]:
    """Return the targets that can be judged: those asked for, or all in the frames."""
    from lodekit.observables.tensors import read_tensor
    from lodekit.quantities import UNITS
    from lodekit.structures import TARGETS, find_lookalikes

    usual = computed_targets(model)
    computed = [*usual, *(name for name in asked or () if name not in usual)]
    check_properties(model, asked or ())

    def is_there(name: str) -> bool:
        return any(read_tensor(frame, name) is not None for frame in frames)

    there = [name for name in computed if is_there(name)]
    missing = [name for name in asked or () if name not in there]
    absent = [name for name in asked or computed if name not in there]
    absent = [name for name in absent if name in TARGETS]
    alike = [one for one in find_lookalikes(frames, absent) if one.by_name]
    if missing or not there:
        if alike:
            raise StructureError(f"{path}: no frame has {describe_lookalikes(alike)}")
        *most, last = computed
        either = " or ".join(filter(None, [", ".join(most), last]))
        what = missing[0] if missing else either
        raise StructureError(
            f"{path}: no frame has {what} to compare with; name the key with --key, "
            f"such as --key {(missing or computed)[0]}=my_key"
        )
    if alike:
        warn(f"{path}: not compared: no frame has {describe_lookalikes(alike)}")
    for name in () if asked else set(UNITS).intersection(model.properties):
        if name not in computed and is_there(name):
            warn(f"{path}: {name} not compared: name it with --targets")
    return list(asked or there)


def computed_targets(model: Model) -> list[str]:
    """Return the targets that a model computes, tensors of other names at the end.

    Without those that it was not fitted to and computes where they are named only.
    """
    from lodekit.quantities import UNITS, quantity

    fitted = getattr(model, "targets_", [])
    usual = [name for name in UNITS if quantity(name).by_default or name in fitted]
    known = [name for name in usual if name in model.properties]
    return [*known, *(name for name in tensors_of(model) if name not in known)]


def tensors_of(model: Model) -> dict[str, Tensor]:
    """Return the shapes of the tensors that a model was fitted to, by name."""
    return getattr(model, "tensors_", {})


def atomic_tensors(model: Model) -> list[str]:
    """Return the names of tensors of atoms that a model computes."""
    return [name for name, tensor in tensors_of(model).items() if tensor.per_atom]


def check_properties(model: Model, names: Sequence[str]) -> None:
    """Check that a model computes some properties."""
    for name in names:
        if name not in model.properties:
            raise SettingsError(
                f"this {type(model).__name__} does not compute {name}; it computes "
                f"{', '.join(model.properties)}"
            )


def held_out_summary(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the errors on held-out frames that a model remembers from its fit."""
    from lodekit.analysis.errors import unit_of
    from lodekit.quantities import UNITS

    errors = {
        **summary.get("held_out_errors", {}),
        **summary.get("potential", {}).get("held_out_errors", {}),
    }
    return {
        name: {"rmse": error, "unit": unit_of(name)}
        for name, error in errors.items()
        if name in UNITS or name in summary.get("tensors", {})
    }


def describe_model(model_path: str) -> dict[str, Any]:
    """Return facts about a model and its settings for a report, as keywords."""
    from lodekit.model_file import read_header

    from .toml_text import format_toml

    header = read_header(model_path)
    return {
        "facts": model_facts(header["settings"]["summary"]),
        "settings": format_toml(header["record"].get("settings", {})),
    }


def model_facts(summary: dict[str, Any]) -> dict[str, str]:
    """Return facts about a fitted model, as texts by name."""
    from ase.data import chemical_symbols

    species = " ".join(chemical_symbols[z] for z in summary["species"])
    facts = {
        "structures": _groups(summary),
        "species": species,
        "total charge": _total_charge(summary.get("is_charged")),
        "hardness": _ranges(summary.get("hardness_range"), "V/e")
        or _numbers(summary.get("hardness"), "V/e"),
        "widths": _numbers(summary.get("widths"), "Å"),
        "bond hardness": _numbers(summary.get("bond_hardness"), "V/e"),
        "oxidation states": _numbers(summary.get("oxidation_states"), "e"),
        **_fit_facts(summary),
    }
    if "potential" in summary:
        rest = _fit_facts(summary["potential"])
        facts |= {f"remainder: {name}": text for name, text in rest.items()}
    return {name: text for name, text in facts.items() if text}


def _fit_facts(summary: dict[str, Any]) -> dict[str, str]:
    """Return facts about the rows and weights of one fit."""
    rows = summary.get("n_rows", {})
    noises = summary.get("noises", {})
    seconds = summary.get("seconds", {})
    return {
        "rows": ", ".join(f"{name} {count}" for name, count in rows.items()),
        "weights": _rank(summary),
        "amplitudes": ", ".join(f"{a:.3g}" for a in summary.get("amplitudes", ())),
        "condition": _number(summary.get("condition_number"), ".2g"),
        "noises": ", ".join(
            f"{name} {noise:.3g} {_unit(name)}".rstrip()
            for name, noise in noises.items()
        ),
        "strength": _number(summary.get("strength"), ".2g"),
        "held out": _held_out(summary),
        "std scales": ", ".join(
            f"{name} {scale:.3g}"
            for name, scale in summary.get("std_scales", {}).items()
        ),
        "seconds": ", ".join(f"{name} {time:.1f}" for name, time in seconds.items()),
    }


def format_facts(facts: dict[str, str]) -> str:
    """Return facts as lines."""
    width = max([12, *map(len, facts)])
    return "\n".join(f"{name:<{width}} {text}" for name, text in facts.items())


def _total_charge(is_charged: bool | None) -> str:
    if is_charged is None:  # a model without charges
        return ""
    if is_charged:
        return "exact, of total_charge in every frame"
    return "exact, of total_charge where a frame has it, 0 elsewhere"


def _numbers(values: dict[str, float] | None, unit: str) -> str:
    """Return numbers by element."""
    if not values:
        return ""
    texts = [f"{symbol} {value:.4g}" for symbol, value in values.items()]
    return f"{', '.join(texts)} {unit}"


def _ranges(limits: dict[str, Any] | None, unit: str) -> str:
    """Return the least and the largest number by element."""
    if not limits:
        return ""
    texts = [f"{symbol} {a:.4g} to {b:.4g}" for symbol, (a, b) in limits.items()]
    return f"{', '.join(texts)} {unit}"


def _groups(summary: dict[str, Any]) -> str:
    """Return how many structures there were, in how many groups."""
    n_structures, n_left_out = summary.get("n_structures"), summary.get("n_left_out")
    if n_structures is None:
        return ""
    if not n_left_out:
        return f"{n_structures}"
    return (
        f"{n_structures} in {summary['n_groups']} groups of like ones, {n_left_out} "
        "of them held out one at a time"
    )


def describe_outliers(summary: dict[str, Any]) -> list[str]:
    """Return a line about every frame with a noise of its own."""
    from lodekit.fitting.outliers import Outlier

    units = summary.get("units", {})
    rest = summary.get("potential", {})
    outliers = [*summary.get("outliers", ()), *rest.get("outliers", ())]
    units = {**rest.get("units", {}), **units}
    return [
        Outlier(**outlier).describe(units.get(outlier["target"], ""))
        for outlier in outliers
    ]


def _held_out(summary: dict[str, Any]) -> str:
    """Return the error of densities on frames that were left out, all at once."""
    if summary.get("held_out_percent") is None:
        return ""
    return (
        f"{summary['held_out_percent']:.3g} % of the deviation from mean atoms, on "
        f"{summary['n_held_out']} frames"
    )


def _rank(summary: dict[str, Any]) -> str:
    if "rank" not in summary:
        return ""
    effective = summary.get("effective_rank")
    return f"{summary['rank']}" + (
        f", effective rank {effective:.0f}" if effective is not None else ""
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _unit(name: str) -> str:
    from lodekit.quantities import error_units, quantity

    return "" if quantity(name).noise is None else error_units([name])[name]
