"""Cases of water of `benchmarks/polarization.py`: every one returns numbers by name."""

import numpy as np
from ase import units
from polarization_errors import folds, judge, report, root

from lodekit import read_structures
from lodekit.models import (
    LatentChargeModel,
    PolarizationModel,
    TensorModel,
    WannierModel,
)
from lodekit.observables.polarization import BORN_CHARGES
from lodekit.settings.potential import build_potential
from lodekit.structures import get_target
from lodekit.terms.tables import build_terms, charge_terms, remainder_terms


def wannier(options):
    """Displacements of the Wannier centroids of water, every third frame kept."""
    frames = read_structures(options.data / "deepmd_water_dplr/train.xyz")
    errors, spreads = [], []
    for first in range(min(options.folds, 3)):
        kept = frames[first::3]
        train = [atoms for n, atoms in enumerate(frames) if n % 3 != first]
        model = WannierModel(
            n_sparse=400, center_charges={"O": -8}, targets=["wannier_displacements"]
        ).fit(train)
        results = model.compute(kept, ["wannier_displacements"])
        for atoms, result in zip(kept, results, strict=True):
            oxygen = atoms.numbers == 8
            expected = get_target(atoms, "wannier_displacements")[oxygen]
            errors.append(result["wannier_displacements"][oxygen] - expected)
            spreads.append(expected - expected.mean())
    return {
        "displacement_rmse": root(errors),
        "spread": root(spreads),
        "n_fitted": len(train),
        "n_folds": min(options.folds, 3),
    }


#: e·Å³/V² of an atomic unit.
HYPERPOLARIZABILITY = units.Bohr**3 / units.Hartree**2


def sagpr_water(options):
    """Dipoles and polarizabilities of water: monomers, and boxes of 32 molecules."""
    folder = options.data / "sagpr_water"
    monomers = read_structures(folder / "monomer_train.xyz")
    targets = ["dipole", "polarizability", "hyperpolarizability"]
    for atoms in monomers:
        values = atoms.info["hyperpolarizability_au"]
        atoms.info[targets[2]] = HYPERPOLARIZABILITY * np.ravel(values)
    model = PolarizationModel(n_sparse=200, targets=targets).fit(monomers[:500])
    errors = {}
    judge(model, monomers[500:], errors)
    found = {
        "monomer_dipole_percent": percent(errors, "dipole"),
        "monomer_polarizability_percent": report(errors)["polarizability_percent"],
        "monomer_hyperpolarizability_percent": percent(errors, targets[2]),
        "n_monomers": 500,
    }
    boxes = read_structures(folder / "bulk_train.xyz")[:: options.every]
    for atoms in boxes:  # of whole molecules: a sum of their dipoles, without branches
        atoms.info["cell_dipole"] = atoms.calc.results.pop("dipole")
    train, kept = next(folds(boxes, 1))
    names = ["cell_dipole", "polarizability"]
    model = TensorModel(n_sparse=150, targets=names).fit(train)
    errors = {}
    for atoms, result in zip(kept, model.compute(kept, names), strict=True):
        for name in names:
            expected = atoms.info["cell_dipole"]
            if name == "polarizability":
                expected = get_target(atoms, name)
            errors.setdefault(name, []).append(result[name] - expected)
            errors.setdefault(f"spread of {name}", []).append(expected)
    return {
        **found,
        **report(errors),
        "cell_dipole_percent": percent(errors, "cell_dipole"),
        # of the spread about the mean, as it is published
        "isotropic_percent": deviation_percent(errors, np.trace),
        "anisotropic_percent": deviation_percent(errors, traceless),
        "n_fitted": len(train),
        "n_kept": len(kept),
    }


def percent(errors, name):
    """Return errors in % of the root mean square of what was measured."""
    return 100.0 * root(errors[name]) / root(errors[f"spread of {name}"])


def traceless(matrix):
    """Return a matrix without its mean diagonal."""
    return matrix - np.trace(matrix) / 3.0 * np.eye(3)


def deviation_percent(errors, part):
    """Return errors of a part of polarizabilities in % of its standard deviation."""
    values = np.array([part(own) for own in errors["spread of polarizability"]])
    wrong = [part(own) for own in errors["polarizability"]]
    return 100.0 * root(wrong) / root(values - values.mean(axis=0))


#: Refractive index of water: Born charges over charges that energies tell.
SCREENING = np.sqrt(1.78)


def water_bec_from_energies(options):
    """Born charges of water from energies and forces: latent charges, screened."""
    frames = read_structures(options.data / "water_bec_rpbe/train.xyz")
    train, kept = next(folds(frames, 1))
    train, kept = train[::4], kept[::3]
    (descriptor, covariance, _), *_ = build_terms(
        {"terms": charge_terms(linear=False, far=False)}
    )
    # a remainder that sees less far than charges do leaves them what is theirs
    near = {**remainder_terms()["soap"], "cutoff": 4.5, "n_sparse": 120}
    model = LatentChargeModel(
        descriptor,
        covariance,
        30,
        targets=["energy", "forces"],
        charge_prior=0.1,
        potential=build_potential({"terms": {"soap": near}}),
    ).fit(train)
    names = [BORN_CHARGES, "forces"]
    errors, latent = {}, []
    for atoms, result in zip(kept, model.compute(kept, names), strict=True):
        expected = get_target(atoms, BORN_CHARGES)
        latent.append(result[BORN_CHARGES] - expected)
        errors.setdefault(BORN_CHARGES, []).append(
            SCREENING * result[BORN_CHARGES] - expected
        )
        wrong = result["forces"] - get_target(atoms, "forces")
        errors.setdefault("forces", []).append(wrong)
    return {
        **report(errors),
        "without_screening": root(latent),
        "n_fitted": len(train),
        "n_kept": len(kept),
    }
