"""Structures with errors as a file that chemiscope shows: a map beside a viewer.

References
----------
G. Fraux, R. K. Cersonsky, M. Ceriotti, J. Open Source Softw. 5, 2117 (2020).
"""

import gzip
import json

import numpy as np

from lodekit.whole_files import written_whole

#: Atoms whose own values are in the file; of more structures have values only.
MOST_ATOMS = 20_000
#: Radius in Å of the surroundings that the viewer shows.
RADIUS = 3.5


def chemiscope_dataset(frames, comparisons, extrapolations=(), name="lodekit"):
    """Return the content of a file of chemiscope.

    Parameters
    ----------
    frames : list of ase.Atoms
    comparisons : dict of Comparison
        By target.
    extrapolations : list of ndarray of shape (n_atoms,)
        Of every frame, none where a model does not know them.
    name : str
        Title.
    """
    properties = {"frame": structure_values(np.arange(1, len(frames) + 1))}
    for target, comparison in comparisons.items():
        properties |= target_values(target, comparison, len(frames))
    has_atoms = sum(map(len, frames)) <= MOST_ATOMS
    if extrapolations:
        largest = np.array([values.max() for values in extrapolations])
        properties["extrapolation"] = structure_values(largest)
        if has_atoms:
            properties["extrapolation of atoms"] = {
                "target": "atom",
                "values": np.concatenate(extrapolations).tolist(),
            }
    dataset = {
        "meta": {"name": name},
        "structures": [describe_structure(atoms) for atoms in frames],
        "properties": properties,
    }
    if has_atoms:
        dataset["environments"] = [
            {"structure": index, "center": center, "cutoff": RADIUS}
            for index, atoms in enumerate(frames)
            for center in range(len(atoms))
        ]
    return dataset


def structure_values(values, units=""):
    """Return values of structures, as chemiscope has them; NaN is no number there."""
    values = [None if np.isnan(value) else value for value in np.asarray(values, float)]
    return {"target": "structure", "values": values, "units": units}


def target_values(target, comparison, n_frames):
    """Return the error of every frame, and of energies both values."""
    squares = np.bincount(comparison.frame, comparison.errors**2, n_frames)
    counts = np.bincount(comparison.frame, minlength=n_frames)
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(squares / counts)
    unit = comparison.unit
    properties = {f"error of {target}": structure_values(errors, unit)}
    if (
        comparison.species is None
        and len(comparison.frame) == counts.astype(bool).sum()
    ):
        for kind in ("reference", "predicted"):
            values = np.full(n_frames, np.nan)
            values[comparison.frame] = getattr(comparison, kind)
            properties[f"{kind} {target}"] = structure_values(values, unit)
    # chemiscope has no word for a value that is missing
    return {name: one for name, one in properties.items() if None not in one["values"]}


def describe_structure(atoms):
    """Return a structure as chemiscope has it."""
    x, y, z = atoms.positions.T.tolist()
    described = {
        "size": len(atoms),
        "names": list(atoms.symbols),
        "x": x,
        "y": y,
        "z": z,
    }
    if atoms.pbc.any():
        described["cell"] = atoms.cell.array.ravel().tolist()
    return described


def write_chemiscope(path, dataset) -> None:
    """Write a dataset to a .json or .json.gz file."""
    text = json.dumps(dataset, allow_nan=False).encode()
    with written_whole(path, OSError) as file:
        file.write(gzip.compress(text) if path.name.endswith(".gz") else text)
