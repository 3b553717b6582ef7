"""Cases of `benchmarks/polarization.py`: every one returns numbers by name."""

import pathlib

import numpy as np
from ase import Atoms

from lodekit import read_structures
from lodekit.models import PolarizationModel
from lodekit.observables.branches import fold, polarization_quanta
from lodekit.observables.polarization import BORN_CHARGES, moment_of
from lodekit.structures import TARGETS, get_target

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
    from ase.neighborlist import neighbor_list

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


CASES = {
    "sio2": real("allegro_pol/sio2_train.xyz", n_sparse=500),
    "batio3": real("allegro_pol/batio3_train.xyz", n_sparse=500),
    "water_bec": real("water_bec_rpbe/train.xyz", targets=[BORN_CHARGES], n_sparse=500),
    "branches": branches,
}
