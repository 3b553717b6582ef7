"""Frames that no noise explains."""

import numpy as np
import pytest

from lodekit.fitting.left_out import LeftOut
from lodekit.fitting.outliers import find_outliers

N_FRAMES = 20
NOISES, SCALES = {"forces": 0.1}, {"forces": 1.0}


def left_out(errors, deviations=0.05, n_rows=30):
    """Residuals of frames with these root mean squares."""
    rng = np.random.default_rng(0)
    residuals = np.concatenate([e * rng.normal(size=n_rows) for e in errors])
    return LeftOut(
        {"forces": residuals},
        {"forces": np.broadcast_to(np.repeat(deviations, n_rows), residuals.shape)}
        if np.ndim(deviations)
        else {"forces": np.full(residuals.size, deviations)},
        {"forces": np.repeat(np.arange(len(errors)), n_rows)},
        {"forces": np.full(residuals.size, 1.0 / n_rows)},
    )


def test_a_frame_that_misses_by_far_is_named():
    errors = np.full(N_FRAMES, 0.1)
    errors[7] = 3.0
    (one,) = find_outliers(left_out(errors), NOISES, SCALES)
    assert (one.frame, one.target) == (7, "forces")
    assert one.error == pytest.approx(3.0, rel=0.4)  # of 30 rows
    assert one.usual == pytest.approx(0.1, rel=0.1)
    text = one.describe("eV/Å")
    assert text.startswith("frame 8")
    assert "misses its forces by" in text
    assert "noise of its own" in text


def test_two_of_them_do_not_hide_each_other():
    errors = np.full(N_FRAMES, 0.1)
    errors[[3, 11]] = 5.0, 50.0
    found = find_outliers(left_out(errors), NOISES, SCALES)
    assert [one.frame for one in found] == [11, 3]


def test_frames_of_which_one_is_worse_than_most_are_none():
    errors = np.full(N_FRAMES, 0.1)
    errors[3] = 0.3
    assert find_outliers(left_out(errors), NOISES, SCALES) == []


def test_a_frame_unlike_all_others_is_none():
    # as far off as its standard deviation says
    errors, deviations = np.full(N_FRAMES, 0.1), np.full(N_FRAMES, 0.05)
    errors[7], deviations[7] = 3.0, 3.0
    assert find_outliers(left_out(errors, deviations), NOISES, SCALES) == []


def test_a_kind_of_frames_with_larger_errors_is_none():
    errors = np.full(N_FRAMES, 0.1)
    errors[:5] = 3.0
    assert find_outliers(left_out(errors), NOISES, SCALES) == []


def test_few_frames_cannot_tell():
    assert find_outliers(left_out([0.1, 0.1, 5.0]), NOISES, SCALES) == []
