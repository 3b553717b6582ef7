"""Time predictions of every model: frame by frame, by the ASE calculator, as a batch.

    python benchmarks/prediction.py [--models potential kqeq] [--threads 1] [--json]
    python benchmarks/prediction.py --before PYTHON

Every model is fitted to some frames of the examples, molecular dimers of 3 to 12 atoms,
and predicts others: the energies and forces that it has, or else charges and dipoles.
*Loop* is ``model.compute([atoms])`` for one frame after the other, *calculator*
`LodekitCalculator` with one structure after the other, *batch* one ``model.compute``
of all frames. Shortest of several runs in µs of processor time per atom, and atoms per
second of it: other jobs on the machine change it little. With ``--before`` the same
is measured by another interpreter, that of an environment with another version of
lodekit, one model after the other, and how many times faster this version is.
"""

import argparse
import json
import pathlib
import subprocess
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np

from lodekit import read_structures
from lodekit.calculators import LodekitCalculator
from lodekit.descriptors import CoulombMatrixMoments
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    GlobalPotential,
    LatentChargeModel,
    SparsePotential,
)
from lodekit.threads import limit_threads

DATA = pathlib.Path(__file__).resolve().parents[1] / "examples/data/dimers.xyz"
ENERGIES = ["energy", "forces"]
CHARGES = ["charges", "dipole"]
#: Unfitted models by name, and what they predict.
MODELS = {
    "potential": (SparsePotential(), ENERGIES),
    "charges": (ChargeModel(targets=CHARGES), CHARGES),
    "charges and energies": (ChargeModel(targets=[*CHARGES, *ENERGIES]), ENERGIES),
    "dipole": (DipoleModel(), CHARGES),
    "latent charges": (LatentChargeModel(), ENERGIES),
    "kqeq": (ChargeEquilibrationModel(targets=CHARGES), CHARGES),
    "kqeq and energies": (
        ChargeEquilibrationModel(targets=[*CHARGES, *ENERGIES]),
        ENERGIES,
    ),
    "global": (GlobalPotential(CoulombMatrixMoments()), ENERGIES),
}


def shortest(run, repeats):
    """Return the shortest of several processor times in s; a first run warms up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def measure(model, frames, properties, repeats):
    """Return µs per atom of a loop, the calculator and a batch."""
    calculator = LodekitCalculator(model)
    bare = [atoms.copy() for atoms in frames]
    n_atoms = sum(len(atoms) for atoms in bare)

    def loop():
        for atoms in bare:
            model.compute([atoms], properties)

    def calculate():
        for atoms in bare:
            calculator.calculate(atoms, properties)

    ways = {
        "loop": loop,
        "calculator": calculate,
        "batch": lambda: model.compute(bare, properties),
    }
    return {name: 1e6 * shortest(run, repeats) / n_atoms for name, run in ways.items()}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models",
        nargs="+",
        choices=list(MODELS),
        default=list(MODELS),
        metavar="MODEL",
        help=", ".join(MODELS),
    )
    parser.add_argument("--every", type=int, default=5, help="fit every Nth frame")
    parser.add_argument("--frames", type=int, default=60, help="frames to predict")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument("--before", metavar="PYTHON", help="with another version")
    return parser.parse_args()


def measure_before(python, name, arguments):
    """Return what another interpreter measures for one model."""
    options = ("every", "frames", "repeats", "threads")
    words = [f"--{key}={getattr(arguments, key)}" for key in options]
    command = [python, __file__, "--models", name, "--json", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["us_per_atom"][name]


def main():
    arguments = parse_arguments()
    frames = read_structures(DATA)
    train = frames[:: arguments.every]
    judged = [frames[i] for i in range(len(frames)) if i % arguments.every]
    judged = judged[: arguments.frames]
    table = {}
    with limit_threads(arguments.threads):
        for name in arguments.models:
            model, properties = MODELS[name]
            model.fit(train)
            table[name] = measure(model, judged, properties, arguments.repeats)
            if not arguments.json:
                print_row(name, table[name], is_first=len(table) == 1)
            if arguments.before:
                before = measure_before(arguments.before, name, arguments)
                print_row(f"{name}, before", before)
                ratios = {way: before[way] / table[name][way] for way in before}
                print(
                    f"{'':30}" + "".join(f"{r:17.2f}x{'':10}" for r in ratios.values())
                )
    if arguments.json:
        n_atoms = int(np.sum([len(atoms) for atoms in judged]))
        print(json.dumps({"n_atoms": n_atoms, "us_per_atom": table}))


def print_row(name, times, is_first=False):
    """Print one line of the table, the first one below its header."""
    if is_first:
        header = "".join(f"{way + ', µs':>18}{'atoms/s':>10}" for way in times)
        print(f"{'model':30}{header}")
    cells = "".join(f"{value:18.0f}{1e6 / value:10,.0f}" for value in times.values())
    print(f"{name:30}{cells}", flush=True)


if __name__ == "__main__":
    main()
