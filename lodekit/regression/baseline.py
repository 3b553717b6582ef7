"""Energies of the elements: the part of energies that the composition explains."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols

from lodekit.structures import frame_name, get_target
from lodekit.structures.distances import shortest_distance

#: Distance in Å from which on an atom does not see its images.
FAR = 8.0
#: Energies in eV that differ by less are the same.
SAME_ENERGY = 1e-3


def count_species(frames, species: np.ndarray) -> np.ndarray:
    """Return how many atoms of each species every frame has, (n_frames, n_species)."""
    counts = [[(atoms.numbers == z).sum() for z in species] for atoms in frames]
    return np.array(counts, dtype=int).reshape(len(frames), len(species))


def find_baseline(baseline, frames, species, energies, weights=None) -> np.ndarray:
    """Return the energy of every species in eV, as ``baseline`` says.

    Parameters
    ----------
    baseline : dict, "composition" or "isolated-atoms"
        Energies by species, what `fit_composition` or `isolated_atom_energies` find.
    frames : list of ase.Atoms
    species : ndarray of shape (n_species,)
    energies : ndarray of shape (n_frames,)
        Total energies in eV.
    weights : ndarray of shape (n_frames,), optional

    Raises
    ------
    ValueError
        For anything else, and for species without an energy.
    """
    if isinstance(baseline, dict):
        return read_baseline(baseline, species)
    if baseline == "isolated-atoms":
        return isolated_atom_energies(frames, energies, species)
    if baseline == "composition":
        return fit_composition(count_species(frames, species), energies, weights)
    raise ValueError(
        "baseline must be 'composition', 'isolated-atoms' or a dictionary of "
        f"energies by species, got {baseline!r}"
    )


def fit_composition(
    counts: np.ndarray, energies: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return one energy per species by least squares on energies per atom.

    Where compositions do not determine all species, the smallest energies are returned.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_species)
    energies : ndarray of shape (n_frames,)
        Total energies in eV.
    weights : ndarray of shape (n_frames,), optional
        Weight of each frame's squared error.

    Returns
    -------
    energies : ndarray of shape (n_species,)
        In eV.
    """
    scale = 1.0 / counts.sum(axis=1)
    if weights is not None:
        scale = scale * np.sqrt(weights)
    return np.linalg.lstsq(counts * scale[:, None], energies * scale, rcond=1e-10)[0]


def isolated_atom_energies(frames, energies: np.ndarray, species) -> np.ndarray:
    """Return the energies of isolated neutral atoms in eV, one for each species.

    An atom is isolated if it is open, or its images are at least `FAR` Å away: a
    primitive cell of a crystal holds one atom, too.

    Raises
    ------
    ValueError
        If a species has no such frame, or several with different energies.
    """
    isolated, refused = {}, {}
    for index, (atoms, energy) in enumerate(zip(frames, energies, strict=True)):
        if len(atoms) != 1:
            continue
        z, reason = int(atoms.numbers[0]), not_isolated(atoms)
        if reason:
            refused.setdefault(z, f"{frame_name(index)} {reason}")
            continue
        first, known = isolated.setdefault(z, (index, energy))
        if abs(energy - known) > SAME_ENERGY:
            raise ValueError(
                f"baseline='isolated-atoms' needs one energy for each element, and "
                f"{chemical_symbols[z]} has {known:.6g} eV in {frame_name(first)} and "
                f"{energy:.6g} eV in {frame_name(index)}; keep one of them"
            )
    missing = [int(z) for z in species if int(z) not in isolated]
    if missing:
        reasons = [refused[z] for z in missing if z in refused]
        raise ValueError(
            "baseline='isolated-atoms' needs a frame with one neutral atom of every "
            f"element, open or at least {FAR:g} Å from its images, and there is none "
            f"of {', '.join(chemical_symbols[z] for z in missing)}"
            + (f" ({', '.join(reasons)})" if reasons else "")
            + "; add it, or give energies, baseline={'H': -13.6, ...}"
        )
    return np.array([isolated[int(z)][1] for z in species])


def not_isolated(atoms) -> str:
    """Say why a frame of one atom is no isolated neutral atom, nothing if it is."""
    charge = get_target(atoms, "total_charge")
    if charge:
        return f"has the total charge {charge:g} e"
    shortest = shortest_distance(atoms)
    if shortest is not None and shortest.distance < FAR:
        return f"is {shortest.distance:.3g} Å from its images"
    return ""


def read_baseline(given: dict, species: np.ndarray) -> np.ndarray:
    """Return the baseline energies (eV) of ``species`` from a user's dictionary.

    Raises
    ------
    ValueError
        If a species is missing.
    """
    energies = []
    for z in species:
        for key in (int(z), str(z), chemical_symbols[z]):
            if key in given:
                energies.append(float(given[key]))
                break
        else:
            raise ValueError(
                f"the baseline has no energy for {chemical_symbols[z]}, "
                f"it names {list(given)}"
            )
    return np.array(energies)
