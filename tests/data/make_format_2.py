"""Write small model files with atomic moments of pairs and tensors, and predictions.

This was run once, with the lodekit that wrote format 2 of the model file; what later
formats changed are these moments, and tensors of rank 3. See ``make_format_1.py`` for
what is in the folder.

    python tests/data/make_format_2.py
"""

import json
import pathlib
import shutil

import make_format_1
import numpy as np

from lodekit import load_model, read_structures
from lodekit.cli.prediction import compute_in_chunks
from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.model_file import as_json, save_model
from lodekit.models import ChargeModel, TensorModel

TENSORS = ["matrix", "third"]
FOLDER = pathlib.Path(__file__).resolve().parent / "format_2"


def models():
    """Return unfitted models by name."""
    known = make_format_1.models()
    arguments = make_format_1.charge_arguments(n_sparse=[3, 4])
    swapped = {name: own[::-1] for name, own in arguments.items()}
    return {
        "charges": known["charges"],
        "charges_of_lode": ChargeModel(
            **swapped, targets=["charges", "dipole"], max_multipole=1
        ),
        "tensors": TensorModel(
            EquivariantPowerSpectrum(make_format_1.density(max_angular=2)),
            n_sparse=4,
            n_channels=8,
            targets=TENSORS,
        ),
    }


def add_tensors(frames):
    """Give structures a matrix and a symmetric tensor of rank 3, in place."""
    for atoms in frames:
        places = atoms.positions - atoms.positions.mean(axis=0)
        atoms.info["matrix"] = np.einsum("ia,ib->ab", places, places).ravel()
        third = np.einsum("ia,ib,ic->abc", places, places, places)
        atoms.info["third"] = third.ravel()


def write():
    """Write files and predictions."""
    FOLDER.mkdir(exist_ok=True)
    water = read_structures(make_format_1.WATER)
    train = water[:12:2] + water[20:50:6]
    add_tensors(train)
    shutil.copyfile(make_format_1.FOLDER / "frames.xyz", FOLDER / "frames.xyz")
    frames = read_structures(FOLDER / "frames.xyz")
    predictions = {}
    for name, unfitted in models().items():
        path = FOLDER / f"{name}.lodekit"
        save_model(unfitted.fit(train), path, overwrite=True)
        model = load_model(path)
        names = [*make_format_1.NAMES, *TENSORS]
        names = [key for key in names if key in model.properties]
        predictions[name] = as_json(compute_in_chunks(model, frames, names))
    (FOLDER / "predictions.json").write_text(json.dumps(predictions, indent=0))


if __name__ == "__main__":
    write()
