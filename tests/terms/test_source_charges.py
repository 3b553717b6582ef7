"""Charges of LODE's sources: by element from the data, or predicted."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import cluster, triclinic
from finite_differences import central_differences, displaced, strained

from lodekit import load_model
from lodekit.errors import SettingsError
from lodekit.settings.potential import build_potential, check_settings, default_settings
from lodekit.structures.stress import symmetric_part
from lodekit.terms.sources import find_charges, neutral_charges

SOAP = {
    "type": "soap",
    "cutoff": 3.0,
    "smoothing_width": 1.0,
    "max_radial": 2,
    "max_angular": 1,
    "n_sparse": 8,
}
LODE = {
    "type": "lode",
    "cutoff": 3.0,
    "density_max_radial": 1,
    "max_angular": 1,
    "n_sparse": 6,
}
TERMS = {"soap": SOAP, "lode": LODE, "induction": {**LODE, "zeta": 2}}
FIT = {"energy_noise": 1e-3, "force_noise": 0.05, "n_ensemble": 2}


def labelled(atoms, seed, with_charges):
    """Numbers at random for targets: derivatives do not depend on what they mean."""
    rng = np.random.default_rng(seed)
    charges = rng.normal(0.0, 0.1, len(atoms)) + np.where(atoms.numbers == 1, 0.4, -0.4)
    results = {
        "energy": rng.normal(),
        "forces": rng.normal(0.0, 0.1, (len(atoms), 3)),
    }
    if with_charges:
        results["charges"] = charges - charges.mean()
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def molecules(with_charges=True, numbers=(1, 8)):
    """H2O2 and H3O2: no charges of H and O make both neutral."""
    sizes = (4, 5) * 5
    frames = [cluster(size, numbers, seed=i) for i, size in enumerate(sizes)]
    return [labelled(atoms, i, with_charges) for i, atoms in enumerate(frames)]


@pytest.fixture(scope="module")
def model():
    return build_potential({"fit": FIT, "terms": TERMS}).fit(molecules())


def slab():
    atoms = triclinic(5, (1, 8))
    atoms.pbc = [True, False, True]
    return atoms


STRUCTURES = {
    "open": cluster(5, (1, 8)),
    "slab": slab(),
    "periodic": triclinic(5, (1, 8)),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_forces_and_stress_of_predicted_sources(model, name):
    atoms = STRUCTURES[name]
    assert model.charge_latent_ is not None
    properties = ["energy", "forces"] + ["stress"] * (name == "periodic")
    result = model.compute(atoms, properties)[0]
    slopes = central_differences(
        lambda r: model.predict(displaced(atoms, r))[0], atoms.positions
    )
    scale = np.abs(slopes).max()
    np.testing.assert_allclose(result["forces"], -slopes, atol=1e-6 * scale)
    if name == "periodic":
        slopes = central_differences(
            lambda e: model.predict(strained(atoms, e))[0], np.zeros((3, 3))
        )
        stress = symmetric_part(slopes) / atoms.get_volume()
        scale = np.abs(stress).max()
        np.testing.assert_allclose(result["stress"], stress, atol=1e-6 * scale)


@pytest.mark.parametrize("name", STRUCTURES)
def test_rows_of_predicted_sources_are_what_is_predicted(model, name):
    """Rows times weights are the energy and the forces."""
    from lodekit.observables.energy import EnergyTargets

    atoms = STRUCTURES[name]
    zeros = {"energy": [0.0], "forces": [np.zeros((5, 3))]}
    if name == "periodic":
        zeros["stress"] = [np.zeros(6)]
    rows = model._rows([atoms], EnergyTargets(zeros))
    result = model.compute(atoms)[0]
    baseline = model.baseline_ @ np.array([3, 2])
    found = {target: own.matrix @ model.weights_ for target, own in rows.items()}
    energy = found["energy"][0] * 5 + baseline
    assert energy == pytest.approx(result["energy"], rel=1e-9)
    np.testing.assert_allclose(
        found["forces"].reshape(5, 3), result["forces"], atol=1e-9
    )
    if name == "periodic":
        np.testing.assert_allclose(found["stress"], result["stress"], atol=1e-9)


def test_a_saved_model_predicts_the_same_bits(model, tmp_path):
    model.save(tmp_path / "model.lodekit")
    loaded = load_model(tmp_path / "model.lodekit")
    for atoms in STRUCTURES.values():
        old, new = (one.compute(atoms)[0] for one in (model, loaded))
        for name, value in old.items():
            np.testing.assert_array_equal(new[name], value)


def test_charges_are_learned_from_energies_where_there_are_none():
    frames = molecules(with_charges=False)
    terms = {"soap": SOAP, "lode": LODE}
    model = build_potential({"fit": FIT, "terms": terms}).fit(frames)
    batch = model.charge_latent_.evaluate
    from lodekit.structures.batch import StructureBatch

    charges = batch(StructureBatch.from_frames(frames)).values
    assert np.abs(charges).max() > 1e-6
    sums = np.add.reduceat(charges, [0, 4])
    assert sums[0] == pytest.approx(0.0, abs=1e-12)


def test_total_charges_are_those_of_the_frames(model):
    from lodekit.structures.batch import StructureBatch

    ion = STRUCTURES["open"].copy()
    ion.info["total_charge"] = 2
    charges = model.charge_latent_.evaluate(StructureBatch.from_frames(ion)).values
    assert charges.sum() == pytest.approx(2.0, abs=1e-12)


def water(n=2):
    return Atoms("OH2" * n, np.random.default_rng(0).normal(size=(3 * n, 3)))


def salt_water():
    return water() + Atoms("NaCl", [[5, 0, 0], [0, 5, 0]])


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([water()], {"H": [1.0], "O": [-2.0]}),
        (
            [water(), salt_water()],
            {"H": [1, 0], "O": [-2, 0], "Na": [0, 1], "Cl": [0, -1]},
        ),
        ([water(), Atoms("OH", np.eye(3)[:2])], {}),
        ([Atoms("Cu4", np.eye(4, 3))], {}),
        ([water(), Atoms("H"), Atoms("O")], {"H": [1.0], "O": [-2.0]}),
    ],
)
def test_charges_of_elements_are_neutral(frames, expected):
    found = find_charges(frames)
    assert set(found) == set(expected)
    for symbol, charges in expected.items():
        np.testing.assert_allclose(found[symbol], charges, atol=1e-12)


def test_ions_tell_what_the_unit_of_charge_is():
    # Na8Cl8 and Na9Cl8+: one unit for every atom
    charges = neutral_charges(np.array([[8, 8], [9, 8]]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(charges, [[1.0, -1.0]], atol=1e-12)


def test_charges_of_the_frames_decide_where_there_are_any():
    frames = [
        labelled(atoms, 0, True)
        for atoms in (Atoms("HOHO", np.eye(4, 3)), Atoms("HO", np.eye(3)[:2]))
    ]
    found = find_charges(frames)
    known = np.concatenate([atoms.get_charges() for atoms in frames])
    numbers = np.concatenate([atoms.numbers for atoms in frames])
    mean = 0.5 * (known[numbers == 1].mean() - known[numbers == 8].mean())
    assert found == {"H": [pytest.approx(mean)], "O": [pytest.approx(-mean)]}


def crystal(symbols):
    atoms = Atoms(symbols, np.eye(4, 3) * 2.0, cell=np.eye(3) * 4.0, pbc=True)
    return labelled(atoms, 0, False)


def test_alloys_have_no_terms_of_charges():
    frames = [crystal("Cu4"), crystal("Cu3Au"), crystal("CuAu3")] * 2
    model = build_potential({"fit": FIT, "terms": TERMS}).fit(frames)
    assert len(model.kernels_) == 1
    assert model.charge_latent_ is None


def test_charges_that_cannot_be_learned_are_units_and_this_is_said():
    frames = molecules(with_charges=False)
    frames[0].info["total_charge"] = 0  # and the others have none
    with pytest.warns(UserWarning, match="units by species: .*total_charge"):
        model = build_potential({"fit": FIT, "terms": TERMS}).fit(frames)
    assert model.charge_latent_ is None
    assert model.kernels_[1].descriptor.right.charges is None


def test_oxides_have_those_of_elements():
    frames = [crystal("Zn2O2")] * 3
    model = build_potential({"fit": FIT, "terms": TERMS}).fit(frames)
    charges = model.kernels_[1].descriptor.right.charges
    assert charges == {"O": [1.0], "Zn": [pytest.approx(-1.0)]}
    assert model.charge_latent_ is None


@pytest.mark.parametrize(
    ("charges", "message"),
    [
        ("dat", r'\[terms.lode\] charges must be "data", "species"'),
        ({"Q": 1.0}, r"\[terms.lode\] `charges` has no element 'Q'"),
        (3.0, r"must be a table"),
    ],
)
def test_settings_that_make_no_sense_are_refused(charges, message):
    with pytest.raises(SettingsError, match=message):
        check_settings({"terms": {"lode": {**LODE, "charges": charges}}})


def test_default_terms_are_complete():
    settings = default_settings([water()])
    assert check_settings(settings) == settings
    assert settings["terms"]["dispersion"]["exponent"] == 6
