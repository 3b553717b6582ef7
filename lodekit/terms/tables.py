"""Terms of the models: their settings, defaults, and descriptors with covariances."""

from __future__ import annotations

import numpy as np

from lodekit.descriptors import (
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.quantities import CHARGES, quantity
from lodekit.regression import PolynomialCovariance

#: Charges of sources that are found from the data; those of one unit by species.
FROM_DATA, BY_SPECIES = "data", "species"

SOAP = {
    "type": "soap",
    "cutoff": 5.0,
    "smoothing_width": 2.0,
    "density_width": 0.3,
    "center_atom_weight": 1.0,
    "scaling_exponent": 8,
    "scaling_radius": 1.8,
    "max_radial": 7,
    "max_angular": 4,
    "zeta": 2,
    "offset": 0.0,
    "n_sparse": 1000,
}

#: Charges and dipoles are fitted to fewer numbers.
CHARGE_SOAP = {**SOAP, "n_sparse": 400}

#: Charges of the sources of LODE, and what they leave of energies, where both are
#: learned for that purpose alone.
SMALL_CHARGES = {**CHARGE_SOAP, "n_sparse": 100}

#: What the nearest atoms take and give, whatever is behind them.
NEAR_CHARGES = {
    **CHARGE_SOAP,
    "cutoff": 3.5,
    "smoothing_width": 1.0,
    "scaling_radius": 1.3,
    "max_radial": 5,
    "max_angular": 3,
    "zeta": 1,
}

#: What is between the nearest atoms and the far field, for remainders of energies: the
#: scaling of the default all but leaves out what is beyond 4 Å.
WIDE_SOAP = {
    **SOAP,
    "cutoff": 6.0,
    "scaling_exponent": 2,
    "scaling_radius": 2.0,
    "max_radial": 8,
}

SMALL_REMAINDER = {
    "soap": {**SOAP, "n_sparse": 200},
    "wide": {**WIDE_SOAP, "n_sparse": 200},
}

LODE = {
    "type": "lode",
    "cutoff": 4.0,
    "smoothing_width": 1.0,
    "density_width": 0.5,
    "scaling_exponent": 4,
    "scaling_radius": 1.5,
    "density_max_radial": 3,
    "smearing": 1.0,
    "exponent": 1,
    "radius": 2.0,
    "max_radial": 1,
    "max_angular": 2,
    "charges": FROM_DATA,
    "accuracy": 1e-6,
    "zeta": 1,
    "offset": 0.0,
    "n_sparse": 500,
}

#: 1 / r^6 of every species: its sums converge, whatever the boundary is.
DISPERSION = {"exponent": 6, "charges": BY_SPECIES}

FAR_CHARGES = {**LODE, "n_sparse": 200}

TERMS = {"soap": SOAP, "lode": LODE}


def potential_terms(frames) -> dict:
    """Return settings of the default terms of potentials.

    A SOAP term for the surroundings, and LODE terms for what lies beyond the cutoff: a
    linear one, whose tails are those of charges and multipoles, and its square for
    induction, both of sources that carry charges; and the same with 1 / r^6 of every
    species, for dispersion and the packing of atoms. The size of the data decides how
    many sparse points there are.
    """
    numbers = np.concatenate([atoms.numbers for atoms in frames])
    n_sparse = int(
        np.clip(np.ceil(len(numbers) / np.unique(numbers).size / 3), 300, 2000)
    )
    soap = {**SOAP, "n_sparse": n_sparse}
    lode = {**LODE, "n_sparse": min(LODE["n_sparse"], n_sparse)}
    # half of the points are as accurate here
    dispersion = {**lode, **DISPERSION, "n_sparse": lode["n_sparse"] // 2}
    return {
        "soap": soap,
        "lode": lode,
        "induction": {**lode, "zeta": 2},
        "dispersion": dispersion,
        "packing": {**dispersion, "zeta": 2},
    }


def remainder_terms() -> dict:
    """Return settings of the terms of what charges leave over: SOAP, near and wide.

    No LODE, since what goes beyond the cutoff is the charges' task.
    """
    return {"soap": dict(SOAP), "wide": dict(WIDE_SOAP)}


def default_term_names() -> list[str]:
    """Return the names of terms that defaults give, of potentials and of charges."""
    others = {*charge_terms(), *remainder_terms()}
    return sorted({*TERMS, "induction", "dispersion", "packing", *others})


def default_terms(frames) -> list[tuple]:
    """Return (descriptor, covariance, n_sparse) of the default terms."""
    return build_terms({"terms": potential_terms(frames)})


def charge_terms(linear: bool = True, far: bool = True) -> dict:
    """Return settings of the default terms of charges.

    SOAP for the surroundings and ``linear`` terms for what is near and, by LODE, for
    what is ``far``. The square of the latter helps between the frames, but not beyond
    their size. The amplitudes follow from the data.
    """
    terms = {"soap": dict(CHARGE_SOAP)}
    if linear:
        terms["near"] = dict(NEAR_CHARGES)
    if linear and far:
        terms["lode"] = dict(FAR_CHARGES)
    return terms


def default_charge_terms(linear: bool = True, far: bool = True) -> list[tuple]:
    """Return (descriptor, covariance, n_sparse) of `charge_terms`."""
    return build_terms({"terms": charge_terms(linear, far)})


def may_be_far(frames, targets) -> bool:
    """Return whether charges may depend on what is far.

    Not where derivatives of dipoles of periodic structures are fitted, for which charge
    has to flow between neighbours.
    """
    names = [name for name in targets if name in CHARGES]
    has_derivatives = any(quantity(name).is_gradient for name in names)
    return not (has_derivatives and any(atoms.pbc.any() for atoms in frames))


def build_terms(settings: dict) -> list[tuple]:
    """Return (descriptor, covariance, n_sparse) of every term."""
    builders = {"soap": build_soap, "lode": build_lode}
    descriptors: dict = {}  # terms that differ in their covariance share a descriptor
    for term in settings["terms"].values():
        key = descriptor_key(term)
        if key not in descriptors:
            descriptors[key] = builders[term["type"]](term)
    return [
        (
            descriptors[descriptor_key(term)],
            PolynomialCovariance(
                term["zeta"],
                normalize="each" if term["type"] == "soap" else "mean",
                offset=term["offset"],
            ),
            term["n_sparse"],
        )
        for term in settings["terms"].values()
    ]


def descriptor_key(term: dict) -> str:
    """Return a text that is the same for terms with the same descriptor."""
    covariance = ("zeta", "offset", "n_sparse")
    return repr(sorted((k, v) for k, v in term.items() if k not in covariance))


def build_density(term: dict, max_radial: int) -> SphericalExpansion:
    """Return the density expansion of a term."""
    density = {"type": "Gaussian", "width": term["density_width"]}
    density["center_atom_weight"] = term.get("center_atom_weight", 1.0)
    if term["scaling_exponent"]:
        density["scaling"] = {
            "type": "Willatt2018",
            "exponent": term["scaling_exponent"],
            "rate": 1.0,
            "scale": term["scaling_radius"],
        }
    return SphericalExpansion(
        cutoff={
            "radius": term["cutoff"],
            "smoothing": {"type": "ShiftedCosine", "width": term["smoothing_width"]},
        },
        density=density,
        basis=tensor_product(term["max_angular"], {"max_radial": max_radial}),
    )


def tensor_product(max_angular: int, radial: dict) -> dict:
    """Return a basis of Gaussian-type orbitals."""
    return {
        "type": "TensorProduct",
        "max_angular": max_angular,
        "radial": {"type": "Gto", **radial},
    }


def build_soap(term: dict) -> PowerSpectrum:
    """Return density x density."""
    return PowerSpectrum(build_density(term, term["max_radial"]))


def build_lode(term: dict) -> PowerSpectrum:
    """Return density x potential."""
    potential = LodeSphericalExpansion(
        density={
            "type": "SmearedPowerLaw",
            "smearing": term["smearing"],
            "exponent": term["exponent"],
        },
        basis=tensor_product(
            term["max_angular"],
            {"max_radial": term["max_radial"], "radius": term["radius"]},
        ),
        accuracy=term["accuracy"],
        charges=None if term["charges"] == BY_SPECIES else term["charges"],
    )
    return PowerSpectrum(build_density(term, term["density_max_radial"]), potential)
