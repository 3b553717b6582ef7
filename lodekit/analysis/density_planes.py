"""Pictures of densities on a plane: as calculated, and what a model adds to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from lodekit.density import ElectronDensity
from lodekit.errors import BasisError

#: Å between points of a plane, and from atoms to its edge.
SPACING, MARGIN = 0.08, 2.0
#: Densities are drawn on a linear scale below this share of the largest one.
LINEAR_SHARE = 1e-3
PANEL = 4.0  # inches


@dataclass(frozen=True)
class Plane:
    """Points origin + u a + v b of a rectangle.

    Attributes
    ----------
    origin : ndarray of shape (3,)
        In Å.
    axes : ndarray of shape (2, 3)
        Directions a and b of length 1, at right angles.
    u, v : ndarray of shape (n_u,), (n_v,)
        In Å.
    """

    origin: np.ndarray
    axes: np.ndarray
    u: np.ndarray
    v: np.ndarray

    @classmethod
    def through(cls, atoms, spacing: float = SPACING, margin: float = MARGIN) -> Plane:
        """Return the plane that atoms are nearest to, a along their largest extent.

        Parameters
        ----------
        atoms : ase.Atoms
        spacing : float
            Å between points.
        margin : float
            Å from the outermost atoms to the edge.
        """
        origin = atoms.positions.mean(axis=0)
        offsets = atoms.positions - origin
        _, vectors = np.linalg.eigh(offsets.T @ offsets)
        axes = vectors[:, [2, 1]].T
        places = offsets @ axes.T
        sides = []
        for low, high in zip(places.min(axis=0), places.max(axis=0), strict=True):
            length = high - low + 2.0 * margin
            size = int(np.ceil(length / spacing)) + 1
            sides.append(np.linspace(low - margin, high + margin, size))
        return cls(origin, axes, *sides)

    @property
    def points(self) -> np.ndarray:
        """All points, (n_v n_u, 3), u fastest."""
        v, u = np.meshgrid(self.v, self.u, indexing="ij")
        return self.origin + np.column_stack([u.ravel(), v.ravel()]) @ self.axes

    def places(self, positions: np.ndarray) -> np.ndarray:
        """Return u and v of positions (n, 3), (n, 2)."""
        return (positions - self.origin) @ self.axes.T

    def values(self, density: ElectronDensity) -> np.ndarray:
        """Return a density on the plane, (n_v, n_u), in electrons per Å^3."""
        return density.values(self.points).reshape(self.v.size, self.u.size)


def density_difference_figure(
    reference: ElectronDensity, other: ElectronDensity, plane: Plane | None = None
) -> Figure:
    """Return a figure of a density, and of another one minus it, on a plane.

    Parameters
    ----------
    reference, other : ElectronDensity
        Of the same structure; changes of a density as well.
    plane : Plane, optional
        That of the atoms where None.

    Raises
    ------
    BasisError
        If the structures are not the same.
    """
    atoms = reference.atoms
    if list(atoms.numbers) != list(other.atoms.numbers) or not np.allclose(
        atoms.positions, other.atoms.positions
    ):
        raise BasisError("both densities must be of one structure")
    plane = plane or Plane.through(atoms)
    values = plane.values(reference)
    figure = Figure(figsize=(2.4 * PANEL, PANEL), layout="constrained")
    first, second = figure.subplots(1, 2)
    draw_plane(first, plane, values, atoms, "reference", is_logarithmic=True)
    difference = plane.values(other) - values
    draw_plane(second, plane, difference, atoms, "difference")
    return figure


def draw_plane(axes, plane: Plane, values, atoms, title: str, is_logarithmic=False):
    """Draw values on a plane, red where they are positive, with the atoms near it.

    Parameters
    ----------
    values : ndarray of shape (n_v, n_u)
        In electrons per Å^3.
    """
    limit = abs(values).max() or 1.0
    scale = {"vmin": -limit, "vmax": limit}
    if is_logarithmic:
        scale = {"norm": SymLogNorm(LINEAR_SHARE * limit, vmin=-limit, vmax=limit)}
    image = axes.pcolormesh(
        plane.u, plane.v, values, cmap="RdBu_r", shading="nearest", **scale
    )
    axes.figure.colorbar(image, ax=axes, label="electrons per Å³")
    for symbol, (u, v) in zip(
        atoms.get_chemical_symbols(), plane.places(atoms.positions), strict=True
    ):
        axes.text(u, v, symbol, ha="center", va="center", fontsize=8)
    axes.set(title=title, xlabel="Å", ylabel="Å", aspect="equal")
