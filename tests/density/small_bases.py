"""Small bases and structures that tests of densities share, and slow twins."""

from functools import lru_cache

import numpy as np
from ase import Atoms
from reference import real_harmonics
from scipy import special

from lodekit.density import DensityBasis, Shell


def small_basis():
    """Every l up to 3 on O, with a contraction; l up to 2 on H."""
    return DensityBasis(
        {
            "O": [
                Shell(0, (6.0, 1.6, 0.5), (0.3, 0.6, -0.2)),
                Shell(0, (0.8,), (1.0,)),
                Shell(1, (1.4,), (1.0,)),
                Shell(2, (1.1, 0.6), (0.5, 0.6)),
                Shell(3, (1.5,), (1.0,)),
            ],
            "H": [
                Shell(0, (2.0,), (1.0,)),
                Shell(1, (0.9,), (1.0,)),
                Shell(2, (0.7,), (1.0,)),
            ],
        },
        "small",
    )


def bent_molecule():
    """Three atoms without symmetry, off the origin."""
    positions = [[0.3, -0.2, 0.1], [1.1, 0.3, 0.4], [-0.5, 0.5, -0.3]]
    return Atoms("OH2", positions)


def crystal():
    """The same atoms in a triclinic cell."""
    atoms = bent_molecule()
    atoms.cell = [[3.6, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.4, 0.5, 4.1]]
    atoms.pbc = True
    return atoms


def drawn_coefficients(atoms, basis, seed=0):
    return np.random.default_rng(seed).normal(size=basis.size(atoms.numbers))


def unnormalised(shell, r):
    """R(r) / r^l of a shell with normalised primitives."""
    total = np.zeros_like(r)
    for a, d in zip(shell.exponents, shell.coefficients, strict=True):
        norm = 2.0 * (2.0 * a) ** (shell.l + 1.5) / special.gamma(shell.l + 1.5)
        total += d * np.sqrt(norm) * np.exp(-a * r**2)
    return total


@lru_cache
def norm_by_quadrature(shell):
    x, weights = np.polynomial.legendre.leggauss(400)
    nodes = 10.0 * (x + 1.0)
    return (10.0 * weights * nodes ** (2 * shell.l + 2)) @ unnormalised(
        shell, nodes
    ) ** 2


def radial_functions(basis, number, r):
    """R(r) / r^l of every shell, (n_shells, n_r), normalised by quadrature."""
    shells = basis.shells_of(number)
    return [unnormalised(s, r) / np.sqrt(norm_by_quadrature(s)) for s in shells]


def values_of_functions(atoms, basis, points):
    """All functions at points from their definition, (n_points, n_functions)."""
    columns = []
    for number, position in zip(atoms.numbers, atoms.positions, strict=True):
        vectors = points - position
        r = np.linalg.norm(vectors, axis=1)
        shells = basis.shells_of(int(number))
        harmonics = real_harmonics(max(s.l for s in shells), vectors)
        radial = radial_functions(basis, int(number), r)
        for shell, values in zip(shells, radial, strict=True):
            l = shell.l
            part = harmonics[:, l * l : (l + 1) ** 2]
            columns.append((r**l * values)[:, None] * part)
    return np.concatenate(columns, axis=1)


def transforms_of_functions(atoms, basis, k_vectors):
    """Fourier transforms of all functions by quadrature, (n_k, n_functions)."""
    x, weights = np.polynomial.legendre.leggauss(300)
    r, weights = 6.0 * (x + 1.0), 6.0 * weights
    lengths = np.round(np.linalg.norm(k_vectors, axis=1), 12)
    k, shell_of_k = np.unique(lengths, return_inverse=True)
    harmonics = real_harmonics(3, k_vectors)
    columns = []
    for number, position in zip(atoms.numbers, atoms.positions, strict=True):
        shells = basis.shells_of(int(number))
        radial = radial_functions(basis, int(number), r)
        phase = np.exp(-1j * k_vectors @ position)[:, None]
        for shell, values in zip(shells, radial, strict=True):
            l = shell.l
            bessel = special.spherical_jn(l, np.outer(k, r))
            integral = 4.0 * np.pi * bessel @ (weights * r ** (2 + l) * values)
            part = (-1j) ** l * harmonics[:, l * l : (l + 1) ** 2]
            columns.append(phase * integral[shell_of_k, None] * part)
    return np.concatenate(columns, axis=1)


def grid_of_k(cutoff, n_radial, degree):
    """k-vectors and weights of integrals over all k below a cutoff, by quadrature."""
    x, weights = np.polynomial.legendre.leggauss(n_radial)
    k, k_weights = 0.5 * cutoff * (x + 1.0), 0.5 * cutoff * weights
    z, z_weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    azimuth = 2.0 * np.pi * np.arange(degree + 1) / (degree + 1)
    sine = np.sqrt(1.0 - z**2)[:, None]
    directions = np.stack(
        np.broadcast_arrays(sine * np.cos(azimuth), sine * np.sin(azimuth), z[:, None]),
        axis=-1,
    ).reshape(-1, 3)
    solid_angle = np.repeat(z_weights, azimuth.size) * 2.0 * np.pi / azimuth.size
    vectors = (k[:, None, None] * directions).reshape(-1, 3)
    return vectors, np.outer(k_weights * k**2, solid_angle).ravel()


def lattice_of_k(cell, cutoff):
    """All k-vectors of a cell below a cutoff, but k = 0."""
    reciprocal = 2.0 * np.pi * np.linalg.inv(cell).T
    limits = (cutoff * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(int) + 1
    ranges = [np.arange(-size, size + 1) for size in limits]
    index = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = index[(index != 0).any(axis=1)] @ reciprocal
    return vectors[np.linalg.norm(vectors, axis=1) < cutoff]


def rotation_of(seed, improper=False):
    """A rotation matrix, with an inversion where improper."""
    matrix, triangle = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(triangle))
    return matrix * np.linalg.det(matrix) * (-1.0 if improper else 1.0)


def wigner_matrix(l, rotation):
    """D with Y_lm(R r) = sum_n D_mn Y_ln(r), from harmonics of some directions."""
    directions = np.random.default_rng(1).normal(size=(60, 3))
    part = slice(l * l, (l + 1) ** 2)
    before = real_harmonics(l, directions)[:, part]
    after = real_harmonics(l, directions @ rotation.T)[:, part]
    return np.linalg.lstsq(before, after, rcond=None)[0].T


def rotated_coefficients(atoms, basis, coefficients, rotation):
    """Coefficients of the density rho(R^-1 r) around rotated atoms."""
    start, parts = 0, []
    for number in atoms.numbers:
        for shell in basis.shells_of(int(number)):
            values = coefficients[start : start + shell.size]
            parts.append(wigner_matrix(shell.l, rotation) @ values)
            start += shell.size
    return np.concatenate(parts)
