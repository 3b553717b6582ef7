"""Cases of `benchmarks/polarization.py`: every one returns numbers by name."""

import pathlib
import resource
import time

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list
from polarization_errors import folds, judge, report, root
from polarization_screening import screening
from polarization_water import sagpr_water, wannier, water_bec_from_energies

from lodekit import read_structures
from lodekit.analysis.phonons import (
    displacement_without_field,
    static_dielectric_tensor,
    zone_center_frequencies,
)
from lodekit.electrostatics import InducedDipoles
from lodekit.models import PolarizationModel
from lodekit.observables.branches import fold, polarization_quanta
from lodekit.observables.polarization import BORN_CHARGES, moment_of
from lodekit.settings.potential import build_potential
from lodekit.structures import find_target
from lodekit.terms.tables import BY_SPECIES, LODE, SOAP, WIDE_SOAP
from lodekit.terms.tensors import DIPOLE_SOAP, build_tensor_terms
from lodekit.units import COULOMB_CONSTANT

ROOT = pathlib.Path(__file__).resolve().parents[1]

#: U_0 of crystals: the default with all its terms takes more than ten minutes.
CRYSTAL_TERMS = {
    "soap": {**SOAP, "scaling_exponent": 4, "scaling_radius": 2.0, "n_sparse": 400},
    "wide": {**WIDE_SOAP, "n_sparse": 150},
    "lode": {**LODE, "charges": BY_SPECIES, "n_sparse": 200},
}


def without_born_charges(atoms):
    """Return a frame with its other targets."""
    bare = atoms.copy()
    bare.calc = atoms.calc
    del bare.arrays[find_target(atoms, BORN_CHARGES).key]
    return bare


#: Atomic dipoles of crystals: what is far away changes them as well.
DIPOLE_TERMS = {
    "soap": {**DIPOLE_SOAP, "n_sparse": 300},
    "far": {**LODE, "charges": BY_SPECIES, "n_sparse": 80},
}


def real(file, born_every=1, terms=None, dipole_terms=None, **arguments):
    """Return a case of real data.

    Parameters
    ----------
    file : str
    born_every : int
        Born charges of every so many fitted frames are used, the rest of the others.
    terms, dipole_terms : dict, optional
        Of the potential, and of atomic dipoles.
    **arguments
        Of the model.
    """

    def run(options):
        errors, last = {}, {}
        frames = read_structures(options.data / file)
        for train, kept in folds(frames, options.folds):
            train = [
                without_born_charges(atoms) if index % born_every else atoms
                for index, atoms in enumerate(train)
            ]
            potential = build_potential({"terms": terms}) if terms else None
            own = dict(arguments)
            if dipole_terms:
                parts = zip(*build_tensor_terms({"terms": dipole_terms}), strict=True)
                names = ("descriptor", "covariance", "n_sparse")
                own |= dict(zip(names, map(list, parts), strict=True))
            model = PolarizationModel(potential=potential, **own).fit(train)
            judge(model, kept, errors)
            last = model.summary_
        return {
            **report(errors),
            "n_fitted": len(train),
            "n_kept": len(kept),
            "n_folds": options.folds,
            "rank": last["rank"],
            "branch_rounds": last["branch_rounds"],
            "oxidation_states": last["oxidation_states"],
        }

    return run


def branches(options):
    """Scrambled branches in triclinic cells, Born charges of five frames of 240."""
    generator = np.random.default_rng(3)
    skew = np.array([[4.1, 0.0, 0.0], [0.9, 3.8, 0.0], [-0.6, 0.8, 4.3]])
    shares = [[0, 0, 0], [0.5, 0.5, 0.1], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    frames, truths = [], []
    for index in range(300):
        atoms = Atoms("Li2F2", scaled_positions=shares, cell=skew, pbc=True)
        atoms.positions += generator.normal(0.0, 0.12, (4, 3))
        moment, charges = pair_polarization(atoms)
        scrambled = generator.integers(-3, 4, 3)
        noise = generator.normal(0.0, 1e-3, 3)
        atoms.info["polarization"] = moment + noise + scrambled @ atoms.cell[:]
        if index < 5:
            atoms.arrays["REF_becs"] = charges.reshape(-1, 9)
        frames.append(atoms)
        truths.append((moment, -scrambled))
    train, kept = frames[:240], frames[240:]
    model = PolarizationModel(n_sparse=60, n_channels=150).fit(train)
    found = model.compute(train + kept, ["polarization"])
    expected = np.array([moment for moment, _ in truths])
    values = np.array([own["polarization"] for own in found])
    quanta = [polarization_quanta(atoms) for atoms in train]
    references = [moment_of(atoms) for atoms in train]
    folding = fold(references, values[:240], quanta)
    wanted = np.array([own for _, own in truths[:240]])
    offset = folding.branches[0] - wanted[0]  # ions choose one branch for all
    shift = offset @ frames[0].cell[:]
    naive = values_of_average_branch(references, train)
    return {
        "n_frames": 240,
        "n_with_born_charges": 5,
        "right_branches": int((folding.branches - wanted == offset).all(axis=1).sum()),
        "polarization_rmse": root(values[240:] - expected[240:] - shift),
        "noise": 1e-3,
        "spread_without_folding": naive,
        "branch_rounds": model.summary_["branch_rounds"],
    }


def values_of_average_branch(references, frames):
    """Return the error of the mean of polarizations on scrambled branches."""
    values = np.array(references)
    return root(values - values.mean(axis=0))


def pair_polarization(atoms):
    """Return M and Z of dipoles between pairs, d_i = c sum_j exp(-r^2 / 2 s^2) r."""
    width, push = 0.9, {3: 0.4, 9: 0.9}
    i, j, vectors = neighbor_list("ijD", atoms, 4.5)
    charges = np.where(atoms.numbers == 3, 1.0, -1.0)
    scales = np.array([push[z] for z in atoms.numbers])[i]
    scales = scales * np.exp(-(vectors**2).sum(axis=1) / (2.0 * width**2))
    moment = charges @ atoms.positions + scales @ vectors
    outer = np.eye(3) - vectors[:, :, None] * vectors[:, None] / width**2
    slopes = scales[:, None, None] * outer
    born = charges[:, None, None] * np.eye(3)
    np.add.at(born, j, slopes)
    np.add.at(born, i, -slopes)
    return moment, born


def clausius_mossotti(options):
    """Dielectric constants of cubic lattices of polarizable points."""
    found, side = {}, 3.0
    for share in (0.25, 0.5):
        polarizability = share * 3.0 * side**3 / (4.0 * np.pi)
        arguments = np.zeros((1, 3)), side * np.eye(3), True, [polarizability]
        system = InducedDipoles(*arguments, widths=0.0, accuracy=1e-10)
        epsilon = 1.0 + 4.0 * np.pi * system.susceptibility()[0, 0] / side**3
        found[f"epsilon at {share}"] = epsilon
        found[f"error at {share}"] = abs(epsilon - (1 + 2 * share) / (1 - share))
        found[f"first order at {share}"] = 1.0 + 3.0 * share
    return found


def shell_crystal():
    """Return a rocksalt crystal and a model of its energy and polarization."""
    crystal = bulk("LiF", "rocksalt", a=4.0)
    generator = np.random.default_rng(8)
    frames = []
    for _ in range(16):
        atoms = crystal * (2, 1, 1)
        atoms.positions += generator.normal(0.0, 0.1, atoms.positions.shape)
        moment, charges = pair_polarization(atoms)
        atoms.info["polarization"] = moment
        atoms.arrays["REF_becs"] = charges.reshape(-1, 9)
        energy, forces, polarizability = pair_energy(atoms)
        atoms.info["polarizability"] = polarizability.ravel()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return crystal, PolarizationModel(n_sparse=30, n_channels=60).fit(frames)


def pair_energy(atoms):
    """Return energy and forces of a Gaussian repulsion, and a polarizability."""
    width, height = 0.9, 3.0
    i, vectors = neighbor_list("iD", atoms, 4.5)
    values = height * np.exp(-(vectors**2).sum(axis=1) / (2.0 * width**2))
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i, -values[:, None] * vectors / width**2)
    tensors = np.einsum("p,pa,pb->ab", 0.1 * values, vectors, vectors)
    return 0.5 * values.sum(), forces, len(atoms) * np.eye(3) + tensors


def lo_to(options):
    """LO and TO phonons of rocksalt from one model at E = 0 and at D = 0."""
    crystal, model = shell_crystal()
    (result,) = model.compute(crystal)
    charge = result["born_effective_charges"][0, 0, 0]
    epsilon = result["dielectric_tensor"][0, 0]
    transverse = zone_center_frequencies(model, crystal)
    control = displacement_without_field(model, crystal)
    longitudinal = zone_center_frequencies(model, crystal, displacement=control)
    masses = crystal.get_masses()
    square = 4.0 * np.pi * COULOMB_CONSTANT * charge**2 * masses.sum()
    square /= crystal.get_volume() * epsilon * masses.prod()
    factor = 1e-12 * units.s / (2.0 * np.pi)
    found = (longitudinal[-1] ** 2 - transverse[-1] ** 2) / factor**2
    static = static_dielectric_tensor(model, crystal)[0, 0]
    return {
        "to_thz": transverse[-1],
        "lo_thz": longitudinal[-1],
        "relative_error_of_the_splitting": abs(found / square - 1.0),
        "lyddane_sachs_teller_error": abs(
            static / epsilon / (longitudinal[-1] / transverse[-1]) ** 2 - 1.0
        ),
    }


def cost(options):
    """Seconds of a call for 1,000 atoms: energy and forces, and all responses."""
    _, model = shell_crystal()
    atoms = bulk("LiF", "rocksalt", a=4.0, cubic=True) * 5
    generator = np.random.default_rng(1)
    atoms.positions += generator.normal(0.0, 0.05, atoms.positions.shape)
    names = [["energy", "forces"]]
    names.append([*names[0], "polarization", "born_effective_charges"])
    seconds = []
    for wanted in names:
        model.compute(atoms, wanted)
        start = time.perf_counter()
        model.compute(atoms, wanted)
        seconds.append(time.perf_counter() - start)
    return {
        "n_atoms": len(atoms),
        "energy_and_forces_seconds": seconds[0],
        "with_born_charges_seconds": seconds[1],
        "ratio": seconds[1] / seconds[0],
        **induced_cost(),
    }


def induced_cost(n=22):
    """Return seconds and memory of the induced dipoles of n^3 periodic atoms."""
    generator = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1)
    positions = 2.2 * grid.reshape(-1, 3) + generator.normal(0.0, 0.1, (n**3, 3))
    charges = generator.normal(size=n**3)
    start = time.perf_counter()
    system = InducedDipoles(
        positions, 2.2 * n * np.eye(3), True, np.full(n**3, 0.8), accuracy=1e-5
    )
    system.solve(charges - charges.mean())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2.0**20
    return {
        "induced_atoms": n**3,
        "induced_seconds": time.perf_counter() - start,
        "peak_memory_gb": memory,
    }


CASES = {
    "sio2": real("allegro_pol/sio2_train.xyz", 4, CRYSTAL_TERMS, DIPOLE_TERMS),
    "batio3": real("allegro_pol/batio3_train.xyz", 2, CRYSTAL_TERMS, DIPOLE_TERMS),
    "water_bec": real("water_bec_rpbe/train.xyz", targets=[BORN_CHARGES], n_sparse=300),
    "water_bec_from_energies": water_bec_from_energies,
    "wannier": wannier,
    "sagpr_water": sagpr_water,
    "branches": branches,
    "clausius_mossotti": clausius_mossotti,
    "lo_to": lo_to,
    "screening": screening,
    "cost": cost,
}
