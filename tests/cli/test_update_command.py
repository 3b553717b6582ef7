import json

import numpy as np
import pytest
from stub_model import make_waters

from lodekit import load_model
from lodekit.structures import write_structures

SETTINGS = """
[fit]
targets = ["energy", "forces"]
energy_noise = 0.01
force_noise = 0.1

[terms.soap]
n_sparse = 5

[terms.lode]
n_sparse = 3
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a folder with a model, its sums, and new frames."""
    from lodekit.cli.main import main

    folder = tmp_path_factory.mktemp("update")
    frames = make_waters(12)
    write_structures(folder / "train.xyz", frames[:8])
    write_structures(folder / "new.xyz", frames[8:])
    (folder / "s.toml").write_text(SETTINGS)
    arguments = ["fit", folder / "train.xyz", "--settings", folder / "s.toml"]
    output = ["--keep-sums", "-o", folder / "m.lodekit"]
    assert main([str(own) for own in [*arguments, *output]]) == 0
    return folder


def test_new_frames_are_added_to_the_sums(fitted, lodekit):
    arguments = ("fit", fitted / "new.xyz", "--update", fitted / "m.lodekit")
    assert "exists already" in lodekit(*arguments)[2]
    status, out, err = lodekit(*arguments, "-o", "n.lodekit", "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert answer["training_file"] == "train.xyz, new.xyz"
    assert answer["summary"]["n_structures"] == 12
    assert answer["summary"]["n_rows"]["energy"] == 12
    old, new = (load_model(p) for p in (fitted / "m.lodekit", "n.lodekit"))
    assert not np.allclose(old.weights_, new.weights_)
    # the sums beside the new model are its own
    status, _, err = lodekit("fit", fitted / "new.xyz", "--update", "n.lodekit")
    assert "exists already" in err
    again = ("fit", fitted / "new.xyz", "--update", "n.lodekit", "--overwrite")
    assert "frame 1 is one that the model was fitted to" in lodekit(*again)[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "fit.energy_noise=1"), "--set does not go with --update"),
        (("--folds", "2"), "--folds does not go with --update"),
        (("--update", "none.lodekit"), "none.lodekit"),
    ],
)
def test_mistakes_are_one_line(fitted, lodekit, arguments, message):
    options = ("fit", fitted / "new.xyz", "--update", fitted / "m.lodekit")
    status, _, err = lodekit(*options, "-o", "n.lodekit", *arguments)
    assert status == 1
    assert message in err


def test_models_that_cannot_be_updated_keep_no_sums(fitted, lodekit):
    options = ("--model", "latent-charges", "--keep-sums", "-o", "n.lodekit")
    status, _, err = lodekit("fit", fitted / "train.xyz", *options)
    assert status == 1
    assert "LatentChargeModel cannot be updated" in err
