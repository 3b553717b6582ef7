"""Time Coulomb sums of lodekit, torch-pme and LAMMPS at equal measured errors.

    python benchmarks/coulomb.py [--threads 1] [--sizes 5 10 20] [--peers torch-pme]

Energy, forces and stress of rattled NaCl (8 n^3 ions), in one run. Errors of forces are
measured against a converged sum, relative to their root mean square. Every code gets
the fastest settings that reach a target on 1,000 ions: lodekit its one argument, the
others a grid of cutoffs, meshes and orders; of each list of settings, from loose to
tight, the first that is exact enough is timed. lodekit's time is everything, pairs and
set-up; those of the others are shown without and with the search for pairs.

torch-pme needs torch, torch-pme and vesin, LAMMPS its programs lmp and, for several
threads, mpiexec; what is not installed is left out.
"""

import argparse
import os

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from coulomb_peers import Lammps, Measurement, TorchPme, best_of

TARGETS = (1e-3, 1e-4, 1e-6)
#: Ions of n = 5 choose the settings; meshes of n = 10 and 20 have the same spacing.
TUNED_ON = 5
PEERS = {peer.name: peer for peer in (TorchPme, Lammps)}


class Lodekit:
    """The one setting of lodekit."""

    name = "lodekit"

    def ladders(self, target):
        """Return one list of accuracies."""
        return [[float(f"{30.0 * target * 0.56**step:.2g}") for step in range(20)]]

    def measure(self, accuracy, structure, repeats):
        """Return a `Measurement`."""
        seconds, result = best_of(lambda: run_lodekit(*structure, accuracy), repeats)
        return Measurement(
            seconds, seconds, result.energy, result.forces, result.strain_gradient
        )


def run_lodekit(positions, cell, charges, accuracy):
    """Return energy, forces and strain gradient from nothing but the structure."""
    from lodekit.electrostatics import CoulombInteraction

    return CoulombInteraction(positions, cell, True, accuracy=accuracy).compute(charges)


def crystal(n):
    """Return positions, cell and charges of 8 n^3 rattled ions."""
    from ase.build import bulk

    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (n, n, n)
    atoms.rattle(0.2, seed=1)
    charges = np.where(atoms.numbers == 11, 1.0, -1.0)
    return atoms.positions, atoms.cell[:], charges


def relative_error(forces, expected):
    """Return the root mean square error over the root mean square force."""
    return np.sqrt(np.mean((forces - expected) ** 2) / np.mean(expected**2))


def fastest_settings(code, target, structure, expected):
    """Return the settings with the shortest time among those that are exact enough."""
    best = np.inf, None
    for ladder in code.ladders(target):
        for settings in ladder:
            measured = code.measure(settings, structure, 2)
            # other sizes have other errors
            if relative_error(measured.forces, expected) <= 0.7 * target:
                best = min(best, (measured.seconds, settings), key=lambda one: one[0])
                break
    if best[1] is None:
        raise RuntimeError(f"no setting of {code.name} has an error of {target:g}")
    return best[1]


def available(names, threads):
    """Return the codes that can be run, and say which cannot."""
    codes = []
    for name in names:
        try:
            codes.append(PEERS[name](threads))
        except ImportError as problem:
            print(f"{name} is left out: {problem}")
    return codes


def line_of(code, measured, exact, own):
    """Return what there is to say about a measurement, with ratios to lodekit's."""
    parts = [f"{code.name:>12s} {1e3 * measured.seconds:9.1f} ms"]
    if measured is not own:
        parts.append(f"{measured.seconds / own.seconds:6.2f} x")
        parts.append(f"with pairs {1e3 * measured.seconds_with_pairs:9.1f} ms")
        parts.append(f"{measured.seconds_with_pairs / own.seconds:6.2f} x")
    strain = exact.strain_gradient
    errors = (
        relative_error(measured.forces, exact.forces),
        abs(measured.energy / exact.energy - 1.0),
        np.abs(measured.strain_gradient - strain).max() / np.abs(strain).max(),
    )
    names = ("forces", "energy", "stress")
    shown = ", ".join(f"{n} {e:.1e}" for n, e in zip(names, errors, strict=True))
    return "  ".join([*parts, f"({shown})"])


def main():
    """Print times, ratios and errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--targets", type=float, nargs="+", default=TARGETS)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    codes = [Lodekit(), *available(options.peers, options.threads)]
    exact = {n: run_lodekit(*crystal(n), 1e-9) for n in {TUNED_ON, *options.sizes}}
    for target in options.targets:
        print(f"force error {target:g}")
        chosen = {}
        for code in codes:
            chosen[code.name] = fastest_settings(
                code, target, crystal(TUNED_ON), exact[TUNED_ON].forces
            )
            print(f"  {code.name}: {chosen[code.name]}", flush=True)
        for n in options.sizes:
            print(f"  {8 * n**3} ions")
            own = None
            for code in codes:
                measured = code.measure(chosen[code.name], crystal(n), options.repeats)
                own = own or measured
                print(f"    {line_of(code, measured, exact[n], own)}", flush=True)


if __name__ == "__main__":
    main()
