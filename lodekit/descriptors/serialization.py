"""Descriptors as nested dictionaries and back."""

from __future__ import annotations

import json

from .hyperparameters import as_dictionary
from .lode import LodeSphericalExpansion
from .lode_bands import LodeBandExpansion
from .power_spectrum import PowerSpectrum
from .spherical_expansion import SphericalExpansion

EXPANSIONS = {
    "SphericalExpansion": SphericalExpansion,
    "LodeSphericalExpansion": LodeSphericalExpansion,
    "LodeBandExpansion": LodeBandExpansion,
}


def descriptor_settings(descriptor: PowerSpectrum) -> dict:
    """Return a JSON-able dictionary that `descriptor_from_settings` understands."""
    sides = {}
    for side in ("left", "right"):
        expansion = getattr(descriptor, side)
        if expansion is None:
            sides[side] = None
            continue
        arguments = {
            name: as_dictionary(value)
            for name, value in expansion.get_params(False).items()
        }
        sides[side] = {"class": type(expansion).__name__, "arguments": arguments}
    return sides


def descriptor_from_settings(settings: dict, known: dict) -> PowerSpectrum:
    """Rebuild a descriptor.

    ``known`` maps settings to objects made before, so that terms with the same
    descriptor or the same density share the object and compute it once.
    """
    whole = json.dumps(settings, sort_keys=True)
    if whole in known:
        return known[whole]
    sides = []
    for side in ("left", "right"):
        entry = settings[side]
        key = json.dumps(entry, sort_keys=True)
        if entry is not None and key not in known:
            known[key] = EXPANSIONS[entry["class"]](**entry["arguments"])
        sides.append(known.get(key))
    known[whole] = PowerSpectrum(*sides)
    return known[whole]
