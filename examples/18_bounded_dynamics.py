"""Molecular dynamics that stops where the training data do
========================================================

Run it with ``python examples/18_bounded_dynamics.py``.

A potential of small water clusters is heated step by step. Where a structure is far
from the training data, the run is stopped, the structure is kept for a reference
calculation, and the dynamics goes back to where it was known: a round of active
learning. Draws the extrapolation on the way into ``examples/output``.
"""

import pathlib

import numpy as np
from ase import units
from ase.md.langevin import Langevin
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.calculators import LodekitCalculator
from lodekit.errors import ExtrapolationError
from lodekit.models import SparsePotential
from lodekit.structures import write_structures

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "output"
OUTPUT.mkdir(exist_ok=True)
TEMPERATURES = (100, 300, 600, 1000)  # K
N_STEPS = 200

# %%
# A potential from the training clusters, with few sparse points.
frames = read_structures(HERE / "data" / "water_clusters.xyz")
train = [atoms for atoms in frames if atoms.info["subset"] == "train"]
model = SparsePotential(n_sparse=100, targets=["energy", "forces"]).fit(train)

# %%
# The calculator raises an error where a structure is far from them.
atoms = next(a for a in train if a.info["n_molecules"] == 3).copy()
atoms.calc = LodekitCalculator(model, on_extrapolation="raise")
atoms.get_forces()
random = np.random.RandomState(0)

# %%
# Heat up. What is left behind is collected, and the last known structure is taken up.
curve, unknown = [], []
for temperature in TEMPERATURES:
    known = atoms.copy()
    dynamics = Langevin(
        atoms,
        0.5 * units.fs,
        temperature_K=temperature,
        friction=0.05 / units.fs,
        fixcm=False,
        rng=random,
    )

    def record(temperature=temperature):
        values = atoms.calc.results["extrapolation"]
        curve.append((temperature, float(values.max())))

    dynamics.attach(record)
    try:
        dynamics.run(N_STEPS)
        print(f"{temperature} K: {N_STEPS} steps within the training data")
    except ExtrapolationError as problem:
        print(f"{temperature} K, step {dynamics.nsteps}: {problem}")
        unknown.append(atoms.copy())
        atoms.positions, atoms.calc.results = known.positions, {}

# %%
# Structures to calculate next, and what happened.
if unknown:
    write_structures(OUTPUT / "18_to_calculate.xyz", unknown, overwrite=True)
print(f"{len(unknown)} structures are kept for reference calculations")
figure = Figure(figsize=(6.0, 3.6), layout="constrained")
axes = figure.subplots()
values = np.array(curve)
for temperature in TEMPERATURES:
    own = np.flatnonzero(values[:, 0] == temperature)
    axes.plot(own, values[own, 1], label=f"{temperature} K")
axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
axes.set_xlabel("step")
axes.set_ylabel("extrapolation of the farthest atom")
axes.legend(frameon=False)
figure.savefig(OUTPUT / "18_bounded_dynamics.png", dpi=110)
