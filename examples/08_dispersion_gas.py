"""Learn the 1/r^6 attraction of rare gases beyond the cutoff
==========================================================

Run it with ``python examples/08_dispersion_gas.py``.

Lennard-Jones mixtures of argon and krypton with complete lattice sums, no cutoff. SOAP
holds the repulsion and everything within 6 Å; potentials 1/r^6 of LODE hold what is
beyond, 1/r ones do not. Prints errors, and the C6 coefficients that the models have
for two atoms far apart. Draws their pair energies in ``examples/output``.
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
from lodekit.electrostatics import PowerLawInteraction
from lodekit.models import SparsePotential
from lodekit.regression import PivotedCholeskySelection, PolynomialCovariance

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"
N_TRAIN, N_TEST = 30, 10
CLOSEST = 3.3  # Å
CUTOFF = 6.0  # Å, of SOAP
# depths in eV and diameters in Å (argon, krypton: usual values); C6 and C12 of unlike
# atoms are geometric means
DEPTHS = {"Ar": 0.0103, "Kr": 0.0142}
DIAMETERS = {"Ar": 3.40, "Kr": 3.65}
PAIRS = (("Ar", "Ar"), ("Ar", "Kr"), ("Kr", "Kr"))
FAR = np.array([9.0, 12.0, 16.0, 20.0])  # Å


def main():
    OUTPUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    frames = [draw_gas(rng) for _ in range(N_TRAIN + N_TEST)]
    train, test = frames[:N_TRAIN], frames[N_TRAIN:]
    models = {
        "SOAP": build_model(),
        "SOAP + LODE p=1": build_model(exponent=1),
        "SOAP + LODE p=6": build_model(exponent=6),
    }
    print(f"{'':17}forces, %   meV/atom   slope and C6 / exact of two atoms, 9 to 20 Å")
    for name, model in models.items():
        model.fit(train)
        print_errors(name, model, test)
    draw(models)


def draw_gas(rng):
    """Return 16 atoms of each element at random in a periodic cube."""
    edge = rng.uniform(14.0, 20.0)
    positions = np.empty((0, 3))
    while len(positions) < 32:
        trial = edge * rng.random(3)
        offsets = positions - trial
        offsets -= edge * np.round(offsets / edge)
        if (np.linalg.norm(offsets, axis=1) > CLOSEST).all():
            positions = np.vstack([positions, trial])
    return add_energy(Atoms("Ar16Kr16", positions, cell=3 * [edge], pbc=True))


def add_energy(atoms):
    """Give ``atoms`` the energy sum of C12 / r^12 - C6 / r^6 over all images."""
    energy, forces = 0.0, 0.0
    for exponent, sign in ((12, 1.0), (6, -1.0)):
        strengths = [
            np.sqrt(4.0 * DEPTHS[symbol]) * DIAMETERS[symbol] ** (0.5 * exponent)
            for symbol in atoms.symbols
        ]
        exact = PowerLawInteraction(atoms.positions, atoms.cell[:], atoms.pbc, exponent)
        result = exact.compute(strengths)
        energy, forces = energy + sign * result.energy, forces + sign * result.forces
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def build_model(exponent=None):
    """Return a linear model of pairs within the cutoff, with LODE if asked for.

    With the density of the atom itself, the linear SOAP of l = 0 holds every pair
    energy that is smooth on the scale of the Gaussians, and products of two neighbours.
    """
    terms = [PowerSpectrum(build_density(CUTOFF, 0.25, 14))]
    if exponent:
        potential = LodeSphericalExpansion(
            density={
                "type": "SmearedPowerLaw",
                "smearing": 0.6,
                "exponent": exponent,
                "center_atom_weight": 0.0,
            },
            basis=monopole({"type": "Monomials", "max_radial": 0, "radius": 0.2}),
        )
        # no neighbour is nearer than this: the element of the atom alone
        terms.append(PowerSpectrum(build_density(CLOSEST, 0.3, 0), potential))
    return SparsePotential(
        terms,
        PolynomialCovariance(zeta=1, normalize="mean"),
        n_sparse=200,
        selection=PivotedCholeskySelection(),
        baseline={"Ar": 0.0, "Kr": 0.0},
        energy_noise=1e-6,
        force_noise=1e-5,
        validation_fraction=0.0,
    )


def build_density(cutoff, width, max_radial):
    return SphericalExpansion(
        cutoff={"radius": cutoff, "smoothing": {"type": "ShiftedCosine", "width": 1.0}},
        density={"type": "Gaussian", "width": width},
        basis=monopole({"type": "Gto", "max_radial": max_radial}),
    )


def monopole(radial):
    return {"type": "TensorProduct", "max_angular": 0, "radial": radial}


def print_errors(name, model, test):
    """Print errors on the test set, and the power law of two atoms."""
    results = model.compute(test, ["energy", "forces"])
    forces = np.concatenate([atoms.get_forces() for atoms in test])
    wrong = np.concatenate([result["forces"] for result in results]) - forces
    energies = [
        (result["energy"] - atoms.get_potential_energy()) / len(atoms)
        for result, atoms in zip(results, test, strict=True)
    ]
    text = f"{name:17}{100 * rms(wrong) / rms(forces):9.2f}{1e3 * rms(energies):11.4f}"
    for pair in PAIRS:
        exact, learned = pair_energies(pair, FAR), pair_energies(pair, FAR, model)
        if (np.abs(learned) > 1e-3 * np.abs(exact)).all():
            slope = np.polyfit(np.log(FAR), np.log(abs(learned)), 1)[0]
            text += f"   {'-'.join(pair)} {slope:6.3f} {(learned / exact).mean():7.3f}"
        else:
            text += f"   {'-'.join(pair)}   none   0.000"
    print(text, flush=True)


def pair_energies(pair, distances, model=None):
    """Return the energies of two atoms alone, exact or those of a model."""
    dimers = [Atoms(pair, [[0.0, 0.0, 0.0], [0.0, 0.0, d]]) for d in distances]
    if model is None:
        return np.array([add_energy(dimer).get_potential_energy() for dimer in dimers])
    alone = model.predict([Atoms(symbol) for symbol in pair]).sum()
    return model.predict(dimers) - alone


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def draw(models):
    """Draw pair energies on a scale that shows the tails."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    colors = ("#ea580c", "#9333ea", "#2563eb")
    distances = np.linspace(3.4, 14.0, 60)
    for axes, pair in zip(figure.subplots(1, 3), PAIRS, strict=True):
        scale = 1e3 * distances**6 / distances[-1] ** 6
        exact = scale * pair_energies(pair, distances)
        axes.plot(distances, exact, color="black", lw=2.5, label="exact")
        for (name, model), color in zip(models.items(), colors, strict=True):
            own = scale * pair_energies(pair, distances, model)
            axes.plot(distances, own, color=color, lw=1.2, label=name)
        axes.axvspan(distances[0], CUTOFF, color="0.93", zorder=0)
        axes.set(title="-".join(pair), xlabel="distance r (Å)")
        axes.set_ylim(2.0 * exact.min(), -1.0 * exact.min())
    figure.axes[0].set_ylabel("energy times (r / 14 Å)$^6$ (meV)")
    figure.axes[0].legend(fontsize=8)
    path = OUTPUT / "08_pair_energies.png"
    figure.savefig(path, dpi=110)
    print(f"pair energies in {path.name}")


if __name__ == "__main__":
    main()
