"""Errors of predicted densities: of the density itself, and of what follows from it."""

from __future__ import annotations

import numpy as np

from lodekit.density import DensitySet, Grid
from lodekit.quantities import quantity

from .density_prediction import induction_energy, polarizability


def judge_densities(
    model, densities: DensitySet, spacing: float | None = None, metrics=None
) -> dict[str, dict]:
    """Return errors of a model of densities, or of responses.

    Parameters
    ----------
    model : ElectronDensityModel
    densities : DensitySet
    spacing : float, optional
        Largest distance of the grid points in Å at which densities are compared as
        well; no comparison on a grid where None.
    metrics : list of ndarray, optional
        As in `ElectronDensityModel.fit`.

    Returns
    -------
    errors : dict of str to dict
        Each with "rmse", "unit" and "n". "density" is the norm of the error over that
        of the deviation from mean atoms, as SALTED prints it; "density_norm" that over
        the norm of the density; "density_on_grid" the integral of abs(rho' - rho) over
        that of abs(rho). Dipoles, polarizabilities and energies are compared with those
        of the expanded reference densities, of open structures.
    """
    squares = model.squared_errors(densities, metrics=metrics)
    n, total = len(densities), squares["errors"].sum()
    main = "response" if model.is_response else "density"
    errors = {
        main: percent(total, squares["deviations"].sum(), n),
        f"{main}_norm": percent(total, squares["norms"].sum(), n),
    }
    if not densities.basis.is_known:
        return errors
    predicted = model.densities(densities.frames)
    if densities.perturbation == "charges":
        return errors | induction_errors(predicted, densities)
    if model.is_response:
        return errors | polarizability_errors(predicted, densities)
    if spacing is not None:
        errors["density_on_grid"] = grid_error(predicted, densities, spacing)
    return errors | moment_errors(predicted, densities)


def percent(square: float, reference: float, n: int) -> dict:
    """Return the root of a ratio in %."""
    return {"rmse": 100.0 * float(np.sqrt(square / reference)), "unit": "%", "n": n}


def statistics(name: str, differences: list) -> dict:
    """Return the statistics of differences for `format_errors`."""
    values = np.ravel(differences)
    return {
        "rmse": float(np.sqrt(np.mean(values**2))),
        "mae": float(np.mean(abs(values))),
        "max": float(abs(values).max()),
        "unit": quantity(name).unit,
        "n": values.size,
    }


def moment_errors(predicted: DensitySet, expected: DensitySet) -> dict:
    """Return errors of dipoles and energies."""
    differences: dict[str, list] = {}
    for index, atoms in enumerate(expected.frames):
        density, other = predicted.density(index), expected.density(index)
        names = ["hartree_energy", "electrostatic_energy"]
        names = names if atoms.pbc.any() else ["dipole", *names]
        for name in names:
            found, wanted = (getattr(one, name)() for one in (density, other))
            differences.setdefault(name, []).append(found - wanted)
    return {
        name: statistics(name, [np.ravel(d) for d in values])
        for name, values in differences.items()
    }


def polarizability_errors(predicted: DensitySet, expected: DensitySet) -> dict:
    """Return errors of polarizabilities of open structures."""
    name = "polarizability"
    differences = []
    for index, atoms in enumerate(expected.frames):
        if not atoms.pbc.any():
            found, wanted = (
                polarizability(atoms, expected.basis, one.responses[index])
                for one in (predicted, expected)
            )
            differences.append(found - wanted)
    return {name: statistics(name, differences)} if differences else {}


def induction_errors(predicted: DensitySet, expected: DensitySet) -> dict:
    """Return errors of dipoles and energies that point charges induce."""
    dipoles, energies = [], []
    for index in range(len(expected)):
        density, other = (one.change(index) for one in (predicted, expected))
        dipoles.append(density.dipole() - other.dipole())
        energies.append(induction_energy(density) - induction_energy(other))
    return {
        "induced_dipole": statistics("induced_dipole", dipoles),
        "induction_energy": statistics("induction_energy", energies),
    }


def grid_error(predicted: DensitySet, expected: DensitySet, spacing: float) -> dict:
    """Return the integral of the absolute error over that of the density, in %."""
    shares = []
    for index, atoms in enumerate(expected.frames):
        grid = Grid.of(atoms, spacing)
        values, other = (
            one.density(index).on_grid(grid) for one in (predicted, expected)
        )
        shares.append(abs(values - other).sum() / abs(other).sum())
    return {"rmse": 100.0 * float(np.mean(shares)), "unit": "%", "n": len(shares)}
