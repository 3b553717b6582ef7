import copy
import pickle

import numpy as np
import pytest
from ase import Atoms
from crystals import random_rotation
from drawn_charges import charges_of, clusters, draw, label, moderate, prior, small
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lodekit import load_model
from lodekit.fitting.noises import DEFAULT_NOISES
from lodekit.models import ChargeModel
from lodekit.regression import evidence


@pytest.fixture(scope="module")
def process():
    return prior(clusters())


@pytest.fixture(scope="module")
def train(process):
    return draw(process, clusters(), moderate(process, 1))


@pytest.fixture(scope="module")
def model(train):
    return small(targets=["charges"], noises={"charges": 1e-3}).fit(train)


def predicted(model, frames):
    return np.concatenate([r["charges"] for r in model.compute(frames, ["charges"])])


def bare(frames):
    copies = [atoms.copy() for atoms in frames]
    for atoms in copies:
        atoms.calc = None
    return copies


def test_charges_of_the_process_are_recovered(process, model):
    other = draw(process, clusters(seed=100), moderate(process, 1))
    assert predicted(model, bare(other)) == pytest.approx(charges_of(other), abs=2e-2)
    assert np.std(charges_of(other)) > 0.3
    assert model.score(other) > 0.99


@pytest.mark.parametrize("total", [0.0, -1.0, 2.5])
def test_charges_sum_to_the_total_charge(model, total):
    atoms = clusters(1, 7, seed=500)[0]
    atoms.info["total_charge"] = total
    charges = model.compute(atoms, ["charges"])[0]["charges"]
    assert charges.sum() == pytest.approx(total, abs=1e-12)


def test_one_atom_has_the_total_charge(model):
    atoms = Atoms("O", info={"total_charge": -2.0})
    result = model.compute(atoms)[0]
    assert result["charges"] == pytest.approx([-2.0], abs=1e-12)
    assert result["dipole"] == pytest.approx(np.zeros(3), abs=1e-12)


def test_charges_turn_with_the_structure(model, train):
    rotation = random_rotation(3)
    turned = bare(train[:3])
    for atoms in turned:
        atoms.positions = atoms.positions @ rotation.T + [1.0, -2.0, 0.5]
    assert predicted(model, turned) == pytest.approx(
        predicted(model, train[:3]), abs=1e-10
    )


def draws(n_draws, noise):
    """Fitted models, and other structures with the charges of the same draw.

    Few structures, since total charges alone determine weights, known as they are.
    """
    few = clusters(6)
    process = prior(few)
    for seed in range(n_draws):
        rng = np.random.default_rng(seed)
        weights = rng.normal(size=process.rank)
        train = draw(process, few, weights, noise, seed)
        for atoms in train:
            atoms.info["total_charge"] += DEFAULT_NOISES["total_charge"] * rng.normal()
        model = small(targets=["dipole"], noises={"dipole": noise}).fit(train)
        yield model, draw(process, clusters(6, 5, seed=300), weights)


def test_conditioning_beats_a_uniform_shift():
    # many environments without oxygen, one with: its charge is what is uncertain
    frames = clusters(8, numbers=(1,)) + clusters(1, seed=40)
    process = prior(frames)
    conditioned, shifted = [], []
    for seed in range(10):
        weights = np.random.default_rng(seed).normal(size=process.rank)
        model = small(targets=["charges"], noises={"charges": 1e-2})
        model.fit(draw(process, frames, weights))
        others = draw(process, clusters(6, 5, seed=300), weights)
        expected = charges_of(others)
        conditioned.append(predicted(model, bare(others)) - expected)
        del model.solution_  # what follows are the charges before they are conditioned
        for atoms, charges in model._affine(others):
            errors = charges.values(model.weights_) - atoms.calc.results["charges"]
            shifted.append(errors - errors.mean())
    squares = [np.mean(np.concatenate(e) ** 2) for e in (conditioned, shifted)]
    assert squares[0] < 0.8 * squares[1]


def test_standard_deviations_cover_draws_of_the_process(monkeypatch):
    # amplitudes as those of the process: so few structures determine them badly
    monkeypatch.setattr(evidence, "SPREAD", 1e-6)
    names = ["charges", "charges_std", "dipole", "dipole_std"]
    scaled = {"charges": [], "dipole": []}
    for model, frames in draws(30, 0.5):
        for atoms, result in zip(frames, model.compute(frames, names), strict=True):
            for name, ratios in scaled.items():
                errors = result[name] - atoms.calc.results[name]
                ratios.append(errors / result[f"{name}_std"])
    for ratios in scaled.values():
        assert np.mean(np.concatenate(ratios) ** 2) == pytest.approx(1.0, abs=0.25)


def test_refit_is_the_same_as_a_fresh_fit(model, train):
    again = clone(model).fit(train[:10]).fit(train)
    assert np.array_equal(again.weights_, model.weights_)


def test_unfitted_models_can_be_copied_and_cannot_predict(train):
    model = small()
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert repr(other.get_params()) == repr(model.get_params())
    with pytest.raises(NotFittedError):
        model.compute(train)


def test_a_model_file_gives_the_same_numbers(model, train, tmp_path):
    path = tmp_path / "charges.lodekit"
    model.save(path)
    names = ["charges", "charges_std"]
    for old, new in zip(
        model.compute(train, names),
        load_model(path).compute(train, names),
        strict=True,
    ):
        for name in names:
            assert np.array_equal(old[name], new[name])


def charged(charges, total=None):
    atoms = Atoms("HO", positions=[[0, 0, 0], [0, 0, 1.0]])
    atoms = label(atoms, charges)
    del atoms.info["total_charge"], atoms.info["quadrupole"]
    if total is not None:
        atoms.info["total_charge"] = total
    return atoms


def periodic(atoms):
    atoms.set_cell(np.eye(3) * 5.0)
    atoms.set_pbc(True)
    return atoms


def test_missing_total_charges_are_named():
    frames = [charged([0.3, -0.3], 0.0), charged([0.3, -0.3])]
    with pytest.raises(ValueError, match="total_charge is missing in 1 of 2 frames"):
        small().fit(frames)


def test_a_model_of_charged_structures_asks_for_the_total_charge():
    frames = [charged([0.7, 0.3], 1.0), charged([0.5, -0.5], 0.0)]
    model = small().fit(frames)
    with pytest.raises(ValueError, match=r"frame 1 \(index 0\) has no total_charge"):
        model.compute(charged([0.0, 0.0]))


@pytest.mark.parametrize(
    ("frames", "arguments", "message"),
    [
        (
            [charged([0.7, 0.3])],
            {},
            r"frame 1 \(index 0\) sum to 1.000 e, its",
        ),
        ([periodic(charged([0.3, -0.3]))], {"targets": ["dipole"]}, "periodic"),
        ([charged([0.3, -0.3])], {"targets": ["energy"]}, "LatentChargeModel"),
        ([charged([0.3, -0.3])], {"targets": ["spin"]}, "must be among"),
        ([charged([0.3, -0.3])], {"noises": {"dipoles": 1.0}}, "not among the targets"),
        ([charged([0.3, -0.3])], {"noises": {"dipole": -1}}, "must be a positive"),
        ([charged([0.3, -0.3])], {"max_multipole": 3}, "must be 0, 1, 2 or None"),
        ([charged([0.3, -0.3])], {"charge_width": -1.0}, "must be a length"),
        ([charged([0.3, -0.3])], {"validation_fraction": 1.1}, "must lie in"),
        (
            [charged([0.3, -0.3])],
            {"targets": ["charges", "energy"]},
            "'energy' is in none of the 1 frames",
        ),
    ],
)
def test_bad_input_gives_one_clear_line(frames, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        small(**arguments).fit(frames)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("atoms", "properties", "message"),
    [
        (Atoms("He"), None, "atom 1 is He"),
        (periodic(charged([0.3, -0.3], 0.0)), ["dipole"], "periodic"),
        (charged([0.3, -0.3], 0.0), ["spin"], "must be among"),
        (charged([0.3, -0.3], 0.0), ["energy"], "was not fitted to energies"),
    ],
)
def test_bad_questions_give_one_clear_line(model, atoms, properties, message):
    atoms.info["total_charge"] = 0.0
    with pytest.raises(ValueError, match=message):
        model.compute(atoms, properties)


def test_periodic_structures_have_charges_and_no_dipole(model):
    atoms = periodic(charged([0.3, -0.3], 0.0))
    assert set(model.compute(atoms)[0]) == {"charges"}


def test_defaults_come_from_the_frames(train):
    frames = [a.copy() for a in train[:4]]
    for atoms, old in zip(frames, train[:4], strict=True):
        label(atoms, old.calc.results["charges"])
    model = ChargeModel().fit(frames)
    assert model.targets_ == ["charges", "dipole", "quadrupole"]
