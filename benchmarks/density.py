"""Electron densities: errors and times beside those of SALTED.

    python benchmarks/density.py CASE [--data FOLDER] [--json]

salted_water_pyscf: 100 water monomers of the data that go with SALTED, in the folder
salted_water_pyscf of FOLDER; the first 80 are fitted, the last 20 judge.

monomers_600: water_700.npz of ``examples/make_densities.py --n-monomers 700 --n-dimers
60``; the first 600 monomers are fitted, the others judge.

transfer: the same file. Monomers are fitted, then monomers and dimers; monomers, dimers
and eight molecules judge.

response: sodium_responses.npz of ``examples/make_metal_densities.py``. Small clusters
are fitted, larger ones judge, SOAP beside SOAP and LODE.

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
import resource
import sys
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np

from lodekit import read_structures
from lodekit.density import DensitySet, load_basis, read_salted
from lodekit.density.moments import dipoles_of
from lodekit.density.sites import Sites
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    LodeSphericalExpansion,
    SphericalExpansion,
)
from lodekit.models import DipoleModel, ElectronDensityModel, TensorModel
from lodekit.models.density_errors import judge_densities
from lodekit.regression.equivariant_covariance import EquivariantCovariance
from lodekit.structures import get_target
from lodekit.units import BOHR, COULOMB_CONSTANT

ROOT = pathlib.Path(__file__).resolve().parents[1]
REPOSITORY_DATA = ROOT / "examples" / "data"
SODIUM, REPOSITORY_WATER = "sodium_responses.npz", "water_densities.npz"
SLABS = "slab_responses.npz"
#: Atoms of the largest sodium cluster that is fitted.
LARGEST_FITTED = 6
#: Layers of the thickest slabs that are fitted.
MOST_LAYERS = 5
#: Strengths of which the best one for thicker slabs is chosen.
STRENGTHS = [1e-4, 1e-2, 1.0, 1e2, 1e4]
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


def soap(max_angular=6, max_radial=7, width=0.3, cutoff=4.0, smoothing=0.5):
    """The expansion of SALTED's water example: cutoff 4 Å, width 0.3 Å, 8 radial."""
    return SphericalExpansion(
        cutoff={
            "radius": cutoff,
            "smoothing": {"type": "ShiftedCosine", "width": smoothing},
        },
        density={"type": "Gaussian", "width": width},
        basis={
            "type": "TensorProduct",
            "max_angular": max_angular,
            "radial": {"type": "Gto", "max_radial": max_radial},
        },
    )


def lode(max_angular=3, max_radial=2, smearing=1.2, radius=3.0):
    """The potential of all atoms around each of them."""
    return LodeSphericalExpansion(
        density={"type": "SmearedPowerLaw", "smearing": smearing, "exponent": 1},
        basis={
            "type": "TensorProduct",
            "max_angular": max_angular,
            "radial": {"type": "Gto", "max_radial": max_radial, "radius": radius},
        },
    )


def peer_model(n_sparse=100, **arguments):
    """The descriptor settings of SALTED's example; the rest is lodekit's."""
    return ElectronDensityModel(
        EquivariantPowerSpectrum(soap()),
        EquivariantCovariance(zeta=2),
        n_sparse,
        **arguments,
    )


def timed_fit(model, densities):
    """Return the fitted model, seconds on the wall, and of the processor."""
    wall, own = time.perf_counter(), time.process_time()
    model.fit(densities)
    return model, time.perf_counter() - wall, time.process_time() - own


def compile_loops(densities):
    """Fit to a few densities, so that no loop is compiled later."""
    model = ElectronDensityModel(n_sparse=2, n_channels=5, validation_fraction=0.5)
    model.fit(densities.select(range(min(4, len(densities)))))


def fit_and_judge(model, train, test):
    """Return a row of numbers: errors on kept densities, seconds, weights."""
    model, seconds, processor = timed_fit(model, train)
    start = time.perf_counter()
    model.predict(test.frames)
    per_atom = (time.perf_counter() - start) / sum(map(len, test.frames))
    errors = judge_densities(model, test)
    return model, {
        "density_error_percent": errors["density"]["rmse"],
        "seconds": seconds,
        "processor_seconds": processor,
        "predict_ms_per_atom": 1e3 * per_atom,
        "n_weights": model.summary_["rank"],
        "strength": model.summary_["strength"],
        "held_out_percent": model.summary_["held_out_percent"],
        "dipole_rmse": errors["dipole"]["rmse"],
        "hartree_rmse": errors["hartree_energy"]["rmse"],
        "steps": model.summary_["seconds"],
    }


def peak_gb():
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def find_densities(folder, names, smaller, source):
    """Return densities, and a note where they are not the first ones asked for.

    Parameters
    ----------
    folder : pathlib.Path
    names : list of str
        Files, of which the first one that is there is read.
    smaller : str
        File of the repository that takes their place.
    source : str
        Where the first file comes from.
    """
    found = [folder / name for name in names if (folder / name).exists()]
    if found and found[0].name == names[0]:
        return DensitySet.load(found[0]), None
    file = found[0] if found else REPOSITORY_DATA / smaller
    return DensitySet.load(file), missing(folder / names[0], source, file)


def missing(path, source, file):
    """Return the note on a file that is not there."""
    return f"there is no {path} ({source}); this is a smaller run on {file.name}"


def read_salted_water(folder):
    """Return densities to fit and to judge by, and a note."""
    own = folder / "salted_water_pyscf"
    own = own if own.is_dir() else folder
    structures, coefficients = own / "water_monomers_100.xyz", own / "coefficients.npy"
    if structures.exists() and coefficients.exists():
        frames = read_structures(structures)
        basis = load_basis("cc-pvqz-jkfit", [1, 8])
        densities = read_salted(coefficients, frames, basis)
        return densities.select(range(80)), densities.select(range(80, 100)), None
    densities, places, _ = read_water(REPOSITORY_DATA)
    train, test = (densities.select(own) for own in split(places["monomer"], 80))
    file = coefficients if structures.exists() else structures
    source = "from the data sets that SALTED publishes, folder water_monomers"
    return train, test, missing(file, source, REPOSITORY_DATA / REPOSITORY_WATER)


def salted_water_pyscf(folder):
    """80 water monomers in cc-pvqz-jkfit: 208 functions for each."""
    train, test, note = read_salted_water(folder)
    compile_loops(train)
    rows = {}
    _, rows["peer's descriptor settings"] = fit_and_judge(peer_model(), train, test)
    memory = peak_gb()
    _, rows["best of cross-validation"] = fit_and_judge(best_model(), train, test)
    first = rows["peer's descriptor settings"]
    sizes = {"n_train": len(train), "n_test": len(test), "note": note}
    return {**first, "peak_gb": memory, **sizes, "rows": rows}


def best_model():
    """The settings of the least error of cross-validation on the 80 monomers.

    Tried: widths of 0.25, 0.3 and 0.4 Å, cutoffs of 3 and 4 Å, max_angular 4 and 6, 6
    and 8 radial functions, zeta 2 and 3, 250 and 500 channels, 100 and 160 points.
    """
    return ElectronDensityModel(
        EquivariantPowerSpectrum(soap(width=0.25)), EquivariantCovariance(2), 100
    )


def read_water(folder):
    """Return densities, the places of monomers, dimers and the octamer, and a note."""
    densities, note = find_densities(
        folder,
        ["water_700.npz", "water_600.npz", REPOSITORY_WATER],
        REPOSITORY_WATER,
        "made by: python examples/make_densities.py --n-monomers 700 --n-dimers 60 "
        "--output water_700.npz",
    )
    groups = [atoms.info["group"] for atoms in densities.frames]
    places = {
        name: [i for i, own in enumerate(groups) if own == name]
        for name in ("monomer", "dimer", "octamer")
    }
    return densities, places, note


def split(places, n_train):
    """Return places to fit and to judge by; a fifth judges where there are few."""
    if len(places) <= n_train:
        n_train = 4 * len(places) // 5
    return places[:n_train], places[n_train:]


def pack(molecules):
    """Return 64 molecules on a grid, 3.1 Å apart, as one structure."""
    cluster = molecules[0][:0]
    for molecule, place in zip(molecules, np.ndindex(4, 4, 4), strict=False):
        moved = molecule.copy()
        moved.positions += 3.1 * np.array(place) - molecule.positions[0]
        cluster += moved
    return cluster


def monomers_600(folder):
    """Water monomers in def2-universal-jfit: 71 functions for each."""
    densities, places, note = read_water(folder)
    train, test = split(places["monomer"], 600)
    compile_loops(densities)
    model, row = fit_and_judge(
        peer_model(n_sparse=200), densities.select(train), densities.select(test)
    )
    cluster = pack([densities.frames[i] for i in train[:64]])
    start = time.perf_counter()
    model.predict(cluster)
    row["predict_cluster_ms_per_atom"] = (
        1e3 * (time.perf_counter() - start) / len(cluster)
    )
    sizes = {"n_train": len(train), "n_test": len(test), "note": note}
    return {**row, "peak_gb": peak_gb(), **sizes}


def transfer(folder):
    """Models of monomers, and of monomers and dimers, on monomers, dimers and eight."""
    densities, places, note = read_water(folder)
    monomers, few = split(places["monomer"], 600)
    dimers, kept = split(places["dimer"], 48)
    compile_loops(densities)
    rows = {}
    fits = {"monomers": monomers[:200], "monomers and dimers": monomers[:200] + dimers}
    for name, train in fits.items():
        model, seconds, _ = timed_fit(peer_model(n_sparse=200), densities.select(train))
        rows[name] = {"n_train": len(train), "seconds": seconds}
        tests = {"monomers": few, "dimers": kept, "octamer": places["octamer"]}
        for group, test in tests.items():
            errors = judge_densities(model, densities.select(test))
            rows[name][group] = {key: own["rmse"] for key, own in errors.items()}
    last = rows["monomers and dimers"]
    return {
        "density_error_percent": last["octamer"]["density"],
        "seconds": last["seconds"],
        "peak_gb": peak_gb(),
        "note": note,
        "rows": rows,
    }


def metal_cases(density):
    """Return terms and powers of SOAP, of LODE, and of both together."""
    local, far = EquivariantPowerSpectrum(density), EquivariantPowerSpectrum(lode())
    return {
        "SOAP": ([local], [2]),
        "LODE, linear": ([far], [1]),
        "LODE, linear and squared": ([far, far], [1, 2]),
        "SOAP and LODE, all linear": ([local, far], [1, 1]),
        "SOAP and LODE": ([local, far, far], [2, 1, 2]),
    }


def fit_responses(terms, powers, train, **arguments):
    """Return the fitted model, and seconds."""
    covariances = [EquivariantCovariance(power) for power in powers]
    model = ElectronDensityModel(
        terms, covariances, 40, target="response", n_channels=80, **arguments
    )
    return timed_fit(model, train)[:2]


def strength_for_thicker(terms, powers, densities, layers):
    """Return the strength that is best for the thickest slabs of the training set.

    Slabs that are left out at random say how well a model interpolates, which takes
    hardly any regularisation; thicker ones say how well it extrapolates.
    """
    thinner = densities.select(np.flatnonzero(layers < MOST_LAYERS))
    thickest = densities.select(np.flatnonzero(layers == MOST_LAYERS))
    errors = {}
    for strength in STRENGTHS:
        arguments = {"strength": strength, "validation_fraction": 0.0}
        model, _ = fit_responses(terms, powers, thinner, **arguments)
        errors[strength] = model.density_error(thickest)
    return min(errors, key=errors.get)


def response(folder):
    """Changes of the density of sodium clusters in a field: small fit, large judge."""
    densities, note = find_densities(
        folder,
        [SODIUM],
        SODIUM,
        "made by: python examples/make_metal_densities.py --output FOLDER",
    )
    sizes = np.array([len(atoms) for atoms in densities.frames])
    train = densities.select(np.flatnonzero(sizes <= LARGEST_FITTED))
    density = soap(max_angular=3, max_radial=4, width=0.7, cutoff=6.0, smoothing=1.0)
    rows = {}
    for name, (terms, powers) in metal_cases(density).items():
        model, seconds = fit_responses(terms, powers, train)
        rows[name] = {"seconds": seconds, "n_weights": model.summary_["rank"]}
        for size in np.unique(sizes):
            own = densities.select(np.flatnonzero(sizes == size))
            errors = judge_densities(model, own)
            alpha = np.mean(
                [
                    np.trace(np.reshape(atoms.info["polarizability"], (3, 3))) / 3.0
                    for atoms in own.frames
                ]
            )
            rows[name][f"Na{size}"] = {
                "n": len(own),
                "response_percent": errors["response"]["rmse"],
                "polarizability_percent": 100.0
                * errors["polarizability"]["rmse"]
                / alpha,
            }
    best, largest = rows["LODE, linear and squared"], f"Na{sizes.max()}"
    return {
        "density_error_percent": best[largest]["response_percent"],
        "seconds": best["seconds"],
        "peak_gb": peak_gb(),
        "note": note,
        "rows": rows,
    }


def slabs(folder):
    """Changes of the density of slabs in a field along their normal."""
    densities, note = find_densities(
        folder,
        [SLABS],
        SLABS,
        "made by: python examples/make_slab_densities.py --output FOLDER",
    )
    layers = np.array([len(atoms) for atoms in densities.frames])
    train = densities.select(np.flatnonzero(layers <= MOST_LAYERS))
    density = soap(max_angular=3, max_radial=4, width=0.7, cutoff=6.0, smoothing=1.0)
    rows = {}
    for name, (terms, powers) in metal_cases(density).items():
        strength = strength_for_thicker(terms, powers, densities, layers)
        model, seconds = fit_responses(
            terms, powers, train, strength=strength, validation_fraction=0.0
        )
        rows[name] = {"seconds": seconds, "n_weights": model.summary_["rank"]}
        rows[name]["strength"] = strength
        for number in np.unique(layers):
            own = densities.select(np.flatnonzero(layers == number))
            found = moments_along_normal(own, model.predict(own.frames))
            wanted = moments_along_normal(own, own.responses)
            rows[name][f"{number} layers"] = {
                "n": len(own),
                "response_percent": model.density_error(own),
                "polarizability_percent": 100.0
                * float(np.sqrt(np.mean((found - wanted) ** 2)) / wanted.mean()),
            }
    best, thickest = rows["LODE, linear and squared"], f"{layers.max()} layers"
    return {
        "density_error_percent": best[thickest]["response_percent"],
        "seconds": best["seconds"],
        "peak_gb": peak_gb(),
        "note": note,
        "rows": rows,
    }


def moments_along_normal(densities, responses):
    """Return the polarizabilities of slabs along z, in Å³ for a cell."""
    values = []
    for atoms, response in zip(densities.frames, responses, strict=True):
        heights = dipoles_of(Sites.of_atoms(atoms, densities.basis))[:, 2]
        values.append(-COULOMB_CONSTANT * heights @ response[:, 2])
    return np.array(values)


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
        transfer,
        response,
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
