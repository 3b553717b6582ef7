"""Orders of coefficients in other codes, and telling them apart.

lodekit and SALTED have m from -l to l; PySCF has x, y, z for l = 1, the order m = 1,
-1, 0, and the same as lodekit for all other l. PySCF, CP2K and FHI-aims give
coefficients of functions in Bohr^(-3/2), lodekit has them in Å^(-3/2).
"""

from __future__ import annotations

import numpy as np

from lodekit.errors import BasisError
from lodekit.structures import frame_name, get_target
from lodekit.units import BOHR

from .basis import DensityBasis
from .metrics import electron_counts
from .moments import dipoles_of
from .sites import Sites

#: Orders by name: where m = -1, 0, 1 of l = 1 stand in them.
ORDERS = {"m from -l to l": (0, 1, 2), "x, y, z for l = 1": (1, 2, 0)}
LODEKIT, PYSCF = ORDERS  # their names
#: Å^(-3/2) in Bohr^(-3/2): coefficients in atomic units times this are lodekit's.
COEFFICIENT_UNIT = BOHR**-1.5
#: Fitted densities miss the number of electrons by less than this; wrong orders,
#: bases and units by more.
ELECTRON_TOLERANCE = 0.02
#: Dipoles (e·Å) of fitted densities are this close to those of the calculation.
DIPOLE_TOLERANCE = 0.1


def places_in(order: str, basis: DensityBasis, numbers: np.ndarray) -> np.ndarray:
    """Return where lodekit's coefficients are in another order, (n_functions,).

    ``coefficients[places_in(PYSCF, basis, numbers)]`` are lodekit's of PySCF's.
    """
    if order not in ORDERS:
        raise BasisError(
            f"unknown order {order!r} of coefficients; lodekit knows "
            f"{' and '.join(map(repr, ORDERS))}"
        )
    of_kind = {}
    for number in np.unique(numbers):
        places = []
        for shell in basis.shells_of(int(number)):
            m = ORDERS[order] if shell.l == 1 else range(shell.size)
            places.extend(len(places) + np.array(m))
        of_kind[number] = np.array(places, dtype=np.intp)
    starts = np.cumsum([0, *basis.sizes(numbers)])[:-1]
    parts = [start + of_kind[z] for start, z in zip(starts, numbers, strict=True)]
    return np.concatenate([np.zeros(0, dtype=np.intp), *parts])


def check_electrons(
    frames: list,
    basis: DensityBasis,
    coefficients: list,
    nuclear_charges: dict,
    name: str,
) -> None:
    """Refuse coefficients whose number of electrons is not that of their structures.

    Parameters
    ----------
    frames : list of ase.Atoms
        Neutral where they have no total charge.
    basis : DensityBasis
    coefficients : list of ndarray
        In lodekit's order and unit.
    nuclear_charges : dict
        In e by atomic number; atomic numbers where left out.
    name : str
        What messages call the coefficients.

    Raises
    ------
    BasisError
        With the frame that is farthest off.
    """
    worst = (0.0, 0, 0.0, 0.0)
    for index, (atoms, values) in enumerate(zip(frames, coefficients, strict=True)):
        nuclei = sum(nuclear_charges.get(int(z), float(z)) for z in atoms.numbers)
        expected = nuclei - (get_target(atoms, "total_charge") or 0.0)
        counted = float(electron_counts(atoms, basis) @ values)
        error = abs(counted - expected) / max(expected, 1.0)
        worst = max(worst, (error, index, counted, expected))
    error, index, counted, expected = worst
    if error > ELECTRON_TOLERANCE:
        raise BasisError(
            f"{name}: {frame_name(index)} has {counted:.4g} electrons instead of "
            f"{expected:.4g}; the coefficients are in another order, unit or basis "
            f"than {basis.name}, or a pseudopotential needs nuclear_charges"
        )


def check_order(
    frames: list,
    basis: DensityBasis,
    coefficients: list,
    order: str,
    nuclear_charges: dict,
    name: str,
) -> None:
    """Refuse coefficients in another order, as far as dipoles of frames show it.

    Parameters
    ----------
    frames, basis, nuclear_charges, name
        As in `check_electrons`.
    coefficients : list of ndarray
        In the order that they are said to have, and in lodekit's unit.
    order : str
        That order.

    Raises
    ------
    BasisError
        If dipoles of the frames are those of another order.
    """
    errors = {name: [] for name in ORDERS}
    for atoms, values in zip(frames, coefficients, strict=True):
        dipole = get_target(atoms, "dipole")
        if dipole is None or atoms.pbc.any():
            continue
        of_functions = dipoles_of(Sites.of_atoms(atoms, basis))
        nuclei = [nuclear_charges.get(int(z), float(z)) for z in atoms.numbers]
        for candidate, norms in errors.items():
            places = places_in(candidate, basis, atoms.numbers)
            fitted = nuclei @ atoms.positions - values[places] @ of_functions
            norms.append(np.linalg.norm(fitted - dipole))
    if not errors[order]:
        return
    mean = {candidate: np.mean(norms) for candidate, norms in errors.items()}
    best = min(mean, key=mean.get)
    if best != order and mean[order] > max(DIPOLE_TOLERANCE, 2.0 * mean[best]):
        raise BasisError(
            f"{name}: dipoles are {mean[order]:.2g} e·Å from those of the frames in "
            f"the order {order!r}, and {mean[best]:.2g} e·Å in the order {best!r}; say "
            f"order={best!r}"
        )


def check_responses(
    frames: list, basis: DensityBasis, responses: list, name: str
) -> None:
    """Refuse changes in a field that are not those of electrons.

    Parameters
    ----------
    frames, basis, name
        As in `check_electrons`.
    responses : list of ndarray of shape (n_functions, 3)
        In lodekit's order and unit.

    Raises
    ------
    BasisError
        If the polarizability of an open frame is negative.
    """
    for index, (atoms, values) in enumerate(zip(frames, responses, strict=True)):
        if atoms.pbc.any():
            continue
        trace = -np.trace(dipoles_of(Sites.of_atoms(atoms, basis)).T @ values)
        if trace < 0.0:
            raise BasisError(
                f"{name}: the polarizability of {frame_name(index)} is negative; the "
                "responses are to a field of the opposite sign, or in another order"
            )
