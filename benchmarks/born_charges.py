"""Born charges of models that never saw one, and of models fitted to some.

    python benchmarks/born_charges.py [MODEL ...] [--data FOLDER] [--frames N]

Dipeptides of the SPICE set: models are fitted to dipoles of the training file, and
judged by the Born charges (atomic polar tensors) of the validation file, which has all
of them. Where forces shape the charges, 30 frames and few sparse points are fitted.
"fitted" are models that are fitted to the Born charges of half of the validation
frames, and judged by the other half; "crystals" to those of 60 frames of SiO2. Every
line has mean absolute error and RMSE of the components in e, of the mean over the three
directions as well, of the dipole (e·Å), and the seconds of the fit. CACE-LES, a neural
network fitted to energies and forces of the same molecules: 0.082 e.
"""

import argparse
import pathlib
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np

from lodekit import read_structures
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    LatentChargeModel,
)
from lodekit.observables.polarization import transpose_born_charges
from lodekit.settings.potential import build_potential
from lodekit.structures import get_target
from lodekit.terms.tables import build_terms, charge_terms, remainder_terms

ROOT = pathlib.Path(__file__).resolve().parents[1]
BORN = "born_effective_charges"
MODELS = {
    "charges from dipoles": ChargeModel(targets=["dipole"], max_multipole=0),
    "charges and dipoles of atoms from dipoles": DipoleModel(),
    "kqeq from dipoles": ChargeEquilibrationModel(targets=["dipole"]),
}
#: Charges and remainder in one fit take longer: few frames and sparse points.
FEW_FRAMES, FEW_POINTS = 30, 60


def few():
    """Return the potential of a remainder with few sparse points."""
    terms = remainder_terms().items()
    few_points = {name: {**own, "n_sparse": FEW_POINTS} for name, own in terms}
    return build_potential({"terms": few_points})


def joint(kind, *targets, **more):
    """Return a model whose charges are shaped by forces, with few sparse points."""
    terms = build_terms({"terms": charge_terms(linear=False)})
    (descriptor, covariance, _), *_ = terms
    return kind(
        descriptor,
        covariance,
        FEW_POINTS,
        targets=list(targets),
        potential=few(),
        **more,
    )


JOINT = {
    "latent charges from forces": joint(LatentChargeModel, "forces"),
    "latent charges from dipoles and forces": joint(
        LatentChargeModel, "dipole", "forces"
    ),
    "kqeq from dipoles and forces": joint(ChargeEquilibrationModel, "dipole", "forces"),
    "charges and dipoles of atoms from dipoles and forces": joint(
        DipoleModel, "dipole", "forces", learn_from_energies=True
    ),
}
#: Fitted to Born charges of crystals.
CRYSTALS = {"crystals: SiO2": DipoleModel(targets=[BORN], n_sparse=200)}
FITTED = {
    "fitted: charges": ChargeModel(targets=[BORN], max_multipole=0),
    "fitted: charges and dipoles of atoms": DipoleModel(targets=[BORN]),
    "fitted: kqeq": ChargeEquilibrationModel(targets=["dipole", BORN]),
}


def judge(model, kept):
    """Return the errors of a model on some frames as text."""
    names = [BORN] if kept[0].pbc.any() else ["dipole", BORN]
    results = model.compute(kept, names)
    pairs = [(r[BORN], get_target(a, BORN)) for a, r in zip(kept, results, strict=True)]
    errors = np.concatenate([found - expected for found, expected in pairs])
    means = np.trace(errors, axis1=1, axis2=2) / 3.0
    text = (
        f"Born charges {np.abs(errors).mean():.4f} (RMSE "
        f"{np.sqrt(np.mean(errors**2)):.4f}), their means {np.abs(means).mean():.4f} "
        f"({np.sqrt(np.mean(means**2)):.4f}) e"
    )
    if "dipole" not in names:
        return text
    references = [get_target(atoms, "dipole") for atoms in kept]
    dipoles = [r["dipole"] - own for r, own in zip(results, references, strict=True)]
    return f"{text}, dipole {np.abs(dipoles).mean():.4f} e·Å"


def crystals(folder):
    """Return 60 frames of SiO2 to fit to, and others to judge by."""
    frames = read_structures(folder / "allegro_pol" / "sio2_train.xyz")
    kept = frames[::8]
    return [f for i, f in enumerate(frames) if i % 8][::2][:60], kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="part of its name")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument("--frames", type=int, default=495, help="to fit to")
    arguments = parser.parse_args()
    folder = arguments.data / "spice_dipeptides"
    frames = read_structures(folder / "train.xyz")[: arguments.frames]
    kept = read_structures(folder / "val.xyz")
    transpose_born_charges(kept)  # the file has the displacement first
    print(f"{len(frames)} frames, judged by {len(kept)}", flush=True)
    asked = arguments.models or [""]
    for name, model in {**MODELS, **JOINT, **FITTED, **CRYSTALS}.items():
        if not any(part in name for part in asked):
            continue
        train, judged = frames, kept
        if name in JOINT:
            train = frames[:: max(1, len(frames) // FEW_FRAMES)][:FEW_FRAMES]
        elif name in FITTED:
            train, judged = kept[::2], kept[1::2]
        elif name in CRYSTALS:
            train, judged = crystals(arguments.data)
        start = time.perf_counter()
        model.fit(train)
        seconds = time.perf_counter() - start
        print(f"{name}: {judge(model, judged)}; {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
