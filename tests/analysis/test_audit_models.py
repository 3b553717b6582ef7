"""Fitted models pass the audit, and fail it where one of their laws is broken."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from labelled_structures import lode, open_frames, periodic_frames, soap

from lodekit.analysis.audit import audit_model
from lodekit.electrostatics import CoulombInteraction
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    LatentChargeModel,
    SparsePotential,
)
from lodekit.structures.batch import as_frames

ENERGIES = ["energy", "forces"]
SMALL = {"n_sparse": 8, "validation_fraction": 0.0}


def with_charges(frames, total):
    """Give frames charges by their distances, their dipole, and a total charge."""
    for atoms in frames:
        distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        charges = np.exp(-distances).sum(axis=1) * np.where(atoms.numbers == 1, 1, -1)
        charges += (total - charges.sum()) / len(atoms)
        atoms.info["total_charge"] = total
        results = {**atoms.calc.results, "charges": charges}
        if not atoms.pbc.any():
            results["dipole"] = charges @ atoms.positions
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


FRAMES = {
    "open": with_charges(open_frames(8), -1.0),
    "periodic": with_charges(periodic_frames(8), 1.0),
}


def rest():
    return SparsePotential(soap(), n_sparse=SMALL["n_sparse"])


MODELS = {
    "SOAP": SparsePotential(soap(), **SMALL),
    "LODE": SparsePotential([soap(), lode()], **SMALL),
    "charges": ChargeModel(
        soap(), targets=["charges", *ENERGIES], potential=rest(), **SMALL
    ),
    "far charges": ChargeModel(lode(), targets=["charges"], **SMALL),
    "dipole": DipoleModel(soap(), **SMALL),
    "multipoles": DipoleModel(
        soap(),
        targets=["dipole", *ENERGIES],
        max_multipole=2,
        potential=rest(),
        **SMALL,
    ),
    "latent charges": LatentChargeModel(
        soap(), targets=ENERGIES, potential=rest(), **SMALL
    ),
    "kqeq": ChargeEquilibrationModel(
        soap(), targets=["charges", *ENERGIES], potential=rest(), **SMALL
    ),
    "kqeq with powers": ChargeEquilibrationModel(
        soap(),
        targets=["charges", *ENERGIES],
        potential=rest(),
        charge_powers=1,
        learn_from_energies=False,
        **SMALL,
    ),
    "kqeq alone": ChargeEquilibrationModel(soap(), targets=["charges"], **SMALL),
    "kqeq by environment": ChargeEquilibrationModel(
        soap(),
        targets=["charges", *ENERGIES],
        potential=rest(),
        hardness="environment",
        learn_from_energies=False,
        **SMALL,
    ),
}
fitted = {}


def fitted_model(name, boundary):
    """Fit a model once for all tests of this file."""
    if (name, boundary) not in fitted:
        fitted[name, boundary] = MODELS[name].fit(FRAMES[boundary])
    return fitted[name, boundary]


def audit(model, boundary, names=None):
    """Audit with one structure and return results by name."""
    results = audit_model(model, FRAMES[boundary][3], names)
    return {result.name: result for result in results}


@pytest.mark.parametrize(
    ("name", "boundary", "n_passed"),
    [
        ("SOAP", "periodic", 9),
        ("SOAP", "open", 10),
        ("LODE", "periodic", 9),
        ("LODE", "open", 9),
        ("charges", "periodic", 11),
        ("charges", "open", 13),
        ("far charges", "periodic", 7),
        ("dipole", "open", 10),
        ("multipoles", "open", 13),
        ("latent charges", "open", 13),
        ("kqeq", "open", 18),
        ("kqeq with powers", "open", 16),
        ("kqeq alone", "periodic", 12),
        ("kqeq by environment", "open", 18),
    ],
)
def test_fitted_models_pass(name, boundary, n_passed):
    results = audit(fitted_model(name, boundary), boundary)
    verdicts = [result.status for result in results.values()]
    assert [r for r in results.values() if r.status == "fail"] == []
    # threads count where there are some
    n_threads = results["threads"].status == "pass"
    assert verdicts.count("pass") - n_threads == n_passed
    for result in results.values():
        assert result.note or result.status == "pass"


def test_predicted_charges_are_local_and_equilibrated_ones_are_not():
    name = "charge-locality"
    local = audit(fitted_model("charges", "open"), "open", [name])[name]
    assert local.status == "pass"
    shared = audit(fitted_model("kqeq", "open"), "open", [name])[name]
    assert shared.status != "pass"
    assert shared.measured > 100.0 * local.measured


def test_latent_charges_are_local():
    result = audit(fitted_model("latent charges", "open"), "open", ["charge-locality"])
    assert result["charge-locality"].status == "pass"


def broken(model, compute):
    """Return a model that shares a fit and computes in another way."""
    changed = type("Broken", (type(model),), {"compute": compute})()
    vars(changed).update(vars(model))
    return changed


def forces_at_frozen_charges(self, frames, properties=None):
    results = super(type(self), self).compute(frames, [*properties, "charges"])
    rest = self.potential_.compute(frames, ["forces"])
    for atoms, result, part in zip(frames, results, rest, strict=True):
        coulomb = CoulombInteraction(
            atoms.positions, atoms.cell[:], atoms.pbc, self.charge_width_
        )
        result["forces"] = coulomb.compute(result["charges"]).forces + part["forces"]
    return results


def test_forces_of_moving_charges_need_their_derivatives():
    model = fitted_model("charges", "open")
    names = ["forces", "closed-loop", "frozen-charges"]
    missing = audit(model, "open", names)["frozen-charges"]
    assert missing.status == "not applicable"
    assert "dq/dR" in missing.note
    assert missing.measured > 0.01
    seen = audit(fitted_model("kqeq with powers", "open"), "open", names)
    assert seen["forces"].status == "pass"
    assert seen["frozen-charges"].measured > 1e-3
    frozen = audit(broken(model, forces_at_frozen_charges), "open", names)
    assert frozen["forces"].status == "fail"
    assert frozen["closed-loop"].status == "fail"


def transferred(self, frames, properties=None, field=None):
    results = super(type(self), self).compute(frames, properties, field)
    for atoms, result in zip(as_frames(frames), results, strict=True):
        if "charges" in result:
            # by a distance, so that it moves with the atoms
            moved = 1e-3 * np.linalg.norm(atoms.positions[0] - atoms.positions[-1])
            result["charges"] = result["charges"].copy()
            result["charges"][[0, -1]] += [moved, -moved]
    return results


@pytest.mark.parametrize("name", ["chemical-potential", "frozen-charges"])
def test_charges_off_the_minimum_fail(name):
    model, names = fitted_model("kqeq", "open"), [name, "total-charge"]
    assert audit(model, "open", names)[name].status == "pass"
    results = audit(broken(model, transferred), "open", names)
    assert results[name].status == "fail"
    assert results["total-charge"].status == "pass"


def wrong_response(self, frames, properties=None, field=None):
    results = super(type(self), self).compute(frames, properties, field)
    for result in results if field is not None else ():
        if "energy" in result:
            result["energy"] += 0.1 * field[2]
        if "dipole" in result:
            result["dipole"] = result["dipole"] + [0.01 * field[1], 0.0, 0.0]
    return results


@pytest.mark.parametrize("name", ["field", "polarizability", "hysteresis"])
def test_a_wrong_response_to_a_field_fails(name):
    model = fitted_model("kqeq", "open")
    assert audit(model, "open", [name])[name].status == "pass"
    wrong = audit(broken(model, wrong_response), "open", [name])
    assert wrong[name].status == "fail"
