"""Learn the k-dependence of an interaction: the bare and a screened Coulomb law
=============================================================================

Run it with ``python examples/09_screened_interaction.py``.

Gases of Gaussian ions whose charges interact by 4 pi / (k^2 + kappa^2). A linear model
on the potential in bands of k is given energies and forces; its weights, as a function
of k, are the interaction. SOAP is given the same, and does as well as the interaction
is short-ranged. Draws the learned functions in ``examples/output``.
"""

import pathlib

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from matplotlib.figure import Figure

from lodekit.descriptors import LodeBandExpansion, PowerSpectrum, SphericalExpansion
from lodekit.electrostatics import CoulombInteraction
from lodekit.models import SparsePotential
from lodekit.regression import PivotedCholeskySelection, PolynomialCovariance
from lodekit.structures.batch import StructureBatch
from lodekit.units import COULOMB_CONSTANT

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"
N_TRAIN, N_TEST = 30, 10
CLOSEST = 1.5  # Å
SCREENING = {"bare": 0.0, "screened": 0.5}  # kappa in 1/Å
WIDTH = 0.85  # Å, of the charge of an ion
RADIUS = 0.05  # Å, of the spheres in which potentials are seen
CHARGES = {"Na": 1.0, "Cl": -1.0}
K = np.linspace(0.5, 2.0, 61)  # 1/Å, where the learned functions are judged
SIGNS = np.array([1.0, 1.0, -1.0])
COLORS = {"bare": "#2563eb", "screened": "#16a34a"}


def main():
    OUTPUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    gases = [draw_gas(rng) for _ in range(N_TRAIN + N_TEST)]
    check_energies(gases[0])
    filters = {}
    print(
        f"\n{'':10}{'forces, %: SOAP':>18}{'LODE':>10}   filter off by, {K[0]:g} to ",
        end="",
    )
    print(f"{K[-1]:g} 1/Å")
    for name, kappa in SCREENING.items():
        frames = [add_energy(atoms, kappa) for atoms in gases]
        train, test = frames[:N_TRAIN], frames[N_TRAIN:]
        soap, lode = build_soap().fit(train), build_bands().fit(train)
        filters[name] = learned_filters(lode, K)
        exact = 4.0 * np.pi / (K**2 + kappa**2) * COULOMB_CONSTANT
        worst = np.abs(filters[name] / exact[:, None] - SIGNS).max()
        errors = [force_error(model, test) for model in (soap, lode)]
        print(f"{name:10}{errors[0]:18.2f}{errors[1]:10.3f}{100 * worst:17.2f} %")
    draw(filters)


def draw_gas(rng):
    """Return eight ions of each sign at random in a periodic cube."""
    edge = rng.uniform(8.0, 13.0)
    positions = np.empty((0, 3))
    while len(positions) < 16:
        trial = edge * rng.random(3)
        offsets = positions - trial
        offsets -= edge * np.round(offsets / edge)
        if (np.linalg.norm(offsets, axis=1) > CLOSEST).all():
            positions = np.vstack([positions, trial])
    return Atoms("Na8Cl8", positions, cell=3 * [edge], pbc=True)


def add_energy(atoms, kappa):
    """Return a copy with the energy and forces of a plain sum over k-vectors.

    E = 1/(2V) sum_k 4 pi / (k^2 + kappa^2) exp(-k^2 WIDTH^2) |sum_i q_i exp(ikr)|^2
    """
    edge = atoms.cell[0, 0]
    n = int(6.0 / WIDTH * edge / (2.0 * np.pi)) + 1
    axis = 2.0 * np.pi / edge * np.arange(-n, n + 1)
    k = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    squares = (k**2).sum(axis=1)
    k, squares = k[squares > 0.0], squares[squares > 0.0]
    charges = np.array([CHARGES[symbol] for symbol in atoms.symbols])
    waves = np.exp(1j * atoms.positions @ k.T)
    total = charges @ waves
    weights = 4.0 * np.pi / (squares + kappa**2) * np.exp(-squares * WIDTH**2)
    weights *= COULOMB_CONSTANT / edge**3
    forces = charges[:, None] * ((waves * total.conj()).imag * weights) @ k
    copy = atoms.copy()
    energy = 0.5 * (weights * np.abs(total) ** 2).sum()
    copy.calc = SinglePointCalculator(copy, energy=energy, forces=forces)
    return copy


def check_energies(atoms):
    """Compare the bare sum with the Coulomb interaction of Gaussian charges."""
    charges = [CHARGES[symbol] for symbol in atoms.symbols]
    interaction = CoulombInteraction(
        atoms.positions, atoms.cell[:], True, widths=WIDTH, accuracy=1e-9
    )
    energy = add_energy(atoms, 0.0).get_potential_energy()
    difference = abs(interaction.energy(charges) - energy)
    print(f"bare sum and Coulomb interaction agree to {difference:.0e} eV")


def build_bands():
    """Return a linear model of potentials at the ions, band by band."""
    smoothing = {"type": "ShiftedCosine", "width": 0.5}
    only_center = SphericalExpansion(
        cutoff={"radius": CLOSEST, "smoothing": smoothing},
        density={"type": "Gaussian", "width": 0.3},
        basis=monopole({"type": "Gto", "max_radial": 0}),
    )
    bands = LodeBandExpansion(
        density={
            "type": "SmearedPowerLaw",
            "smearing": WIDTH * np.sqrt(2.0),  # of two ions together
            "exponent": 1,
        },
        basis=monopole({"type": "Monomials", "max_radial": 0, "radius": RADIUS}),
        n_bands=9,
        k_cutoff=4.0,
    )
    descriptor = PowerSpectrum(only_center, bands)
    return build_linear(descriptor, energy_noise=1e-6, force_noise=1e-5)


def monopole(radial):
    return {"type": "TensorProduct", "max_angular": 0, "radial": radial}


def build_soap():
    """Return a linear model of pairs (and triples) within 6 Å."""
    smoothing = {"type": "ShiftedCosine", "width": 1.0}
    density = SphericalExpansion(
        cutoff={"radius": 6.0, "smoothing": smoothing},
        density={"type": "Gaussian", "width": 0.3},
        basis=monopole({"type": "Gto", "max_radial": 12}),
    )
    return build_linear(PowerSpectrum(density), energy_noise=1e-2, force_noise=1e-1)


def build_linear(descriptor, energy_noise, force_noise):
    return SparsePotential(
        descriptor,
        PolynomialCovariance(zeta=1, normalize="mean"),
        n_sparse=200,
        selection=PivotedCholeskySelection(),
        baseline={"Na": 0.0, "Cl": 0.0},  # lone ions have no energy
        energy_noise=energy_noise,
        force_noise=force_noise,
        validation_fraction=0.0,
    )


def learned_filters(model, k):
    """Return the interactions Na-Na, Cl-Cl and Na-Cl at ``k``, in eV Å^3, (k.size, 3).

    The energy of an ion is rho sum_bn w_bn c_bn with the density rho of the ion itself,
    and c is sqrt(4 pi r^3 / 3) times the potential of species b in band n. Half of the
    interaction is with the ion as centre; only both halves together are determined.
    """
    kernel, alpha = model.kernels_[0], model.coefficients_[0]
    bands = kernel.descriptor.right
    ion = StructureBatch.from_frames([Atoms("Na")])
    rho = kernel.descriptor.left.expand(ion, model.species_).values.max()
    weights = []
    for channel, (species, points) in enumerate(kernel.points.items()):
        own = alpha[species] @ points.features
        own /= np.mean((points.features**2).sum(axis=1))
        weights.append(own.reshape(2, 2, bands.n_radial)[channel])
    scale = rho * np.sqrt(4.0 * np.pi * RADIUS**3 / 3.0)
    learned = scale * np.einsum("abn,kn->kab", weights, bands.filters(k))
    learned = learned + learned.swapaxes(1, 2)
    learned /= np.exp(-((k * WIDTH) ** 2))[:, None, None]
    return np.stack([learned[:, 0, 0], learned[:, 1, 1], learned[:, 0, 1]], axis=1)


def force_error(model, test):
    """Return the error of the forces in %."""
    forces = np.concatenate([atoms.get_forces() for atoms in test])
    results = model.compute(test, ["forces"])
    wrong = np.concatenate([result["forces"] for result in results]) - forces
    return 100.0 * np.sqrt(np.mean(wrong**2) / np.mean(forces**2))


def draw(filters):
    """Draw the learned interactions over the exact ones."""
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, kappa in SCREENING.items():
        exact = 4.0 * np.pi / (K**2 + kappa**2) * COULOMB_CONSTANT
        label = "4π/k²" if kappa == 0.0 else f"4π/(k² + {kappa:g}²)"
        left.plot(K, exact, color=COLORS[name], label=label)
        left.plot(K[::6], filters[name][::6, 0], "o", ms=4, color=COLORS[name])
        for pair, style in enumerate(("-", "--", ":")):
            deviation = 100.0 * (filters[name][:, pair] * SIGNS[pair] / exact - 1.0)
            right.plot(K, deviation, style, color=COLORS[name])
    left.set(xlabel="k (1/Å)", ylabel="interaction (eV Å³)", yscale="log")
    left.legend(title="exact; learned: points", fontsize=8)
    right.set(xlabel="k (1/Å)", ylabel="deviation (%)", ylim=(-1.5, 1.5))
    path = OUTPUT / "09_filters.png"
    figure.savefig(path, dpi=110)
    print(f"learned interactions in {path.name}")


if __name__ == "__main__":
    main()
