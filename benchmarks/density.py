"""Electron densities: errors and times beside those of SALTED.

    python benchmarks/density.py CASE [--data FOLDER] [--json]

salted_water_pyscf: 100 water monomers of the data that go with SALTED, in the folder
salted_water_pyscf of FOLDER; the first 80 are fitted, the last 20 judge.

monomers_600: water_700.npz of ``examples/make_densities.py --n-monomers 700 --n-dimers
60``; the first 600 monomers are fitted, the others judge.

prediction: times of predictions of one molecule, two, and 64 at once, by a model that
is fitted to the same 80 monomers as in salted_water_pyscf.

transfer: the same file as monomers_600. Monomers are fitted, then monomers and dimers;
monomers, dimers and eight molecules judge.

response: sodium_responses.npz of ``examples/make_metal_densities.py``. Small clusters
are fitted, larger ones judge, SOAP beside SOAP and LODE.

point_charges: water_point_charges.npz and sodium_point_charges.npz of
``examples/make_point_charges.py``. Charges at other places judge, and larger clusters.

slabs: slab_responses.npz of ``examples/make_slab_densities.py``. Thin slabs of
aluminium are fitted, thick ones judge, SOAP beside LODE.

qm7b: dipoles and polarizabilities of the 1,010 molecules of qm7b_dipole_pol in FOLDER,
by `DipoleModel` and `TensorModel`, five parts of which each judges once; with
``--folds 1`` one of them.

features: equivariant features of a box of water, and those of featomic where it is
installed.

FOLDER is ``examples/data`` where it is left out. A case whose file is not in FOLDER
runs on the few densities of the repository instead, and says so, with the command that
makes the file, in ``note``. Errors are in the overlap norm, in % of that of the
deviation from atoms with mean coefficients, as SALTED prints them. Seconds are those of
the whole fit, metrics and features included, when loops are compiled; set
OMP_NUM_THREADS and NUMBA_NUM_THREADS to 1 for those of one core. ``--json`` prints one
object.
"""

import argparse
import json
import pathlib
import sys
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from density_charges import point_charges
from density_metals import response, slabs
from density_runs import REPOSITORY_DATA, peak_gb
from density_water import monomers_600, prediction, salted_water_pyscf, transfer

from lodekit import read_structures
from lodekit.descriptors import EquivariantPowerSpectrum, SphericalExpansion
from lodekit.models import DipoleModel, TensorModel
from lodekit.structures import get_target
from lodekit.units import BOHR

DEBYE = 0.20819434  # e·Å
#: SALTED 3.0 on the same files and one core of another machine.
SALTED = {
    "salted_water_pyscf": {
        "density_error_percent": 0.395,
        "default_regularisation_percent": 1.105,
        "seconds": 56.0,
    },
    "monomers_600": {"density_error_percent": 0.255, "seconds": 227.0},
}


def qm7b(folder, n_folds=5):
    """Dipoles and polarizabilities of molecules of up to seven heavy atoms."""
    file = folder / "qm7b_dipole_pol" / "train.xyz"
    if not file.exists():
        raise SystemExit(
            f"there is no {file}: train.xyz of the example of dipoles and "
            "polarizabilities in GPUMD-Tutorials"
        )
    frames = read_structures(file)
    part_of = np.random.default_rng(0).permutation(len(frames)) % max(n_folds, 5)
    models = {
        "dipole": (DipoleModel, DEBYE),
        "polarizability": (TensorModel, BOHR**3),
    }
    rows = {}
    for target, (kind, unit) in models.items():
        squares, seconds = [], 0.0
        for part in range(n_folds):
            train = [a for a, own in zip(frames, part_of, strict=True) if own != part]
            test = [a for a, own in zip(frames, part_of, strict=True) if own == part]
            start = time.process_time()
            model = kind(targets=[target]).fit(train)
            seconds += time.process_time() - start
            for atoms, result in zip(test, model.compute(test, [target]), strict=True):
                wanted = np.ravel(get_target(atoms, target))
                squares.append(np.mean((np.ravel(result[target]) - wanted) ** 2))
            error = float(np.sqrt(np.mean(squares))) / unit
            print(f"{target}, {part + 1} of {n_folds}: {error:.4f}", file=sys.stderr)
        rows[target] = {"rmse": error, "processor_seconds_a_fit": seconds / n_folds}
    return {
        "density_error_percent": None,
        "seconds": sum(row["processor_seconds_a_fit"] for row in rows.values()),
        "peak_gb": peak_gb(),
        "n_train": len(train),
        "dipole_debye": rows["dipole"]["rmse"],
        "polarizability_bohr3": rows["polarizability"]["rmse"],
        "rows": rows,
    }


def features(folder):
    """Equivariant features up to lambda = 4 of a box of 64 water molecules."""
    from equivariants import best_time, density, evaluate_all, water_box

    from lodekit.structures.batch import StructureBatch

    box, hypers = water_box(64), density(4, 5)
    ours = EquivariantPowerSpectrum(SphericalExpansion(**hypers), max_lambda=4)
    batch = StructureBatch.from_frames([box])
    own = 1e-3 * best_time(lambda: evaluate_all(ours, batch), 10)
    answer = {"density_error_percent": None, "seconds": own, "peak_gb": peak_gb()}
    try:
        import featomic
        from featomic.clebsch_gordan import EquivariantPowerSpectrum as Theirs
        from metatensor import Labels
    except ImportError:
        return answer
    theirs = Theirs(featomic.SphericalExpansion(**hypers))
    wanted = Labels(["o3_lambda"], np.arange(5)[:, None])
    other = 1e-3 * best_time(lambda: theirs.compute(box, selected_keys=wanted), 2)
    return {**answer, "featomic_seconds": other, "ratio": other / own}


CASES = {
    function.__name__: function
    for function in (
        salted_water_pyscf,
        monomers_600,
        prediction,
        transfer,
        response,
        point_charges,
        slabs,
        qm7b,
        features,
    )
}


def show(value, indent=""):
    """Print numbers, one in a line."""
    for key, own in value.items():
        if isinstance(own, dict):
            print(f"{indent}{key}")
            show(own, f"{indent}    ")
        elif isinstance(own, str):
            print(f"{indent}{key:28s} {own}")
        elif own is not None:
            print(f"{indent}{key:28s} {own:.5g}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("--data", type=pathlib.Path, default=REPOSITORY_DATA)
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument(
        "--folds", type=int, default=5, help="parts of qm7b that judge [5]"
    )
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"--data: there is no folder {arguments.data}")
    more = {"n_folds": arguments.folds} if arguments.case == "qm7b" else {}
    answer = {"case": arguments.case, **CASES[arguments.case](arguments.data, **more)}
    if answer.get("note") is None:
        answer.pop("note", None)
    if arguments.case in SALTED and "note" not in answer:
        answer["salted"] = SALTED[arguments.case]
    if arguments.json:
        print(json.dumps(answer))
    else:
        print(answer.pop("case"))
        show(answer)


if __name__ == "__main__":
    main()
