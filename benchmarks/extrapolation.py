"""How often structures are told to be far from the training data, and what that costs.

    python benchmarks/extrapolation.py [CASE ...] --data FOLDER [--json]

Two thirds of the groups of like frames of a file are learned. Of the others ("unseen"),
few may be told of; what a model cannot know has to be: one bond of each of them
stretched to one and a half times its length, all atoms displaced by 0.1 Å, other
boundaries. The case ``crystals`` learns trajectories of copper, silver and gold at
300 K (EMT), and looks at 600 and 1000 K, surfaces and alloys; ``hot_water`` runs liquid
water at 1000 K with a potential fitted to 300 K. ``cost`` compares the time with that
of a force call. Numbers are shares of frames in per cent. The data are not in the
repository (their licences differ); they are looked for in ``../shared/data``.
"""

import argparse
import json
import pathlib
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from ase import units
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.data import covalent_radii
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from lodekit import read_structures
from lodekit.calculators import LodekitCalculator
from lodekit.fitting.groups import can_be_left_out, find_groups
from lodekit.fitting.training_range import TrainingRange
from lodekit.models import SparsePotential
from lodekit.settings.potential import build_potential, remainder_settings

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = {
    "water": ("deepmd_water/train.xyz", 60),
    "nacl_water": ("nacl_water/train.xyz", 60),
    "qm9": ("kqeq_qm9_dipoles/train_random.xyz", 385),
    "dipeptides": ("spice_dipeptides/train.xyz", 200),
    "lode_dimers": ("lode_dimers/train.xyz", 60),
    "water_dimers": ("water_dimers_longrange/train.xyz", 300),
    "sio2": ("allegro_pol/sio2_train.xyz", 90),
    "batio3": ("allegro_pol/batio3_train.xyz", 55),
    "zno_clusters": ("zno_clusters/train.xyz", 100),
    "carbon_chain": ("carbon_chain/train.xyz", 100),
    "nacl_clusters": ("qeqml_nacl_clusters/train.xyz", 80),
}
REPEATS = 3


def share(known, frames):
    """Return the share of frames that are told of, in per cent."""
    found = known.measure(frames)
    return round(100.0 * float(np.mean([own.largest > 1.0 for own in found])), 1)


def stretched(atoms, random):
    """Return a copy with the bond of some atom one and a half times as long."""
    atoms = atoms.copy()
    numbers = atoms.numbers
    distances = atoms.get_all_distances(mic=True) + 99.0 * np.eye(len(atoms))
    first = int(random.integers(len(atoms)))
    radii = covalent_radii[numbers[first]] + covalent_radii[numbers]
    second = int((distances[first] / radii).argmin())
    if numbers[first] > numbers[second]:
        first, second = second, first
    bond = atoms.get_distance(second, first, mic=True, vector=True)
    atoms.positions[first] += 0.5 * bond
    return atoms


def displaced(atoms, seed):
    """Return a copy with all atoms displaced by 0.1 Å."""
    atoms = atoms.copy()
    atoms.rattle(0.1, seed=seed)
    return atoms


def elsewhere(atoms):
    """Return a copy with another boundary."""
    atoms = atoms.copy()
    if atoms.pbc.any():
        atoms.pbc = (True, True, False)
    else:
        atoms.center(vacuum=10.0)
        atoms.pbc = True
    return atoms


def judge_file(folder, path, n_frames):
    """Learn two thirds of the groups of a file, look at the others."""
    frames = read_structures(folder / path)
    places = np.linspace(0, len(frames) - 1, min(n_frames, len(frames))).astype(int)
    frames = [frames[i] for i in places]
    groups = find_groups(frames)
    leavable = can_be_left_out(frames, groups)
    random, shares = np.random.default_rng(0), []
    for _ in range(REPEATS):
        kept = random.choice(leavable, max(1, len(leavable) // 3), replace=False)
        is_kept = np.isin(groups, kept)
        train = [frames[i] for i in np.flatnonzero(~is_kept)]
        known = TrainingRange.learn(train, groups[~is_kept])
        species = set(known.species.tolist())
        others = [frames[i] for i in np.flatnonzero(is_kept)]
        others = [a for a in others if set(a.numbers.tolist()) <= species]
        changed = {
            "unseen": others,
            "stretched": [stretched(a, random) for a in others],
            "displaced": [displaced(a, i) for i, a in enumerate(others)],
            "boundary": [elsewhere(a) for a in others],
        }
        shares.append({name: share(known, some) for name, some in changed.items()})
    return {
        "groups": int(groups.max()) + 1,
        **{name: round(np.mean([s[name] for s in shares]), 1) for name in shares[0]},
    }


def trajectory(atoms, temperature, n_frames, seed=0, every=20):
    """Return frames of a Langevin trajectory."""
    random = np.random.RandomState(seed)
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=random)
    options = {"temperature_K": temperature, "friction": 0.02 / units.fs}
    dynamics, frames = Langevin(atoms, 2 * units.fs, rng=random, **options), []
    dynamics.run(5 * every)
    for _ in range(n_frames):
        dynamics.run(every)
        frames.append(atoms.copy())
    return frames


def crystal(name, temperature, n_frames=12, seed=0):
    """Return frames of a crystal at a temperature."""
    atoms = bulk(name, cubic=True).repeat(2)
    atoms.calc = EMT()
    return trajectory(atoms, temperature, n_frames, seed)


def judge_crystals(folder):
    """Learn bulk metals at 300 K, look at heat, surfaces and alloys."""
    metals = ("Cu", "Ag", "Au")
    train = [atoms for name in metals for atoms in crystal(name, 300)]
    known = TrainingRange.learn(train)
    slabs = [fcc111(name, (2, 2, 4), vacuum=10.0) for name in metals]
    cells = [atoms.copy() for atoms in slabs]
    for atoms in cells:
        atoms.pbc = True
    alloys = [atoms.copy() for atoms in train]
    for atoms in alloys:
        atoms.numbers[0] = 47 if atoms.numbers[0] == 29 else 29
    return {
        "unseen": share(known, [a for n in metals for a in crystal(n, 300, seed=1)]),
        "600 K": share(known, [a for n in metals for a in crystal(n, 600)]),
        "1000 K": share(known, [a for n in metals for a in crystal(n, 1000)]),
        "slab": share(known, slabs),
        "slab in a cell": share(known, cells),
        "alloys": share(known, alloys),
    }


def water_potential(folder):
    """Return a potential of liquid water, and its training frames."""
    frames = read_structures(folder / "deepmd_water/train.xyz")
    model = build_potential(remainder_settings())
    model.set_params(n_sparse=150, energy_noise=1e-3, force_noise=5e-2)
    return model.fit(frames[:10]), frames


def judge_hot_water(folder):
    """Run water at 1000 K with a potential fitted at 300 K."""
    model, frames = water_potential(folder)
    atoms, shares = frames[50].copy(), {}
    atoms.calc = LodekitCalculator(model, on_extrapolation="ignore")
    shares["unseen"] = share(model.training_range_, frames[50:80])
    hot = trajectory(atoms, 1000, 10, every=10)
    shares["1000 K"] = share(model.training_range_, hot)
    return shares


def judge_cost(folder):
    """Compare the time of the measure with that of a force call, per atom."""
    model, frames = water_potential(folder)
    default = SparsePotential(energy_noise=1e-3, force_noise=5e-2).fit(frames[:4])
    some = frames[20:30]
    n_atoms = sum(len(atoms) for atoms in some)

    def seconds(call):
        call()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    measure = seconds(lambda: default.extrapolate(some)) / n_atoms
    forces = {
        "two SOAP terms": seconds(lambda: model.compute(some)) / n_atoms,
        "default": seconds(lambda: default.compute(some)) / n_atoms,
    }
    return {
        "measure, µs/atom": round(1e6 * measure, 1),
        **{f"{n}, µs/atom": round(1e6 * t, 1) for n, t in forces.items()},
        **{f"{n}, %": round(100 * measure / t, 1) for n, t in forces.items()},
    }


OTHERS = {"crystals": judge_crystals, "hot_water": judge_hot_water, "cost": judge_cost}


def main():
    """Run the cases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*FILES, *OTHERS, []])
    parser.add_argument(
        "--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    answers = {}
    for case in arguments.cases or [*FILES, *OTHERS]:
        if case in FILES:
            answers[case] = judge_file(arguments.data, *FILES[case])
        else:
            answers[case] = OTHERS[case](arguments.data)
        if not arguments.json:
            parts = [f"{name} {value}" for name, value in answers[case].items()]
            print(f"{case:14s} {', '.join(parts)}", flush=True)
    if arguments.json:
        print(json.dumps(answers, ensure_ascii=False))


if __name__ == "__main__":
    main()
