"""LODE coefficients of large open structures at linear cost: pairs, and a padded mesh.

The far part of a pair is a sum of derivatives of few functions U_q of the distance, see
`MeshFarSum`. On a mesh every function is periodic, and acts between images, too. Here
it is cut off between the largest distance E of the structure along an axis and the
nearest image, in a box of length L = 2 E + w,

    U_q(d) -> U_q(|d|) W(d_x) W(d_y) W(d_z),    W = 1 up to E, and 0 from E + w on,

so that displacements within the structure see the function itself, and images nothing.
The transform of the product takes the place of that of the function; it is small beyond
the k-cutoff where W falls smoothly.

References
----------
R. W. Hockney, J. W. Eastwood, Computer Simulation Using Particles (McGraw-Hill, 1981),
Ch. 6: the doubled mesh; J. F. Kaiser's window.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import fft, special
from scipy.interpolate import BSpline, make_interp_spline

from lodekit.descriptors.solid_harmonics import solid_harmonics
from lodekit.numerics.quadrature import gauss_legendre
from lodekit.structures.batch import StructureBatch

from .costs import mesh_cost, near_cost
from .far import tapered_factors
from .far_mesh import MeshFarSum
from .open import OpenExpansion, OpenTable
from .periodic import PeriodicExpansion
from .split import PAIR_CUTOFFS, Split, SplitChoice

#: Extents of structures are rounded up to whole multiples of this many Å, so that boxes
#: hardly ever change along a trajectory.
EXTENT_STEP = 4.0
#: Atoms of a structure for which a mesh is considered.
FEWEST_ATOMS = 500
#: What a window leaves beyond the k-cutoff is exp(-margin) of the tolerance; l-fold
#: derivatives see more of it (empirical).
MARGIN, MARGIN_OF_L = 6.0, 2.5
#: Times of a pair of the sum over all pairs, and of its products, in ns; see
#: `costs`.
OPEN_PAIR, OPEN_PRODUCT = 80.0, 0.5
#: Range of k times the spacing of the table of U_q(r).
TABLE_PHASE = 0.25


class OpenMeshes:
    """Choice of meshes for open structures, and what the latest boxes need.

    Parameters
    ----------
    splits : SplitChoice
    """

    def __init__(self, splits: SplitChoice):
        self.splits = splits
        self._spectra: dict = {}

    @property
    def window(self) -> float:
        """Shape of the window: half its width times the k-cutoff."""
        margin = MARGIN + MARGIN_OF_L * self.splits.projections.max_angular
        return margin - float(np.log(self.splits.tolerance))

    def box(self, positions: np.ndarray, k_cutoff: float) -> np.ndarray:
        """Return the lengths of the box of a structure in Å, (3,)."""
        extents = np.ptp(positions, axis=0)
        extents = EXTENT_STEP * np.maximum(np.ceil(extents / EXTENT_STEP), 1.0)
        return 2.0 * extents + self.width(k_cutoff)

    def width(self, k_cutoff: float) -> float:
        """Return the range in Å in which the window falls."""
        return 2.0 * self.window / k_cutoff

    def choose(self, positions: np.ndarray, species: np.ndarray) -> float | None:
        """Return the range of pairs that takes least time, None for all pairs.

        All pairs are exact, and are taken unless a mesh is faster.

        Parameters
        ----------
        positions : ndarray of shape (n_atoms, 3)
        species : ndarray of shape (n_atoms,)
        """
        n_atoms = len(positions)
        if n_atoms < FEWEST_ATOMS:
            return None
        p = self.splits.projections
        n_q = (p.max_angular + 1) ** 2 * p.basis.size
        all_pairs = n_atoms**2 * (OPEN_PAIR + OPEN_PRODUCT * n_q)
        k_cutoffs = self.splits.cutoff_product / PAIR_CUTOFFS
        boxes = np.array([self.box(positions, k) for k in k_cutoffs])
        extents = boxes - self.width(k_cutoffs)[:, None]
        volumes = np.prod(np.maximum(0.5 * extents, 2.0 * p.extent), axis=1)
        near = near_cost(n_atoms, volumes, PAIR_CUTOFFS, n_q)
        far = mesh_cost(
            n_atoms,
            boxes.prod(axis=1),
            np.unique(species).size,
            k_cutoffs,
            p.max_angular,
            p.extent,
            self.splits.tolerance,
        )
        # pairs take memory, too
        best = int(np.argmin(2.0 * near + far))
        is_faster = near[best] + far[best] < all_pairs
        return float(PAIR_CUTOFFS[best]) if is_faster else None

    def spectra(self, split: Split, mesh) -> tuple[np.ndarray, np.ndarray]:
        """Return the transforms in a box that `OpenMeshSum` needs; the latest are kept.

        Parameters
        ----------
        split : Split
        mesh : Mesh
            With the cell of the box.

        Returns
        -------
        weights : ndarray of shape (n_k, n_q)
            2 / V times the transform of the cut-off U_q.
        constants : ndarray of shape (n_q,)
            1 / V times the transform at k = 0.
        """
        key = split.pair_cutoff, mesh.cell.tobytes()
        if key not in self._spectra:
            width = self.width(split.k_cutoff)
            transforms = box_spectra(split, mesh, width, self.window)
            self._spectra = {**dict(list(self._spectra.items())[-1:]), key: transforms}
        return self._spectra[key]


class OpenMeshSum(MeshFarSum):
    """Far part of the coefficients of one open structure, and its derivatives.

    Parameters
    ----------
    positions, channels, split, prefactors, charges
        As of `MeshFarSum`.
    meshes : OpenMeshes
    """

    def __init__(self, positions, channels, split: Split, prefactors, charges, meshes):
        self.positions = positions - positions.mean(axis=0)
        cell = np.diag(meshes.box(positions, split.k_cutoff))
        super().__init__(self.positions, cell, channels, split, prefactors, charges)
        self.weights, constants = meshes.spectra(split, self.mesh)
        #: k = 0 term of an atom, (n_radial,)
        self.constant = solid_harmonics(0)[0, 0] * constants @ self.table.mixing[0]
        # there is no background
        self.volume = np.inf

    def coefficients(self) -> np.ndarray:
        """Return the far part, (n_atoms, n_lm, n_channels, n_radial)."""
        total = super().coefficients()
        # F_a(0) of every species
        totals = np.bincount(self.channels, self.charges)
        total[:, 0] += totals[:, None] * self.constant
        return total

    def reverse(self, adjoint: np.ndarray, by_charges=None):
        """Turn d(scalar)/d(coefficients) into gradients; see `MeshFarSum.reverse`.

        Strain acts on the positions; the box has no meaning.
        """
        gradients, _ = super().reverse(adjoint, by_charges)
        if by_charges is not None:
            totals = adjoint[:, 0].sum(axis=0) @ self.constant
            by_charges += totals[self.channels]
        return gradients, self.positions.T @ gradients


class OpenMeshExpansion(PeriodicExpansion):
    """LODE expansion of open structures that share one range separation.

    Parameters
    ----------
    batch, channels, values, split, prefactors, charges
        As of `PeriodicExpansion`.
    meshes : OpenMeshes
    table : OpenTable
        For Jacobians, which are those of the sum over all pairs.
    """

    def __init__(
        self,
        batch: StructureBatch,
        channels,
        values,
        split: Split,
        prefactors,
        charges,
        meshes: OpenMeshes,
        table: OpenTable,
    ):
        self.meshes = meshes
        self.table = table
        self.prefactors = prefactors
        super().__init__(batch, channels, values, split, prefactors, charges)

    def far_sum(self, structure: int, channels, split: Split, prefactors):
        """Return the far part of a structure, channels counted without gaps."""
        batch = self.batch
        atoms = slice(*batch.first_atom[structure : structure + 2])
        arguments = batch.positions[atoms], channels, split, prefactors
        return OpenMeshSum(*arguments, self.charges[atoms], self.meshes)

    @cached_property
    def all_pairs(self) -> OpenExpansion:
        """The sum over all pairs."""
        values = np.zeros_like(self.values)
        return OpenExpansion(
            self.batch,
            self.channels,
            values,
            self.table,
            self.prefactors,
            self.charges,
        )

    def jacobian(self):
        """Return derivatives with respect to positions, one entry a pair of atoms."""
        return self.all_pairs.jacobian()

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain, (n_atoms, 3, 3, n_lm, n_q)."""
        return self.all_pairs.strain_jacobian()


def box_spectra(split: Split, mesh, width: float, window: float):
    """Return the transforms of the cut-off U_q; see `OpenMeshes.spectra`.

    They are even along every axis: one octant is transformed, with what reaches beyond
    it folded back.
    """
    lengths = np.diag(mesh.cell)
    halves = mesh.largest + 2
    steps = 0.5 * lengths / halves
    falls = [0.5 * (length - width) for length in lengths]
    axes = [
        step * np.arange(int(np.ceil((fall + width) / step)) + 1)
        for step, fall in zip(steps, falls, strict=True)
    ]
    r = np.sqrt(sum(x**2 for x in np.meshgrid(*axes, indexing="ij", sparse=True)))
    kernel = np.moveaxis(far_function_table(split, r.max())(r), -1, 0)
    for axis, (x, fall) in enumerate(zip(axes, falls, strict=True)):
        shape = [1, 1, 1, 1]
        shape[1 + axis] = x.size
        kernel *= kaiser_window((x - fall) / width, window).reshape(shape)
    for axis, half in enumerate(halves):
        kernel = fold(kernel, 1 + axis, half)
    spectra = fft.dctn(kernel, type=1, axes=(1, 2, 3)) * (steps.prod() / mesh.volume)
    places = tuple(np.abs(mesh.indices).T)
    weights = np.ascontiguousarray(2.0 * spectra[:, *places].T)
    return weights, np.ascontiguousarray(spectra[:, 0, 0, 0])


def fold(kernel: np.ndarray, axis: int, half: int) -> np.ndarray:
    """Add what is beyond the middle of a box to where its image is.

    Points 0, 1, ... of an even function along an axis of 2 ``half`` points become
    points 0 to ``half`` of its sum over images.
    """
    kernel = np.moveaxis(kernel, axis, 0)
    folded = kernel[: half + 1].copy()
    beyond = kernel[half : 2 * half]
    folded[half - len(beyond) + 1 :] += beyond[::-1]
    return np.moveaxis(folded, 0, axis)


def far_function_table(split: Split, largest: float) -> BSpline:
    """Return U_q(r) = (2 / pi) int h_q(k) sin(kr) / (kr) dk up to ``largest`` (Å).

    The table of h_q may have a logarithm at k = 0: nodes are those of sqrt(k).
    """
    k_cutoff = split.k_cutoff
    root, weights = gauss_legendre(48 + 1.2 * k_cutoff * largest, 1.0)
    k = k_cutoff * root**2
    weights = 2.0 * k_cutoff * root * weights * tapered(k, k_cutoff)
    functions = 2.0 / np.pi * weights[:, None] * split.mesh_table.evaluate(k)[0]
    spacing = TABLE_PHASE / k_cutoff
    r = spacing * np.arange(int(largest / spacing) + 8)
    blocks = np.array_split(r, 1 + r.size // 512)
    values = [np.sinc(np.outer(block, k) / np.pi) @ functions for block in blocks]
    return make_interp_spline(r, np.concatenate(values), k=5)


def tapered(k: np.ndarray, k_cutoff: float) -> np.ndarray:
    """Return the factor by which the far part is switched off at the k-cutoff."""
    return tapered_factors(k, 8.0 * np.pi, k_cutoff)[:, 0] * k**2


def kaiser_window(x: np.ndarray, shape: float) -> np.ndarray:
    """Return a function that falls from 1 at x = 0 to 0 at x = 1.

    Its slope is a Kaiser window, I_0(shape sqrt(1 - u^2)) with u = 2 x - 1, which has
    nearly nothing beyond a k of twice ``shape``.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)

    def slope(u):
        # without overflow: exp(-shape) I_0
        root = np.sqrt(np.maximum(1.0 - u**2, 0.0))
        return special.i0e(shape * root) * np.exp(shape * (root - 1.0))

    lengths = np.clip(np.asarray(x), 0.0, 1.0)
    u = 2.0 * lengths[:, None] * (0.5 * (nodes + 1.0)) - 1.0
    fallen = lengths * (slope(u) @ weights)
    return 1.0 - fallen / (slope(nodes) @ weights)
