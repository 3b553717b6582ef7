"""Errors and standard deviations that a fit prints, beside those on unseen groups.

    python benchmarks/left_out_errors.py [CASE ...] --data FOLDER [--json]

For every case a model is fitted with its defaults; what it says of groups of like
frames left out stands beside its errors on frames of other groups, and the share of
these errors within one and two standard deviations (68 and 95 % would be right). The
data are not in the repository (their licences differ); they are looked for in
``../shared/data``.
"""

import argparse
import json
import pathlib
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np

from lodekit import read_structures
from lodekit.fitting.groups import find_groups
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    LatentChargeModel,
    SparsePotential,
)
from lodekit.structures import get_target

ROOT = pathlib.Path(__file__).resolve().parents[1]


def other_groups(path, every=5, first=None):
    """Every fifth group of a file is kept; the fit gets at most ``first`` frames."""

    def split(folder):
        frames = read_structures(folder / path)
        groups = find_groups(frames)
        train = [a for a, g in zip(frames, groups, strict=True) if g % every]
        kept = [a for a, g in zip(frames, groups, strict=True) if g % every == 0]
        return train[:first], kept

    return split


def two_files(train, kept, step=1):
    """Train on one file, judge by every ``step``-th frame of another."""

    def split(folder):
        return read_structures(folder / train), read_structures(folder / kept)[::step]

    return split


def first_and_rest(path, n_train):
    """Train on the first frames, judge by the others."""

    def split(folder):
        frames = read_structures(folder / path)
        return frames[:n_train], frames[n_train:]

    return split


def with_a_bad_frame(path, step):
    """Every sixth frame of sodium chloride in water, one of which is wrong."""

    def split(folder):
        frames = read_structures(folder / path)
        return frames[::step], frames[step // 2 :: 2 * step]

    return split


ENERGIES = ["energy", "forces"]
QM9 = "kqeq_qm9_dipoles"
CASES = {
    "qm9_farthest": (
        two_files(f"{QM9}/train_farthest.xyz", f"{QM9}/val.xyz", 3),
        [DipoleModel(), ChargeEquilibrationModel(targets=["dipole"])],
    ),
    "qm9_random": (
        two_files(f"{QM9}/train_random.xyz", f"{QM9}/val.xyz", 3),
        [DipoleModel()],
    ),
    "carbon_chain": (
        first_and_rest("carbon_chain/train.xyz", 40),
        [
            *(SparsePotential(random_state=seed) for seed in range(4)),
            LatentChargeModel(),
            ChargeModel(targets=["charges"]),
            ChargeEquilibrationModel(targets=["charges", *ENERGIES]),
        ],
    ),
    "kqeq_ions": (
        other_groups("kqeq_ions/train.xyz"),
        [
            ChargeModel(targets=["charges"]),
            ChargeEquilibrationModel(targets=["charges"]),
            DipoleModel(),
        ],
    ),
    "nacl_clusters": (
        other_groups("qeqml_nacl_clusters/train.xyz"),
        [SparsePotential(), ChargeModel(targets=["charges"])],
    ),
    "batio3": (
        other_groups("allegro_pol/batio3_train.xyz"),
        [SparsePotential(targets=ENERGIES)],
    ),
    "nacl_water": (
        with_a_bad_frame("nacl_water/train.xyz", 6),
        [SparsePotential(targets=ENERGIES)],
    ),
    "lode_dimers": (
        other_groups("lode_dimers/train.xyz", 6),
        [SparsePotential(targets=ENERGIES)],
    ),
    "spice_dipeptides": (
        other_groups("spice_dipeptides/train.xyz", 5, 100),
        [SparsePotential(targets=ENERGIES), DipoleModel()],
    ),
}


def judge(model, frames):
    """Return by target the RMSE, and the shares within one and two deviations."""
    results = {}
    for name in model.noises_:
        std = f"{name}_std"
        if name not in model.properties or get_target(frames[0], name) is None:
            continue
        names = [name, *([std] if std in model.properties else [])]
        errors, ratios = [], []
        for atoms, own in zip(frames, model.compute(frames, names), strict=True):
            scale = len(atoms) if name == "energy" else 1
            error = np.ravel(own[name] - get_target(atoms, name)) / scale
            errors.append(error)
            if std in own:
                ratios.append(np.abs(error) / (np.ravel(own[std]) / scale))
        squares = np.concatenate(errors) ** 2
        results[name] = {"unseen": float(np.sqrt(squares.mean()))}
        if ratios:
            shares = [np.mean(np.concatenate(ratios) < n) for n in (1.0, 2.0)]
            results[name]["within"] = [round(100 * float(s)) for s in shares]
        if name in model.held_out_errors_:
            results[name]["printed"] = model.held_out_errors_[name]
    return results


def describe(model):
    """Return the class of a model and what differs from its defaults."""
    words = [
        str(value)
        for name, value in model.get_params(deep=False).items()
        if name in ("targets", "random_state") and value
    ]
    return " ".join([type(model).__name__, *words])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=[])
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    lines = []
    for case in arguments.cases or CASES:
        split, models = CASES[case]
        train, kept = split(arguments.data)
        for model in models:
            start = time.perf_counter()
            model.fit(train)
            seconds = time.perf_counter() - start
            record = {"case": case, "model": describe(model), "n_train": len(train)}
            record |= {"seconds": round(seconds, 1), **judge(model, kept)}
            record["outliers"] = len(model.summary_["outliers"])
            lines.append(record)
            if not arguments.json:
                show(record)
    if arguments.json:
        print(json.dumps(lines))


def show(record):
    """Print one model."""
    print(
        f"{record['case']}, {record['n_train']} frames, {record['model']}, "
        f"{record['seconds']:.0f} s, {record['outliers']} frames with a noise of "
        "their own"
    )
    for name, numbers in record.items():
        if isinstance(numbers, dict):
            printed = numbers.get("printed")
            within = "/".join(str(share) for share in numbers.get("within", ()))
            print(
                f"    {name:10s} unseen {numbers['unseen']:.4g}, printed "
                f"{'-' if printed is None else format(printed, '.4g')}, within one and "
                f"two deviations {within or '-'} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
