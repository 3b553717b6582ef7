"""Standard deviations of integrals of densities, such as dipoles.

An integral q c of a predicted density has the variance f^2 p (H + s D)^-1 p with p =
Psi^T q and the posterior without the coupling of atoms, see
`lodekit.regression.block_posterior`. What this leaves out goes into the factor f: on
frames left out of the fit, errors of dipoles are as large as their standard deviations.
The electrons that are kept take (q S^-1 s / s S^-1 s) s from q.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lodekit.regression.block_layout import StructureRows
from lodekit.regression.block_posterior import BlockFactors
from lodekit.stored_model import StoredModel

from .basis import DensityBasis
from .channels import channel_places
from .moments import charges_of, dipoles_of
from .sites import Sites


@dataclass
class DensityCovariance:
    """The posterior covariance of the weights of a model of densities.

    Attributes
    ----------
    factors : dict of (z, l) to BlockFactors
    strength : float
        s.
    scale : float
        f.
    """

    factors: dict
    strength: float
    scale: float = 1.0

    def deviation(self, projected: dict) -> float:
        """Return the standard deviation of p w, p (n_shells, rank) by z and l."""
        variances = (
            self.factors[key].variance(values, self.strength)
            for key, values in projected.items()
        )
        return self.scale * float(np.sqrt(sum(variances)))

    def get_state(self) -> tuple[dict, dict]:
        """Return settings and arrays for a model file."""
        arrays = {
            f"covariance/{z}/{l}/{field.name}": getattr(factor, field.name)
            for (z, l), factor in self.factors.items()
            for field in fields(factor)
        }
        return {"strength": self.strength, "scale": self.scale}, arrays

    @classmethod
    def from_stored(cls, stored: StoredModel, shapes: dict) -> DensityCovariance:
        """Return the covariance of `get_state`, with blocks of these shapes."""
        part = stored.part("covariance")
        factors = {}
        for (z, l), (n, rank) in shapes.items():
            sizes = (rank,), (rank, rank), (n,), (n, n)
            factors[z, l] = BlockFactors(
                *(
                    part.array(f"{z}/{l}/{field.name}", *size)
                    for field, size in zip(fields(BlockFactors), sizes, strict=True)
                )
            )
        return cls(factors, part.positive("strength"), part.positive("scale"))


def electron_spread(atoms, basis: DensityBasis) -> tuple[np.ndarray, np.ndarray]:
    """Return s, and S^-1 s with the overlaps S of the functions of single atoms."""
    charges = charges_of(Sites.of_atoms(atoms, basis))
    spread = np.zeros(len(charges))
    for (z, l), where in channel_places(basis, atoms.numbers).items():
        if l == 0:
            charges_of_element = charges[where[0, :, 0]]
            spread[where[:, :, 0]] = np.linalg.solve(
                atomic_overlap(basis, z), charges_of_element
            )
    return charges, spread


def atomic_overlap(basis: DensityBasis, z: int) -> np.ndarray:
    """Return the overlaps of the functions of l = 0 of one atom."""
    shells = [shell for shell in basis.shells_of(z) if shell.l == 0]
    overlap = np.empty((len(shells), len(shells)))
    for i, a in enumerate(shells):
        for j, b in enumerate(shells):
            sums = np.array(a.exponents)[:, None] + np.array(b.exponents)
            parts = np.outer(a.factors, b.factors) * np.sqrt(np.pi) / 4.0 * sums**-1.5
            overlap[i, j] = parts.sum()
    return overlap


def dipole_integrals(atoms, basis: DensityBasis) -> np.ndarray:
    """Return q of the dipole without what electrons that are kept take, (n, 3)."""
    integrals = dipoles_of(Sites.of_atoms(atoms, basis))
    return beside_electrons(atoms, basis, integrals)


def beside_electrons(atoms, basis: DensityBasis, integrals: np.ndarray) -> np.ndarray:
    """Return q (n_functions, n) without what electrons that are kept take."""
    charges, spread = electron_spread(atoms, basis)
    return integrals - np.outer(charges, spread @ integrals) / (charges @ spread)


def project_integrals(integrals: np.ndarray, places: dict, features: dict) -> list:
    """Return Psi^T q for every column of integrals (n_functions, n).

    Parameters
    ----------
    places : dict of (z, l) to ndarray of shape (n_atoms, n_shells, 2 l + 1)
    features : dict of (z, l) to ndarray of shape (n_atoms, 2 l + 1, rank)
    """
    return [
        {
            key: np.einsum("inm,imr->nr", column[where], features[key], optimize=True)
            for key, where in places.items()
        }
        for column in integrals.T
    ]


def calibrate(
    covariance: DensityCovariance,
    weights: dict,
    rows: list[tuple[list, StructureRows]],
    frames: list,
    basis: DensityBasis,
) -> float:
    """Return the factor f that frames left out of the fit ask for.

    Parameters
    ----------
    covariance : DensityCovariance
        Of the fit without these frames, with a factor of 1.
    weights : dict
        Of the same fit.
    rows : list of (indices of frames, StructureRows)
    frames : list of ase.Atoms
        All open ones.
    """
    ratios = []
    for indices, structure_rows in rows:
        residuals = structure_rows.values - structure_rows.expand(weights)
        for number, index in enumerate(indices):
            integrals = dipole_integrals(frames[index], basis)
            features = {
                key: values[number] for key, values in structure_rows.features.items()
            }
            errors = residuals[number] @ integrals
            projected = project_integrals(integrals, structure_rows.places, features)
            deviations = np.array([covariance.deviation(one) for one in projected])
            ratios.append(errors / np.maximum(deviations, 1e-30))
    return float(np.sqrt(np.mean(np.square(ratios))))
