"""Targets that some frames lack: they give no rows there, for every model.

A frame with two targets has the same rows as two copies of it with one target each.
"""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from charge_energies import FRAMES
from ionic_gas import gas
from labelled_structures import open_frames, periodic_frames, soap

from lodekit.descriptors.global_descriptors import CoulombMatrixMoments
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    LatentChargeModel,
    SparsePotential,
)
from lodekit.models.global_potential import GlobalPotential
from lodekit.regression import PolynomialCovariance
from lodekit.structures import get_target

NOISES = {
    "energy": 1e-2,
    "forces": 1e-1,
    "stress": 1e-2,
    "charges": 1e-2,
    "dipole": 1e-2,
    "quadrupole": 1e-1,
}
# all environments are candidates for sparse points, twice of them as well
KERNEL = {"descriptor": soap(), "covariance": PolynomialCovariance(2), "n_sparse": 15}


def only(atoms, names):
    """A copy of a structure with some of its targets."""
    copy = atoms.copy()
    for name in ("quadrupole",):
        copy.info.pop(name, None)
        if name in names:
            copy.info[name] = atoms.info[name]
    results = atoms.calc.results
    known = {name: results[name] for name in names if name in results}
    copy.calc = SinglePointCalculator(copy, **known)
    return copy


def split(frames, *groups):
    """Every frame once for every group of targets."""
    return [only(atoms, names) for names in groups for atoms in frames]


def with_moments(frames):
    """Frames with the dipole and quadrupole of their charges."""
    for atoms in frames:
        charges, positions = atoms.calc.results["charges"], atoms.positions
        atoms.calc.results["dipole"] = charges @ positions
        second = np.einsum("i,ia,ib->ab", charges, positions, positions)
        atoms.info["quadrupole"] = second
    return frames


def noises(*names, total_charge=None):
    given = {name: NOISES[name] for name in names}
    return given if total_charge is None else {**given, "total_charge": total_charge}


def model_of(cls, names, **arguments):
    return cls(
        **KERNEL,
        targets=names,
        noises=noises(*names),
        validation_fraction=0.0,
        **arguments,
    )


MOMENTS = ["charges", "dipole", "quadrupole"]
CASES = {
    "potential": (
        SparsePotential(
            **KERNEL,
            targets=["energy", "forces", "stress"],
            energy_noise=1e-2,
            force_noise=1e-1,
            stress_noise=1e-2,
            validation_fraction=0.0,
        ),
        periodic_frames(5) + open_frames(2),
        [["energy"], ["forces", "stress"]],
    ),
    "global": (
        GlobalPotential(CoulombMatrixMoments(2), validation_fraction=0.0),
        open_frames(6),
        [["forces"], ["energy"]],
    ),
    "charges": (
        model_of(ChargeModel, MOMENTS, max_multipole=1),
        with_moments(FRAMES["open"])[:6],
        [["charges"], ["dipole", "quadrupole"]],
    ),
    "charges with energies": (
        model_of(ChargeModel, ["charges", "energy", "forces"], max_multipole=1),
        with_moments(FRAMES["open"])[:6],
        [["charges", "energy"], ["forces"]],
    ),
    "periodic charges with energies": (
        model_of(ChargeModel, ["charges", "energy", "stress"], max_multipole=0),
        FRAMES["periodic"][:4],
        [["charges", "energy"], ["stress"]],
    ),
    "remainder": (
        model_of(ChargeModel, ["charges"], max_multipole=0, learn_from_energies=False),
        FRAMES["open"][:6],
        [["charges", "energy"], ["forces"]],
    ),
    "kqeq": (
        model_of(ChargeEquilibrationModel, MOMENTS, hardness="fit"),
        with_moments(FRAMES["open"])[:6],
        [["charges"], ["dipole", "quadrupole"]],
    ),
    "kqeq of environments": (
        model_of(ChargeEquilibrationModel, MOMENTS, hardness="environment"),
        with_moments(FRAMES["open"])[:4],
        [["charges"], ["dipole", "quadrupole"]],
    ),
    "kqeq with energies": (
        model_of(ChargeEquilibrationModel, ["charges", "energy", "forces"]),
        with_moments(FRAMES["open"])[:6],
        [["charges", "forces"], ["energy"]],
    ),
}


def potential_of(name):
    if name == "remainder":
        return SparsePotential(
            **KERNEL, energy_noise=1e-2, force_noise=1e-1, validation_fraction=0.0
        )
    return SparsePotential(**KERNEL)


@pytest.mark.parametrize("name", CASES)
def test_a_frame_is_its_targets_one_by_one(name):
    model, frames, groups = CASES[name]
    if name == "remainder":
        model.set_params(targets=["charges", "energy", "forces"])
    if "potential" in model.get_params() and {"energy", "forces"} & {*model.targets}:
        model.set_params(potential=potential_of(name))
    whole = model.fit(frames).compute(frames)
    parts = model.fit(split(frames, *groups)).compute(frames)
    for one, other in zip(whole, parts, strict=True):
        for key, value in one.items():
            np.testing.assert_allclose(other[key], value, rtol=1e-5, atol=1e-6)


def test_latent_charges_of_a_frame_are_those_of_its_targets_one_by_one():
    """The condition on total charges counts for every copy: twice, with half weight."""
    frames = [gas(6, 8.0, True, seed) for seed in range(4)]
    found = []
    names = ["energy", "forces", "stress"]
    for some, factor in ((frames, 1.0), (split(frames, names[:1], names[1:]), 2**0.5)):
        model = LatentChargeModel(
            **KERNEL,
            targets=names,
            noises=noises(*names, total_charge=factor * 1e-2),
            potential=SparsePotential(**KERNEL),
            validation_fraction=0.0,
        )
        found.append(model.fit(some).compute(frames))
    for one, other in zip(*found, strict=True):
        for key, value in one.items():
            np.testing.assert_allclose(other[key], value, rtol=1e-5, atol=1e-6)


def test_single_atoms_need_no_forces_and_open_frames_no_stress():
    frames = periodic_frames(4) + open_frames(2)
    single = open_frames(1)[0][:1]
    single.calc = SinglePointCalculator(single, energy=-13.5)
    model = SparsePotential(**KERNEL, n_ensemble=2).fit([*frames, single])
    n_atoms = sum(map(len, frames))
    rows = {"energy": 7, "forces": 3 * n_atoms, "stress": 24}
    assert model.summary_["n_rows"] == rows


def test_targets_that_most_frames_lack_must_be_named():
    frames = open_frames(4)
    some = [only(frames[0], ["energy", "forces"]), *split(frames[1:], ["energy"])]
    message = (
        r"target 'forces' is missing in 3 of 4 frames \(first: frame 2 \(index 1\)\); "
        "name the targets, with 'forces' to use it where it is, or without it"
    )
    with pytest.raises(ValueError, match=message):
        SparsePotential(**KERNEL).fit(some)
    model = SparsePotential(**KERNEL, targets=["energy", "forces"], n_ensemble=2)
    assert model.fit(some).summary_["n_rows"] == {"energy": 4, "forces": 12}
    charged = with_moments(FRAMES["open"])[:4]
    some = [only(charged[0], ["charges", "dipole"]), *split(charged[1:], ["charges"])]
    with pytest.raises(ValueError, match="target 'dipole' is missing in 3 of 4 frames"):
        ChargeModel(**KERNEL).fit(some)
    model = ChargeModel(**KERNEL, targets=["charges", "dipole"]).fit(some)
    assert model.summary_["n_rows"] == {"charges": 16, "dipole": 3}


def test_scores_count_frames_with_the_target():
    charged = with_moments(FRAMES["open"])[:4]
    model = model_of(ChargeModel, ["charges"]).fit(charged)
    some = [*charged, *split(charged, ["dipole"])]
    assert model.score(some) == model.score(charged)


@pytest.mark.parametrize("cls", [SparsePotential, LatentChargeModel])
def test_scores_need_the_energy_of_every_frame(cls):
    frames = open_frames(5)
    model = cls(**KERNEL)
    if cls is LatentChargeModel:
        model.set_params(potential=SparsePotential(**KERNEL))
    model.fit(frames)
    with pytest.raises(ValueError, match=r"frame 2 \(index 1\) has no energy to compa"):
        model.score([frames[0], only(frames[1], ["forces"])])
    assert get_target(frames[1], "energy") is not None
