import pathlib
import re

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def names():
    """What the code of docs/add-an-observable.md defines, run block after block."""
    text = (ROOT / "docs" / "add-an-observable.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    code = code.replace("examples/data/", f"{ROOT}/examples/data/")
    names = {}
    exec(compile(code, "add-an-observable.md", "exec"), names)
    return names


def test_documented_dipole_model_predicts_dipoles(names):
    errors = names["dipoles"] - names["expected"]
    assert np.sqrt(np.mean(errors**2)) < 0.1 * names["expected"].std()


def test_documented_rows_learn_charges_of_the_right_sign(names):
    charges, species = names["charges"], names["batch"].species
    assert charges[species == 8].mean() < -0.2  # e
    assert charges[species == 1].mean() > 0.1


def test_documented_rows_sum_latents_and_their_moments(names):
    kernel, batch = names["kernel"], names["batch"]
    features = kernel.descriptor.evaluate(batch, kernel.species).features
    charge, dipole = names["dipole_rows"](kernel, batch)
    np.testing.assert_allclose(
        charge, kernel.energy_rows(batch, features), rtol=0, atol=1e-10
    )
    latents = names["latent_rows"](kernel, batch)
    first = slice(*batch.first_atom[:2])
    moment = batch.positions[first].T @ latents[first]
    np.testing.assert_allclose(dipole[0], moment, rtol=0, atol=1e-10)
