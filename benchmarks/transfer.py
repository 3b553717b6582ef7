"""Errors where a model was not trained: another boundary, size, or distance.

    python benchmarks/transfer.py [metals | oxide | dimers] ... [--set terms.lode=none]

``metals``: the default potential is fitted to 24 crystals of four atoms (Cu, Ag, Au;
energies and forces of the effective-medium theory of ASE), and judged on a slab, as a
periodic structure and as a slab, and on one atom. ``oxide``: charges fitted to
clusters of ZnO, judged on the crystal. ``dimers``: pairs of molecules fitted at up to
some 11 Å, judged at 12 to 15 Å, class by class (C charged, P polar, A apolar), beside
two separate molecules and no forces. Data of the last two are looked for in
``../shared/data`` or the folder given by ``--data``.
"""

import argparse
import pathlib
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from accuracy import apply, rmse, split_dimers
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT

from lodekit import read_structures
from lodekit.settings.charges import build_charge_model, default_charge_settings
from lodekit.settings.potential import build_potential, default_settings

ROOT = pathlib.Path(__file__).resolve().parents[1]


def emt_crystals(n_frames=24, seed=0):
    """Strained and rattled cells of four atoms with energies and forces."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n_frames):
        atoms = bulk("Cu", "fcc", a=3.9, cubic=True)
        atoms.symbols[:] = rng.choice(["Cu", "Ag", "Au"], 4)
        strain = np.eye(3) + rng.normal(0.0, 0.03, (3, 3))
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.08, (4, 3))
        frames.append(with_emt(atoms))
    return frames


def with_emt(atoms):
    """Return the structure with its energy and forces."""
    atoms.calc = EMT()
    forces = atoms.get_forces()
    atoms.calc.results["forces"] = forces
    return atoms


def fit_potential(frames, assignments):
    """Fit the default potential, changed by settings."""
    settings = default_settings(frames, ["energy", "forces"])
    apply(settings, assignments)
    return build_potential(settings).fit(frames)


def metals(arguments):
    """Crystals to a slab and an atom, eV/atom."""
    model = fit_potential(emt_crystals(), arguments.assignments)
    print(f"{'':30s} {'predicted':>12s} {'EMT':>8s}  eV/atom")
    for name, pbc in (("TTT", True), ("TTF", (True, True, False))):
        slab = fcc111("Cu", (2, 2, 4), vacuum=10.0)
        slab.pbc = pbc
        compare(f"slab, pbc {name}", model, slab)
    compare("one atom", model, Atoms("Cu"))
    held_out = emt_crystals(24, seed=1)
    report("other crystals", held_out, model.compute(held_out, ["energy", "forces"]))


def compare(name, model, atoms):
    """Print the predicted and the true energy of one structure."""
    predicted = model.compute(atoms, ["energy"])[0]["energy"] / len(atoms)
    true = with_emt(atoms.copy()).calc.results["energy"] / len(atoms)
    print(f"{name:30s} {predicted:12.3f} {true:8.3f}", flush=True)


def report(name, frames, results):
    """Print RMSE of energies and forces."""
    energies = [
        (r["energy"] - a.calc.results["energy"]) / len(a)
        for a, r in zip(frames, results, strict=True)
    ]
    forces = [
        (r["forces"] - a.calc.results["forces"]).ravel()
        for a, r in zip(frames, results, strict=True)
    ]
    print(
        f"{name:30s} {rmse(energies):8.3f} meV/atom "
        f"{rmse(np.concatenate(forces)):8.2f} meV/Å",
        flush=True,
    )


def oxide(arguments):
    """Clusters to the crystal, charges in me."""
    frames = read_structures(arguments.data / "zno_clusters/train.xyz")
    crystal = read_structures(arguments.data / "zno_bulk/val.xyz")
    settings = default_charge_settings("ChargeModel", ["charges"])
    apply(settings, arguments.assignments)
    fitted = [atoms for i, atoms in enumerate(frames) if i % 5]
    model = build_charge_model("ChargeModel", settings).fit(fitted)
    show_charges("other clusters", model, frames[::5])
    model = build_charge_model("ChargeModel", settings).fit(frames)
    show_charges("crystal", model, crystal)
    known = [
        np.concatenate([a.get_charges() for a in some]) for some in (frames, crystal)
    ]
    numbers = [np.concatenate([a.numbers for a in some]) for some in (frames, crystal)]
    errors = [
        known[1][numbers[1] == z] - known[0][numbers[0] == z].mean()
        for z in np.unique(numbers[0])
    ]
    print(f"{'  one constant an element':30s} {rmse(np.concatenate(errors)):8.2f} me")


def show_charges(name, model, frames):
    """Print the error of charges."""
    results = model.compute(frames, ["charges"])
    errors = np.concatenate([r["charges"] for r in results])
    errors -= np.concatenate([atoms.get_charges() for atoms in frames])
    print(f"{name:30s} {rmse(errors):8.2f} me", flush=True)


def dimers(arguments):
    """Dimers at the largest distances, by class."""
    fitted, kept, key = split_dimers(arguments.data)
    model = fit_potential(fitted, arguments.assignments)
    show_dimers(model, kept, key)


def show_dimers(model, kept, key="label"):
    """Print errors by class, beside those of two separate molecules without forces."""
    results = model.compute(kept, ["energy", "forces"])
    for label in sorted({atoms.info[key] for atoms in kept}):
        own = [i for i, atoms in enumerate(kept) if atoms.info[key] == label]
        some = [kept[i] for i in own]
        report(label, some, [results[i] for i in own])
        apart = [a.info["inter_energy"] / len(a) for a in some]
        forces = np.concatenate([a.calc.results["forces"].ravel() for a in some])
        print(
            f"{'  separate molecules':30s} {rmse(apart):8.3f} meV/atom "
            f"{rmse(forces):8.2f} meV/Å"
        )
    report("all", kept, results)


CASES = {"metals": metals, "oxide": oxide, "dimers": dimers}


def main():
    """Run the cases that are named, all if none is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []])
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    arguments = parser.parse_args()
    for name in arguments.cases or CASES:
        print(name)
        start = time.perf_counter()
        CASES[name](arguments)
        print(f"{time.perf_counter() - start:.1f} s\n")


if __name__ == "__main__":
    main()
