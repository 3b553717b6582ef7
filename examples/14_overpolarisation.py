"""A row of molecules in a field: over-polarisation and its cures
==============================================================

Run it with ``python examples/14_overpolarisation.py``.

Charges that equilibrate flow as far as atoms go, as in a metal: the polarizability of a
row of molecules along the row grows much faster than their number. Molecules that keep
their charge (fragments) polarise like insulators; bonds with a hardness between the
molecules lead from one to the other by one number. Checks the dimer and the endless row
of neutral dimers by closed forms. Writes a plot to ``examples/output``.
"""

import pathlib

import numpy as np
from matplotlib.figure import Figure

from lodekit.electrostatics import (
    ChargeEquilibration,
    SplitChargeEquilibration,
    fragment_constraints,
)
from lodekit.units import COULOMB_CONSTANT

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"

BOND, SPACING = 2.06, 5.64  # of a dimer, and from dimer to dimer, Å
HARDNESS = 14.8  # of point charges, V/e
NUMBERS = [1, 2, 4, 8, 16, 32, 64]
BOND_HARDNESS = [0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, np.inf]  # V/e


def main():
    OUTPUT.mkdir(exist_ok=True)
    rows = np.array([compare(number) for number in NUMBERS])
    print("polarizability per molecule, Å^3")
    print("molecules   no limit   fragments")
    for number, (free, kept) in zip(NUMBERS, rows, strict=True):
        print(f"{number:9d} {free:10.2f} {kept:11.3f}")
    power = np.log2(rows[-1, 0] / rows[-2, 0])
    print(f"the last doubling multiplies it by 2^{power:.2f}")
    cost = 2.0 * (HARDNESS - COULOMB_CONSTANT / BOND)
    print(f"one molecule, closed form {COULOMB_CONSTANT * BOND**2 / cost:.3f}")
    print(f"endless row of neutral ones, closed form {endless(cost):.3f}")
    bridge = np.array([with_bonds(NUMBERS[-1], hard) for hard in BOND_HARDNESS])
    print(f"\n{NUMBERS[-1]} molecules with bonds between them")
    for hard, value in zip(BOND_HARDNESS, bridge, strict=True):
        print(f"bond hardness {hard:8g} V/e {value:10.3f}")
    draw(rows, bridge)


def place(number):
    """Return positions of a row of dimers along z."""
    heights = np.repeat(SPACING * np.arange(number), 2)
    heights += np.tile([0.0, BOND], number)
    return np.outer(heights, [0.0, 0.0, 1.0])


def compare(number):
    """Return the polarizability without limits, and that of neutral molecules."""
    positions = place(number)
    labels = np.repeat(np.arange(number), 2)
    given = positions, None, False, HARDNESS, 0.0
    kept = ChargeEquilibration(*given, constraints=fragment_constraints(labels))
    return per_molecule(ChargeEquilibration(*given)), per_molecule(kept)


def with_bonds(number, bond_hardness):
    """Return the polarizability where bonds from molecule to molecule cost something.

    Those within molecules are free.
    """
    first = np.arange(2 * number - 1)
    hardness = np.where(first % 2 == 0, 0.0, bond_hardness)
    return per_molecule(
        SplitChargeEquilibration(
            place(number),
            None,
            False,
            HARDNESS,
            0.0,
            np.stack([first, first + 1], axis=1),
            hardness,
        )
    )


def per_molecule(equilibration):
    """Return the polarizability along the row per molecule in Å^3.

    The dipole in a field E along z is -z.(dq/dchi) z E.
    """
    heights = equilibration.interaction.positions[:, 2]
    response = equilibration.respond(heights)
    return -COULOMB_CONSTANT * heights @ response / (len(heights) / 2)


def endless(cost):
    """Return the polarizability of one of endlessly many neutral dimers in Å^3.

    Every dimer has the charges ±q: they cost ``cost`` q^2 / 2 (V/e), and interact.
    """
    shifts = SPACING * np.arange(1, 100000)
    pairs = 2.0 / shifts - 1.0 / (shifts + BOND) - 1.0 / (shifts - BOND)
    return COULOMB_CONSTANT * BOND**2 / (cost + 2.0 * COULOMB_CONSTANT * np.sum(pairs))


def draw(rows, bridge):
    """Draw the polarizability against the number of molecules and bond hardness."""
    figure = Figure(figsize=(8.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog(NUMBERS, rows[:, 0], "o-", label="no limit")
    left.loglog(NUMBERS, rows[:, 1], "s-", label="fragments")
    left.set(xlabel="molecules", ylabel="polarizability per molecule, Å³")
    left.legend()
    finite = slice(1, -1)
    right.loglog(BOND_HARDNESS[finite], bridge[finite], "o-", label="bonds")
    right.axhline(rows[-1, 0], color="0.5", label="no limit")
    right.axhline(rows[-1, 1], color="0.5", linestyle="--", label="fragments")
    right.set(xlabel="hardness of bonds between molecules, V/e")
    right.set(title=f"{NUMBERS[-1]} molecules")
    right.legend()
    figure.savefig(OUTPUT / "14_overpolarisation.png", dpi=150)


if __name__ == "__main__":
    main()
