"""Write one small model file of every estimator, and its predictions.

This was run once, with the lodekit that wrote format 1 of the model file. The files
stay as they are: ``tests/test_old_model_files.py`` reads them with every later lodekit.

    python tests/data/make_format_1.py

``format_1/frames.xyz`` holds the structures that are predicted, water molecules of
``examples/data/water_clusters.xyz``: two open ones, one in a cell, one in a slab.
``format_1/predictions.json`` holds lists of predictions of frames by model.
"""

import json
import pathlib

from lodekit import load_model, read_structures
from lodekit.cli.main import main
from lodekit.cli.prediction import compute_in_chunks
from lodekit.descriptors import (
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.descriptors.global_descriptors import CoulombMatrixMoments
from lodekit.model_file import as_json, save_model
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    GlobalPotential,
    LatentChargeModel,
    SparsePotential,
)
from lodekit.regression import CurSelection, PolynomialCovariance
from lodekit.structures import write_structures

ROOT = pathlib.Path(__file__).resolve().parents[2]
WATER = ROOT / "examples" / "data" / "water_clusters.xyz"
FOLDER = pathlib.Path(__file__).resolve().parent / "format_1"
#: Properties that are compared where a model has them.
NAMES = (
    *("energy", "forces", "stress", "energies", "energy_std", "energies_std"),
    *("charges", "dipole", "quadrupole", "charges_std", "dipole_std"),
    *("atomic_dipoles", "atomic_quadrupoles", "electronegativities", "hardnesses"),
    *("electrostatic_energy", "electrostatic_energy_std"),
)


def density(max_radial=1, max_angular=1):
    return SphericalExpansion(
        cutoff={
            "radius": 3.0,
            "smoothing": {"type": "ShiftedCosine", "width": 1.0},
        },
        density={"type": "Gaussian", "width": 0.5, "center_atom_weight": 1.0},
        basis=orbitals(max_radial, max_angular),
    )


def orbitals(max_radial, max_angular, **radial):
    return {
        "type": "TensorProduct",
        "max_angular": max_angular,
        "radial": {"type": "Gto", "max_radial": max_radial, **radial},
    }


def soap(**arguments):
    return PowerSpectrum(density(**arguments))


def lode():
    potential = LodeSphericalExpansion(
        density={"type": "SmearedPowerLaw", "smearing": 1.0, "exponent": 1},
        basis=orbitals(1, 1, radius=2.0),
    )
    return PowerSpectrum(density(), potential)


def potential(**arguments):
    return SparsePotential(soap(), PolynomialCovariance(2), 4, **arguments)


def charge_arguments(**arguments):
    return {
        "descriptor": [soap(), lode()],
        "covariance": [PolynomialCovariance(2), PolynomialCovariance(1, "mean")],
        "n_sparse": [4, 3],
        **arguments,
    }


def models():
    """Return unfitted models by name."""
    energies = ["charges", "energy", "forces"]
    noises = {"charges": 0.01, "energy": 0.01, "forces": 0.1}
    return {
        "potential": SparsePotential(
            [soap(), lode(), lode()],
            [
                PolynomialCovariance(2),
                PolynomialCovariance(1, "mean"),
                PolynomialCovariance(2, "mean", 0.5),
            ],
            [5, 4, 3],
            selection=CurSelection(2),
            baseline={"H": -13.0, "O": -2040.0},
            n_ensemble=4,
            random_state=3,
        ),
        "charges": ChargeModel(
            **charge_arguments(descriptor=[soap(max_angular=2), lode()]),
            targets=["charges", "dipole"],
            max_multipole=2,
        ),
        "charges_of_few_rows": ChargeModel(
            **charge_arguments(n_sparse=[6, 6]),
            targets=["dipole"],
            max_multipole=0,
            noises={"dipole": 0.02},
        ),
        "charges_with_energies": ChargeModel(
            **charge_arguments(potential=potential(), targets=energies, noises=noises),
            max_multipole=1,
            charge_width=0.9,
        ),
        "charges_before_energies": ChargeModel(
            **charge_arguments(potential=potential(), targets=energies),
            learn_from_energies=False,
            validation_fraction=0.2,
        ),
        "dipole": DipoleModel(**charge_arguments(), noises={"dipole": 0.02}),
        "kqeq_environment": ChargeEquilibrationModel(
            **charge_arguments(targets=["charges", "dipole"]),
            hardness="environment",
            validation_fraction=0.0,
        ),
        "kqeq_bonds": ChargeEquilibrationModel(
            **charge_arguments(potential=potential(), targets=energies, noises=noises),
            hardness={"H": 7.0, "O": 9.0},
            widths={"H": 0.4, "O": 0.6},
            bond_hardness={"H-O": 5.0},
        ),
        "kqeq_powers": ChargeEquilibrationModel(
            **charge_arguments(targets=energies),
            potential=potential(energy_noise=0.01, force_noise=0.1),
            charge_powers=1,
            learn_from_energies=False,
        ),
        "latent": LatentChargeModel(
            soap(),
            PolynomialCovariance(2),
            3,
            potential=potential(),
            noises={"energy": 0.01, "forces": 0.1, "total_charge": 0.1},
            charge_prior=0.5,
            n_ensemble=4,
        ),
        "global": GlobalPotential([CoulombMatrixMoments()], energy_noise=2e-3),
    }


def predicted_frames():
    """Return water as two open structures, one in a cell and one in a slab."""
    water = read_structures(WATER)
    frames = [water[-1][:3], water[30].copy(), water[5][:3], water[6][:3]]
    for atoms in frames:
        atoms.calc = None
        atoms.info = {"total_charge": 0.0}
        atoms.arrays = {name: atoms.arrays[name] for name in ("numbers", "positions")}
    for atoms, pbc in zip(frames[2:], (True, (True, True, False)), strict=True):
        atoms.set_cell([[4.5, 0.2, 0.0], [0.0, 4.7, 0.3], [0.0, 0.0, 5.0]])
        atoms.pbc = pbc
    return frames


def fit_by_command():
    """Fit one model by the command line: its settings are in the file."""
    small = [
        f"terms.soap.{key}={value}"
        for key, value in {
            "n_sparse": 4,
            "max_radial": 1,
            "max_angular": 1,
            "cutoff": 3.0,
        }.items()
    ]
    small += ["terms.near=false", "terms.lode=false", "fit.validation_fraction=0.2"]
    arguments = ["fit", WATER, "--model", "kqeq", "--where", "n_molecules=1"]
    arguments += ["--targets", "charges", "dipole"]
    arguments += [word for item in small for word in ("--set", item)]
    arguments += ["--output", FOLDER / "kqeq.lodekit", "--overwrite"]
    assert main([str(word) for word in arguments]) == 0


def write():
    """Write files and predictions."""
    FOLDER.mkdir(exist_ok=True)
    water = read_structures(WATER)
    train = water[:12:2] + water[20:50:6]
    frames = predicted_frames()
    write_structures(FOLDER / "frames.xyz", frames, overwrite=True)
    frames = read_structures(FOLDER / "frames.xyz")
    fit_by_command()
    for name, model in models().items():
        path = FOLDER / f"{name}.lodekit"
        some = train[:5] if name == "charges_of_few_rows" else train
        save_model(model.fit(some), path, overwrite=True)
    predictions = {}
    for path in sorted(FOLDER.glob("*.lodekit")):
        model = load_model(path)
        some = frames[:2] if path.stem == "global" else frames
        names = [name for name in NAMES if name in model.properties]
        predictions[path.stem] = as_json(compute_in_chunks(model, some, names))
    (FOLDER / "predictions.json").write_text(json.dumps(predictions, indent=0))


if __name__ == "__main__":
    write()
