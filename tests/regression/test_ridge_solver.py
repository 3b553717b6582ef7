import numpy as np
import pytest
from scipy import linalg

from lodekit.regression import PolynomialCovariance
from lodekit.regression.normal_equations import (
    Gram,
    QrEquations,
    solve_normal_equations,
)

RANK = 7
NOISES = {"energy": 0.3, "forces": 0.8}


def random_rows(n_energies=9, n_forces=24, seed=0):
    """Rows, targets and row weights of two targets."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(size=(n, RANK)), rng.normal(size=n), rng.uniform(0.5, 2, n))
        for name, n in (("energy", n_energies), ("forces", n_forces))
    }


def fold(rows, n_batches=3, rank=RANK):
    grams = {name: Gram(rank) for name in rows}
    for name, arrays in rows.items():
        for part in zip(*(np.array_split(a, n_batches) for a in arrays), strict=True):
            grams[name].add(*part)
    return grams


def stack(rows):
    """All rows, targets and noise standard deviations."""
    matrix = np.concatenate([part[0] for part in rows.values()])
    values = np.concatenate([part[1] for part in rows.values()])
    noise = np.concatenate(
        [NOISES[name] / np.sqrt(part[2]) for name, part in rows.items()]
    )
    return matrix, values, noise


def dense_ridge(matrix, values, noise):
    """Weights and covariance of (1 + Phi^T S^-1 Phi) w = Phi^T S^-1 y."""
    precision = np.eye(matrix.shape[1]) + matrix.T @ (matrix / noise[:, None] ** 2)
    covariance = np.linalg.inv(precision)
    return covariance @ matrix.T @ (values / noise**2), covariance


def run_qr(rows, n_batches=3):
    equations = QrEquations(RANK, NOISES)
    for name, arrays in rows.items():
        parts = (np.array_split(array, n_batches) for array in arrays)
        for part in zip(*parts, strict=True):
            equations.add(name, *part)
    return equations.solve(NOISES)


@pytest.mark.parametrize("n_batches", [1, 3, 9])
@pytest.mark.parametrize("solver", ["cholesky", "qr"])
def test_posterior_is_that_of_dense_ridge_regression(solver, n_batches):
    rows = random_rows()
    weights, covariance = dense_ridge(*stack(rows))
    if solver == "qr":
        solution = run_qr(rows, n_batches)
    else:
        solution = solve_normal_equations(fold(rows, n_batches), NOISES)
    np.testing.assert_allclose(solution.weights, weights, rtol=1e-10)
    inverse = np.linalg.inv(solution.factor @ solution.factor.T)
    np.testing.assert_allclose(inverse, covariance, rtol=1e-9, atol=1e-14)
    assert (np.diag(solution.factor) > 0).all()
    np.testing.assert_array_equal(np.triu(solution.factor, 1), 0.0)


def test_fewer_rows_than_weights_keep_the_prior():
    rows = random_rows(2, 1)
    weights, covariance = dense_ridge(*stack(rows))
    for solution in (solve_normal_equations(fold(rows, 1), NOISES), run_qr(rows, 1)):
        np.testing.assert_allclose(solution.weights, weights, rtol=1e-10)
        test = np.eye(RANK)
        np.testing.assert_allclose(
            solution.standard_deviations(test), np.sqrt(np.diag(covariance)), rtol=1e-10
        )


def test_gram_sums_what_it_was_given():
    matrix, values, weights = random_rows()["forces"]
    gram = fold({"forces": (matrix, values, weights)})["forces"]
    lower = np.tril_indices(RANK)
    expected = (matrix.T * weights) @ matrix
    np.testing.assert_allclose(gram.matrix[lower], expected[lower], rtol=1e-12)
    np.testing.assert_allclose(gram.moment, matrix.T @ (weights * values), rtol=1e-11)
    assert gram.square == pytest.approx((weights * values**2).sum())
    assert gram.log_weights == pytest.approx(np.log(weights).sum())
    assert gram.n_rows == 24


def test_no_rows_add_nothing():
    gram = Gram(RANK)
    gram.add(np.zeros((0, RANK)), np.zeros(0))
    assert gram.n_rows == 0
    np.testing.assert_array_equal(gram.matrix, 0.0)


def test_standard_deviations_are_those_of_the_posterior_covariance():
    rows = random_rows()
    _, covariance = dense_ridge(*stack(rows))
    test = np.random.default_rng(1).normal(size=(5, RANK))
    expected = np.sqrt(np.einsum("nr,rs,ns->n", test, covariance, test))
    solution = solve_normal_equations(fold(rows), NOISES)
    np.testing.assert_allclose(solution.standard_deviations(test), expected, rtol=1e-11)


def test_condition_number_and_effective_rank_are_those_of_numpy():
    rows = random_rows()
    solution = solve_normal_equations(fold(rows), NOISES)
    _, covariance = dense_ridge(*stack(rows))
    # 30 power iterations reach the extreme eigenvalues to a few per cent
    expected = np.linalg.cond(np.linalg.inv(covariance))
    assert solution.condition_number == pytest.approx(expected, rel=0.05)
    expected = RANK - np.trace(covariance)
    assert solution.effective_rank == pytest.approx(expected, rel=1e-10)


def test_effective_rank_counts_the_directions_that_data_determine():
    matrix = np.zeros((3, RANK))
    matrix[[0, 1, 2], [0, 1, 2]] = 1e4
    rows = {"energy": (matrix, np.ones(3), np.ones(3))}
    solution = solve_normal_equations(fold(rows, 1), NOISES)
    assert solution.effective_rank == pytest.approx(3.0, abs=1e-6)


def test_rows_of_any_condition_are_solved_by_qr():
    # Phi = U s V^T has the ridge solution V s / (s^2 + noise^2) U^T y. With s / noise
    # from 1e10 down, squaring the rows leaves no digits.
    rng = np.random.default_rng(2)
    left = np.linalg.qr(rng.normal(size=(30, RANK)))[0]
    right = np.linalg.qr(rng.normal(size=(RANK, RANK)))[0]
    singular = np.logspace(0, -9, RANK)
    noise = 1e-10
    weights = right @ np.linspace(1.0, 2.0, RANK)
    matrix = (left * singular) @ right.T
    # (s^2 + noise^2) / s^2 is 1 but for the last: the weights come back
    values = (left * (singular + noise**2 / singular)) @ right.T @ weights
    equations = QrEquations(RANK, {"energy": noise})
    for part, target in zip(np.split(matrix, 3), np.split(values, 3), strict=True):
        equations.add("energy", part, target)
    error = abs(equations.solve({"energy": noise}).weights - weights).max()
    assert error < 1e-5
    gram = Gram(RANK)
    gram.add(matrix, values)
    try:
        lost = solve_normal_equations({"energy": gram}, {"energy": noise}).weights
    except linalg.LinAlgError:
        return
    assert abs(lost - weights).max() > 1e3 * error


def test_feature_map_keeps_the_digits_that_plain_normal_equations_lose():
    # Environments on a line in feature space: K_MM has a condition number beyond 1e16.
    # The reference is the Gaussian process of the targets, which never inverts K_MM.
    covariance = PolynomialCovariance(3, "mean", 1.0)
    rng = np.random.default_rng(3)
    place = rng.uniform(-1, 1, size=(40, 1))
    features = np.hstack([np.ones_like(place), place, place**2, place**3])
    points, noise = features[:15], 1e-4
    k_mm = covariance.matrix(points, points)
    k_nm = covariance.matrix(features, points)
    assert np.linalg.cond(k_mm) > 1e15
    eigenvalues, vectors = np.linalg.eigh(k_mm)
    kept = eigenvalues > 1e-12 * eigenvalues[-1]
    rows = k_nm @ (vectors[:, kept] / np.sqrt(eigenvalues[kept]))
    values = np.sin(4 * place[:, 0]) + noise * rng.normal(size=40)
    gram_matrix = rows @ rows.T
    solved = linalg.solve(gram_matrix + noise**2 * np.eye(40), values, assume_a="pos")
    reference = gram_matrix @ solved

    gram = Gram(rows.shape[1])
    gram.add(rows, values)
    solution = solve_normal_equations({"energy": gram}, {"energy": noise})
    equations = QrEquations(rows.shape[1], {"energy": noise})
    equations.add("energy", rows, values)
    for result in (solution, equations.solve({"energy": noise})):
        error = abs(rows @ result.weights - reference).max()
        assert error < 1e-6

    plain = k_nm.T @ k_nm / noise**2 + k_mm
    # a least-squares solution: to some processors this matrix is singular
    coefficients = np.linalg.lstsq(plain, k_nm.T @ values / noise**2, rcond=0.0)[0]
    lost = k_nm @ coefficients
    assert abs(lost - reference).max() > 100 * error
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(plain)


def test_rows_that_no_noise_can_rescue_give_one_line():
    # Rounding of the squares, 1e36 * 1e-16, is larger than the prior of 1.
    gram = Gram(8)
    gram.add(1e12 * np.random.default_rng(0).normal(size=(3, 8)), np.ones(3))
    with pytest.raises(
        linalg.LinAlgError,
        match=r"not positive definite; raise the noise \(energy = 1e-06\), or use",
    ):
        solve_normal_equations({"energy": gram}, {"energy": 1e-6})
