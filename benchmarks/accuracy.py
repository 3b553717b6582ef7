"""Accuracy on real data that took no part in the fit, beside published numbers.

    python benchmarks/accuracy.py spice_dipeptides [--set terms.soap.n_sparse=500] ...

The data are not in the repository (their licences differ); they are looked for in
``../shared/data`` or the folder given by ``--data``. Every run prints one line per
group of frames: RMSE of the energy in meV/atom and of the forces in meV/Å, wall time
and peak memory of this process.
"""

import argparse
import json
import pathlib
import resource
import time
import tomllib

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np

from lodekit import read_structures
from lodekit.settings.potential import build_potential, default_settings

ROOT = pathlib.Path(__file__).resolve().parents[1]

#: Numbers of other codes on the same or an equivalent split: energy meV/atom, forces
#: meV/Å, as published or measured while planning.
PEERS = {
    "spice_dipeptides": {
        "GAP, 200 frames": (3.5, 190),
        "SOAP sparse GPR on featomic": (2.60, 144),
        "CACE short-range (neural)": (1.97, 58.8),
        "CACE-LR (neural)": (1.29, 53.1),
    },
    "lode_dimers": {"GAP 5 Å": (None, 34), "copy of the farthest frame": (None, 8.9)},
    "deepmd_water": {"SOAP sparse GPR": (0.36, 44.7), "GAP, 40 frames": (0.43, 57)},
    "nacl_water": {"SOAP sparse GPR, 40 frames": (1.04, 72), "GAP": (1.08, 90)},
    "allegro_pol": {"GAP": (1.22, 102), "SOAP sparse GPR": (0.88, 90)},
}


def split_spice(folder):
    """Train and validation files as published."""
    return (
        read_structures(folder / "spice_dipeptides/train.xyz"),
        read_structures(folder / "spice_dipeptides/val.xyz"),
        None,
    )


def split_dimers(folder):
    """The three largest of ten distances of every dimer are kept."""
    frames = read_structures(folder / "lode_dimers/train.xyz")
    by_dimer = {}
    for atoms in frames:
        by_dimer.setdefault(int(atoms.info["dimer_id"]), []).append(atoms)
    train, kept = [], []
    for group in by_dimer.values():
        group.sort(key=lambda atoms: atoms.info["distance"])
        train += group[:-3]
        kept += group[-3:]
    return train, kept, "label"


def split_every_fifth(path, without=()):
    """Every fifth frame is kept; frames ``without`` take no part."""

    def split(folder):
        frames = read_structures(folder / path)
        frames = [atoms for i, atoms in enumerate(frames) if i not in without]
        kept = frames[::5]
        return [a for i, a in enumerate(frames) if i % 5], kept, None

    return split


SPLITS = {
    "spice_dipeptides": split_spice,
    "lode_dimers": split_dimers,
    "deepmd_water": split_every_fifth("deepmd_water/train.xyz"),
    # frame 60: reference forces of 35 eV/Å on atoms of an ordinary water molecule
    "nacl_water": split_every_fifth("nacl_water/train.xyz", without=[60]),
    "allegro_pol": split_every_fifth("allegro_pol/sio2_train.xyz"),
}


def rmse(values):
    """Root mean square in units of 1e-3."""
    return 1e3 * float(np.sqrt(np.mean(np.square(values))))


def report(label, frames, results):
    """Print one line of errors."""
    energies = [
        (r["energy"] - a.calc.results["energy"]) / len(a)
        for a, r in zip(frames, results, strict=True)
    ]
    forces = np.concatenate(
        [
            (r["forces"] - a.calc.results["forces"]).ravel()
            for a, r in zip(frames, results, strict=True)
        ]
    )
    print(
        f"{label:30s} {rmse(energies):10.3f} meV/atom {rmse(forces):10.2f} meV/Å",
        flush=True,
    )


def apply(settings, assignments):
    """Apply ``section.key=value`` in TOML syntax; ``section=none`` removes a term."""
    for assignment in assignments:
        path, _, text = assignment.partition("=")
        *parents, key = path.split(".")
        table = settings
        for parent in parents:
            table = table[parent]
        if text == "none":
            del table[key]
        else:
            table[key] = tomllib.loads(f"x = {text}")["x"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=SPLITS)
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument("--every", type=int, default=1, help="use every n-th frame")
    arguments = parser.parse_args()
    train, kept, group_key = SPLITS[arguments.set](arguments.data)
    train = train[:: arguments.every]
    settings = default_settings(train, ["energy", "forces"])
    apply(settings, arguments.assignments)
    print(json.dumps(settings))
    start = time.perf_counter()
    model = build_potential(settings, progress=True).fit(train)
    fitted = time.perf_counter()
    results = model.compute(kept, ["energy", "forces"])
    n_atoms = sum(len(atoms) for atoms in kept)
    predicted = (time.perf_counter() - fitted) / n_atoms
    print(json.dumps(model.summary_))
    for label, (energy, forces) in PEERS[arguments.set].items():
        energy = "      -   " if energy is None else f"{energy:10.3f}"
        print(f"{label:30s} {energy} meV/atom {forces:10.2f} meV/Å")
    for group in sorted({a.info.get(group_key) for a in kept}) if group_key else []:
        chosen = [i for i, a in enumerate(kept) if a.info.get(group_key) == group]
        report(
            f"lodekit, {group}", [kept[i] for i in chosen], [results[i] for i in chosen]
        )
    report("lodekit", kept, results)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{len(train)} frames fitted in {fitted - start:.0f} s, {memory:.1f} GB; "
        f"prediction {1e3 * predicted:.2f} ms/atom"
    )


if __name__ == "__main__":
    main()
