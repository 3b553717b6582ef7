"""Madelung constants of crystals by models that have only seen disordered ions
============================================================================

Run it with ``python examples/06_madelung_constants.py``.

For each crystal, models are fitted to energies and forces of the same ions scattered at
random in periodic boxes: exact Ewald sums of formal charges. The energy of the crystal
that they predict, times the distance of nearest neighbours, is its Madelung constant.
Draws errors in ``examples/output``.
"""

import pathlib

import numpy as np
from ase import Atoms
from ase.build import bulk
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
from lodekit.units import COULOMB_CONSTANT

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"
CLOSEST = 2.1  # Å, of two ions; all crystals have larger distances
N_STRUCTURES = 12

# Lattice constants in Å; nearest distances in units of them; formal charges in e; and
# minus the energy of a formula unit in units of e^2 / (4 pi eps0) over that distance
# and over the product of both charges: Y. Sakamoto, J. Chem. Phys. 28, 164 (1958). The
# last is half of 4 times the third minus sqrt(3)/2 times the first (superposition of
# sublattices; handbooks give 5.0388, not divided by the product of the charges).
CRYSTALS = {
    "NaCl": ("rocksalt", 5.64, 0.5, {"Na": 1.0, "Cl": -1.0}, 1.74756459463318),
    "CsCl": ("cesiumchloride", 4.12, 0.75**0.5, {"Cs": 1, "Cl": -1}, 1.76267477307098),
    "ZnS": ("zincblende", 5.41, 0.1875**0.5, {"Zn": 2.0, "S": -2.0}, 1.63805505338879),
    "CaF2": ("fluorite", 5.46, 0.1875**0.5, {"Ca": 2.0, "F": -1.0}, 2.51939244049),
}
COLORS = {"SOAP": "#ea580c", "SOAP + LODE": "#2563eb", "LODE, 4 weights": "#16a34a"}


def main():
    OUTPUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    print(f"{'Madelung constant':21}" + "".join(f"{name:>13}" for name in CRYSTALS))
    found = {name: [] for name in COLORS}
    for compound in CRYSTALS:
        frames = [scatter_ions(compound, rng) for _ in range(N_STRUCTURES)]
        for name, model in build_models(compound).items():
            found[name].append(madelung_constant(model.fit(frames), compound))
    published = np.array([crystal[4] for crystal in CRYSTALS.values()])
    for name, values in {"published": published, **found}.items():
        print(f"{name:21}" + "".join(f"{value:13.8f}" for value in values))
    errors = {name: np.array(found[name]) / published - 1.0 for name in found}
    for name, own in errors.items():
        print(f"{name + ', error':21}" + "".join(f"{value:13.1e}" for value in own))
    draw(errors)


def scatter_ions(compound, rng):
    """Return 24 to 36 ions at random, with exact energy and forces."""
    unit = crystal(compound)
    numbers = np.tile(unit.numbers, 12)
    edge = (rng.uniform(1.3, 2.0) * 12 * unit.get_volume()) ** (1 / 3)
    positions = np.empty((0, 3))
    while len(positions) < len(numbers):
        trial = edge * rng.random(3)
        offsets = positions - trial
        offsets -= edge * np.round(offsets / edge)
        if (np.linalg.norm(offsets, axis=1) > CLOSEST).all():
            positions = np.vstack([positions, trial])
    atoms = Atoms(numbers, positions, cell=3 * [edge], pbc=True)
    charges = [CRYSTALS[compound][3][symbol] for symbol in atoms.symbols]
    exact = CoulombInteraction(positions, atoms.cell[:], True).compute(charges)
    atoms.calc = SinglePointCalculator(atoms, energy=exact.energy, forces=exact.forces)
    return atoms


def crystal(compound):
    """Return the primitive cell: one formula unit."""
    lattice, constant, *_ = CRYSTALS[compound]
    return bulk(compound, lattice, a=constant)


def madelung_constant(model, compound):
    """Return the Madelung constant that a model predicts."""
    _, constant, nearest, charges, _ = CRYSTALS[compound]
    energy = model.predict([crystal(compound)])[0]
    product = -np.prod(list(charges.values()))
    return -energy * nearest * constant / COULOMB_CONSTANT / product


def build_models(compound):
    """Return SOAP alone, SOAP with LODE, and a linear model with four weights."""
    alone = dict.fromkeys(CRYSTALS[compound][3], 0.0)  # lone ions have no energy
    fit = {"baseline": alone, "validation_fraction": 0.0}
    tight = {**fit, "energy_noise": 1e-6, "force_noise": 1e-5}
    soap = {"type": "soap", "max_radial": 5, "max_angular": 3, "n_sparse": 80}
    lode = {"type": "lode", "charges": "species", "n_sparse": 80}
    both = {"soap": soap, "lode": lode}
    return {
        "SOAP": soap_of_pairs(fit),
        "SOAP + LODE": build_potential({"fit": tight, "terms": both}),
        "LODE, 4 weights": SparsePotential(
            PowerSpectrum(species_of_center(), potential_at_center()),
            PolynomialCovariance(zeta=1, normalize="mean"),
            n_sparse=8,
            **tight,
        ),
    }


def soap_of_pairs(fit):
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
        **fit,
    )


def species_of_center():
    """Return a density without neighbours."""
    smoothing = {"type": "ShiftedCosine", "width": 0.5}
    return SphericalExpansion(
        cutoff={"radius": CLOSEST, "smoothing": smoothing},
        density={"type": "Gaussian", "width": 0.3},
        basis=monopole({"type": "Gto", "max_radial": 0}),
    )


def potential_at_center():
    """Return the mean potential in a small sphere: that at its centre."""
    return LodeSphericalExpansion(
        density={
            "type": "SmearedPowerLaw",
            "smearing": 0.3,
            "exponent": 1,
            "center_atom_weight": 0.0,  # no ion feels itself
        },
        basis=monopole({"type": "Monomials", "max_radial": 0, "radius": 0.4}),
        accuracy=1e-9,
    )


def monopole(radial):
    return {"type": "TensorProduct", "max_angular": 0, "radial": radial}


def draw(errors):
    """Draw the size of the relative errors."""
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(CRYSTALS))
    for number, (name, own) in enumerate(errors.items()):
        place = places + 0.25 * (number - 1)
        axes.bar(place, abs(own), 0.23, bottom=1e-12, color=COLORS[name], label=name)
    axes.set_yscale("log")
    axes.set(ylim=(1e-10, 10), ylabel="relative error of the Madelung constant")
    axes.set_xticks(places, CRYSTALS)
    axes.legend(fontsize=8, ncols=3, loc="upper center")
    path = OUTPUT / "06_madelung_constants.png"
    figure.savefig(path, dpi=110)
    print(f"errors in {path.name}")


if __name__ == "__main__":
    main()
