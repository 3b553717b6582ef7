"""Derivatives of the potential of charges, dipoles and quadrupoles, over pairs.

The potential of a source at r_j is sum_b (-1)^|b| M_b d^b f(r - r_j), over monomials b
of degree 0 to 2 in the order 1, x, y, z, xx, xy, xz, yy, yz, zz. Wanted are its
derivatives d^a of degree 0 to 3 at the atoms. They need d^(a + b) f up to degree 5, by
the recursion of L. E. McMurchie and E. R. Davidson, J. Comput. Phys. 26, 218 (1978),
from B_n = (-(1/r) d/dr)^n f.

With h such that -(1/r) dh/dr = f, pairs of f and h are told apart by ``lower``, 0 or 1:
the derivatives of h come from B_-1 = h, B_0 and so on. The value of h is not needed.

Tensors of pairs are kept for the first atom i <= the second j, in the order of
`np.triu_indices`, (n_pairs, n_high): d^c f(r_i - r_j), summed over the images of j.

Tables of integers: ``recursion`` (n_high, 4) with axis, monomial with one power less
along it, with two less, and the factor of the latter; ``sums`` (n_a, n_b), the place of
a + b; ``raised`` (n_b, 3), the place of b times an axis; ``degrees`` (n_high,).
"""

import math

import numpy as np
from numba import njit

#: B_0 to B_5.
N_ORDERS = 6


@njit(cache=True, error_model="numpy")
def fill_point(square, values):
    """Fill B_n of 1/r."""
    inverse = 1.0 / square
    values[0] = math.sqrt(inverse)
    for n in range(1, N_ORDERS):
        values[n] = (2 * n - 1) * inverse * values[n - 1]


@njit(cache=True, error_model="numpy")
def fill_gaussian(square, variance, values):
    """Fill B_n of erf(r / (sqrt(2) s)) / r; also at r = 0.

    Boys functions F_n of x = r^2 / (2 s^2): the series of the highest, then downwards.
    """
    a_square = 0.5 / variance
    x = a_square * square
    decay = math.exp(-x)
    if x < 30.0:
        term = 1.0 / (2 * N_ORDERS - 1)
        total = term
        k = N_ORDERS
        while term > 1e-17 * total:
            term *= 2.0 * x / (2 * k + 1)
            total += term
            k += 1
        values[N_ORDERS - 1] = decay * total
        for n in range(N_ORDERS - 1, 0, -1):
            values[n - 1] = (2.0 * x * values[n] + decay) / (2 * n - 1)
    else:
        values[0] = 0.5 * math.sqrt(math.pi / x) * math.erf(math.sqrt(x))
        for n in range(1, N_ORDERS):
            values[n] = ((2 * n - 1) * values[n - 1] - decay) / (2.0 * x)
    scale = 2.0 * math.sqrt(a_square / math.pi)
    for n in range(N_ORDERS):
        values[n] *= scale
        scale *= 2.0 * a_square


@njit(cache=True, error_model="numpy")
def subtract_far(square, cutoff_square, table, values):
    """Subtract B_n of the far part, from a table (N_ORDERS, n_intervals, 6) in r^2."""
    n_intervals = table.shape[1]
    place = square / cutoff_square * n_intervals
    interval = min(int(place), n_intervals - 1)
    x = place - interval
    for n in range(N_ORDERS):
        c = table[n, interval]
        values[n] -= c[0] + x * (c[1] + x * (c[2] + x * (c[3] + x * (c[4] + x * c[5]))))


@njit(cache=True, error_model="numpy")
def fill_pair(square, variance, cutoff, table, reach, outside, values):
    """Fill B_n of a pair's near part (or, with cutoff 0, of all); ``outside`` is work.

    ``variance`` is the sum of both atoms'.
    """
    fill_point(square, outside)
    if variance > 0.0 and square < reach * reach * variance:
        fill_gaussian(square, variance, values)
    else:
        values[:] = outside
    if cutoff > 0.0:
        if square < cutoff * cutoff:
            subtract_far(square, cutoff * cutoff, table, values)
        else:
            values -= outside


@njit(cache=True, error_model="numpy")
def fill_own(variance, at_zero, values):
    """Fill B_n of a Gaussian with itself, without the far part's ``at_zero``."""
    values[:] = 0.0
    if variance > 0.0:
        fill_gaussian(0.0, 2.0 * variance, values)
    values -= at_zero


@njit(cache=True, error_model="numpy")
def fill_tensor(values, x, y, z, recursion, work, tensor):
    """Fill the derivatives d^c f up to degree n_orders - 1 from B_n, (n_orders,)."""
    vector = (x, y, z)
    n_high = recursion.shape[0]
    n_orders = values.size
    sign = 1.0
    for n in range(n_orders):
        work[n, 0] = sign * values[n]
        sign = -sign
    # degree d needs B_n up to n = n_orders - 1 - d
    first = 1
    for degree in range(1, n_orders):
        stop = first + (degree + 1) * (degree + 2) // 2
        for n in range(n_orders - degree):
            for c in range(first, min(stop, n_high)):
                value = vector[recursion[c, 0]] * work[n + 1, recursion[c, 1]]
                if recursion[c, 3] > 0:
                    value += recursion[c, 3] * work[n + 1, recursion[c, 2]]
                work[n, c] = value
        first = stop
    for c in range(n_high):
        tensor[c] = work[0, c]


@njit(cache=True, error_model="numpy")
def fill_felt(tensor, sums, degrees, moments, i, j, felt, back):
    """Fill the derivatives of the potential of j at i, and of i at j, (n_a,) both."""
    n_a, n_b = sums.shape
    for a in range(n_a):
        at_i = 0.0
        at_j = 0.0
        for b in range(n_b):
            element = tensor[sums[a, b]]
            at_j += moments[i, b] * element
            at_i += (1 - 2 * (degrees[b] % 2)) * moments[j, b] * element
        felt[a] = at_i
        back[a] = (1 - 2 * (degrees[a] % 2)) * at_j


@njit(cache=True, error_model="numpy")
def add_pair_derivatives(
    first,
    second,
    vectors,
    variances,
    cutoff,
    table,
    reach,
    recursion,
    sums,
    raised,
    degrees,
    moments,
    derivatives,
    strain,
):
    """Add the near part (or, with cutoff 0, all) of the derivatives at all atoms.

    Pairs are listed once, with the vector from the first to the second. Shapes:
    moments (n_atoms, n_b), derivatives (n_atoms, n_a), strain (3, 3): the strain
    gradient of half the sum of moments times derivatives.
    """
    n_a, n_b = sums.shape
    values = np.empty(N_ORDERS)
    outside = np.empty(N_ORDERS)
    work = np.zeros((N_ORDERS, recursion.shape[0]))
    tensor = np.empty(recursion.shape[0])
    felt = np.empty(n_a)
    back = np.empty(n_a)
    for pair in range(first.size):
        i = first[pair]
        j = second[pair]
        # from the source j to i
        x = -vectors[pair, 0]
        y = -vectors[pair, 1]
        z = -vectors[pair, 2]
        square = x * x + y * y + z * z
        variance = variances[i] + variances[j]
        fill_pair(square, variance, cutoff, table, reach, outside, values)
        fill_tensor(values, x, y, z, recursion, work, tensor)
        fill_felt(tensor, sums, degrees, moments, i, j, felt, back)
        for a in range(n_a):
            derivatives[i, a] += felt[a]
            derivatives[j, a] += back[a]
        for axis in range(3):
            slope = 0.0
            for b in range(n_b):
                slope += moments[i, b] * felt[raised[b, axis]]
            strain[0, axis] += x * slope
            strain[1, axis] += y * slope
            strain[2, axis] += z * slope


@njit(cache=True, error_model="numpy")
def add_own_derivatives(
    variances, at_zero, recursion, sums, degrees, moments, derivatives
):
    """Add the interaction of every Gaussian with itself, without the far part's.

    ``at_zero`` (N_ORDERS,) are the far part's B_n at r = 0.
    """
    n_a, n_b = sums.shape
    values = np.empty(N_ORDERS)
    work = np.zeros((N_ORDERS, recursion.shape[0]))
    tensor = np.empty(recursion.shape[0])
    for atom in range(moments.shape[0]):
        fill_own(variances[atom], at_zero, values)
        fill_tensor(values, 0.0, 0.0, 0.0, recursion, work, tensor)
        for a in range(n_a):
            for b in range(n_b):
                sign = 1 - 2 * (degrees[b] % 2)
                derivatives[atom, a] += sign * moments[atom, b] * tensor[sums[a, b]]


@njit(cache=True, error_model="numpy")
def add_pair_tensors(
    first,
    second,
    vectors,
    variances,
    cutoff,
    table,
    reach,
    recursion,
    degrees,
    lower,
    tensors,
):
    """Add the near part (or, with cutoff 0, all) of the tensors of f, or of h."""
    n_atoms = variances.size
    n_high = recursion.shape[0]
    n_orders = degrees[-1] + 1
    values = np.zeros(1 + N_ORDERS)
    outside = np.empty(N_ORDERS)
    chain = values[1 - lower : 1 - lower + n_orders]
    work = np.zeros((n_orders, n_high))
    tensor = np.empty(n_high)
    for pair in range(first.size):
        i = min(first[pair], second[pair])
        j = max(first[pair], second[pair])
        flip = -1.0 if first[pair] == i else 1.0
        x = flip * vectors[pair, 0]
        y = flip * vectors[pair, 1]
        z = flip * vectors[pair, 2]
        square = x * x + y * y + z * z
        variance = variances[i] + variances[j]
        fill_pair(square, variance, cutoff, table, reach, outside, values[1:])
        fill_tensor(chain, x, y, z, recursion, work, tensor)
        row = i * n_atoms - i * (i - 1) // 2 + j - i
        for c in range(n_high):
            if i != j:
                tensors[row, c] += tensor[c]
            elif degrees[c] % 2 == 0:  # an atom has images on both sides
                tensors[row, c] += 2.0 * tensor[c]


@njit(cache=True, error_model="numpy")
def add_own_tensors(variances, at_zero, recursion, degrees, lower, tensors):
    """Add what `add_own_derivatives` is about to the tensors of f, or of h."""
    n_atoms = variances.size
    n_high = recursion.shape[0]
    n_orders = degrees[-1] + 1
    values = np.zeros(1 + N_ORDERS)
    chain = values[1 - lower : 1 - lower + n_orders]
    work = np.zeros((n_orders, n_high))
    tensor = np.empty(n_high)
    for atom in range(n_atoms):
        fill_own(variances[atom], at_zero, values[1:])
        fill_tensor(chain, 0.0, 0.0, 0.0, recursion, work, tensor)
        tensors[atom * n_atoms - atom * (atom - 1) // 2] += tensor


@njit(cache=True, error_model="numpy")
def fill_pair_phases(phases, first, second, cosines, sines):
    """Fill cos and sin of k.(r_i - r_j), (n_pairs, n_k) both.

    ``phases`` are cos(k.r) and then sin(k.r) of the atoms, (n_atoms, 2 * n_k).
    """
    n_k = cosines.shape[1]
    for pair in range(first.size):
        at_i = phases[first[pair]]
        at_j = phases[second[pair]]
        for k in range(n_k):
            cosines[pair, k] = at_i[k] * at_j[k] + at_i[n_k + k] * at_j[n_k + k]
            sines[pair, k] = at_i[n_k + k] * at_j[k] - at_i[k] * at_j[n_k + k]


@njit(cache=True, error_model="numpy")
def fill_matrix(tensors, sums, degrees, matrix):
    """Fill the matrix (n_atoms, n_b, n_atoms, n_b) from tensors; sums (n_b, n_b)."""
    n_atoms, n_b = matrix.shape[:2]
    for i in range(n_atoms):
        for j in range(i, n_atoms):
            tensor = tensors[i * n_atoms - i * (i - 1) // 2 + j - i]
            for a in range(n_b):
                for b in range(n_b):
                    element = (1 - 2 * (degrees[b] % 2)) * tensor[sums[a, b]]
                    matrix[i, a, j, b] = element
                    matrix[j, b, i, a] = element


@njit(cache=True, error_model="numpy")
def add_felt(tensors, sums, degrees, moments, derivatives):
    """Add derivatives (n_atoms, n_a) of the potential of moments (n_atoms, n_b)."""
    n_atoms = moments.shape[0]
    felt = np.empty(sums.shape[0])
    back = np.empty(sums.shape[0])
    for i in range(n_atoms):
        for j in range(i, n_atoms):
            tensor = tensors[i * n_atoms - i * (i - 1) // 2 + j - i]
            fill_felt(tensor, sums, degrees, moments, i, j, felt, back)
            derivatives[i] += felt
            if i != j:
                derivatives[j] += back


@njit(cache=True, error_model="numpy")
def add_felt_gradients(tensors, sums, raised, degrees, moments, gradients):
    """Add what derivatives b at i change by when j moves, (n_atoms, n_b, n_atoms, 3).

    ``sums`` (n_a, n_b) are for derivatives one degree higher than the moments.
    """
    n_atoms, n_b = moments.shape
    felt = np.empty(sums.shape[0])
    back = np.empty(sums.shape[0])
    for i in range(n_atoms):
        for j in range(i + 1, n_atoms):
            tensor = tensors[i * n_atoms - i * (i - 1) // 2 + j - i]
            fill_felt(tensor, sums, degrees, moments, i, j, felt, back)
            for b in range(n_b):
                for axis in range(3):
                    gradients[i, b, i, axis] += felt[raised[b, axis]]
                    gradients[i, b, j, axis] -= felt[raised[b, axis]]
                    gradients[j, b, j, axis] += back[raised[b, axis]]
                    gradients[j, b, i, axis] -= back[raised[b, axis]]
