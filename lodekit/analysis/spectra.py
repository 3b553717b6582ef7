"""Spectra and dielectric constants from moments along a trajectory.

With the total moment M of a cell of volume V at temperature T, its rate of change N and
the Coulomb constant k, linear response gives the absorption of infrared light

    alpha(w) n(w) = 4 pi k / (6 c V k_B T) integral of <N(0) . N(t)> exp(-iwt) dt

in 1/length, n the refractive index, and the dielectric tensor at conducting boundaries

    eps = eps_inf + 4 pi k / (V k_B T) (<M M> - <M> <M>).

Raman spectra are those of the rate of change of the polarizability: of a third of its
trace, and of its anisotropy.

References
----------
D. A. McQuarrie, Statistical Mechanics (Harper, 1976), Ch. 21; M. Neumann, Mol. Phys.
50, 841 (1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from lodekit.units import COULOMB_CONSTANT, FOUR_PI

#: eV/K, Å/fs, and fs^-1 of an angular frequency of 1 cm^-1.
BOLTZMANN, LIGHT = 8.617333262e-5, 2997.92458
WAVENUMBER = 2.0 * np.pi * LIGHT * 1e-8
#: Steps of a trajectory from which spectra can be made.
FEWEST_STEPS = 8
#: Points of a spectrum within its resolution, at the least.
POINTS = 10


@dataclass(frozen=True)
class Spectrum:
    """Intensities at frequencies.

    Attributes
    ----------
    wavenumbers : ndarray of shape (n,)
        In cm^-1, from 0.
    intensities : ndarray of shape (n,)
        In ``unit``.
    unit : str
    """

    wavenumbers: np.ndarray
    intensities: np.ndarray
    unit: str

    def peaks(self, n: int = 10, least: float = 0.02) -> list[tuple[float, float]]:
        """Return wavenumber and intensity of the highest maxima, highest first.

        Those above ``least`` times the highest one, at most ``n``.
        """
        values = self.intensities
        inner = np.flatnonzero(
            (values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:])
        )
        inner = inner + 1
        inner = inner[values[inner] > least * values.max(initial=0.0)]
        order = inner[np.argsort(-values[inner])][:n]
        return [(float(self.wavenumbers[i]), float(values[i])) for i in order]


def power_spectrum(values: np.ndarray, timestep: float, resolution: float):
    """Return the Fourier transform of the autocorrelation of rates of change.

    Rates are differences from step to step, whose loss at high frequencies is known.

    Parameters
    ----------
    values : ndarray of shape (n_steps, n)
        Autocorrelations of the rates of all columns are added.
    timestep : float
        In fs.
    resolution : float
        Full width at half maximum in cm^-1 of the Gaussian that lines are broadened by.

    Returns
    -------
    wavenumbers : ndarray
        In cm^-1.
    spectrum : ndarray
        Integral of <N(0) . N(t)> cos(wt) over all times, in units of N^2 fs.
    """
    rates = np.diff(values, axis=0) / timestep
    n_steps = len(rates)
    finest = 2.0 * np.pi / (WAVENUMBER * timestep * resolution)
    size = fft.next_fast_len(max(2 * n_steps, int(POINTS * finest)), real=True)
    waves = fft.rfft(rates, size, axis=0)
    correlation = fft.irfft((np.abs(waves) ** 2).sum(axis=1), size)[:n_steps]
    correlation /= n_steps  # of all lags: no intensity becomes negative
    width = resolution * WAVENUMBER / np.sqrt(8.0 * np.log(2.0))  # of exp(-w^2 / 2 s^2)
    times = timestep * np.arange(n_steps)
    correlation *= np.exp(-0.5 * (width * times) ** 2)
    both = np.zeros(size)
    both[:n_steps] = correlation
    both[size - n_steps + 1 :] = correlation[:0:-1]
    frequencies = fft.rfftfreq(size, timestep)
    spectrum = timestep * fft.rfft(both).real / np.sinc(frequencies * timestep) ** 2
    return 2.0 * np.pi * frequencies / WAVENUMBER, spectrum


def check_trajectory(values, timestep: float, resolution: float) -> np.ndarray:
    """Return values along a trajectory, (n_steps, n).

    Raises
    ------
    ValueError
        For too few steps, and a time step or resolution that is not positive.
    """
    values = np.asarray(values, dtype=float)
    values = values.reshape(len(values), -1)
    if len(values) < FEWEST_STEPS:
        raise ValueError(
            f"a spectrum needs at least {FEWEST_STEPS} steps, got {len(values)}"
        )
    for name, value in (("time step", timestep), ("resolution", resolution)):
        if not 0.0 < value < np.inf:
            raise ValueError(f"the {name} must be positive, got {value!r}")
    return values


def infrared_spectrum(
    moments, timestep: float, volume: float, temperature: float, resolution=10.0
) -> Spectrum:
    """Return the infrared absorption alpha(w) n(w) in cm^-1 along a trajectory.

    Parameters
    ----------
    moments : array-like of shape (n_steps, 3)
        M in e·Å, without jumps (`lodekit.observables.branches.unwrap`).
    timestep : float
        Between them, in fs.
    volume : float
        In Å^3; of an open structure one that its molecules shall have.
    temperature : float
        In K.
    resolution : float
        Full width at half maximum of a line in cm^-1.
    """
    moments = check_trajectory(moments, timestep, resolution)
    wavenumbers, spectrum = power_spectrum(moments, timestep, resolution)
    factor = FOUR_PI * COULOMB_CONSTANT
    factor /= 6.0 * LIGHT * volume * BOLTZMANN * temperature  # 1/Å
    return Spectrum(wavenumbers, 1e8 * factor * spectrum, "1/cm")


def raman_spectra(polarizabilities, timestep: float, resolution=10.0):
    """Return isotropic and anisotropic Raman spectra along a trajectory.

    Parameters
    ----------
    polarizabilities : array-like of shape (n_steps, 3, 3)
        In Å^3.
    timestep, resolution : float
        As in `infrared_spectrum`.

    Returns
    -------
    isotropic, anisotropic : Spectrum
        Of d(tr alpha / 3)/dt and of 2/15 of d(alpha - tr alpha / 3)/dt, in Å^6/fs.
    """
    values = check_trajectory(polarizabilities, timestep, resolution)
    values = values.reshape(-1, 3, 3)
    means = np.trace(values, axis1=1, axis2=2)[:, None] / 3.0
    rest = values - means[:, :, None] * np.eye(3)
    spectra = []
    for signal, factor in ((means, 1.0), (rest.reshape(-1, 9), 2.0 / 15.0)):
        wavenumbers, spectrum = power_spectrum(signal, timestep, resolution)
        spectra.append(Spectrum(wavenumbers, factor * spectrum, "Å^6/fs"))
    return tuple(spectra)


def dielectric_tensor(moments, volumes, temperature: float, n_blocks: int = 5):
    """Return eps - eps_inf from the fluctuations of M, and its standard error.

    Parameters
    ----------
    moments : array-like of shape (n_steps, 3)
        M in e·Å, without jumps, of equilibrium at conducting boundaries.
    volumes : float or array-like of shape (n_steps,)
        In Å^3.
    temperature : float
        In K.
    n_blocks : int
        Parts of the trajectory from whose spread the error is estimated.

    Returns
    -------
    tensor, error : ndarray of shape (3, 3)
    """
    moments = np.asarray(moments, dtype=float)
    if len(moments) < 2 * n_blocks:
        raise ValueError(
            f"{n_blocks} blocks need at least {2 * n_blocks} steps, got {len(moments)}"
        )
    factor = FOUR_PI * COULOMB_CONSTANT / (BOLTZMANN * temperature * np.mean(volumes))
    deviations = moments - moments.mean(axis=0)
    products = factor * np.einsum("ta,tb->tab", deviations, deviations)
    blocks = [block.mean(axis=0) for block in np.array_split(products, n_blocks)]
    error = np.std(blocks, axis=0, ddof=1) / np.sqrt(n_blocks)
    return products.mean(axis=0), error
