"""Checks of arguments of charge models."""

from __future__ import annotations

import numpy as np

from lodekit.quantities import quantity
from lodekit.structures import frame_name
from lodekit.structures.values import as_numbers, is_number


def check_fraction(value) -> None:
    """Raise ``ValueError`` unless a validation fraction lies in [0, 1]."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"validation_fraction must lie in [0, 1], got {value!r}")


def check_quantum(value) -> None:
    """Raise ``ValueError`` unless a quantum of polarization is a positive charge."""
    if not is_number(value) or not 0 < value < np.inf:
        raise ValueError(f"quantum must be a positive charge in e, got {value!r}")


def check_thole(value) -> None:
    """Raise ``ValueError`` unless Thole's factor is a positive number or None."""
    if value is not None and not (is_number(value) and 0 < value < np.inf):
        raise ValueError(f"thole must be a positive number or None, got {value!r}")


def check_noises(given: dict, targets) -> None:
    """Raise ``ValueError`` for the noise of no target, or out of range."""
    for name, noise in given.items():
        if name not in targets:
            raise ValueError(
                f"noises name '{name}', which is not among the targets {list(targets)}"
            )
        if noise != "auto" and not (is_number(noise) and 0 < noise < np.inf):
            raise ValueError(
                f"the noise of {name} must be a positive number or 'auto', "
                f"got {noise!r}"
            )


def check_weights(given, n_frames: int) -> np.ndarray:
    """Return the weight of every frame, 1 where none is given.

    Raises
    ------
    ValueError
        If there is not one positive number for every frame.
    """
    if given is None:
        return np.ones(n_frames)
    wanted = f"sample_weight must hold {n_frames} positive numbers, one per frame"
    weights = as_numbers(given)
    if weights is None:
        raise ValueError(f"{wanted}, got {given!r:.60}")
    if weights.shape != (n_frames,):
        raise ValueError(f"{wanted}, got shape {weights.shape}")
    usable = np.isfinite(weights) & (weights > 0)
    if not usable.all():
        index = int(np.argmin(usable))
        raise ValueError(f"{wanted}, {frame_name(index)} has {weights[index]}")
    return weights.astype(float)


def check_stress(frames, properties) -> None:
    """Raise ``ValueError`` where the stress of open structures is asked for."""
    periodic = [bool(atoms.pbc.all()) for atoms in frames]
    needs_cell = any(quantity(name).boundary == "cell" for name in properties)
    if needs_cell and not all(periodic):
        raise ValueError(
            "stress is defined for fully periodic frames only, "
            f"{frame_name(periodic.index(False))} is not"
        )


def field_argument(model, field, name: str = "field") -> dict:
    """Return the field as an argument of ``compute``, nothing without one.

    Parameters
    ----------
    model : estimator
    field : object or None
    name : {"field", "displacement"}

    Raises
    ------
    ValueError
        If the model has no response to one.
    """
    if field is None:
        return {}
    if name not in getattr(model, "responds_to", ()):
        others = "a ChargeEquilibrationModel (lodekit fit --model kqeq) or "
        raise ValueError(
            f"a {type(model).__name__} has no response to a {name}; fit "
            f"{others if name == 'field' else ''}a PolarizationModel (--model "
            "polarization)"
        )
    return {name: field}


def check_vector(name: str, value) -> np.ndarray:
    """Return a field as three numbers.

    Raises
    ------
    ValueError
    """
    numbers = as_numbers(value)
    if numbers is None or numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise ValueError(
            f"{name} must be three finite numbers in V/Å, got {value!r:.60}"
        )
    return numbers.astype(float)


def check_fields(model, frames, field, displacement):
    """Return a field and a displacement as arrays or None.

    Raises
    ------
    ValueError
        For both at once, no three numbers, a displacement of structures that are not
        periodic, a model without dipoles.
    """
    if field is not None and displacement is not None:
        raise ValueError(
            "a field and a displacement were given; one of them follows from the other"
        )
    vectors = []
    for name, value in (("field", field), ("displacement", displacement)):
        if value is not None:
            numbers = check_vector(name, value)
            if model.dipoles_ is None:
                raise ValueError(
                    "the model was fitted without polarization, dipoles or Born "
                    f"charges and has no response to a {name}"
                )
            value = numbers
        vectors.append(value)
    if displacement is not None:
        for index, atoms in enumerate(frames):
            if not atoms.pbc.all():
                raise ValueError(
                    "a displacement is defined for structures that are periodic in "
                    f"three directions, {frame_name(index)} is not; give a field"
                )
    return vectors
