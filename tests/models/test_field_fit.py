"""Moments and responses learned from calculations in electric fields."""

import numpy as np
import polar_crystals as crystals
import pytest
from finite_differences import central_differences, displaced
from test_polarization_model import expansion
from test_polarization_model import small as small_model

from lodekit import load_model
from lodekit.analysis.audit import audit_model
from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.models import TensorModel
from lodekit.models.field_fit import FieldProblem, find_partners
from lodekit.observables.fields import fields_of
from lodekit.observables.polarization import PolarizationTargets
from lodekit.physics.field_energy import FieldEnergy
from lodekit.structures import get_target

FIELDS = [np.zeros(3), *(0.8 * np.eye(3)), *(-0.8 * np.eye(3))]
TARGETS = ["energy", "forces", "polarizability"]
STATES = {"Li": 1, "F": -1}
FIELD = np.array([0.5, -0.3, 0.8])


def small(**arguments):
    tensors = TensorModel(EquivariantPowerSpectrum(expansion()), n_sparse=12)
    arguments = {"n_sparse": 12, "n_channels": 30, **arguments}
    return small_model(
        hyperpolarizability=tensors.set_params(n_channels=40), **arguments
    )


def calculations(generator, n, pbc, scale=1.0):
    """Return structures in six fields and without one, with energies and forces."""
    frames = []
    for _ in range(n):
        atoms = crystals.draw(generator, pbc=pbc)
        frames += [
            crystals.in_field(atoms, scale * field, generator) for field in FIELDS
        ]
    return frames


@pytest.fixture(scope="module")
def clusters():
    """Open structures whose dipoles are not told."""
    frames = calculations(np.random.default_rng(3), 8, pbc=False, scale=0.25)
    for atoms in frames:
        del atoms.calc.results["dipole"]
    return frames


@pytest.fixture(scope="module")
def model(clusters):
    return small(targets=TARGETS, oxidation_states=STATES).fit(clusters)


def test_energies_and_forces_in_fields_tell_moments_and_responses(model):
    generator = np.random.default_rng(8)
    new = [crystals.draw(generator, pbc=False) for _ in range(4)]
    results = model.compute(new)
    for name, expected, share in (
        ("dipole", crystals.moment, 0.05),
        ("born_effective_charges", crystals.born_charges, 0.1),
        ("polarizability", crystals.polarizability, 0.1),
    ):
        wanted = np.array([expected(atoms) for atoms in new])
        found = np.array([result[name] for result in results])
        assert np.sqrt(np.mean((found - wanted) ** 2)) < share * np.std(wanted), name
    names = {"field_energy", "field_forces"}
    assert names <= {*model.summary_["noises"]}


def test_a_model_file_keeps_what_was_fitted_together(model, tmp_path):
    atoms = crystals.draw(np.random.default_rng(2), pbc=False)
    model.save(tmp_path / "model.lodekit")
    loaded = load_model(tmp_path / "model.lodekit")
    field = np.array([0.1, 0.2, -0.1])
    (before,), (after,) = (one.compute([atoms], field=field) for one in (model, loaded))
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


@pytest.fixture(scope="module")
def periodic():
    """A problem of crystals in fields, on scrambled branches, and a fitted model."""
    generator = np.random.default_rng(4)
    frames = calculations(generator, 4, pbc=True)
    extra = crystals.label(crystals.draw(generator), generator)
    extra.info["hyperpolarizability"] = crystals.hyperpolarizability(extra).ravel()
    model = small().fit([*frames, extra])
    return model, [*frames, extra]


def test_rows_are_what_models_compute(periodic):
    model, frames = periodic
    chosen = [frames[3], frames[0], frames[-1]]
    chosen[0].arrays["becs"] = np.zeros((len(chosen[0]), 9))
    names = [*model.targets_, "born_effective_charges"]
    targets = PolarizationTargets.collect(chosen, names)
    targets.subtract_ions(chosen, model.species_, model.oxidation_states_)
    problem = FieldProblem(model, chosen, targets, None, np.random.RandomState(0))
    for name, latents in problem.latents.responses.items():
        fitted = getattr(model, f"{name}_")
        latents.model.kernels_ = fitted.kernels_
    problem.latents.responses = {
        name: with_parts(latents, getattr(model, f"{name}_"))
        for name, latents in problem.latents.responses.items()
    }
    latents = type(problem.latents)(model.dipoles_, problem.latents.responses)
    problem.latents, problem.rank = latents, latents.rank
    weights = np.zeros(latents.rank)
    of_dipoles, of_responses = latents.columns()
    weights[of_dipoles] = model.solution_.weights
    for name, columns in of_responses.items():
        parts = getattr(model, f"{name}_").parts_[name]
        n = [part.n_elements for part in parts]
        own = [part.solution.weights for part in parts]
        split = [np.split(w, [k]) for w, k in zip(own, n, strict=True)]
        weights[columns] = np.concatenate(
            [*(a for a, _ in split), *(b for _, b in split)]
        )
    found = {}
    for kind in (1, 2, 0, 3):
        same = np.array([i for i in range(3) if problem.row_kind(i) == kind], int)
        for name, rows in problem.batch_rows(same) if same.size else ():
            found.setdefault(name, []).append((rows.matrix @ weights, rows.frames))
    results = [model.compute(atoms)[0] for atoms in chosen]
    free = model.compute(chosen[0], ["energy", "forces"], field=np.zeros(3))[0]
    ions = [np.array([crystals.CHARGES[z] for z in atoms.numbers]) for atoms in chosen]

    def values(name, index):
        parts = [part[owners == index] for part, owners in found[name]]
        return np.concatenate(parts)

    for index, result in enumerate(results):
        moment = values("polarization", index) + ions[index] @ chosen[index].positions
        np.testing.assert_allclose(moment, result["polarization"], atol=1e-9)
    expected = results[0]["born_effective_charges"]
    expected = expected - ions[0][:, None, None] * np.eye(3)
    charges = values("born_effective_charges", 0).reshape(-1, 3, 3)
    np.testing.assert_allclose(charges, expected, atol=1e-9)
    field = get_target(chosen[0], "electric_field")
    change = results[0]["energy"] - free["energy"]
    change += field @ (ions[0] @ chosen[0].positions)
    np.testing.assert_allclose(values("field_energy", 0), change, atol=1e-9)
    change = results[0]["forces"] - free["forces"] - ions[0][:, None] * field
    np.testing.assert_allclose(
        values("field_forces", 0).reshape(-1, 3), change, atol=1e-9
    )
    upper = results[2]["polarizability"][np.triu_indices(3)]
    np.testing.assert_allclose(values("polarizability", 2), upper, atol=1e-9)
    assert values("hyperpolarizability", 2).size == 10
    assert values("hyperpolarizability", 2)[0] == pytest.approx(
        results[2]["hyperpolarizability"][0, 0, 0], abs=1e-9
    )


def with_parts(latents, fitted):
    """Give latents the amplitudes that a model was fitted with."""
    latents.parts = fitted.parts_[latents.tensor.name]
    for part, own in zip(latents.parts, latents.amplitudes, strict=True):
        for one, kernel, factor in zip(
            own, fitted.kernels_[part.order, part.sigma], part.amplitudes, strict=True
        ):
            one.factor, one.rank = factor, kernel.rank
    return latents


def test_branches_and_responses_are_found_in_fields(periodic):
    model, frames = periodic
    generator = np.random.default_rng(9)
    new = [crystals.draw(generator) for _ in range(4)]
    names = ["polarization", "polarizability", "hyperpolarizability"]
    found = model.compute(new, names)
    moments = np.array([crystals.moment(atoms) for atoms in new])
    wrong = np.array([own["polarization"] for own in found]) - moments
    wrong -= np.rint(wrong[0] @ np.linalg.inv(new[0].cell[:])) @ new[0].cell[:]
    assert np.sqrt(np.mean(wrong**2)) < 0.1 * np.std(moments)
    for name, share in ((names[1], 0.2), (names[2], 0.5)):
        values = np.array([own[name] for own in found])
        expected = np.array([getattr(crystals, name)(atoms) for atoms in new])
        error = np.sqrt(np.mean((values - expected) ** 2))
        assert error < share * np.std(expected), name


def test_partners_have_the_same_positions(clusters):
    frames = clusters[:5] + clusters[8:9]
    assert find_partners(frames, fields_of(frames)) == dict.fromkeys(range(1, 5), 0)
    alone = [clusters[1], clusters[8]]
    with pytest.raises(ValueError, match="no frame has the positions of another"):
        small(targets=TARGETS, oxidation_states=STATES).fit(alone)


@pytest.fixture(scope="module")
def new():
    generator = np.random.default_rng(5)
    return [crystals.draw(generator) for _ in range(4)]


@pytest.mark.parametrize("name", ["field", "displacement"])
def test_forces_and_stress_in_a_field_are_derivatives(periodic, new, name):
    model, atoms = periodic[0], new[1]
    control = {name: FIELD}
    if name == "displacement":  # beside that of no field
        (free,) = model.compute(atoms, ["polarization"], field=np.zeros(3))
        factor = 4.0 * np.pi * 14.399645 / atoms.get_volume()
        control = {name: FIELD + factor * free["polarization"]}
    (result,) = model.compute(atoms, **control)

    def energy(positions):
        moved = displaced(atoms, np.concatenate([positions, atoms.positions[1:]]))
        return model.compute(moved, ["energy"], **control)[0]["energy"]

    forces = -central_differences(energy, atoms.positions[:1], step=1e-3)
    np.testing.assert_allclose(result["forces"][:1], forces, rtol=1e-6, atol=1e-7)

    def strained_energy(stretch):
        deformation = np.eye(3) + np.diag([*stretch, 0.0])
        moved = atoms.copy()
        moved.set_cell(atoms.cell[:] @ deformation, scale_atoms=True)
        own = {
            "field": lambda vector: np.linalg.solve(deformation, vector),
            "displacement": lambda vector: (
                deformation @ vector / np.linalg.det(deformation)
            ),
        }
        moved_control = {name: own[name](vector) for name, vector in control.items()}
        return model.compute(moved, ["energy"], **moved_control)[0]["energy"]

    stress = central_differences(strained_energy, np.zeros(2), step=1e-3)
    np.testing.assert_allclose(
        result["stress"][:2], stress / atoms.get_volume(), rtol=1e-6, atol=1e-8
    )


def test_derivatives_by_the_field_follow_each_other(periodic, new):
    model = periodic[0]
    names = ["polarization", "polarizability", "hyperpolarizability"]
    (result,) = model.compute(new[2], names, field=FIELD)
    units = {"energy": 1.0, "polarization": 1.0, "polarizability": 14.399645}
    for name, derivative in zip(["energy", *names[:2]], names, strict=True):

        def value(field, name=name):
            return model.compute(new[2], [name], field=field)[0][name]

        numerical = central_differences(value, FIELD, step=1e-2)
        sign = -1.0 if name == "energy" else 1.0
        scale = sign * units[name] if derivative != "polarizability" else 1.0
        unit = 14.399645 if derivative == "polarizability" else 1.0
        numerical = unit * (numerical / scale)
        np.testing.assert_allclose(result[derivative], numerical, rtol=1e-6, atol=1e-7)


def test_born_charges_in_a_field_are_derivatives_of_the_polarization(periodic, new):
    model = periodic[0]
    (result,) = model.compute(new[3], ["born_effective_charges"], field=FIELD)

    def polarization(positions):
        moved = displaced(new[3], np.concatenate([positions, new[3].positions[1:]]))
        (own,) = model.compute(moved, ["polarization"], field=FIELD)
        return own["polarization"]

    numerical = central_differences(polarization, new[3].positions[:1])
    charges = result["born_effective_charges"][:1]
    np.testing.assert_allclose(charges.swapaxes(1, 2), numerical, atol=1e-7)


def test_an_audit_passes_with_hyperpolarizabilities(periodic, new):
    checks = ["translation", "rotation", "inversion", "field", "field-forces"]
    results = audit_model(periodic[0], new[0], checks)
    assert {result.status for result in results} == {"pass"}


def test_everything_turns_with_the_structure(periodic, new):
    model = periodic[0]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = new[0].copy()
    turned.set_cell(new[0].cell[:] @ turn, scale_atoms=True)
    names = ["energy", "polarization", "hyperpolarizability"]
    (before,) = model.compute(new[0], names, field=FIELD)
    (after,) = model.compute(turned, names, field=FIELD @ turn)
    assert after["energy"] == pytest.approx(before["energy"], abs=1e-10)
    cubic = np.einsum(
        "abc,ax,by,cz->xyz", before["hyperpolarizability"], turn, turn, turn
    )
    np.testing.assert_allclose(after["hyperpolarizability"], cubic, atol=1e-10)
    moment = before["polarization"] @ turn
    np.testing.assert_allclose(after["polarization"], moment, atol=1e-10)


def test_hyperpolarizabilities_are_learned_from_themselves(new):
    generator = np.random.default_rng(1)
    frames = [crystals.draw(generator) for _ in range(16)]
    for atoms in frames:
        atoms.info["polarization"] = crystals.moment(atoms)
        cubic = crystals.hyperpolarizability(atoms)
        atoms.info["hyperpolarizability"] = cubic.ravel()
    model = small(oxidation_states=STATES).fit(frames)
    (name,) = {*model.properties} & {"hyperpolarizability"}
    found = np.array([result[name] for result in model.compute(new, [name])])
    np.testing.assert_allclose(found, found.transpose(0, 2, 1, 3), atol=1e-12)
    np.testing.assert_allclose(found, found.transpose(0, 3, 2, 1), atol=1e-12)
    expected = np.array([crystals.hyperpolarizability(atoms) for atoms in new])
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.2 * np.std(expected)
    assert model.summary_["held_out_errors"][name] < 0.2 * np.std(expected)


def test_a_displacement_without_a_field_is_refused():
    cubic = np.zeros((1, 3, 3, 3))
    cubic[0, 0, 0, 0] = -1.0  # M(E) has a largest value: no D beyond it
    energy = FieldEnergy(
        np.zeros((1, 3)),
        np.zeros((1, 3, 3)),
        cubic,
        np.array([14.399645 * 4.0 * np.pi]),
        displacement=np.array([10.0, 0.0, 0.0]),
    )
    with pytest.raises(ValueError, match="no field belongs to this displacement"):
        energy.fields  # noqa: B018
    energy = FieldEnergy(
        np.zeros((1, 3)),
        np.zeros((1, 3, 3)),
        cubic,
        np.array([14.399645 * 4.0 * np.pi]),
        displacement=np.array([0.25, 0.0, 0.0]),
    )
    # D = E - E^2 / 2
    expected = 1.0 - np.sqrt(0.5)
    np.testing.assert_allclose(energy.fields, [[expected, 0.0, 0.0]], atol=1e-12)
