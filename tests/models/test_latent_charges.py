"""Charges learned from energies: recovery, signs, totals, derivatives."""

import copy

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import cluster, random_rotation
from ionic_gas import gas
from labelled_structures import soap
from scipy import linalg
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from lodekit import load_model
from lodekit.models import LatentChargeModel, SparsePotential
from lodekit.regression import PolynomialCovariance

NOISES = {"energy": 1e-4, "forces": 1e-3, "stress": 1e-4, "total_charge": 1e-2}

NOISES_OPEN = {name: NOISES[name] for name in ("energy", "forces", "total_charge")}


def small(**arguments):
    """A model that fits in no time."""
    given = {
        "descriptor": soap(),
        "covariance": PolynomialCovariance(2),
        "n_sparse": 5,
        "potential": SparsePotential(soap(), PolynomialCovariance(2), 5),
        "noises": NOISES,
        "validation_fraction": 0.0,
    }
    return LatentChargeModel(**{**given, **arguments})


def gases(periodic, seed, n_frames=20):
    return [gas(6, 8.0, periodic, 100 * seed + i) for i in range(n_frames)]


def charges_of(model, frames):
    return np.concatenate([r["charges"] for r in model.compute(frames, ["charges"])])


def ions(frames):
    return np.concatenate([np.where(a.numbers == 11, 1.0, -1.0) for a in frames])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("periodic", [False, True], ids=["open", "periodic"])
@pytest.mark.parametrize("targets", [["energy"], ["energy", "forces"]], ids=len)
def test_charges_of_an_ionic_gas_are_recovered(periodic, seed, targets):
    given = {name: NOISES[name] for name in [*targets, "total_charge"]}
    model = small(targets=targets, noises=given, charge_width=0.0, random_state=seed)
    model.fit(gases(periodic, seed, 40))
    others = gases(periodic, seed + 50, 3)
    assert charges_of(model, others) == pytest.approx(ions(others), abs=1e-3)
    assert model.summary_["n_steps"] <= 10


def test_the_default_recovers_charges_as_well():
    frames = gases(True, 0, 30)
    model = LatentChargeModel().fit(frames)
    assert charges_of(model, frames) == pytest.approx(ions(frames), abs=0.02)
    assert model.score(frames) > 0.9999
    assert set(model.summary_["noises"]) == {*NOISES}


def truth(frames, seed=0, **arguments):
    """A model whose charges depend on the environments, drawn at random."""
    model = small(targets=["energy"], noises={}, **arguments)
    model.fit([neutral(atoms) for atoms in frames])
    rng = np.random.default_rng(seed)
    n_species = model.species_.size
    elements, drawn = np.split(0.5 * rng.normal(size=model.weights_.size), [n_species])
    elements *= 0.8 / model.element_prior
    kernels = along_directions(model.latent_.kernels, drawn)
    model.weights_ = np.concatenate([elements, kernels])
    rest = model.potential_
    rest.weights_ = along_directions(rest.kernels_, rng.normal(size=rest.weights_.size))
    rest.coefficients_ = type(model.latent_)(rest.kernels_).coefficients(rest.weights_)
    return model


def along_directions(kernels, drawn):
    """Weights that are ``drawn`` along the principal directions of sparse points.

    What is drawn does then not depend on the basis that a kernel has for its weights.
    """
    weights, start = [], 0
    for kernel in kernels:
        for points in kernel.points.values():
            own = slice(start, start + points.rank)
            covariances = kernel.covariance.matrix(points.features, points.features)
            squares, directions = linalg.eigh(covariances)
            coefficients = directions @ (drawn[own] / np.sqrt(squares))
            weights.append(np.linalg.solve(points.base, coefficients))
            start = own.stop
    return np.concatenate(weights)


def neutral(atoms):
    atoms = atoms.copy()
    atoms.calc = SinglePointCalculator(atoms, energy=0.0)
    return atoms


def label(model, frames, names):
    """Give frames what a model says, in place."""
    for atoms, result in zip(frames, model.compute(frames, names), strict=True):
        quadrupole = result.pop("quadrupole", None)
        if quadrupole is not None:
            xx, yy, zz, yz, xz, xy = quadrupole
            atoms.info["quadrupole"] = np.array(
                [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
            )
        atoms.calc = SinglePointCalculator(atoms, **result)
    return frames


def clusters(n_frames, n_atoms=5, seed=0):
    return [cluster(n_atoms, seed=seed + i) for i in range(n_frames)]


@pytest.mark.parametrize("seed", range(4))
def test_charges_of_environments_are_recovered_up_to_their_sign(seed):
    frames = clusters(40)
    model = truth(frames, seed)
    label(model, frames, ["energy", "forces"])
    fitted = small(noises=NOISES_OPEN).fit(frames)
    others = clusters(5, seed=300)
    expected, found = charges_of(model, others), charges_of(fitted, others)
    assert np.std(expected) > 0.1
    errors = min(np.abs(found - expected).max(), np.abs(found + expected).max())
    assert errors < 0.02
    assert fitted.summary_["n_steps"] <= 10


def test_a_small_prior_leaves_charges_to_the_elements():
    frames = clusters(40)
    label(truth(frames), frames, ["energy", "forces"])
    loose, tight = (
        small(noises=NOISES_OPEN, charge_prior=prior).fit(frames)
        for prior in (1.0, 1e-6)
    )
    largest = [
        np.abs(model.solve(frames[:1]).states[0].contracted[0]).max()
        for model in (loose, tight)
    ]
    assert largest[0] > 0.1
    assert largest[1] < 1e-3


def test_dipoles_tell_the_sign():
    frames = clusters(30)
    model = truth(frames)
    for sign in (1.0, -1.0):
        model.weights_ = sign * model.weights_
        label(model, frames, ["energy", "forces", "dipole", "quadrupole"])
        targets = ["energy", "forces", "dipole", "quadrupole"]
        noises = {**NOISES_OPEN, "dipole": 1e-3, "quadrupole": 1e-2}
        fitted = small(targets=targets, noises=noises).fit(frames)
        others = clusters(5, seed=300)
        expected = charges_of(model, others)
        assert charges_of(fitted, others) == pytest.approx(expected, abs=0.02)


def test_net_charges_tell_the_sign():
    frames = clusters(40)
    for index, atoms in enumerate(frames):
        atoms.info["total_charge"] = (-1.0, 0.0, 1.0)[index % 3]
    model = truth(frames)
    label(model, frames, ["energy", "forces"])
    fitted = small(noises={**NOISES_OPEN, "total_charge": 10.0}).fit(frames)
    assert charges_of(fitted, frames) == pytest.approx(
        charges_of(model, frames), abs=0.05
    )


def test_nothing_else_leaves_the_sign_to_electronegativities():
    frames = gases(False, 0, 20)
    for atoms in frames:
        atoms.numbers = np.where(atoms.numbers == 11, 17, 11)  # now Cl first
    model = small(charge_width=0.0, noises=NOISES_OPEN).fit(frames)
    charges = charges_of(model, frames)
    numbers = np.concatenate([atoms.numbers for atoms in frames])
    assert (charges[numbers == 17] < -0.9).all()
    for atoms in frames:
        atoms.numbers[:] = 11
    charges = charges_of(small(noises=NOISES_OPEN).fit(frames), frames)
    assert charges[np.abs(charges) > 0.0][0] > 0.0


@pytest.fixture(scope="module")
def fitted():
    frames = clusters(20)
    for index, atoms in enumerate(frames):
        atoms.info["total_charge"] = float(index % 2)
    return small(noises=NOISES_OPEN).fit(
        label(truth(frames), frames, ["energy", "forces"])
    )


@pytest.mark.parametrize("total", [0.0, -1.0, 2.5])
def test_charges_sum_to_the_total_charge(fitted, total):
    atoms = cluster(7, seed=50)
    atoms.info["total_charge"] = total
    assert charges_of(fitted, [atoms]).sum() == pytest.approx(total, abs=1e-12)


def test_everything_turns_with_the_structure(fitted):
    atoms = cluster(7, seed=50)
    atoms.info["total_charge"] = 0.0
    turned = atoms.copy()
    rotation = random_rotation(3)
    turned.positions = atoms.positions @ rotation.T + [1.0, -2.0, 0.5]
    old, new = fitted.compute([atoms, turned])
    assert new["energy"] == pytest.approx(old["energy"], abs=1e-10)
    assert new["charges"] == pytest.approx(old["charges"], abs=1e-10)
    assert new["forces"] == pytest.approx(old["forces"] @ rotation.T, abs=1e-10)
    assert new["dipole"] == pytest.approx(rotation @ old["dipole"], abs=1e-10)


def test_a_model_file_gives_the_same_numbers(fitted, tmp_path):
    path = tmp_path / "latent.lodekit"
    fitted.save(path)
    atoms = cluster(7, seed=50)
    atoms.info["total_charge"] = 1.0
    names = ["energy", "forces", "charges", "energy_std", "charges_std", "dipole_std"]
    (old,), (new,) = (
        model.compute(atoms, names) for model in (fitted, load_model(path))
    )
    for name in names:
        assert np.array_equal(old[name], new[name])
    assert load_model(path).summary_["n_steps"] == fitted.summary_["n_steps"]
    other = copy.copy(fitted).set_params(charge_prior=0.5)
    other.save(tmp_path / "other.lodekit")
    assert load_model(tmp_path / "other.lodekit").charge_prior == 0.5


def test_standard_deviations_are_small_on_training_frames_and_larger_elsewhere(fitted):
    known, strange = clusters(5), [cluster(5, numbers=(1,), seed=5)]
    for atoms in known + strange:
        atoms.info["total_charge"] = 0.0
    names = ["energy_std", "charges_std"]
    known, (strange,) = (fitted.compute(f, names) for f in (known, strange))
    assert 0.0 < max(r["energy_std"] for r in known) < strange["energy_std"]
    assert max(r["charges_std"].max() for r in known) < 0.2


def test_searches_and_pipelines_know_the_model():
    frames = gases(True, 0, 12)
    search = GridSearchCV(small(charge_width=0.0), {"n_sparse": [3, 5]}, cv=2)
    search.fit(frames)
    assert search.best_score_ > 0.999
    steps = [("same", FunctionTransformer()), ("model", small(charge_width=0.0))]
    energies = [atoms.get_potential_energy() for atoms in frames]
    assert Pipeline(steps).fit(frames).predict(frames) == pytest.approx(
        energies, abs=0.01
    )


def test_refit_is_the_same_as_a_fresh_fit():
    frames = gases(True, 0, 10)
    model = clone(small()).fit(frames[:5]).fit(frames)
    assert np.array_equal(model.weights_, small().fit(frames).weights_)


def one(atoms, total=None, **results):
    atoms = atoms.copy()
    atoms.calc = SinglePointCalculator(atoms, **results)
    if total is not None:
        atoms.info["total_charge"] = total
    return atoms


PAIR = Atoms("HO", positions=[[0, 0, 0], [0, 0, 1.0]])
SLAB = Atoms("HO", PAIR.positions, cell=[5.0] * 3, pbc=[True, True, False])


@pytest.mark.parametrize(
    ("frames", "arguments", "message"),
    [
        ([one(PAIR)], {}, "none of the 1 frames has an energy, forces or stress"),
        ([one(PAIR, energy=0.0)], {"targets": ["dipole"]}, "learned from energy or"),
        ([one(PAIR, energy=0.0)], {"targets": ["energy", "spin"]}, "must be among"),
        ([one(PAIR, energy=0.0)], {"targets": ["forces"]}, "'forces' is in none"),
        ([one(PAIR, energy=0.0)], {"noises": {"dipole": 1.0}}, "not among the"),
        ([one(PAIR, energy=0.0)], {"charge_width": -1.0}, "must be a length"),
        ([one(PAIR, energy=0.0)], {"charge_prior": 0.0}, "charge_prior must be pos"),
        ([one(PAIR, energy=0.0)], {"n_ensemble": 0}, "n_ensemble must be a whole"),
        ([one(PAIR, energy=0.0)], {"validation_fraction": 1.1}, "must lie in"),
        ([one(Atoms("H"), energy=0.0)], {}, "every structure has one atom"),
        (
            [one(SLAB, 1.0, energy=0.0)],
            {},
            "is a slab with the total charge 1",
        ),
        (
            [one(PAIR, 0.0, energy=0.0), one(PAIR, energy=0.0)],
            {},
            "total_charge is missing in 1 of 2 frames",
        ),
        (
            [one(SLAB, energy=0.0, dipole=np.zeros(3))],
            {"targets": ["energy", "dipole"]},
            "dipole of a periodic structure",
        ),
    ],
)
def test_bad_input_gives_one_clear_line(frames, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        small(**{"noises": None, **arguments}).fit(frames)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("atoms", "properties", "message"),
    [
        (one(Atoms("He"), 0.0), None, "atom 1 is He"),
        (one(PAIR), None, "frame 1 .* has no total_charge"),
        (one(SLAB, 1.0), None, "frame 1 .* is a slab"),
        (one(SLAB, 0.0), ["dipole"], "periodic"),
        (one(PAIR, 0.0), ["stress"], "stress is defined for fully periodic"),
        (one(PAIR, 0.0), ["spin"], "must be among"),
    ],
)
def test_bad_questions_give_one_clear_line(fitted, atoms, properties, message):
    with pytest.raises(ValueError, match=message):
        fitted.compute(atoms, properties)
