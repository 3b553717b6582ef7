"""Model files of every older format, written once by the lodekit of their time."""

import json
import pathlib

import numpy as np
import pytest

from lodekit import load_model, read_structures
from lodekit.cli.prediction import compute_in_chunks
from lodekit.model_file import MODEL_CLASSES, read_header

DATA = pathlib.Path(__file__).parent / "data"
FILES = sorted(DATA.glob("format_*/*.lodekit"))
#: Classes that format 1 has written; those that came later have format 2 alone.
CLASSES_OF_FORMAT_1 = {
    "SparsePotential",
    "GlobalPotential",
    "ChargeModel",
    "DipoleModel",
    "LatentChargeModel",
    "ChargeEquilibrationModel",
}
NAMES = [f"{path.parent.name}/{path.stem}" for path in FILES]


@pytest.fixture(scope="module")
def written():
    """Frames and predictions that were written with the files, by folder."""
    return {
        folder: (
            read_structures(folder / "frames.xyz"),
            json.loads((folder / "predictions.json").read_text()),
        )
        for folder in {path.parent for path in FILES}
    }


def test_there_is_a_file_of_every_class():
    classes = {read_header(path)["class"] for path in FILES}
    assert classes == CLASSES_OF_FORMAT_1 | {"TensorModel"}
    assert set(MODEL_CLASSES) >= classes


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_old_files_predict_what_they_did(path, written):
    frames, predictions = written[path.parent]
    expected = predictions[path.stem]
    names = list(dict.fromkeys(name for result in expected for name in result))
    results = compute_in_chunks(load_model(path), frames[: len(expected)], names)
    for result, wanted in zip(results, expected, strict=True):
        assert result.keys() == wanted.keys()
        for name, values in wanted.items():
            np.testing.assert_allclose(
                result[name], values, rtol=1e-9, atol=1e-9, err_msg=name
            )
