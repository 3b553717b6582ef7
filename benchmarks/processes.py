"""Rows of a fit by one process and by the workers of a cluster of dask.

    python benchmarks/processes.py [FILE] [--workers N] [--n-sparse N] [--json]

Prints processor seconds, which do not depend on what else the machine does: of the rows
of one process, of every worker, and of the process that adds up sums while it waits.
The speedup is that of a machine on which every worker has a core of its own,

    rows of one process / (the slowest worker + adding up),

and weights are compared.
"""

import argparse
import json
import pathlib
import time
from unittest import mock

import joblib
import numpy as np

from lodekit import read_structures
from lodekit.fitting import fit as fitting
from lodekit.models import SparsePotential

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    """Fit twice and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "file", nargs="?", default=str(ROOT / "examples/data/dimers.xyz")
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--n-sparse", type=int, default=150)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    frames = read_structures(arguments.file)
    model = SparsePotential(
        n_sparse=arguments.n_sparse,
        energy_noise=1e-3,
        force_noise=2e-2,
        validation_fraction=0.0,
        targets=["energy", "forces"],
    )
    model.fit(frames[:4])  # compiled
    answer = {"frames": len(frames), **compare(model, frames, arguments.workers)}
    if arguments.json:
        print(json.dumps(answer))
        return
    for name, value in answer.items():
        print(f"{name:24} {value}")


def compare(model, frames, n_workers):
    """Return the processor seconds and the largest difference of weights."""
    from dask.distributed import Client, LocalCluster

    alone = rows_seconds(model, frames)
    weights = model.weights_
    options = {"n_workers": n_workers, "threads_per_worker": 1}
    with (
        LocalCluster(**options, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        model.fit(frames)  # imported, and compiled code loaded
        before = client.run(time.process_time)
        adding = rows_seconds(model, frames)
        after = client.run(time.process_time)
    workers = [round(after[worker] - before[worker], 2) for worker in before]
    difference = np.abs(model.weights_ - weights).max() / np.abs(weights).max()
    return {
        "weights": weights.size,
        "rows": sum(model.summary_["n_rows"].values()),
        "one process, s": round(alone, 2),
        "workers, s": workers,
        "adding up, s": round(adding, 2),
        "speedup": round(alone / (max(workers) + adding), 2),
        "difference of weights": float(f"{difference:.1e}"),
    }


def rows_seconds(model, frames):
    """Fit, and return the processor seconds of this process for the rows.

    Those of the charges of sources, which are a fit of their own, are among them.
    """
    spent = []
    assemble = fitting.Fitting.assemble

    def timed(self):
        start = time.process_time()
        made = assemble(self)
        spent.append(time.process_time() - start)
        return made

    with mock.patch.object(fitting.Fitting, "assemble", timed):
        model.fit(frames)
    return sum(spent)


if __name__ == "__main__":
    main()
