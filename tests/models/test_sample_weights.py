"""A frame of weight 2 counts as two copies of it, in every kind of model."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import cluster
from labelled_structures import soap

from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    LatentChargeModel,
    TensorModel,
)
from lodekit.regression import PolynomialCovariance


def frames_with_everything(n_frames=6):
    frames = []
    for seed in range(n_frames):
        atoms = cluster(4, seed=seed)
        rng = np.random.default_rng(seed)
        charges = rng.normal(size=4)
        charges -= charges.mean()
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=rng.normal(),
            forces=rng.normal(size=(4, 3)),
            charges=charges,
            dipole=charges @ atoms.positions,
        )
        frames.append(atoms)
    return frames


def terms():
    return {
        "descriptor": soap(),
        "covariance": PolynomialCovariance(2),
        "n_sparse": 4,
        "validation_fraction": 0.0,
    }


CHARGE_NOISES = {"charges": 0.3}
MODELS = {
    "charges": ChargeModel(
        **terms(), targets=["charges"], noises=CHARGE_NOISES, max_multipole=0
    ),
    "dipole": DipoleModel(**terms(), noises={"dipole": 0.3}),
    "kqeq": ChargeEquilibrationModel(
        **terms(), hardness=1.0, targets=["charges"], noises=CHARGE_NOISES
    ),
    "latent": LatentChargeModel(
        **terms(),
        targets=["energy", "forces"],
        noises={"energy": 0.1, "forces": 0.3},
    ),
    "tensor": TensorModel(
        n_sparse=4,
        n_channels=20,
        validation_fraction=0.0,
        targets=["dipole"],
        noises={"dipole": 1.0},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_weight_of_two_is_a_copy(name):
    model, frames = MODELS[name], frames_with_everything()
    if name == "kqeq":
        for atoms in frames:
            del atoms.calc.results["dipole"]
    weights = [2.0, *np.ones(5)]
    found = model.fit(frames, sample_weight=weights).predict(frames)
    copies = model.fit([frames[0], *frames]).predict(frames)
    alone = model.fit(frames).predict(frames)
    # baselines and priors that are chosen by all frames count a copy, not its weight
    tolerance = {"latent": 0.01, "tensor": 0.4}.get(name, 1e-6)
    difference = np.linalg.norm(alone - copies)
    assert difference > 0.01
    assert np.linalg.norm(found - copies) < tolerance * difference


def test_weights_are_checked():
    model = MODELS["charges"]
    with pytest.raises(ValueError, match="sample_weight must hold 6 positive numbers"):
        model.fit(frames_with_everything(), sample_weight=[1.0, 2.0])
