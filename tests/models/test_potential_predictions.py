import numba
import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, triclinic
from labelled_structures import (
    ATOM_ENERGIES,
    differences,
    energies_of,
    lode,
    moved_frames,
    open_frames,
    periodic_frames,
    soap,
    strained_frames,
)

from lodekit.descriptors import PowerSpectrum
from lodekit.models import SparsePotential, prediction, sparse_potential
from lodekit.regression import PolynomialCovariance

STEP = 1e-3  # Å, and as strain
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
OPEN, PERIODIC = cluster(4, seed=77), triclinic(3, (1, 8), 8.0, seed=77)


def two_terms(**arguments):
    """SOAP and LODE side by side; they share the density."""
    short = soap()
    long = PowerSpectrum(short.left, lode().right)
    return SparsePotential(
        [short, long],
        [PolynomialCovariance(2), PolynomialCovariance(1, "mean", 0.5)],
        [6, 4],
        energy_noise=1e-3,
        force_noise=1e-2,
        stress_noise=1e-3,
        validation_fraction=0.0,
        n_ensemble=4,
        **arguments,
    )


@pytest.fixture(scope="module")
def model():
    return two_terms().fit(open_frames(6) + periodic_frames(6))


def assert_same(first, second, rtol=0.0):
    """All properties of all frames are equal, relative to the largest of each."""
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            scale = np.abs(one[name]).max()
            np.testing.assert_allclose(
                other[name], one[name], rtol=0, atol=rtol * scale, err_msg=name
            )


@pytest.mark.parametrize("atoms", [OPEN, PERIODIC, triclinic(1, (8,), 8.0)])
def test_forces_are_minus_the_energy_gradient(model, atoms):
    forces = model.compute(atoms, ["forces"])[0]["forces"]
    energies = model.predict(moved_frames(atoms, STEP))
    numerical = -differences(energies, STEP).reshape(forces.shape)
    np.testing.assert_allclose(forces, numerical, rtol=0, atol=1e-7)  # eV/Å
    assert abs(forces).max() > 0.01 or len(atoms) == 1


@pytest.mark.parametrize("atoms", [PERIODIC, triclinic(1, (8,), 8.0)])
def test_stress_is_the_strain_derivative_of_the_energy(model, atoms):
    stress = model.compute(atoms, ["stress"])[0]["stress"]
    energies = model.predict(strained_frames(atoms, STEP))
    gradient = differences(energies, STEP).reshape(3, 3) / atoms.get_volume()
    numerical = [0.5 * (gradient[a, b] + gradient[b, a]) for a, b in VOIGT]
    np.testing.assert_allclose(stress, numerical, rtol=0, atol=1e-8)  # eV/Å^3
    assert abs(stress).max() > 1e-3


def test_atomic_energies_sum_to_the_energy(model):
    for result in model.compute([OPEN, PERIODIC]):
        assert result["energies"].sum() == pytest.approx(result["energy"], rel=1e-12)


def test_predictions_turn_with_the_structure(model):
    rotation = random_rotation(3)
    turned = PERIODIC.copy()
    turned.set_cell(PERIODIC.cell.array @ rotation)
    turned.set_positions(PERIODIC.positions @ rotation + 0.7)
    before, after = model.compute([PERIODIC, turned])
    assert after["energy"] == pytest.approx(before["energy"], abs=1e-9)
    forces = before["forces"] @ rotation
    np.testing.assert_allclose(after["forces"], forces, rtol=0, atol=1e-8)
    matrix = np.empty((2, 3, 3))
    for k, result in enumerate((before, after)):
        for value, (a, b) in zip(result["stress"], VOIGT, strict=True):
            matrix[k, a, b] = matrix[k, b, a] = value
    stress = rotation.T @ matrix[0] @ rotation
    np.testing.assert_allclose(matrix[1], stress, rtol=0, atol=1e-9)


def test_predictions_follow_a_permutation(model):
    order = [2, 0, 1]
    before, after = model.compute([PERIODIC, PERIODIC[order]])
    assert after["energy"] == pytest.approx(before["energy"], rel=1e-12)
    for name in ("forces", "energies"):
        np.testing.assert_allclose(after[name], before[name][order], rtol=0, atol=1e-9)


def test_supercells_have_multiple_energies_and_the_same_forces_and_stress(model):
    one, many = model.compute([PERIODIC, PERIODIC.repeat((2, 1, 2))])
    # the accuracy of LODE is 1e-6, and the range of its near part depends on the cell
    assert many["energy"] == pytest.approx(4 * one["energy"], abs=1e-5)
    np.testing.assert_allclose(
        many["forces"], np.tile(one["forces"], (4, 1)), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(many["stress"], one["stress"], rtol=0, atol=1e-6)


def test_molecules_far_apart_have_the_sum_of_their_energies():
    # beyond the cutoff of SOAP; LODE sees further
    model = SparsePotential(
        soap(), n_sparse=6, energy_noise=1e-3, force_noise=1e-2, n_ensemble=1
    ).fit(open_frames(6))
    other = cluster(3, seed=78)
    other.translate([0.0, 0.0, 50.0])
    alone = model.predict([OPEN, other])
    assert model.predict([OPEN + other])[0] == pytest.approx(alone.sum(), rel=1e-13)


def test_predictions_do_not_depend_on_batches(model, monkeypatch):
    frames = open_frames(3, seed=30) + periodic_frames(3, seed=30)
    whole = model.compute(frames)
    one_by_one = [model.compute(atoms)[0] for atoms in frames]
    assert_same(whole, one_by_one, 1e-12)
    monkeypatch.setattr(prediction, "BATCH_ATOMS", 8)
    assert_same(whole, model.compute(frames), 1e-12)


def test_deviations_do_not_depend_on_batches(model, monkeypatch):
    names = ["energy_std", "energies_std", "forces_std"]
    frames = open_frames(3, seed=30)
    whole = model.compute(frames, names)
    monkeypatch.setattr(prediction, "BATCH_ATOMS", 1)
    assert_same(whole, model.compute(frames, names), 1e-10)


def test_the_fit_does_not_depend_on_batches(model, monkeypatch):
    monkeypatch.setattr(sparse_potential, "ROW_BYTES", 1.0)  # frame by frame
    again = two_terms().fit(open_frames(6) + periodic_frames(6))
    frames = [OPEN, PERIODIC]
    assert_same(model.compute(frames), again.compute(frames), 1e-7)


@pytest.mark.slow  # where cores are shared, threads wait for each other
@pytest.mark.skipif(
    numba.config.NUMBA_NUM_THREADS < 2, reason="needs NUMBA_NUM_THREADS of at least 2"
)
def test_results_are_the_same_to_the_bit_for_any_number_of_threads():
    results = []
    for n_threads in (1, 2):
        before = numba.get_num_threads()
        numba.set_num_threads(n_threads)
        try:
            fitted = two_terms().fit(open_frames(2) + periodic_frames(2))
            results.append(fitted.compute([OPEN, PERIODIC]))
        finally:
            numba.set_num_threads(before)
    assert_same(*results)


def test_properties_come_in_their_shapes_and_only_those_asked_for(model):
    open_result, periodic_result = model.compute([OPEN, PERIODIC])
    assert set(open_result) == {"energy", "forces", "energies"}
    assert set(periodic_result) == {"energy", "forces", "energies", "stress"}
    names = [*prediction.PROPERTIES]
    result = model.compute(PERIODIC, names)[0]
    assert set(result) == set(names)
    assert isinstance(result["energy"], float)
    assert isinstance(result["energy_std"], float)
    shapes = {
        "forces": (3, 3),
        "stress": (6,),
        "energies": (3,),
        "energies_std": (3,),
        "forces_std": (3, 3),
    }
    for name, shape in shapes.items():
        assert result[name].shape == shape
    assert model.compute(PERIODIC, "energy") == model.compute(PERIODIC, ["energy"])
    assert model.compute(PERIODIC, []) == [{}]


def test_predict_returns_total_energies(model):
    frames = [OPEN, PERIODIC]
    energies = model.predict(frames)
    assert energies.shape == (2,)
    assert energies.tolist() == [r["energy"] for r in model.compute(frames)]
    assert model.predict(OPEN).shape == (1,)


def test_score_is_r2_of_energies_per_atom(model):
    frames = open_frames(3, 4, seed=40) + open_frames(3, 6, seed=40)
    sizes = np.array([len(atoms) for atoms in frames])
    true, predicted = energies_of(frames) / sizes, model.predict(frames) / sizes
    residual = ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum()
    assert model.score(frames) == pytest.approx(1.0 - residual)
    assert model.score(frames, energies_of(frames)) == model.score(frames)


def test_scores_do_not_count_what_the_composition_explains():
    # frames of two compositions, whose energies per atom lie 40 eV apart
    train, frames = (
        open_frames(3, 4, seed=seed) + open_frames(3, 5, seed=seed) for seed in (0, 40)
    )
    model = two_terms().fit(train)
    sizes = np.array([len(atoms) for atoms in frames])
    counts = np.array([[(a.numbers == z).sum() for z in (1, 8)] for a in frames])
    baseline = counts @ model.baseline_
    true, predicted = (
        (values - baseline) / sizes
        for values in (energies_of(frames), model.predict(frames))
    )
    residual = ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum()
    assert model.score(frames) == pytest.approx(1.0 - residual)
    assert (energies_of(frames) / sizes).std() > 100.0 * true.std()


def test_no_frames_give_no_results(model):
    assert model.compute([]) == []
    assert model.predict([]).shape == (0,)


def test_a_frame_without_atoms_is_named(model):
    with pytest.raises(ValueError, match=r"frame 2 \(index 1\) has no atoms; leave it"):
        model.compute([OPEN, Atoms()])


def test_one_atom_has_an_energy_and_no_forces(model):
    result = model.compute(Atoms("O"))[0]
    np.testing.assert_array_equal(result["forces"], np.zeros((1, 3)))
    assert result["energies"].shape == (1,)
    assert np.isfinite(result["energy"])


def test_atoms_out_of_reach_have_the_energies_of_single_atoms():
    model = SparsePotential(
        soap(),
        n_sparse=6,
        energy_noise=1e-3,
        force_noise=1e-2,
        baseline=ATOM_ENERGIES,
        n_ensemble=1,
    ).fit(open_frames(6))
    apart = model.compute(Atoms("HO", [[0, 0, 0], [0, 0, 9.0]]))[0]
    assert apart["energy"] == pytest.approx(
        model.predict([Atoms("H"), Atoms("O")]).sum()
    )
    np.testing.assert_array_equal(apart["forces"], np.zeros((2, 3)))


def test_frames_are_not_changed(model):
    frames = periodic_frames(2, seed=60)
    copies = [atoms.copy() for atoms in frames]
    model.compute(frames)
    two_terms().fit(frames)
    for atoms, copy in zip(frames, copies, strict=True):
        np.testing.assert_array_equal(atoms.positions, copy.positions)
        assert atoms.info == copy.info
        assert atoms.arrays.keys() == copy.arrays.keys()
        assert set(atoms.calc.results) == {"energy", "forces", "stress"}
