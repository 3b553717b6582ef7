"""Do the targets of a data set fit each other? Parts of the audit.

Values come as dictionaries by frame index, because not every frame has every target.
"""

import numpy as np
from ase.data import chemical_symbols

from lodekit.quantities import family

SURROUNDINGS = family("surroundings")
# Deviations of more than this many robust standard deviations are outliers.
_OUTLIER = 6.0
_SMALLEST_OUTLIER = 1.0  # meV/atom
_LISTED = 10
_SAME_VALUE = 1e-6
# A pressure-volume slope says something about the sign when volumes differ by 1 % and
# explain at least half of the variance.
_VOLUME_SPREAD = 0.01
_EXPLAINED = 0.5
_FEWEST_FOR_SLOPE = 5


def energy_report(frames, energies):
    """Fit one energy per species and describe what is left.

    Single atoms are left out of the fit: their energies are no part of a trend.

    Parameters
    ----------
    frames : list of ase.Atoms
        The structures.
    energies : dict of float
        Energies in eV by frame index.

    Returns
    -------
    report : dict or None
        Baseline in eV per species, spread in meV/atom, outliers with their deviation.
    """
    indices = [index for index in energies if len(frames[index]) > 1]
    if not indices:
        return None
    sizes = np.array([len(frames[index]) for index in indices])
    species = sorted({number for index in indices for number in frames[index].numbers})
    counts = np.array(
        [[np.sum(frames[index].numbers == z) for z in species] for index in indices]
    )
    # Per atom, so that every frame weighs the same.
    design = counts / sizes[:, None]
    per_atom = np.array([energies[index] for index in indices]) / sizes
    baseline, _, rank, _ = np.linalg.lstsq(design, per_atom, rcond=1e-10)
    left = 1e3 * (per_atom - design @ baseline)
    robust = 1.4826 * np.median(np.abs(left - np.median(left)))
    far = np.abs(left - np.median(left))
    limit = max(_OUTLIER * robust, _SMALLEST_OUTLIER)
    outliers = [
        {"frame": indices[i] + 1, "deviation": float(left[i])}
        for i in np.argsort(-far, kind="stable")
        if far[i] > limit
    ]
    symbols = [chemical_symbols[z] for z in species]
    return {
        "frames": len(indices),
        "single_atoms": len(energies) - len(indices),
        "baseline": dict(zip(symbols, map(float, baseline), strict=True)),
        "unique": bool(rank == len(species)),
        "spread": float(np.sqrt(np.mean(left**2))),
        "min": float(left.min()),
        "max": float(left.max()),
        "n_outliers": len(outliers),
        "outliers": outliers[:_LISTED],
    }


def force_report(forces):
    """Return the largest force and the largest net force in eV/Å, with their frames."""
    if not forces:
        return None
    indices = list(forces)
    largest = [np.linalg.norm(forces[index], axis=1).max() for index in indices]
    net = [np.linalg.norm(forces[index].sum(axis=0)) for index in indices]
    return {
        "max": float(np.max(largest)),
        "max_frame": indices[int(np.argmax(largest))] + 1,
        "net_max": float(np.max(net)),
        "net_max_frame": indices[int(np.argmax(net))] + 1,
        "net_median": float(np.median(net)),
    }


def charge_report(values):
    """Compare the sums of atomic charges with total charges, or with whole numbers."""
    charges = values.get("charges", {})
    if not charges:
        return None
    totals = values.get("total_charge", {})
    indices = list(charges)
    sums = np.array([charges[index].sum() for index in indices])
    expected = np.array(
        [
            totals.get(index, np.round(total))
            for index, total in zip(indices, sums, strict=True)
        ]
    )
    deviations = np.abs(sums - expected)
    return {
        "frames": len(indices),
        "with_total_charge": sum(index in totals for index in indices),
        "sum_min": float(sums.min()),
        "sum_max": float(sums.max()),
        "max_deviation": float(deviations.max()),
        "max_deviation_frame": indices[int(np.argmax(deviations))] + 1,
    }


def stress_report(frames, values):
    """Guess the sign of the stress from its slope over the volume.

    The mean of the diagonal is dE/dV where tension is positive, so for a stable
    substance it rises with the volume.
    """
    groups = {}
    for index, stress in values.get("stress", {}).items():
        if frames[index].pbc.all():
            formula = frames[index].get_chemical_formula()
            groups.setdefault(formula, []).append(
                (np.log(frames[index].cell.volume), stress[:3].mean())
            )
    if not values.get("stress"):
        return None
    signs = [_slope_sign(np.array(group)) for group in groups.values()]
    signs = [sign for sign in signs if sign]
    sign = "unclear"
    if signs and len(set(signs)) == 1:
        sign = "expected" if signs[0] > 0 else "opposite"
    return {"frames": len(values["stress"]), "sign": sign}


def _slope_sign(points):
    if len(points) < _FEWEST_FOR_SLOPE or np.ptp(points[:, 0]) < _VOLUME_SPREAD:
        return 0
    if np.ptp(points[:, 1]) == 0.0:
        return 0
    correlation = np.corrcoef(points.T)[0, 1]
    return int(np.sign(correlation)) if correlation**2 > _EXPLAINED else 0


def duplicate_report(frames, values):
    """Count frames with the same atoms at the same places, to six decimals.

    Returns
    -------
    report : dict
        Pairs of equal geometry; frames that repeat an earlier one, split into those
        with another total charge, in another field or beside other point charges, with
        other targets, and with nothing different.
    """
    groups = {}
    for index, structure in enumerate(frames):
        groups.setdefault(_fingerprint(structure), []).append(index)
    kinds = ("exact", "other_total_charge", "other_surroundings", "other_targets")
    report = dict.fromkeys(kinds, 0)
    n_pairs, first_pairs = 0, []
    for first, *others in groups.values():
        n_pairs += len(others) * (len(others) + 1) // 2
        for other in others:
            report[_compare(values, first, other)] += 1
            first_pairs.append([first + 1, other + 1])
    return {
        "pairs": n_pairs,
        "repeats": len(first_pairs),
        **report,
        "first_pairs": first_pairs[:_LISTED],
    }


def _fingerprint(structure):
    parts = (structure.positions, structure.cell[:])
    # Adding zero turns -0.0 into 0.0.
    rounded = [(np.round(part, 6) + 0.0).tobytes() for part in parts]
    return (structure.numbers.tobytes(), structure.pbc.tobytes(), *rounded)


def _compare(values, first, second):
    charges = values.get("total_charge", {})
    if charges.get(first) != charges.get(second):
        return "other_total_charge"
    if any(_differ(values.get(name, {}), first, second) for name in SURROUNDINGS):
        return "other_surroundings"
    for by_frame in values.values():
        if first not in by_frame or second not in by_frame:
            continue
        difference = np.abs(np.subtract(by_frame[first], by_frame[second])).max()
        if difference > _SAME_VALUE:
            return "other_targets"
    return "exact"


def _differ(by_frame, first, second):
    """Whether frames were calculated in different fields; without one it is zero."""
    one, other = (np.atleast_1d(by_frame.get(index, 0.0)) for index in (first, second))
    if one.size != other.size and 1 not in (one.size, other.size):
        return True
    return np.abs(one - other).max(initial=0.0) > _SAME_VALUE
