"""Power spectra as metatensor ``TensorMap``s with featomic's names."""

from __future__ import annotations

import numpy as np

from lodekit.structures.batch import StructureBatch

from .tensor_map import (
    ExpansionArrays,
    add_position_gradient,
    add_strain_gradient,
    atom_samples,
    check_gradients,
    integer_labels,
)


def power_spectrum_tensor_map(
    features, batch: StructureBatch, species: np.ndarray, gradients=None
):
    """Return the features of a power spectrum in featomic's layout.

    One density: as ``featomic.SoapPowerSpectrum``, blocks of centre species and two
    neighbour species. Two densities: as ``featomic.clebsch_gordan.PowerSpectrum``,
    blocks of centre species. Both have the sign (-1)^l, which the features do not have:
    it cancels in their dot products.

    Parameters
    ----------
    features : PowerSpectrumFeatures
    gradients : list of {"positions", "strain"}, optional
    """
    gradients = check_gradients(gradients)
    left = ExpansionArrays(features.left, batch, species, gradients)
    if features.right is None:
        return square_tensor_map(left, species)
    right = ExpansionArrays(features.right, batch, species, gradients)
    return product_tensor_map(left, right)


def square_tensor_map(arrays: ExpansionArrays, species: np.ndarray):
    """Return the power spectrum of one density."""
    from metatensor import TensorMap

    batch, n_radial = arrays.batch, arrays.values.shape[3]
    values = np.indices((arrays.n_l, n_radial, n_radial)).reshape(3, -1).T
    properties = integer_labels(["l", "n_1", "n_2"], values)
    keys, blocks = [], []
    for center in np.unique(batch.species):
        for a, b in zip(*np.triu_indices(species.size), strict=True):
            present = arrays.present[:, a] & arrays.present[:, b]
            atoms = np.flatnonzero((batch.species == center) & present)
            if atoms.size == 0:
                continue
            signs = alternating_signs(arrays.n_l)
            if a != b:
                signs *= np.sqrt(2.0)
            pair = ((arrays, [a]), (arrays, [b]))
            blocks.append(product_block(*pair, atoms, signs, properties))
            keys.append([center, species[a], species[b]])
    names = ["center_type", "neighbor_1_type", "neighbor_2_type"]
    return TensorMap(integer_labels(names, keys), blocks)


def product_tensor_map(left: ExpansionArrays, right: ExpansionArrays):
    """Return the power spectrum of two densities."""
    from metatensor import TensorMap

    batch = left.batch
    sides, columns = [], []
    for arrays in (left, right):
        channels = np.flatnonzero(arrays.present.any(axis=0))
        grid = np.meshgrid(
            arrays.labels[channels], np.arange(arrays.values.shape[3]), indexing="ij"
        )
        columns.append(np.stack(grid, axis=-1).reshape(-1, 2))
        sides.append((arrays, channels))
    l, p, q = np.indices((left.n_l, len(columns[0]), len(columns[1])))
    values = np.concatenate(
        [l[..., None], columns[0][p], columns[1][q]], axis=-1
    ).reshape(-1, 5)
    names = ["l", "neighbor_1_type", "n_1", "neighbor_2_type", "n_2"]
    properties = integer_labels(names, values)
    signs = alternating_signs(left.n_l)
    centers = np.unique(batch.species)
    blocks = [
        product_block(
            *sides, np.flatnonzero(batch.species == center), signs, properties
        )
        for center in centers
    ]
    return TensorMap(integer_labels(["center_type"], centers), blocks)


def alternating_signs(n_l: int) -> np.ndarray:
    """Return (-1)^l, the sign of a scalar in the coupling of two l."""
    return (-1.0) ** np.arange(n_l)


def product_block(left, right, atoms: np.ndarray, signs: np.ndarray, properties):
    """Return the block of products of some channels of two expansions.

    Parameters
    ----------
    left, right : tuple of (ExpansionArrays, channels)
    atoms : ndarray of shape (n_samples,)
    signs : ndarray of shape (n_l,)
        Factor of every l, besides 1 / sqrt(2l + 1).
    """
    from metatensor import TensorBlock

    (a, b), batch = (side_values(*side, atoms) for side in (left, right)), left[0].batch
    values = multiply(a, b, signs)
    block = TensorBlock(values, atom_samples(batch, atoms), [], properties)
    if left[0].jacobian is not None:
        a_rows, a_slopes = left[0].moving_channels(atoms, left[1])
        b_rows, b_slopes = right[0].moving_channels(atoms, right[1])
        rows = np.union1d(a_rows, b_rows)
        gradient = np.zeros((rows.size, 3, values.shape[1]))
        partners = b[a_rows // batch.n_atoms][:, None]
        gradient[np.searchsorted(rows, a_rows)] += multiply(a_slopes, partners, signs)
        partners = a[b_rows // batch.n_atoms][:, None]
        gradient[np.searchsorted(rows, b_rows)] += multiply(partners, b_slopes, signs)
        add_position_gradient(block, batch, rows, gradient)
    if left[0].strain is not None:
        a_slopes, b_slopes = (side_strain(*side, atoms) for side in (left, right))
        gradient = multiply(a_slopes, b[:, None, None], signs)
        gradient += multiply(a[:, None, None], b_slopes, signs)
        add_strain_gradient(block, gradient)
    return block


def side_values(arrays: ExpansionArrays, channels, atoms) -> np.ndarray:
    """Return coefficients of some channels, (n_samples, n_lm, n_channels * n)."""
    values = arrays.values[atoms][:, :, channels]
    return values.reshape(*values.shape[:2], -1)


def side_strain(arrays: ExpansionArrays, channels, atoms) -> np.ndarray:
    """Return their strain derivatives, (n_samples, 3, 3, n_lm, n_channels * n)."""
    values = arrays.strain[atoms][..., channels, :]
    return values.reshape(*values.shape[:4], -1)


def multiply(left: np.ndarray, right: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return sign_l / sqrt(2l + 1) sum_m left[m, p] right[m, q], (..., l p q)."""
    parts = []
    for l, sign in enumerate(signs):
        lm = slice(l * l, (l + 1) * (l + 1))
        product = np.swapaxes(left[..., lm, :], -1, -2) @ right[..., lm, :]
        product *= sign / np.sqrt(2.0 * l + 1.0)
        parts.append(product.reshape(*product.shape[:-2], -1))
    return np.concatenate(parts, axis=-1)
