import numpy as np
import pytest
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained
from labelled_structures import soap
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from lodekit.electrostatics import ChargeEquilibration
from lodekit.models.charge_equilibration import ChargeEquilibrationModel
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
