"""Dipoles of growing zwitterions: explicit, implicit and equilibrated charges
===========================================================================

Run it with ``python examples/12_three_paradigms.py``, or with names of models alone.

Peptides NH3+ ... COO- of one to three residues and neutral, capped ones teach models of
charges: `ChargeModel` from reference charges and dipoles, `DipoleModel` from dipoles,
`LatentChargeModel` from energies and forces, `ChargeEquilibrationModel` from dipoles,
as soft as these say, soft as a metal, and over bonds. Chains of growing length judge
their dipoles, beside those of reference charges and of one charge for every element.
Writes errors against length to ``examples/output``.
"""

import os
import pathlib
import sys
import time

import numpy as np
from matplotlib.figure import Figure

from lodekit import read_structures
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    LatentChargeModel,
)
from lodekit.structures import get_target
from lodekit.terms.tables import default_charge_terms
from lodekit.units import DEBYE

DATA = pathlib.Path(__file__).resolve().parent / "data" / "zwitterions.xyz"
OUTPUT = pathlib.Path(__file__).resolve().parent / "output"
SMALL = os.environ.get("LODEKIT_EXAMPLES") == "small"  # as for the pages

KINDS = ("stretched", "strand", "helix")  # glycine, alanine, alanine
COLUMNS = (*KINDS, "all", "longest")

TERMS = default_charge_terms(linear=False)
SOAP = [list(part) for part in zip(*TERMS, strict=True)]  # without linear terms
DESCRIPTOR, COVARIANCE, _ = SOAP

MODELS = {
    "explicit": ChargeModel(targets=["charges", "dipole"]),
    "explicit, SOAP": ChargeModel(*SOAP, targets=["charges", "dipole"]),
    "dipoles": DipoleModel(),
    "dipoles, SOAP": DipoleModel(*SOAP),
    "implicit": LatentChargeModel(
        DESCRIPTOR, COVARIANCE, 50, targets=["energy", "forces"]
    ),
    "equilibrated": ChargeEquilibrationModel(targets=["dipole"]),
    "equilibrated, SOAP": ChargeEquilibrationModel(*SOAP, targets=["dipole"]),
    "equilibrated, soft": ChargeEquilibrationModel(
        *SOAP, targets=["dipole"], hardness=1.0
    ),
    "equilibrated, bonds": ChargeEquilibrationModel(
        *SOAP, targets=["dipole"], hardness=1.0, bond_hardness="fit"
    ),
}


def main():
    OUTPUT.mkdir(exist_ok=True)
    frames = read_structures(DATA)
    train = [atoms for atoms in frames if atoms.info["subset"] == "train"]
    chains = [atoms for atoms in frames if atoms.info["subset"] == "chain"]
    chains.sort(key=len)
    sizes = np.array([len(atoms) for atoms in chains])
    print(
        f"{len(train)} frames of up to {max(map(len, train))} atoms to learn from, "
        f"{len(chains)} chains of {sizes.min()} to {sizes.max()} atoms to judge by"
    )
    references = {
        "element charges": element_dipoles(train),
        "Mulliken charges": lambda a: a.arrays["mulliken_charges"] @ a.positions,
        "IAO charges": lambda a: get_target(a, "charges") @ a.positions,
    }
    print(f"{'error of the dipole, D':24}" + (5 * "{:>10}").format(*COLUMNS))
    lengths = np.linalg.norm([get_target(a, "dipole") for a in chains], axis=1) / DEBYE
    report("the dipole itself", lengths, chains)
    errors = {}
    for name, dipole in references.items():
        errors[name] = judge([dipole(atoms) for atoms in chains], chains)
        report(name, errors[name], chains)
    few = [name for name in MODELS if "," not in name] if SMALL else MODELS
    for name in sys.argv[1:] or few:
        model = MODELS[name]
        start = time.process_time()
        results = model.fit(train).compute(chains, ["dipole"])
        seconds = time.process_time() - start
        errors[name] = judge([result["dipole"] for result in results], chains)
        report(name, errors[name], chains, f"  {seconds:5.1f} s")
    draw(errors, chains)


def element_dipoles(train):
    """Return the dipole of a structure with one charge for every element.

    Least squares of the dipoles; every structure is neutral as all positions count from
    their mean, which gives every atom the same share of what is missing.
    """
    species = np.unique(np.concatenate([atoms.numbers for atoms in train]))

    def sums(atoms):
        positions = atoms.positions - atoms.positions.mean(axis=0)
        return np.array([positions[atoms.numbers == z].sum(axis=0) for z in species]).T

    rows = np.vstack([sums(atoms) for atoms in train])
    values = np.concatenate([get_target(atoms, "dipole") for atoms in train])
    charges = np.linalg.lstsq(rows, values)[0]
    return lambda atoms: sums(atoms) @ charges


def judge(found, chains):
    """Return the lengths in D of the errors of dipoles."""
    expected = [get_target(atoms, "dipole") for atoms in chains]
    return np.linalg.norm(np.subtract(found, expected), axis=1) / DEBYE


def of_kind(chains, kind):
    """Return which chains have a conformation."""
    return np.array([atoms.info["conformation"] == kind for atoms in chains])


def report(name, values, chains, end=""):
    """Print means by conformation, of all, and of the longest chain."""
    means = [values[of_kind(chains, kind)].mean() for kind in KINDS]
    row = [*means, values.mean(), values[-1]]
    print(f"{name:24}" + (5 * "{:10.2f}").format(*row) + end, flush=True)


def draw(errors, chains):
    """Write errors against the number of atoms, a panel for each conformation."""
    sizes = np.array([len(atoms) for atoms in chains])
    figure = Figure(figsize=(13.0, 4.0), layout="constrained")
    for kind, panel in zip(KINDS, figure.subplots(1, 3, sharey=True), strict=True):
        own = of_kind(chains, kind)
        for name, values in errors.items():
            style = "o-" if name in MODELS else ".--"
            panel.plot(sizes[own], values[own], style, label=name)
        panel.set(title=kind, xlabel="atoms", yscale="log")
    figure.axes[0].set(ylabel="error of the dipole, D")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    figure.savefig(OUTPUT / "12_three_paradigms.png", dpi=150)


if __name__ == "__main__":
    main()
