"""Slow twins of the compiled code, written from the equations."""

import numpy as np
from scipy import special


def real_harmonics(max_angular, vectors):
    """Real spherical harmonics of directions, (n_vectors, (max_angular + 1)^2).

    From SciPy's complex ones, without the Condon-Shortley phase.
    """
    x, y, z = np.asarray(vectors, dtype=float).T
    polar = np.arctan2(np.hypot(x, y), z)  # exact at the poles
    azimuth = np.arctan2(y, x)
    columns = []
    for l in range(max_angular + 1):
        for m in range(-l, l + 1):
            value = special.sph_harm_y(l, abs(m), polar, azimuth) * (-1.0) ** m
            if m == 0:
                columns.append(value.real)
            elif m > 0:
                columns.append(np.sqrt(2.0) * value.real)
            else:
                columns.append(np.sqrt(2.0) * value.imag)
    return np.stack(columns, axis=-1)


def orthonormal_orbitals(max_radial, radius, r):
    """Gaussian-type orbitals at r, orthonormalised symmetrically by quadrature."""
    n = np.arange(max_radial + 1)
    widths = radius * np.sqrt(np.maximum(n, 1)) / n.size
    x, weights = np.polynomial.legendre.leggauss(400)
    nodes = 10.0 * radius * (x + 1.0)

    def primitives(points):
        return points[:, None] ** n * np.exp(-0.5 * (points[:, None] / widths) ** 2)

    values = primitives(nodes)
    overlap = values.T @ (values * (10.0 * radius * weights * nodes**2)[:, None])
    norms = 1.0 / np.sqrt(np.diag(overlap))
    eigenvalues, vectors = np.linalg.eigh(overlap * np.outer(norms, norms))
    mixing = (vectors / np.sqrt(eigenvalues)) @ vectors.T * norms
    return primitives(r) @ mixing.T


def project_on_basis(field, max_angular, max_radial, radius, extent):
    """Project a scalar field around the origin on R_n(r) Y_lm, (n_lm, n_radial).

    Quadrature in spherical coordinates: ``field`` takes points of shape (n, 3).
    """
    x, weights = np.polynomial.legendre.leggauss(80)
    r = 0.5 * extent * (x + 1.0)
    radial = orthonormal_orbitals(max_radial, radius, r)
    radial = radial * (0.5 * extent * weights * r**2)[:, None]
    z, z_weights = np.polynomial.legendre.leggauss(32)
    azimuth = 2.0 * np.pi * np.arange(64) / 64
    sine = np.sqrt(1.0 - z**2)[:, None]
    directions = np.stack(
        [
            sine * np.cos(azimuth),
            sine * np.sin(azimuth),
            np.broadcast_to(z[:, None], (32, 64)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    solid_angle = np.repeat(z_weights, 64) * 2.0 * np.pi / 64
    angular = real_harmonics(max_angular, directions) * solid_angle[:, None]
    points = r[:, None, None] * directions
    values = field(points.reshape(-1, 3)).reshape(r.size, -1)
    return angular.T @ values.T @ radial


def smeared_potential(points, positions, smearing):
    """Sum of erf(d / (sqrt(2) s)) / d over unit charges at ``positions``."""
    distances = np.linalg.norm(points[:, None] - positions[None], axis=2)
    return (special.erf(distances / np.sqrt(2.0) / smearing) / distances).sum(axis=1)


def gaussian_density(points, positions, width):
    """Sum of L2-normalised Gaussians at ``positions``."""
    squares = ((points[:, None] - positions[None]) ** 2).sum(axis=2)
    return (np.pi * width**2) ** -0.75 * np.exp(-0.5 * squares / width**2).sum(axis=1)


def periodic_potential(
    positions, cell, centers, smearing, max_angular, max_radial, radius, k_cutoff
):
    """LODE coefficients of one species around ``centers`` by the plain k-sum."""
    reciprocal = 2.0 * np.pi * np.linalg.inv(cell).T
    limits = (k_cutoff * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(int)
    ranges = [np.arange(-size, size + 1) for size in limits]
    indices = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    k_vectors = indices[(indices != 0).any(axis=1)] @ reciprocal
    k = np.linalg.norm(k_vectors, axis=1)
    k_vectors, k = k_vectors[k < k_cutoff], k[k < k_cutoff]
    x, weights = np.polynomial.legendre.leggauss(200)
    r = 3.0 * radius * (x + 1.0)
    orbitals = orthonormal_orbitals(max_radial, radius, r)
    orbitals = orbitals * (3.0 * radius * weights * r**2)[:, None]
    phi = 4.0 * np.pi / k**2 * np.exp(-0.5 * (k * smearing) ** 2)
    factors = np.exp(1j * centers @ k_vectors.T)
    factors *= np.exp(-1j * positions @ k_vectors.T).sum(axis=0) * phi
    harmonics = real_harmonics(max_angular, k_vectors)
    volume = abs(np.linalg.det(cell))
    coefficients = []
    for l in range(max_angular + 1):
        integrals = special.spherical_jn(l, np.outer(k, r)) @ orbitals
        products = harmonics[:, l * l : (l + 1) ** 2, None] * integrals[:, None]
        sums = np.einsum("ik,kmn->imn", factors, products)
        coefficients.append((4.0 * np.pi / volume * 1j**l * sums).real)
    return np.concatenate(coefficients, axis=1)
