"""A whole potential of SOAP and LODE across the strain at which k-vectors enter."""

import numpy as np
import pytest
from crystals import triclinic
from finite_differences import strained
from labelled_structures import open_frames, periodic_frames, potential, soap

from lodekit.descriptors import PowerSpectrum
from lodekit.descriptors.lode.split import Split
from lodekit.models import SparsePotential
from lodekit.regression import PolynomialCovariance

PAIR_CUTOFF = 5.0  # Å; of the range that LODE chooses itself nothing changes here
STEP = 3e-9  # as strain, to either side of the entry


@pytest.fixture(scope="module")
def model():
    short = soap()
    long = PowerSpectrum(short.left, potential(accuracy=1e-3))
    model = SparsePotential(
        [short, long],
        [PolynomialCovariance(2), PolynomialCovariance(1, "mean", 0.5)],
        [6, 4],
        energy_noise=1e-3,
        force_noise=1e-2,
        stress_noise=1e-3,
        validation_fraction=0.0,
    ).fit(open_frames(6) + periodic_frames(6))
    splits_of(model).choose = lambda *_: PAIR_CUTOFF
    return model


def splits_of(model):
    return model.kernels_[1].descriptor.right.splits


def wave_numbers(atoms):
    """Sizes of all k-vectors of small indices, in 1/Å."""
    grid = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3), axis=-1).reshape(-1, 3)
    k = 2.0 * np.pi * grid @ np.linalg.inv(atoms.cell.array).T
    return np.linalg.norm(k, axis=1)


@pytest.mark.parametrize("on_mesh", [False, True])
def test_energy_forces_and_stress_do_not_jump(model, monkeypatch, on_mesh):
    monkeypatch.setattr(Split, "prefers_mesh", lambda *_: on_mesh)
    k_cutoff = splits_of(model).split(PAIR_CUTOFF).k_cutoff
    atoms = triclinic(6, (1, 8), 8.0, seed=77)
    sizes = np.unique(np.round(wave_numbers(atoms), 9))
    shells = sizes[sizes > k_cutoff][:3]
    for shell in shells:
        entry = shell / k_cutoff - 1.0  # expansion that brings the shell in
        sides = [strained(atoms, e * np.eye(3)) for e in (entry - STEP, entry + STEP)]
        counts = [np.sum(wave_numbers(side) < k_cutoff) for side in sides]
        assert counts[0] < counts[1]
        before, after = model.compute(sides)
        slope = before["stress"][:3].sum() * sides[0].get_volume()
        change = after["energy"] - before["energy"]
        assert change == pytest.approx(2.0 * STEP / (1.0 + entry) * slope, abs=1e-11)
        for name in ("forces", "stress"):
            atol = 1e-6 * np.abs(before[name]).max()
            np.testing.assert_allclose(after[name], before[name], atol=atol)
