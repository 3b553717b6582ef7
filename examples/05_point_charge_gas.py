"""Learn the Coulomb energy of a gas of 64 ions that sit anywhere but on each other
================================================================================

Run it with ``python examples/05_point_charge_gas.py``.

Unit charges of both signs, at least 2.5 Å apart, in periodic cubes of 12 to 16 Å;
energies and forces are exact Ewald sums. Models see species and positions, no charges
and no Coulomb law. Prints errors against the number of structures fitted, and draws
them in ``examples/output``.
"""

import pathlib

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from matplotlib.figure import Figure

from lodekit.descriptors import (
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.electrostatics import CoulombInteraction
from lodekit.models import SparsePotential
from lodekit.regression import PivotedCholeskySelection, PolynomialCovariance
from lodekit.settings.potential import build_potential

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"
N_TRAIN = (1, 2, 4, 8, 16)
N_TEST = 10
CLOSEST = 2.5  # Å

# Lone ions have no energy. The references have no noise; SOAP alone, which cannot
# follow them, is better with some.
IONS = {"baseline": {"Na": 0.0, "Cl": 0.0}, "validation_fraction": 0.0}
TIGHT = {**IONS, "energy_noise": 1e-6, "force_noise": 1e-5}
SOAP = {"type": "soap", "max_radial": 5, "max_angular": 3, "n_sparse": 80}
LODE = {"type": "lode", "charges": "species", "n_sparse": 80}


def four_weights():
    """Return a linear model of the potential of each species at each ion.

    No neighbour is within the cutoff of the density, which says no more than which ion
    it is: four features, four weights.
    """
    density = SphericalExpansion(
        cutoff={
            "radius": CLOSEST,
            "smoothing": {"type": "ShiftedCosine", "width": 0.5},
        },
        density={"type": "Gaussian", "width": 0.3},
        basis=monopole({"type": "Gto", "max_radial": 0}),
    )
    potential = LodeSphericalExpansion(
        density={
            "type": "SmearedPowerLaw",
            "smearing": 0.35,
            "exponent": 1,
            "center_atom_weight": 0.0,  # no ion feels itself
        },
        basis=monopole({"type": "Monomials", "max_radial": 0, "radius": 0.5}),
        accuracy=1e-8,
    )
    return SparsePotential(
        PowerSpectrum(density, potential),
        PolynomialCovariance(zeta=1, normalize="mean"),
        n_sparse=8,
        **TIGHT,
    )


def soap_of_pairs():
    """Return a linear model of all pairs within 6 Å: of SOAPs, the best found here."""
    density = SphericalExpansion(
        cutoff={"radius": 6.0, "smoothing": {"type": "ShiftedCosine", "width": 1.0}},
        density={"type": "Gaussian", "width": 0.3},
        basis=monopole({"type": "Gto", "max_radial": 12}),
    )
    return SparsePotential(
        PowerSpectrum(density),
        PolynomialCovariance(zeta=1, normalize="mean"),
        n_sparse=200,
        selection=PivotedCholeskySelection(),
        energy_noise=1e-2,
        force_noise=1e-1,
        **IONS,
    )


def monopole(radial):
    return {"type": "TensorProduct", "max_angular": 0, "radial": radial}


MODELS = {
    "SOAP": soap_of_pairs(),
    "SOAP + LODE": build_potential(
        {"fit": TIGHT, "terms": {"soap": SOAP, "lode": LODE}}
    ),
    "LODE, 4 weights": four_weights(),
}
COLORS = {"SOAP": "#ea580c", "SOAP + LODE": "#2563eb", "LODE, 4 weights": "#16a34a"}


def main():
    OUTPUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    frames = [draw_gas(rng) for _ in range(max(N_TRAIN) + N_TEST)]
    train, test = frames[:-N_TEST], frames[-N_TEST:]
    size = rms(np.concatenate([atoms.get_forces() for atoms in test]))
    print(f"forces of {N_TEST} test structures: {size:.2f} eV/Å")
    print(f"{'structures':27}" + "".join(f"{n:10}" for n in N_TRAIN))
    errors = {name: learning_curve(name, train, test) for name in MODELS}
    for name in ("SOAP + LODE", "LODE, 4 weights"):
        enough = N_TRAIN[int(np.argmax(errors[name][:, 0] < 1.0))]
        print(f"{name}: force error below 1 % with {enough} structures")
    draw(errors)


def draw_gas(rng):
    """Return 32 ions of each sign at random, with exact energy and forces."""
    edge = rng.uniform(12.0, 16.0)
    positions = np.empty((0, 3))
    while len(positions) < 64:
        trial = edge * rng.random(3)
        offsets = positions - trial
        offsets -= edge * np.round(offsets / edge)
        if (np.linalg.norm(offsets, axis=1) > CLOSEST).all():
            positions = np.vstack([positions, trial])
    atoms = Atoms(32 * ["Na"] + 32 * ["Cl"], positions, cell=3 * [edge], pbc=True)
    charges = np.repeat([1.0, -1.0], 32)
    exact = CoulombInteraction(positions, atoms.cell[:], True).compute(charges)
    atoms.calc = SinglePointCalculator(atoms, energy=exact.energy, forces=exact.forces)
    return atoms


def learning_curve(name, train, test):
    """Print and return errors of forces in % and of energies in meV/atom."""
    errors = []
    forces = np.concatenate([atoms.get_forces() for atoms in test])
    for n in N_TRAIN:
        model = MODELS[name].fit(train[:n])
        results = model.compute(test, ["energy", "forces"])
        predicted = np.concatenate([result["forces"] for result in results])
        wrong = [
            (result["energy"] - atoms.get_potential_energy()) / len(atoms)
            for result, atoms in zip(results, test, strict=True)
        ]
        share = rms(predicted - forces) / rms(forces)
        errors.append((100.0 * share, 1e3 * rms(np.array(wrong))))
    errors = np.array(errors)
    for kind, column in (("forces, %", 0), ("meV/atom", 1)):
        cells = "".join(f"{error:10.2g}" for error in errors[:, column])
        print(f"{name:16} {kind:10}{cells}", flush=True)
    return errors


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def draw(errors):
    """Draw both errors against the number of structures."""
    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    labels = ("error of forces (%)", "error of energies (meV/atom)")
    for column, axes in enumerate(figure.subplots(1, 2)):
        for name, own in errors.items():
            axes.loglog(N_TRAIN, own[:, column], "o-", color=COLORS[name], label=name)
        axes.set(xlabel="structures fitted", ylabel=labels[column])
        axes.set_xticks(N_TRAIN, [str(n) for n in N_TRAIN])
        axes.minorticks_off()
    figure.axes[0].axhline(1.0, color="0.6", lw=0.8, ls="--")
    figure.axes[0].legend(fontsize=8)
    path = OUTPUT / "05_learning_curves.png"
    figure.savefig(path, dpi=110)
    print(f"learning curves in {path.name}")


if __name__ == "__main__":
    main()
