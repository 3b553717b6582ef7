"""Changes of densities by point charges are learned, linear, and turn with both."""

import numpy as np
import pytest
from crystals import random_rotation
from labelled_structures import density
from made_densities import BASIS, bent, beside, made_charge_set, made_set
from wigner import wigner_matrix

from lodekit import load_model
from lodekit.analysis.audit.results import NotApplicable
from lodekit.analysis.audit.subject import Subject
from lodekit.density import DensitySet, channel_places, electron_counts
from lodekit.density.perturbations import PointCharges, UniformField
from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.errors import BasisError, StructureError
from lodekit.models import ElectronDensityModel
from lodekit.models.density_errors import judge_densities
from lodekit.models.density_targets import density_data
from lodekit.units import COULOMB_CONSTANT


def small(**arguments):
    return ElectronDensityModel(
        EquivariantPowerSpectrum(density(max_angular=3)),
        n_sparse=4,
        n_channels=20,
        target="charge_response",
        **arguments,
    )


@pytest.fixture(scope="module")
def model():
    return small().fit(made_charge_set(45))


@pytest.fixture
def atoms():
    return beside(bent(99), 99)


def with_charges(atoms, rows):
    copy = atoms.copy()
    copy.info["point_charges"] = np.array(rows, dtype=float)
    return copy


def test_changes_of_known_form_are_learned(model):
    new = made_charge_set(15, first=45)
    assert model.density_error(new) < 5.0
    errors = judge_densities(model, new)
    own = model.compute(new.frames, ["induced_dipole", "induction_energy"])
    assert errors["response"]["rmse"] == pytest.approx(model.density_error(new))
    sizes = [np.linalg.norm(result["induced_dipole"]) for result in own]
    assert errors["induced_dipole"]["rmse"] < 0.05 * np.mean(sizes)
    assert all(abs(result["induction_energy"]) > 0.0 for result in own)


def test_changes_are_linear_in_the_charges(model, atoms):
    rows = atoms.info["point_charges"].reshape(-1, 4)
    (both,) = model.predict(atoms)
    parts = [model.predict(with_charges(atoms, [row]))[0] for row in rows]
    np.testing.assert_allclose(sum(parts), both, atol=1e-12)
    doubled = rows * np.array([-2.0, 1.0, 1.0, 1.0])
    (changed,) = model.predict(with_charges(atoms, doubled))
    np.testing.assert_allclose(changed, -2.0 * both, atol=1e-12)


@pytest.mark.parametrize("improper", [False, True])
def test_changes_turn_with_structure_and_charges(model, atoms, improper):
    rotation = random_rotation(6) * (-1.0 if improper else 1.0)
    rows = atoms.info["point_charges"].reshape(-1, 4).copy()
    rows[:, 1:] = rows[:, 1:] @ rotation.T + 0.7
    turned = with_charges(atoms, rows)
    turned.positions = atoms.positions @ rotation.T + 0.7
    before, after = model.predict([atoms, turned])
    for (_, l), places in channel_places(BASIS, atoms.numbers).items():
        expected = before[places] @ wigner_matrix(l, rotation).T
        np.testing.assert_allclose(after[places], expected, atol=1e-10)


def test_charges_move_electrons_and_make_none(model, atoms):
    (changes,) = model.predict(atoms)
    assert electron_counts(atoms, BASIS) @ changes == pytest.approx(0.0, abs=1e-13)


def test_a_charge_far_away_is_a_uniform_field(model):
    """k q / d^2 is 1 V/Å; what is left falls as 1 / d."""
    atoms = bent(98)
    atoms.positions -= atoms.positions.mean(axis=0)
    distance = 1e5
    charge = -(distance**2) / COULOMB_CONSTANT
    far = with_charges(atoms, [[charge, 0.0, 0.0, distance]])
    (result,) = model.compute(far, ["induced_dipole"])
    (uniform,) = model.compute(atoms, "polarizability")
    # the polarizability is the symmetric part: alpha_zz is the component along itself
    alpha = COULOMB_CONSTANT * result["induced_dipole"][2]
    assert alpha == pytest.approx(uniform["polarizability"][2, 2], rel=1e-4)
    charges, field = PointCharges((0, 1, 2)), UniformField((0, 1, 2))
    own, limit = charges.at_atoms([far]), field.at_atoms([far])
    for order in (0, 1, 2):
        np.testing.assert_allclose(own[order][0], limit[order][2], atol=1e-4)


def test_orders_of_the_potential_are_its_derivatives():
    """Finite differences of k q / r: the field, and its gradient."""
    atoms = with_charges(bent(3), [[0.7, 3.0, 2.0, -4.0]])
    orders = PointCharges((0, 1, 2)).at_atoms([atoms])

    def potential(point):
        return 0.7 * COULOMB_CONSTANT / np.linalg.norm(point - [3.0, 2.0, -4.0])

    values = np.array([potential(point) for point in atoms.positions])
    np.testing.assert_allclose(3.0 * orders[0][0, :, 0], values - values.mean())
    step = 1e-4 * np.eye(3)
    for atom, place in enumerate(atoms.positions):
        ends = [(potential(place + s), potential(place - s)) for s in step]
        gradient = np.array([up - down for up, down in ends]) / 2e-4
        np.testing.assert_allclose(orders[1][0, atom, [2, 0, 1]], -gradient, rtol=1e-6)
        # m = 0 of order 2 is (3 n_z^2 - 1) / 2 = d^3 / 2 times d^2(1/r)/dz^2
        curvature = (sum(ends[2]) - 2.0 * potential(place)) / 1e-8
        assert orders[2][0, atom, 2] == pytest.approx(1.5 * curvature, rel=1e-5)


def test_a_saved_model_predicts_the_same_bits(model, atoms, tmp_path):
    model.save(tmp_path / "m.lodekit")
    copy = load_model(tmp_path / "m.lodekit")
    np.testing.assert_array_equal(copy.predict(atoms)[0], model.predict(atoms)[0])
    names = ["induced_dipole_std"]
    for own, other in zip(
        copy.compute(atoms, names), model.compute(atoms, names), strict=True
    ):
        np.testing.assert_array_equal(own[names[0]], other[names[0]])
        assert np.all(own[names[0]] > 0.0)


def test_the_change_has_a_potential_and_forces(model, atoms):
    """The energy of charges in the potential they induce; nuclei do not change."""
    rows = atoms.info["point_charges"].reshape(-1, 4)
    change = model.density(atoms)
    (result,) = model.compute(atoms, ["induction_energy"])
    energy = 0.5 * rows[:, 0] @ change.potential(rows[:, 1:])
    assert result["induction_energy"] == pytest.approx(energy, abs=1e-14)
    assert change.charge == pytest.approx(0.0, abs=1e-12)
    assert change.forces_on(rows[:, 0], rows[:, 1:]).shape == (2, 3)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "frame 1 .* has no point_charges: q x y z of every charge"),
        ([[1.0, 0.0, 0.0]], "point_charges must have shape"),
        ([[1.0, np.nan, 0.0, 9.0]], "point_charges .*finite"),
        ("atom", r"point charge 1 is 0.50 Å from atom 2; charges have to be outside"),
        ("periodic", "is periodic; point_charges are outside of open structures"),
    ],
)
def test_bad_charges_get_one_line(model, atoms, rows, message):
    if rows is None:
        del atoms.info["point_charges"]
    elif isinstance(rows, list):
        atoms.info["point_charges"] = rows
    elif rows == "atom":
        place = atoms.positions[1] + [0.0, 0.0, 0.5]
        atoms.info["point_charges"] = [[1.0, *place]]
    else:
        atoms.cell, atoms.pbc = 30.0 * np.eye(3), True
    with pytest.raises(StructureError, match=message):
        model.predict(atoms)


def test_responses_of_another_kind_are_refused(tmp_path):
    field, charges = made_set(3), made_charge_set(3)
    with pytest.raises(ValueError, match="responses to a field and target='charge_res"):
        small().fit(field)
    with pytest.raises(ValueError, match="to point charges and target='response'"):
        small().set_params(target="response").fit(charges)
    with pytest.raises(BasisError, match="some densities have responses to a field"):
        DensitySet.join([field, charges])
    two = [np.zeros((len(c), 2)) for c in field.coefficients]
    with pytest.raises(BasisError, match=r"must have three columns .* got \[2\]"):
        DensitySet(field.frames, BASIS, field.coefficients, two)
    charges.save(tmp_path / "c.npz")
    copy = DensitySet.load(tmp_path / "c.npz")
    assert (copy.perturbation, field.perturbation) == ("charges", "field")
    np.testing.assert_array_equal(copy.responses[2], charges.responses[2])


def test_structures_without_some_elements_of_the_fit_are_predicted(model, atoms):
    lone = atoms[[0]]
    together = model.predict([lone, atoms])
    np.testing.assert_allclose(model.predict(lone)[0], together[0], atol=1e-12)


def test_densities_without_the_charges_of_their_frames_are_learned():
    densities = made_charge_set(3)
    own = ElectronDensityModel(n_sparse=2)
    assert len(density_data(own, densities, None).frames) == 3
    beside_charges = DensitySet(
        densities.frames, densities.basis, densities.coefficients
    )
    with pytest.raises(ValueError, match="has point_charges, which ElectronDensity"):
        density_data(own, beside_charges, None)


def test_an_audit_of_changes_says_that_nothing_is_checked(model, atoms):
    with pytest.raises(NotApplicable, match="computes nothing that is checked"):
        Subject(model, [atoms]).defined(atoms)
