import numba
import numpy as np
import pytest
from crystals import triclinic
from finite_differences import central_differences

from lodekit.numerics.mesh import Mesh, change_of_axes, monomials
from lodekit.numerics.mesh_accuracy import mesh_parameters

K_CUTOFF = 3.0
CELLS = {
    "triclinic": triclinic(30).cell.array,
    "skewed": np.array([[9.0, 0.0, 0.0], [6.0, 7.0, 0.0], [-5.0, 4.0, 8.0]]),
    "smaller than a spline": np.array([[2.5, 0.0, 0.0], [0.4, 3.0, 0.0], [0, 1, 20.0]]),
}


def make(cell, spacing=0.45, order=12, n_atoms=30, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(n_atoms, 3)) * 10.0 + shift
    return positions, Mesh(positions, cell, K_CUTOFF, spacing, order)


def phase_derivatives(positions, k, degree):
    """Derivatives of exp(ik.R), (n_monomials, n_atoms, n_k), in closed form."""
    powers = np.prod((1j * k[:, None]) ** monomials(degree), axis=2)
    return np.exp(1j * positions @ k.T) * powers.T[:, None]


def random_spectra(mesh, n_channels=2, seed=1):
    rng = np.random.default_rng(seed)
    decay = np.exp(-np.einsum("kd,kd->k", mesh.k_vectors, mesh.k_vectors))[:, None]
    shape = (len(mesh.k_vectors), n_channels)
    return decay * (rng.normal(size=shape) + 1j * rng.normal(size=shape))


@pytest.mark.parametrize("name", CELLS)
def test_k_vectors_are_half_of_all_within_the_cutoff(name):
    cell = CELLS[name]
    k = make(cell)[1].k_vectors
    # a box of indices far larger than the sphere
    grid = np.stack(np.meshgrid(*[np.arange(-25, 26)] * 3), axis=-1).reshape(-1, 3)
    every = grid @ (2.0 * np.pi * np.linalg.inv(cell).T)
    size = np.linalg.norm(every, axis=1)
    expected = every[(size < K_CUTOFF) & (size > 0)]
    both = np.concatenate([k, -k])
    assert len(both) == len(expected)
    order = [np.lexsort(np.round(array, 6).T) for array in (both, expected)]
    np.testing.assert_allclose(both[order[0]], expected[order[1]], atol=1e-10)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    ("spacing", "order", "error"), [(0.5, 8, 3e-2), (0.45, 12, 3e-4), (0.2, 14, 1e-10)]
)
def test_sums_equal_phases_one_by_one(name, spacing, order, error):
    positions, mesh = make(CELLS[name], spacing, order)
    spectra = random_spectra(mesh)
    phases = phase_derivatives(positions, mesh.k_vectors, 3)
    expected = np.einsum("mik,kc->mic", phases, spectra).real
    values = mesh.evaluate(spectra, 3)
    scale = np.abs(expected).max(axis=(1, 2), keepdims=True)
    np.testing.assert_array_less(np.abs(values - expected) / scale, error)
    sources = np.random.default_rng(2).normal(size=(10, len(positions), 2))
    expected = np.einsum("mik,mic->kc", phases[:10].conj(), sources)
    error = error * np.abs(expected).max()
    np.testing.assert_allclose(mesh.transform(sources, 2), expected, rtol=0, atol=error)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("degree", [0, 1, 3])
def test_transform_is_the_transpose_of_evaluate_to_the_last_digits(name, degree):
    # a coarse mesh: its errors must be the same both ways
    positions, mesh = make(CELLS[name], 0.9, 6)
    spectra = random_spectra(mesh)
    values = mesh.evaluate(spectra, degree)
    sources = np.random.default_rng(2).normal(size=values.shape)
    product = np.sum(mesh.transform(sources, degree).conj() * spectra).real
    np.testing.assert_allclose(np.sum(sources * values), product, rtol=1e-11)


@pytest.mark.parametrize("name", CELLS)
def test_derivatives_are_those_of_the_computed_values(name):
    positions, mesh = make(CELLS[name], 0.9, 7, n_atoms=4)
    spectra = random_spectra(mesh)

    def moved(shift):
        mesh = Mesh(positions + shift, CELLS[name], K_CUTOFF, 0.9, 7)
        return mesh.evaluate(spectra)[0]

    steps = central_differences(moved, np.zeros(3), 1e-3)
    values = mesh.evaluate(spectra, 1)[1:]
    scale = np.abs(values).max()
    np.testing.assert_allclose(steps, values, atol=1e-7 * scale)


def test_atoms_on_grid_points_and_outside_the_cell():
    cell = 6.0 * np.eye(3)
    positions = np.array([[0.0, 0.0, 0.0], [6.0, 0.0, -6.0], [-1e-17, 1e-17, 0.0]])
    mesh = Mesh(positions, cell, K_CUTOFF, 0.5, 10)
    values = mesh.evaluate(random_spectra(mesh), 1)
    np.testing.assert_allclose(
        values[:, 1:], values[:, :1].repeat(2, axis=1), rtol=1e-9
    )


def test_a_mesh_finer_than_needed_has_an_exact_sum_rule():
    # values of one at one atom: the phases themselves, of size one
    positions, mesh = make(CELLS["triclinic"], 0.2, 16, n_atoms=1)
    sizes = np.abs(mesh.transform(np.ones((1, 1, 1))))
    np.testing.assert_allclose(sizes, 1.0, atol=1e-10)


@pytest.mark.parametrize("accuracy", [1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("name", CELLS)
def test_chosen_parameters_keep_the_accuracy(name, accuracy):
    # potentials of 30 Gaussian charges of width 1 Å at random places: the squared error
    # is a sum over k-vectors, with a weight for the share of k-space around each
    cell = CELLS[name]
    positions, mesh = make(cell)
    volume = mesh.volume
    k = np.linspace(0.02, K_CUTOFF, 150)
    potential = 4.0 * np.pi * np.exp(-0.5 * k**2) / k**2 / volume
    density_of_states = volume * k**2 / (2.0 * np.pi**2) * k[0]
    degrees = np.arange(3)
    weights = potential * np.sqrt(density_of_states * len(positions))
    weights = weights[:, None] * k[:, None] ** degrees
    spacing, order = mesh_parameters(k, weights, accuracy)
    mesh = Mesh(positions, cell, K_CUTOFF, spacing, order)
    k2 = np.einsum("kd,kd->k", mesh.k_vectors, mesh.k_vectors)
    green = 8.0 * np.pi * np.exp(-0.5 * k2) / k2 / volume
    phases = phase_derivatives(positions, mesh.k_vectors, 2)
    exact = (phases * (phases[0].conj().sum(axis=0) * green)).sum(axis=2).real
    factors = mesh.transform(np.ones((1, len(positions), 1)))
    values = mesh.evaluate(factors * green[:, None], 2)[..., 0]
    errors = np.sqrt(np.mean((values - exact) ** 2, axis=1))
    assert errors.max() < accuracy
    # neither wasteful nor lucky; tiny cells have few k-vectors and rounded grids
    if name == "triclinic":
        assert errors.max() > 1e-3 * accuracy


def test_a_spacing_too_wide_for_the_cutoff_is_refused():
    with pytest.raises(ValueError, match=r"below pi / k_cutoff = 1\.047"):
        make(CELLS["triclinic"], spacing=1.2)


def test_an_accuracy_out_of_reach_is_refused():
    k = np.linspace(0.1, 3.0)
    with pytest.raises(ValueError, match="no mesh reaches an accuracy of 1e-200"):
        mesh_parameters(k, np.ones((50, 1)), 1e-200)


def test_sources_of_another_shape_are_refused():
    mesh = make(CELLS["triclinic"])[1]
    with pytest.raises(ValueError, match=r"shape \(4, 30, n_channels\).* got \(30, 4"):
        mesh.transform(np.ones((30, 4, 1)), degree=1)


def test_rows_combine_derivatives_at_some_atoms():
    positions, mesh = make(CELLS["skewed"], n_atoms=6)
    spectra = random_spectra(mesh)
    rows = np.random.default_rng(5).normal(size=(3, 10))
    values = np.tensordot(rows, mesh.evaluate(spectra, 2), 1)
    np.testing.assert_allclose(mesh.evaluate(spectra, 2, rows), values, atol=1e-10)
    atoms = np.array([4, 0, 3])
    some = mesh.interpolate(mesh.fields(spectra), atoms, 2, rows)
    np.testing.assert_allclose(some, values[:, atoms], atol=1e-10)
    sources = np.random.default_rng(6).normal(size=(3, 6, 2))
    expected = mesh.transform(np.einsum("rm,ric->mic", rows, sources), 2)
    np.testing.assert_allclose(mesh.transform(sources, 2, rows), expected, atol=1e-9)


def test_change_of_axes_acts_on_monomials():
    rng = np.random.default_rng(3)
    axes, u = rng.normal(size=(3, 3)), rng.normal(size=3)
    exponents = monomials(4)
    expected = np.prod((axes @ u) ** exponents, axis=1)
    values = change_of_axes(axes, 4) @ np.prod(u**exponents, axis=1)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.compiled
def test_results_do_not_depend_on_the_number_of_threads():
    _, mesh = make(CELLS["triclinic"] * 3.0, 0.6, 8, n_atoms=500)
    assert mesh.tiling[0].min() > 1
    sources = np.random.default_rng(4).normal(size=(4, 500, 3))
    results = []
    before = numba.get_num_threads()
    for n_threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(n_threads)
        spectra = mesh.transform(sources, 1)
        results.append((spectra, mesh.evaluate(spectra, 2)))
    numba.set_num_threads(before)
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
