"""Signs that some numbers are wrong, or in another unit than the others."""

import math

import numpy as np

from lodekit.quantities import TARGETS

from .batch import frame_name

# Hartree, Rydberg, kcal/mol and kJ/mol differ from eV by factors of 13.6 to 96.
_ENERGY_RATIO = 10.0
# Total energies per atom of one composition stay within some percent.
_ENERGY_SPREAD = 1.1
_SHORT_BOND = 0.4  # nm read as Å gives 0.1, fractional coordinates about 0.1
_FEWEST = 3
# The largest forces of frames that belong together differ by less than a factor of 3
# from what nine of ten frames stay below.
_SIZE_RATIO = 5.0
_FEWEST_SIZES = 5
# A shift has three of the five numbers of a residual: chance leaves 40 % of its square.
_LEFT_BY_SHIFT = 0.1
#: Targets whose sizes are compared: forces and stress.
COMPARABLE = [name for name, target in TARGETS.items() if target.harmless < math.inf]


def suspicious_energies(compositions, energies_per_atom):
    """Say when energies of one composition fall into two groups, or return None.

    Parameters
    ----------
    compositions : list of str
        Formula of every structure with an energy.
    energies_per_atom : ndarray of shape (n_structures,)
        Energies in eV/atom.

    Returns
    -------
    suspicion : str or None
        One line for a warning.
    """
    magnitudes = np.abs(np.asarray(energies_per_atom, dtype=float))
    groups = {}
    for index, composition in enumerate(compositions):
        groups.setdefault(composition, []).append(index)
    for composition, members in groups.items():
        values = np.sort(magnitudes[members])
        values = values[values > 0.0]
        if len(values) <= _FEWEST:
            continue
        ratios = values[1:] / values[:-1]
        cut = int(np.argmax(ratios)) + 1
        low, high = values[:cut], values[cut:]
        larger = low if len(low) > len(high) else high
        if (
            ratios[cut - 1] > _ENERGY_RATIO
            and len(larger) >= _FEWEST
            and max(low[-1] / low[0], high[-1] / high[0]) < _ENERGY_SPREAD
        ):
            return (
                f"energies of {composition} fall into two groups, "
                f"{len(low)} frames near {np.median(low):.4g} and {len(high)} near "
                f"{np.median(high):.4g} eV/atom: are the units mixed?"
            )
    return None


def largest_size(values):
    """Return the largest length of vectors (n, 3), or of numbers of other shapes."""
    values = np.asarray(values)
    is_vector = values.ndim == 2 and values.shape[1] == 3
    with np.errstate(over="ignore"):
        sizes = np.linalg.norm(values, axis=1) if is_vector else np.abs(values)
    return float(sizes.max(initial=0.0))


def suspicious_sizes(name, sizes):
    """Say which frames have far larger forces, or stress, than the others.

    Parameters
    ----------
    name : {"forces", "stress"}
    sizes : dict of float
        The largest of every frame that has it, by index.

    Returns
    -------
    suspicion : str or None
        One line for a warning.
    """
    if len(sizes) < _FEWEST_SIZES:
        return None
    indices, values = np.array(list(sizes)), np.array(list(sizes.values()))
    usual = float(np.quantile(values, 0.9, method="lower"))
    far = values > max(_SIZE_RATIO * usual, TARGETS[name].harmless)
    if not far.any():
        return None
    order = np.argsort(-values)[: np.count_nonzero(far)]
    unit = TARGETS[name].unit
    listed = [f"{values[i]:.4g} {unit} in {frame_name(indices[i])}" for i in order[:3]]
    dots = ", ..." if len(order) > 3 else ""
    return (
        f"{name} of up to {', '.join(listed)}{dots}, while nine of ten frames stay "
        f"below {usual:.3g}: look whether they are right, or leave these frames out"
    )


def suspicious_lengths(bond_ratios):
    """Say when closest atoms are far too close for Å, or return None.

    Parameters
    ----------
    bond_ratios : ndarray of shape (n_structures,)
        Shortest distance over the sum of covalent radii.

    Returns
    -------
    suspicion : str or None
        One line for a warning.
    """
    bond_ratios = np.asarray(bond_ratios, dtype=float)
    n_short = int(np.count_nonzero(bond_ratios < _SHORT_BOND))
    if n_short < max(1, 0.05 * len(bond_ratios)):
        return None
    return (
        f"in {n_short} of {len(bond_ratios)} frames the closest atoms are nearer than "
        f"{_SHORT_BOND} times a bond length: are positions in nm, or fractional?"
    )


def suspicious_origins(positions, charges, dipoles, quadrupoles):
    """Say when quadrupoles count from another point than the positions, or return None.

    The quadrupole of a neutral structure with dipole mu about a point o is that about
    the origin minus the parts mu o^T + o mu^T without their trace.

    Parameters
    ----------
    positions : list of ndarray of shape (n_atoms, 3)
        Of neutral open structures, in Å.
    charges : list of ndarray of shape (n_atoms,)
        In e.
    dipoles : list of ndarray of shape (3,)
        In e·Å.
    quadrupoles : list of ndarray of shape (3, 3)
        In e·Å².

    Returns
    -------
    suspicion : str or None
        One line for a warning.
    """
    if len(positions) < _FEWEST_SIZES:
        return None
    before = after = 0.0
    origins = []
    for places, of_atoms, dipole, quadrupole in zip(
        positions, charges, dipoles, quadrupoles, strict=True
    ):
        rest = without_trace(quadrupole - (places.T * of_atoms) @ places).ravel()
        changes = [
            -without_trace(np.outer(dipole, axis) + np.outer(axis, dipole)).ravel()
            for axis in np.eye(3)
        ]
        origin, *_ = np.linalg.lstsq(np.transpose(changes), rest, rcond=1e-6)
        origins.append(origin)
        before += np.sum(rest**2)
        after += np.sum((rest - origin @ changes) ** 2)
    if not after < _LEFT_BY_SHIFT * before:
        return None
    x, y, z = np.median(origins, axis=0)
    return (
        f"quadrupoles differ from those of the charges as if they counted from another "
        f"point than the positions do, near {x:.2f}, {y:.2f}, {z:.2f} Å: turn them to "
        "the origin of the positions, or leave them out"
    )


def without_trace(matrix):
    """Return a matrix (3, 3) without its trace."""
    return matrix - np.trace(matrix) / 3.0 * np.eye(3)
