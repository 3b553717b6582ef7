"""Piezoelectric tensors, and loops of polarization and field.

The proper piezoelectric tensor, the current that flows between electrodes per strain,
is

    e_aJ = -d(stress_J)/dE_a

of the stress at constant voltages E . a along the cell vectors a: no branch matters.
Ions that follow the strain add Z_i . dR_i, with the displacements dR = K^-1
dF/d(strain) that bring their forces back to zero.

References
----------
D. Vanderbilt, J. Phys. Chem. Solids 61, 147 (2000); X. Wu, D. Vanderbilt, D. R. Hamann,
Phys. Rev. B 72, 035105 (2005).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.models.charge_checks import field_argument
from lodekit.structures.stress import as_matrix

from .phonons import zone_center_modes

#: V/Å and strain of differences; stress is quadratic in the field.
FIELD, STRAIN = 0.01, 1e-4
#: Of the numbers of a strain in Voigt order, whose last three are 2 e_yz and so on.
HALVES = np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5])
#: C/m^2 of e/Å^2.
COULOMB_PER_SQUARE_METRE = 16.02176634


def piezoelectric_tensor(model, atoms, relaxed: bool = False) -> np.ndarray:
    """Return the proper piezoelectric tensor in e/Å^2, (3, 6).

    Times `COULOMB_PER_SQUARE_METRE` it is in C/m^2. Columns are strains in Voigt order
    xx, yy, zz, yz, xz, xy, where the last three are 2 e_yz and so on.

    Parameters
    ----------
    model : estimator
        Its ``compute`` has stress, in a field; for ``relaxed`` forces and Born charges.
    atoms : ase.Atoms
        Periodic in three directions; without forces for ``relaxed``.
    relaxed : bool
        Whether ions follow the strain, instead of staying at their fractions of the
        cell.

    Raises
    ------
    ValueError
        If the model has no stress or no response to a field, the structure is not
        periodic in three directions, or for ``relaxed`` not at a minimum of the energy.
    """
    field_argument(model, FIELD)
    if "stress" not in getattr(model, "properties", ["stress"]):
        raise ValueError(
            "a piezoelectric tensor needs a model of stress; fit energies and forces "
            "as well"
        )
    if not atoms.pbc.all():
        raise ValueError(
            "a piezoelectric tensor is defined for structures that are periodic in "
            f"three directions, pbc is {atoms.pbc.tolist()}"
        )
    sides = []
    for field in FIELD * np.eye(3):
        ends = [
            model.compute(atoms, ["stress"], field=sign * field)[0]["stress"]
            for sign in (1.0, -1.0)
        ]
        sides.append(-(ends[0] - ends[1]) / (2.0 * FIELD))
    tensor = np.array(sides)
    if not relaxed:
        return tensor
    name = "born_effective_charges"
    charges = model.compute(atoms, [name])[0][name]
    charges = charges.transpose(1, 0, 2).reshape(3, -1)
    values, modes = zone_center_modes(model, atoms)
    forces = strain_forces(model, atoms).reshape(6, -1)
    changes = (forces @ modes / values) @ modes.T
    return tensor + charges @ changes.T / atoms.get_volume()


def strain_forces(model, atoms) -> np.ndarray:
    """Return dF/d(strain) in eV/Å at fixed fractions of the cell, (6, n_atoms, 3)."""
    frames = []
    for strain in STRAIN * HALVES * np.eye(6):
        for sign in (1.0, -1.0):
            deformation = np.eye(3) + sign * as_matrix(strain)
            frames.append(atoms.copy())
            frames[-1].set_cell(atoms.cell[:] @ deformation, scale_atoms=True)
    forces = np.array([r["forces"] for r in model.compute(frames, ["forces"])])
    forces = forces.reshape(6, 2, len(atoms), 3)
    return (forces[:, 0] - forces[:, 1]) / (2.0 * STRAIN)


@dataclass(frozen=True)
class PolarizationLoop:
    """Results of a loop of polarization and field, with standard errors over cycles.

    Attributes
    ----------
    fields, polarizations : ndarray of shape (n,)
        E in V/Å and P in e/Å^2 of the mean cycle.
    remanent : tuple of float
        P at E = 0, half the difference of both branches, and its standard error; nan
        for one cycle.
    coercive : tuple of float
        E at P = 0 likewise; nan where P does not change its sign.
    area : tuple of float
        Loss of a cycle, the integral of E dP, in eV/Å^3, and its standard error.
    gap : float
        Largest change of P from the start to the end of a cycle, in e/Å^2: 0 for a loop
        that is closed.
    """

    fields: np.ndarray
    polarizations: np.ndarray
    remanent: tuple
    coercive: tuple
    area: tuple
    gap: float


def polarization_loop(fields, polarizations, n_cycles: int = 1) -> PolarizationLoop:
    """Return the results of a loop of polarization and field.

    Parameters
    ----------
    fields : array-like of shape (n_steps,)
        E in V/Å along one axis, in cycles of equal length from the largest field to the
        smallest and back, ends included once: cos t.
    polarizations : array-like of shape (n_steps,)
        P along this axis in e/Å^2, without jumps (`unwrap`).
    n_cycles : int
        Cycles, which give standard errors.

    Raises
    ------
    ValueError
        For lengths that differ, or no whole number of cycles of at least four steps.
    """
    fields = np.asarray(fields, dtype=float)
    polarizations = np.asarray(polarizations, dtype=float)
    if fields.ndim != 1 or fields.shape != polarizations.shape:
        raise ValueError(
            "a loop needs one field and one polarization for every step, got shapes "
            f"{fields.shape} and {polarizations.shape}"
        )
    if n_cycles < 1 or len(fields) % n_cycles or len(fields) < 4 * n_cycles:
        raise ValueError(
            f"{len(fields)} steps are not {n_cycles} cycles of equal length, of at "
            "least four steps"
        )
    cycles = fields.reshape(n_cycles, -1), polarizations.reshape(n_cycles, -1)
    numbers = [describe_cycle(*cycle) for cycle in zip(*cycles, strict=True)]
    steps = [cycle[-1] - cycle[0] for cycle in cycles[1]]
    starts = np.diff([cycle[0] for cycle in cycles[1]])
    return PolarizationLoop(
        *(values.mean(axis=0) for values in cycles),
        *(mean_and_error(values) for values in zip(*numbers, strict=True)),
        gap=float(np.abs(starts if n_cycles > 1 else steps).max()),
    )


def describe_cycle(fields, polarizations) -> tuple[float, float, float]:
    """Return remanent polarization, coercive field and area of one cycle."""
    closed = np.append(fields, fields[0]), np.append(polarizations, polarizations[0])
    remanent = crossings(*closed)
    coercive = crossings(*closed[::-1])
    area = np.sum(0.5 * (closed[0][1:] + closed[0][:-1]) * np.diff(closed[1]))
    return half_width(remanent), half_width(coercive), float(abs(area))


def crossings(values, others) -> np.ndarray:
    """Return the others, interpolated, where values change their sign."""
    before, after = values[:-1], values[1:]
    at = np.flatnonzero((before > 0.0) != (after > 0.0))
    shares = before[at] / (before[at] - after[at])
    return others[at] + shares * (others[at + 1] - others[at])


def half_width(values) -> float:
    """Return half the range of values, nan without two of them."""
    return float(0.5 * np.ptp(values)) if len(values) > 1 else float("nan")


def mean_and_error(values) -> tuple[float, float]:
    """Return the mean of cycles and its standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(np.mean(values)), float(error)
