"""Make the density responses of aluminium slabs in a field with Quantum ESPRESSO.

``slab_responses.npz`` has slabs of growing thickness, one atom in a layer, distorted:
structures, coefficients of the density of the outer electrons, and their derivatives by
a uniform field along the normal (z), as differences of calculations in two fields. The
field is that outside of the slab, whatever the vacuum (dipole correction). Fields in
the plane of a metal have no response: their columns are NaN.

It needs ``pw.x`` and ``pp.x`` (Debian: ``apt-get install quantum-espresso``, which has
the pseudopotential Al.pz-vbc as well)::

    OMP_NUM_THREADS=1 nice python examples/make_slab_densities.py --output FOLDER

A slab of four layers takes a minute on one core, and a run that was interrupted
continues where it was. Cube files become coefficients by a fit on their grid; the
auxiliary basis is chosen by the change of the density, whose error (the integral of its
absolute value) is in the record of each slab.
"""

import argparse
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
from ase.build import fcc111
from tqdm import tqdm

from lodekit.density import Cube, DensitySet, ElectronDensity, even_tempered, fit_cube
from lodekit.units import BOHR, HARTREE

PSEUDOPOTENTIAL = "Al.pz-vbc.UPF"  # of Debian's package: LDA, three electrons
FOLDER = pathlib.Path("/usr/share/espresso/pseudo")
VALENCE = 3.0
CUTOFF = 20.0  # Rydberg
K_POINTS = 6  # along both directions of the plane
SMEARING = 0.02  # Rydberg, Marzari-Vanderbilt
FIELD = 0.1  # V/Å
FIELD_UNIT = HARTREE / BOHR
LATTICE_CONSTANT = 3.96  # Å, LDA
VACUUM = 7.0  # Å on both sides
DISTORTION = 0.1  # Å
SMALLEST_EXPONENT = 0.09 / BOHR**2
RATIO = 2.0
COUNTS = {"Al": (6, 5, 4, 3)}  # functions of l = 0 to 3
SIZES = {2: 3, 3: 3, 4: 3, 5: 3, 6: 2, 8: 2}  # layers: slabs
SEED = 2028

INPUT = """&control
 calculation = 'scf', prefix = 'slab', outdir = '.', pseudo_dir = '.'
 tefield = .true., dipfield = .true.
/
&system
 ibrav = 0, nat = {n_atoms}, ntyp = 1, ecutwfc = {cutoff}
 occupations = 'smearing', smearing = 'mv', degauss = {smearing}
 edir = 3, emaxpos = 0.95, eopreg = 0.05, eamp = {field}
/
&electrons
 conv_thr = 1d-10, mixing_beta = 0.3, mixing_mode = 'local-TF'
/
ATOMIC_SPECIES
Al 26.98 {pseudopotential}
K_POINTS automatic
{n_k} {n_k} 1 0 0 0
CELL_PARAMETERS angstrom
{cell}
ATOMIC_POSITIONS angstrom
{positions}
"""
CUBE_INPUT = """&inputpp
 prefix = 'slab', outdir = '.', filplot = 'rho', plot_num = 0
/
&plot
 iflag = 3, output_format = 6, fileout = 'rho.cube'
/
"""


def draw_slab(n_layers, generator):
    """A slab in the middle of its cell, below the jump of the saw-tooth potential."""
    slab = fcc111("Al", (1, 1, n_layers), a=LATTICE_CONSTANT, vacuum=VACUUM)
    slab.positions += DISTORTION * generator.normal(size=(n_layers, 3))
    height = slab.cell[2, 2]
    slab.positions[:, 2] += 0.475 * height - slab.positions[:, 2].mean()
    slab.positions = np.round(slab.positions, 8)
    slab.pbc = True  # that of the calculation; the frame is that of a slab
    return slab


def make_frames(sizes):
    """Slabs of all sizes; one does not depend on how many others there are."""
    return [
        draw_slab(n_layers, np.random.default_rng([SEED, n_layers, index]))
        for n_layers, count in sizes.items()
        for index in range(count)
    ]


def run(program, text, folder):
    """Run a program of Quantum ESPRESSO, or stop with the end of its output."""
    done = subprocess.run(
        [program], input=text, cwd=folder, text=True, capture_output=True, check=False
    )
    if done.returncode or "JOB DONE" not in done.stdout:
        raise RuntimeError(f"{program} failed:\n{done.stdout[-1000:]}{done.stderr}")
    if "convergence NOT achieved" in done.stdout:
        raise RuntimeError(f"{program}: no self-consistent field")


def density_in_field(slab, field):
    """Return the density of the outer electrons in a field (V/Å) along the normal."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FOLDER / PSEUDOPOTENTIAL, folder)
        rows = [" ".join(f"{x:.10f}" for x in row) for row in slab.positions]
        text = INPUT.format(
            n_atoms=len(slab),
            cutoff=CUTOFF,
            smearing=SMEARING,
            field=field / FIELD_UNIT,
            pseudopotential=PSEUDOPOTENTIAL,
            n_k=K_POINTS,
            cell="\n".join(" ".join(f"{x:.10f}" for x in row) for row in slab.cell),
            positions="\n".join(f"Al {row}" for row in rows),
        )
        run("pw.x", text, folder)
        run("pp.x", CUBE_INPUT, folder)
        return Cube.read(pathlib.Path(folder) / "rho.cube")


def fit(cube, slab, basis, n_electrons):
    """Return coefficients, and the integral of the absolute error in %."""
    coefficients = fit_cube(cube, slab, basis, n_electrons=n_electrons)
    density = ElectronDensity(slab, basis, coefficients)
    grid = type(cube.grid)(
        cube.grid.origin,
        slab.cell.array / np.array([cube.grid.shape]).T,
        cube.grid.shape,
    )
    error = abs(cube.values - density.on_grid(grid)).sum() / abs(cube.values).sum()
    return coefficients, 100.0 * float(error)


def make_one(slab, basis, path):
    """Calculate one slab, unless a file of an earlier run has it."""
    if path.exists():
        return DensitySet.load(path)
    up, down = (density_in_field(slab, sign * FIELD) for sign in (1.0, -1.0))
    mean = Cube(up.atoms, up.grid, 0.5 * (up.values + down.values))
    change = Cube(up.atoms, up.grid, (up.values - down.values) / (2.0 * FIELD))
    coefficients, density_error = fit(mean, slab, basis, VALENCE * len(slab))
    normal, response_error = fit(change, slab, basis, 0.0)
    response = np.full((len(normal), 3), np.nan)
    response[:, 2] = normal
    record = {
        "code": "Quantum ESPRESSO",
        "pseudopotential": PSEUDOPOTENTIAL,
        "cutoff_rydberg": CUTOFF,
        "k_points": [K_POINTS, K_POINTS, 1],
        "field": FIELD,
        "boundary": "constant field outside of the slab (dipole correction)",
    }
    atoms = slab.copy()
    atoms.pbc = [True, True, False]
    atoms.info["density_fit_percent"] = round(density_error, 3)
    atoms.info["response_fit_percent"] = round(response_error, 3)
    densities = DensitySet(
        [atoms], basis, [coefficients], [response], {13: VALENCE}, record
    )
    densities.save(path)
    return densities


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--largest", type=int, default=max(SIZES), help="layers")
    arguments = parser.parse_args()
    for program in ("pw.x", "pp.x"):
        if shutil.which(program) is None:
            parser.error(f"there is no {program}; install Quantum ESPRESSO")
    if not (FOLDER / PSEUDOPOTENTIAL).exists():
        parser.error(f"there is no {FOLDER / PSEUDOPOTENTIAL}")
    sizes = {n: count for n, count in SIZES.items() if n <= arguments.largest}
    work = arguments.output / "slabs"
    work.mkdir(parents=True, exist_ok=True)
    basis = even_tempered(SMALLEST_EXPONENT, RATIO, COUNTS, "aluminium-response")
    parts = [
        make_one(slab, basis, work / f"{len(slab):02d}_{index:03d}.npz")
        for index, slab in enumerate(tqdm(make_frames(sizes), desc="slabs"))
    ]
    together = DensitySet.join(parts)
    together.save(arguments.output / "slab_responses.npz", overwrite=True)
    print(f"{len(parts)} slabs in {arguments.output / 'slab_responses.npz'}")


if __name__ == "__main__":
    main()
