"""Phonons at the zone centre at constant E or D, dielectric tensors, phonopy's files.

At constant D the force constants of a crystal are those at constant E plus

    4 pi k / V Z_i^T . eps^-1 . Z_j,

with the dielectric tensor eps at fixed ions: all optical modes become longitudinal. A
model that knows both, one function of R and E, has LO and TO phonons; phonopy adds the
same along the direction of q -> 0 from a file of Z and eps.

References
----------
X. Gonze, C. Lee, Phys. Rev. B 55, 10355 (1997); M. Stengel, N. A. Spaldin, D.
Vanderbilt, Nat. Phys. 5, 304 (2009).
"""

from __future__ import annotations

import numpy as np
from ase import units

from lodekit.units import COULOMB_CONSTANT, FOUR_PI
from lodekit.whole_files import check_destination, written_whole

#: Step of central differences in Å.
STEP = 1e-3
#: Force constants below this times the largest are those of translations.
SMALLEST_MODE = 1e-6
#: eV/Å; ions that feel more are not at rest.
LARGEST_FORCE = 0.05


def zone_center_force_constants(model, atoms, **control) -> np.ndarray:
    """Return d2U / dR dR of a cell in eV/Å^2, (n_atoms, 3, n_atoms, 3).

    By central differences of forces, of fourth order; all cells move alike.

    Parameters
    ----------
    model : estimator
        Its ``compute`` has forces.
    atoms : ase.Atoms
    **control
        A ``field`` or a ``displacement`` that stays constant, see
        `PolarizationModel.compute`.
    """
    frames = []
    for index in np.ndindex(len(atoms), 3):
        for step in (-2.0, -1.0, 1.0, 2.0):
            frames.append(atoms.copy())
            frames[-1].positions[index] += step * STEP
    forces = np.array(
        [r["forces"] for r in model.compute(frames, ["forces"], **control)]
    )
    forces = forces.reshape(len(atoms), 3, 4, len(atoms), 3)
    far, near = forces[:, :, 0] - forces[:, :, 3], forces[:, :, 2] - forces[:, :, 1]
    constants = -(far + 8.0 * near) / (12.0 * STEP)
    return 0.5 * (constants + constants.transpose(2, 3, 0, 1))


def zone_center_frequencies(model, atoms, **control) -> np.ndarray:
    """Return frequencies at the zone centre in THz, imaginary ones negative.

    Parameters are those of `zone_center_force_constants`. At a constant displacement
    of `displacement_without_field` they are longitudinal, at constant field transverse.
    """
    constants = zone_center_force_constants(model, atoms, **control)
    masses = np.repeat(atoms.get_masses(), 3)
    matrix = constants.reshape(masses.size, -1) / np.sqrt(np.outer(masses, masses))
    squares = np.linalg.eigvalsh(matrix)
    factor = 1e-12 * units.s / (2.0 * np.pi)  # of angular frequencies in ASE's units
    return factor * np.sign(squares) * np.sqrt(np.abs(squares))


def zone_center_modes(model, atoms) -> tuple[np.ndarray, np.ndarray]:
    """Return force constants in eV/Å^2 and modes, without translations.

    Returns
    -------
    values : ndarray of shape (n,)
    modes : ndarray of shape (3 n_atoms, n)

    Raises
    ------
    ValueError
        If forces act, or the structure is not at a minimum of the energy.
    """
    (result,) = model.compute(atoms, ["forces"])
    largest = np.abs(result["forces"]).max()
    if largest > LARGEST_FORCE:
        raise ValueError(
            f"forces on the structure are up to {largest:.2g} eV/Å: its ions are not "
            "at rest; relax it first"
        )
    constants = zone_center_force_constants(model, atoms).reshape(3 * len(atoms), -1)
    values, modes = np.linalg.eigh(constants)
    is_mode = np.abs(values) > SMALLEST_MODE * np.abs(values).max()
    if (values[is_mode] < 0.0).any():
        raise ValueError(
            "the structure is no minimum of the energy, and has no response of its "
            "ions at rest: relax it first"
        )
    return values[is_mode], modes[:, is_mode]


def displacement_without_field(model, atoms) -> np.ndarray:
    """Return D / eps_0 in V/Å at which a periodic structure has no field, (3,)."""
    (result,) = model.compute(atoms, ["polarization"])
    factor = FOUR_PI * COULOMB_CONSTANT / atoms.get_volume()
    return factor * result["polarization"]


def static_dielectric_tensor(model, atoms) -> np.ndarray:
    """Return the dielectric tensor with ions that follow the field, (3, 3).

    eps + 4 pi k / V sum_ij Z_i K^-1_ij Z_j^T, with the force constants K at the zone
    centre of a structure at rest, without translations.

    Raises
    ------
    ValueError
        If the structure is not at a minimum of the energy.
    """
    names = ["born_effective_charges", "dielectric_tensor"]
    (result,) = model.compute(atoms, names)
    values, modes = zone_center_modes(model, atoms)
    charges = result[names[0]].transpose(1, 0, 2).reshape(3, -1) @ modes
    ions = (charges / values) @ charges.T
    factor = FOUR_PI * COULOMB_CONSTANT / atoms.get_volume()
    return result[names[1]] + factor * ions


def nac_params(model, atoms) -> dict:
    """Return ``phonon.nac_params`` of phonopy for its primitive cell.

    Born charges are in phonopy's order, which is lodekit's: field before displacement.
    """
    names = ["born_effective_charges", "dielectric_tensor"]
    (result,) = model.compute(atoms, names)
    return {
        "born": result[names[0]],
        "dielectric": result[names[1]],
        "factor": COULOMB_CONSTANT,
    }


def write_born(path, atoms, charges, dielectric, overwrite: bool = False) -> None:
    """Write Born charges and a dielectric tensor as the file ``BORN`` of phonopy.

    Only atoms that symmetry does not relate are written, as phonopy wants it, and both
    tensors get the symmetry of the crystal.

    Parameters
    ----------
    path : str or Path
    atoms : ase.Atoms
        The unit cell; displaced atoms have no symmetry.
    charges : ndarray of shape (n_atoms, 3, 3)
        In e, moment before displacement.
    dielectric : ndarray of shape (3, 3)
    overwrite : bool
        Replace a file that exists.

    Raises
    ------
    ImportError
        If phonopy is not installed.
    """
    try:
        from phonopy.file_IO import get_BORN_lines
        from phonopy.structure.atoms import PhonopyAtoms
    except ImportError:
        raise ImportError(
            "a BORN file needs phonopy for the symmetry: pip install phonopy"
        ) from None

    cell = PhonopyAtoms(
        symbols=list(atoms.symbols), cell=atoms.cell[:], positions=atoms.positions
    )
    _, *rest = get_BORN_lines(cell, np.asarray(charges), np.asarray(dielectric))
    lines = [f"{COULOMB_CONSTANT:.8f}", *rest]
    path = check_destination(path, overwrite)
    with written_whole(path) as file:
        file.write(("\n".join(lines) + "\n").encode())
