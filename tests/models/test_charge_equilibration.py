import copy

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained
from labelled_structures import ATOM_ENERGIES, soap
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from lodekit.electrostatics import ChargeEquilibration
from lodekit.model_file import load_model
from lodekit.models import SparsePotential
from lodekit.models.charge_equilibration import ChargeEquilibrationModel
from lodekit.physics.rows import EnergyRows
from lodekit.units import COULOMB_CONSTANT

HARDNESS = {"H": 13.9, "O": 13.4}
WIDTHS = {"H": 0.4, "O": 0.6}
BOUNDARIES = {"open": False, "slab": (True, True, False), "periodic": True}
NOISES = {"charges": 1e-4, "dipole": 1e-4, "quadrupole": 1e-3}


def model_of(**arguments):
    given = {
        "n_sparse": 30,
        "hardness": HARDNESS,
        "widths": WIDTHS,
        "noises": {},
        "validation_fraction": 0.0,
    }
    return ChargeEquilibrationModel(soap(), **{**given, **arguments})


def electronegativities(atoms):
    """Those of the elements, and what neighbours within 3 Å change."""
    base = np.where(atoms.numbers == 8, 8.0, 4.0)
    distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
    near = np.where(distances < 3.0, (1.0 - distances / 3.0) ** 2, 0.0)
    return base + near.sum(axis=1)


def labelled(atoms, total=0.0):
    """Give a structure equilibrated charges and their moments, in place."""
    table = {1: (13.9, 0.4), 8: (13.4, 0.6)}
    hardness, widths = np.transpose([table[z] for z in atoms.numbers])
    equilibration = ChargeEquilibration(
        atoms.positions, atoms.cell[:], atoms.pbc, hardness, widths
    )
    charges = equilibration.solve(electronegativities(atoms), total).charges
    atoms.info["REF_total_charge"] = total
    atoms.arrays["REF_charges"] = charges
    if not atoms.pbc.any():
        second = np.einsum("i,ia,ib->ab", charges, atoms.positions, atoms.positions)
        atoms.info["REF_dipole"] = charges @ atoms.positions
        atoms.info["REF_quadrupole"] = second - np.trace(second) / 3.0 * np.eye(3)
    return atoms


def molecules(n_frames, seed=0):
    """Clusters of five atoms, every third one charged."""
    return [
        labelled(cluster(5, seed=seed + i), float(i % 3 == 0)) for i in range(n_frames)
    ]


def periodic_case(boundary):
    atoms = triclinic(6, (1, 8), volume_per_atom=8.0, seed=3)
    atoms.pbc = BOUNDARIES[boundary]
    atoms.info["REF_total_charge"] = 0.0
    return atoms


@pytest.fixture(scope="module")
def frames():
    return molecules(40)


@pytest.fixture(scope="module")
def fitted(frames):
    return model_of(targets=["charges"], noises={"charges": 1e-3}).fit(frames)


@pytest.mark.parametrize(
    ("targets", "error"), [(["charges"], 0.02), (["dipole", "quadrupole"], 0.04)]
)
def test_charges_are_learned_from_charges_or_moments(frames, targets, error):
    noises = {name: NOISES[name] for name in targets}
    model = model_of(n_sparse=200, targets=targets, noises=noises).fit(frames)
    kept = molecules(20, seed=100)
    found = np.concatenate([r["charges"] for r in model.compute(kept, ["charges"])])
    expected = np.concatenate([atoms.arrays["REF_charges"] for atoms in kept])
    rmse = np.sqrt(np.mean((found - expected) ** 2))
    assert np.std(expected) > 0.1
    assert rmse < error
    assert model.score(kept) > 0.9


def test_charges_sum_to_the_total_charge(fitted, frames):
    for atoms, result in zip(frames, fitted.compute(frames), strict=True):
        total = atoms.info["REF_total_charge"]
        assert result["charges"].sum() == pytest.approx(total, abs=1e-12)
        dipole = result["charges"] @ atoms.positions
        np.testing.assert_allclose(result["dipole"], dipole, atol=1e-12)


def test_charges_are_affine_in_the_weights(fitted, frames):
    charged = next(atoms for atoms in frames if atoms.info["REF_total_charge"])
    ((_, affine),) = fitted._affine([charged])
    (result,) = fitted.compute(charged, ["charges"])
    np.testing.assert_allclose(
        affine.values(fitted.weights_), result["charges"], atol=1e-12
    )


def test_charges_do_not_depend_on_the_order_or_the_direction(fitted, frames):
    atoms, turned = frames[0], frames[0].copy()
    turned.set_positions(atoms.positions @ random_rotation().T)
    order = [3, 1, 0, 4, 2]
    results = fitted.compute([atoms, turned, atoms[order]], ["charges"])
    np.testing.assert_allclose(results[1]["charges"], results[0]["charges"], atol=1e-10)
    np.testing.assert_allclose(
        results[2]["charges"], results[0]["charges"][order], atol=1e-10
    )


@pytest.mark.parametrize("field", [None, (0.2, -0.3, 0.1)])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_forces_and_stress(fitted, boundary, field):
    atoms = periodic_case(boundary)
    if field is not None and boundary != "open":
        with pytest.raises(ValueError, match="component along a periodic direction"):
            fitted.compute(atoms, field=field)
        return
    names = ["electrostatic_energy", "electrostatic_forces"]
    names += ["electrostatic_stress"] * (boundary == "periodic")
    model = clone(fitted).set_params(accuracy=1e-10)
    model.__dict__.update(fitted.__dict__, accuracy_=1e-10)

    def energy(atoms):
        (result,) = model.compute(atoms, ["electrostatic_energy"], field)
        return result["electrostatic_energy"]

    (result,) = model.compute(atoms, names, field)
    expected = central_differences(
        lambda r: energy(displaced(atoms, r)), atoms.positions, 1e-3
    )
    np.testing.assert_allclose(result["electrostatic_forces"], -expected, atol=1e-6)
    if boundary == "periodic":
        slopes = central_differences(
            lambda e: energy(strained(atoms, e)), np.zeros((3, 3)), 1e-3
        )
        stress = (slopes + slopes.T) / 2.0 / atoms.get_volume()
        expected = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        np.testing.assert_allclose(result["electrostatic_stress"], expected, atol=1e-6)


def test_charges_answer_to_a_field(fitted, frames):
    (plain,) = fitted.compute(frames[1])
    (turned,) = fitted.compute(frames[1], field=[0.0, 0.0, 0.5])
    assert turned["charges"].sum() == pytest.approx(0.0, abs=1e-12)
    assert turned["dipole"][2] > plain["dipole"][2]
    # dU/dE is minus the dipole
    slope = central_differences(
        lambda field: fitted.compute(frames[1], ["electrostatic_energy"], field)[0][
            "electrostatic_energy"
        ],
        [0.1, 0.0, -0.2],
        1e-2,
    )
    (result,) = fitted.compute(frames[1], ["dipole"], [0.1, 0.0, -0.2])
    np.testing.assert_allclose(-slope, result["dipole"], atol=1e-9)


def test_uncertainties_are_those_of_neutral_charges(frames):
    model = model_of(targets=["dipole"], noises={"dipole": 1e-2}).fit(frames)
    ((_, affine),) = model._affine([frames[1]])
    np.testing.assert_allclose(affine.matrix.sum(axis=0), 0.0, atol=1e-12)
    (result,) = model.compute(frames[1], ["dipole_std", "charges_std"])
    rows = np.concatenate([a.matrix for _, a in model._affine([frames[1]])])
    covariance = rows @ model.solution_.apply_covariance(rows.T)
    np.testing.assert_allclose(covariance.sum(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(result["charges_std"] ** 2, np.diag(covariance))
    centred = frames[1].positions - frames[1].positions.mean(axis=0)
    np.testing.assert_allclose(
        result["dipole_std"] ** 2, np.diag(centred.T @ covariance @ centred)
    )


def test_default_hardness_and_widths_are_those_of_covalent_radii(frames):
    model = model_of(hardness=0.5, widths=0.7, targets=["charges"])
    model.fit(frames[:10])
    # B. Cordero et al. (2008): 0.31 Å for H, 0.66 Å for O
    np.testing.assert_allclose(model.widths_, [0.217, 0.462])
    np.testing.assert_allclose(
        model.hardness_, COULOMB_CONSTANT / np.array([0.62, 1.32])
    )


def test_scikit_learn_searches_hardness(frames):
    search = GridSearchCV(
        model_of(targets=["charges"], noises={"charges": 1e-3}),
        {"hardness": [HARDNESS, {"H": 100.0, "O": 4.0}]},
        cv=2,
    ).fit(frames)
    assert search.best_params_["hardness"] == HARDNESS


def test_bad_arguments(fitted, frames):
    for arguments, message in (
        ({"hardness": 0.0}, "hardness must be a positive number"),
        ({"hardness": {"H": 10.0}}, "hardness needs a positive number in V/e for O"),
        ({"widths": {"H": 0.5, "O": 0.0}}, "widths needs a positive number in Å for O"),
    ):
        with pytest.raises(ValueError, match=message):
            model_of(**arguments).fit(frames[:5])
    unknown = frames[0].copy()
    del unknown.info["REF_total_charge"]
    with pytest.raises(ValueError, match="no total_charge"):
        fitted.compute(unknown)
    with pytest.raises(ValueError, match="properties must be among"):
        fitted.compute(frames[0], ["magnetic_moment"])
    with pytest.raises(ValueError, match="stress is defined for fully periodic"):
        fitted.compute(frames[0], ["electrostatic_stress"])
    with pytest.raises(ValueError, match="dipole of a periodic structure"):
        fitted.compute(periodic_case("slab"), ["dipole"])


def with_forces(frames, model):
    """Copies with energy, forces and stress of a model's charges, and a baseline."""
    names = ["electrostatic_energy", "electrostatic_forces"]
    labelled_frames = []
    for atoms in frames:
        wanted = names + ["electrostatic_stress"] * bool(atoms.pbc.all())
        (result,) = model.compute(atoms, wanted)
        results = {
            name.removeprefix("electrostatic_"): value for name, value in result.items()
        }
        results["energy"] += sum(ATOM_ENERGIES[z] for z in atoms.numbers)
        twin = atoms.copy()
        twin.calc = SinglePointCalculator(twin, **results)
        labelled_frames.append(twin)
    return labelled_frames


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_derivatives_by_weights(fitted, frames, name):
    chosen = [frames[0], frames[1][:4]]
    chosen[1].info = dict(frames[1].info)
    if name == "stress":
        chosen = [periodic_case("periodic")]
    model = copy.copy(fitted)
    rows, values = getattr(expansion_of(model, chosen), name)()
    direction = np.random.default_rng(0).normal(size=model.weights_.size)
    start = model.weights_

    def moved(step):
        model.weights_ = start + step * direction
        return getattr(expansion_of(model, chosen), name)()[1]

    step = 1e-3
    slopes = (moved(step) - moved(-step)) / (2.0 * step)
    np.testing.assert_allclose(rows @ direction, slopes, atol=1e-6)
    quadratic = (moved(step) + moved(-step) - 2.0 * values) / step**2
    assert abs(quadratic).max() > 1e-3


@pytest.fixture(scope="module")
def with_energies(fitted, frames):
    return with_forces(frames, fitted)


@pytest.mark.parametrize("targets", [[], ["charges"]])
def test_charges_are_learned_from_energies(fitted, with_energies, targets):
    model = model_of(
        targets=[*targets, "energy", "forces"],
        potential=remainder_potential(),
        noises={"energy": 1e-3, "forces": 1e-2},
    ).fit(with_energies)
    found, expected = (one.compute(with_energies) for one in (model, fitted))
    for mine, yours in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine["charges"], yours["charges"], atol=2e-3)
    errors = [
        result["energy"] - atoms.get_potential_energy()
        for result, atoms in zip(found, with_energies, strict=True)
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 5e-3
    assert model.summary_["n_steps"] < 10
    assert model.score(with_energies) > 0.99


def test_forces_with_a_potential_for_the_remainder(with_energies):
    model = model_of(
        targets=["charges", "energy", "forces"],
        noises={"charges": 1e-3},
        potential=remainder_potential(),
        accuracy=1e-10,
    ).fit(with_energies)
    atoms, field = with_energies[0], (0.1, 0.2, -0.3)

    def energy(positions):
        moved = displaced(atoms, positions)
        return model.compute(moved, ["energy"], field)[0]["energy"]

    (result,) = model.compute(atoms, ["forces"], field)
    expected = central_differences(energy, atoms.positions, 1e-3)
    np.testing.assert_allclose(result["forces"], -expected, atol=1e-6)


def test_a_model_file_brings_everything_back(with_energies, tmp_path):
    model = model_of(
        targets=["dipole", "energy", "forces"],
        noises={"dipole": 1e-2},
        potential=remainder_potential(),
    ).fit(with_energies[:20])
    model.save(tmp_path / "model.lodekit")
    names = ["charges", "dipole_std", "energy", "forces"]
    back = load_model(tmp_path / "model.lodekit")
    for mine, yours in zip(
        model.compute(with_energies[20:], names),
        back.compute(with_energies[20:], names),
        strict=True,
    ):
        for name in names:
            np.testing.assert_array_equal(mine[name], yours[name])


def test_bad_energy_arguments(with_energies, frames):
    for arguments, known, message in (
        (
            {"targets": ["energy"], "learn_from_energies": False},
            with_energies,
            "set learn_from_energies=True",
        ),
        (
            {"targets": ["charges"], "noises": {"dipole": 1.0}},
            frames,
            "noises name 'dipole'",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            model_of(**arguments).fit(known)


def remainder_potential():
    return SparsePotential(soap(), n_sparse=20)


def expansion_of(model, frames):
    return EnergyRows(model.solve(frames))


def test_hardness_is_found(frames):
    # the frames were made with 13.9 V/e for H and 13.4 V/e for O
    model = model_of(
        targets=["charges", "dipole"], hardness="fit", selection=None, n_sparse=60
    ).fit(frames)
    np.testing.assert_allclose(model.hardness_, [13.9, 13.4], rtol=0.1)
    np.testing.assert_allclose(model.widths_, [WIDTHS["H"], WIDTHS["O"]])
    with pytest.raises(ValueError, match="energies alone need them given"):
        model_of(targets=["energy"], hardness="fit").fit(frames)


@pytest.mark.parametrize(("n_frames", "seed"), [(6, 50), (14, 0)])
def test_hardness_is_found_from_few_exact_charges(n_frames, seed):
    # their noise is lost to rounding where the search looks
    few = molecules(n_frames, seed)
    model = model_of(targets=["charges"], noises={}, hardness="fit").fit(few)
    assert model.hardness_ == pytest.approx(list(HARDNESS.values()), rel=0.2)


def test_stiff_charges_are_found():
    frames = molecules(40, seed=100)
    source = model_of(targets=["charges"], hardness=30.0).fit(frames)
    for atoms, result in zip(frames, source.compute(frames, ["charges"]), strict=True):
        atoms.arrays["REF_charges"] = result["charges"]
    model = model_of(targets=["charges"], hardness="fit").fit(frames)
    # all stiff charges are alike: the prior about the stiff start decides; from the
    # soft start alone the search ends at twenty times as much
    np.testing.assert_allclose(model.hardness_, source.hardness_, rtol=0.1)
