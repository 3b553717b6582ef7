import pathlib

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import random_rotation
from drawn_charges import charges_of, clusters, draw, label, moderate, prior, small
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline

from lodekit import load_model, read_structures
from lodekit.models import DipoleModel

TIGHT = {"noises": {"dipole": 1e-5}}


@pytest.fixture(scope="module")
def train():
    process = prior(clusters())
    return draw(process, clusters(), moderate(process, 2))


@pytest.fixture(scope="module")
def model(train):
    return small(DipoleModel, **TIGHT).fit(train)


def dipoles_of(frames):
    return np.array([atoms.calc.results["dipole"] for atoms in frames])


def charges(model, frames):
    return np.concatenate([r["charges"] for r in model.compute(frames, ["charges"])])


def test_charges_of_the_process_are_recovered_from_dipoles(train):
    model = small(DipoleModel, max_multipole=0, **TIGHT).fit(train)
    assert charges(model, train) == pytest.approx(charges_of(train), abs=1e-3)
    assert model.predict(train) == pytest.approx(dipoles_of(train), abs=1e-3)


def test_dipoles_of_charges_and_vectors_are_learned(model, train):
    assert model.predict(train) == pytest.approx(dipoles_of(train), abs=1e-3)
    parts = model.compute(train, ["charges", "atomic_dipoles"])
    sums = [
        r["charges"] @ a.positions + r["atomic_dipoles"].sum(axis=0)
        for a, r in zip(train, parts, strict=True)
    ]
    assert np.array(sums) == pytest.approx(model.predict(train), abs=1e-10)


def with_moments(order):
    """Frames to learn from and others, labelled by drawn charges and atomic moments."""
    frames = [label(atoms, np.zeros(4)) for atoms in clusters(50)]
    process = small(DipoleModel, max_multipole=order, noises={"dipole": 1.0})
    process.fit(frames[:40])
    del process.solution_
    weights = moderate(process, order)
    for atoms, charges in process._affine(frames):
        label(atoms, charges.values(weights))
        dipoles, *tensors = charges.moment_values(weights)
        atoms.calc.results["dipole"] += dipoles.sum(axis=0)
        products = dipoles.T @ atoms.positions
        atoms.info["quadrupole"] += products + products.T
        for own in tensors:
            atoms.info["quadrupole"] += full(own.sum(axis=0))
    return frames[:40], frames[40:]


@pytest.mark.parametrize("order", [1, 2])
def test_quadrupoles_need_atomic_moments_of_their_order(order):
    train, kept = with_moments(order)
    targets = {"quadrupole": 1e-5, "dipole": 1e-5}
    lower, same = (
        small(DipoleModel, targets=list(targets), noises=targets, max_multipole=n)
        .fit(train)
        .score(kept)
        for n in (order - 1, order)
    )
    # the moments are a small part of quadrupoles that grow with the distance of charges
    assert 1.0 - same < 1e-3 * (1.0 - lower)


def test_dipoles_turn_with_the_structure(model):
    frames = clusters(3, 5, seed=70)
    rotation = random_rotation(1) * -1.0  # improper
    names = ["charges", "dipole", "atomic_dipoles", "quadrupole", "dipole_std"]
    for atoms in frames:
        atoms.info["total_charge"] = 1.0
    straight = model.compute(frames, names)
    for atoms in frames:
        atoms.positions = atoms.positions @ rotation.T
    for old, new in zip(straight, model.compute(frames, names), strict=True):
        assert new["charges"] == pytest.approx(old["charges"], abs=1e-10)
        assert new["dipole"] == pytest.approx(rotation @ old["dipole"], abs=1e-9)
        assert new["atomic_dipoles"] == pytest.approx(
            old["atomic_dipoles"] @ rotation.T, abs=1e-10
        )
        expected = rotation @ full(old["quadrupole"]) @ rotation.T
        assert full(new["quadrupole"]) == pytest.approx(expected, abs=1e-9)


def full(voigt):
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def test_where_an_ion_stands_does_not_matter(train):
    shift = np.array([3.0, -7.0, 2.0])
    moved = []
    for atoms in train:
        copy = atoms.copy()
        copy.positions += shift
        moved.append(label(copy, atoms.calc.results["charges"]))
    here, there = (
        small(DipoleModel, noises={"dipole": 0.01}).fit(f) for f in (train, moved)
    )
    totals = np.array([atoms.info["total_charge"] for atoms in train])
    assert np.abs(totals).max() > 0.1
    assert charges(there, moved) == pytest.approx(charges(here, train), abs=1e-7)
    expected = here.predict(train) + totals[:, None] * shift
    assert there.predict(moved) == pytest.approx(expected, abs=1e-6)


def test_neutral_molecules_of_given_dipoles_have_neutral_charges(model):
    frames = clusters(4, 6, seed=900)
    for atoms in frames:
        atoms.info["total_charge"] = 0.0
    for result in model.compute(frames, ["charges"]):
        assert result["charges"].sum() == pytest.approx(0.0, abs=1e-12)


def test_scikit_learn_runs_it(train):
    pipeline = Pipeline([("model", small(DipoleModel, noises={"dipole": 0.01}))])
    predicted = cross_val_predict(pipeline, train, cv=3)
    assert predicted.shape == (30, 3)
    search = GridSearchCV(pipeline, {"model__max_multipole": [0, 1]}, cv=3)
    search.fit(train)
    assert search.best_score_ > 0.9


def test_few_dipoles_choose_their_noise(train):
    rng = np.random.default_rng(0)
    frames = []
    for atoms in train:
        noisy = label(atoms.copy(), atoms.calc.results["charges"], 0.05, rng)
        frames.append(noisy)
    model = small(DipoleModel, max_multipole=1).set_params(n_sparse=30).fit(frames)
    assert model.rank > 4 * len(frames)
    assert 0.02 < model.summary_["noises"]["dipole"] < 0.1


def test_noises_leave_digits_to_the_charges():
    # Dipoles of a model have no noise. Fitted closer than rounding allows, charges of a
    # structure alone and in company differed by 3e-5 e.
    path = pathlib.Path(__file__).parents[2] / "examples" / "data"
    frames = read_structures(path / "water_clusters.xyz")
    for atoms, result in zip(
        frames, DipoleModel().fit(frames).compute(frames), strict=True
    ):
        atoms.calc = SinglePointCalculator(atoms, dipole=result["dipole"])
    model = DipoleModel().fit(frames)
    assert model.summary_["noises"]["dipole"] < 2e-3
    (alone,) = model.compute(frames[5], ["charges"])
    among = model.compute(frames, ["charges"])[5]
    assert among["charges"] == pytest.approx(alone["charges"], abs=1e-7)


def test_a_model_file_gives_the_same_numbers(model, train, tmp_path):
    path = tmp_path / "dipoles.lodekit"
    model.save(path)
    names = ["dipole", "dipole_std", "atomic_dipoles"]
    again = load_model(path)
    assert type(again) is DipoleModel
    for old, new in zip(
        model.compute(train, names), again.compute(train, names), strict=True
    ):
        for name in names:
            assert np.array_equal(old[name], new[name])
