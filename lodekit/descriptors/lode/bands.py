"""LODE in bands of k: linear models of it learn the Fourier filter of interactions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import BSpline

from lodekit.descriptors.expansion import (
    ExpansionEstimator,
    channel_of_species,
    harmonic_prefactors,
)
from lodekit.descriptors.hyperparameters import (
    check_basis,
    check_positive,
    check_power_law,
)
from lodekit.descriptors.radial import RadialTable, chebyshev_derivatives
from lodekit.descriptors.radial_basis import RADIAL_BASES
from lodekit.errors import SettingsError
from lodekit.structures.batch import StructureBatch

from .base import LodeExpansion
from .periodic import PeriodicExpansion
from .projections import PotentialProjections
from .split import TAPER, Split


@dataclass(frozen=True)
class KBands:
    """Smooth bands of k: cubic B-splines around even steps from 0, even in k.

    Their sum is 1 up to ``k_cutoff - 3 * spacing``, and 0 from ``k_cutoff`` on.

    Attributes
    ----------
    n_bands : int
    k_cutoff : float
        In 1/Å.
    """

    n_bands: int
    k_cutoff: float

    @property
    def spacing(self) -> float:
        """Distance of the middles of two bands in 1/Å; the first one is 0."""
        return self.k_cutoff / (self.n_bands + 1)

    def evaluate(self, k: np.ndarray) -> np.ndarray:
        """Return the bands and two derivatives at ``k`` >= 0, (3, k.size, n_bands)."""
        bump = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
        place = k[:, None] / self.spacing
        middles = np.arange(self.n_bands)
        result = []
        for order in range(3):
            shape = bump.derivative(order) if order else bump
            right = np.nan_to_num(shape(place - middles))
            left = (-1.0) ** order * np.nan_to_num(shape(-place - middles))
            left[:, 0] = 0.0
            result.append((right + left) / self.spacing**order)
        return np.stack(result)


class LodeBandExpansion(ExpansionEstimator):
    """LODE coefficients with the potential divided into bands of k.

    c^a_bnlm(i) is the part of the coefficients of `LodeSphericalExpansion` whose
    k-vectors are in band b; the sum over bands is LODE without what is beyond
    ``k_cutoff``. The weights that a linear model gives to the bands are a Fourier
    filter: the k-dependence of an interaction, learned from energies.

    Parameters
    ----------
    density, basis
        As of `LodeSphericalExpansion`; the exponent must have a transform without
        logarithm (not 3, 5, 7 or 9), and the centre its full weight.
    n_bands : int
        Number of bands.
    k_cutoff : float
        Where the last band ends, in 1/Å.

    References
    ----------
    A. Kosmala, J. Gasteiger, N. Gao, S. Günnemann, ICML 2023, arXiv:2303.04791 (learned
    filters in message passing).
    """

    def __init__(self, *, density, basis, n_bands=8, k_cutoff=3.0):
        self.density = density
        self.basis = basis
        self.n_bands = n_bands
        self.k_cutoff = k_cutoff

    @cached_property
    def hypers(self) -> dict:
        """Checked hyper-parameters as nested dictionaries."""
        check_positive("k_cutoff", self.k_cutoff)
        if self.n_bands != int(self.n_bands) or self.n_bands < 1:
            raise SettingsError(
                f"`n_bands` must be a whole number >= 1, got {self.n_bands}"
            )
        density = check_power_law(self.density)
        if density["center_atom_weight"] != 1.0 or density["exponent"] in (3, 5, 7, 9):
            raise SettingsError(
                "bands of k need `density.center_atom_weight` 1 and an exponent "
                f"other than 3, 5, 7 and 9, got {density}"
            )
        return {
            "density": density,
            "basis": check_basis(self.basis, None, RADIAL_BASES),
        }

    @property
    def n_radial(self) -> int:
        """Number of radial functions times bands, the band being the slow index."""
        radial = self.hypers["basis"]["radial"]
        return int(self.n_bands) * (int(radial["max_radial"]) + 1)

    @property
    def bands(self) -> KBands:
        """The bands."""
        return KBands(int(self.n_bands), float(self.k_cutoff))

    @cached_property
    def projections(self) -> PotentialProjections:
        """Radial integrals of the whole potential."""
        radial, density = self.hypers["basis"]["radial"], self.hypers["density"]
        basis = RADIAL_BASES[radial["type"]](
            int(radial["max_radial"]), radial["radius"]
        )
        return PotentialProjections(
            basis, self.max_angular, density["smearing"], int(density["exponent"])
        )

    def filters(self, k: np.ndarray) -> np.ndarray:
        """Return phi(k) times the bands, (k.size, n_bands), k in 1/Å and positive.

        Times the weights of a linear model on potentials at points, this is the Fourier
        transform of the interaction.
        """
        phi = self.projections.transform(k) / k**2
        return phi[:, None] * self.bands.evaluate(k)[0]

    @cached_property
    def split(self) -> Split:
        """All of the potential as a far part, with the bands as radial functions."""
        p, bands = self.projections, self.bands
        signs = (-1.0) ** (np.arange(self.max_angular + 1) // 2)

        def smooth(k):
            integrals = p.radial_integrals(k) * signs[:, None]
            return p.transform(k)[:, None, None] * integrals

        # knots at those of the bands, close enough for the smooth factor
        per_band = int(np.ceil(bands.spacing * (p.extent + p.end) / 0.5))
        knots = np.arange((bands.n_bands + 2) * per_band) * bands.spacing / per_band
        derivatives = chebyshev_derivatives(smooth, 0.0, knots[-1])
        shape = (knots.size, self.max_angular + 1, 1, p.basis.size)
        f = [derivative(knots).reshape(shape) for derivative in derivatives]
        b = bands.evaluate(knots)[:, :, None, :, None]
        products = [
            f[0] * b[0],
            f[1] * b[0] + f[0] * b[1],
            f[2] * b[0] + 2.0 * f[1] * b[1] + f[0] * b[2],
        ]
        table = np.stack(products, axis=1).reshape(*shape[:1], 3, shape[1], -1)
        at_zero = np.outer(bands.evaluate(np.zeros(1))[0, 0], p.at_zero_k)
        return Split(
            pair_cutoff=0.0,
            near=None,
            background=-at_zero.ravel(),
            k_cutoff=bands.k_cutoff / (1.0 - TAPER),
            far=RadialTable.from_derivatives(table, knots[1]),
            far_radial=[np.eye(self.n_radial)] * (self.max_angular + 1),
            projections=p,
            tolerance=1e-9,
        )

    def expand(self, batch: StructureBatch, species: np.ndarray) -> LodeExpansion:
        """Expand the potential around every atom of ``batch``, band by band.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers, one channel each.

        Raises
        ------
        ValueError
            If a structure is not periodic in all directions.
        """
        open_ones = np.flatnonzero(~batch.pbc.all(axis=1))
        if open_ones.size:
            raise ValueError(
                "bands of k need structures that are periodic in all directions, "
                f"structure {open_ones[0]} has pbc {batch.pbc[open_ones[0]].tolist()}"
            )
        channels = channel_of_species(batch.species, species)
        prefactors = harmonic_prefactors(self.max_angular)
        shape = (len(prefactors) ** 2, species.size, self.n_radial)
        values = np.zeros((batch.n_atoms, *shape))
        units = np.ones(batch.n_atoms)
        part = PeriodicExpansion(batch, channels, values, self.split, prefactors, units)
        everything = np.arange(batch.n_atoms), np.arange(batch.n_structures)
        return LodeExpansion(batch, channels, values, [(*everything, part)])
