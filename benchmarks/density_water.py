"""Densities of water: cases of ``density.py``."""

import time

import numpy as np
from density_runs import (
    REPOSITORY_DATA,
    compile_loops,
    find_densities,
    fit_and_judge,
    missing,
    peak_gb,
    peer_model,
    soap,
    timed_fit,
)

from lodekit import read_structures
from lodekit.density import load_basis, read_salted
from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.models import ElectronDensityModel
from lodekit.models.density_errors import judge_densities
from lodekit.regression.equivariant_covariance import EquivariantCovariance

REPOSITORY_WATER = "water_densities.npz"


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


def prediction(folder):
    """Times of predictions, in ms an atom, of models with SALTED's settings."""
    train, test, note = read_salted_water(folder)
    model, _, _ = timed_fit(peer_model(), train)
    pair = test.frames[0] + test.frames[1]
    pair.positions[3:] += [0.0, 0.0, 3.0]
    structures = {
        "monomer": test.frames[0],
        "dimer": pair,
        "cluster of 64": pack(train.frames[:64]),
    }
    rows = {}
    for name, atoms in structures.items():
        model.predict(atoms)  # loops are compiled
        times = []
        for _ in range(5):
            start = time.process_time()
            model.predict(atoms)
            times.append(time.process_time() - start)
        rows[name] = {"ms_per_atom": 1e3 * min(times) / len(atoms)}
    return {
        "density_error_percent": None,
        "seconds": 1e-3 * 192 * rows["cluster of 64"]["ms_per_atom"],
        "peak_gb": peak_gb(),
        "note": note,
        "rows": rows,
    }
