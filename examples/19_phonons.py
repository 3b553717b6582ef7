"""Phonons of a metal
==================

Run it with ``python examples/19_phonons.py``.

A potential of copper learns from cells at 300 K, labelled by the effective medium
theory that comes with ASE, and gives the phonon bands by finite displacements beside
those of the reference. Draws both into ``examples/output``.
"""

import pathlib

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.phonons import Phonons
from matplotlib.figure import Figure

from lodekit.calculators import LodekitCalculator
from lodekit.models import SparsePotential

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"
OUTPUT.mkdir(exist_ok=True)
CELLS, SUPERCELL = 12, (5, 5, 5)

# %%
# Cells of 32 atoms with displacements as at 300 K.
train = []
for seed in range(CELLS):
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.rattle(0.08, seed=seed)
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    atoms.calc = SinglePointCalculator(atoms, **results)
    train.append(atoms)
model = SparsePotential(n_sparse=100).fit(train)
error = model.summary_["held_out_errors"]["forces"]
print(f"error of forces on cells left out: {1e3 * error:.1f} meV/Å")

# %%
# Bands along a path through the Brillouin zone.
primitive = bulk("Cu")
path = primitive.cell.bandpath("GXWKGL", npoints=60)


def bands(calculator, name):
    """Return frequencies in meV, (n_points, 3)."""
    phonons = Phonons(primitive, calculator, SUPERCELL, delta=0.02, name=OUTPUT / name)
    phonons.clean()
    phonons.run()
    phonons.read(acoustic=True)
    energies = phonons.get_band_structure(path).energies[0]
    phonons.clean()
    return 1e3 * energies


reference = bands(EMT(), "19_reference")
found = bands(LodekitCalculator(model, on_extrapolation="ignore"), "19_model")
print(f"largest difference of bands: {np.abs(found - reference).max():.2f} meV")

# %%
# Both sets of bands.
figure = Figure(figsize=(5.6, 3.8), layout="constrained")
axes = figure.subplots()
places, ticks, labels = path.get_linear_kpoint_axis()
axes.plot(places, reference, color="#9ca3af", linewidth=3)
axes.plot(places, found, color="#2563eb", linewidth=1)
axes.set_xticks(ticks, [label.replace("G", "Γ") for label in labels])
axes.set_ylabel("energy, meV")
axes.set_xlim(places[0], places[-1])
axes.set_title("phonons of copper: EMT (grey), lodekit (blue)", fontsize=10)
figure.savefig(OUTPUT / "19_phonons.png", dpi=110)
