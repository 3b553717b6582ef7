"""Tensors of small molecules that follow from their geometry in closed form."""

import numpy as np
import pytest
from ase import Atoms
from crystals import random_rotation
from finite_differences import displaced
from labelled_structures import density
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from lodekit import load_model
from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.descriptors.channel_selection import ChannelSelection
from lodekit.models import TensorModel
from lodekit.regression import FarthestPointSelection
from lodekit.regression.equivariant_covariance import EquivariantCovariance

#: Charges and polarizable axes that make the tensors.
CHARGES = np.array([-2.0, 1.0, 1.0])
TARGETS = ["dipole", "polarizability", "cubic", "skew", "torques", "spherical", "axial"]


def water(seed):
    """A bent molecule turned at random, with tensors of known form."""
    rng = np.random.default_rng(seed)
    positions = np.array([[0.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.8, 0.6, 0.0]])
    positions = positions + rng.normal(scale=0.08, size=(3, 3))
    atoms = Atoms("OH2", positions @ random_rotation(seed).T)
    bonds = atoms.positions[1:] - atoms.positions[0]
    dipole = CHARGES @ atoms.positions
    pairs = np.einsum("ia,ib->ab", bonds, bonds)
    normal = np.cross(*bonds) * (bonds[0] @ bonds[0] - bonds[1] @ bonds[1])
    # symmetric in two indices, as the first hyperpolarizability of light
    cubic = np.einsum("a,bc->abc", dipole, np.eye(3) + pairs)
    atoms.info["dipole"] = dipole
    atoms.info["polarizability"] = (np.eye(3) + pairs).ravel()
    atoms.info["cubic"] = cubic.ravel()
    # an antisymmetric part from a pseudovector that exchanging both hydrogens keeps
    levi_civita = np.zeros((3, 3, 3))
    levi_civita[[0, 1, 2], [1, 2, 0], [2, 0, 1]] = 1.0
    levi_civita[[0, 2, 1], [2, 1, 0], [1, 0, 2]] = -1.0
    atoms.info["skew"] = pairs + np.einsum("abc,c->ab", levi_civita, normal)
    atoms.info["axial"] = normal
    atoms.arrays["torques"] = np.stack([dipole, bonds[0], bonds[1]])
    x, y, z = dipole
    atoms.info["spherical"] = np.sqrt(3.0) * np.array(
        [x * y, y * z, (3 * z * z - dipole @ dipole) / 12**0.5, x * z]
        + [(x * x - y * y) / 2]
    )
    return atoms


def small(**arguments):
    arguments = {
        "descriptor": EquivariantPowerSpectrum(density()),
        "n_sparse": 12,
        "n_channels": 40,
        "spherical": ["spherical"],
        "pseudotensors": ["axial"],
        **arguments,
    }
    for kind in ("spherical", "pseudotensors"):
        targets = arguments.get("targets") or ()
        arguments[kind] = [name for name in arguments[kind] if name in targets]
    return TensorModel(**arguments)


@pytest.fixture(scope="module")
def frames():
    return [water(seed) for seed in range(70)]


@pytest.fixture(scope="module")
def model(frames):
    return small(targets=TARGETS).fit(frames[:50])


@pytest.mark.parametrize("target", TARGETS)
def test_tensors_of_known_form_are_learned(model, frames, target):
    new = frames[50:]
    predicted = [result[target] for result in model.compute(new, [target])]
    places = [{**atoms.info, **atoms.arrays}[target] for atoms in new]
    expected = np.reshape(places, np.shape(predicted))
    error = np.sqrt(np.mean((predicted - expected) ** 2))
    assert error < 0.05 * np.std(expected)


def test_parts_are_those_that_the_tensors_have(model):
    assert model.summary_["tensors"] == {
        "dipole": [[1, 1]],
        "polarizability": [[0, 1], [2, 1]],
        "cubic": [[1, 1], [1, 1], [2, -1], [3, 1]],
        "skew": [[0, 1], [1, -1], [2, 1]],
        "torques": [[1, 1]],
        "spherical": [[2, 1]],
        "axial": [[1, -1]],
    }


@pytest.mark.parametrize("is_proper", [True, False])
def test_predictions_turn_with_the_structure(model, frames, is_proper):
    rotation = random_rotation(9) if is_proper else -random_rotation(9)
    atoms = frames[-1]
    turned = displaced(atoms, atoms.positions @ rotation.T)
    names = ["dipole", "polarizability", "skew", "cubic", "torques", "axial"]
    (before,), (after,) = (model.compute(frame, names) for frame in (atoms, turned))
    R = rotation
    cubic = before["cubic"].reshape(3, 3, 3)
    expected = {
        "dipole": R @ before["dipole"],
        "polarizability": R @ before["polarizability"] @ R.T,
        "skew": R @ before["skew"] @ R.T,
        "cubic": np.einsum("ad,be,cf,def->abc", R, R, R, cubic).ravel(),
        "torques": before["torques"] @ R.T,
        "axial": np.linalg.det(R) * R @ before["axial"],
    }
    for name in names:
        np.testing.assert_allclose(after[name], expected[name], rtol=0, atol=1e-10)


def test_values_have_the_shape_of_the_targets(model, frames):
    (result,) = model.compute(frames[0], [*TARGETS, "dipole_std", "torques_std"])
    shapes = {name: value.shape for name, value in result.items()}
    assert shapes == {
        "dipole": (3,),
        "polarizability": (3, 3),
        "cubic": (27,),
        "skew": (3, 3),
        "torques": (3, 3),
        "spherical": (5,),
        "axial": (3,),
        "dipole_std": (3,),
        "torques_std": (3, 3),
    }
    np.testing.assert_allclose(result["polarizability"], result["polarizability"].T)


def test_predictions_do_not_depend_on_the_batch(model, frames):
    together = model.compute(frames[:3])
    alone = [model.compute(atoms)[0] for atoms in frames[:3]]
    for one, other in zip(together, alone, strict=True):
        for name in TARGETS:
            np.testing.assert_allclose(one[name], other[name], rtol=0, atol=1e-10)


def test_deviations_are_those_of_the_posterior(model, frames):
    # of one part, by its rows and the covariance of weights
    from lodekit.models.tensor_prediction import TensorPrediction

    new = frames[50:54]
    found = [result["dipole_std"] for result in model.compute(new, "dipole_std")]
    prediction = TensorPrediction(model, new)
    ((part, matrix, states),) = prediction.parts(model.tensors_["dipole"])
    rows = part.rows(states, prediction.is_element, prediction.batch, False)
    rows = part.spread * (matrix @ rows).reshape(-1, rows.shape[2])
    variances = np.sum(rows * part.solution.apply_covariance(rows.T).T, axis=1)
    expected = part.std_scale * np.sqrt(variances)
    np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-6)


def test_values_are_rows_times_weights(model, frames):
    from lodekit.models.tensor_prediction import TensorPrediction

    prediction = TensorPrediction(model, frames[50:53])
    for name in TARGETS:
        tensor = model.tensors_[name]
        total = largest = 0.0
        for part, matrix, states in prediction.parts(tensor):
            arguments = prediction.is_element, prediction.batch, tensor.per_atom
            rows = part.spread * part.rows(states, *arguments)
            weights = part.solution.weights
            total = total + rows @ weights @ matrix.T
            largest = max(largest, (abs(rows) @ abs(weights)).max())
        found = prediction.values(tensor)
        # rounding is in proportion to the terms, which cancel
        np.testing.assert_allclose(found, total, rtol=0, atol=1e-10 * largest)


def test_a_fit_that_is_made_again_for_a_bad_frame_goes_on_from_its_amplitudes(frames):
    frames = [atoms.copy() for atoms in frames]
    frames[7].info["dipole"] = frames[7].info["dipole"] + [8.0, 0.0, 0.0]
    fitted = small(targets=["dipole"]).fit(frames[:50])
    assert [outlier["frame"] for outlier in fitted.summary_["outliers"]] == [7]
    predicted = fitted.predict(frames[50:])
    expected = np.array([atoms.info["dipole"] for atoms in frames[50:]])
    assert np.sqrt(np.mean((predicted - expected) ** 2)) < 0.05 * np.std(expected)


def test_a_model_file_predicts_the_same_bits(model, frames, tmp_path):
    model.save(tmp_path / "m.lodekit")
    again = load_model(tmp_path / "m.lodekit")
    wanted = [*TARGETS, "polarizability_std"]
    for one, other in zip(
        model.compute(frames[:2], wanted),
        again.compute(frames[:2], wanted),
        strict=True,
    ):
        for name in wanted:
            np.testing.assert_array_equal(one[name], other[name])
    assert again.summary_["tensors"] == model.summary_["tensors"]
    refitted = clone(again).set_params(
        n_sparse=4, targets=["dipole"], spherical=None, pseudotensors=None
    )
    assert refitted.fit(frames[:10]).predict(frames[:2]).shape == (2, 3)


def test_predict_and_score_are_about_the_first_target(frames):
    model = small(targets="dipole", n_sparse=6).fit(frames[:30])
    assert model.predict(frames[:4]).shape == (4, 3)
    assert model.score(frames[50:]) > 0.99
    of_atoms = small(targets=["torques"], n_sparse=6).fit(frames[:20])
    assert of_atoms.predict(frames[:4]).shape == (12, 3)
    scores = cross_val_score(small(targets=["dipole"], n_sparse=6), frames[:24], cv=2)
    assert scores.min() > 0.9


def test_targets_are_dipole_and_polarizability_where_none_are_named(frames):
    model = small(n_sparse=3).fit(frames[:8])
    assert model.targets_ == ["dipole", "polarizability"]


def test_channels_that_a_descriptor_has_selected_are_kept(frames):
    descriptor = EquivariantPowerSpectrum(density())
    descriptor.selection = ChannelSelection.select(
        frames[:5], descriptor, 9, FarthestPointSelection(), keys=[(1, 1)]
    )
    model = small(descriptor=descriptor, targets=["dipole"], n_sparse=3)
    model.fit(frames[:8])
    (kernel,) = model.kernels_[1, 1]
    assert {points.tensors.shape[2] for points in kernel.points.values()} == {9}


@pytest.mark.parametrize("value", [[3.0], 2.0 * np.eye(3).ravel(), 1e6 * np.ones(1)])
def test_targets_that_are_constant_are_learned(frames, value):
    """Constants of elements say it all."""
    some = [atoms.copy() for atoms in frames[:12]]
    for atoms in some:
        atoms.info["constant"] = np.array(value)
    model = small(targets=["constant"], n_sparse=3, n_channels=10).fit(some)
    (result,) = model.compute(frames[20], ["constant", "constant_std"])
    np.testing.assert_allclose(np.ravel(result["constant"]), value, rtol=1e-9)
    assert np.max(result["constant_std"]) < 1e-5 * np.max(value)


def test_scalars_have_a_constant_of_every_element(frames):
    some = [atoms.copy() for atoms in frames[:20]]
    for number, atoms in enumerate(some):
        if number % 2:
            del atoms[2]
        atoms.info["alpha"] = 10.0 + 3.0 * (atoms.numbers == 1).sum()
    model = small(targets=["alpha"], n_sparse=3).fit(some)
    new = Atoms("OH3", positions=[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert model.predict([new])[0] == pytest.approx(19.0, abs=0.1)


@pytest.mark.parametrize("kind", ["spherical", "pseudotensors"])
@pytest.mark.parametrize("names", [["dipol"], "dipole"])
def test_names_that_are_no_targets_are_refused(frames, kind, names):
    model = TensorModel(targets=["dipole"], **{kind: names})
    with pytest.raises(ValueError, match=f"{kind} must be a list of names among"):
        model.fit(frames[:3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": ["none"]}, "frame 1 .* has no none"),
        ({"n_channels": 0}, "n_channels must be a whole number of at least 1, got 0"),
        ({"n_sparse": 0}, "n_sparse must be a whole number"),
        ({"validation_fraction": 1.5}, "validation_fraction must lie in"),
        ({"noises": {"forces": 1}}, "noises name 'forces', which is not among"),
        ({"noises": {"dipole": -1}}, "the noise of dipole must be a positive number"),
        ({"spherical": [], "targets": ["spherical"]}, "named among `spherical`"),
        ({"covariance": EquivariantCovariance(0)}, "zeta must be a whole number"),
        (
            {
                "descriptor": EquivariantPowerSpectrum(density(max_angular=0)),
                "targets": ["dipole"],
            },
            "parts of order 1 and sigma 1, which the descriptor does not reach",
        ),
    ],
)
def test_bad_arguments_are_refused_in_one_line(frames, arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**{"targets": ["dipole"], **arguments}).fit(frames[:4])


def test_frames_without_tensors_are_refused():
    bare = [Atoms("O"), Atoms("O")]
    with pytest.raises(ValueError, match="no frame has dipole or polarizability"):
        small().fit(bare)


def test_dipoles_of_charged_structures_are_refused(frames):
    ion = frames[0].copy()
    ion.info["total_charge"] = 1
    with pytest.raises(ValueError, match="frame 1 .* is charged, .* `DipoleModel`"):
        small(targets=["dipole"]).fit([ion, *frames[:3]])


def test_predictions_check_their_frames_and_properties(model, frames):
    with pytest.raises(ValueError, match="properties must be among .* got 'energy'"):
        model.compute(frames[0], ["energy"])
    with pytest.raises(ValueError, match="is Na, which the model has not seen"):
        model.compute(Atoms("Na"))
    with pytest.raises(NotFittedError):
        small().compute(frames[0])
