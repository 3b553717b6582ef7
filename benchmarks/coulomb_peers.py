"""LAMMPS and torch-pme as `benchmarks/coulomb.py` compares them with lodekit.

Each has ``ladders(target)``, lists of settings from loose to tight, and ``measure``.
"""

import itertools
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lodekit.units import COULOMB_CONSTANT


class Measurement(NamedTuple):
    """What a code found and how long it took.

    Attributes
    ----------
    seconds : float
        Shortest wall time of energy, forces and stress when pairs are known.
    seconds_with_pairs : float
        With the search for pairs.
    energy : float
        In eV.
    forces : ndarray of shape (n_atoms, 3)
        In eV/Å.
    strain_gradient : ndarray of shape (3, 3)
        Volume times stress in eV.
    """

    seconds: float
    seconds_with_pairs: float
    energy: float
    forces: np.ndarray
    strain_gradient: np.ndarray


def best_of(function, repeats):
    """Return the shortest wall time in seconds and the last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


class TorchPme:
    """P3M and PME of torch-pme with automatic differentiation, pairs from vesin."""

    name = "torch-pme"
    #: Cutoff over smearing: what is left out beyond the cutoff.
    DECAYS = {1e-3: (3.6, 4.0), 1e-4: (4.3, 4.7), 1e-6: (5.4, 5.8)}
    KINDS = (("P3MCalculator", 5), ("PMECalculator", 7))
    CUTOFFS = (5.0, 7.0, 9.0, 11.0)
    #: Largest spacings in Å; meshes have powers of two of points, so that few differ.
    SPACINGS = (0.95, 0.45)

    def __init__(self, threads):
        import torch
        import torchpme  # noqa: F401

        torch.set_num_threads(threads)

    def ladders(self, target):
        """Return lists of name, nodes, cutoff, smearing and spacing."""
        ladders = []
        for kind, spacing in itertools.product(self.KINDS, self.SPACINGS):
            for decay in self.DECAYS[target]:
                ladders.append(
                    [(*kind, c, round(c / decay, 3), spacing) for c in self.CUTOFFS]
                )
        return ladders

    def measure(self, settings, structure, repeats):
        """Return a `Measurement`."""
        positions, cell, _ = structure
        search, pairs = best_of(
            lambda: find_pairs(positions, cell, settings[2]), min(repeats, 2)
        )
        seconds, (energy, forces, strain) = best_of(
            lambda: run_torchpme(settings, *structure, pairs), repeats
        )
        scale = COULOMB_CONSTANT
        return Measurement(
            seconds, seconds + search, scale * energy, scale * forces, scale * strain
        )


def find_pairs(positions, cell, cutoff):
    """Return a half list of pairs and their cell shifts."""
    from vesin import NeighborList

    search = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    return search.compute(positions, cell, True, quantities="PS")


def run_torchpme(settings, positions, cell, charges, pairs):
    """Return energy, forces and cell gradient by automatic differentiation."""
    import torch
    import torchpme

    name, nodes, _, smearing, spacing = settings
    kind = getattr(torchpme, name)
    potential = torchpme.CoulombPotential(smearing=smearing)
    calculator = kind(potential, spacing, nodes, full_neighbor_list=False)
    calculator.to(torch.float64)
    positions = torch.tensor(positions, requires_grad=True)
    strain = torch.eye(3, dtype=torch.float64, requires_grad=True)
    moved = positions @ strain
    strained = torch.tensor(np.array(cell)) @ strain
    indices = torch.from_numpy(pairs[0].astype(np.int64))
    shifts = torch.from_numpy(pairs[1].astype(np.float64)) @ strained
    vectors = moved[indices[:, 1]] - moved[indices[:, 0]] + shifts
    distances = torch.linalg.norm(vectors, dim=1)
    q = torch.tensor(charges)[:, None]
    energy = (q * calculator(q, strained, moved, indices, distances)).sum()
    energy.backward()
    return energy.item(), -positions.grad.numpy(), strain.grad.numpy()


class Lammps:
    """pppm of LAMMPS, one process for every core, as its users run it.

    A step of a run that moves nothing computes energy, forces and stress; it is timed
    with the list of pairs kept, and made anew.
    """

    name = "LAMMPS pppm"
    CUTOFFS = (8.0, 9.0, 10.0, 12.0, 14.0)
    #: Targets for which short splines take fine meshes, and many times longer.
    TIGHT = 1e-5
    #: Its accuracies over the wanted relative error: forces here are near 1 eV/Å, its
    #: unit is the force of two charges at 1 Å, 14.4 eV/Å.
    STEPS = 0.2 * 0.65 ** np.arange(8)
    #: Energy of two charges at 1 Å in eV, and eV/Å^3 in bar, as it has them.
    CONSTANT, BAR = 14.399645, 1602176.5

    def __init__(self, threads):
        self.command = [find_program("lmp"), "-log", "none"]
        if threads > 1:
            self.command = [find_program("mpiexec"), "-n", str(threads), *self.command]

    def ladders(self, target):
        """Return lists of cutoff, order of splines, derivatives and accuracy."""
        kinds = ((5, "ik"), (7, "ik"))
        if target < self.TIGHT:
            kinds = kinds[1:]
        return [
            [(cutoff, *kind, float(f"{s * target:.2g}")) for s in self.STEPS]
            for cutoff, kind in itertools.product(self.CUTOFFS, kinds)
        ]

    def measure(self, settings, structure, repeats):
        """Return a `Measurement`."""
        with tempfile.TemporaryDirectory() as folder:
            write_data(Path(folder) / "data", *structure)
            (Path(folder) / "in").write_text(lammps_input(*settings, repeats))
            output = subprocess.run(
                [*self.command, "-in", "in"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            forces = np.loadtxt(Path(folder) / "forces", skiprows=9, usecols=(1, 2, 3))
        times = [
            float(t) / 5 for t in re.findall(r"Loop time of (\S+) .* 5 st", output)
        ]
        (numbers,) = re.findall(r"^result (.*)$", output, re.MULTILINE)
        energy, *pressure = map(float, numbers.split())
        scale = COULOMB_CONSTANT / self.CONSTANT
        xx, yy, zz, yz, xz, xy = pressure
        stress = -np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) / self.BAR
        return Measurement(
            min(times[:repeats]),
            min(times[repeats:]),
            scale * energy,
            scale * forces,
            scale * stress * np.linalg.det(structure[1]),
        )


def find_program(name):
    """Return the path of a program beside this Python, or of the shell."""
    path = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if path is None:
        raise ImportError(f"there is no program {name}")
    return path


def write_data(path, positions, cell, charges):
    """Write the ions of a cubic cell for LAMMPS."""
    length = cell[0, 0]
    lines = ["ions", "", f"{len(charges)} atoms", "1 atom types"]
    lines += [f"0.0 {length:.15g} {axis}lo {axis}hi" for axis in "xyz"]
    lines += ["", "Masses", "", "1 1.0", "", "Atoms # charge", ""]
    for number, (r, q) in enumerate(
        zip(positions % length, charges, strict=True), start=1
    ):
        lines.append(f"{number} 1 {q:g} {r[0]:.17g} {r[1]:.17g} {r[2]:.17g}")
    path.write_text("\n".join(lines) + "\n")


def lammps_input(cutoff, order, derivatives, accuracy, repeats):
    """Return the input of LAMMPS."""
    run = "run 5 pre no post no\n"
    return f"""\
units metal
atom_style charge
read_data data
pair_style coul/long {cutoff}
pair_coeff * *
pair_modify table {0 if accuracy < 1e-6 else 12}
kspace_style pppm {accuracy:g}
kspace_modify order {order} diff {derivatives}
neighbor 0.0 bin
neigh_modify delay 1000 every 1000 check no
thermo_style custom step pe pxx pyy pzz pyz pxz pxy
thermo_modify norm no
thermo 1
run 0
print "result $(pe:%.15g) $(pxx:%.15g) $(pyy:%.15g) $(pzz:%.15g) &
$(pyz:%.15g) $(pxz:%.15g) $(pxy:%.15g)"
write_dump all custom forces id fx fy fz modify sort id format float %.15g
{run * repeats}neigh_modify delay 0 every 1 check no
{run * repeats}"""
