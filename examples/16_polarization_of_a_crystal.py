"""Polarization of a crystal: branches, whole charges, LO and TO phonons of one model
==================================================================================

Run it with ``python examples/16_polarization_of_a_crystal.py``.

The reference is made here: lithium fluoride with whole charges, dipoles between
neighbours and a repulsion, in distorted triclinic cells. Its polarization is given on
random branches, as codes give it, and Born charges of five frames only. The model finds
the branches, carries whole charges, and has longitudinal and transverse phonons. Writes
a plot to ``examples/output``.
"""

import pathlib

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list
from matplotlib.figure import Figure

from lodekit.analysis.phonons import (
    displacement_without_field,
    static_dielectric_tensor,
    zone_center_frequencies,
)
from lodekit.models import PolarizationModel
from lodekit.observables.branches import fold, polarization_quanta

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"

WIDTH, REACH, REPULSION = 0.9, 4.5, 3.0  # Å, Å, eV
PUSH = {"Li": 0.4, "F": 0.9}  # e, of the dipoles that neighbours make
N_FRAMES, N_BORN = 60, 5


def main():
    OUTPUT.mkdir(exist_ok=True)
    generator = np.random.default_rng(5)
    crystal = bulk("LiF", "rocksalt", a=4.0)
    frames, truths = zip(*(draw(crystal, generator) for _ in range(80)), strict=True)
    for atoms in frames[N_BORN:]:
        del atoms.arrays["born_effective_charges"]
    model = PolarizationModel(n_sparse=40, n_channels=80).fit(list(frames[:N_FRAMES]))
    states = model.summary_["oxidation_states"]
    print("whole charges " + ", ".join(f"{s} {q:+d}" for s, q in states.items()))
    found = [
        own["polarization"] for own in model.compute(list(frames), ["polarization"])
    ]
    found, truths = np.array(found), np.array(truths)
    given = np.array([atoms.info["polarization"] for atoms in frames])
    quanta = [polarization_quanta(atoms) for atoms in frames]
    folding = fold(truths, found, quanta)
    kept = slice(N_FRAMES, None)
    error = np.sqrt(np.mean(folding.residuals[kept] ** 2))
    print(f"error of M of {80 - N_FRAMES} other frames {error:.5f} e·Å")
    print(f"spread of M as it is given {np.std(given):.2f} e·Å")
    for symbol, charge in carried(model, frames[-1]).items():
        print(f"carried through the cell by {symbol} {charge:+.8f} e")
    transverse = zone_center_frequencies(model, crystal)[-1]
    control = displacement_without_field(model, crystal)
    longitudinal = zone_center_frequencies(model, crystal, displacement=control)[-1]
    print(f"TO phonon, E constant {transverse:.3f} THz")
    print(f"LO phonon, D constant {longitudinal:.3f} THz")
    (own,) = model.compute(crystal, ["dielectric_tensor"])
    electrons = own["dielectric_tensor"][0, 0]
    static = static_dielectric_tensor(model, crystal)[0, 0]
    print(f"eps of electrons {electrons:.4f}, with ions {static:.4f}")
    ratio = static / electrons / (longitudinal / transverse) ** 2
    print(f"Lyddane, Sachs and Teller: ratio {ratio:.6f}")
    plot(given[kept], found[kept], folding.values[kept])


def draw(crystal, generator):
    """Return a distorted crystal with its targets, and its M on one branch."""
    atoms = crystal * (2, 1, 1)
    atoms.positions += generator.normal(0.0, 0.1, atoms.positions.shape)
    i, j, vectors = neighbor_list("ijD", atoms, REACH)
    values = np.exp(-(vectors**2).sum(axis=1) / (2.0 * WIDTH**2))
    charges = np.where(atoms.symbols == "Li", 1.0, -1.0)
    pushes = np.array([PUSH[symbol] for symbol in atoms.symbols])[i] * values
    moment = charges @ atoms.positions + pushes @ vectors
    slopes = np.eye(3) - vectors[:, :, None] * vectors[:, None] / WIDTH**2
    born = charges[:, None, None] * np.eye(3)
    np.add.at(born, j, pushes[:, None, None] * slopes)
    np.add.at(born, i, -pushes[:, None, None] * slopes)
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i, -REPULSION * values[:, None] * vectors / WIDTH**2)
    tensors = np.einsum("p,pa,pb->ab", 0.3 * values, vectors, vectors)
    branch = generator.integers(-3, 4, 3)
    atoms.info["polarization"] = moment + branch @ atoms.cell[:]
    atoms.info["polarizability"] = (len(atoms) * np.eye(3) + tensors).ravel()
    atoms.arrays["born_effective_charges"] = born.reshape(-1, 9)
    energy = 0.5 * REPULSION * values.sum()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms, moment


def carried(model, atoms):
    """Return the charge that one atom of every element carries to its image, in e."""
    charges = {}
    for symbol in ("Li", "F"):
        end = atoms.copy()
        end.positions[list(end.symbols).index(symbol)] += end.cell[2]
        moments = [r["polarization"] for r in model.compute([atoms, end])]
        charges[symbol] = np.linalg.solve(end.cell[:].T, moments[1] - moments[0])[2]
    return charges


def plot(given, found, folded):
    """Plot polarizations as they are given, and on the branch of the model."""
    figure = Figure(figsize=(8.0, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    for panel, values, title in zip(
        axes, (given, folded), ("as given", "nearest branch"), strict=True
    ):
        panel.plot(values.ravel(), found.ravel(), "o", markersize=3)
        panel.set(xlabel="reference, e·Å", ylabel="model, e·Å", title=title)
    figure.savefig(OUTPUT / "16_polarization_of_a_crystal.png", dpi=150)


if __name__ == "__main__":
    main()
