"""Models with simple laws for tests of the audit, and what breaks each law."""

import numba
import numpy as np
from stub_model import CUTOFF, pair_sums

HARDNESS = np.array([6.0, 9.0])  # V/e of H and O
ELECTRONEGATIVITY = np.array([2.0, 5.0])  # V
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


class PairModel:
    """Pair energies within a cutoff: short-ranged, without charges."""

    properties = ("energy", "forces", "stress")
    reach = CUTOFF

    def compute(self, frames, properties=None):
        results = []
        for atoms in frames:
            energies, forces, strain = pair_sums(atoms)
            result = {"energy": energies.sum(), "forces": forces}
            if atoms.pbc.all():
                result["stress"] = strain[VOIGT] / atoms.get_volume()
            self.spoil(result, atoms, frames)
            results.append({name: result[name] for name in properties})
        return results

    def spoil(self, result, atoms, frames):
        """Break a law."""


class ScaledForces(PairModel):
    def spoil(self, result, atoms, frames):
        result["forces"] = 1.0001 * result["forces"]


class WrongSign(PairModel):
    def spoil(self, result, atoms, frames):
        result["forces"] = -result["forces"]
        if "stress" in result:
            result["stress"] = -result["stress"]


class WithCurl(PairModel):
    """Forces that turn around the z axis through the first atom, of curl 2e-3."""

    def spoil(self, result, atoms, frames):
        x, y, _ = (atoms.positions - atoms.positions[0]).T
        result["forces"] += 1e-3 * np.stack([-y, x, 0.0 * x], axis=1)


class WrongStressOrder(PairModel):
    def spoil(self, result, atoms, frames):
        if "stress" in result:
            result["stress"] = result["stress"][[0, 1, 2, 5, 4, 3]]


class WithOrigin(PairModel):
    def spoil(self, result, atoms, frames):
        result["energy"] += 1e-3 * atoms.positions[:, 0].sum()


class WithDirection(PairModel):
    def spoil(self, result, atoms, frames):
        result["energy"] += 1e-3 * np.ptp(atoms.positions[:, 0]) ** 2


class WithHandedness(PairModel):
    def spoil(self, result, atoms, frames):
        first, *others = atoms.positions[:4]
        result["energy"] += 1e-3 * np.linalg.det(others - first)


class WithOrder(PairModel):
    def spoil(self, result, atoms, frames):
        weights = np.arange(len(atoms))[:, None]
        result["forces"] = result["forces"] + 1e-3 * weights


class WithCompany(PairModel):
    def spoil(self, result, atoms, frames):
        result["energy"] += 1e-3 * len(frames)


class WithThreads(PairModel):
    def spoil(self, result, atoms, frames):
        result["energy"] += 1e-3 * numba.get_num_threads()


class NotExtensive(PairModel):
    def spoil(self, result, atoms, frames):
        result["energy"] += 1e-4 * len(atoms) ** 2


class LogarithmicTail(PairModel):
    def spoil(self, result, atoms, frames):
        distances = atoms.get_all_distances()
        result["energy"] += 1e-3 * np.log1p(distances).sum()


class LongReach(PairModel):
    def spoil(self, result, atoms, frames):
        vectors = atoms.get_all_distances(vector=True, mic=bool(atoms.pbc.any()))
        distances = np.linalg.norm(vectors, axis=2) + np.eye(len(atoms))
        result["forces"] = result["forces"] + (
            vectors / distances[:, :, None] ** 3
        ).sum(1)


class NoNumber(PairModel):
    def spoil(self, result, atoms, frames):
        result["energy"] = np.nan


class SharedCharges(PairModel):
    """Charges of neighbours within the cutoff, and equal shares of what is missing."""

    properties = ("charges", "dipole", "quadrupole")

    def compute(self, frames, properties=None):
        results = []
        for atoms in frames:
            distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
            charges = (np.maximum(1.0 - distances / self.reach, 0.0) ** 2).sum(axis=1)
            charges += atoms.info.get("total_charge", 0.0) / len(atoms) - charges.mean()
            self.spoil_charges(charges, atoms)
            second = np.einsum("i,ia,ib->ab", charges, atoms.positions, atoms.positions)
            second -= np.trace(second) / 3.0 * np.eye(3)
            result = {
                "charges": charges,
                "dipole": charges @ atoms.positions,
                "quadrupole": second[VOIGT],
            }
            results.append({name: result[name] for name in properties})
        return results

    def spoil_charges(self, charges, atoms):
        """Break a law."""


class MissingCharge(SharedCharges):
    def spoil_charges(self, charges, atoms):
        charges[0] += 1e-8


class FarCharges(SharedCharges):
    def spoil_charges(self, charges, atoms):
        distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        charges += (1e-3 / (1.0 + distances) * atoms.numbers).sum(axis=1)
