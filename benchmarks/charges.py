"""Charges, dipoles and quadrupoles on real data that took no part in the fit.

    python benchmarks/charges.py [SET ...] [--data FOLDER]

Every line is one model on one set: what was fitted, the errors on kept frames and the
seconds of the fit, features included. Charges are RMSE in me, dipoles and quadrupoles
mean absolute errors of the components in e·Å and e·Å² and of the dipole's length in D,
energies and forces RMSE in meV/atom and meV/Å. The data are not in the repository
(their licences differ); see `benchmarks/accuracy.py`.
"""

import argparse
import pathlib
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from charge_cases import CASES, PEERS, ROOT

from lodekit.observables.charges import reference
from lodekit.structures import get_target
from lodekit.units import DEBYE

MOMENTS = ("charges", "dipole", "quadrupole")


def add_errors(errors, model, kept):
    """Append the errors on kept frames, by quantity."""
    names = [n for n in MOMENTS if get_target(kept[0], n) is not None]
    if getattr(model, "potential_", None) is not None:
        energies = ("energy", "forces")
        names += [n for n in energies if get_target(kept[0], n) is not None]
    for atoms, result in zip(kept, model.compute(kept, names), strict=True):
        for name in names:
            if name == "quadrupole":
                expected = reference(atoms, name)
            else:
                expected = get_target(atoms, name)
            error = np.ravel(result[name] - expected)
            if name == "energy":
                error = error / len(atoms)
            if name == "dipole":
                lengths = np.linalg.norm(result[name]), np.linalg.norm(expected)
                errors.setdefault("length", []).append([lengths[0] - lengths[1]])
            errors.setdefault(name, []).append(error)


def describe(errors):
    """Return the errors as text."""
    parts = []
    for name, values in errors.items():
        values = np.concatenate(values)
        root = 1e3 * np.sqrt(np.mean(values**2))
        mean = np.mean(np.abs(values))
        parts.append(
            {
                "charges": f"charges {root:.2f} me",
                "dipole": f"dipole {mean:.4f} e·Å",
                "length": f"length {mean / DEBYE:.3f} D",
                "quadrupole": f"quadrupole {mean:.3f} e·Å²",
                "energy": f"energy {root:.2f} meV/atom",
                "forces": f"forces {root:.1f} meV/Å",
            }[name]
        )
    return ", ".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(CASES))
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument(
        "--repeats", type=int, default=1, help="fits, the fastest of which is printed"
    )
    arguments = parser.parse_args()
    for name in arguments.sets or CASES:
        split, models = CASES[name]
        print(f"{name}: others: {PEERS.get(name, '-')}", flush=True)
        splits = list(split(arguments.data))
        sizes = [len(frames) for frames in splits[0]]
        print(f"  {sizes[0]} fitted, {sizes[1]} kept, {len(splits)} times", flush=True)
        for model in models:
            errors, seconds = {}, []
            for train, kept in splits:
                for _ in range(arguments.repeats):
                    start = time.perf_counter()
                    model.fit(train)
                    seconds.append(time.perf_counter() - start)
                add_errors(errors, model, kept)
            names = getattr(model, "targets", None) or model.targets_
            label = f"{type(model).__name__} ({', '.join(names)})"
            prior = getattr(model, "charge_prior", None)
            label += f", charge_prior={prior:g}" if prior else ""
            moments = getattr(model, "moments_", None)
            order = len(moments.kernels) if moments else 0
            label += f", max_multipole={order}" * (order > 0)
            if "hardness" in name:
                label += f", hardness={model.hardness}"
            is_joint = getattr(model, "learn_from_energies", True)
            label += "" if is_joint or "energy" not in names else ", in two steps"
            more = getattr(model, "label", "")
            label += f", {more}" if more else ""
            print(f"  {label:52s} {describe(errors)}; {min(seconds):.1f} s", flush=True)


if __name__ == "__main__":
    main()
