"""Charges of LODE's sources, found from the data: neutral where these are.

Charges q_s of elements make a structure with N_s atoms of each sum to its total charge
Q where N q = c Q, c being the unit of charge. The solutions for all structures of the
data are a space: none but zero for alloys of any composition, one charge for water
(H 1, O -2) or ZnO, two for salt in water. Potentials of such sources are those of
neutral systems, and mean the same at every boundary and size.

No constants make every organic molecule neutral. There a small model of charges is
fitted to those of the frames, or, by `LatentChargeModel`, to energies and forces, and
predicts the charges of the sources from their surroundings.
"""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols
from scipy import linalg

from lodekit.descriptors.hyperparameters import PREDICTED
from lodekit.observables.charges import total_charge
from lodekit.regression.baseline import count_species
from lodekit.structures import get_target

from .tables import FROM_DATA

#: Elements that take electrons from others: from hydrogen and boron to iodine.
NON_METALS = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 51, 52, 53)
#: Relative size below which singular values and charges are zero.
TINY = 1e-8


def charge_sources(frames, terms: list[tuple], predict: bool = False) -> list[tuple]:
    """Give LODE terms whose sources have the charges ``"data"`` those of the data.

    Where no charges of elements are neutral, they are unit charges by species, or
    charges that will be predicted. Metals, their alloys and other structures of one
    element have no such terms then: what their atoms do is short-ranged.

    Parameters
    ----------
    frames : list of ase.Atoms
    terms : list of (descriptor, covariance, n_sparse)
        Descriptors are changed in place.
    predict : bool
        Whether charges can be predicted.

    Returns
    -------
    terms : list of (descriptor, covariance, n_sparse)
        Those that remain.
    """
    asking = [
        descriptor
        for descriptor, *_ in terms
        if any(side.charges == FROM_DATA for side in sources(descriptor))
    ]
    if not asking:
        return terms
    charges = find_charges(frames)
    if not charges and not may_have_charges(frames):
        return [term for term in terms if term[0] not in asking]
    for descriptor in asking:
        for side in sources(descriptor):
            if side.charges == FROM_DATA:
                side.charges = charges or (PREDICTED if predict else None)
    return terms


def predicted(descriptors) -> list:
    """Return the expansions whose sources have predicted charges."""
    sides = [side for descriptor in descriptors for side in sources(descriptor)]
    return [side for side in sides if side.charges == PREDICTED]


def source_charges(kernels) -> list:
    """Return the charges of the sources of every term, None for units or none."""
    by_term = []
    for kernel in kernels:
        charges = [side.charges for side in sources(kernel.descriptor)]
        by_term.append(charges[0] if charges else None)
    return by_term


def sources(descriptor) -> list:
    """Return the expansions of a descriptor whose sources may carry charges."""
    sides = getattr(descriptor, "left", None), getattr(descriptor, "right", None)
    return [side for side in sides if hasattr(side, "charges")]


def may_have_charges(frames) -> bool:
    """Return whether a structure holds a non-metal beside another element."""
    return any(
        np.unique(atoms.numbers).size > 1 and np.isin(atoms.numbers, NON_METALS).any()
        for atoms in frames
    )


def find_charges(frames) -> dict[str, list[float]]:
    """Return charges by element symbol that make every structure neutral.

    Parameters
    ----------
    frames : list of ase.Atoms
        Single atoms tell nothing.

    Returns
    -------
    charges : dict of str to list of float
        One or several channels; none at all where only zero charges are neutral. Where
        the structures have charges, one channel: their means, as far as they are
        neutral.
    """
    species = np.unique(np.concatenate([atoms.numbers for atoms in frames]))
    several = [atoms for atoms in frames if len(atoms) > 1]
    channels = neutral_charges(
        count_species(several, species), np.array([total_charge(a) for a in several])
    )
    means = mean_charges(frames, species)
    if means is not None and len(channels):
        known = linalg.orth(channels.T)
        means = known @ (known.T @ means)
        channels = means[None] if np.abs(means).max() > TINY else channels[:0]
    if not len(channels):
        return {}
    names = [chemical_symbols[z] for z in species]
    return {
        name: charges_of_element.tolist()
        for name, charges_of_element in zip(names, channels.T, strict=True)
    }


def neutral_charges(counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return a basis of the charges q with counts @ q = c totals, for any c.

    Parameters
    ----------
    counts : ndarray of shape (n_structures, n_species)
    totals : ndarray of shape (n_structures,)
        Total charges in e.

    Returns
    -------
    charges : ndarray of shape (n_channels, n_species)
        In reduced form: every channel has the charge 1 of an element that the other
        channels have none of.
    """
    equations = np.column_stack([counts, -totals])
    if not len(equations):
        return np.zeros((0, counts.shape[1]))
    equations = equations / np.linalg.norm(equations, axis=1, keepdims=True)
    # the same solutions, whatever the number of structures
    equations = np.linalg.qr(equations, mode="r")
    return reduced_rows(linalg.null_space(equations, rcond=TINY)[:-1].T)


def reduced_rows(rows: np.ndarray) -> np.ndarray:
    """Return the reduced row echelon form of ``rows``, without rows of zeros."""
    rows, done = rows.copy(), 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        pivot = done + int(np.abs(rows[done:, column]).argmax())
        if abs(rows[pivot, column]) < TINY:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= np.outer(rows[others, column], rows[done])
        done += 1
    rows = rows[:done]
    return np.where(np.abs(rows) < TINY, 0.0, rows)


def mean_charges(frames, species: np.ndarray) -> np.ndarray | None:
    """Return the mean charges of the elements, None where a species has none."""
    known = [(a, get_target(a, "charges")) for a in frames]
    known = [(atoms, charges) for atoms, charges in known if charges is not None]
    if not known:
        return None
    numbers = np.concatenate([atoms.numbers for atoms, _ in known])
    values = np.concatenate([np.asarray(charges, dtype=float) for _, charges in known])
    if not np.isin(species, numbers).all():
        return None
    return np.array([values[numbers == z].mean() for z in species])
