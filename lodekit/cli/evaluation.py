"""What fit and evaluate share: comparing predictions with reference values."""

from lodekit.errors import StructureError

from .prediction import compute_in_chunks


def compare_frames(model, frames, targets, description, std=False):
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

    properties = wanted_properties(targets, std)
    results = compute_in_chunks(model, frames, properties, description)
    return compare(frames, results, targets)


def wanted_properties(targets, std):
    """Return the properties to compute for some targets.

    >>> wanted_properties(["energy", "stress"], std=True)
    ['energy', 'stress', 'energy_std']
    """
    from lodekit.analysis.errors import STD_NAMES

    deviations = [STD_NAMES[name] for name in targets if name in STD_NAMES]
    return [*targets, *(deviations if std else ())]


def present_targets(frames, asked, path, computed=None):
    """Return the targets that can be judged: those asked for, or all in the frames.

    ``computed`` are the properties of the model, all where None.
    """
    from lodekit.analysis.errors import UNITS
    from lodekit.structures import get_target

    there = [
        name
        for name in UNITS
        if any(get_target(frame, name) is not None for frame in frames)
    ]
    if computed is not None:
        there = [name for name in there if name in computed]
    missing = [name for name in asked or () if name not in there]
    if missing or not there:
        *most, last = computed or UNITS
        what = missing[0] if missing else f"{', '.join(most)} or {last}"
        raise StructureError(
            f"{path}: no frame has {what} to compare with; name the key with --key, "
            "such as --key energy=my_energy"
        )
    return list(asked or there)


def held_out_summary(summary):
    """Return the errors on held-out frames that a model remembers from its fit."""
    from lodekit.analysis.errors import UNITS

    errors = summary.get("held_out_errors") or {}
    return {
        name: {"rmse": error, "unit": UNITS[name]}
        for name, error in errors.items()
        if name in UNITS
    }


def model_facts(summary):
    """Return what a fitted model is made of, as texts by name."""
    from ase.data import chemical_symbols

    rows = summary.get("n_rows", {})
    noises = summary.get("noises", {})
    seconds = summary.get("seconds", {})
    species = " ".join(chemical_symbols[z] for z in summary["species"])
    facts = {
        "structures": _join(summary.get("n_structures"), summary.get("n_held_out")),
        "species": species,
        "rows": ", ".join(f"{name} {count}" for name, count in rows.items()),
        "weights": _rank(summary),
        "condition": _number(summary.get("condition_number"), ".2g"),
        "noises": ", ".join(
            f"{name} {noise:.3g} {_unit(name)}" for name, noise in noises.items()
        ),
        "std scale": _number(summary.get("std_scale"), ".3g"),
        "seconds": ", ".join(f"{name} {time:.1f}" for name, time in seconds.items()),
    }
    return {name: text for name, text in facts.items() if text}


def format_facts(facts):
    """Return facts as lines."""
    return "\n".join(f"{name:<12} {text}" for name, text in facts.items())


def _join(n_structures, n_held_out):
    if n_structures is None:
        return ""
    held_out = f", {n_held_out} of them held out to choose noises" if n_held_out else ""
    return f"{n_structures}{held_out}"


def _rank(summary):
    if "rank" not in summary:
        return ""
    effective = summary.get("effective_rank")
    return f"{summary['rank']}" + (
        f", effective rank {effective:.0f}" if effective is not None else ""
    )


def _number(value, form):
    return "" if value is None else format(value, form)


def _unit(name):
    from lodekit.analysis.errors import UNITS

    return UNITS.get(name, "")
