"""Pull dimers apart: what a potential knows beyond its cutoff, without and with LODE
==================================================================================

Run it with ``python examples/02_beyond_the_cutoff.py``.

Two models are fitted to single molecules and to dimers of up to 7 Å, and judged on the
same dimers at 8 to 14 Å, beyond the cutoff of 5 Å between their atoms (one of the 75
frames just touches it). Prints errors by class of dimer and writes the binding curves
to ``examples/output``.
"""

import pathlib
import time

import numpy as np
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.settings.potential import build_potential

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "output"

CLASSES = {
    "CC": "charged, charged",
    "CP": "charged, polar",
    "CA": "charged, apolar",
    "PP": "polar, polar",
    "PA": "polar, apolar",
    "AA": "apolar, apolar",
}

# 1000 points for each species are all that there are: the set is small.
SOAP = {"type": "soap", "max_radial": 5, "n_sparse": 1000}
LODE = {
    "type": "lode",
    "smoothing_width": 2.0,
    "scaling_exponent": 0,  # far neighbours within the cutoff count like near ones
    "radius": 1.5,
    "n_sparse": 1000,
}
# 1 / r^6 of every element; the sources of the others carry charges that are learned.
DISPERSION = {**LODE, "exponent": 6, "charges": "species"}
# The references carry no noise, so they may be followed closely. SOAP alone cannot
# follow them: equal surroundings come with different energies. It gets the noises that
# predict held-out frames best, which is better for it than the tight ones.
TIGHT = {"energy_noise": 1e-6, "force_noise": 1e-4, "validation_fraction": 0.0}
MODELS = {
    "SOAP": {"terms": {"soap": SOAP}},
    "SOAP + LODE": {
        "fit": TIGHT,
        "terms": {
            "soap": SOAP,
            "lode": {**LODE, "zeta": 1},  # fields of charges and dipoles
            "induction": {**LODE, "zeta": 2},  # response to these fields
            "dispersion": {**DISPERSION, "zeta": 1},
            "packing": {**DISPERSION, "zeta": 2},
        },
    },
}
COLORS = {"SOAP": "#ea580c", "SOAP + LODE": "#2563eb"}


def main():
    OUTPUT.mkdir(exist_ok=True)
    frames = read_structures(HERE / "data" / "dimers.xyz")
    train = [atoms for atoms in frames if atoms.info["subset"] == "train"]
    far = [atoms for atoms in frames if atoms.info["subset"] == "far"]
    models = {}
    for name, settings in MODELS.items():
        start = time.perf_counter()
        models[name] = build_potential(settings).fit(train)
        seconds = time.perf_counter() - start
        print(f"{name}: {len(train)} frames fitted in {seconds:.0f} s")
    results = {name: model.compute(far) for name, model in models.items()}
    print_force_errors(far, results)
    print_curve_errors(far, results["SOAP + LODE"])
    draw_binding_curves(frames, models)


def print_force_errors(far, results):
    """Print RMSE over the atoms, and over the total forces on molecules."""
    references = [{"forces": atoms.get_forces()} for atoms in far]
    zeros = [{"forces": 0.0 * atoms.positions} for atoms in far]
    table = {"no force": zeros, **results}
    labels = np.array([atoms.info["label"] for atoms in far])
    print(f"\nRMSE of forces (meV/Å) of {len(far)} dimers at 8 to 14 Å")
    print(f"{'on the atoms':>41}{'on a molecule':>37}")
    print(f"{'class':18}{'n':>4}" + 2 * "".join(f"{name:>12}" for name in table))
    for label in [*CLASSES, "all"]:
        chosen = np.flatnonzero((labels == label) | (label == "all"))
        cells = []
        for total in (False, True):
            for own in table.values():
                errors = [
                    pick_forces(far[i], own[i]["forces"], total)
                    - pick_forces(far[i], references[i]["forces"], total)
                    for i in chosen
                ]
                cells.append(1e3 * rmse(np.concatenate(errors)))
        print(
            f"{CLASSES.get(label, label):18}{len(chosen):4}"
            + "".join(f"{cell:12.2f}" for cell in cells)
        )


def pick_forces(atoms, forces, total):
    """Return the forces on the atoms, or their sums over both molecules."""
    if not total:
        return forces.ravel()
    first = atoms.info["indexB"]
    return np.concatenate([forces[:first].sum(axis=0), forces[first:].sum(axis=0)])


def rmse(errors):
    return np.sqrt(np.mean(np.square(errors)))


def print_curve_errors(far, results):
    """Print the error of the continued binding curves, ladder by ladder."""
    print("\nSOAP + LODE: continued binding curves of two ions, 8 to 14 Å")
    errors, references = [], []
    ladders = [a.info["dimer_id"] for a in far if a.info["label"] == "CC"]
    for ladder in dict.fromkeys(ladders):
        chosen = [i for i, a in enumerate(far) if a.info["dimer_id"] == ladder]
        reference = np.array([far[i].info["inter_energy"] for i in chosen])
        error = np.array(
            [results[i]["energy"] - far[i].get_potential_energy() for i in chosen]
        )
        print(
            f"{ladder:20} {reference[0]:6.3f} to {reference[-1]:6.3f} eV, "
            f"RMSE {1e3 * rmse(error):5.2f} meV, "
            f"{100 * rmse(error) / rmse(reference):.2f} %"
        )
        errors.append(error)
        references.append(reference)
    share = 100 * rmse(np.concatenate(errors)) / rmse(np.concatenate(references))
    print(f"all: {share:.2f} % of the binding energy")


def draw_binding_curves(frames, models):
    """Draw interaction energies against distance, one panel for each class."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    for axes, (label, title) in zip(
        figure.subplots(2, 3).flat, CLASSES.items(), strict=True
    ):
        own = [atoms for atoms in frames if atoms.info["label"] == label]
        for ladder in dict.fromkeys(atoms.info["dimer_id"] for atoms in own):
            points = [atoms for atoms in own if atoms.info["dimer_id"] == ladder]
            draw_ladder(axes, points, models)
        axes.axvspan(0, 7.5, color="0.93", zorder=0)
        axes.set(title=f"{label}: {title}", xlim=(2, 16))
        energies = [atoms.info["inter_energy"] for atoms in own]
        margin = 0.15 * (max(energies) - min(energies))
        axes.set_ylim(min(energies) - margin, max(energies) + margin)
        axes.set_xlabel("distance of the centres of mass (Å)", fontsize=8)
        axes.set_ylabel("interaction energy (eV)", fontsize=8)
        axes.tick_params(labelsize=8)
    handles, names = figure.axes[0].get_legend_handles_labels()
    legend = dict(zip(names, handles, strict=True))
    figure.legend(
        legend.values(), legend.keys(), loc="outside lower center", ncols=4, fontsize=8
    )
    path = OUTPUT / "02_binding_curves.png"
    figure.savefig(path, dpi=100)
    print(f"\nbinding curves (training distances in grey) in {path.name}")


def draw_ladder(axes, points, models):
    """Draw one ladder of distances and what the models make of it."""
    distances = np.array([atoms.info["distance"] for atoms in points])
    pulled = np.linspace(distances.min(), 16.0, 30)
    curve = [move_apart(points[0], distance) for distance in pulled]
    alone = points[0].info["energyA"] + points[0].info["energyB"]
    for name, model in models.items():
        axes.plot(
            pulled, model.predict(curve) - alone, color=COLORS[name], lw=1.2, label=name
        )
    energies = np.array([atoms.info["inter_energy"] for atoms in points])
    for label, marker, chosen in (
        ("reference, fitted", "black", distances <= 7.0),
        ("reference, not fitted", "white", distances > 7.0),
    ):
        axes.scatter(
            distances[chosen],
            energies[chosen],
            s=14,
            color=marker,
            edgecolors="black",
            linewidths=0.7,
            zorder=3,
            label=label,
        )


def move_apart(atoms, distance):
    """Return a dimer with its molecules at another distance."""
    first = atoms.info["indexB"]
    moved = atoms.copy()
    direction = atoms[first:].get_center_of_mass() - atoms[:first].get_center_of_mass()
    moved.positions[first:] += direction * (distance / np.linalg.norm(direction) - 1.0)
    return moved


if __name__ == "__main__":
    main()
