"""Time SOAP and LODE features of lodekit and of others, side by side in one run.

    python benchmarks/descriptors.py [--threads 1]

Rattled NaCl: the SOAP power spectrum (cutoff 5 Å, max_radial 7, max_angular 6, width
0.3 Å), values of 1,000 atoms and values with gradients, and LODE coefficients (smearing
1 Å, l <= 4, 6 radial functions). lodekit gives gradients by a reverse pass, the others
as a Jacobian, timed on fewer atoms and per atom. Then the largest memory of lodekit and
featomic, each in a process of its own. featomic is needed; DScribe (Gaussian-type
orbitals; it has no analytic gradients of periodic structures) and quippy (its own
radial basis) are timed where they are installed.
"""

import argparse
import os
import subprocess
import sys
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np

SPECIES = np.array([11, 17])
SOAP = {
    "cutoff": {"radius": 5.0, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
    "density": {"type": "Gaussian", "width": 0.3},
    "basis": {
        "type": "TensorProduct",
        "max_angular": 6,
        "radial": {"type": "Gto", "max_radial": 7},
    },
}
LODE = {
    "density": {"type": "SmearedPowerLaw", "smearing": 1.0, "exponent": 1},
    "basis": {
        "type": "TensorProduct",
        "max_angular": 4,
        "radial": {"type": "Gto", "max_radial": 5, "radius": 5.0},
    },
}
QUIPPY = (
    "soap cutoff=5.0 cutoff_transition_width=0.5 n_max=8 l_max=6 atom_sigma=0.3 "
    "n_Z=2 Z={11 17} n_species=2 species_Z={11 17}"
)


def crystal(n):
    """Return rattled NaCl of 8 n^3 atoms."""
    from ase.build import bulk

    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (n, n, n)
    atoms.rattle(0.05, seed=1)
    return atoms


def lodekit_soap(n, gradients):
    from lodekit.descriptors import PowerSpectrum, SphericalExpansion
    from lodekit.structures.batch import StructureBatch

    descriptor = PowerSpectrum(SphericalExpansion(**SOAP))
    batch = StructureBatch.from_frames([crystal(n)])
    if not gradients:
        return lambda: descriptor.evaluate(batch, SPECIES)
    adjoint = np.ones((batch.n_atoms, descriptor.n_features(SPECIES)))
    return lambda: descriptor.evaluate(batch, SPECIES).reverse(adjoint)


def lodekit_lode(n, gradients):
    from lodekit.descriptors import LodeSphericalExpansion
    from lodekit.structures.batch import StructureBatch

    expansion = LodeSphericalExpansion(**LODE, accuracy=1e-5)
    batch = StructureBatch.from_frames([crystal(n)])
    if not gradients:
        return lambda: expansion.expand(batch, SPECIES)
    adjoint = np.ones_like(expansion.expand(batch, SPECIES).coefficients)
    return lambda: expansion.expand(batch, SPECIES).reverse(adjoint)


def featomic_soap(n, gradients):
    import featomic

    return featomic_run(featomic.SoapPowerSpectrum(**SOAP), n, gradients)


def featomic_lode(n, gradients):
    import featomic

    return featomic_run(featomic.LodeSphericalExpansion(**LODE), n, gradients)


def featomic_run(calculator, n, gradients):
    atoms = crystal(n)
    names = ["positions"] if gradients else []
    return lambda: calculator.compute(atoms, gradients=names)


def dscribe_soap(n, gradients):
    from dscribe.descriptors import SOAP as DScribeSoap

    soap = DScribeSoap(
        species=[11, 17],
        r_cut=5.0,
        n_max=8,
        l_max=6,
        sigma=0.3,
        rbf="gto",
        periodic=True,
    )
    atoms = crystal(n)
    return lambda: soap.create(atoms)


def quippy_soap(n, gradients):
    from quippy.descriptors import Descriptor

    descriptor, atoms = Descriptor(QUIPPY), crystal(n)
    return lambda: descriptor.calc(atoms, grad=gradients)


#: Title, gradients, and for each code how to run it, repeats of NaCl, number of runs.
CASES = [
    (
        "SOAP values",
        False,
        [(lodekit_soap, 5, 30), (featomic_soap, 5, 5), (dscribe_soap, 5, 3)]
        + [(quippy_soap, 3, 2)],
    ),
    (
        "SOAP with gradients",
        True,
        [(lodekit_soap, 5, 20), (featomic_soap, 2, 3), (quippy_soap, 2, 1)],
    ),
    ("LODE values", False, [(lodekit_lode, 3, 10), (featomic_lode, 3, 1)]),
    ("LODE values", False, [(lodekit_lode, 5, 5), (featomic_lode, 5, 1)]),
    ("LODE with gradients", True, [(lodekit_lode, 3, 10), (featomic_lode, 3, 0)]),
    ("LODE with gradients", True, [(lodekit_lode, 5, 5)]),
]
#: The same for memory.
MEMORY = [
    ("SOAP values", False, [(lodekit_soap, 5), (featomic_soap, 5)]),
    ("SOAP with gradients", True, [(lodekit_soap, 5), (featomic_soap, 5)]),
    ("LODE values", False, [(lodekit_lode, 3), (featomic_lode, 3)]),
]


def best_time(function, n_runs):
    """Return the shortest of several runs after one that compiles, in seconds.

    With no runs, the first one counts: for what is compiled already and takes long.
    """
    if n_runs:
        function()
    times = []
    for _ in range(max(1, n_runs)):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def show_times():
    for title, gradients, runs in CASES:
        first = None
        for make, n, n_runs in runs:
            code = make.__name__.partition("_")[0]
            try:
                function = make(n, gradients)
            except ImportError:
                if code == "lodekit":
                    raise
                print(f"{title:22s} {code:10s} is not installed")
                continue
            atom = 1e6 * best_time(function, n_runs) / (8 * n**3)
            first = first or atom
            print(
                f"{title:22s} {code:10s} {8 * n**3:5d} atoms {atom:9.1f} µs/atom  "
                f"ratio {atom / first:6.1f}",
                flush=True,
            )


def peak_memory(function):
    """Return by how much a call raises the largest memory of this process, in MB."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before = resident("VmRSS")
    result = function()
    peak = resident("VmHWM") - before
    del result
    return peak


def resident(key):
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = [line for line in file if line.startswith(key)]
    return int(line.split()[1]) / 1024


def show_memory():
    for title, gradients, runs in MEMORY:
        first = None
        for make, n in runs:
            code = make.__name__.partition("_")[0]
            command = [sys.executable, __file__, "--memory-of", make.__name__]
            command += [str(n), str(int(gradients))]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            peak = float(run.stdout)
            first = first or peak
            print(
                f"{title:22s} {code:10s} {8 * n**3:5d} atoms {peak:9.1f} MB  "
                f"ratio {peak / first:6.1f}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        name, n, gradients = arguments.memory_of
        globals()[name](1, bool(int(gradients)))()  # compiles
        print(peak_memory(globals()[name](int(n), bool(int(gradients)))))
        return
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    print(f"threads: {arguments.threads}")
    show_times()
    if sys.platform == "linux":
        show_memory()


if __name__ == "__main__":
    main()
