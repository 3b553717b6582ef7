"""Rows of a fit by one process and by several, of joblib or of a cluster of dask.

    python benchmarks/processes.py [FILE] [--dask] [--n-sparse N] [--json]

Prints processor seconds, which depend less than times on other work of the machine: of
the rows of one process, of every worker, and of the process that adds up sums (and is
the scheduler of dask). The speedup is that of a machine on which every process has a
core of its own,

    rows of one process / (the slowest worker + adding up).

Charges of sources are a fit of their own, whose rows count as well.
"""

import argparse
import json
import logging
import pathlib
import re
import time
from contextlib import ExitStack
from unittest import mock

import joblib
import numpy as np

from lodekit import read_structures
from lodekit.fitting import fit as fitting
from lodekit.logs import LOG
from lodekit.models import SparsePotential

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORKERS, JUDGED = 2, 20


def main():
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "file", nargs="?", default=str(ROOT / "examples/data/dimers.xyz")
    )
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--n-sparse", type=int, default=150)
    parser.add_argument("--repeat", type=int, default=1, help="copies of the frames")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    frames = read_structures(arguments.file) * arguments.repeat
    model = SparsePotential(
        n_sparse=arguments.n_sparse,
        energy_noise=1e-3,
        force_noise=2e-2,
        validation_fraction=0.0,
        targets=["energy", "forces"],
    )
    model.fit(frames[:4])  # compiled
    answer = {"frames": len(frames), **compare(model, frames, arguments.dask)}
    if arguments.json:
        print(json.dumps(answer))
        return
    for name, value in answer.items():
        print(f"{name:24} {value}")


class Listener(logging.Handler):
    """Collects the processor seconds that fits tell of."""

    def __init__(self):
        super().__init__()
        self.seconds = np.zeros(WORKERS)

    def emit(self, record):
        text = record.getMessage()
        if text.startswith("processor seconds of"):
            numbers = re.findall(r"[0-9.]+", text.partition(":")[2])
            self.seconds += np.array(numbers, float)


def compare(model, frames, with_dask):
    """Return processor seconds, and the largest difference of weights."""
    alone = rows_seconds(model, frames)
    weights, listener = model.weights_, Listener()
    energies = model.predict(frames[:JUDGED])
    with ExitStack() as stack:
        if with_dask:
            from dask.distributed import Client, LocalCluster

            options = {"n_workers": WORKERS, "threads_per_worker": 1}
            cluster = LocalCluster(**options, dashboard_address=None)
            stack.enter_context(cluster)
            stack.enter_context(Client(cluster))
            stack.enter_context(joblib.parallel_config("dask"))
        else:
            stack.enter_context(joblib.parallel_config("loky", n_jobs=WORKERS))
        model.fit(frames)  # imported, and compiled code loaded
        LOG.addHandler(listener)
        LOG.setLevel(logging.INFO)
        adding = rows_seconds(model, frames)
    difference = np.abs(model.weights_ - weights).max() / np.abs(weights).max()
    missed = np.abs(model.predict(frames[:JUDGED]) - energies).max()
    return {
        "weights": weights.size,
        "rows": sum(model.summary_["n_rows"].values()),
        "one process, s": round(alone, 2),
        "workers, s": listener.seconds.round(2).tolist(),
        "adding up, s": round(adding, 2),
        "speedup": round(alone / (listener.seconds.max() + adding), 2),
        "difference of weights": float(f"{difference:.1e}"),
        "difference, eV": float(f"{missed:.1e}"),
    }


def rows_seconds(model, frames):
    """Fit, and return the processor seconds of this process for rows."""
    spent = []
    assemble = fitting.Fitting.assemble

    def timed(self, *arguments):
        start = time.process_time()
        made = assemble(self, *arguments)
        spent.append(time.process_time() - start)
        return made

    with mock.patch.object(fitting.Fitting, "assemble", timed):
        model.fit(frames)
    return sum(spent)


if __name__ == "__main__":
    main()
