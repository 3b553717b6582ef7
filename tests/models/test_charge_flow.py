"""Fragments and bonds: where charge flows in equilibrated structures."""

import copy

import numpy as np
import pytest
from crystals import cluster, triclinic
from finite_differences import central_differences, displaced, strained
from labelled_structures import soap
from sklearn.base import clone
from sklearn.utils import check_random_state

from lodekit.calculators import LodekitCalculator
from lodekit.electrostatics import fragment_constraints
from lodekit.fitting.element_search import ElementSearch
from lodekit.model_file import load_model
from lodekit.models import ChargeEquilibrationModel
from lodekit.physics.bonds import switch
from lodekit.physics.rows import EnergyRows
from lodekit.regression.normal_equations import Solution

GIVEN = {
    "n_sparse": 30,
    "hardness": {"H": 13.9, "O": 13.4},
    "widths": {"H": 0.4, "O": 0.6},
    "noises": {"charges": 3e-2},
    "targets": ["charges"],
    "validation_fraction": 0.0,
    "accuracy": 1e-10,
}


def model_of(**arguments):
    return ChargeEquilibrationModel(soap(), **{**GIVEN, **arguments})


def molecule(n_atoms=5, seed=1):
    """A cluster with atoms near enough for bonds."""
    atoms = cluster(n_atoms, seed=seed)
    atoms.set_positions(0.6 * atoms.positions)
    return atoms


def clusters(n_frames, n_atoms=5, seed=0):
    """Clusters with some charges that sum to zero."""
    frames = []
    for number in range(n_frames):
        atoms = molecule(n_atoms, seed=seed + number)
        charges = np.where(atoms.numbers == 8, -0.5, 0.3)
        charges += 0.1 * np.random.default_rng(number).normal(size=n_atoms)
        atoms.arrays["REF_charges"] = charges - charges.mean()
        frames.append(atoms)
    return frames


def with_fragments(atoms, labels, charges=None):
    atoms = atoms.copy()
    atoms.arrays["fragments"] = np.array(labels)
    if charges is not None:
        atoms.info["fragment_charges"] = charges
        atoms.info["total_charge"] = float(np.sum(charges))
    return atoms


@pytest.fixture(scope="module")
def fitted():
    return model_of(bond_hardness=5.0).fit(clusters(20))


def with_hardness(fitted, value):
    model = copy.copy(fitted)
    model.bond_hardness_ = np.full((2, 2), value)
    return model


@pytest.mark.parametrize("periodic", [False, True])
def test_forces_and_stress_of_bonds(fitted, periodic):
    atoms = triclinic(6, (1, 8), volume_per_atom=8.0, seed=5)
    atoms.pbc = periodic
    field = None if periodic else (0.2, -0.3, 0.1)
    names = ["electrostatic_forces", "charges"] + ["electrostatic_stress"] * periodic

    def energy(atoms):
        (result,) = fitted.compute(atoms, ["electrostatic_energy"], field)
        return result["electrostatic_energy"]

    (result,) = fitted.compute(atoms, names, field)
    bonds = fitted.solve([atoms]).systems[0].bonds
    assert np.isin([0, 1], bonds.kinds).all()
    assert bonds.slopes.min() < -0.01  # some are being stretched
    expected = central_differences(
        lambda r: energy(displaced(atoms, r)), atoms.positions, 1e-3
    )
    np.testing.assert_allclose(result["electrostatic_forces"], -expected, atol=1e-6)
    if periodic:
        slopes = central_differences(
            lambda e: energy(strained(atoms, e)), np.zeros((3, 3)), 1e-3
        )
        stress = (slopes + slopes.T) / 2.0 / atoms.get_volume()
        expected = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        np.testing.assert_allclose(result["electrostatic_stress"], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_derivatives_by_weights(fitted, name):
    atoms = triclinic(6, (1, 8), volume_per_atom=8.0, seed=3)
    atoms.pbc = name == "stress"
    model = copy.copy(fitted)
    start = model.weights_
    direction = np.random.default_rng(0).normal(size=start.size)

    def values(step):
        model.weights_ = start + step * direction
        return getattr(EnergyRows(model.solve([atoms])), name)()

    rows, _ = values(0.0)
    slopes = (values(1e-3)[1] - values(-1e-3)[1]) / 2e-3
    np.testing.assert_allclose(rows @ direction, slopes, atol=1e-6)


def test_soft_bonds_conduct_and_hard_ones_insulate(fitted):
    atoms = molecule()
    names = ["charges", "electrostatic_energy"]
    (soft,) = with_hardness(fitted, 1e-9).compute(atoms, names)
    free = copy.copy(fitted)
    free.bond_hardness_ = None
    (expected,) = free.compute(atoms, names)
    np.testing.assert_allclose(soft["charges"], expected["charges"], atol=1e-8)
    energy = expected["electrostatic_energy"]
    assert soft["electrostatic_energy"] == pytest.approx(energy, abs=1e-8)
    (hard,) = with_hardness(fitted, 1e12).compute(atoms, names)
    np.testing.assert_allclose(hard["charges"], 0.0, atol=1e-9)
    (none,) = with_hardness(fitted, np.inf).compute(atoms, names)
    np.testing.assert_array_equal(none["charges"], 0.0)


def test_charges_are_stationary(fitted):
    atoms = molecule()
    (result,) = fitted.compute(atoms, ["charges", "electrostatic_energy"])
    transfers = np.random.default_rng(0).normal(size=(5, 3))
    allowed = fitted.solve([atoms]).systems[0].allowed(transfers)
    charges, energy = result["charges"], result["electrostatic_energy"]
    (found,) = fitted.energies_of_charges(atoms, [charges])
    assert found == pytest.approx(energy, abs=1e-8)
    for own in 1e-3 * allowed.T:
        up, down = fitted.energies_of_charges(atoms, [charges + own, charges - own])
        assert (up - down) / 2e-3 == pytest.approx(0.0, abs=1e-6)
        assert up > energy


def test_bonds_end_smoothly():
    x = np.linspace(-0.5, 1.5, 201)
    values, slopes = switch(x)
    assert (values[x <= 0] == 1.0).all()
    assert (values[x >= 1] == 0.0).all()
    expected = (switch(x + 1e-5)[0] - switch(x - 1e-5)[0]) / 2e-5
    np.testing.assert_allclose(slopes, expected, atol=1e-8)


@pytest.mark.parametrize("step", [1, 2])  # with widths, and with matrices that stay
def test_slopes_of_the_likelihood(step):
    frames = clusters(6)
    model = model_of(bond_hardness=4.0, hardness=GIVEN["hardness"])
    model.targets_, model.species_ = ["charges"], np.array([1, 8])
    model._select(frames, check_random_state(0))
    fitted = ["hardness", "widths", "bond_hardness"]
    arguments = fitted[::step], ["charges"], frames, check_random_state(0)
    search = ElementSearch(model.response, *arguments)
    point = search.start + 0.1 * np.random.default_rng(0).normal(size=search.start.size)
    _, slopes = search.loss(point)
    expected = central_differences(lambda x: search.loss(x)[0], point, 1e-3)
    # the search takes widths by differences of one per cent
    np.testing.assert_allclose(slopes, expected, atol=1e-5 if step == 1 else 3e-6)


def test_bond_hardness_is_found(fitted, tmp_path):
    # the prior draws pairs with few bonds, such as O-O, to where the search started
    frames = clusters(40)
    source = with_hardness(fitted, 4.0)
    for atoms, result in zip(frames, source.compute(frames, ["charges"]), strict=True):
        atoms.arrays["REF_charges"] = result["charges"]
    model = model_of(bond_hardness="fit", n_sparse=100).fit(frames)
    assert list(model.summary_["bond_hardness"]) == ["H-H", "H-O", "O-O"]
    assert model.bond_hardness_[0, 1] == pytest.approx(4.0, rel=0.25)
    model.save(tmp_path / "model.lodekit")
    back = load_model(tmp_path / "model.lodekit")
    for mine, yours in zip(model.compute(frames), back.compute(frames), strict=True):
        np.testing.assert_array_equal(mine["charges"], yours["charges"])


def test_pairs_that_are_not_named_have_no_bonds():
    model = model_of(bond_hardness={"O-H": 2.0}).fit(clusters(5))
    np.testing.assert_array_equal(model.bond_hardness_, [[np.inf, 2], [2, np.inf]])
    assert model.summary_["bond_hardness"] == {"H-O": 2.0}


@pytest.mark.parametrize("bond_hardness", [None, 3.0])
def test_fragments_keep_their_charges(fitted, bond_hardness):
    model = copy.copy(fitted) if bond_hardness else model_of().fit(clusters(20))
    labels, charges = [7, 7, 2, 2, 2], [1.0, -1.0]  # of labels 2 and 7
    atoms = with_fragments(molecule(), labels, charges)
    (result,) = model.compute(atoms, ["charges"])
    sums = fragment_constraints(labels) @ result["charges"]
    np.testing.assert_allclose(sums, charges, atol=1e-10)
    (neutral,) = model.compute(with_fragments(molecule(), labels))
    sums = fragment_constraints(labels) @ neutral["charges"]
    np.testing.assert_allclose(sums, 0.0, atol=1e-10)


def test_a_calculator_notices_other_fragments(fitted):
    atoms = with_fragments(molecule(), [0, 0, 0, 1, 1])
    atoms.calc = LodekitCalculator(fitted)
    first = atoms.get_charges()
    atoms.arrays["fragments"] = np.array([0, 0, 1, 1, 1])
    assert abs(atoms.get_charges() - first).max() > 1e-3
    atoms.info["fragment_charges"] = [0.5, -0.5]
    assert atoms.get_charges()[:2].sum() == pytest.approx(0.5, abs=1e-10)


def test_contradictions_are_refused(fitted):
    atoms, labels = molecule(), [0, 0, 0, 1, 1]
    charged = with_fragments(atoms, labels)
    charged.info["total_charge"] = 1.0
    alone = atoms.copy()
    alone.info["fragment_charges"] = [0.0, 0.0]
    other = with_fragments(atoms, labels, [1.0, 0.0])
    other.info["total_charge"] = 0.0
    for bad, message in (
        (charged, "does not say which of the 2 fragments has it"),
        (alone, "need a column fragments"),
        (other, "sum to 1 e, total_charge is 0 e"),
        (with_fragments(atoms, labels, [0.0]), "must be 2 finite numbers"),
        (with_fragments(atoms, 0.5 * np.arange(5)), "one whole number for each atom"),
    ):
        with pytest.raises(ValueError, match=rf"frame 1 \(index 0\): .*{message}"):
            fitted.compute(bad)
    frames = [with_fragments(atoms, labels), atoms]
    with pytest.raises(ValueError, match=r"frame 2 .* no fragments, and other frames"):
        fitted.compute(frames)
    model = model_of().fit([with_fragments(a, labels) for a in clusters(5)])
    with pytest.raises(ValueError, match="no fragments, and the frames of the fit"):
        model.compute(atoms)


def test_bad_bond_hardness():
    for given, message in (
        (0.0, "bond_hardness must be a positive number"),
        ("soft", "bond_hardness must be a positive number"),
        ({"H-O": -1.0}, "bond_hardness of H-O must be a positive number"),
        ({"water": 1.0}, "names pairs of elements such as 'H-O', got 'water'"),
    ):
        with pytest.raises(ValueError, match=message):
            model_of(bond_hardness=given).fit(clusters(5))


@pytest.mark.parametrize("bond_hardness", [None, 5.0])
def test_standard_deviations_of_energies_cover_the_errors(bond_hardness):
    # weights drawn from the prior, charges with noise: true errors over deviations
    noise, scores = 0.01, []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        frames = clusters(40, seed=100 * seed)
        model = model_of(bond_hardness=bond_hardness, noises={"charges": noise})
        truth = copy.copy(model.fit(frames))
        truth.weights_ = rng.normal(size=model.weights_.size)
        truth.weights_[:2] *= 0.1
        labels = truth.compute(frames, ["charges", "electrostatic_energy"])
        for atoms, label in zip(frames, labels, strict=True):
            shift = noise * rng.normal(size=len(atoms))
            atoms.arrays["REF_charges"] = label["charges"] + shift - shift.mean()
        same = clone(model).set_params(selection=None).fit(frames[:20])
        same.latent_ = truth.latent_
        rows = [affine for _, affine in same._affine(frames[:20])]
        refit(same, frames[:20], rows, noise)
        names = ["electrostatic_energy", "electrostatic_energy_std"]
        for label, found in zip(
            labels[20:], same.compute(frames[20:], names), strict=True
        ):
            error = found["electrostatic_energy"] - label["electrostatic_energy"]
            scores.append(error / found["electrostatic_energy_std"])
    assert 0.7 < np.sqrt(np.mean(np.square(scores))) < 1.3
    assert np.mean(np.abs(scores) < 1.0) == pytest.approx(0.68, abs=0.15)


def refit(model, frames, rows, noise):
    """Give a model the exact posterior of weights with a unit prior."""
    matrix = np.concatenate([row.matrix for row in rows]) / noise
    values = np.concatenate([a.arrays["REF_charges"] for a in frames])
    values -= np.concatenate([row.offset for row in rows])
    curvature = np.eye(matrix.shape[1]) + matrix.T @ matrix
    factor = np.linalg.cholesky(curvature)
    model.weights_ = np.linalg.solve(curvature, matrix.T @ values / noise)
    model.solution_ = Solution(model.weights_, np.asfortranarray(factor))
    model.std_scales_ = {}
