"""Run molecular dynamics of a water cluster and watch its total energy
====================================================================

Run it with ``python examples/03_molecular_dynamics.py``.

Fits a potential to all water clusters, relaxes one of them, runs 2 ps at constant
energy with ASE and draws the energies into ``examples/output``.
"""

import os
import pathlib
import time

import numpy as np
from ase import units
from ase.md.velocitydistribution import Stationary, ZeroRotation
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.calculators import LodekitCalculator
from lodekit.models import SparsePotential

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "output"
OUTPUT.mkdir(exist_ok=True)

TIME_STEP = 0.5  # fs
SMALL = os.environ.get("LODEKIT_EXAMPLES") == "small"  # as for the pages
N_STEPS = 1000 if SMALL else 4000
EVERY = 10  # steps between two records
TEMPERATURE = 300.0  # K, of the first velocities; half of it remains

# %%
# A potential from all clusters, with the default settings.
frames = read_structures(HERE / "data" / "water_clusters.xyz")
model = SparsePotential(targets=["energy", "forces"]).fit(frames)
print(f"fitted {len(frames)} clusters of 1 to {max(map(len, frames)) // 3} molecules")

# %%
# Four molecules, relaxed and then set in motion, neither drifting nor turning.
atoms = next(a for a in frames if a.info["n_molecules"] == 4).copy()
atoms.calc = LodekitCalculator(model)
BFGS(atoms, logfile=None).run(fmax=0.02, steps=200)
widths = np.sqrt(atoms.get_masses() * units.kB * TEMPERATURE)
momenta = np.random.default_rng(1).normal(size=(len(atoms), 3))
atoms.set_momenta(widths[:, None] * momenta)
Stationary(atoms)
ZeroRotation(atoms)

# %%
# Dynamics at constant energy. Records are times (ps) and energies (eV).
records, snapshots = [], []


def record():
    records.append(
        (
            dynamics.get_time() / (1000 * units.fs),
            atoms.get_potential_energy(),
            atoms.get_kinetic_energy(),
        )
    )
    snapshots.append(atoms.copy())


dynamics = VelocityVerlet(atoms, timestep=TIME_STEP * units.fs)
dynamics.attach(record, interval=EVERY)
start = time.perf_counter()
dynamics.run(N_STEPS)
seconds = time.perf_counter() - start

# %%
# What came out.
times, potential, kinetic = np.array(records).T
total = (potential + kinetic) / len(atoms)
drift = 1e3 * np.polyfit(times, total, 1)[0]
temperature = 2 * kinetic / (3 * len(atoms) - 6) / units.kB
oxygens = [a.positions[a.numbers == 8] for a in snapshots]
nearest = [np.sort(np.linalg.norm(o[:, None] - o, axis=2))[:, 1].max() for o in oxygens]
deviations = model.compute(snapshots[:: len(snapshots) // 20], ["energy_std"])
largest_std = max(result["energy_std"] for result in deviations) / len(atoms)
print(f"{N_STEPS * TIME_STEP / 1000:g} ps of {len(atoms)} atoms in {seconds:.0f} s")
print(f"time per step          {1e3 * seconds / N_STEPS:.1f} ms")
print(f"mean temperature       {temperature.mean():.0f} K")
print(f"drift                  {drift:+.4f} meV/atom/ps")
print(f"fluctuation of energy  {1e3 * total.std():.4f} meV/atom")
print(f"largest deviation      {1e3 * largest_std:.2f} meV/atom")
print(f"farthest neighbour     {max(nearest):.2f} Å from oxygen to oxygen")

figure = Figure(figsize=(7, 5), layout="constrained")
upper, lower = figure.subplots(2, 1, sharex=True)
shares = {"potential": potential, "kinetic": kinetic, "total": potential + kinetic}
for name, energy in shares.items():
    relative = 1e3 * (energy - (total[0] * len(atoms) if name != "kinetic" else 0))
    upper.plot(times, relative / len(atoms), lw=0.9, label=name)
upper.set_ylabel("energy (meV/atom)")
upper.legend(frameon=False, ncols=3, fontsize=8)
lower.plot(times, 1e3 * (total - total[0]), color="C2", lw=0.9)
lower.set(xlabel="time (ps)", ylabel="total energy (meV/atom)")
figure.savefig(OUTPUT / "03_energy.png", dpi=100)
print("energies against time in 03_energy.png")
