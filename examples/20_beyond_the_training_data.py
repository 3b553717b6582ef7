"""Beyond the training data
========================

Run it with ``python examples/20_beyond_the_training_data.py``.

Slabs of copper from crystals of alloys, molecules far apart from molecules close by.
Fits the default potential, and the same with unit charges as sources of LODE, (1) to
24 crystals of four atoms of Cu, Ag and Au (effective-medium theory of ASE) and predicts
slabs of Cu, (2) to molecules and dimers of up to 7 Å and pulls polar and apolar
molecules apart. Prints both and draws them to ``examples/output``.
"""

import pathlib

import numpy as np
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.settings.potential import build_potential, default_settings

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "output"
LAYERS = range(1, 9)
DISTANCES = np.linspace(7.0, 20.0, 27)
NOISES = {"energy_noise": 1e-4, "force_noise": 1e-2, "validation_fraction": 0.0}
COLORS = {"unit charges": "#ea580c", "default": "#2563eb"}


def fit_both(frames):
    """Return the default potential, and one with unit charges by species."""
    models = {}
    for name in COLORS:
        settings = default_settings(frames, ["energy", "forces"])
        settings["fit"].update(NOISES)
        if name == "unit charges":
            terms = settings["terms"]
            del terms["dispersion"], terms["packing"]
            for term in ("lode", "induction"):
                terms[term]["charges"] = "species"
        models[name] = build_potential(settings).fit(frames)
    return models


def make_crystals(n_frames=24):
    """Return strained and displaced crystals of four atoms of alloys."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n_frames):
        atoms = bulk("Cu", "fcc", a=3.9, cubic=True)
        atoms.symbols[:] = rng.choice(["Cu", "Ag", "Au"], 4)
        strain = np.eye(3) + rng.normal(0.0, 0.03, (3, 3))
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.08, (4, 3))
        frames.append(label(atoms))
    return frames


def label(atoms):
    """Return the structure with its energy and forces."""
    atoms.calc = EMT()
    atoms.calc.results["forces"] = atoms.get_forces()
    return atoms


def compare_slabs(axes):
    """Print and draw energies of slabs of Cu by number of layers."""
    models = fit_both(make_crystals())
    print("eV/atom of Cu(111), vacuum on both sides")
    names = [f"{name}, pbc {pbc}" for name in models for pbc in ("TTT", "TTF")]
    print(f"{'layers':>6} {'EMT':>8}" + "".join(f"{name:>24}" for name in names))
    curves = {name: [] for name in ("EMT", *names)}
    for n_layers in LAYERS:
        slab = label(fcc111("Cu", (2, 2, n_layers), vacuum=10.0))
        curves["EMT"].append(slab.get_potential_energy() / len(slab))
        for name, model in models.items():
            for pbc in ("TTT", "TTF"):
                slab.pbc = [letter == "T" for letter in pbc]
                energy = model.predict(slab)[0] / len(slab)
                curves[f"{name}, pbc {pbc}"].append(energy)
        cells = "".join(f"{curves[name][-1]:24.2f}" for name in names)
        print(f"{n_layers:6} {curves['EMT'][-1]:8.2f}{cells}")
    for name, curve in curves.items():
        kind, _, pbc = name.partition(", ")
        style = {"color": COLORS.get(kind, "black"), "ls": "--" if "F" in pbc else "-"}
        axes.plot(LAYERS, curve, marker="o", ms=3, label=name, **style)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set(title="slabs from crystals", xlabel="layers of Cu(111)", ylabel="eV/atom")
    axes.legend(fontsize=7)


def compare_dimers(axes):
    """Print and draw what a polar and an apolar molecule do to each other far apart."""
    frames = read_structures(HERE / "data" / "dimers.xyz")
    models = fit_both([a for a in frames if a.info["subset"] == "train"])
    own = [atoms for atoms in frames if atoms.info["label"] == "PA"]
    pairs = {atoms.info["dimer_id"]: atoms for atoms in own}.values()
    print(
        "\nlargest energy (meV) of polar and apolar molecules at some 8, 12, 16, 20 Å"
    )
    for name, model in models.items():
        curves = []
        for atoms in pairs:
            distances = [*DISTANCES, 1000.0]
            energies = model.predict([move_apart(atoms, r) for r in distances])
            curves.append(1e3 * (energies[:-1] - energies[-1]))
        largest = np.abs(curves).max(axis=0)
        cells = "".join(f"{largest[place]:10.3f}" for place in (2, 10, 18, 26))
        print(f"{name:14}{cells}")
        for curve in curves:
            axes.plot(DISTANCES, curve, color=COLORS[name], label=name)
    for place, atoms in enumerate(own):
        name = None if place else "reference"
        energy = 1e3 * atoms.info["inter_energy"]
        axes.plot(atoms.info["distance"], energy, "ko", ms=3, label=name)
    axes.set(title="a polar and an apolar molecule", xlim=(7.0, 20.0), ylim=(-25, 25))
    axes.set(xlabel="distance (Å)", ylabel="interaction (meV)")
    handles, names = axes.get_legend_handles_labels()
    legend = dict(zip(names, handles, strict=True))
    axes.legend(legend.values(), legend.keys(), fontsize=7)


def move_apart(atoms, distance):
    """Return a dimer with its molecules at another distance."""
    first = atoms.info["indexB"]
    moved = atoms.copy()
    direction = atoms[first:].get_center_of_mass() - atoms[:first].get_center_of_mass()
    moved.positions[first:] += direction * (distance / np.linalg.norm(direction) - 1.0)
    return moved


def main():
    """Compare, print and draw."""
    OUTPUT.mkdir(exist_ok=True)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    compare_slabs(left)
    compare_dimers(right)
    path = OUTPUT / "20_beyond_the_training_data.png"
    figure.savefig(path, dpi=100)
    print(f"\ncurves in {path.name}")


if __name__ == "__main__":
    main()
