from copy import copy

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import random_rotation, triclinic
from finite_differences import central_differences, displaced
from labelled_structures import lode, open_frames, soap
from sklearn.base import clone

from lodekit.analysis.errors import compare
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    LatentChargeModel,
    SparsePotential,
)
from lodekit.observables.born_charges import BornCharges, rotation_error
from lodekit.observables.charges import observe, reference
from lodekit.terms.tables import charge_terms, may_be_far

BORN = "born_effective_charges"
SMALL = {"n_sparse": 8, "validation_fraction": 0.0}


def frames_with_charges(total=-1.0):
    """Open structures of four atoms with charges by distances, and their dipole."""
    frames = open_frames(8)
    for atoms in frames:
        distances = atoms.get_all_distances()
        charges = np.exp(-distances).sum(axis=1) * np.where(atoms.numbers == 1, 1, -1)
        charges += (total - charges.sum()) / len(atoms)
        atoms.info["total_charge"] = total
        results = {**atoms.calc.results, "charges": charges}
        results["dipole"] = charges @ atoms.positions
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


FRAMES = frames_with_charges()
ENERGIES = ["energy", "forces"]


def rest():
    return SparsePotential(soap(), n_sparse=8)


MODELS = {
    "charges": ChargeModel(soap(), targets=["charges"], **SMALL),
    "far charges": ChargeModel([soap(), lode()], targets=["dipole"], **SMALL),
    "dipoles": DipoleModel(soap(), **SMALL),
    "quadrupoles": DipoleModel(soap(), max_multipole=2, **SMALL),
    "with energies": ChargeModel(
        soap(), targets=["charges", "dipole", *ENERGIES], potential=rest(), **SMALL
    ),
    "latent": LatentChargeModel(
        soap(), targets=ENERGIES, potential=rest(), **SMALL, n_ensemble=2
    ),
    "kqeq": ChargeEquilibrationModel(
        soap(), targets=["charges"], hardness=1.0, **SMALL
    ),
    "kqeq by environment": ChargeEquilibrationModel(
        soap(), targets=["charges"], hardness="environment", **SMALL
    ),
    "kqeq with bonds": ChargeEquilibrationModel(
        soap(), targets=["charges"], hardness=1.0, bond_hardness=2.0, **SMALL
    ),
}


@pytest.fixture(scope="module")
def fitted():
    """Return a fitted model by name, each fitted once."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = MODELS[name].fit(FRAMES)
        return known[name]

    return get


def born_charges(model, atoms):
    (result,) = model.compute([atoms], [BORN])
    return result[BORN]


@pytest.mark.parametrize("name", MODELS)
def test_born_charges_are_derivatives_of_the_dipole(fitted, name):
    model, atoms = fitted(name), FRAMES[0]

    def dipole(positions):
        return model.compute([displaced(atoms, positions)], ["dipole"])[0]["dipole"]

    slopes = central_differences(dipole, atoms.positions, step=1e-3)
    found = born_charges(model, atoms)
    assert found == pytest.approx(slopes.swapaxes(1, 2), abs=1e-7)
    # moving all atoms moves the total charge
    assert found.sum(axis=0) == pytest.approx(-np.eye(3), abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_the_derivative_by_the_weights(fitted, name):
    model = fitted(name)
    for atoms in FRAMES[:2]:
        # one by one: products of larger batches round otherwise, and shares of the
        # total charge, large and of both signs, magnify that to 7e-10
        ((_, charges),) = model._affine([atoms])
        rows = observe(atoms, charges, BORN).values(model.weights_)
        expected = born_charges(model, atoms)
        assert rows == pytest.approx(expected.ravel(), abs=1e-12)
    deviations = model.compute(FRAMES[:1], [f"{BORN}_std"])[0][f"{BORN}_std"]
    assert deviations.shape == (4, 3, 3)
    assert (deviations > 0.0).all()


@pytest.mark.parametrize("name", [name for name in MODELS if "kqeq" in name])
def test_rows_of_equilibrated_charges_are_derivatives(fitted, name):
    model, atoms = copy(fitted(name)), FRAMES[0]
    ((_, charges),) = model._affine([atoms])
    start = model.weights_
    direction = np.random.default_rng(0).normal(size=start.size)

    def values(step):
        model.weights_ = start + step * direction
        return born_charges(model, atoms).ravel()

    expected = (values(1e-4) - values(-1e-4)) / 2e-4
    found = observe(atoms, charges, BORN).matrix @ direction
    assert found == pytest.approx(expected, abs=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["dipoles", "latent", "kqeq by environment"])
def test_born_charges_turn_with_the_structure(fitted, name):
    model, atoms = fitted(name), FRAMES[1]
    matrix = random_rotation(3)
    turned = displaced(atoms, atoms.positions @ matrix)
    before, after = born_charges(model, atoms), born_charges(model, turned)
    assert after == pytest.approx(matrix.T @ before @ matrix, abs=1e-9)


def labelled_with(model):
    """Frames with the Born charges of a model as reference values.

    Those of charges that are not conditioned: the process that a fit is about.
    """
    frames = frames_with_charges()
    process = copy(model)
    vars(process).pop("solution_", None)
    for atoms, charges in process._affine(frames):
        values = charges.values(process.weights_)
        born = observe(atoms, charges, BORN).values(process.weights_)
        atoms.arrays["REF_becs"] = born.reshape(len(atoms), 9)
        atoms.info["total_charge"] = values.sum()
        atoms.calc = None
    return frames


def test_energies_and_born_charges_are_learned_together(fitted):
    frames = labelled_with(fitted("latent"))
    for atoms, other in zip(frames, FRAMES, strict=True):
        atoms.calc = other.calc
        atoms.info["total_charge"] = -1.0
    model = clone(MODELS["latent"])
    model.set_params(targets=[*ENERGIES, BORN], noises={BORN: 1e-3}).fit(frames)
    found = np.concatenate([born_charges(model, a).ravel() for a in frames])
    expected = np.concatenate([reference(a, BORN) for a in frames])
    assert np.std(found - expected) < 0.1 * np.std(expected)


@pytest.mark.parametrize("name", ["charges", "dipoles", "kqeq", "kqeq with bonds"])
def test_models_are_learned_from_their_born_charges(fitted, name):
    frames = labelled_with(fitted(name))
    model = clone(MODELS[name]).set_params(targets=[BORN], noises={BORN: 1e-5})
    model.fit(frames)
    vars(model).pop("solution_")  # the process has charges that are not conditioned
    for atoms, charges in model._affine(frames):
        found = observe(atoms, charges, BORN).values(model.weights_)
        assert found == pytest.approx(reference(atoms, BORN), abs=1e-5)


def test_the_hardness_of_environments_is_learned_from_born_charges(fitted, monkeypatch):
    """What charges follow displaced atoms by says how hard atoms are."""
    monkeypatch.setattr("lodekit.fitting.environment_fit.MAX_RAISES", 1)
    process = copy(fitted("kqeq by environment"))
    drawn = np.random.default_rng(0).normal(size=process.weights_.size)
    process.weights_ = process.weights_ + 0.5 * drawn
    frames = labelled_with(process)[:2]
    charges = process.compute(frames, ["charges"])
    for atoms, result in zip(frames, charges, strict=True):
        atoms.calc = SinglePointCalculator(atoms, charges=result["charges"])
    noises = {"charges": 1e-3, BORN: 1e-3}
    errors = []
    for hardness in ("fit", "environment"):
        model = clone(MODELS["kqeq by environment"])
        model.set_params(targets=["charges", BORN], noises=noises, hardness=hardness)
        found = [born_charges(model.fit(frames), atoms).ravel() for atoms in frames]
        expected = [reference(atoms, BORN) for atoms in frames]
        errors.append(np.std(np.concatenate(found) - np.concatenate(expected)))
    assert errors[1] < 0.6 * errors[0]


def test_transposed_references_are_told(fitted):
    frames = labelled_with(fitted("dipoles"))
    BornCharges().check_references(frames, range(len(frames)))
    for atoms in frames:
        charges = atoms.arrays["REF_becs"].reshape(-1, 3, 3)
        atoms.arrays["REF_becs"] = charges.swapaxes(1, 2).reshape(-1, 9)
    with pytest.raises(ValueError, match=r"frame 1 .* look transposed.*\[atom, dipole"):
        DipoleModel(soap(), targets=[BORN], **SMALL).fit(frames)
    results = fitted("dipoles").compute(frames, [BORN])
    with pytest.raises(ValueError, match="frame 1 .* look transposed"):
        compare(frames, results, [BORN])


def test_point_charges_turn_their_dipole():
    positions = np.random.default_rng(0).normal(size=(5, 3))
    charges = np.arange(5.0)[:, None, None] * np.eye(3)
    assert rotation_error(positions, charges) == pytest.approx(0.0, abs=1e-14)


@pytest.fixture(scope="module")
def crystal():
    atoms = triclinic(4, (1, 8), 8.0, seed=5)
    atoms.info["total_charge"] = -1.0
    return atoms


@pytest.mark.parametrize("name", ["dipoles", "latent", "quadrupoles"])
def test_born_charges_of_a_supercell_repeat(fitted, crystal, name):
    model = fitted(name)
    large = crystal.repeat((2, 1, 1))
    large.info["total_charge"] = -2.0
    one, two = born_charges(model, crystal), born_charges(model, large)
    assert two == pytest.approx(np.concatenate([one, one]), abs=1e-9)
    assert one.sum(axis=0) == pytest.approx(-np.eye(3), abs=1e-9)


@pytest.mark.parametrize("name", ["dipoles", "latent"])
def test_rows_of_a_crystal(fitted, crystal, name):
    model = fitted(name)
    for atoms, charges in model._affine([crystal]):
        rows = observe(atoms, charges, BORN).values(model.weights_)
        assert rows == pytest.approx(born_charges(model, atoms).ravel(), abs=1e-9)


def test_dipoles_of_a_crystal_are_differentiated(fitted, crystal):
    """Without charges that change, the polarization is a sum over atoms."""
    model = fitted("dipoles")
    model_weights = model.weights_.copy()
    first = model.species_.size
    model.weights_[first : first + model.latent_.rank] = 0.0
    try:

        def dipole(positions):
            moved = displaced(crystal, positions)
            (result,) = model.compute([moved], ["atomic_dipoles"])
            return result["atomic_dipoles"].sum(axis=0)

        ((_, charges),) = model._affine([crystal])
        slopes = central_differences(dipole, crystal.positions).swapaxes(1, 2)
        kinds = np.searchsorted(model.species_, crystal.numbers)
        elements = model.element_prior * model.weights_[kinds]
        elements += (-1.0 - elements.sum()) / len(crystal)
        found = BornCharges().value(crystal, charges, model.weights_)
        expected = elements[:, None, None] * np.eye(3) + slopes
        assert found == pytest.approx(expected, abs=1e-7)
    finally:
        model.weights_[:] = model_weights


def test_default_terms_have_an_end_where_they_must(crystal):
    assert not may_be_far([crystal], ["dipole", BORN])
    assert may_be_far([crystal], ["charges", "forces"])
    assert may_be_far(FRAMES, [BORN])
    assert list(charge_terms(far=False)) == ["soap", "near"]


def test_charge_without_end_is_told(fitted, crystal):
    with pytest.raises(ValueError, match="charge flows without an end"):
        born_charges(fitted("kqeq"), crystal)
    with pytest.raises(ValueError, match="use SOAP features"):
        born_charges(fitted("far charges"), crystal)


def test_a_molecule_in_a_large_cell(fitted):
    """Two charges that only see each other: the flow between them is what is left."""
    model = fitted("latent")
    molecule = Atoms("OH", [[0.0, 0, 0], [0.9, 0.1, 0.2]], info={"total_charge": -1.0})
    boxed = molecule.copy()
    boxed.set_cell(30.0 * np.eye(3))
    boxed.pbc = True
    # both atoms change their charges by the same: nothing flows to anywhere else
    open_one, periodic = born_charges(model, molecule), born_charges(model, boxed)
    assert periodic == pytest.approx(open_one, abs=1e-9)
