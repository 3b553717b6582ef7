"""Polarization models of crystals whose polarization is known in closed form."""

import numpy as np
import polar_crystals as crystals
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from finite_differences import central_differences, displaced
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lodekit import load_model
from lodekit.analysis.audit import audit_model
from lodekit.analysis.electromechanics import piezoelectric_tensor
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.errors import StructureError
from lodekit.models import (
    BornChargeModel,
    PolarizationModel,
    SparsePotential,
    TensorModel,
)
from lodekit.models.polarization_fields import without_fields
from lodekit.observables.polarization import transpose_born_charges
from lodekit.structures.stress import as_matrix

FIELD = np.array([0.05, -0.03, 0.08])
DISPLACEMENT = np.array([1.0, -2.0, 3.0])


def expansion():
    return SphericalExpansion(
        cutoff={"radius": 3.6, "smoothing": {"type": "ShiftedCosine", "width": 0.8}},
        density={"type": "Gaussian", "width": 0.4},
        basis={
            "type": "TensorProduct",
            "max_angular": 3,
            "radial": {"type": "Gto", "max_radial": 4},
        },
    )


def small(**arguments):
    own = expansion()
    arguments = {
        "n_sparse": 30,
        "n_channels": 60,
        "potential": SparsePotential(PowerSpectrum(own), n_sparse=30),
        "polarizability": TensorModel(
            EquivariantPowerSpectrum(own), n_sparse=20, n_channels=60
        ),
        **arguments,
    }
    return PolarizationModel(EquivariantPowerSpectrum(own), **arguments)


@pytest.fixture(scope="module")
def frames():
    """Crystals with polarizations on any branch, a few of them with Born charges."""
    generator = np.random.default_rng(1)
    frames = [crystals.label(crystals.draw(generator), generator) for _ in range(24)]
    for atoms in frames[8:]:
        del atoms.arrays["becs"]
    return frames


@pytest.fixture(scope="module")
def new():
    generator = np.random.default_rng(5)
    return [crystals.label(crystals.draw(generator)) for _ in range(4)]


@pytest.fixture(scope="module")
def model(frames):
    return small().fit(frames)


def test_everything_is_learned_from_frames_on_scrambled_branches(model, new):
    results = model.compute(new)
    expected = {
        "forces": [atoms.get_forces() for atoms in new],
        "polarization": [crystals.moment(atoms) for atoms in new],
        "born_effective_charges": [crystals.born_charges(atoms) for atoms in new],
        "polarizability": [crystals.polarizability(atoms) for atoms in new],
    }
    for name, values in expected.items():
        found = np.array([result[name] for result in results])
        rms = np.sqrt(np.mean((found - values) ** 2))
        assert rms < 0.06 * np.std(values), name
    assert model.summary_["oxidation_states"] == {"Li": 1, "F": -1}


def test_born_charges_sum_to_zero_and_are_derivatives(model, new):
    (result,) = model.compute(new[0])
    charges = result["born_effective_charges"]
    np.testing.assert_allclose(charges.sum(axis=0), 0.0, atol=1e-12)

    def polarization(positions):
        moved = displaced(new[0], positions)
        return model.compute(moved, ["polarization"])[0]["polarization"]

    numerical = central_differences(polarization, new[0].positions)
    np.testing.assert_allclose(charges.swapaxes(1, 2), numerical, atol=1e-7)


def test_an_ion_that_goes_through_the_cell_carries_its_whole_charge(model, new):
    atoms = new[0].copy()
    path = np.linspace(0.0, 1.0, 9)[:, None] * atoms.cell[0]
    start = atoms.positions[2].copy()
    charges, polarizations = [], []
    for step in path:
        atoms.positions[2] = start + step
        (result,) = model.compute(atoms, ["polarization"])
        polarizations.append(result["polarization"])
        charges.append(result)
    change = polarizations[-1] - polarizations[0]
    expected = crystals.CHARGES[atoms.numbers[2]] * atoms.cell[0]
    np.testing.assert_allclose(change, expected, atol=1e-10)


@pytest.mark.parametrize(
    "control", [{"field": FIELD}, {"displacement": DISPLACEMENT}], ids=lambda c: [*c][0]
)
def test_forces_and_stress_in_a_field_are_derivatives(model, new, control):
    atoms = new[1]
    (result,) = model.compute(atoms, **control)

    def energy(positions):
        moved = displaced(atoms, positions)
        return model.compute(moved, ["energy"], **control)[0]["energy"]

    some = atoms.positions[:2]

    def energy_of_some(positions):
        return energy(np.concatenate([positions, atoms.positions[2:]]))

    forces = -central_differences(energy_of_some, some, step=1e-3)
    np.testing.assert_allclose(result["forces"][:2], forces, rtol=1e-6, atol=1e-7)

    def strained_energy(voigt):
        xx, yy, zz, yz, xz, xy = voigt
        strain = np.array(
            [[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]]
        )
        deformation = np.eye(3) + strain
        moved = atoms.copy()
        moved.set_cell(atoms.cell[:] @ deformation, scale_atoms=True)
        # voltages along the cell vectors, and fluxes through its faces, stay
        own = {
            "field": lambda vector: np.linalg.solve(deformation, vector),
            "displacement": lambda vector: (
                deformation @ vector / np.linalg.det(deformation)
            ),
        }
        moved_control = {name: own[name](vector) for name, vector in control.items()}
        return model.compute(moved, ["energy"], **moved_control)[0]["energy"]

    stress = central_differences(strained_energy, np.zeros(6), step=1e-3)
    np.testing.assert_allclose(
        result["stress"], stress / atoms.get_volume(), rtol=1e-6, atol=1e-8
    )


def test_polarization_is_minus_the_derivative_by_the_field(model, new):
    (result,) = model.compute(new[2], field=FIELD)

    def energy(field):
        return model.compute(new[2], ["energy"], field=field)[0]["energy"]

    numerical = -central_differences(energy, FIELD, step=1e-2)
    np.testing.assert_allclose(result["polarization"], numerical, rtol=1e-9, atol=1e-9)


def test_born_charges_in_a_field_are_derivatives_of_the_polarization(model, new):
    (result,) = model.compute(new[3], field=10.0 * FIELD)

    def polarization(positions):
        moved = displaced(new[3], positions)
        (own,) = model.compute(moved, ["polarization"], field=10.0 * FIELD)
        return own["polarization"]

    numerical = central_differences(polarization, new[3].positions)
    charges = result["born_effective_charges"]
    np.testing.assert_allclose(charges.swapaxes(1, 2), numerical, atol=1e-7)


def test_a_displacement_leaves_the_field_of_the_dielectric_tensor(model, new):
    (free,) = model.compute(new[0], ["polarization", "dielectric_tensor"])
    (own,) = model.compute(new[0], ["polarization"], displacement=DISPLACEMENT)
    factor = 4.0 * np.pi * 14.399645 / new[0].get_volume()
    field = np.linalg.solve(
        free["dielectric_tensor"], DISPLACEMENT - factor * free["polarization"]
    )
    np.testing.assert_allclose(
        field, DISPLACEMENT - factor * own["polarization"], rtol=1e-6
    )


def test_open_structures_have_dipoles_and_atomic_polar_tensors():
    generator = np.random.default_rng(2)
    frames = [crystals.label(crystals.draw(generator, pbc=False)) for _ in range(16)]
    for atoms in frames[6:]:
        del atoms.arrays["becs"]
    targets = ["dipole", "born_effective_charges"]
    model = small(targets=targets, oxidation_states={"Li": 1, "F": -1}).fit(frames[:14])
    others = ("polarization", "atomic_dipoles", "extrapolation")
    assert {*model.properties} == {*targets, *others}
    results = model.compute(frames[14:])
    for atoms, result in zip(frames[14:], results, strict=True):
        assert "polarization" not in result
        np.testing.assert_allclose(result["dipole"], crystals.moment(atoms), atol=0.02)
        sums = result["born_effective_charges"].sum(axis=0)
        np.testing.assert_allclose(sums, 0.0, atol=1e-12)


def test_saved_models_and_clones_are_the_same(model, frames, new, tmp_path):
    model.save(tmp_path / "model.lodekit")
    loaded = load_model(tmp_path / "model.lodekit")
    before, after = (one.compute(new, field=FIELD) for one in (model, loaded))
    for old, own in zip(before, after, strict=True):
        for name, value in old.items():
            np.testing.assert_array_equal(own[name], value)
    assert clone(loaded).get_params()["n_sparse"] == 30
    with pytest.raises(NotFittedError):
        clone(loaded).compute(new)
    assert loaded.score(new) == model.score(new) > 0.99


def test_wrong_input_is_refused(model, frames, new):
    with pytest.raises(ValueError, match="one of them follows from the other"):
        model.compute(new, field=FIELD, displacement=FIELD)
    with pytest.raises(ValueError, match="three finite numbers in V/Å"):
        model.compute(new, field=[1.0, 2.0])
    cluster = crystals.draw(np.random.default_rng(0), pbc=False)
    with pytest.raises(ValueError, match="periodic in three directions"):
        model.compute(cluster, displacement=FIELD)
    slab = new[0].copy()
    slab.pbc = (True, True, False)
    with pytest.raises(ValueError, match="along a periodic direction of frame 1"):
        model.compute(slab, ["energy"], field=FIELD)
    normal = np.cross(*slab.cell[:2])
    model.compute(slab, ["energy"], field=0.1 * normal / np.linalg.norm(normal))
    with pytest.raises(ValueError, match="polarization is defined for fully periodic"):
        model.compute(cluster, ["polarization"])
    with pytest.raises(ValueError, match="properties must be among"):
        model.compute(new, ["charges"])
    with pytest.raises(StructureError, match="sum to -2 and its total charge is"):
        small(oxidation_states={"Li": 1, "F": -2}).fit(frames)
    with pytest.raises(ValueError, match="oxidation state of F must be a whole number"):
        small(oxidation_states={"Li": 1, "F": -0.9}).fit(frames)
    with pytest.raises(ValueError, match="oxidation_states lacks F"):
        small(oxidation_states={"Li": 1}).fit(frames)
    with pytest.raises(ValueError, match="learns energies alone"):
        small().fit([crystals.draw(np.random.default_rng(0))])
    turned = [atoms.copy() for atoms in frames[:8]]
    transpose_born_charges(turned)
    with pytest.raises(StructureError, match="seem to be transposed"):
        small(targets=["born_effective_charges"]).fit(turned)
    short = [atoms.copy() for atoms in frames[:4]]
    short[1].arrays["becs"] = short[1].arrays["becs"][:, :6]
    with pytest.raises(StructureError, match="becs.* must have shape .4, 3, 3."):
        small(targets=["born_effective_charges"]).fit(short)
    spoilt = [atoms.copy() for atoms in frames[:8]]
    spoilt[3].arrays["becs"] = spoilt[3].arrays["becs"] + 0.2
    with pytest.raises(StructureError, match="frame 4 .* Born charges sum to 0.8 e"):
        small(targets=["born_effective_charges"]).fit(spoilt)
    broken = [atoms.copy() for atoms in frames[:12]]
    broken[11].info["polarization"] = broken[11].info["polarization"] + 1.75
    with pytest.raises(StructureError, match="not certain for frame 12"):
        small(targets=["born_effective_charges", "polarization"]).fit(broken)
    opened = [atoms.copy() for atoms in frames[:4]]
    opened[2].pbc = False
    with pytest.raises(
        StructureError, match="frame 3 .* has a polarization and is not"
    ):
        small(targets=["polarization"], oxidation_states={"Li": 1, "F": -1}).fit(opened)


def test_piezoelectric_currents_are_changes_of_polarization(model, new):
    atoms = new[0]

    def polarization(voigt):
        moved = atoms.copy()
        deformation = np.eye(3) + as_matrix(voigt * [1, 1, 1, 0.5, 0.5, 0.5])
        moved.set_cell(atoms.cell[:] @ deformation, scale_atoms=True)
        moment = model.compute(moved, ["polarization"])[0]["polarization"]
        # moments that turn with the cell are no current
        return np.linalg.solve(deformation, moment)

    numerical = central_differences(polarization, np.zeros(6)).T
    found = piezoelectric_tensor(model, atoms) * atoms.get_volume()
    np.testing.assert_allclose(found, numerical, atol=1e-6)


def in_a_field(model, atoms, branch):
    """A structure with what the model says of it in a field, on some branch."""
    (found,) = model.compute(atoms, field=FIELD)
    step = branch @ atoms.cell[:]
    labelled = atoms.copy()
    labelled.info = {"electric_field": FIELD}
    labelled.info["polarization"] = found["polarization"] + step
    labelled.arrays["becs"] = found["born_effective_charges"].reshape(-1, 9)
    names = ("energy", "forces", "stress")
    results = {name: found[name] for name in names}
    results["energy"] -= FIELD @ step
    labelled.calc = SinglePointCalculator(labelled, **results)
    return labelled


def test_frames_in_a_field_tell_what_there_is_without_one(model, new):
    frames = [in_a_field(model, new[0], np.array([1, 0, -2])), new[1]]
    names = ["energy", "forces", "stress"]
    (expected,) = model.compute(new[0])
    (found,) = model.compute(frames[0], names)
    assert found["energy"] == model.compute(new[0], field=FIELD)[0]["energy"]
    rest = without_fields(model, frames, names)
    for name in names:
        value = rest[0].calc.results[name]
        np.testing.assert_allclose(value, expected[name], atol=1e-9)
    assert rest[1].calc.results["energy"] == new[1].get_potential_energy()
    del frames[0].info["polarization"]
    with pytest.raises(ValueError, match="frame 1 .* no polarization, which says"):
        without_fields(model, frames, names)
    with pytest.raises(ValueError, match="frame 1 .* fit polarizability as well"):
        small(targets=["born_effective_charges"]).fit(frames)
    with pytest.raises(ValueError, match="which SparsePotential takes for none"):
        SparsePotential().fit(frames)


def test_an_audit_finds_all_laws_of_polarization(model, new):
    checks = ["field", "polarizability", "born-sum", "born-derivative", "born-loop"]
    checks += ["transported-charge", "translation", "rotation", "inversion"]
    checks += ["field-forces", "hysteresis"]
    results = {r.name: r for r in audit_model(model, new[0], checks)}
    assert {result.status for result in results.values()} == {"pass"}
    assert results["transported-charge"].note == "Li 1 e, F -1 e"
    broken = load_broken(model)
    checks = ["born-sum", "born-derivative", "field-forces"]
    results = audit_model(broken, new[0], checks)
    assert [result.status for result in results] == ["fail"] * 3


def load_broken(model):
    """A model whose Born charges of every atom are a little too large."""

    class Broken(type(model)):
        def compute(self, frames, properties=None, **control):
            results = super().compute(frames, properties, **control)
            for result in results:
                if "born_effective_charges" in result:
                    result["born_effective_charges"] = result[
                        "born_effective_charges"
                    ] + 1e-3 * np.eye(3)
            return results

    broken = Broken(**model.get_params(deep=False))
    broken.__dict__.update(model.__dict__)
    return broken


def test_charges_learned_one_by_one_obey_the_sum_rule_and_no_other_law(frames, new):
    model = BornChargeModel(
        EquivariantPowerSpectrum(expansion()), n_sparse=20, n_channels=40
    ).fit(frames)
    (result,) = model.compute(new[:1])
    charges = result["born_effective_charges"]
    np.testing.assert_allclose(charges.sum(axis=0), 0.0, atol=1e-12)
    expected = crystals.born_charges(new[0])
    rms = np.sqrt(np.mean((charges - expected) ** 2))
    assert rms < 0.2 * np.std(expected)
    results = audit_model(model, new[0], ["born-sum", "born-loop"])
    assert [result.status for result in results] == ["pass", "fail"]
    with pytest.raises(ValueError, match="no frame has born_effective_charges"):
        BornChargeModel().fit(frames[10:12])
