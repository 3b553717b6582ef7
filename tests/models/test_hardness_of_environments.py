"""Equilibrated charges whose hardness depends on environments."""

import copy

import numpy as np
import pytest
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained
from labelled_structures import soap
from test_charge_equilibration import (
    HARDNESS,
    WIDTHS,
    electronegativities,
    model_of,
    molecules,
    with_forces,
)

from lodekit.electrostatics import ChargeEquilibration
from lodekit.fitting.environment_fit import EnvironmentFit, Place
from lodekit.fitting.left_out import scale_of
from lodekit.model_file import load_model
from lodekit.models import ChargeEquilibrationModel, SparsePotential
from lodekit.physics.rows import EnergyRows
from lodekit.regression.normal_equations import Solution

FIELD = (0.2, -0.3, 0.1)
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def coordination(atoms):
    """Neighbours within 2.5 Å, fewer the farther they are."""
    distances = atoms.get_all_distances()
    near = np.clip(1.0 - distances / 2.5, 0.0, None)
    return (near**2 * (3.0 - 2.0 * near)).sum(axis=1) - 1.0


def exact(atoms):
    """The equilibration with the hardness by element times exp(1.5 coordination)."""
    hardness, widths = np.transpose(
        [(HARDNESS[symbol], WIDTHS[symbol]) for symbol in atoms.symbols]
    )
    hardness = hardness * np.exp(1.5 * (coordination(atoms) - 0.4))
    return ChargeEquilibration(
        atoms.positions, atoms.cell[:], atoms.pbc, hardness, widths
    )


def labelled(n_frames, seed=0):
    """Clusters of five atoms, every third one charged, with their exact charges."""
    frames = []
    for number in range(n_frames):
        atoms = cluster(5, seed=seed + number)
        total = float(number % 3 == 0)
        found = exact(atoms).solve(electronegativities(atoms), total)
        atoms.arrays["REF_charges"] = found.charges
        atoms.info["REF_total_charge"] = total
        frames.append(atoms)
    return frames


def charges_of(model, frames):
    return np.concatenate([r["charges"] for r in model.compute(frames, ["charges"])])


def root_mean_square(values):
    return np.sqrt(np.mean(np.square(values)))


def fit_to_charges(frames, **arguments):
    given = {"n_sparse": 200, "targets": ["charges"], "validation_fraction": 0.1}
    return model_of(**{**given, **arguments}).fit(frames)


@pytest.fixture(scope="module")
def frames():
    return labelled(90)


@pytest.fixture(scope="module")
def kept():
    return labelled(40, seed=1000)


@pytest.fixture(scope="module")
def fitted(frames):
    return fit_to_charges(frames, hardness="environment")


@pytest.fixture(scope="module")
def by_element(frames):
    return fit_to_charges(frames, hardness="fit")


@pytest.fixture(scope="module", params=[None, 5.0], ids=["free", "bonds"])
def drawn(request):
    """A model with drawn weights of the hardness."""
    model = model_of(
        targets=["charges"], accuracy=1e-10, bond_hardness=request.param
    ).fit(molecules(20))
    return with_hardness(model, 1.0)


def with_hardness(model, deviation, seed=0):
    """A copy with drawn weights; ln J of the crystal has this deviation."""
    model = copy.copy(model)
    drawn = np.random.default_rng(seed).normal(size=model.rank)
    n_elements = model.species_.size
    drawn[:n_elements] *= deviation > 0.0
    features = model.solve([case("periodic")[0]]).states[0].features.rows
    changes = features @ drawn[n_elements:]
    model.hardness_amplitudes_ = np.array([deviation / np.std(changes)])
    model.weights_ = np.append(model.weights_, drawn)
    model.learn(Solution(model.weights_, np.eye(model.weights_.size)), 1.0)
    return model


def case(kind):
    """A cluster or crystal, in a field or with fragments, as (atoms, field)."""
    atoms = triclinic(6, (1, 8), volume_per_atom=8.0, seed=5)
    atoms.pbc = kind == "periodic"
    atoms.info["total_charge"] = 0.0 if kind == "periodic" else 1.0
    return atoms, FIELD if kind == "field" else None


def test_a_hardness_of_environments_is_found(fitted, by_element, kept):
    expected = np.concatenate([atoms.arrays["REF_charges"] for atoms in kept])
    errors = [
        root_mean_square(charges_of(model, kept) - expected)
        for model in (fitted, by_element)
    ]
    assert np.std(expected) > 0.1
    assert errors[0] < 3e-3
    assert errors[1] > 4.0 * errors[0]
    found = [r["hardnesses"] for r in fitted.compute(kept, ["hardnesses"])]
    misses = [
        np.log(own / exact(atoms).hardness)
        for own, atoms in zip(found, kept, strict=True)
    ]
    # the exact ones differ by a factor of ten
    assert root_mean_square(np.concatenate(misses)) < 0.1
    assert fitted.summary_["hardness_gain"] > 3.0
    low, high = fitted.summary_["hardness_range"]["O"]
    assert high > 2.0 * low


def test_the_answer_to_a_field_is_found(fitted, by_element, kept):
    # dipoles in a field were in no fit; the polarizability is that of the exact charges
    def changes(model):
        there, back = (
            np.concatenate([r["dipole"] for r in model.compute(kept, ["dipole"], e)])
            for e in (FIELD, [-x for x in FIELD])
        )
        return there - back

    expected = np.concatenate(
        [2.0 * a.positions.T @ exact(a).respond(-a.positions @ FIELD) for a in kept]
    )
    errors = [
        root_mean_square(changes(model) - expected) for model in (fitted, by_element)
    ]
    assert errors[0] < 0.03 * root_mean_square(expected)
    assert errors[1] > 4.0 * errors[0]


@pytest.mark.parametrize("kind", ["open", "field", "periodic"])
def test_forces_and_stress(drawn, kind):
    atoms, field = case(kind)
    (hardness,) = drawn.compute(atoms, ["hardnesses"])
    ratios = hardness["hardnesses"] / drawn.response.element_hardness(atoms.numbers)
    assert np.ptp(np.log(ratios)) > 0.7

    def energy(atoms):
        (result,) = drawn.compute(atoms, ["electrostatic_energy"], field)
        return result["electrostatic_energy"]

    names = ["electrostatic_forces"] + ["electrostatic_stress"] * (kind == "periodic")
    (result,) = drawn.compute(atoms, names, field)
    expected = central_differences(
        lambda r: energy(displaced(atoms, r)), atoms.positions, 1e-3
    )
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        result["electrostatic_forces"], -expected, atol=1e-6 * scale
    )
    if kind == "periodic":
        slopes = central_differences(
            lambda e: energy(strained(atoms, e)), np.zeros((3, 3)), 1e-3
        )
        stress = ((slopes + slopes.T) / 2.0 / atoms.get_volume())[VOIGT]
        np.testing.assert_allclose(
            result["electrostatic_stress"], stress, atol=1e-6 * np.abs(stress).max()
        )


@pytest.mark.parametrize("kind", ["open", "periodic"])
def test_derivatives_of_charges_by_weights(drawn, kind):
    atoms, _ = case(kind)
    model = copy.copy(drawn)
    ((_, affine),) = model._affine([atoms])
    np.testing.assert_allclose(
        affine.values(model.weights_), charges_of(model, atoms), atol=1e-12
    )
    np.testing.assert_allclose(affine.matrix.sum(axis=0), 0.0, atol=1e-12)
    start = model.weights_
    own = np.arange(start.size) >= model.response.n_linear
    for chosen in (own, ~own):
        direction = np.random.default_rng(1).normal(size=start.size) * chosen

        def moved(step, direction=direction):
            model.weights_ = start + step * direction
            return charges_of(model, atoms)

        slopes = central_differences(lambda step: moved(step[0]), [0.0], 1e-4)
        expected = affine.matrix @ direction
        np.testing.assert_allclose(
            np.ravel(slopes), expected, atol=1e-6 * np.abs(expected).max()
        )


def test_changes_of_charges_with_positions_and_strain(drawn):
    atoms, _ = case("periodic")
    together = drawn.solve([atoms])
    slopes = np.random.default_rng(0).normal(size=len(atoms))
    positions, strain = together.charge_gradients(slopes)

    def part(moved):
        return slopes @ charges_of(drawn, moved)

    expected = central_differences(
        lambda r: part(displaced(atoms, r)), atoms.positions, 1e-3
    )
    scale = np.abs(expected).max()
    np.testing.assert_allclose(positions, expected, atol=1e-6 * scale)
    by_strain = central_differences(
        lambda e: part(strained(atoms, e)), np.zeros((3, 3)), 1e-3
    )
    symmetric = (strain[0] + strain[0].T) / 2.0
    np.testing.assert_allclose(
        symmetric, (by_strain + by_strain.T) / 2.0, atol=1e-6 * np.abs(by_strain).max()
    )
    # the same from all derivatives of all charges
    rows = [slopes @ together.charge_changes(0, strain=own) for own in (False, True)]
    np.testing.assert_allclose(rows[0], positions.ravel(), atol=1e-10)
    expected = symmetric[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    np.testing.assert_allclose(rows[1], expected, atol=1e-10)


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_derivatives_of_energies_by_weights(drawn, name):
    atoms = triclinic(6, (1, 8), volume_per_atom=8.0, seed=3)
    atoms.pbc = name == "stress"
    model = copy.copy(drawn)
    start = model.weights_
    rows, _ = getattr(EnergyRows(model.solve([atoms])), name)()
    own = np.arange(start.size) >= model.response.n_linear
    for chosen in (own, ~own):
        direction = np.random.default_rng(1).normal(size=start.size) * chosen

        def values(step, direction=direction):
            model.weights_ = start + step * direction
            return getattr(EnergyRows(model.solve([atoms])), name)()[1]

        slopes = (values(1e-4) - values(-1e-4)) / 2e-4
        expected = rows @ direction
        np.testing.assert_allclose(slopes, expected, atol=1e-6 * abs(expected).max())


def test_without_weights_the_hardness_is_that_of_elements(by_element, kept):
    plain = by_element.compute(kept, ["charges", "electrostatic_forces"])
    model = with_hardness(by_element, 0.3)
    model.weights_[model.response.n_linear :] = 0.0
    for other in (model, with_hardness(by_element, 0.0)):
        results = other.compute(kept, ["charges", "electrostatic_forces"])
        for mine, yours in zip(results, plain, strict=True):
            np.testing.assert_array_equal(mine["charges"], yours["charges"])
            np.testing.assert_allclose(
                mine["electrostatic_forces"], yours["electrostatic_forces"], atol=1e-12
            )


def test_hardness_does_not_depend_on_the_order_or_the_direction(fitted, kept):
    atoms, turned = kept[0], kept[0].copy()
    turned.set_positions(atoms.positions @ random_rotation().T)
    order = [3, 1, 0, 4, 2]
    names = ["charges", "hardnesses"]
    plain, other, mixed = fitted.compute([atoms, turned, atoms[order]], names)
    for name in names:
        np.testing.assert_allclose(other[name], plain[name], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(
            mixed[name], plain[name][order], rtol=1e-10, atol=1e-10
        )


def test_the_hardness_of_far_environments_has_limits(drawn):
    model = copy.copy(drawn)
    model.hardness_amplitudes_ = 1e4 * drawn.hardness_amplitudes_
    atoms, _ = case("open")
    (result,) = model.compute(atoms, ["hardnesses"])
    solved = model.solve([atoms])
    elements = solved.response.element_hardness(atoms.numbers)
    ratios = np.log(result["hardnesses"] / elements)
    np.testing.assert_allclose(np.abs(ratios), 10.0)
    # there, it does not depend on the environment
    np.testing.assert_allclose(solved.slopes[1], 0.0, atol=1e-12)


def test_fragments_keep_their_charges(drawn):
    atoms = case("open")[0]
    atoms.arrays["fragments"] = np.array([0, 0, 0, 1, 1, 1])
    atoms.info["fragment_charges"] = [1.0, 0.0]
    model = copy.copy(drawn)
    model.has_fragments_ = True
    ((_, affine),) = model._affine([atoms])
    charges = charges_of(model, atoms)
    assert charges[:3].sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(affine.values(model.weights_), charges, atol=1e-12)
    np.testing.assert_allclose(affine.matrix[:3].sum(axis=0), 0.0, atol=1e-12)


def test_large_structures_are_solved_by_iteration(drawn, monkeypatch):
    atoms, _ = case("periodic")
    names = ["charges", "electrostatic_energy", "electrostatic_forces"]
    (dense,) = drawn.compute(atoms, names)
    ((_, rows),) = drawn._affine([atoms])
    monkeypatch.setattr("lodekit.electrostatics.equilibration.DENSE_ATOMS", 1)
    (iterated,) = drawn.compute(atoms, names)
    for name in names:
        np.testing.assert_allclose(iterated[name], dense[name], atol=1e-7)
    ((_, other),) = drawn._affine([atoms])
    np.testing.assert_allclose(other.matrix, rows.matrix, atol=1e-7)


def test_charges_are_at_the_minimum(drawn):
    atoms, _ = case("open")
    charges = charges_of(drawn, atoms)
    transfers = np.random.default_rng(0).normal(size=(4, len(atoms)))
    transfers = drawn.solve([atoms]).systems[0].allowed(transfers.T).T
    (found,) = drawn.compute(atoms, ["electrostatic_energy"])
    for transfer in transfers:
        steps = charges + np.outer([-0.01, 0.0, 0.01], transfer)
        low, least, high = drawn.energies_of_charges(atoms, steps)
        assert least == pytest.approx(found["electrostatic_energy"], abs=1e-10)
        assert min(low, high) > least
        assert high - low == pytest.approx(0.0, abs=1e-10)


def test_uncertainties_know_of_the_hardness(fitted, by_element, kept):
    names = ["charges", "charges_std", "dipole_std", "electrostatic_energy_std"]
    results = fitted.compute(kept, names)
    ((_, affine),) = fitted._affine([kept[1]])
    covariance = affine.matrix @ fitted.solution_.apply_covariance(affine.matrix.T)
    np.testing.assert_allclose(covariance.sum(axis=0), 0.0, atol=1e-12)
    scale = scale_of(fitted.std_scales_, "charges")
    np.testing.assert_allclose(
        results[1]["charges_std"], scale * np.sqrt(np.diag(covariance))
    )
    ratios = [
        (own["charges"] - atoms.arrays["REF_charges"]) / own["charges_std"]
        for own, atoms in zip(results, kept, strict=True)
    ]
    assert 0.3 < root_mean_square(ratios) < 3.0  # standard deviations are of this size
    # to first order, the energy changes with the weights by its rows
    together = fitted.solve([kept[1]])
    deviation = fitted.solution_.standard_deviations(together.energy_rows())[0]
    assert results[1]["electrostatic_energy_std"] == pytest.approx(scale * deviation)


@pytest.fixture(scope="module")
def with_energies(fitted, frames):
    return with_forces(frames[:40], fitted)


def fit_with_energies(frames, **arguments):
    given = {
        "hardness": "environment",
        "targets": ["charges", "energy", "forces"],
        "potential": SparsePotential(soap(), n_sparse=20),
        "n_sparse": 60,
        "accuracy": 1e-10,
        **arguments,
    }
    return fit_to_charges(frames, **given)


@pytest.fixture(scope="module")
def joint(with_energies):
    noises = {"charges": 1e-3, "energy": 1e-3, "forces": 1e-2}
    return fit_with_energies(with_energies, noises=noises)


def check_forces(model, atoms, field=FIELD):
    def energy(positions):
        moved = displaced(atoms, positions)
        return model.compute(moved, ["energy"], field)[0]["energy"]

    (result,) = model.compute(atoms, ["forces"], field)
    expected = central_differences(energy, atoms.positions, 1e-3)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(result["forces"], -expected, atol=1e-6 * scale)


def test_energies_in_two_steps(with_energies):
    given = {"n_sparse": 40, "learn_from_energies": False}
    alone = fit_with_energies(with_energies[:30], targets=["charges"], **given)
    expected = charges_of(alone, with_energies)
    model = fit_with_energies(with_energies[:30], charge_powers=2, **given)
    np.testing.assert_array_equal(charges_of(model, with_energies), expected)
    check_forces(model, with_energies[0], field=None)
    model.potential_ = SparsePotential(soap(), n_sparse=20).fit(with_energies[:20])
    check_forces(model, with_energies[0])


def test_energies_shape_the_hardness(joint, fitted, with_energies):
    charges = [charges_of(model, with_energies) for model in (joint, fitted)]
    assert root_mean_square(charges[0] - charges[1]) < 5e-3
    errors = [
        result["energy"] - atoms.get_potential_energy()
        for result, atoms in zip(
            joint.compute(with_energies, ["energy"]), with_energies, strict=True
        )
    ]
    assert root_mean_square(errors) < 0.02
    check_forces(joint, with_energies[0])


def test_standard_deviations_of_energies_know_of_the_hardness(joint, with_energies):
    model = copy.copy(joint)
    model.ensemble_ = 1e-3 * joint.ensemble_
    model.ensemble_[: model.species_.size] = 0.0  # energies of elements
    model.potential_ = copy.copy(joint.potential_)
    model.potential_.ensemble_ = np.zeros_like(joint.potential_.ensemble_)
    atoms, start = with_energies[1], model.weights_
    (result,) = model.compute(atoms, ["energy_std"])
    members = model.ensemble_[model.species_.size :].T
    energies = []
    for member in members:
        model.weights_ = start + member
        (moved,) = model.compute(atoms, ["electrostatic_energy"])
        energies.append(moved["electrostatic_energy"])
    model.weights_ = start
    (least,) = model.compute(atoms, ["electrostatic_energy"])
    changes = np.array(energies) - least["electrostatic_energy"]
    expected = scale_of(joint.std_scales_, "energy") * root_mean_square(changes)
    assert result["energy_std"] == pytest.approx(expected, rel=0.05)


def test_a_model_file_brings_everything_back(joint, fitted, kept, tmp_path):
    for number, model in enumerate((fitted, joint)):
        model.save(tmp_path / f"{number}.lodekit")
        back = load_model(tmp_path / f"{number}.lodekit")
        names = ["charges", "charges_std", "hardnesses", "electrostatic_forces"]
        names += ["energy", "energy_std"] * (model is joint)
        for mine, yours in zip(
            back.compute(kept, names), model.compute(kept, names), strict=True
        ):
            for name in names:
                np.testing.assert_array_equal(mine[name], yours[name])
        assert back.hardness == "environment"
        assert back.summary_["hardness_range"] == model.summary_["hardness_range"]


def test_the_hardness_stays_that_of_elements_where_it_predicts_better():
    frames = molecules(40)  # of one hardness for every element
    rng = np.random.default_rng(0)
    for atoms in frames:
        noise = rng.normal(scale=0.3, size=len(atoms))
        atoms.arrays["REF_charges"] += noise - noise.mean()
    given = {"n_sparse": 30, "noises": {"charges": 1e-3}}
    model = fit_to_charges(frames, hardness="environment", **given)
    assert model.summary_["hardness_gain"] < 1.0
    assert model.hardness_amplitudes_ is None
    other = fit_to_charges(frames, hardness="fit", **given)
    np.testing.assert_array_equal(charges_of(model, frames), charges_of(other, frames))


def test_an_earlier_fit_leaves_nothing(frames):
    given = {"n_sparse": 20, "validation_fraction": 0.0}
    model = fit_to_charges(frames[:20], hardness="environment", **given)
    assert model.hardness_amplitudes_ is not None
    model.set_params(hardness=HARDNESS).fit(frames[:20])
    assert model.hardness_amplitudes_ is None
    assert model.weights_.size == model.rank == model.response.n_linear
    assert "hardness_range" not in model.summary_
    hardness = model.compute(frames[0], ["hardnesses"])[0]["hardnesses"]
    np.testing.assert_allclose(hardness, [HARDNESS[s] for s in frames[0].symbols])


def test_electronegativities_are_the_best_for_a_hardness(fitted, frames):
    # charges are linear in their weights at a given hardness; sums reach 1e9
    noises = {"charges": 1e-3}
    fit = EnvironmentFit(None, None, frames[:20], noises, np.ones(20))
    n_linear = fitted.response.n_linear
    moved = fitted.weights_.copy()
    moved[:n_linear] += np.random.default_rng(0).normal(size=n_linear)
    found = [
        fit.eliminate(Place(fitted.response, start), noises)
        for start in (fitted.weights_, moved)
    ]
    np.testing.assert_allclose(found[0].weights, found[1].weights, atol=1e-6)
    gradient = fit.linearise(found[0])
    residuals = gradient.residuals(found[0].weights) / noises["charges"] ** 2
    slopes = found[0].weights - gradient.matrix.T @ residuals
    np.testing.assert_allclose(slopes[:n_linear], 0.0, atol=1e-2)


def test_bad_hardness(frames):
    for arguments, message in (
        ({"hardness": "surroundings"}, "by element or 'fit' or 'environment', got"),
        ({"widths": "environment"}, "widths must be a positive number"),
        (
            {"hardness": "environment", "targets": ["energy"]},
            "hardness and widths are fitted to charges or moments",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            ChargeEquilibrationModel(soap(), **arguments).fit(frames[:5])
