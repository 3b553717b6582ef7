"""Predictions of densities for a few frames at a time, with exact electrons."""

from __future__ import annotations

import numpy as np

from lodekit.density import DensityBasis, ElectronDensity, channel_places
from lodekit.density.moments import dipoles_of
from lodekit.density.perturbations import PointCharges, UniformField, point_charges
from lodekit.density.sites import Sites
from lodekit.density.uncertainty import (
    beside_electrons,
    dipole_integrals,
    electron_spread,
    project_integrals,
)
from lodekit.fitting.density_fit import mean_coefficients
from lodekit.observables.charge_observable import total_charge
from lodekit.structures import get_target
from lodekit.structures.stress import as_voigt
from lodekit.units import COULOMB_CONSTANT

#: What is predicted: coefficients, or their changes in a field.
COEFFICIENTS = "density_coefficients"
RESPONSE = "density_response"
CHARGE_RESPONSE = "density_charge_response"
POLARIZABILITY = "polarizability"
#: Integrals that have standard deviations.
DIPOLE_STD = "dipole_std"
POLARIZABILITY_STD = "polarizability_std"
INDUCED_DIPOLE_STD = "induced_dipole_std"


def predict_properties(model, frames, wanted: list[str]) -> list[dict]:
    """Return properties of a few frames.

    Weights that are fitted to point charges know what a uniform field does as well:
    polarizabilities follow without any charges.
    """
    asked = wanted
    if isinstance(model.perturbation, PointCharges):
        asked = [name for name in wanted if name != POLARIZABILITY]
    results = [{} for _ in frames]
    if asked:
        results = DensityPrediction(model, frames).results(asked)
    if len(asked) < len(wanted):
        field = UniformField(model.perturbation.orders)
        more = DensityPrediction(model, frames, field).results([POLARIZABILITY])
        for result, other in zip(results, more, strict=True):
            result |= other
    return results


class DensityPrediction:
    """Predictions of a fitted `ElectronDensityModel` for some frames.

    Parameters
    ----------
    model : ElectronDensityModel
    frames : list of ase.Atoms
    perturbation : UniformField, optional
        Another one than that of the fit.
    """

    def __init__(self, model, frames, perturbation=None):
        self.model, self.frames = model, frames
        self.features = model.features_.evaluate(frames, perturbation)
        self.values = model.features_.values(self.features, model.weights_)

    @property
    def n_cases(self) -> int:
        """Arrays of coefficients of a frame."""
        return len(next(iter(self.values.values())))

    def results(self, wanted: list[str]) -> list[dict]:
        """Return properties of every frame."""
        results = []
        starts = dict.fromkeys(self.values, 0)
        has_std = any(name.endswith("_std") for name in wanted)
        for atoms in self.frames:
            before = dict(starts)
            coefficients = self.coefficients(atoms, starts)
            result = self.properties(atoms, coefficients, wanted)
            if has_std:
                result |= self.deviations(atoms, before)
            results.append({name: result[name] for name in wanted})
        return results

    def deviations(self, atoms, starts: dict) -> dict:
        """Return standard deviations of the dipole, or of the polarizability."""
        model = self.model
        integrals = dipole_integrals(atoms, model.basis_)
        projected = self.project(atoms, starts, integrals)
        if len(projected) == 1:
            values = [model.covariance_.deviation(rows) for rows in projected[0]]
            return {model.deviation_property: np.array(values)}
        matrix = np.empty((3, 3))
        for a, b in np.ndindex(3, 3):
            mean = {
                key: 0.5 * (projected[b][a][key] + projected[a][b][key])
                for key in projected[a][b]
            }
            matrix[a, b] = COULOMB_CONSTANT * model.covariance_.deviation(mean)
        return {POLARIZABILITY_STD: matrix}

    def project(self, atoms, starts: dict, integrals: np.ndarray) -> list[list[dict]]:
        """Return p of every case and every column of integrals (n_functions, n)."""
        places = channel_places(self.model.basis_, atoms.numbers)
        projected = []
        for case in range(self.n_cases):
            features = {
                key: self.features[key][case, starts[key] : starts[key] + len(where)]
                for key, where in places.items()
            }
            projected.append(project_integrals(integrals, places, features))
        return projected

    def integral_std(self, integrals) -> np.ndarray:
        """Return standard deviations for the first frame.

        Parameters
        ----------
        integrals : ndarray of shape (n_functions, n)

        Returns
        -------
        deviations : ndarray of shape (n,) or (n, 3)
        """
        atoms, model = self.frames[0], self.model
        size = model.basis_.size(atoms.numbers)
        integrals = np.asarray(integrals, dtype=float)
        if integrals.ndim != 2 or len(integrals) != size:
            raise ValueError(
                f"`integrals` must have shape ({size}, n), one row for every function, "
                f"got {integrals.shape}"
            )
        columns = beside_electrons(atoms, model.basis_, integrals)
        projected = self.project(atoms, dict.fromkeys(self.values, 0), columns)
        values = [[model.covariance_.deviation(p) for p in case] for case in projected]
        return np.array(values[0]) if len(values) == 1 else np.array(values).T

    def coefficients(self, atoms, starts: dict) -> np.ndarray:
        """Return coefficients of the next frame, (n_functions, n_cases).

        ``starts`` are the atoms of every element and l that earlier frames have taken.
        """
        model = self.model
        places = channel_places(model.basis_, atoms.numbers)
        size = model.basis_.size(atoms.numbers)
        coefficients = np.zeros((size, self.n_cases))
        for key, where in places.items():
            values = self.values[key][:, starts[key] : starts[key] + len(where)]
            starts[key] += len(where)
            coefficients[where] = np.moveaxis(values, 0, 3)
        coefficients += mean_coefficients(model.means_, places, size)[:, None]
        if not model.basis_.is_known:
            return coefficients
        n_electrons = 0.0
        if not model.is_response:
            charges = [model.nuclear_charges_.get(z, float(z)) for z in atoms.numbers]
            n_electrons = sum(charges) - total_charge(atoms)
        return keep_electrons(atoms, model.basis_, coefficients, n_electrons)

    def properties(self, atoms, coefficients, wanted: list[str]) -> dict:
        """Return properties of coefficients (n_functions, n_cases)."""
        if not self.model.is_response:
            return self.of_density(atoms, coefficients[:, 0], wanted)
        if self.n_cases == 1:
            return self.of_charges(atoms, coefficients[:, 0], wanted)
        return self.of_response(atoms, coefficients, wanted)

    def of_density(self, atoms, coefficients, wanted: list[str]) -> dict:
        """Return the properties of a density."""
        model, result = self.model, {}
        charges = [model.nuclear_charges_.get(z, float(z)) for z in atoms.numbers]
        density = ElectronDensity(atoms, model.basis_, coefficients, charges)
        for name in wanted:
            if name.endswith("_std"):
                continue
            if name == COEFFICIENTS:
                result[name] = coefficients
            elif name == "n_electrons":
                result[name] = density.n_electrons
            elif name == "mep":
                result[name] = density.potential(get_target(atoms, "mep_points"))
            else:
                value = getattr(density, name)()
                is_matrix = np.shape(value) == (3, 3)
                result[name] = as_voigt(value) if is_matrix else value
        return result

    def of_response(self, atoms, coefficients, wanted: list[str]) -> dict:
        """Return the properties of the change of a density in a field."""
        result = {RESPONSE: coefficients}
        if POLARIZABILITY in wanted:
            result[POLARIZABILITY] = polarizability(
                atoms, self.model.basis_, coefficients
            )
        return result

    def of_charges(self, atoms, coefficients, wanted: list[str]) -> dict:
        """Return the properties of the change of a density by point charges."""
        model, result = self.model, {CHARGE_RESPONSE: coefficients}
        nothing = np.zeros(len(atoms))
        change = ElectronDensity(atoms, model.basis_, coefficients, nothing)
        if "induced_dipole" in wanted:
            result["induced_dipole"] = change.dipole()
        if "induction_energy" in wanted:
            result["induction_energy"] = induction_energy(change)
        return result


def induction_energy(change: ElectronDensity) -> float:
    """Return half the energy of point charges in the potential they induce, in eV."""
    charges, points = point_charges(change.atoms, "the structure")
    return 0.5 * float(charges @ change.potential(points))


def keep_electrons(atoms, basis: DensityBasis, coefficients, n_electrons: float):
    """Return coefficients (n_functions, n_cases) with an exact number of electrons.

    What is missing is spread over the atoms by the overlap metric of the functions of
    every single atom, c + S^-1 s x with x = (N - s c) / (s S^-1 s): s is not zero for
    l = 0 only.
    """
    charges, spread = electron_spread(atoms, basis)
    for _ in range(2):  # the second step takes away what rounding has left
        missing = n_electrons - charges @ coefficients
        coefficients = coefficients + np.outer(spread, missing / (charges @ spread))
    return coefficients


def polarizability(atoms, basis: DensityBasis, response: np.ndarray) -> np.ndarray:
    """Return the polarizability (3, 3) in Å³ from changes (n_functions, 3) per V/Å.

    Electrons have the charge -1 and follow a field to where its potential is high.
    """
    if atoms.pbc.any():
        raise ValueError(
            "the polarizability of a periodic structure is not the moment of its "
            "density; take that of an open structure"
        )
    moments = dipoles_of(Sites.of_atoms(atoms, basis))
    matrix = -COULOMB_CONSTANT * moments.T @ response
    return 0.5 * (matrix + matrix.T)
