"""Two-centre integrals of solid-harmonic Gaussians, over blocks of pairs of sites.

A function r^l Y_lm exp(-a r^2) has the Fourier transform

    A (-i)^l k^l Y_lm(k) exp(-t k^2),   t = 1 / (4 a),

and a point charge is the limit t = 0. Two functions whose centres are R apart have

    <a|v|b> = A_a A_b sum_L  c_L  J_nL(t_a + t_b, R) / R^L  sum_M G_LM R^L Y_LM(R),

with n = (l + l' - L) / 2, Gaunt coefficients G and J the integral of
k^(2 + 2n + L) j_L(k R) v(k) exp(-t k^2) over k: Laguerre polynomials for overlaps, and
for the Coulomb interaction v = 4 pi / k^2 the same with n - 1, or the Boys function
F_L where n = 0.

Shapes: images first_image[block]:first_image[block + 1] of ``vectors`` (n_images, 3),
from the left site to the right one, add up in a block; values of a block are stored
row after row from first_value[block]. Shells of a kind of site are
first_shell[kind]:first_shell[kind + 1], sorted by their l; primitives of a shell
first_primitive[shell]:first_primitive[shell + 1] of ``spreads`` (t) and ``amplitudes``
(A). Entries of the angular sums for l and l' are first_entry[l, l', 0]:first_entry[l,
l', 1] of ``entries`` (n_entries, 4), with m + l, m' + l', L^2 + L + M and (L - |l -
l'|) / 2, and ``couplings`` c_L G.

``spread`` is what the interaction is without: the Coulomb interaction minus that of
charges smeared to exp(-spread k^2), for the near part of an Ewald sum; 0 for the whole.

References
----------
H. H. H. Homeier and E. O. Steinborn, J. Mol. Struct. (Theochem) 368, 31 (1996) (Gaunt
coefficients of real harmonics); T. Helgaker, P. Jorgensen, J. Olsen, Molecular
Electronic-Structure Theory (Wiley, 2000), Sec. 9.8 (Boys functions).
"""

import math

import numpy as np
from numba import njit, prange

#: Above this R^2 / 4t, functions do not overlap and interact as point multipoles.
FAR_ARGUMENT = 60.0


@njit(cache=True, error_model="numpy")
def fill_solid_harmonics(x, y, z, prefactors, harmonics):
    """Fill r^l Y_lm at index l*l + l + m; ``prefactors`` [l, m] are their norms."""
    n_l = prefactors.shape[0]
    square = x * x + y * y + z * z
    cosine, sine, start = 1.0, 0.0, 1.0
    for m in range(n_l):
        below, legendre = 0.0, start
        for l in range(m, n_l):
            value = prefactors[l, m] * legendre
            harmonics[l * l + l + m] = value * cosine
            if m > 0:
                harmonics[l * l + l - m] = value * sine
            above = (2 * l + 1) * z * legendre - (l + m) * square * below
            below, legendre = legendre, above / (l - m + 1)
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        start *= 2 * m + 1


@njit(cache=True, error_model="numpy")
def fill_harmonics(vectors, prefactors, harmonics):
    """Fill r^l Y_lm of vectors (n, 3) into (n, n_lm)."""
    for row in range(vectors.shape[0]):
        x, y, z = vectors[row]
        fill_solid_harmonics(x, y, z, prefactors, harmonics[row])


@njit(cache=True, error_model="numpy")
def boys_function(order, x):
    """Return the integral of u^(2 order) exp(-x u^2) from 0 to 1."""
    decay = math.exp(-x)
    if x > order + 12.0:
        value = 0.5 * math.sqrt(math.pi / x) * math.erf(math.sqrt(x))
        for n in range(order):
            value = ((2 * n + 1) * value - decay) / (2.0 * x)
        return value
    term = 1.0 / (2 * order + 1)
    total = term
    k = order + 1
    while term > 1e-17 * total:
        term *= 2.0 * x / (2 * k + 1)
        total += term
        k += 1
    return decay * total


@njit(cache=True, error_model="numpy")
def add_radial(l_left, l_right, spread, square, is_coulomb, factor, radial):
    """Add ``factor`` times J_nL / R^L for L = |l - l'|, |l - l'| + 2, ..., l + l'."""
    if square > 4.0 * FAR_ARGUMENT * spread:
        if is_coulomb:  # as point multipoles; spread may be zero
            value = 2.0 * math.pi**2 * factor / math.sqrt(square)
            for n in range(l_left + l_right):
                value *= (2 * n + 1) / square
            radial[min(l_left, l_right)] += value
        return
    x = square / (4.0 * spread)
    inverse = 1.0 / spread
    root = math.sqrt(math.pi * inverse)
    decay = math.exp(-x)
    lowest = abs(l_left - l_right)
    for q in range(min(l_left, l_right) + 1):
        degree = lowest + 2 * q
        n = (l_left + l_right - degree) // 2
        scale = factor * root * 0.5**degree
        if is_coulomb:
            n -= 1
            scale *= 4.0 * math.pi
        if n < 0:
            value = 0.5 * inverse**degree * boys_function(degree, x)
        else:
            # n! times the Laguerre polynomial with index L + 1/2
            below, value = 0.0, 1.0
            for k in range(n):
                above = (2 * k + 1.5 + degree - x) * value
                above -= k * (k + degree + 0.5) * below
                below, value = value, above
            value *= 0.25 * inverse ** (n + degree + 1) * decay
        radial[q] += scale * value


@njit(cache=True, error_model="numpy")
def fill_angular(harmonics, max_l, first_entry, entries, couplings, angular):
    """Fill sum_M c_L G_LM R^L Y_LM, at [l, l', q, m + l, m' + l']."""
    for l_left in range(max_l[0] + 1):
        for l_right in range(max_l[1] + 1):
            part = angular[l_left, l_right]
            part[: min(l_left, l_right) + 1, : 2 * l_left + 1, : 2 * l_right + 1] = 0.0
            first, last = first_entry[l_left, l_right]
            for entry in range(first, last):
                row, column, lm, q = entries[entry]
                part[q, row, column] += couplings[entry] * harmonics[lm]


@njit(cache=True, error_model="numpy")
def add_block(
    square, kinds, left, right, is_coulomb, spread, longest, angular, radial, block
):
    """Add the integrals of one pair of sites to ``block`` (n_left, n_right)."""
    first_shell, shell_l, first_primitive, spreads, amplitudes = left
    first_shell_b, shell_l_b, first_primitive_b, spreads_b, amplitudes_b = right
    row = 0
    for a in range(first_shell[kinds[0]], first_shell[kinds[0] + 1]):
        l_left, column = shell_l[a], 0
        for b in range(first_shell_b[kinds[1]], first_shell_b[kinds[1] + 1]):
            l_right = shell_l_b[b]
            n_q = min(l_left, l_right) + 1
            radial[:n_q] = 0.0
            is_zero = True
            for p in range(first_primitive[a], first_primitive[a + 1]):
                for s in range(first_primitive_b[b], first_primitive_b[b + 1]):
                    t = spreads[p] + spreads_b[s]
                    if square > 4.0 * longest * (t + spread):
                        continue
                    is_zero = False
                    factor = amplitudes[p] * amplitudes_b[s]
                    add_radial(l_left, l_right, t, square, is_coulomb, factor, radial)
                    if spread > 0.0:
                        t += spread
                        add_radial(
                            l_left, l_right, t, square, is_coulomb, -factor, radial
                        )
            if not is_zero:
                part = angular[l_left, l_right]
                for q in range(n_q):
                    for m in range(2 * l_left + 1):
                        for n in range(2 * l_right + 1):
                            value = radial[q] * part[q, m, n]
                            block[row + m, column + n] += value
            column += 2 * l_right + 1
        row += 2 * l_left + 1


@njit(cache=True, error_model="numpy")
def count_functions(first_shell, shell_l, kind):
    """Return the number of functions of a kind of site."""
    size = 0
    for shell in range(first_shell[kind], first_shell[kind + 1]):
        size += 2 * shell_l[shell] + 1
    return size


@njit(cache=True, error_model="numpy")
def make_scratch(l_left, l_right):
    """Return harmonics, angular and radial for one thread."""
    size, n_q = 2 * max(l_left, l_right) + 1, min(l_left, l_right) + 1
    return (
        np.empty((l_left + l_right + 1) ** 2),
        np.empty((l_left + 1, l_right + 1, n_q, size, size)),
        np.empty(n_q),
    )


@njit(cache=True, parallel=True, error_model="numpy")
def fill_blocks(
    first_image,
    vectors,
    block_kinds,
    first_value,
    left,
    right,
    largest_l,
    tables,
    is_coulomb,
    spread,
    longest,
    values,
):
    """Fill the integrals of every block; each block is written by one thread.

    ``block_kinds`` (n_blocks, 2) are the kinds of both sites; ``left`` and ``right``
    the tables (first_shell, shell_l, first_primitive, spreads, amplitudes) of kinds;
    ``largest_l`` (2,); ``tables`` (prefactors, first_entry, entries, couplings).
    ``longest`` is the largest R^2 / 4 (t + spread) that matters.
    """
    prefactors, first_entry, entries, couplings = tables
    values[:] = 0.0
    for block in prange(first_image.size - 1):
        harmonics, angular, radial = make_scratch(largest_l[0], largest_l[1])
        kinds = block_kinds[block]
        part = values[first_value[block] : first_value[block + 1]]
        n_left = count_functions(left[0], left[1], kinds[0])
        matrix = part.reshape((n_left, part.size // n_left))
        for image in range(first_image[block], first_image[block + 1]):
            x, y, z = vectors[image]
            fill_solid_harmonics(x, y, z, prefactors, harmonics)
            fill_angular(harmonics, largest_l, first_entry, entries, couplings, angular)
            add_block(
                x * x + y * y + z * z,
                kinds,
                left,
                right,
                is_coulomb,
                spread,
                longest,
                angular,
                radial,
                matrix,
            )
