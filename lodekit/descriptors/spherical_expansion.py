"""Expansion of the neighbour density on harmonics and radial functions (SOAP)."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import NeighborPairs, find_pairs

from .expansion import ExpansionEstimator, channel_of_species, harmonic_prefactors
from .hyperparameters import check_basis, check_cutoff, check_gaussian
from .pair_expansion import PairExpansion
from .radial import RadialTable, cutoff_factors, gaussian_overlaps, tabulate
from .radial_basis import GaussianTypeOrbitals


class SphericalExpansion(ExpansionEstimator):
    """Coefficients of the density of Gaussians around every atom, species by species.

    c^a_nlm(i) = sum over neighbours j of species a of f(r_ij) g_nl(r_ij) Y_lm(r_ij),
    with g_nl the overlap of a Gaussian at r_ij with the basis, f the cutoff function
    times the radial scaling, and Y_lm real spherical harmonics.

    Parameters
    ----------
    cutoff : featomic.cutoff.Cutoff or dict
        ``{"radius": 5.0, "smoothing": {"type": "ShiftedCosine", "width": 0.5}}``, in Å.
    density : featomic.density.Gaussian or dict
        ``{"type": "Gaussian", "width": 0.3}`` (Å), optionally with
        ``"center_atom_weight"`` and
        ``"scaling": {"type": "Willatt2018", "exponent": 4, "rate": 1.0, "scale":
        2.0}``.
    basis : featomic.basis.TensorProduct or dict
        ``{"type": "TensorProduct", "max_angular": 6, "radial": {"type": "Gto",
        "max_radial": 7}}``. ``max_angular`` and ``max_radial`` are inclusive.
    backend : {"lodekit", "featomic"}
        ``"featomic"`` runs featomic itself; it serves `compute` only.

    References
    ----------
    A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013).
    """

    def __init__(self, *, cutoff, density, basis, backend="lodekit"):
        self.cutoff = cutoff
        self.density = density
        self.basis = basis
        self.backend = backend

    @cached_property
    def hypers(self) -> dict:
        """Checked hyper-parameters as nested dictionaries."""
        cutoff = check_cutoff(self.cutoff)
        return {
            "cutoff": cutoff,
            "density": check_gaussian(self.density),
            "basis": check_basis(self.basis, default_radius=cutoff["radius"]),
        }

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter."""
        return float(self.hypers["cutoff"]["radius"])

    @cached_property
    def table(self) -> RadialTable:
        """Radial functions g_nl, tabulated on first use."""
        radius = self.hypers["cutoff"]["radius"]
        radial = self.hypers["basis"]["radial"]
        basis = GaussianTypeOrbitals(int(radial["max_radial"]), radial["radius"])
        width = self.hypers["density"]["width"]
        accuracy = self.hypers["basis"]["spline_accuracy"] or 1e-10
        return tabulate(
            lambda r: gaussian_overlaps(r, basis, self.max_angular, width),
            radius,
            0.01 * accuracy,
        )

    def expand(
        self,
        batch: StructureBatch,
        species: np.ndarray,
        pairs: NeighborPairs | None = None,
    ) -> PairExpansion:
        """Expand the surroundings of every atom of ``batch``.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers, one channel each; neighbours of another species raise
            ``ValueError``.
        pairs : NeighborPairs, optional
            All pairs within the cutoff, where they are known.
        """
        if pairs is None:
            pairs = find_pairs(batch, self.hypers["cutoff"]["radius"])
        distances = np.linalg.norm(pairs.vectors, axis=1)
        atom_channels = channel_of_species(batch.species, species)
        prefactors = harmonic_prefactors(self.max_angular)
        expansion = PairExpansion(
            batch=batch,
            pairs=pairs,
            channels=atom_channels[pairs.neighbors],
            factors=cutoff_factors(
                distances, self.hypers["cutoff"], self.hypers["density"]["scaling"]
            ),
            table=self.table,
            prefactors=prefactors,
            values=np.zeros(
                (batch.n_atoms, prefactors.shape[0] ** 2, species.size, self.n_radial)
            ),
        )
        expansion.add_neighbors()
        self.add_centers(expansion.values, atom_channels)
        return expansion

    def add_centers(self, values: np.ndarray, atom_channels: np.ndarray) -> None:
        """Add the density of the central atoms themselves: l = 0 only."""
        at_center = self.table.values[0, 0, : self.n_radial] / np.sqrt(4.0 * np.pi)
        weight = self.hypers["density"]["center_atom_weight"]
        atoms = np.arange(atom_channels.size)
        values[atoms, 0, atom_channels] += weight * at_center
