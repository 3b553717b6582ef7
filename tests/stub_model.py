"""A small model with the interface of lodekit.models, quick enough for every test."""

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list

from lodekit.models.model import Model
from lodekit.structures import get_target

CUTOFF = 3.0
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])


def pair_sums(atoms):
    """Energy, forces and virial of sum_pairs (1 - r / CUTOFF)^3."""
    i, j, r, vectors = neighbor_list("ijdD", atoms, CUTOFF)
    energies = np.bincount(i, 0.5 * (1 - r / CUTOFF) ** 3, minlength=len(atoms))
    slopes = -3 / CUTOFF * (1 - r / CUTOFF) ** 2
    directions = vectors / r[:, None]
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i, slopes[:, None] * directions)
    strain = 0.5 * np.einsum("p,pa,pb->ab", slopes, directions, vectors)
    return energies, forces, strain


class StubModel:
    """E = strength * pair sum + shift * n_atoms, fitted to energies."""

    properties = (
        "energy",
        "forces",
        "stress",
        "energies",
        "energy_std",
        "forces_std",
        "energies_std",
    )
    training_range_ = None
    reads_fields = False
    reads_point_charges = False
    check_labelled = Model.check_labelled

    def __init__(self, progress=False, settings=None):
        self.progress = progress
        self.settings = settings

    def fit(self, frames, sample_weight=None, groups=None):
        self.sample_weight_ = sample_weight
        rows = np.array([[pair_sums(a)[0].sum(), len(a)] for a in frames])
        energies = np.array([get_target(a, "energy") for a in frames])
        self.weights_ = np.linalg.lstsq(rows, energies, rcond=None)[0]
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self.summary_ = {
            "n_structures": len(frames),
            "n_rows": {"energy": len(frames)},
            "species": self.species_.tolist(),
            "rank": 2,
            "condition_number": 1.0,
            "noises": {"energy": 1e-3},
            "std_scales": {},
            "seconds": {"solution": 0.0},
        }
        return self

    def compute(self, frames, properties=None):
        if isinstance(frames, Atoms):
            frames = [frames]
        known = self.species_
        results = []
        for atoms in frames:
            for symbol, z in zip(atoms.symbols, atoms.numbers, strict=True):
                if z not in known:
                    raise ValueError(
                        f"frame 0 has {symbol}, which the model has not seen"
                    )
            energies, forces, strain = pair_sums(atoms)
            strength, shift = self.weights_
            result = {
                "energy": strength * energies.sum() + shift * len(atoms),
                "energies": strength * energies + shift,
                "forces": strength * forces,
                "energy_std": 1e-3 * len(atoms),
                "energies_std": np.full(len(atoms), 1e-3),
                "forces_std": np.full((len(atoms), 3), 2e-3),
            }
            if atoms.pbc.all():
                s = strength * strain / atoms.get_volume()
                result["stress"] = s[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
            default = ("energy", "forces", "stress", "energies")
            wanted = default if properties is None else properties
            results.append({k: v for k, v in result.items() if k in wanted})
        return results

    def predict(self, frames):
        return np.array([result["energy"] for result in self.compute(frames)])

    def get_state(self):
        return {
            "class": "StubModel",
            "settings": {"summary": self.summary_},
            "arrays": {"weights": self.weights_},
        }

    @classmethod
    def from_state(cls, state):
        model = cls()
        model.summary_ = state["settings"]["summary"]
        model.species_ = np.array(model.summary_["species"])
        model.weights_ = state["arrays"]["weights"]
        return model


def make_frames(n_frames=12, periodic=False, noise=0.002, seed=0):
    """Water-like frames whose targets are the stub with strength 2, and noise."""
    random = np.random.default_rng(seed)
    frames = []
    for number in range(n_frames):
        n_atoms = 3 + number % 3
        grid = np.array(
            [[0, 0, 0], [1.5, 0, 0], [0, 1.5, 0], [0, 0, 1.5], [1.5, 1.5, 0]]
        )
        positions = grid[:n_atoms] + random.normal(scale=0.15, size=(n_atoms, 3))
        atoms = Atoms("OHHOH"[:n_atoms], positions)
        if periodic:
            atoms.set_cell(np.diag([6.0, 6.5, 7.0]))
            atoms.pbc = True
        energies, forces, strain = pair_sums(atoms)
        results = {
            "energy": 2 * energies.sum() - 3.0 * n_atoms + random.normal(scale=noise),
            "forces": 2 * forces + random.normal(scale=noise, size=forces.shape),
        }
        if periodic:
            stress = 2 * strain / atoms.get_volume()
            results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info["label"] = "near" if number % 2 else "far"
        frames.append(atoms)
    return frames


def make_waters(n_frames=20, stretches=()):
    """Molecules near their minimum, with bonds of the last ones stretched."""
    frames = []
    for seed in range(n_frames):
        atoms = molecule("H2O")
        atoms.rattle(0.03, seed=seed)
        frames.append(atoms)
    for atoms, factor in zip(frames[::-1], stretches, strict=False):
        atoms.positions[1] += (factor - 1.0) * (atoms.positions[1] - atoms.positions[0])
    for atoms in frames:
        energies, forces, _ = pair_sums(atoms)
        atoms.calc = SinglePointCalculator(atoms, energy=energies.sum(), forces=forces)
    return frames
