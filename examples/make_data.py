"""Make the reference data in ``examples/data`` with PySCF.

Three extended-XYZ files come out, all at one level of theory:

- ``dimers.xyz``: molecular dimers from contact to 14 Å, and their monomers,
- ``water_clusters.xyz``: distorted clusters of one to four water molecules,
- ``isolated_atoms.xyz``: the free atoms.

Units are eV, Å and e throughout; ``examples/data/DATA.md`` lists the keys.
On one core, everything takes about an hour::

    OMP_NUM_THREADS=1 python examples/make_data.py --output examples/data
    python examples/make_data.py --output examples/data --check

Every finished frame is stored in the ``--work`` folder at once, and
``--resume`` continues from there.
"""

import argparse
import functools
import json
import pathlib
import tempfile
from types import SimpleNamespace

import ase.build
import ase.io
import numpy as np
from ase import units
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols, vdw_radii
from ase.optimize import BFGS
from pyscf import dft, gto, lib
from scipy.linalg import block_diag
from scipy.spatial.transform import Rotation
from tqdm import tqdm

# --------------------------------------------------------------------------------
# 1. Settings
# --------------------------------------------------------------------------------

# Exact exchange at long range keeps integer charges on far fragments, and this
# functional varies three times less with the orientation of the grid than wB97X.
FUNCTIONAL = "HYB_GGA_XC_LRC_WPBEH"
BASIS = "def2-SVPD"
METHOD = f"LRC-wPBEh/{BASIS}"
AUXILIARY_BASIS = "def2-universal-jkfit"
SCF_TOLERANCE = 1e-9  # Hartree
GRID_LEVEL = 3
COULOMB_CONSTANT = units.Hartree * units.Bohr  # eV·Å, 14.3996

FREE_ATOM_SPINS = {"H": 1, "C": 2, "N": 3, "O": 2}  # unpaired electrons

# name: (total charge, kind: Charged, Polar or Apolar)
MONOMERS = {
    "NH4+": (1, "C"),
    "CH3NH3+": (1, "C"),
    "HCOO-": (-1, "C"),
    "H2O": (0, "P"),
    "CH2O": (0, "P"),
    "HCN": (0, "P"),
    "CH4": (0, "A"),
    "C2H2": (0, "A"),
}

# Monomer A, monomer B, number of relative orientations.
DIMERS = [
    ("NH4+", "HCOO-", 2),
    ("CH3NH3+", "HCOO-", 1),
    ("NH4+", "NH4+", 1),
    ("NH4+", "CH2O", 1),
    ("HCOO-", "H2O", 2),
    ("H2O", "CH2O", 1),
    ("CH2O", "HCN", 1),
    ("NH4+", "CH4", 1),
    ("HCOO-", "CH4", 1),
    ("H2O", "CH4", 1),
    ("CH2O", "C2H2", 1),
    ("CH4", "CH4", 1),
    ("CH4", "C2H2", 1),
]
CONTACT_SCALE = 0.75  # closest approach in units of the sum of van der Waals radii
N_NEAR_DISTANCES = 8
LONGEST_TRAINING_DISTANCE = 7.0  # Å
FAR_DISTANCES = (8.0, 9.0, 10.5, 12.0, 14.0)  # Å
N_DISTORTED_MONOMERS = 4

WATER_FRAMES = {1: 20, 2: 30, 3: 20, 4: 10}  # molecules: frames
WATER_TEMPERATURE = 300.0 * units.kB  # eV, of the walk of rigid molecules
WATER_STEPS = 1000
SHORTEST_CONTACTS = {"OO": 2.4, "HO": 1.45, "HH": 1.5}  # Å, between molecules
LONGEST_OO_DISTANCE = 4.5  # Å, from each molecule to its nearest one

HYDROGEN_DISTORTION = 0.05  # Å, standard deviation along each axis
HEAVY_ATOM_DISTORTION = 0.02  # Å
SEED = 2024


# --------------------------------------------------------------------------------
# 2. Energy, forces, dipole and charges of one structure
# --------------------------------------------------------------------------------


def run_scf(atoms, total_charge=0, spin=0, density_matrix=None, **settings):
    """Return the converged PySCF mean field of ``atoms``."""
    mol = gto.M(
        atom=list(zip(atoms.symbols, atoms.positions, strict=True)),
        basis=BASIS,
        charge=total_charge,
        spin=spin,
        unit="Angstrom",
        verbose=0,
    )
    mean_field = (dft.UKS if spin else dft.RKS)(mol, xc=FUNCTIONAL)
    mean_field = mean_field.density_fit(auxbasis=AUXILIARY_BASIS)
    mean_field.grids.level = settings.get("grid_level", GRID_LEVEL)
    mean_field.conv_tol = settings.get("tolerance", SCF_TOLERANCE)
    mean_field.kernel(dm0=density_matrix)
    if not mean_field.converged:
        raise RuntimeError(f"SCF did not converge for {atoms.symbols}")
    return mean_field


def compute_forces(mean_field):
    """Return analytic forces in eV/Å, consistent with the finite grid."""
    gradient = mean_field.nuc_grad_method()
    gradient.verbose = 0
    gradient.grid_response = True  # without it, forces do not add up to zero
    return -gradient.kernel() * units.Hartree / units.Bohr


@functools.cache
def free_atom_density(symbol):
    """Return radii and the logarithm of the spherical free-atom density (Bohr)."""
    mean_field = run_scf(ase.Atoms(symbol), spin=FREE_ATOM_SPINS[symbol])
    radii = np.concatenate([[0.0], np.geomspace(1e-4, 60.0, 3000)])
    directions = dft.gen_grid.MakeAngularGrid(50)
    total_density = mean_field.make_rdm1().sum(axis=0)
    average = np.zeros(radii.size)
    for *direction, weight in directions:
        orbitals = mean_field.mol.eval_gto("GTOval", radii[:, None] * direction)
        average += weight * np.einsum("gi,ij,gj->g", orbitals, total_density, orbitals)
    return radii, np.log(np.maximum(average, 1e-100))


def hirshfeld_charges(mean_field):
    """Return Hirshfeld charges in e, from the molecular integration grid.

    The promolecule is made of neutral, spherically averaged free atoms. The
    charges are not renormalised: their sum shows the error of the grid.
    """
    mol, grids = mean_field.mol, mean_field.grids
    integrator, density_matrix = mean_field._numint, mean_field.make_rdm1()
    populations = np.zeros(mol.natm)
    for orbitals, mask, weights, points in integrator.block_loop(mol, grids, mol.nao):
        density = integrator.eval_rho(mol, orbitals, density_matrix, mask, "LDA")
        shares = np.empty((mol.natm, weights.size))
        for atom in range(mol.natm):
            distances = np.linalg.norm(points - mol.atom_coord(atom), axis=1)
            radii, log_density = free_atom_density(mol.atom_symbol(atom))
            shares[atom] = np.exp(np.interp(distances, radii, log_density))
        populations += (shares / shares.sum(axis=0)) @ (weights * density)
    return mol.atom_charges() - populations


def mulliken_charges(mean_field):
    return mean_field.mulliken_pop(verbose=0)[1]


def compute_targets(mean_field):
    """Return the targets of a frame as a dictionary of plain lists and floats."""
    dipole = mean_field.dip_moment(unit="AU", origin=(0.0, 0.0, 0.0), verbose=0)
    return {
        "energy": float(mean_field.e_tot * units.Hartree),
        "forces": compute_forces(mean_field).tolist(),
        "dipole": (dipole * units.Bohr).tolist(),
        "charges": hirshfeld_charges(mean_field).tolist(),
    }


# --------------------------------------------------------------------------------
# 3. Finished frames, stored one by one
# --------------------------------------------------------------------------------


class FrameStore:
    """Finished frames in a file with one JSON object per line.

    A stored frame counts only if its key, its method and its positions are those
    asked for, so that changed settings lead to new calculations.
    """

    def __init__(self, path, resume, method=METHOD):
        self.path = path
        self.method = method
        self.frames = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            path.unlink(missing_ok=True)
        if path.exists():
            for line in path.read_text().splitlines(keepends=True):
                if line.endswith("\n"):  # an interrupted run leaves half a line
                    frame = json.loads(line)
                    self.frames[frame["key"]] = frame

    def find(self, key, atoms=None):
        frame = self.frames.get(key)
        if frame is None or frame["method"] != self.method:
            return None
        if atoms is not None and (
            np.shape(frame["positions"]) != atoms.positions.shape
            or not np.allclose(frame["positions"], atoms.positions, atol=1e-7, rtol=0)
        ):
            return None
        return frame

    def add(self, key, atoms, targets, **extra):
        frame = {
            "key": key,
            "method": self.method,
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "targets": targets,
            **extra,
        }
        with self.path.open("a") as file:
            file.write(json.dumps(frame) + "\n")
        self.frames[key] = frame
        return frame


def labelled_atoms(frame, info):
    """Return atoms with the targets in a calculator and the rest in ``info``."""
    atoms = ase.Atoms(frame["numbers"], frame["positions"], pbc=False)
    atoms.info = {**info, "method": frame["method"]}
    targets = {
        name: value if name == "energy" else np.array(value)
        for name, value in frame["targets"].items()
    }
    atoms.calc = SinglePointCalculator(atoms, **targets)
    return atoms


def round_positions(atoms):
    """Round to the digits that extended XYZ keeps, so that targets belong to them."""
    atoms.positions = np.round(atoms.positions, 8) + 0.0
    return atoms


# --------------------------------------------------------------------------------
# 4. Monomers
# --------------------------------------------------------------------------------


class RelaxationCalculator(Calculator):
    """Energy and forces for the relaxation of a monomer."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, total_charge):
        super().__init__()
        self.total_charge = total_charge

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        mean_field = run_scf(atoms, self.total_charge)
        self.results = {
            "energy": mean_field.e_tot * units.Hartree,
            "forces": compute_forces(mean_field),
        }


def build_monomer(name):
    """Return a starting geometry from the G2 set, ions by changing a neutral."""
    if name == "NH4+":
        atoms = ase.build.molecule("CH4")
        atoms.symbols[0] = "N"
    elif name == "CH3NH3+":
        atoms = ase.build.molecule("C2H6")
        atoms.symbols[1] = "N"
    elif name == "HCOO-":
        atoms = ase.build.molecule("HCOOH")
        hydroxyl = [
            atom.index
            for atom in atoms
            if atom.symbol == "H"
            and min(atoms.get_distances(atom.index, atoms.symbols.search("O"))) < 1.1
        ]
        del atoms[hydroxyl]
    else:
        atoms = ase.build.molecule({"CH2O": "H2CO"}.get(name, name))
    atoms.set_initial_magnetic_moments(None)
    return atoms


def relax_monomers(store):
    """Return the relaxed monomers, centre of mass at the origin, and their dipoles."""
    monomers = {}
    for name, (total_charge, kind) in tqdm(MONOMERS.items(), desc="relaxed monomers"):
        key = f"relaxed {name}"
        frame = store.find(key)
        if frame is None:
            atoms = build_monomer(name)
            # A small push away from the symmetry of the starting geometry.
            atoms.rattle(0.02, seed=SEED)
            atoms.calc = RelaxationCalculator(total_charge)
            if not BFGS(atoms, logfile=None).run(fmax=0.005, steps=60):
                raise RuntimeError(f"{name} did not relax")
            atoms.positions -= atoms.get_center_of_mass()
            round_positions(atoms)
            frame = store.add(key, atoms, compute_targets(run_scf(atoms, total_charge)))
        monomers[name] = SimpleNamespace(
            name=name,
            atoms=ase.Atoms(frame["numbers"], frame["positions"]),
            dipole=np.array(frame["targets"]["dipole"]),
            total_charge=total_charge,
            kind=kind,
        )
    return monomers


def distort(atoms, generator):
    width = np.where(atoms.numbers == 1, HYDROGEN_DISTORTION, HEAVY_ATOM_DISTORTION)
    atoms.positions += width[:, None] * generator.normal(size=(len(atoms), 3))


def make_monomer_frames(monomers, store):
    """Return relaxed and distorted single molecules, randomly turned."""
    frames = []
    for index, monomer in enumerate(tqdm(monomers.values(), desc="monomers")):
        generator = np.random.default_rng([SEED, 1, index])
        for copy in range(1 + N_DISTORTED_MONOMERS):
            atoms = monomer.atoms.copy()
            if copy:
                distort(atoms, generator)
                atoms.positions @= Rotation.random(rng=generator).as_matrix()
            round_positions(atoms)
            key = f"monomer {monomer.name} {copy}"
            frame = store.find(key, atoms)
            if frame is None:
                mean_field = run_scf(atoms, monomer.total_charge)
                frame = store.add(key, atoms, compute_targets(mean_field))
            info = {
                "label": "MONO",
                "dimer_id": f"MONO_{monomer.name}",
                "subset": "train",
                "total_charge": float(monomer.total_charge),
            }
            frames.append(labelled_atoms(frame, info))
    return frames


# --------------------------------------------------------------------------------
# 5. Dimers
# --------------------------------------------------------------------------------


def leading_alignment(first, second, direction):
    """Return the angular factor of the leading multipole term, from -1 to 1.

    -1 is the most attractive arrangement. Only charge-dipole and dipole-dipole
    pairs have one; for all others the answer is None.
    """
    kinds = first.kind + second.kind
    if kinds == "CP":
        along = second.dipole @ direction / np.linalg.norm(second.dipole)
        return -along if first.total_charge > 0 else along
    if kinds == "PP":
        a, b = (m.dipole / np.linalg.norm(m.dipole) for m in (first, second))
        return (a @ b - 3.0 * (a @ direction) * (b @ direction)) / 2.0
    return None


def turned(monomer, rotation):
    result = SimpleNamespace(**vars(monomer))
    result.atoms = monomer.atoms.copy()
    result.atoms.positions = rotation.apply(monomer.atoms.positions)
    result.dipole = rotation.apply(monomer.dipole)
    return result


def draw_orientation(first, second, orientation, generator):
    """Return both monomers turned at random and the direction from A to B.

    Arrangements in which the leading term nearly vanishes are left out, and the
    first orientation of a pair is an attractive one.
    """
    while True:
        pair = [turned(m, Rotation.random(rng=generator)) for m in (first, second)]
        direction = Rotation.random(rng=generator).apply([0.0, 0.0, 1.0])
        alignment = leading_alignment(*pair, direction)
        if alignment is None:
            return *pair, direction
        if alignment < -0.5 if orientation == 0 else abs(alignment) > 0.4:
            return *pair, direction


def contact_distance(first, second, direction):
    """Return the centre-to-centre distance in Å at which the molecules touch."""
    radii = (
        vdw_radii[first.atoms.numbers][:, None] + vdw_radii[second.atoms.numbers][None]
    )
    for distance in np.arange(12.0, 0.0, -0.01):
        vectors = (
            second.atoms.positions[None]
            + distance * direction
            - first.atoms.positions[:, None]
        )
        if np.any(np.linalg.norm(vectors, axis=2) < CONTACT_SCALE * radii):
            return distance
    raise ValueError("these molecules never touch")


def distance_ladder(contact):
    """Return distances in Å, dense at contact, the far ones common to all dimers."""
    steps = np.linspace(0.0, 1.0, N_NEAR_DISTANCES) ** 1.3
    near = contact * (LONGEST_TRAINING_DISTANCE / contact) ** steps
    return [float(d) for d in np.round(near, 3)] + list(FAR_DISTANCES)


def plan_dimers(monomers):
    """Return all dimers as dictionaries of key, atoms, info and both monomers."""
    plan = []
    for index, (name_a, name_b, n_orientations) in enumerate(DIMERS):
        generator = np.random.default_rng([SEED, 2, index])
        for orientation in range(n_orientations):
            first, second, direction = draw_orientation(
                monomers[name_a], monomers[name_b], orientation, generator
            )
            label = first.kind + second.kind
            dimer_id = f"{label}_{name_a}_{name_b}_{orientation}"
            for distance in distance_ladder(contact_distance(first, second, direction)):
                atoms = first.atoms + second.atoms
                atoms.positions[len(first.atoms) :] += distance * direction
                far = distance > LONGEST_TRAINING_DISTANCE
                info = {
                    "label": label,
                    "dimer_id": dimer_id,
                    "subset": "far" if far else "train",
                    "distance": distance,
                    "total_charge": float(first.total_charge + second.total_charge),
                    "chargeA": float(first.total_charge),
                    "chargeB": float(second.total_charge),
                    "indexB": len(first.atoms),
                }
                plan.append(
                    SimpleNamespace(
                        key=f"dimer {dimer_id} {distance:.3f}",
                        atoms=round_positions(atoms),
                        info=info,
                        monomers=(first, second),
                    )
                )
    return plan


def make_dimer_frames(monomers, store):
    """Return all dimer frames, each started from its monomers' densities."""
    frames, fragments = [], {}
    for dimer in tqdm(plan_dimers(monomers), desc="dimers"):
        frame = store.find(dimer.key, dimer.atoms)
        if frame is None:
            dimer_id = dimer.info["dimer_id"]
            if dimer_id not in fragments:  # the same along the whole ladder
                fragments = {
                    dimer_id: [run_scf(m.atoms, m.total_charge) for m in dimer.monomers]
                }
            parts = fragments[dimer_id]
            mean_field = run_scf(
                dimer.atoms,
                int(dimer.info["total_charge"]),
                density_matrix=block_diag(*[part.make_rdm1() for part in parts]),
            )
            part_energies = [float(part.e_tot * units.Hartree) for part in parts]
            charges = mulliken_charges(mean_field)
            frame = store.add(
                dimer.key,
                dimer.atoms,
                compute_targets(mean_field),
                part_energies=part_energies,
                mulliken_charge_a=float(charges[: dimer.info["indexB"]].sum()),
            )
        energy_a, energy_b = frame["part_energies"]
        info = {
            **dimer.info,
            "energyA": energy_a,
            "energyB": energy_b,
            "inter_energy": frame["targets"]["energy"] - energy_a - energy_b,
        }
        frames.append(labelled_atoms(frame, info))
    return frames


# --------------------------------------------------------------------------------
# 6. Water clusters
# --------------------------------------------------------------------------------


def pack_water(water, n_molecules, generator):
    """Return water molecules placed one after the other, 2.8 to 3.4 Å apart."""
    oxygens = [np.zeros(3)]
    while len(oxygens) < n_molecules:
        direction = Rotation.random(rng=generator).apply([0.0, 0.0, 1.0])
        anchor = oxygens[generator.integers(len(oxygens))]
        trial = anchor + generator.uniform(2.8, 3.4) * direction
        if min(np.linalg.norm(trial - oxygen) for oxygen in oxygens) > 2.7:
            oxygens.append(trial)
    cluster = ase.Atoms()
    for oxygen in oxygens:
        molecule = water.copy()
        molecule.positions -= molecule.positions[0]
        molecule.positions @= Rotation.random(rng=generator).as_matrix()
        molecule.positions += oxygen
        cluster += molecule
    return cluster


def intermolecular_distances(cluster):
    """Return all distances in Å, infinite within a molecule."""
    distances = cluster.get_all_distances()
    molecule = np.arange(len(cluster)) // 3
    distances[molecule[:, None] == molecule[None]] = np.inf
    return distances


def contacts_are_reasonable(cluster):
    if len(cluster) == 3:
        return True
    distances = intermolecular_distances(cluster)
    oxygen, hydrogen = cluster.numbers == 8, cluster.numbers == 1
    return (
        distances[np.ix_(oxygen, oxygen)].min() >= SHORTEST_CONTACTS["OO"]
        and distances[np.ix_(hydrogen, oxygen)].min() >= SHORTEST_CONTACTS["HO"]
        and distances[np.ix_(hydrogen, hydrogen)].min() >= SHORTEST_CONTACTS["HH"]
        and distances[::3, ::3].min(axis=1).max() <= LONGEST_OO_DISTANCE
    )


def tip3p_energy(cluster):
    """Return the interaction energy of rigid water molecules in eV.

    Jorgensen et al., J. Chem. Phys. 79, 926 (1983).
    """
    distances = intermolecular_distances(cluster)
    charges = np.where(cluster.numbers == 8, -0.834, 0.417)
    attraction = (3.15061 / distances[::3, ::3]) ** 6
    lennard_jones = 4.0 * 0.1521 * units.kcal / units.mol * (attraction**2 - attraction)
    coulomb = COULOMB_CONSTANT * np.outer(charges, charges) / distances
    return 0.5 * (lennard_jones.sum() + coulomb.sum())


def draw_water_cluster(water, n_molecules, generator):
    """Return a thermal, distorted cluster.

    Rigid molecules make a Metropolis walk with the TIP3P energy, then every atom
    is displaced at random. Clusters with bad contacts are drawn anew.
    """
    while True:
        cluster = pack_water(water, n_molecules, generator)
        if not contacts_are_reasonable(cluster):
            continue
        energy = tip3p_energy(cluster)
        for _ in range(WATER_STEPS if n_molecules > 1 else 0):
            trial = cluster.copy()
            molecule = slice(start := 3 * generator.integers(n_molecules), start + 3)
            rotation = Rotation.from_rotvec(generator.normal(scale=0.2, size=3))
            oxygen = cluster.positions[start]
            trial.positions[molecule] = (
                rotation.apply(cluster.positions[molecule] - oxygen)
                + oxygen
                + generator.normal(scale=0.1, size=3)
            )
            rise = tip3p_energy(trial) - energy
            if generator.random() < np.exp(
                -max(rise, 0.0) / WATER_TEMPERATURE
            ) and contacts_are_reasonable(trial):
                cluster, energy = trial, energy + rise
        distort(cluster, generator)
        cluster.positions -= cluster.get_center_of_mass()
        if contacts_are_reasonable(cluster):
            return round_positions(cluster)


def make_water_frames(monomers, store):
    """Return the water clusters; every fifth of each size is a test frame."""
    jobs = [(size, copy) for size, n in WATER_FRAMES.items() for copy in range(n)]
    frames = []
    for size, copy in tqdm(jobs, desc="water clusters"):
        generator = np.random.default_rng([SEED, 3, size, copy])
        atoms = draw_water_cluster(monomers["H2O"].atoms, size, generator)
        key = f"water {size} {copy}"
        frame = store.find(key, atoms)
        if frame is None:
            frame = store.add(key, atoms, compute_targets(run_scf(atoms)))
        info = {
            "cluster_id": f"W{size}_{copy:02d}",
            "n_molecules": size,
            "subset": "test" if copy % 5 == 4 else "train",
            "total_charge": 0.0,
        }
        frames.append(labelled_atoms(frame, info))
    return frames


# --------------------------------------------------------------------------------
# 7. Isolated atoms
# --------------------------------------------------------------------------------


def make_isolated_atoms(store):
    """Return the spin-polarised free atoms; by symmetry all but the energy is zero."""
    frames = []
    for symbol, spin in tqdm(FREE_ATOM_SPINS.items(), desc="isolated atoms"):
        atoms = ase.Atoms(symbol, [[0.0, 0.0, 0.0]])
        frame = store.find(f"atom {symbol}")
        if frame is None:
            mean_field = run_scf(atoms, spin=spin)
            targets = {
                "energy": float(mean_field.e_tot * units.Hartree),
                "forces": [[0.0, 0.0, 0.0]],
                "dipole": [0.0, 0.0, 0.0],
                "charges": [0.0],
            }
            frame = store.add(f"atom {symbol}", atoms, targets)
        info = {
            "config_type": "IsolatedAtom",
            "unpaired_electrons": spin,
            "total_charge": 0.0,
        }
        frames.append(labelled_atoms(frame, info))
    return frames


# --------------------------------------------------------------------------------
# 8. Checks
# --------------------------------------------------------------------------------


def check_round_trip(path):
    """Print what a file holds after ASE has read it, and how exact its sums are."""
    frames = ase.io.read(path, ":")
    charge_error = force_error = 0.0
    for atoms in frames:
        results = atoms.calc.results
        missing = {"energy", "forces", "dipole", "charges"} - set(results)
        if missing or {"method", "total_charge"} - set(atoms.info):
            raise ValueError(f"{path.name}: a frame lost {missing or 'its info'}")
        if atoms.pbc.any() or atoms.cell.any():
            raise ValueError(f"{path.name}: a frame is not open")
        excess = results["charges"].sum() - atoms.info["total_charge"]
        charge_error = max(charge_error, abs(excess))
        force_error = max(force_error, np.abs(results["forces"].sum(axis=0)).max())
    forces = np.concatenate([atoms.calc.results["forces"] for atoms in frames])
    symbols = sorted({chemical_symbols[z] for a in frames for z in a.numbers})
    print(f"{path.name}: {len(frames)} frames, {path.stat().st_size / 1e3:.0f} kB")
    print(
        f"  elements {' '.join(symbols)}, {min(map(len, frames))} to "
        f"{max(map(len, frames))} atoms"
    )
    print(f"  charges miss total_charge by at most {charge_error:.1e} e")
    print(
        f"  forces add up to at most {force_error:.1e} eV/Å, "
        f"root mean square {np.sqrt(np.mean(forces**2)):.2f} eV/Å, "
        f"largest {np.abs(forces).max():.2f} eV/Å"
    )


def check_dissociation(path):
    """Print how the interaction of each far dimer compares with its point charges."""
    ladders = {}
    for atoms in ase.io.read(path, ":"):
        if atoms.info["label"] != "MONO":
            ladders.setdefault(atoms.info["dimer_id"], []).append(atoms)
    print("inter_energy minus Coulomb energy of the two total charges, in meV, at")
    print("contact, at 7 Å and beyond; farthest Hirshfeld charge of A in e")
    for dimer_id, ladder in ladders.items():
        rest = [
            1e3
            * (
                a.info["inter_energy"]
                - COULOMB_CONSTANT
                * a.info["chargeA"]
                * a.info["chargeB"]
                / a.info["distance"]
            )
            for a in ladder
        ]
        charge = ladder[-1].calc.results["charges"][: ladder[-1].info["indexB"]].sum()
        print(
            f"  {dimer_id:22s} R0 {ladder[0].info['distance']:.2f} Å "
            + " ".join(f"{value:9.2f}" for value in [rest[0], *rest[-6:]])
            + f"  q_A {charge:+.4f}"
        )


def check_stored_mulliken_charges(store):
    """Print the largest charge transfer among the far dimers of two ions."""
    transfers = [
        (abs(frame["mulliken_charge_a"] - 1.0), key)
        for key, frame in store.frames.items()
        if key.startswith("dimer CC") and float(key.split()[-1]) > 7.5
    ]
    if transfers:
        transfer, key = max(transfers)
        print(
            f"CC beyond 7.5 Å: Mulliken charge of A misses +1 by at most "
            f"{transfer:.1e} e ({key})"
        )


def check_forces(path, label, step=2e-3):
    """Print one force component next to the central difference of the energy."""
    atoms = next(a for a in ase.io.read(path, ":") if a.info.get("label") == label)
    total_charge, atom, axis = int(atoms.info["total_charge"]), len(atoms) - 1, 0
    energies = []
    for shift in (step, -step):
        moved = atoms.copy()
        moved.positions[atom, axis] += shift
        energies.append(run_scf(moved, total_charge, tolerance=1e-11).e_tot)
    numerical = -(energies[0] - energies[1]) / (2.0 * step) * units.Hartree
    analytic = atoms.calc.results["forces"][atom, axis]
    print(f"{label}: force {analytic:.6f} eV/Å, central difference {numerical:.6f}")


# --------------------------------------------------------------------------------
# 9. Command line
# --------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path(__file__).parent / "data",
        help="folder for the extended-XYZ files",
    )
    parser.add_argument(
        "--work",
        type=pathlib.Path,
        default=pathlib.Path(tempfile.gettempdir()) / "lodekit-make-data",
        help="folder for finished frames of an unfinished run",
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep the finished frames in --work"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=["isolated_atoms", "dimers", "water_clusters"],
        default=["isolated_atoms", "dimers", "water_clusters"],
        help="files to make",
    )
    parser.add_argument(
        "--check", action="store_true", help="check existing files and stop"
    )
    arguments = parser.parse_args()
    lib.num_threads(1)

    if arguments.check:
        for name in arguments.only:
            check_round_trip(arguments.output / f"{name}.xyz")
        if "dimers" in arguments.only:
            path = arguments.output / "dimers.xyz"
            check_dissociation(path)
            stored = FrameStore(arguments.work / "frames.jsonl", resume=True)
            check_stored_mulliken_charges(stored)
            check_forces(path, "CC")
            check_forces(path, "PA")
        return

    store = FrameStore(arguments.work / "frames.jsonl", arguments.resume)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        if name == "isolated_atoms":
            frames = make_isolated_atoms(store)
        elif name == "dimers":
            monomers = relax_monomers(store)
            frames = make_monomer_frames(monomers, store)
            frames += make_dimer_frames(monomers, store)
        else:
            frames = make_water_frames(relax_monomers(store), store)
        ase.io.write(arguments.output / f"{name}.xyz", frames, format="extxyz")


if __name__ == "__main__":
    main()
