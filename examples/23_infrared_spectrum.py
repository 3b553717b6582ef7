"""Infrared spectrum of a water cluster: dipoles along a trajectory, and normal modes
==================================================================================

Run it with ``python examples/23_infrared_spectrum.py``.

One model of energies, forces and dipoles moves three molecules of water and gives the
dipole of every step. The Fourier transform of its autocorrelation is the absorption of
infrared light. Normal modes at the minimum, with the intensities that Born charges give
them, say what the bands are. Writes a plot to ``examples/output``.
"""

import os
import pathlib

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from ase import units
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.analysis.phonons import zone_center_force_constants
from lodekit.analysis.spectra import infrared_spectrum
from lodekit.calculators import LodekitCalculator
from lodekit.models import PolarizationModel

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "output"
SMALL = os.environ.get("LODEKIT_EXAMPLES") == "small"  # as for the pages
TIMESTEP, N_STEPS, TEMPERATURE = 0.5, 400 if SMALL else 1200, 60.0  # fs, and K
BORN = "born_effective_charges"


def main():
    OUTPUT.mkdir(exist_ok=True)
    frames = read_structures(HERE / "data" / "water_clusters.xyz")
    train = [atoms for atoms in frames if atoms.info["subset"] == "train"]
    model = PolarizationModel(n_sparse=60, n_channels=100).fit(train)
    cluster = next(a for a in frames if a.info["n_molecules"] == 3).copy()
    cluster.calc = LodekitCalculator(model, on_extrapolation="ignore")
    BFGS(cluster, logfile=None).run(fmax=0.01, steps=200)
    wavenumbers, strengths = normal_modes(cluster, model)
    moments = trajectory(cluster)
    volume = 30.0 * len(cluster) / 3  # Å^3, of as many molecules in the liquid
    spectrum = infrared_spectrum(moments, TIMESTEP, volume, TEMPERATURE, 20.0)
    for name, low, high in (("bending", 1400, 2000), ("stretching", 3000, 4300)):
        inside = (spectrum.wavenumbers > low) & (spectrum.wavenumbers < high)
        place = spectrum.wavenumbers[inside][np.argmax(spectrum.intensities[inside])]
        modes = (wavenumbers > low) & (wavenumbers < high)
        mean = np.average(wavenumbers[modes], weights=strengths[modes])
        print(
            f"{name:10s} band at {place:.0f} 1/cm, {modes.sum()} modes about {mean:.0f}"
        )
    draw(spectrum, wavenumbers, strengths)


def normal_modes(atoms, model):
    """Return wavenumbers in 1/cm and intensities, |dM/dQ|^2, of the modes."""
    constants = zone_center_force_constants(model, atoms)
    roots = np.sqrt(np.repeat(atoms.get_masses(), 3))
    matrix = constants.reshape(roots.size, -1) / np.outer(roots, roots)
    squares, modes = np.linalg.eigh(matrix)
    charges = model.compute(atoms, [BORN])[0][BORN]
    slopes = charges.transpose(1, 0, 2).reshape(3, -1) @ (modes / roots[:, None])
    wavenumbers = np.sign(squares) * np.sqrt(np.abs(squares))
    wavenumbers *= units._hbar * units.J * units.s / units.invcm
    return wavenumbers, (slopes**2).sum(axis=0)


def trajectory(atoms):
    """Return the dipoles of a trajectory at constant energy."""
    masses = atoms.get_masses()[:, None]
    spread = np.sqrt(2.0 * units.kB * TEMPERATURE / masses)  # half becomes potential
    velocities = spread * np.random.default_rng(1).normal(size=(len(atoms), 3))
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    atoms.set_velocities(velocities)
    moments = []
    dynamics = VelocityVerlet(atoms, TIMESTEP * units.fs)
    dynamics.attach(lambda: moments.append(atoms.get_dipole_moment()))
    dynamics.run(N_STEPS)
    return np.array(moments)


def draw(spectrum, wavenumbers, strengths):
    """Draw the spectrum, and the modes as lines."""
    figure = Figure(figsize=(7.0, 3.5), layout="constrained")
    axes = figure.subplots()
    shown = spectrum.wavenumbers < 4500
    scale = spectrum.intensities[shown].max()
    axes.plot(spectrum.wavenumbers[shown], spectrum.intensities[shown] / scale)
    lines = strengths / strengths.max()
    axes.vlines(wavenumbers, 0.0, -0.5 * lines, color="C1", label="normal modes")
    axes.set(xlabel="wavenumber (1/cm)", ylabel="absorption", xlim=(0, 4500))
    axes.legend()
    figure.savefig(OUTPUT / "23_infrared_spectrum.png")


if __name__ == "__main__":
    main()
