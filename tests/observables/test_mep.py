"""The molecular electrostatic potential at points."""

import numpy as np
import pytest
from crystals import cluster
from drawn_charges import charges_of, clusters, draw, moderate, prior, small

from lodekit import read_structures
from lodekit.electrostatics import MultipoleInteraction
from lodekit.models import ChargeEquilibrationModel
from lodekit.observables.charges import (
    AffineCharges,
    charge_rows,
    observe,
    row_counts,
)
from lodekit.observables.moments import VOIGT, Potential
from lodekit.structures import get_target, write_structures
from lodekit.units import BOHR, COULOMB_CONSTANT, HARTREE


def around(atoms, n_points, seed=0):
    """Points on spheres of 2 Å around atoms, none nearer than 1.5 Å to another."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(50 * n_points, 3))
    vectors *= 2.0 / np.linalg.norm(vectors, axis=1)[:, None]
    points = atoms.positions[rng.integers(len(atoms), size=len(vectors))] + vectors
    distances = np.linalg.norm(points[:, None] - atoms.positions, axis=2)
    return points[distances.min(axis=1) > 1.5][:n_points]


def coulomb(points, charges, positions):
    distances = np.linalg.norm(points[:, None] - positions, axis=2)
    return COULOMB_CONSTANT * (charges / distances).sum(axis=1)


def with_potential(frames, n_points=5):
    for index, atoms in enumerate(frames):
        points = around(atoms, n_points, seed=index)
        atoms.info["mep_points"] = points
        charges = get_target(atoms, "charges")
        atoms.info["mep"] = coulomb(points, charges, atoms.positions)
    return frames


@pytest.fixture(scope="module")
def train():
    process = prior(clusters())
    return with_potential(draw(process, clusters(), moderate(process, 2)))


def test_potential_is_that_of_finite_clusters_of_point_charges():
    atoms = cluster(3, seed=4)
    atoms.info["mep_points"] = points = around(atoms, 6)
    on_charges, on_dipoles, on_quadrupoles = Potential().operators(atoms)
    rng = np.random.default_rng(1)
    a, b = 1e-3 * rng.normal(size=(2, 3))
    centre = atoms.positions[1]
    # unit charges at a and -a: the dipole 2 a
    expected = coulomb(points, np.array([1.0, -1.0]), centre + np.array([a, -a]))
    assert on_dipoles[:, 1] @ (2.0 * a) == pytest.approx(expected, rel=1e-4)
    # two unit charges at b, -b less two at the centre: second moment 2 b b^T
    three = np.array([1.0, 1.0, -2.0])
    expected = coulomb(points, three, centre + np.array([b, -b, 0 * b]))
    tensor = 2.0 * np.outer(b, b) - 2.0 / 3.0 * b @ b * np.eye(3)
    voigt = np.array([tensor[i, j] for i, j in VOIGT])
    assert on_quadrupoles[:, 1] @ voigt == pytest.approx(expected, rel=1e-3)
    ones = np.ones(3)
    expected = coulomb(points, ones, atoms.positions)
    assert on_charges @ ones == pytest.approx(expected, rel=1e-12)


def test_potential_is_that_of_the_multipole_engine():
    atoms = cluster(4, seed=7)
    atoms.info["mep_points"] = points = around(atoms, 6)
    rng = np.random.default_rng(3)
    charges, dipoles = rng.normal(size=4), rng.normal(size=(4, 3))
    tensors = rng.normal(size=(4, 3, 3))
    tensors += tensors.swapaxes(1, 2)
    tensors -= np.trace(tensors, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    voigt = np.array([[t[i, j] for i, j in VOIGT] for t in tensors])
    engine = MultipoleInteraction(atoms.positions, np.zeros((3, 3)), False)
    fields = engine.fields_at(points, charges, dipoles, 1.5 * tensors)
    moments = dipoles[:, :, None], voigt[:, :, None]
    inside = AffineCharges(np.zeros((4, 2)), charges, moments)
    value = observe(atoms, inside, "mep").values(np.ones(2))
    assert value == pytest.approx(fields.potential, rel=1e-9)


def test_models_learn_from_the_potential_alone(train):
    model = small(targets=["mep"], noises={"mep": 1e-5}).fit(train)
    found = np.concatenate([r["charges"] for r in model.compute(train, ["charges"])])
    assert found == pytest.approx(charges_of(train), abs=1e-3)
    expected = np.concatenate([atoms.info["mep"] for atoms in train])
    assert model.predict(train) == pytest.approx(expected, abs=1e-3)
    assert model.score(train) > 0.9999
    other = small(ChargeEquilibrationModel, targets=["mep"]).fit(train)
    assert other.score(train) > 0.9
    assert other.compute(train[0], ["mep_std"])[0]["mep_std"].shape == (5,)


def test_rows_of_frames_with_different_numbers_of_points(train):
    frames = [train[0].copy(), train[1].copy()]
    frames[1].info["mep"] = frames[1].info["mep"][:2]
    frames[1].info["mep_points"] = frames[1].info["mep_points"][:2]
    charges = AffineCharges(np.eye(4), np.zeros(4))
    assert row_counts(frames, "mep") == 7
    assert charge_rows(frames[1], charges, "mep", 1).matrix.shape == (2, 4)


@pytest.mark.parametrize("n_points", [1, 2, 3])
def test_points_and_potential_go_through_a_file(tmp_path, n_points):
    atoms = cluster(3)
    points = around(atoms, n_points)
    atoms.info.update(mep_points=points / BOHR, mep=np.arange(n_points) / HARTREE)
    atoms.positions /= BOHR
    write_structures(tmp_path / "a.xyz", atoms)
    units = {"length": "Bohr", "energy": "Hartree"}
    (frame,) = read_structures(tmp_path / "a.xyz", units=units)
    assert get_target(frame, "mep_points") == pytest.approx(points, abs=1e-7)
    assert get_target(frame, "mep") == pytest.approx(np.arange(n_points), abs=1e-7)
    write_structures(tmp_path / "b.xyz", frame)
    (again,) = read_structures(tmp_path / "b.xyz")
    assert get_target(again, "mep_points") == pytest.approx(points, abs=1e-7)


def no_points(atoms):
    del atoms.info["mep_points"]


def too_few(atoms):
    atoms.info["mep_points"] = atoms.info["mep_points"][:4]


def on_an_atom(atoms):
    atoms.info["mep_points"][3] = atoms.positions[2]


def periodic(atoms):
    atoms.set_cell(np.eye(3) * 9)
    atoms.pbc = True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            no_points,
            r"frame 2 \(index 1\) has no mep_points, at which",
        ),
        (
            too_few,
            r"frame 2 .* has 5 values of the mep at 4 mep_points",
        ),
        (on_an_atom, r"frame 2 .*: point 4 is 0 Å from atom 3, where point charges"),
        (periodic, "the mep of a periodic structure is not a sum over charges"),
        (lambda a: a.info.update(mep_points=np.ones(7)), r"mep_points must have shape"),
    ],
)
def test_points_that_make_no_sense_are_refused(train, change, message):
    frames = [train[0].copy(), train[1].copy()]
    for atoms, old in zip(frames, train, strict=False):
        atoms.calc = old.calc
        atoms.info["mep_points"] = old.info["mep_points"].copy()
    change(frames[1])
    with pytest.raises(ValueError, match=message):
        small(targets=["mep"]).fit(frames)
