"""Time LODE coefficients from 216 to 64,000 atoms, with memory, accuracy and slope.

    python benchmarks/lode.py [--sizes 3 5 7 10 14 20] [--featomic 3 5] [--threads 1 2]

Rattled NaCl, n x n x n cubic cells of 8 atoms, two species, l <= 4, 6 radial functions
on 5 Å, accuracy 1e-5, smearing 1 and 0.5 Å. Every size runs in a process of its own:
seconds are minima over several runs after one that compiles, of CPU time with one
thread (a busy machine disturbs it less), else of wall time; memory is the peak of the
process. Errors are against a direct sum at an accuracy of 1e-9, in the units of
``accuracy``. featomic runs with the k-cutoff that it chooses itself.
"""

import argparse
import json
import os
import subprocess
import sys
import time

ACCURACY = 1e-5
#: Largest number of atoms whose error is measured.
CHECKED = 1000


def best_time(function, n_runs):
    """Return the shortest of several runs after one that compiles, in seconds."""
    alone = os.environ["NUMBA_NUM_THREADS"] == "1"
    clock = time.process_time if alone else time.perf_counter
    function()
    times = []
    for _ in range(n_runs):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def crystal(n):
    """Return NaCl with 8 n^3 atoms."""
    from ase.build import bulk

    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (n, n, n)
    atoms.rattle(0.05, seed=1)
    return atoms


def hypers(smearing):
    """Return the arguments of both codes."""
    radial = {"type": "Gto", "max_radial": 5, "radius": 5.0}
    return {
        "density": {"type": "SmearedPowerLaw", "smearing": smearing, "exponent": 1},
        "basis": {"type": "TensorProduct", "max_angular": 4, "radial": radial},
    }


def measure(n, smearing, with_featomic):
    """Measure one size; runs in a process of its own."""
    import resource

    import numpy as np

    from lodekit.descriptors import LodeSphericalExpansion
    from lodekit.structures.batch import StructureBatch

    atoms = crystal(n)
    batch, species = StructureBatch.from_frames([atoms]), np.array([11, 17])
    expansion = LodeSphericalExpansion(**hypers(smearing), accuracy=ACCURACY)
    n_runs = 5 if len(atoms) < 10000 else 2
    result = {"n_atoms": len(atoms)}
    result["forward"] = best_time(lambda: expansion.expand(batch, species), n_runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["memory"] = peak / (1e6 if sys.platform == "linux" else 1e9)
    done = expansion.expand(batch, species)
    adjoint = np.ones_like(done.coefficients)
    result["reverse"] = best_time(lambda: done.reverse(adjoint), 2)
    if len(atoms) <= CHECKED:
        exact = LodeSphericalExpansion(**hypers(smearing), accuracy=1e-9)
        exact.splits.choose = lambda *_: 0.0
        difference = exact.expand(batch, species).values - done.values
        scale = expansion.projections.scale.repeat([1, 3, 5, 7, 9], axis=0)
        result["error"] = float(np.abs(difference / scale[:, None]).max())
    if with_featomic:
        import featomic

        reference = featomic.LodeSphericalExpansion(**hypers(smearing))
        result["featomic"] = best_time(lambda: reference.compute(atoms), 1)
    return result


def run(n, smearing, with_featomic=False, threads=1):
    """Measure one size in a new process."""
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    work = json.dumps([n, smearing, with_featomic])
    command = [sys.executable, __file__, "--worker", work]
    output = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(output.stdout)


def show(row, threads=1):
    """Print one line."""
    n = row["n_atoms"]
    forward, reverse = (1e6 * row[key] / n for key in ("forward", "reverse"))
    text = (
        f"{n:7d} atoms, {threads} threads: {forward:7.1f} µs/atom, reverse pass "
        f"{reverse:7.1f} ({reverse / forward:.1f} times), peak {row['memory']:.2f} GB"
    )
    if "error" in row:
        text += f", error {row['error']:.1e}"
    if "featomic" in row:
        ratio = row["featomic"] / row["forward"]
        text += f", featomic {1e6 * row['featomic'] / n:.0f} µs/atom, {ratio:.1f} times"
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 5, 7, 10, 14, 20])
    parser.add_argument("--featomic", type=int, nargs="*", default=[3, 5])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(*json.loads(arguments.worker))))
        return
    import numpy as np

    for smearing in (1.0, 0.5):
        print(f"smearing {smearing} Å")
        rows = []
        for n in arguments.sizes:
            rows.append(run(n, smearing, n in arguments.featomic))
            show(rows[-1])
        sizes = np.log([row["n_atoms"] for row in rows])
        seconds = np.log([row["forward"] for row in rows])
        if len(rows) > 1:
            slope = np.polyfit(sizes, seconds, 1)[0]
            print(f"slope of log time over log atoms {slope:.3f}")
    print("8,000 atoms, smearing 1 Å")
    for threads in arguments.threads:
        show(run(10, 1.0, threads=threads), threads)


if __name__ == "__main__":
    main()
