"""What energies owe to the composition alone."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols


def count_species(frames, species: np.ndarray) -> np.ndarray:
    """Return how many atoms of each species every frame has, (n_frames, n_species)."""
    return np.array([[(atoms.numbers == z).sum() for z in species] for atoms in frames])


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
    """Return the energies of the frames that hold a single atom, one per species.

    Raises
    ------
    ValueError
        If a species has no such frame.
    """
    found = {
        int(atoms.numbers[0]): energy
        for atoms, energy in zip(frames, energies, strict=True)
        if len(atoms) == 1
    }
    missing = [int(z) for z in species if int(z) not in found]
    if missing:
        raise ValueError(
            "baseline='isolated-atoms' needs a frame with one atom of every species, "
            f"none for atomic numbers {missing}"
        )
    return np.array([found[int(z)] for z in species])


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
