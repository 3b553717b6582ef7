"""Cases of `benchmarks/polarization.py`: every one returns numbers by name."""

import pathlib
import resource
import time

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list

from lodekit import read_structures
from lodekit.analysis.phonons import (
    displacement_without_field,
    static_dielectric_tensor,
    zone_center_frequencies,
)
from lodekit.electrostatics import InducedDipoles
from lodekit.models import (
    LatentChargeModel,
    PolarizationModel,
    TensorModel,
    WannierModel,
)
from lodekit.observables.branches import fold, polarization_quanta
from lodekit.observables.polarization import BORN_CHARGES, moment_of
from lodekit.settings.potential import build_potential
from lodekit.structures import TARGETS, get_target
from lodekit.terms.tables import build_terms, charge_terms, remainder_terms
from lodekit.units import COULOMB_CONSTANT

ROOT = pathlib.Path(__file__).resolve().parents[1]
N_FOLDS = 5


def folds(frames, n_folds):
    """Yield frames that are fitted and kept, every fifth one kept."""
    for first in range(n_folds):
        kept = frames[first::N_FOLDS]
        yield [atoms for atoms in frames if all(atoms is not k for k in kept)], kept


def root(values):
    """Return the root mean square of arrays."""
    return float(np.sqrt(np.mean(np.concatenate([np.ravel(v) for v in values]) ** 2)))


def judge(model, kept, errors):
    """Append the errors of a model on kept frames, by name."""
    results = model.compute(kept)
    for atoms, result in zip(kept, results, strict=True):
        for name, value in result.items():
            if name == "polarization" and moment_of(atoms) is not None:
                quanta = polarization_quanta(atoms)
                folding = fold([moment_of(atoms)], [value], [quanta])
                errors.setdefault(name, []).append(folding.residuals)
                errors.setdefault("quantum", []).append(folding.shares)
            elif name in TARGETS:
                expected = get_target(atoms, name)
                if expected is not None:
                    difference = np.asarray(value - expected)
                    errors.setdefault(name, []).append(difference)
                    errors.setdefault(f"spread of {name}", []).append(expected)


def report(errors):
    """Return numbers by name."""
    found = {}
    if BORN_CHARGES in errors:
        found["born_charges_rmse"] = root(errors[BORN_CHARGES])
    if "polarizability" in errors:
        scale = root(errors["spread of polarizability"])
        found["polarizability_percent"] = 100.0 * root(errors["polarizability"]) / scale
    if "forces" in errors:
        found["forces_rmse"] = 1e3 * root(errors["forces"])
    if "polarization" in errors:
        found["polarization_rmse"] = root(errors["polarization"])
        found["largest_share_of_half_a_quantum"] = float(
            np.max(np.concatenate(errors["quantum"]))
        )
    return found


def real(file, **arguments):
    """Return a case of real data."""

    def run(options):
        frames = read_structures(options.data / file)
        errors, last = {}, {}
        for train, kept in folds(frames, options.folds):
            model = PolarizationModel(**arguments).fit(train)
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


def wannier(options):
    """Displacements of the Wannier centroids of water, every third frame kept."""
    frames = read_structures(options.data / "deepmd_water_dplr/train.xyz")
    errors, spreads = [], []
    for first in range(min(options.folds, 3)):
        kept = frames[first::3]
        train = [atoms for n, atoms in enumerate(frames) if n % 3 != first]
        model = WannierModel(
            n_sparse=400, center_charges={"O": -8}, targets=["wannier_displacements"]
        ).fit(train)
        results = model.compute(kept, ["wannier_displacements"])
        for atoms, result in zip(kept, results, strict=True):
            oxygen = atoms.numbers == 8
            expected = get_target(atoms, "wannier_displacements")[oxygen]
            errors.append(result["wannier_displacements"][oxygen] - expected)
            spreads.append(expected - expected.mean())
    return {
        "displacement_rmse": root(errors),
        "spread": root(spreads),
        "n_fitted": len(train),
        "n_folds": min(options.folds, 3),
    }


def sagpr_water(options):
    """Dipoles and polarizabilities of water: monomers, and boxes of 32 molecules."""
    folder = options.data / "sagpr_water"
    monomers = read_structures(folder / "monomer_train.xyz")
    targets = ["dipole", "polarizability"]
    model = PolarizationModel(n_sparse=200, targets=targets).fit(monomers[:500])
    errors = {}
    judge(model, monomers[500:], errors)
    found = {
        "monomer_dipole_percent": percent(errors, "dipole"),
        "monomer_polarizability_percent": report(errors)["polarizability_percent"],
        "n_monomers": 500,
    }
    boxes = read_structures(folder / "bulk_train.xyz")[:: options.every]
    for atoms in boxes:  # of whole molecules: a sum of their dipoles, without branches
        atoms.info["cell_dipole"] = atoms.calc.results.pop("dipole")
    train, kept = next(folds(boxes, 1))
    names = ["cell_dipole", "polarizability"]
    model = TensorModel(n_sparse=150, targets=names).fit(train)
    errors = {}
    for atoms, result in zip(kept, model.compute(kept, names), strict=True):
        for name in names:
            expected = atoms.info["cell_dipole"]
            if name == "polarizability":
                expected = get_target(atoms, name)
            errors.setdefault(name, []).append(result[name] - expected)
            errors.setdefault(f"spread of {name}", []).append(expected)
    return {
        **found,
        **report(errors),
        "cell_dipole_percent": percent(errors, "cell_dipole"),
        # of the spread about the mean, as it is published
        "isotropic_percent": deviation_percent(errors, np.trace),
        "anisotropic_percent": deviation_percent(errors, traceless),
        "n_fitted": len(train),
        "n_kept": len(kept),
    }


def percent(errors, name):
    """Return errors in % of the root mean square of what was measured."""
    return 100.0 * root(errors[name]) / root(errors[f"spread of {name}"])


def traceless(matrix):
    """Return a matrix without its mean diagonal."""
    return matrix - np.trace(matrix) / 3.0 * np.eye(3)


def deviation_percent(errors, part):
    """Return errors of a part of polarizabilities in % of its standard deviation."""
    values = np.array([part(own) for own in errors["spread of polarizability"]])
    wrong = [part(own) for own in errors["polarizability"]]
    return 100.0 * root(wrong) / root(values - values.mean(axis=0))


#: Refractive index of water: Born charges over charges that energies tell.
SCREENING = np.sqrt(1.78)


def water_bec_from_energies(options):
    """Born charges of water from energies and forces: latent charges, screened."""
    frames = read_structures(options.data / "water_bec_rpbe/train.xyz")
    train, kept = next(folds(frames, 1))
    train, kept = train[::4], kept[::3]
    (descriptor, covariance, _), *_ = build_terms(
        {"terms": charge_terms(linear=False, far=False)}
    )
    # a remainder that sees less far than charges do leaves them what is theirs
    near = {**remainder_terms()["soap"], "cutoff": 4.5, "n_sparse": 120}
    model = LatentChargeModel(
        descriptor,
        covariance,
        30,
        targets=["energy", "forces"],
        charge_prior=0.1,
        potential=build_potential({"terms": {"soap": near}}),
    ).fit(train)
    names = [BORN_CHARGES, "forces"]
    errors, latent = {}, []
    for atoms, result in zip(kept, model.compute(kept, names), strict=True):
        expected = get_target(atoms, BORN_CHARGES)
        latent.append(result[BORN_CHARGES] - expected)
        errors.setdefault(BORN_CHARGES, []).append(
            SCREENING * result[BORN_CHARGES] - expected
        )
        wrong = result["forces"] - get_target(atoms, "forces")
        errors.setdefault("forces", []).append(wrong)
    return {
        **report(errors),
        "without_screening": root(latent),
        "n_fitted": len(train),
        "n_kept": len(kept),
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
    "sio2": real("allegro_pol/sio2_train.xyz", n_sparse=600),
    "batio3": real("allegro_pol/batio3_train.xyz", n_sparse=400),
    "water_bec": real("water_bec_rpbe/train.xyz", targets=[BORN_CHARGES], n_sparse=300),
    "water_bec_from_energies": water_bec_from_energies,
    "wannier": wannier,
    "sagpr_water": sagpr_water,
    "branches": branches,
    "clausius_mossotti": clausius_mossotti,
    "lo_to": lo_to,
    "cost": cost,
}
