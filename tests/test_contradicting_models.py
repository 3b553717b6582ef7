"""What makes no model is refused, whatever its checksums say."""

import json
import pathlib

import numpy as np
import polar_crystals as crystals
import pytest
from labelled_structures import density, lode, open_frames, soap
from made_densities import made_set

from lodekit import load_model
from lodekit.density import DensityMetric
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.model_file import as_json
from lodekit.models import (
    BornChargeModel,
    ElectronDensityModel,
    InducedDipoleModel,
    PolarizationModel,
    SparsePotential,
    TensorModel,
    WannierModel,
)
from lodekit.regression import PolynomialCovariance

OLD = pathlib.Path(__file__).parent / "data" / "format_1"
#: Models of format 1 that stand for their kinds.
RANGE = "training_range"  # numbers that a model is not made of
KINDS = ("charges", "charges_of_few_rows", "kqeq_bonds", "kqeq_powers", "latent")


@pytest.fixture(scope="module")
def models():
    """A fitted model of every kind, with what a file holds of it."""
    models = [load_model(OLD / f"{name}.lodekit") for name in (*KINDS, "global")]
    models.append(
        SparsePotential(
            *([soap(), lode()], PolynomialCovariance(2), 3),
            energy_noise=1e-3,
            targets=["energy"],
            n_ensemble=2,
        ).fit(open_frames(4))
    )
    return [*models, *tensor_models(), *polarization_models()]


def polarization_models():
    """The smallest models of polarization."""
    generator = np.random.default_rng(2)
    frames = [crystals.label(crystals.draw(generator)) for _ in range(3)]
    for atoms in frames:
        atoms.arrays["wannier_displacements"] = np.zeros((len(atoms), 3))
        atoms.arrays["wannier_displacements"][2:] = 0.01 * atoms.positions[2:]
    local = SphericalExpansion(
        cutoff={"radius": 3.0, "smoothing": {"type": "ShiftedCosine", "width": 0.8}},
        density={"type": "Gaussian", "width": 0.5},
        basis={
            "type": "TensorProduct",
            "max_angular": 1,
            "radial": {"type": "Gto", "max_radial": 0},
        },
    )
    vectors = EquivariantPowerSpectrum(local)
    size = {"n_sparse": 1, "n_channels": 2, "validation_fraction": 0.0}
    potential = SparsePotential(PowerSpectrum(local), n_sparse=1, n_ensemble=2)
    noises = {"born_effective_charges": 0.1, "polarization": 0.1}
    noises |= {"polarizability": 0.1, "energy": 0.01, "forces": 0.1}
    targets = list(noises)
    own = {**size, "potential": potential, "noises": noises, "targets": targets}
    return [
        PolarizationModel(
            vectors,
            polarizability=TensorModel(vectors, n_sparse=1, n_channels=2),
            electrostatic_width=0.8,
            screening="local",
            **own,
        ).fit(frames),
        WannierModel(
            vectors,
            center_charges={"F": -8},
            **{**own, "targets": ["wannier_displacements"], "noises": None},
        ).fit(frames),
        InducedDipoleModel(vectors, **own).fit(frames),
        BornChargeModel(vectors, **size).fit(frames),
    ]


def tensor_models():
    """Small models of tensors and of densities."""
    densities = made_set(12)
    for index, atoms in enumerate(densities.frames):
        atoms.info["matrix"] = np.arange(9.0) + index
    small = EquivariantPowerSpectrum(density(max_radial=1, max_angular=1))
    return [
        TensorModel(small, n_sparse=2, n_channels=4, targets=["matrix"]).fit(
            densities.frames
        ),
        ElectronDensityModel(
            EquivariantPowerSpectrum(density(max_radial=0, max_angular=2)),
            n_sparse=1,
            n_channels=3,
            metric=DensityMetric(overlap=1.0, coulomb=0.5),
            validation_fraction=0.5,
        ).fit(densities),
    ]


@pytest.fixture(scope="module")
def states(models):
    """Class, settings as JSON has them, and arrays of every kind."""
    states = []
    for model in models:
        state = model.get_state()
        settings = json.loads(json.dumps(as_json(state["settings"])))
        states.append((type(model), settings, state["arrays"]))
    return states


def test_states_that_nothing_has_changed_are_models(states):
    for cls, settings, arrays in states:
        assert cls.from_state({"settings": settings, "arrays": arrays}).summary_


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:-1],
        lambda a: a[:0],
        lambda a: np.concatenate([a, a]),
        lambda a: a[..., None],
        lambda a: a.reshape(1, -1) if a.ndim == 1 else a.ravel(),
        lambda a: a.astype(bool),
        lambda a: a.astype(complex),
    ],
)
def test_arrays_whose_shapes_contradict_others_are_refused(states, change):
    for cls, settings, arrays in states:
        for name, array in arrays.items():
            new = change(array)
            # a training range is described by any number of points, but not by none
            is_range = name.startswith(RANGE) and name.endswith("/points") and len(new)
            alike = (new.shape[1:], new.dtype) == (array.shape[1:], array.dtype)
            if len(new) == len(array) == 0 or (is_range and alike):
                continue
            state = {"settings": settings, "arrays": {**arrays, name: new}}
            with pytest.raises(
                ValueError, match="shape|rows|points|differ|species|fewer weights"
            ):
                cls.from_state(state)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e300])
def test_arrays_with_numbers_that_are_not_finite_are_refused(states, number):
    for cls, settings, arrays in states:
        for name, array in arrays.items():
            may_be = name == "bond_hardness" and number == np.inf
            if array.dtype.kind != "f" or not array.size or may_be:
                continue
            other = array.astype(float)
            other.flat[-1] = number
            with pytest.raises(ValueError, match="a number that is not finite"):
                cls.from_state(
                    {"settings": settings, "arrays": {**arrays, name: other}}
                )


def test_arrays_that_are_missing_or_too_many_are_refused(states):
    for cls, settings, arrays in states:
        for name in arrays:
            rest = {other: array for other, array in arrays.items() if other != name}
            try:
                cls.from_state({"settings": settings, "arrays": rest})
            except (KeyError, ValueError):
                continue
            assert name in ("bond_hardness", "ensemble")  # not all models have them
        more = {**arrays, "more": np.zeros(3)}
        with pytest.raises(ValueError, match="'more' does not belong to this model"):
            cls.from_state({"settings": settings, "arrays": more})


#: Settings that some models lack: parameters, and errors where nothing was left out.
MAY_BE_NONE = {"metric", "left_out_error"}
#: Settings of which other values belong to other models: names, contraction
#: coefficients, what a tensor belongs to, whether the basis was a parameter.
MAY_BE_OTHER = (
    (True, "is_charged"),
    (True, "per_atom"),
    (True, "has_basis"),
    ("x", "name"),
    (-1, "coefficients"),
)


def places(table, place=()):
    """Yield the places of all values of nested tables and lists, but for reports."""
    for key in table if isinstance(table, dict) else range(len(table)):
        if key not in ("summary", "parameters", "std_scales", "targets"):
            if key != RANGE:  # files of format 1 have none
                yield *place, key
            if isinstance(table[key], (dict, list)):
                yield from places(table[key], (*place, key))


def changed(settings, place, value=None):
    """Return settings with another value, or without one."""
    settings = json.loads(json.dumps(settings))
    table = settings
    for key in place[:-1]:
        table = table[key]
    if value is None:
        del table[place[-1]]
    else:
        table[place[-1]] = value[0]
    return settings


def test_settings_that_lack_something_are_refused(states):
    for cls, settings, arrays in states:
        for place in places(settings):
            state = {"settings": changed(settings, place), "arrays": arrays}
            with pytest.raises(Exception):  # noqa: B017, PT011
                cls.from_state(state)


@pytest.mark.parametrize("value", [None, True, -1, 10**400, "x", [], {}, [[]]])
def test_settings_of_another_kind_are_refused(states, value):
    for cls, settings, arrays in (states[0], *states[-7:]):
        for place in places(settings):
            state = {"settings": changed(settings, place, [value]), "arrays": arrays}
            try:
                cls.from_state(state)
            except Exception:
                continue
            table = settings
            for key in place:
                table = table[key]
            may_be_none = value is None and place[-1] in MAY_BE_NONE
            names = [name for name in place if isinstance(name, str)]
            is_other = (value, names[-1]) in MAY_BE_OTHER
            assert table == value or may_be_none or is_other


def test_a_factor_that_is_no_triangle_is_refused(states):
    cls, settings, arrays = states[0]
    factor = arrays["solution/factor"]
    for other in (factor.T, -factor, factor @ factor.T):
        state = {"settings": settings, "arrays": {**arrays, "solution/factor": other}}
        with pytest.raises(ValueError, match="is no Cholesky factor"):
            cls.from_state(state)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hardness", -1.0, "'hardness' is not positive"),
        ("widths", 0.0, "'widths' is not positive"),
        ("widths", 500.0, "a charge is 500 Å wide"),
        ("bond_hardness", 3.0, "the bond hardness of pairs is not symmetric"),
        ("potential/species", 200, r"the species are \[1, 200\]"),
        ("species", 1, r"the species are \[1, 1\]"),
    ],
)
def test_elements_that_cannot_be_are_refused(states, name, value, message):
    cls, settings, arrays = states[2]
    other = np.array(arrays[name])
    other.flat[1] = value
    with pytest.raises(ValueError, match=message):
        cls.from_state({"settings": settings, "arrays": {**arrays, name: other}})
