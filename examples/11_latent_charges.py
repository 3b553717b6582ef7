"""Charges of an ionic gas, found in its energies and forces
=========================================================

Run it with ``python examples/11_latent_charges.py``.

Small gases of Na+ and Cl- at random in a periodic cell are labelled with exact Coulomb
energies and forces and nothing else. `LatentChargeModel` finds the charges, whatever
the seed of the gas: its fit starts from a convex problem and not from random weights.
A second gas has charges that depend on the surroundings of the ions, and is learned
from its energies alone. Writes charges against the truth to ``examples/output``.
"""

import os
import pathlib
import time

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from matplotlib.figure import Figure

from lodekit.electrostatics import CoulombInteraction
from lodekit.settings.charges import build_charge_model

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"

SMALL = os.environ.get("LODEKIT_EXAMPLES") == "small"  # as for the pages

SEEDS = range(2 if SMALL else 5)
N_IONS, EDGE, CLOSEST = 8, 10.0, 2.2  # of one structure; Å
N_TRAIN, N_TEST = 20, 10
SOAP = {"type": "soap", "max_radial": 4, "max_angular": 2, "n_sparse": 60}
# The references are exact, so they may be followed closely.
NOISES = {"energy": {"energy_noise": 1e-4}, "forces": {"force_noise": 1e-3}}


def main():
    OUTPUT.mkdir(exist_ok=True)
    found = {"whole": [], "local": []}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        frames = [draw_gas(rng, whole_charges) for _ in range(N_TRAIN + N_TEST)]
        found["whole"].append(learn(frames, N_TRAIN, ["energy", "forces"]))
        report(f"seed {seed}", *found["whole"][-1])
    rng = np.random.default_rng(0)
    frames = [draw_gas(rng, local_charges) for _ in range(10 * N_TRAIN + N_TEST)]
    found["local"].append(learn(frames, 10 * N_TRAIN, ["energy"]))
    report("surroundings", *found["local"][-1])
    draw(found)


def draw_gas(rng, charges_of):
    """Return a random gas with its exact energy and forces; charges in ``info``."""
    positions = np.empty((0, 3))
    while len(positions) < N_IONS:
        trial = EDGE * rng.random(3)
        if (distances(positions, trial) > CLOSEST).all():
            positions = np.vstack([positions, trial])
    half = N_IONS // 2
    atoms = Atoms(half * ["Na"] + half * ["Cl"], positions, cell=3 * [EDGE], pbc=True)
    atoms.info["truth"] = charges_of(atoms)
    exact = CoulombInteraction(positions, atoms.cell[:], True).compute(
        atoms.info["truth"]
    )
    atoms.calc = SinglePointCalculator(atoms, energy=exact.energy, forces=exact.forces)
    return atoms


def distances(positions, point):
    """Return the distances of the nearest images to a point."""
    offsets = positions - point
    return np.linalg.norm(offsets - EDGE * np.round(offsets / EDGE), axis=1)


def whole_charges(atoms):
    """Return 1 e and -1 e."""
    return np.where(atoms.numbers == 11, 1.0, -1.0)


def local_charges(atoms):
    """Return charges that are the smaller, the nearer others are within 5 Å.

    The forces of these charges as they stand are not those of the gas, because the
    charges move with the ions: they are not used.
    """
    near = np.array([distances(atoms.positions, point) for point in atoms.positions])
    near = np.where(near < 5.0, (1.0 - near / 5.0) ** 2, 0.0).sum(axis=1) - 1.0
    charges = whole_charges(atoms) * (1.0 - near)
    return charges - charges.mean()


def learn(frames, n_train, targets):
    """Fit to the first frames; return true and learned charges of the others."""
    start = time.process_time()
    fit = {"targets": targets, "validation_fraction": 0.0}
    for name in targets:
        fit |= NOISES[name]
    settings = {
        "fit": fit,
        "terms": {"soap": SOAP},
        "potential": {"terms": {"soap": SOAP}},
    }
    model = build_charge_model("LatentChargeModel", settings).fit(frames[:n_train])
    results = model.compute(frames[n_train:], ["charges"])
    return (
        np.concatenate([atoms.info["truth"] for atoms in frames[n_train:]]),
        np.concatenate([result["charges"] for result in results]),
        model.summary_["n_steps"],
        time.process_time() - start,
    )


def report(name, truth, charges, n_steps, seconds):
    """Print how far learned charges are from the truth."""
    errors, size = charges - truth, np.abs(truth)
    print(
        f"{name:12} charges of {size.mean():.2f} ± {size.std():.2f} e, error "
        f"{np.sqrt(np.mean(errors**2)):.4f} e, largest {np.abs(errors).max():.4f} e; "
        f"{n_steps} steps, {seconds:.1f} s",
        flush=True,
    )


def draw(found):
    """Write errors by seed, and learned charges against the truth."""
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    for seed, (truth, charges, _, _) in zip(SEEDS, found["whole"], strict=True):
        left.plot(np.full(truth.size, seed), 1e3 * (charges - truth), ".", alpha=0.3)
    left.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    left.set(title="charges of ±1000 me", xlabel="seed", ylabel="error, me")
    left.set(xticks=SEEDS, ylim=(-20, 20))
    truth, charges, _, _ = found["local"][0]
    right.plot(truth, charges, ".", alpha=0.5)
    limits = np.array([-1.3, 1.3])
    right.plot(limits, limits, color="0.6", linewidth=0.8, zorder=0)
    right.set(title="charges of surroundings, from energies", xlabel="charge, e")
    right.set(ylabel="learned charge, e", xlim=limits, ylim=limits, aspect="equal")
    figure.savefig(OUTPUT / "11_latent_charges.png", dpi=150)


if __name__ == "__main__":
    main()
