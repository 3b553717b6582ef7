import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from stub_model import make_frames

from lodekit.descriptors.surroundings import SurroundingsDescriptor
from lodekit.fitting.known_points import KnownPoints
from lodekit.fitting.training_range import NEVER_SEEN, TrainingRange
from lodekit.models import SparsePotential
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch


def rattled(atoms, count, std=0.03):
    frames = []
    for seed in range(count):
        frame = atoms.copy()
        frame.rattle(std, seed=seed)
        frames.append(frame)
    return frames


def copper(count, std=0.08):
    return rattled(bulk("Cu", cubic=True).repeat((2, 2, 1)), count, std)


@pytest.fixture(scope="module")
def of_water():
    return TrainingRange.learn(rattled(molecule("H2O"), 30))


@pytest.fixture(scope="module")
def of_copper():
    return TrainingRange.learn(copper(12))


def test_features_do_not_depend_on_rotation_order_or_batch():
    atoms = rattled(molecule("CH3CH2OH"), 1, 0.1)[0]
    turned = atoms[::-1]
    turned.rotate(33, (1, 2, 3))
    descriptor = SurroundingsDescriptor(np.array([1, 6, 8]))
    one = descriptor.evaluate(StructureBatch.from_frames([atoms, atoms]))
    other = descriptor.evaluate(StructureBatch.from_frames([turned]))
    for first, second in zip(one.views, other.views, strict=True):
        # norms of radial functions that are orthogonal to 1e-10
        np.testing.assert_allclose(first[: len(atoms)], second[::-1], atol=1e-9)
        np.testing.assert_allclose(first[: len(atoms)], first[len(atoms) :], atol=1e-14)


def test_distances_are_those_of_the_nearest_point():
    rng = np.random.default_rng(0)
    known = KnownPoints.learn(
        rng.normal(size=(50, 3)), np.arange(50), np.arange(50) % 5
    )
    others = 3.0 * rng.normal(size=(7, 3))
    moved = (others - known.mean) @ known.directions
    direct = np.linalg.norm(moved[:, None] - known.points, axis=2).min(axis=1)
    np.testing.assert_allclose(known.distances(others), direct / known.limit)
    assert known.distances(known.mean[None] + 1e3).item() > 100.0


def test_what_was_fitted_is_known(of_water, of_copper):
    for known, frames in (
        (of_water, rattled(molecule("H2O"), 30)),
        (of_copper, copper(12)),
    ):
        assert all(
            own.largest <= 1.0 and not own.reason for own in known.measure(frames)
        )


def test_frames_like_those_fitted_are_known(of_water, of_copper):
    for known, atoms, std in (
        (of_water, molecule("H2O"), 0.03),
        (of_copper, bulk("Cu", cubic=True).repeat((2, 2, 1)), 0.08),
    ):
        others = rattled(atoms, 60, std)[30:]
        far = [own.largest > 1.0 for own in known.measure(others)]
        assert np.mean(far) < 0.1


def test_a_stretched_bond_is_named(of_water):
    atoms = molecule("H2O")
    atoms.positions[1] += 0.5 * (atoms.positions[1] - atoms.positions[0])
    (found,) = of_water.measure([atoms])
    assert found.largest > 2.0
    assert found.values.argmax() == 1
    assert found.reason.startswith("atom 2 (H) has bonds unlike")


def test_what_is_just_beyond_the_limit_is_not_printed_as_the_limit(of_water):
    values = np.array([[0.5, 1.003, 0.2], [0.4, 0.1, 0.3]])
    is_new = np.zeros((3, len(of_water.species)), bool)
    found = of_water.judge(molecule("H2O"), values, is_new)
    assert "extrapolation 1.1 where 1 is the limit" in found.reason


def test_a_surface_and_heat_are_far_from_the_bulk(of_copper):
    slab = fcc111("Cu", (2, 2, 4), vacuum=10.0)
    (boundary,) = of_copper.measure([slab])
    assert boundary.reason == (
        "it is periodic in 2 directions, the training frames in 3"
    )
    assert (boundary.values == NEVER_SEEN).all()
    slab.pbc = True
    (surface,) = of_copper.measure([slab])
    layer = slab.positions[:, 2].round(3)
    is_outside = (layer == layer.min()) | (layer == layer.max())
    assert (surface.values[is_outside] > 1.0).all()
    assert (surface.values[~is_outside] <= 1.0).all()
    hot = copper(4, std=0.2)
    assert all(own.largest > 1.0 for own in of_copper.measure(hot))


def test_a_pair_never_seen_and_a_total_charge_are_named():
    frames = [Atoms("CO", [[0, 0, 0], [0, 0, d]]) for d in np.linspace(1.1, 1.3, 9)]
    known = TrainingRange.learn([*frames, *rattled(molecule("N2"), 9)])
    close = Atoms("CN", [[0, 0, 0], [0, 0, 1.2]])
    charged = frames[0].copy()
    charged.info["total_charge"] = 1
    far, ion = known.measure([close, charged])
    assert far.reason == (
        "atom 1 (C) has N within 3.5 Å, a pair of elements that no training frame has"
    )
    assert ion.reason == "its total charge is 1 e, that of the training frames 0"


def test_atoms_without_neighbours_are_no_error(of_water):
    known = TrainingRange.learn([Atoms("He"), Atoms("He2", [[0, 0, 0], [0, 0, 30]])])
    (own,) = known.measure([Atoms("He", pbc=False)])
    assert own.largest <= 1.0
    (lone,) = of_water.measure([Atoms("H")])
    assert lone.largest > 1.0


def test_results_do_not_depend_on_the_batch(of_water):
    frames = rattled(molecule("H2O"), 7, 0.1)
    together = of_water.measure(frames)
    for atoms, own in zip(frames, together, strict=True):
        (alone,) = of_water.measure([atoms])
        np.testing.assert_allclose(own.values, alone.values, rtol=1e-12)
        assert own.reason == alone.reason


def test_many_frames_are_learned_in_parts(monkeypatch):
    monkeypatch.setattr("lodekit.fitting.training_range.MAX_ATOMS", 30)
    frames = [
        *rattled(molecule("H2O"), 30),
        molecule("CO"),
        *rattled(molecule("H2O"), 2),
    ]
    known = TrainingRange.learn(frames)
    assert all(own.largest < NEVER_SEEN for own in known.measure(frames))


def test_model_files_hold_the_range(of_water):
    settings, arrays = of_water.get_state()
    stored = StoredModel({"settings": settings, "arrays": arrays})
    again = TrainingRange.from_stored(stored, of_water.species)
    stored.finish()
    frames = rattled(molecule("H2O"), 5, 0.1)
    for one, other in zip(of_water.measure(frames), again.measure(frames), strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-5)  # float32
        assert one.reason == other.reason
    settings["limits"][0][0] = -1.0
    stored = StoredModel({"settings": settings, "arrays": arrays})
    with pytest.raises(ValueError, match="limits of the training range"):
        TrainingRange.from_stored(stored, of_water.species)


def test_a_fitted_model_has_the_property_and_keeps_it(tmp_path):
    from lodekit import load_model

    frames = make_frames(8)
    model = SparsePotential(n_sparse=5, targets=["energy"]).fit(frames)
    model.save(tmp_path / "m.lodekit")
    loaded = load_model(tmp_path / "m.lodekit")
    assert "extrapolation" in model.properties
    for one in (model, loaded):
        (alone,) = one.compute(frames[0], "extrapolation")
        assert list(alone) == ["extrapolation"]
        (both,) = one.compute(frames[:1], ["energy", "extrapolation"])
        assert both["extrapolation"].shape == (len(frames[0]),)
        assert (both["extrapolation"] <= 1.0).all()
    model.training_range_ = None
    assert "extrapolation" not in model.properties
    with pytest.raises(ValueError, match="properties must be among"):
        model.compute(frames, ["extrapolation"])
