"""Tails of linear models of whole-structure descriptors, beside SOAP and LODE
===========================================================================

Run it with ``python examples/10_global_descriptors.py``; names of models of example 02
restrict the comparison with these for the dimers.

The molecules of example 07 and the dimers of example 02, fitted at short distances and
predicted far apart, by linear models on moments of the Coulomb matrix, on the
many-body tensor of 1/r, and on Coulomb pairs, a four-body tensor whose weights are
products of charges. All of them are size-consistent, and LODE and SOAP are what they
are compared with. Draws curves in ``examples/output``.
"""

import os
import pathlib
import sys
from importlib import import_module

import numpy as np
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.descriptors import CoulombMatrixMoments, CoulombPairs, ManyBodyTensor
from lodekit.models import GlobalPotential
from lodekit.settings.potential import build_potential

beyond = import_module("02_beyond_the_cutoff")
binding = import_module("07_binding_curves")

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "output"
SMALL = os.environ.get("LODEKIT_EXAMPLES") == "small"  # as for the pages
DESCRIPTORS = {
    "moments": CoulombMatrixMoments(6),
    "tensor": ManyBodyTensor(),
    "pairs": [CoulombPairs(0.4), CoulombPairs(1.0)],
}
MARKERS = {"moments": "x", "tensor": "+", "pairs": "s", "LODE": "o"}


def main():
    OUTPUT.mkdir(exist_ok=True)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), binding.SETS, strict=True):
        compare_tails(name, axes)
    draw_legend(figure)
    figure.savefig(OUTPUT / "10_global_descriptors.png", dpi=110)
    compare_dimers()
    print("\ncurves in 10_global_descriptors.png")


def compare_tails(name, axes):
    """Print slopes and errors at 50 to 200 Å, and draw the curves."""
    rng = np.random.default_rng(0)
    frames = binding.draw_training_set(name, rng)
    lone = {symbol: 0.0 for atoms in frames for symbol in atoms.symbols}
    models = {
        label: GlobalPotential(own, energy_noise=1e-8, baseline=lone).fit(frames)
        for label, own in DESCRIPTORS.items()
    }
    models["LODE"] = binding.fit(
        {"lode": binding.LODE}, frames, energy_noise=1e-8, solver="qr"
    )
    models["SOAP"] = binding.fit({"soap": binding.SOAP}, frames, energy_noise=1e-4)
    energies = np.array([atoms.get_potential_energy() for atoms in frames])
    print(f"\n{name}: {len(frames)} energies at {binding.FITTED[0]:g} to ", end="")
    print(f"{binding.FITTED[1]:g} Å; slope and error at 50 to 200 Å")
    print(f"{'pair':12}{'law':>4}" + "".join(f"{label:>20}" for label in models))
    cells = [
        f"{1e3 * beyond.rmse(m.predict(frames) - energies):14.2g} meV"
        for m in models.values()
    ]
    print(f"{'fitted to':16}" + "  ".join(cells))
    for power, pairs in binding.PAIRS[name].items():
        for pair in pairs:
            turns = binding.find_strong_orientation(name, pair, rng)
            print_pair(name, pair, power, turns, models, axes)


def print_pair(name, pair, power, turns, models, axes):
    """Print one line of `compare_tails`."""
    distances = np.concatenate([np.geomspace(*binding.FITTED, 4), [16], binding.FAR])
    dimers = [binding.make_dimer(name, pair, turns, d) for d in distances]
    alone = [binding.make_molecule(name, molecule)[0] for molecule in pair]
    exact = np.array([atoms.get_potential_energy() for atoms in dimers])
    axes.loglog(distances, abs(exact), color=binding.COLORS[power], lw=1.0)
    cells = []
    for label, model in models.items():
        curve = model.predict(dimers) - model.predict(alone).sum()
        far, reference = curve[-len(binding.FAR) :], exact[-len(binding.FAR) :]
        slope = "none"  # beyond rounding errors
        if abs(far[0]) > 1e-3 * abs(reference[0]):
            slope = f"{np.polyfit(np.log(binding.FAR), np.log(abs(far)), 1)[0]:.3f}"
        error = 100 * np.abs(far / reference - 1.0).max()
        cells.append(f"{slope:>9}{error:9.2g} %")
        if label in MARKERS and pair == pairs_drawn(name, power):
            own = {"color": binding.COLORS[power], "ms": 4}
            axes.loglog(distances, abs(curve), MARKERS[label], **own)
    print(f"{'-'.join(pair):12}{power:4d}" + "".join(cells))
    axes.axvspan(*binding.FITTED, color="0.93", zorder=0)
    axes.set(title=name, ylim=(1e-9, 10.0), xlabel="distance (Å)")
    axes.set_ylabel("size of the interaction energy (eV)")


def pairs_drawn(name, power):
    """Return the pair of a power law that is drawn with all models."""
    return binding.PAIRS[name][power][0]


def compare_dimers():
    """Print errors of the quantum-chemical dimers of example 02, by class."""
    frames = read_structures(HERE / "data" / "dimers.xyz")
    train = [atoms for atoms in frames if atoms.info["subset"] == "train"]
    train = train[::4] if SMALL else train
    far = [atoms for atoms in frames if atoms.info["subset"] == "far"]
    models = {
        label: GlobalPotential(own, energy_noise=1e-4, force_noise=1e-2)
        for label, own in DESCRIPTORS.items()
    }
    chosen = sys.argv[1:] or beyond.MODELS
    models |= {name: build_potential(beyond.MODELS[name]) for name in chosen}
    references = [atoms.get_forces() for atoms in far]
    predicted = {"no force": [0.0 * forces for forces in references]}
    for name, model in models.items():
        results = model.fit(train).compute(far, ["forces"])
        predicted[name] = [result["forces"] for result in results]
    print(f"\n{len(far)} dimers at 8 to 14 Å, fitted up to 7 Å, {len(train)} frames;")
    print("RMSE in meV/Å of forces on the atoms, and of the force on a molecule:")
    labels = np.array([atoms.info["label"] for atoms in far])
    names = ["atoms", *beyond.CLASSES]
    print(f"{'':14}" + "".join(f"{name:>9}" for name in names))
    for name, forces in predicted.items():
        cells = []
        for label in names:
            chosen = range(len(far)) if label == "atoms" else find(labels, label)
            errors = [
                beyond.pick_forces(far[i], forces[i] - references[i], label != "atoms")
                for i in chosen
            ]
            cells.append(1e3 * beyond.rmse(np.concatenate(errors)))
        print(f"{name:14}" + "".join(f"{cell:9.2f}" for cell in cells))


def find(labels, label):
    return np.flatnonzero(labels == label)


def draw_legend(figure):
    axes = figure.axes[0]
    axes.plot([], [], "-", color="black", label="exact")
    for label, marker in MARKERS.items():
        axes.plot([], [], marker, color="black", label=label)
    for power, color in binding.COLORS.items():
        axes.plot([], [], color=color, lw=4, label=f"distance to the power {power}")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=8
    )


if __name__ == "__main__":
    main()
