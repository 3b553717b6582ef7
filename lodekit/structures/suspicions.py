"""Signs that some numbers are in another unit than the others."""

import numpy as np

# Hartree, Rydberg, kcal/mol and kJ/mol differ from eV by factors of 13.6 to 96.
_ENERGY_RATIO = 10.0
# Total energies per atom of one composition stay within some percent.
_ENERGY_SPREAD = 1.1
_SHORT_BOND = 0.4  # nm read as Å gives 0.1, fractional coordinates about 0.1
_FEWEST = 3


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
