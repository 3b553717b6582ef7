"""The audit a careful user makes of a data set before fitting it."""

import numpy as np

from lodekit.errors import StructureError

from .batch import as_frames
from .cells import BOUNDARIES, boundary_name
from .checks import geometry_problem
from .consistency import (
    charge_report,
    duplicate_report,
    energy_report,
    force_report,
    stress_report,
)
from .contents import describe_contents
from .distances import bond_ratio, shortest_distance
from .keys import TARGETS, find_target
from .suspicions import (
    COMPARABLE,
    largest_size,
    suspicious_energies,
    suspicious_lengths,
    suspicious_origins,
    suspicious_sizes,
)
from .targets import SOURCES_KEY, BadTarget, get_target

_LISTED = 10
_NEUTRAL = 0.05  # e: charges of fits and partitions miss their sum
_GRAMS_PER_CM3 = 1.66053906660  # of 1 atomic mass unit per Å³


@np.errstate(over="ignore", invalid="ignore")  # of values such as 1e200
def audit_structures(frames, keys=None):
    """Describe structures and their targets.

    Frames may lack some targets, have any boundary and any number of atoms. Nothing is
    refused: faults are listed under "problems", suspicious values under "notes".

    Parameters
    ----------
    frames : list of ase.Atoms
        The structures.
    keys : dict, optional
        Key map as in `resolve_keys`; not needed after `read_structures`.

    Returns
    -------
    report : dict
        Numbers, texts and lists of them, ready for JSON; units as in `TARGETS`. Frames
        are counted from 1. A part that does not apply is None.
    """
    frames = as_frames(frames)
    if not frames:
        raise StructureError("there are no structures to audit")
    problems = []
    values = _collect_targets(frames, keys, problems)
    sizes = np.array([len(structure) for structure in frames])
    distances, ratios = _distance_report(frames, problems)
    report = {
        "frames": len(frames),
        "atoms": {
            "total": int(sizes.sum()),
            "min": int(sizes.min()),
            "mean": float(sizes.mean()),
            "max": int(sizes.max()),
        },
        "species": _species_report(frames),
        "boundaries": _boundary_report(frames),
        "volume": _volume_report(frames),
        "keys": describe_contents(frames),
        "targets": _target_report(frames, values, keys),
        "energy_fit": energy_report(frames, values.get("energy", {})),
        "forces": force_report(values.get("forces", {})),
        "charges": charge_report(values),
        "stress": stress_report(frames, values),
        "distances": distances,
        "duplicates": duplicate_report(frames, values),
        "problems": problems,
    }
    report["notes"] = _notes(frames, values, ratios, report)
    return report


def _collect_targets(frames, keys, problems):
    """Return, for every target that occurs, its values by frame index.

    The virial is left out: `get_target` makes it of the stress.
    """
    values = {}
    for index, structure in enumerate(frames):
        for name in TARGETS:
            try:
                value = get_target(structure, name, keys)
            except StructureError as problem:
                problems.append({"frame": index + 1, "problem": str(problem)})
                if isinstance(problem, BadTarget):
                    continue
                break  # the whole calculator is of no use
            if value is not None and name != "virial":
                values.setdefault(name, {})[index] = value
    return values


def _species_report(frames):
    species = {}
    for structure in frames:
        symbols, counts = np.unique(
            structure.get_chemical_symbols(), return_counts=True
        )
        for symbol, count in zip(symbols.tolist(), counts.tolist(), strict=True):
            entry = species.setdefault(symbol, {"atoms": 0, "frames": 0})
            entry["atoms"] += count
            entry["frames"] += 1
    return dict(sorted(species.items()))


def _boundary_report(frames):
    counts = dict.fromkeys(BOUNDARIES, 0)
    for structure in frames:
        counts[boundary_name(structure.pbc)] += 1
    return counts


def _volume_report(frames):
    """Return volumes in Å³ and densities in g/cm³ of the periodic frames."""
    periodic = [
        structure
        for structure in frames
        if structure.pbc.all() and structure.cell.volume > 0.0
    ]
    if not periodic:
        return None
    volumes = np.array([structure.cell.volume for structure in periodic])
    masses = np.array([structure.get_masses().sum() for structure in periodic])
    densities = _GRAMS_PER_CM3 * masses / volumes
    return {
        "frames": len(periodic),
        "min": float(volumes.min()),
        "max": float(volumes.max()),
        "density_min": float(densities.min()),
        "density_max": float(densities.max()),
    }


def _target_report(frames, values, keys):
    report = {}
    for name, by_frame in values.items():
        flat = np.concatenate([np.ravel(value) for value in by_frame.values()])
        missing = [index + 1 for index in range(len(frames)) if index not in by_frame]
        report[name] = {
            "unit": TARGETS[name].unit,
            "sources": _sources(frames, by_frame, name, keys),
            "frames": len(by_frame),
            "missing": len(missing),
            "missing_frames": missing[:_LISTED],
            "values": int(flat.size),
            "min": float(flat.min()),
            "max": float(flat.max()),
            "mean": float(flat.mean()),
            "std": float(flat.std()),
        }
    return report


def _sources(frames, indices, name, keys):
    """Count under which keys of the file, or of the structures, a target stands."""
    counts = {}
    for index in indices:
        source = frames[index].info.get(SOURCES_KEY, {}).get(name)
        if source is None:
            entry = find_target(frames[index], name, keys)
            if entry is None:  # a stress that is made from a virial
                entry = find_target(frames[index], "virial", keys)
            source = entry.source
        counts[source] = counts.get(source, 0) + 1
    return counts


def _distance_report(frames, problems):
    """Return the shortest distance of all frames, and every frame's bond ratio."""
    shortest, where, ratios = None, None, []
    for index, structure in enumerate(frames):
        problem = geometry_problem(structure)
        if problem:
            problems.append({"frame": index + 1, "problem": problem})
            continue
        pair = shortest_distance(structure)
        if pair is None:
            continue
        ratios.append(bond_ratio(structure, pair))
        if shortest is None or pair.distance < shortest.distance:
            shortest, where = pair, index
    if shortest is None:
        return None, ratios
    symbols = frames[where].symbols
    return {
        "shortest": shortest.distance,
        "frame": where + 1,
        "atoms": [shortest.first + 1, shortest.second + 1],
        "species": [symbols[shortest.first], symbols[shortest.second]],
        "median_bond_ratio": float(np.median(ratios)),
    }, ratios


def _moments_of_neutral(frames, values):
    """Return positions, charges, dipoles, quadrupoles of frames that have all of them.

    Of open ones whose charges sum to nothing: moments of others depend on more.
    """
    names = ("charges", "dipole", "quadrupole")
    indices = set(range(len(frames))).intersection(*(values.get(n, {}) for n in names))
    used = [
        index
        for index in sorted(indices)
        if abs(np.sum(values["charges"][index])) < _NEUTRAL
        and not frames[index].pbc.any()
    ]
    return [frames[i].positions for i in used], *(
        [values[name][i] for i in used] for name in names
    )


def _notes(frames, values, ratios, report):
    """Return sentences about what looks wrong but may be meant."""
    energies = values.get("energy", {})
    notes = [
        suspicious_energies(
            [frames[index].get_chemical_formula() for index in energies],
            [energy / len(frames[index]) for index, energy in energies.items()],
        ),
        suspicious_lengths(ratios),
        suspicious_origins(*_moments_of_neutral(frames, values)),
        *(
            suspicious_sizes(
                name, {i: largest_size(v) for i, v in values.get(name, {}).items()}
            )
            for name in COMPARABLE
        ),
    ]
    if report["distances"] and report["distances"]["median_bond_ratio"] > 1.6:
        notes.append(
            "the closest atoms of most frames are far apart for Å: positions in Bohr?"
        )
    if report["stress"] and report["stress"]["sign"] == "opposite":
        notes.append(
            "stress falls with volume: its sign looks opposite (tension is positive)"
        )
    return [note for note in notes if note]
