"""Spectra of motions in closed form."""

import numpy as np
import pytest

from lodekit.analysis.spectra import (
    BOLTZMANN,
    LIGHT,
    WAVENUMBER,
    dielectric_tensor,
    infrared_spectrum,
    raman_spectra,
)
from lodekit.units import COULOMB_CONSTANT, FOUR_PI

TIMES = 0.5 * np.arange(8000)  # fs


def oscillation(wavenumber, amplitude):
    return amplitude * np.cos(WAVENUMBER * wavenumber * TIMES)


def test_lines_lie_at_the_frequencies_of_the_motion():
    moments = np.stack(
        [oscillation(600.0, 0.3), oscillation(1650.0, 0.1), 0 * TIMES], axis=1
    )
    found = infrared_spectrum(moments, 0.5, 1000.0, 300.0)
    (first, high), (second, low) = found.peaks(2)
    assert [first, second] == pytest.approx([600.0, 1650.0], abs=2.0)
    # intensities are squares of rates
    assert high / low == pytest.approx((600 * 0.3 / (1650 * 0.1)) ** 2, rel=0.02)


def test_the_area_of_a_line_obeys_the_sum_rule():
    """Integral of alpha n over w: 4 pi k / (6 c V k_B T) pi <N^2>."""
    moments = np.zeros((len(TIMES), 3))
    moments[:, 0] = oscillation(900.0, 0.2)
    found = infrared_spectrum(moments, 0.5, 1000.0, 300.0)
    area = np.trapezoid(found.intensities, WAVENUMBER * found.wavenumbers)
    square = 0.5 * (0.2 * WAVENUMBER * 900.0) ** 2
    expected = FOUR_PI * COULOMB_CONSTANT * np.pi * square
    expected *= 1e8 / (6.0 * LIGHT * 1000.0 * BOLTZMANN * 300.0)
    assert area == pytest.approx(expected, rel=5e-3)


def test_raman_tells_breathing_from_turning():
    tensors = np.zeros((len(TIMES), 3, 3))
    tensors += oscillation(400.0, 0.1)[:, None, None] * np.eye(3)
    tensors[:, 0, 1] = tensors[:, 1, 0] = oscillation(1200.0, 0.1)
    isotropic, anisotropic = raman_spectra(tensors, 0.5)
    assert [p[0] for p in isotropic.peaks(3)] == pytest.approx([400.0], abs=2.0)
    assert [p[0] for p in anisotropic.peaks(3)] == pytest.approx([1200.0], abs=2.0)


def test_fluctuations_give_the_dielectric_constant():
    """Independent moments of variance s^2 have eps - 1 = 4 pi k s^2 / V k_B T."""
    generator = np.random.default_rng(0)
    moments = generator.normal(0.0, 0.7, (20_000, 3)) + [1.0, -2.0, 0.0]
    tensor, error = dielectric_tensor(moments, 500.0, 300.0)
    expected = FOUR_PI * COULOMB_CONSTANT * 0.49 / (500.0 * BOLTZMANN * 300.0)
    np.testing.assert_array_less(np.abs(tensor - expected * np.eye(3)), 5.0 * error)
    assert error.max() < 0.02 * expected


def test_what_gives_no_spectrum_is_refused():
    with pytest.raises(ValueError, match="at least 8 steps, got 3"):
        infrared_spectrum(np.zeros((3, 3)), 0.5, 1.0, 300.0)
    with pytest.raises(ValueError, match="time step must be positive"):
        infrared_spectrum(np.zeros((9, 3)), 0.0, 1.0, 300.0)
    with pytest.raises(ValueError, match="5 blocks need at least 10 steps"):
        dielectric_tensor(np.zeros((4, 3)), 1.0, 300.0)
