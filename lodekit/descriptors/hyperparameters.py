"""featomic's hyper-parameters, as its own objects or as dictionaries, checked once."""

from __future__ import annotations

import math

from ase.data import chemical_symbols

from lodekit.errors import SettingsError

from .lode.power_law import EXPONENTS

#: Charges of sources that a fitted model predicts.
PREDICTED = "predicted"


def as_dictionary(value):
    """Return nested plain dictionaries from featomic's objects or dictionaries."""
    if type(value).__name__ == "Monomials":
        # featomic has no name for them
        return {"type": "Monomials", **vars_without_private(value)}
    if hasattr(value, "_featomic_hypers"):
        value = value._featomic_hypers()
    if isinstance(value, dict):
        return {key: as_dictionary(entry) for key, entry in value.items()}
    return value


def vars_without_private(value) -> dict:
    """Return the public attributes of an object."""
    return {k: v for k, v in vars(value).items() if not k.startswith("_")}


def fill_dictionary(name: str, value, required: tuple, optional: dict) -> dict:
    """Return ``value`` with defaults filled in.

    Raises
    ------
    TypeError
        If ``value`` is neither a dictionary nor one of featomic's objects.
    SettingsError
        If a required key is missing or a key is unknown.
    """
    settings = as_dictionary(value)
    if not isinstance(settings, dict):
        raise TypeError(
            f"`{name}` must be a dictionary or one of featomic's objects, got {value!r}"
        )
    known = [*required, *optional]
    for key in settings:
        if key not in known:
            raise SettingsError(
                f"`{name}` has an unknown key '{key}'; known keys: {', '.join(known)}"
            )
    for key in required:
        if key not in settings:
            raise SettingsError(f"`{name}` needs the key '{key}', got {settings}")
    return {**optional, **settings}


def check_cutoff(value, name: str = "cutoff") -> dict:
    """Return the cutoff as ``{"radius": Å, "smoothing": {...}}``."""
    cutoff = fill_dictionary(name, value, ("radius", "smoothing"), {})
    check_positive(f"{name}.radius", cutoff["radius"])
    smoothing = cutoff["smoothing"]
    if smoothing.get("type") == "ShiftedCosine":
        fill_dictionary(f"{name}.smoothing", smoothing, ("type", "width"), {})
        if not 0.0 <= smoothing["width"] <= cutoff["radius"]:
            raise SettingsError(
                f"`{name}.smoothing.width` must lie between 0 and the radius "
                f"{cutoff['radius']} Å, got {smoothing['width']}"
            )
    elif smoothing.get("type") != "Step":
        raise SettingsError(
            f"`{name}.smoothing` must be ShiftedCosine or Step, got {smoothing}"
        )
    return cutoff


def check_gaussian(value) -> dict:
    """Return a Gaussian density as a dictionary with all its keys."""
    density = fill_dictionary(
        "density",
        value,
        ("type", "width"),
        {"center_atom_weight": 1.0, "scaling": None},
    )
    if density["type"] != "Gaussian":
        raise SettingsError(
            f"`density.type` must be 'Gaussian', got '{density['type']}'; other "
            'densities run with backend="featomic"'
        )
    check_positive("density.width", density["width"])
    check_number("density.center_atom_weight", density["center_atom_weight"])
    if density["scaling"] is not None:
        scaling = fill_dictionary(
            "density.scaling",
            density["scaling"],
            ("type", "exponent", "rate", "scale"),
            {},
        )
        if scaling["type"] != "Willatt2018":
            raise SettingsError(
                f"`density.scaling.type` must be 'Willatt2018', got '{scaling['type']}'"
            )
        check_number("density.scaling.exponent", scaling["exponent"])
        check_positive("density.scaling.scale", scaling["scale"])
        check_positive("density.scaling.rate", scaling["rate"])
    return density


def check_power_law(value) -> dict:
    """Return the potential of LODE as a dictionary with all its keys."""
    density = fill_dictionary(
        "density",
        value,
        ("type", "smearing", "exponent"),
        {"center_atom_weight": 1.0, "scaling": None},
    )
    if density["type"] != "SmearedPowerLaw":
        raise SettingsError(
            f"`density.type` must be 'SmearedPowerLaw', got '{density['type']}'"
        )
    if density["exponent"] not in EXPONENTS:
        raise SettingsError(
            "`density.exponent` must be a whole number from 0 to 9, got "
            f"{density['exponent']}"
        )
    if density["scaling"] is not None:
        raise SettingsError("`density.scaling` must be None for LODE")
    check_positive("density.smearing", density["smearing"])
    check_number("density.center_atom_weight", density["center_atom_weight"])
    return density


def check_accuracy(accuracy, k_cutoff) -> float:
    """Return the relative accuracy of LODE."""
    check_positive("accuracy", accuracy)
    if not 1e-12 <= accuracy <= 0.1:
        raise SettingsError(
            f"`accuracy` must lie between 1e-12 and 0.1, got {accuracy}"
        )
    if k_cutoff is not None:
        check_positive("k_cutoff", k_cutoff)
    return float(accuracy)


def check_exclusion(value, density: dict) -> dict | None:
    """Return the cutoff of LODE within which there are no sources."""
    if value is None:
        return None
    if density["center_atom_weight"] != 1.0:
        raise SettingsError(
            "`exclude_within` leaves the centre out, so `density.center_atom_weight` "
            f"must stay 1, got {density['center_atom_weight']}"
        )
    return check_cutoff(value, "exclude_within")


def check_charges(value) -> dict | str | None:
    """Return charges of sources by element symbol, each a list of floats.

    None and the word ``"predicted"`` stay what they are.

    Raises
    ------
    SettingsError
        For anything but element symbols with finite numbers, the same count for each.
    """
    if value is None or value == PREDICTED:
        return value
    if not isinstance(value, dict) or not value:
        raise SettingsError(
            "`charges` must be a table of charges by element symbol, such as "
            f'{{"Zn": 1.0, "O": -1.0}}, got {value!r}'
        )
    checked = {}
    for symbol, values in value.items():
        if symbol not in chemical_symbols[1:]:
            raise SettingsError(f"`charges` has no element '{symbol}'; use symbols")
        values = values if isinstance(values, (list, tuple)) else [values]
        for number in values:
            check_number(f"charges.{symbol}", number)
            if not math.isfinite(number):
                raise SettingsError(f"`charges.{symbol}` must be finite, got {number}")
        checked[symbol] = [float(number) for number in values]
    if len({len(values) for values in checked.values()}) > 1 or not all(
        checked.values()
    ):
        raise SettingsError(
            f"`charges` needs the same number of charges for every element, got {value}"
        )
    return checked


def check_basis(value, default_radius: float | None, radial_types=("Gto",)) -> dict:
    """Return a tensor-product basis as a dictionary.

    ``default_radius`` (Å) serves where the radial basis names none. An explicit basis
    of featomic's monomials, alike for all l, is a tensor product here.
    """
    value = as_dictionary(value)
    explicit = isinstance(value, dict) and value.get("type") == "Explicit"
    if explicit and "Monomials" in radial_types:
        value = from_explicit(value)
    basis = fill_dictionary(
        "basis", value, ("type", "max_angular", "radial"), {"spline_accuracy": 1e-8}
    )
    if basis["type"] != "TensorProduct":
        raise SettingsError(
            f"`basis.type` must be 'TensorProduct', got '{basis['type']}'; other bases "
            'run with backend="featomic"'
        )
    radial = fill_dictionary(
        "basis.radial",
        basis["radial"],
        ("type", "max_radial"),
        {"radius": default_radius},
    )
    if radial["type"] not in radial_types:
        raise SettingsError(
            f"`basis.radial.type` must be {' or '.join(map(repr, radial_types))}, got "
            f"'{radial['type']}'; other bases run with backend=\"featomic\""
        )
    if radial["radius"] is None:
        raise SettingsError("`basis.radial` needs the key 'radius' (Å) for LODE")
    check_positive("basis.radial.radius", radial["radius"])
    for name, number in (
        ("basis.max_angular", basis["max_angular"]),
        ("basis.radial.max_radial", radial["max_radial"]),
    ):
        if number != int(number) or number < 0:
            raise SettingsError(f"`{name}` must be a whole number >= 0, got {number}")
    return {**basis, "radial": radial}


def from_explicit(basis: dict) -> dict:
    """Return an explicit basis of monomials as a tensor product."""
    optional = {"spline_accuracy": 1e-8}
    basis = fill_dictionary("basis", basis, ("type", "by_angular"), optional)
    by_angular = {int(l): dict(radial) for l, radial in basis["by_angular"].items()}
    channels = {
        l: radial.pop("angular_channel", None) for l, radial in by_angular.items()
    }
    first = by_angular.get(0)
    if channels != {l: l for l in range(len(by_angular))} or any(
        radial != first for radial in by_angular.values()
    ):
        raise SettingsError(
            "`basis.by_angular` must hold featomic's Monomials for l = 0, 1, ..., all "
            f"with the same max_radial and radius, got {basis['by_angular']}; other "
            'bases run with backend="featomic"'
        )
    return {
        "type": "TensorProduct",
        "max_angular": len(by_angular) - 1,
        "radial": first,
        "spline_accuracy": basis["spline_accuracy"],
    }


def check_number(name: str, value) -> None:
    """Raise ``SettingsError`` unless ``value`` is a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SettingsError(f"`{name}` must be a number, got {value!r}")


def check_positive(name: str, value) -> None:
    """Raise ``SettingsError`` unless ``value`` is a positive number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise SettingsError(f"`{name}` must be a positive number, got {value!r}")
