"""Frames in an electric field or beside point charges, for every model."""

import importlib

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import cluster
from made_densities import made_set

from lodekit.model_file import MODEL_CLASSES

#: Models that know what a field does to the targets that they are fitted to.
KNOWING = {"PolarizationModel"}
#: What models cannot do without.
ARGUMENTS = {
    "GlobalPotential": {"descriptors": None},
    "WannierModel": {"center_charges": {"O": -8}},
}


def model_of(name):
    kind = getattr(importlib.import_module(MODEL_CLASSES[name]), name)
    return kind(**ARGUMENTS.get(name, {}))


def labelled_frames(field, key):
    """Frames with targets of all models, the second of them in a field."""
    frames = [cluster(4, seed=seed) for seed in range(2)]
    for atoms in frames:
        vectors = atoms.positions - atoms.positions.mean(axis=0)
        atoms.calc = SinglePointCalculator(
            atoms, energy=-1.0, forces=vectors, dipole=vectors[0], charges=vectors[:, 0]
        )
        atoms.info["polarizability"] = np.eye(3)
        atoms.arrays["born_effective_charges"] = np.zeros((4, 9))
        atoms.arrays["wannier_displacements"] = vectors
    frames[1].info[key] = field
    return frames


def fit(name, field, key="electric_field"):
    if name == "ElectronDensityModel":
        densities = made_set(2)
        densities.frames[1].info[key] = field
        return model_of(name).fit(densities)
    return model_of(name).fit(labelled_frames(field, key))


@pytest.mark.parametrize("name", sorted(MODEL_CLASSES.keys() - KNOWING))
def test_models_that_know_no_field_are_not_fitted_to_frames_in_one(name):
    assert not model_of(name).reads_fields
    message = rf"\(index 1\) was computed in an electric field, which {name} takes for"
    with pytest.raises(ValueError, match=message):
        fit(name, [0.0, 0.0, 0.1])


@pytest.mark.parametrize("name", sorted(MODEL_CLASSES))
def test_models_are_not_fitted_to_frames_beside_charges_that_they_do_not_know(name):
    message = rf"\(index 1\) has point_charges, which {name} takes for none"
    with pytest.raises(ValueError, match=message):
        fit(name, [1.0, 5.0, 5.0, 5.0], "point_charges")


@pytest.mark.parametrize("name", sorted(KNOWING))
def test_models_that_know_fields_say_so(name):
    assert model_of(name).reads_fields
