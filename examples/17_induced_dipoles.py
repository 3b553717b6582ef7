"""Atoms that polarize each other: a lattice, and a row, in a field
================================================================

Run it with ``python examples/17_induced_dipoles.py``.

Clausius and Mossotti's dielectric constant of a cubic lattice of polarizable points,
(eps - 1) / (eps + 2) = x with x = 4 pi alpha / 3 V, is that of dipoles that feel each
other; one pass, every dipole in the field of the others as they were, ends at 1 + 3 x.
The middle of a row of atoms feels the ends of the row, which no cutoff sees. Writes a
plot to ``examples/output``.
"""

import pathlib

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from matplotlib.figure import Figure

from lodekit.electrostatics import InducedDipoles
from lodekit.units import COULOMB_CONSTANT

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"

SIDE = 3.0  # Å
SHARES = [0.1, 0.25, 0.5, 0.7]
SPACING, ALPHA = 2.6, 1.6  # Å, Å^3
NUMBERS = [1, 2, 4, 8, 16, 32]


def main():
    OUTPUT.mkdir(exist_ok=True)
    found = np.array([dielectric_constant(share) for share in SHARES])
    exact = np.array([(1.0 + 2.0 * x) / (1.0 - x) for x in SHARES])
    print("   x   self-consistent   Clausius-Mossotti   first order")
    for share, own, law in zip(SHARES, found, exact, strict=True):
        print(f"{share:4.2f} {own:15.6f} {law:19.6f} {1.0 + 3.0 * share:13.2f}")
    rows = np.array([row(number) for number in NUMBERS])
    print("\natoms   polarizability per atom, Å^3   first order")
    for number, (own, first) in zip(NUMBERS, rows, strict=True):
        print(f"{number:5d} {own:25.4f} {first:17.4f}")
    endless = 1.0 / (1.0 / ALPHA - 4.0 * 1.2020569032 / SPACING**3)
    print(f"endless row, closed form {endless:.4f}")
    plot(found, exact, rows, endless)


def dielectric_constant(share):
    """Return eps of a cubic lattice of points with 4 pi alpha / 3 V = share."""
    alpha = share * 3.0 * SIDE**3 / (4.0 * np.pi)
    lattice = InducedDipoles(
        np.zeros((1, 3)), SIDE * np.eye(3), True, [alpha], widths=0.0
    )
    return 1.0 + 4.0 * np.pi * lattice.susceptibility()[0, 0] / SIDE**3


def row(number):
    """Return the polarizability along a row of atoms per atom, and in one pass."""
    positions = np.outer(SPACING * np.arange(number), [0.0, 0.0, 1.0])
    alphas = np.full(number, ALPHA)
    system = InducedDipoles(positions, np.zeros((3, 3)), False, alphas, widths=0.0)
    free = np.zeros((number, 3))
    free[:, 2] = ALPHA  # dipoles of atoms alone in a unit field, times k
    fields = -system.felt(np.zeros(number), free)[:, 3] / COULOMB_CONSTANT
    first = (ALPHA * (1.0 + fields)).mean()
    return system.susceptibility()[2, 2] / number, first


def plot(found, exact, rows, endless):
    """Plot dielectric constants and polarizabilities."""
    figure = Figure(figsize=(8.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(SHARES, exact, "-", label="Clausius and Mossotti")
    left.plot(SHARES, found, "o", label="self-consistent")
    left.plot(SHARES, 1.0 + 3.0 * np.array(SHARES), "--", label="first order")
    left.set(xlabel="4πα/3V", ylabel="dielectric constant")
    left.legend()
    right.semilogx(NUMBERS, rows[:, 0], "o-", label="self-consistent")
    right.semilogx(NUMBERS, rows[:, 1], "s--", label="first order")
    right.axhline(endless, color="0.5", label="endless row")
    right.set(xlabel="atoms in the row", ylabel="polarizability per atom, Å³")
    right.legend()
    figure.savefig(OUTPUT / "17_induced_dipoles.png", dpi=150)


if __name__ == "__main__":
    main()
