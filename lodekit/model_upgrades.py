"""From the header of one format of the model file to that of the next.

Every function changes a header in place; arrays only get other names.
"""

import math

from ase.data import chemical_symbols

#: What ``lodekit fit --model`` calls the models of format 1.
_KINDS = {
    "SparsePotential": "potential",
    "ChargeModel": "charges",
    "DipoleModel": "dipole",
    "ChargeEquilibrationModel": "kqeq",
    "LatentChargeModel": "latent-charges",
}


def name_parameters_and_environments(header):
    """Turn format 1 into format 2.

    Parameters of estimators were not written, but for descriptors, covariances, and
    what `ChargeEquilibrationModel` knew of its elements; environments were stored with
    every term, and one factor calibrated all standard deviations.
    """
    settings = header["settings"]
    shapes = {entry["name"]: entry["shape"] for entry in header["arrays"]}
    if header["class"] == "GlobalPotential":
        _upgrade_global(settings)
    else:
        _upgrade_part(settings, shapes, "")
        if "potential" in settings:
            _upgrade_part(settings["potential"], shapes, "potential/")
        parameters = settings["parameters"]
        if "max_multipole" in settings:
            order = settings.pop("max_multipole")
            parameters["max_multipole"] = order
            settings["moments"] = [
                _moments(shapes, order) for order in range(1, order + 1)
            ]
        for name in ("charge_width", "charge_prior", "accuracy"):
            if name in settings:
                parameters[name] = settings[name]
        settings.pop("charge_prior", None)
        if header["class"] == "ChargeEquilibrationModel":
            _name_elements(settings, shapes)
    is_dual = settings.get("solution") == "DualSolution"
    header["arrays"] = [
        {**entry, "name": _renamed(entry["name"])}
        for entry in header["arrays"]
        if not (is_dual and entry["name"] == "solution/factor")
    ]
    recorded = header["record"].get("settings")
    if recorded:
        run = {"model": _KINDS[header["class"]]}
        header["record"]["settings"] = {"run": run, **recorded}


def _upgrade_global(settings):
    encoded = [_object(descriptor) for descriptor in settings["descriptors"]]
    settings["descriptors"] = encoded
    settings["parameters"] = {"descriptors": encoded}
    settings["std_scales"] = {}


def _upgrade_part(settings, shapes, prefix):
    """Upgrade the settings of a model, or of the potential that is a part of one."""
    scale = settings.pop("std_scale")
    targets = settings["summary"].get("noises") or ["energy"]
    settings["std_scales"] = dict.fromkeys(targets, scale)
    for number, term in enumerate(settings["terms"]):
        sides = {
            side: descriptor and _object(descriptor)
            for side, descriptor in term["descriptor"].items()
        }
        term["descriptor"] = {"class": "PowerSpectrum", "parameters": sides}
        term["covariance"] = {
            "class": "PolynomialCovariance",
            "parameters": term["covariance"],
        }
        term |= _points(
            shapes, f"{prefix}terms/{number}", "points", term.pop("species")
        )
        term["points"] = f"terms/{number}"
    settings["parameters"] = {
        "descriptor": [term["descriptor"] for term in settings["terms"]],
        "covariance": [term["covariance"] for term in settings["terms"]],
    }


def _points(shapes, name, part, species):
    """Return the settings of the points of a term."""
    return {
        "species": species,
        "n_points": [shapes[f"{name}/{z}/{part}"][0] for z in species],
        "listed": [],
        "amplitude": 1.0,
        "points": name,
    }


def _moments(shapes, order):
    """Return the settings of the atomic moments of one order."""
    name = f"moments/{order}"
    species = sorted(
        int(key.split("/")[2])
        for key in shapes
        if key.startswith(f"{name}/") and key.endswith("/features")
    )
    scales = {str(z): 1.0 for z in species}
    points = _points(shapes, name, "features", species)
    return {**points, "scales": scales}


def _name_elements(settings, shapes):
    """Turn what a charge equilibration knows of its elements into parameters."""
    summary, parameters = settings["summary"], settings["parameters"]
    symbols = [chemical_symbols[z] for z in summary["species"]]
    for name in ("hardness", "widths"):
        pairs = [
            [z, summary[name][symbol]]
            for z, symbol in zip(summary["species"], symbols, strict=True)
        ]
        parameters[name] = {"pairs": pairs}
    if "hardness_amplitudes" in shapes:
        parameters["hardness"] = "environment"
    if summary.get("bond_hardness"):
        pairs = [list(pair) for pair in summary["bond_hardness"].items()]
        parameters["bond_hardness"] = {"pairs": pairs}


def _object(descriptor):
    """Return an object with its arguments as parameters are written."""
    arguments = {
        name: _encode(value) for name, value in descriptor["arguments"].items()
    }
    return {"class": descriptor["class"], "parameters": arguments}


def _encode(value):
    if isinstance(value, dict):
        return {"pairs": [[key, _encode(item)] for key, item in value.items()]}
    return [_encode(item) for item in value] if isinstance(value, list) else value


def _renamed(name):
    """Return the name that an array of format 1 has in format 2."""
    prefix = "potential/" if name.startswith("potential/") else ""
    name_in_part = name.removeprefix(prefix)
    if name_in_part.startswith("terms/") and name_in_part.endswith("/points"):
        return f"{prefix}points/{name_in_part.removesuffix('points')}features"
    if name_in_part.startswith("moments/") and name_in_part.endswith("/features"):
        return f"points/{name_in_part}"
    return name


#: The vector of a tensor of rank 3 that is symmetric in all indices, by its paths.
_SYMMETRIC = {1: [-(5.0**0.5) / 3.0, 0.0, -2.0 / 3.0], 3: [1.0]}


def name_channels_and_paths(header):
    """Turn format 2 into format 3.

    Atomic moments were those of pairs, which have no selected channels. Tensors of rank
    3 were symmetric in all indices, and no tensor had several parts of an order.
    """
    settings = header["settings"]
    for moments in settings.get("moments", ()):
        moments["selection"] = None
    parts = [settings.get(f"{name}polarizability") for name in ("", "hyper")]
    for part in (settings, *filter(None, parts)):
        for tensor in part.get("tensors", ()):
            tensor["is_pseudo"] = False
            is_cubic = math.prod(tensor["shape"]) == 27 and not tensor["is_spherical"]
            tensor["parts"] = [
                [order, sigma, _SYMMETRIC[order] if is_cubic else [1.0]]
                for order, sigma in tensor["parts"]
            ]


#: Functions that change a header of one format into the next, by the older number.
UPGRADES = {1: name_parameters_and_environments, 2: name_channels_and_paths}
