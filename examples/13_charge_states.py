"""Two charge states of one geometry: what a local model cannot tell
=================================================================

Run it with ``python examples/13_charge_states.py``.

Amino-polyynes H-(CC)n-NH2, every geometry neutral and ionised, teach charges of two
and three triple bonds; other geometries of these and longer chains judge them. A model
of surroundings alone sees the same atoms twice. `ChargeModel` puts the missing charge
where its own are uncertain; `ChargeEquilibrationModel` lets it find its place. Energies
of both states need a remainder that sees the equilibrated charges, or one fit. Writes
charges of both states along the chain to ``examples/output``.
"""

import os
import pathlib

import numpy as np
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.models import ChargeEquilibrationModel, ChargeModel
from lodekit.structures import get_target

DATA = pathlib.Path(__file__).resolve().parent / "data" / "charge_states.xyz"
OUTPUT = pathlib.Path(__file__).resolve().parent / "output"
SMALL = os.environ.get("LODEKIT_EXAMPLES") == "small"  # as for the pages

TARGETS = ["charges", "dipole"]
MODELS = {
    "conditioned": ChargeModel(targets=TARGETS),
    "equilibrated": ChargeEquilibrationModel(targets=TARGETS),
    "soft": ChargeEquilibrationModel(targets=TARGETS, hardness=1.0),
    "by environment": ChargeEquilibrationModel(targets=TARGETS, hardness="environment"),
}
TWO_STEPS = {
    "targets": ["charges", "energy"],
    "learn_from_energies": False,
}
ENERGIES = {
    "in two steps": ChargeEquilibrationModel(**TWO_STEPS),
    "charges in the remainder": ChargeEquilibrationModel(**TWO_STEPS, charge_powers=1),
    "one fit": ChargeEquilibrationModel(targets=["charges", "energy"]),
}


def main():
    OUTPUT.mkdir(exist_ok=True)
    frames = read_structures(DATA)
    train = [atoms for atoms in frames if atoms.info["subset"] == "train"]
    if SMALL:  # both states of every second geometry
        train = [atoms for i, atoms in enumerate(train) if i // 2 % 2 == 0]
    test = [atoms for atoms in frames if atoms.info["subset"] == "test"]
    longest = max(map(len, test))
    print(f"{len(train)} frames to learn from, {len(test)} to judge by")
    print("charges, me             same chains          longer chains")
    print("                     all  difference        all  difference")
    # The best that one set of charges for both states can do: the mean of the two.
    expected = [get_target(atoms, "charges") for atoms in test]
    predicted = {"surroundings alone": means_of_states(test, expected)}
    for name, model in MODELS.items():
        results = model.fit(train).compute(test, ["charges"])
        predicted[name] = [result["charges"] for result in results]
    for name, charges in predicted.items():
        row = []
        for is_long in (False, True):
            own = [i for i, a in enumerate(test) if (len(a) == longest) == is_long]
            row += errors(*([some[i] for i in own] for some in (charges, expected)))
        print(f"{name:18}{row[0]:6.1f}{row[1]:12.1f}{row[2]:11.1f}{row[3]:12.1f}")
    draw(test, expected, predicted)
    print("energies, meV/atom         same chains   longer chains")
    for name, model in ENERGIES.items():
        results = model.fit(train).compute(test, ["energy"])
        missed = [
            1e3 * (result["energy"] - get_target(atoms, "energy")) / len(atoms)
            for atoms, result in zip(test, results, strict=True)
        ]
        is_long = np.array([len(atoms) == longest for atoms in test])
        row = [
            np.sqrt(np.mean(np.array(missed)[own] ** 2)) for own in (~is_long, is_long)
        ]
        print(f"{name:25}{row[0]:13.1f}{row[1]:16.1f}")


def means_of_states(frames, charges):
    """Return for every frame the mean charges of the frames of its geometry."""
    groups: dict = {}
    for atoms, own in zip(frames, charges, strict=True):
        groups.setdefault(atoms.info["geometry"], []).append(own)
    return [np.mean(groups[atoms.info["geometry"]], axis=0) for atoms in frames]


def errors(charges, expected):
    """Return RMSE in me of charges, and of what changes from state to state."""
    missed = [a - b for a, b in zip(charges, expected, strict=True)]
    # neutral and ionised frames follow each other
    changes = [b - a for a, b in zip(missed[::2], missed[1::2], strict=True)]
    return [1e3 * np.sqrt(np.mean(np.concatenate(v) ** 2)) for v in (missed, changes)]


def draw(test, expected, predicted):
    """Write the charges of both states of the longest chain by atom."""
    first = int(np.argmax([len(atoms) for atoms in test]))
    figure = Figure(figsize=(13.0, 4.0), layout="constrained")
    panels = figure.subplots(1, 3)
    changes = {
        name: charges[first + 1] - charges[first]
        for name, charges in {"reference": expected, **predicted}.items()
    }
    for panel, name, state in zip(panels, ("neutral", "ionised"), (0, 1), strict=False):
        for label, charges in {"reference": expected, **predicted}.items():
            style = "k.-" if label == "reference" else "."
            panel.plot(charges[first + state], style, label=label)
        panel.set(title=name, ylabel="charge, e")
    for label, change in changes.items():
        panels[2].plot(change, "k.-" if label == "reference" else ".", label=label)
    panels[2].set(title="ionised less neutral", ylabel="charge, e")
    handles, labels = panels[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    for panel in panels:
        panel.set_xticks(range(len(test[first])), test[first].symbols)
    figure.savefig(OUTPUT / "13_charge_states.png", dpi=150)


if __name__ == "__main__":
    main()
