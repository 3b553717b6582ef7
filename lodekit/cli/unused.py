"""Keys and settings that a fit does not use: one line each, or an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from lodekit.errors import StructureError

from .main import say

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.structures.lookalikes import Lookalike

    from .kinds import Kind
    from .names_of_types import Settings


def warn(text: str) -> None:
    """Write one line of warning to standard error."""
    say(f"warning: {text}")


def check_keys(frames: list[Atoms], wanted: Collection[str], chosen: list[str]) -> None:
    """Say which keys look like targets and are not used.

    Parameters
    ----------
    frames : list of ase.Atoms
    wanted : list of str
        Targets that the user named, or that the kind of model is fitted to.
    chosen : list of str
        Those that frames have.

    Raises
    ------
    StructureError
        If the model would lack a target that the file seems to have.
    """
    from lodekit.structures import find_lookalikes

    lookalikes = find_lookalikes(frames, wanted)
    missing = [one for one in lookalikes if one.target not in chosen]
    if missing:
        rest = f"fit other targets with --targets {' '.join(chosen)}, or " * bool(
            chosen
        )
        raise StructureError(
            f"no frame has {describe_lookalikes(missing)}, {rest}leave aside what is "
            f"none with --ignore {' '.join(one.key for one in missing)}"
        )
    lookalikes = [one for one in lookalikes if one.by_name]
    if lookalikes:
        listed = [f"{one.key!r} ({one.target}?)" for one in lookalikes[:6]]
        dots = ", ..." if len(lookalikes) > 6 else ""
        warn(
            f"not used, though it looks like a target: {', '.join(listed)}{dots}; "
            "--key TARGET=KEY uses a key, --ignore KEY leaves it aside",
        )
    if "energy" in wanted and chosen and "energy" not in chosen:
        warn(
            f"no frame has an energy{_numbers_of(frames)}: the energies of the model "
            "follow from the other targets, up to a constant for each element; "
            "--key energy=KEY names it",
        )


def describe_lookalikes(lookalikes: Sequence[Lookalike]) -> str:
    """Return which targets are missing, what looks like them, and how to use it.

    Parameters
    ----------
    lookalikes : list of Lookalike
        At least one.
    """
    targets = list(dict.fromkeys(one.target for one in lookalikes))
    keys = " and ".join(repr(one.key) for one in lookalikes)
    looks = "looks" if len(lookalikes) == 1 else "look"
    pairs = {one.target: one.key for one in reversed(lookalikes)}
    assigned = [
        f"{'virial' if 'virial' in pairs[target].lower() else target}={pairs[target]}"
        for target in targets
    ]
    sign = ""
    if any("grad" in one.key.lower() for one in lookalikes):
        sign = " (gradients are minus the forces: change their sign first)"
    return (
        f"{' or '.join(targets)}, but {keys} {looks} like it: use it with --key "
        f"{' '.join(assigned)}{sign}"
    )


def _numbers_of(frames: list[Atoms]) -> str:
    """Return the keys of the comment line that may be energies, in brackets."""
    from lodekit.structures.values import as_numbers

    info = frames[0].info.items()
    arrays = {key: as_numbers(value) for key, value in info}
    keys = [
        k
        for k, a in arrays.items()
        if a is not None and a.dtype.kind == "f" and a.size == 1
    ]
    return f" (numbers of a frame are {', '.join(keys[:6])})" if keys else ""


def check_states(frames: list[Atoms], kind: Kind) -> None:
    """Warn of total charges and spins that a kind of model does not see.

    Parameters
    ----------
    frames : list of ase.Atoms
    kind : object
        Kind of model in `lodekit.cli.kinds`.

    Raises
    ------
    ValueError
        If the model needs total charges, and they seem to be under another name.
    """
    from lodekit.observables.charges import check_total_charges
    from lodekit.structures import get_target
    from lodekit.structures.lookalikes import spin_keys

    if kind.needs_total_charge:
        check_total_charges(frames)
    else:
        charges = {get_target(frame, "total_charge") for frame in frames} - {None}
        if len(charges) > 1:
            warn(
                f"total charges {_listed(charges)} of the frames, which a potential "
                "does not see: it takes them for one energy; fit --model charges, kqeq "
                "or latent-charges, or the frames of one charge with --where "
                f"total_charge={min(charges) + 0.0:g}",
            )
    spins: dict = {}
    for frame in frames:
        for key, value in spin_keys(frame).items() if len(frame) > 1 else ():
            spins.setdefault(key, set()).add(value)
    for key, values in spins.items():
        if len(values) > 1:
            warn(
                f"the frames have {key} = {_listed(values)}, which no model sees: it "
                "takes them for one state; fit the frames of one with --where "
                f"{key}={min(values) + 0.0:g}",
            )
            break


def _listed(numbers: Collection[float]) -> str:
    texts = [f"{number + 0.0:g}" for number in sorted(numbers)]  # no -0
    texts = [*texts[:4], "...", texts[-1]] if len(texts) > 6 else texts
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def warn_of_unused_points(
    frames: list[Atoms], settings: Settings, defaults: Settings, section: str = ""
) -> None:
    """Warn where the user asks for more sparse points than there are environments.

    Parameters
    ----------
    frames : list of ase.Atoms
    settings : dict
        Complete settings of a model.
    defaults : dict
        Those that the user has not changed.
    section : str
        Where the settings stand in those of another model.
    """
    counts = Counter(symbol for frame in frames for symbol in frame.symbols)
    listed = ", ".join(f"{count} of {symbol}" for symbol, count in counts.items())
    for name, term in settings["terms"].items():
        default = defaults.get("terms", {}).get(name, {}).get("n_sparse")
        if max(counts.values()) < term["n_sparse"] != default:
            warn(
                f"{section}terms.{name}.n_sparse = {term['n_sparse']} exceeds the "
                f"number of environments ({listed}): all of them are used",
            )
    if "potential" in settings:
        rest = settings["potential"], defaults.get("potential", {})
        warn_of_unused_points(frames, *rest, section="potential.")
