"""Coulomb interaction of Gaussian and point charges."""

from __future__ import annotations

from lodekit.units import COULOMB_CONSTANT

from .interaction_matrix import InteractionMatrix
from .multipoles import Fields, MultipoleInteraction
from .split import CoulombSplit


class CoulombInteraction(InteractionMatrix):
    """Coulomb interaction matrix of Gaussian and point charges, times vectors.

    The element of atoms i and j is the energy (in eV, for charges in e) of unit charges
    with Gaussian widths s_i and s_j,

        A_ij = k_e sum over images of erf(r / sqrt(2 (s_i^2 + s_j^2))) / r,

    without the interaction of a point charge with itself, but with that of a Gaussian,
    k_e / (sqrt(pi) s_i). With it, the potential is V = A q, and the energy q.A q / 2.

    * Periodic cells: every charge comes with a uniform background that neutralises it,
      and the mean potential of the cell is zero (metallic surroundings).
    * Slabs: two periodic directions, nothing else. A net charge has no finite energy;
      the matrix alone counts the potential of a charged plane, -2 pi k_e abs(z) per
      charge and area, from the plane.
    * Open systems: the plain sum.

    Parameters
    ----------
    positions : array_like of shape (n_atoms, 3)
        Positions in Å.
    cell : array_like of shape (3, 3) or None
        Cell vectors in Å as rows; ignored along directions that are not periodic.
    pbc : bool or array_like of shape (3,)
        Periodic directions: none, two or all.
    widths : float or array_like of shape (n_atoms,)
        Standard deviations in Å of Gaussian charges; 0 for point charges.
    accuracy : float
        Error of the forces, relative to their root mean square.
    cutoff : float, optional
        Range in Å of the part that is summed over pairs, chosen for speed if None. It
        decides time alone.

    Raises
    ------
    ValueError
        If shapes do not fit, numbers are not finite, the cell has no volume, one
        direction is periodic, or two atoms are on the same point.
    """

    factor = COULOMB_CONSTANT

    def __init__(self, positions, cell, pbc, widths=0.0, *, accuracy=1e-8, cutoff=None):
        super().__init__(
            positions, cell, pbc, widths, accuracy, cutoff, 1, CoulombSplit.make
        )
        self.arguments = {"cell": cell, "pbc": pbc, "widths": widths}

    def fields(self, charges) -> Fields:
        """Return potential, field and field gradient at the atoms.

        The field is the force on an atom over its charge; a Gaussian's own field and
        field gradient are part of them.
        """
        return self.multipoles.compute(self.check_energy(charges)).fields

    def fields_at(self, points, charges) -> Fields:
        """Return potential, field and field gradient at points (n_points, 3) in Å.

        Raises
        ------
        ValueError
            If a point sits on an atom, or a slab has a net charge.
        """
        return self.multipoles.fields_at(points, self.check_energy(charges))

    @property
    def multipoles(self) -> MultipoleInteraction:
        """The same interaction for charges, dipoles and quadrupoles."""
        return MultipoleInteraction(
            self.positions, **self.arguments, accuracy=self.accuracy
        )
