"""Make peptides and polyynes of ``examples/data`` with PySCF.

- ``zwitterions.xyz``: peptides of glycine and alanine, NH3+ ... COO-: short distorted
  ones of one to three residues and neutral, capped ones to learn from, and ideal
  chains of growing length to judge by,
- ``capped_chains.xyz``: ideal chains of growing length with neutral ends,
- ``charge_states.xyz``: distorted amino-polyynes, each geometry neutral and ionised.

Energies, dipoles, two kinds of charges, and of the short peptides forces; units are
eV, Å and e. On one core, everything takes about two hours::

    OMP_NUM_THREADS=1 python examples/make_zwitterions.py --output examples/data

Every finished frame is stored in the ``--work`` folder at once, and ``--resume``
continues from there; ``--largest`` leaves out chains with more atoms.
"""

import argparse
import pathlib
import tempfile

import ase.io
import numpy as np
from ase import Atoms, units
from make_data import FrameStore, distort, labelled_atoms, round_positions
from peptides import build_chain, is_reasonable
from pyscf import dft, gto, lo
from tqdm import tqdm

# All exact exchange at long range: PBE0 has a gap of 0.4 eV for three residues of
# stretched glycine and moves charge between the ends of longer chains, this one 3.9 eV.
FUNCTIONAL = "HYB_GGA_XC_LRC_WPBEH"
BASIS = "def2-SVP"
METHOD = f"LRC-wPBEh/{BASIS}"
# Tolerance in Hartree and level of the grid; coarser ones for the chains, of which the
# dipoles are wanted alone. They change that of three residues by 0.03 of 39 D.
SHORT_SETTINGS = (1e-7, 1)
CHAIN_SETTINGS = (1e-6, 0)
SEED = 2025

BASINS = {  # phi, psi in degrees
    "stretched": (180.0, 180.0),
    "strand": (-139.0, 135.0),
    "helix": (-57.0, -47.0),
    "polyproline": (-75.0, 145.0),
    "turn": (-83.0, 73.0),
}
TORSION_DISTORTION = 15.0  # degrees
SHORT_FRAMES = {  # residues, capped: frames
    (1, False): 12,
    (2, False): 20,
    (3, False): 10,
    (1, True): 12,
}
CHAINS = [  # residue, conformation, numbers of residues
    ("G", "stretched", (1, 2, 3, 4, 5, 6, 8)),
    ("A", "strand", (2, 3, 4, 6)),
    ("A", "helix", (2, 3, 4, 6)),
]
CAPPED_CHAINS = [
    ("G", "stretched", (1, 2, 3, 4, 6)),
    ("A", "strand", (1, 2, 3, 4)),
    ("A", "helix", (2, 3, 4, 6)),
]
POLYYNES = {2: 24, 3: 24, 4: 10}  # triple bonds: geometries


def run_scf(atoms, total_charge=0, settings=SHORT_SETTINGS):
    """Return the converged mean field of ``atoms``, unrestricted for odd electrons."""
    mol = gto.M(
        atom=list(zip(atoms.symbols, atoms.positions, strict=True)),
        basis=BASIS,
        charge=total_charge,
        spin=(sum(atoms.numbers) - total_charge) % 2,
        unit="Angstrom",
        verbose=0,
    )
    mean_field = (dft.UKS if mol.spin else dft.RKS)(mol, xc=FUNCTIONAL).density_fit()
    mean_field.conv_tol, mean_field.grids.level = settings
    mean_field.kernel()
    if not mean_field.converged:
        raise RuntimeError(f"SCF did not converge for {atoms.symbols}")
    return mean_field


def iao_charges(mean_field):
    """Return charges of intrinsic atomic orbitals in e.

    Knizia, J. Chem. Theory Comput. 9, 4834 (2013).
    """
    mol, overlap = mean_field.mol, mean_field.get_ovlp()
    minimal = lo.iao.reference_mol(mol)
    owners = [label[0] for label in minimal.ao_labels(fmt=None)]
    charges = mol.atom_charges().astype(float)
    shape = (-1, *overlap.shape)
    coefficients = np.reshape(mean_field.mo_coeff, shape)
    occupations = np.reshape(mean_field.mo_occ, (len(coefficients), -1))
    for orbitals, occupation in zip(coefficients, occupations, strict=True):
        occupied = orbitals[:, occupation > 0]
        iao = lo.orth.vec_lowdin(lo.iao.iao(mol, occupied), overlap)
        shares = (iao.T @ overlap @ occupied) ** 2
        np.subtract.at(charges, owners, shares @ occupation[occupation > 0])
    return charges


def compute_targets(mean_field, forces):
    """Return the targets of a frame as a dictionary of plain lists and floats."""
    dipole = mean_field.dip_moment(unit="AU", origin=(0.0, 0.0, 0.0), verbose=0)
    targets = {
        "energy": float(mean_field.e_tot * units.Hartree),
        "dipole": np.round(dipole * units.Bohr, 6).tolist(),
        "charges": np.round(iao_charges(mean_field), 6).tolist(),
    }
    if forces:
        gradient = mean_field.nuc_grad_method()
        gradient.verbose = 0
        values = -gradient.kernel() * units.Hartree / units.Bohr
        targets["forces"] = np.round(values, 6).tolist()
    return targets


def orbital_gap(mean_field):
    """Return the gap of the orbitals in eV, the smaller one of both spins."""
    shape = (-1, np.shape(mean_field.mo_energy)[-1])
    energies = np.reshape(mean_field.mo_energy, shape)
    occupations = np.reshape(mean_field.mo_occ, shape)
    spins = zip(energies, occupations, strict=True)
    gaps = [energy[own == 0].min() - energy[own > 0].max() for energy, own in spins]
    return float(min(gaps) * units.Hartree)


def draw_peptide(n_residues, capped, generator):
    """Return a distorted chain of random residues and torsions, and its sequence."""
    while True:
        sequence = "".join(generator.choice(["G", "A"], n_residues))
        basins = generator.choice(list(BASINS.values()), n_residues)
        torsions = basins + generator.normal(
            scale=TORSION_DISTORTION, size=(n_residues, 2)
        )
        twist = generator.normal(scale=TORSION_DISTORTION)
        chain = build_chain(sequence, torsions, capped=capped, twist=twist)
        if is_reasonable(chain):
            distort(chain, generator)
            return chain, sequence


def plan_peptides():
    """Return key, atoms and info of short peptides, sizes mixed."""
    jobs = []
    for (n_residues, capped), count in SHORT_FRAMES.items():
        for copy in range(count):
            generator = np.random.default_rng([SEED, 1, n_residues, capped, copy])
            chain, sequence = draw_peptide(n_residues, capped, generator)
            ends = "capped" if capped else "zwitterion"
            info = {"subset": "train", "ends": ends, "sequence": sequence}
            key = f"{ends} {n_residues} {copy}"
            jobs.append((copy / count, key, chain, info))
    return [job[1:] for job in sorted(jobs, key=lambda job: job[0])]


def plan_chains(largest, capped=False):
    """Return key, atoms and info of ideal chains, the smallest first."""
    jobs, ends = [], "capped" if capped else "zwitterion"
    for residue, conformation, numbers in CAPPED_CHAINS if capped else CHAINS:
        for n_residues in numbers:
            torsions = [BASINS[conformation]] * n_residues
            chain = build_chain(residue * n_residues, torsions, capped=capped)
            info = {
                "subset": "chain",
                "ends": ends,
                "sequence": residue * n_residues,
                "conformation": conformation,
            }
            key = f"{'capped ' * capped}{conformation} {residue} {n_residues}"
            jobs.append((key, chain, info))
    return sorted((j for j in jobs if len(j[1]) <= largest), key=lambda j: len(j[1]))


def build_polyyne(n_triple):
    """Return HC#C-...-NH2, flat and straight."""
    positions, x = [[-1.06, 0.0, 0.0]], 0.0
    for index in range(2 * n_triple):
        positions.append([x, 0.0, 0.0])
        x += 1.36 if index % 2 else 1.215
    x += 1.34 - 1.36
    nitrogen = [x, 0.0, 0.0]
    side = 1.01 * np.array(
        [[np.cos(np.pi / 3), s * np.sin(np.pi / 3), 0] for s in (1, -1)]
    )
    symbols = ["H", *(2 * n_triple * ["C"]), "N", "H", "H"]
    return Atoms(symbols, [*positions, nitrogen, *(nitrogen + side)])


def plan_states():
    """Return key, atoms and info of amino-polyynes; every third geometry is kept."""
    for n_triple, count in POLYYNES.items():
        for copy in range(count):
            generator = np.random.default_rng([SEED, 2, n_triple, copy])
            atoms = build_polyyne(n_triple)
            distort(atoms, generator)
            kept = n_triple == max(POLYYNES) or copy % 3 == 2
            for total_charge in (0, 1):
                info = {
                    "subset": "test" if kept else "train",
                    "total_charge": float(total_charge),
                    "geometry": f"P{n_triple}_{copy:02d}",
                }
                key = f"polyyne {n_triple} {copy} {total_charge}"
                yield key, atoms.copy(), info


def make_frames(jobs, store, settings=SHORT_SETTINGS, *, forces=False):
    """Return labelled frames; what does not converge is printed and left out."""
    frames = []
    for key, atoms, info in tqdm(list(jobs), mininterval=10.0):
        atoms.positions -= atoms.positions.mean(axis=0)
        atoms.positions = np.round(atoms.positions, 6)
        round_positions(atoms)
        frame = store.find(key, atoms)
        info = {"total_charge": 0.0, **info}
        if frame is None:
            try:
                mean_field = run_scf(atoms, int(info["total_charge"]), settings)
            except RuntimeError as error:
                print(f"{key}: left out, {error}")
                continue
            frame = store.add(
                key,
                atoms,
                compute_targets(mean_field, forces),
                mulliken=np.round(mean_field.mulliken_pop(verbose=0)[1], 6).tolist(),
                gap=orbital_gap(mean_field),
            )
        labelled = labelled_atoms(frame, {**info, "gap": round(frame["gap"], 3)})
        labelled.arrays["mulliken_charges"] = np.array(frame["mulliken"])
        frames.append(labelled)
    return frames


def report(path):
    """Print what a file holds."""
    frames = ase.io.read(path, ":")
    print(
        f"{path.name}: {len(frames)} frames of {min(map(len, frames))} to "
        f"{max(map(len, frames))} atoms, {path.stat().st_size / 1e3:.0f} kB, gaps from "
        f"{min(atoms.info['gap'] for atoms in frames):.2f} eV"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    folder = pathlib.Path(__file__).parent / "data"
    work = pathlib.Path(tempfile.gettempdir()) / "lodekit-make-zwitterions"
    parser.add_argument("--output", type=pathlib.Path, default=folder)
    parser.add_argument("--work", type=pathlib.Path, default=work)
    parser.add_argument("--resume", action="store_true", help="keep finished frames")
    parser.add_argument("--largest", type=int, default=72, help="atoms of a chain")
    arguments = parser.parse_args()
    store = FrameStore(arguments.work / "frames.jsonl", arguments.resume, METHOD)
    files = {
        "zwitterions.xyz": make_frames(plan_peptides(), store, forces=True),
        "charge_states.xyz": make_frames(plan_states(), store),
    }
    chains, capped = (plan_chains(arguments.largest, ends) for ends in (False, True))
    files["zwitterions.xyz"] += make_frames(chains, store, CHAIN_SETTINGS)
    files["capped_chains.xyz"] = make_frames(capped, store, CHAIN_SETTINGS)
    for name, frames in files.items():
        ase.io.write(arguments.output / name, frames)
        report(arguments.output / name)


if __name__ == "__main__":
    main()
