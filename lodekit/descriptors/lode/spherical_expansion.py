"""Expansion of smeared potentials on spherical harmonics (LODE)."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.descriptors.expansion import (
    ExpansionEstimator,
    channel_of_species,
    harmonic_prefactors,
)
from lodekit.descriptors.hyperparameters import (
    PREDICTED,
    check_accuracy,
    check_basis,
    check_charges,
    check_exclusion,
    check_power_law,
)
from lodekit.descriptors.radial_basis import RADIAL_BASES
from lodekit.errors import SettingsError
from lodekit.structures.batch import StructureBatch, frame_name
from lodekit.structures.cells import boundary_name

from .base import LodeExpansion, add_at_centers
from .charges import ChargedExpansion, charge_matrix
from .exclusion import exclude_neighbors
from .open import OpenExpansion, OpenTable
from .open_mesh import OpenMeshes, OpenMeshExpansion
from .periodic import PeriodicExpansion
from .predicted import PredictedExpansion
from .projections import PotentialProjections
from .slab import SlabExpansion, SlabKernel
from .split import SplitChoice, accuracy_of_cutoff


class LodeSphericalExpansion(ExpansionEstimator):
    """Coefficients of the potential of every species around every atom.

    All atoms of a species carry the same smeared 1 / r^p; c^a_nlm(i) projects the
    potential of species a around atom i on R_n(r) Y_lm. Open structures are summed
    without a cell, slabs exactly with two periodic directions. Where the sum over a
    crystal does not converge (p = 1, 2, 3), every species has a neutralising
    background: there is no k = 0 term. Slabs have none; for p = 1 a plane of charge
    makes the potential -2 pi abs(z) per charge and area.

    Parameters
    ----------
    density : featomic.density.SmearedPowerLaw or dict
        ``{"type": "SmearedPowerLaw", "smearing": 1.0, "exponent": 1}`` (Å), optionally
        with ``"center_atom_weight"``. The exponent p is a whole number from 0, the
        Gaussian density of SOAP, to 9; slabs cannot have 2.
    basis : featomic.basis.TensorProduct or dict
        ``{"type": "TensorProduct", "max_angular": 4, "radial": {"type": "Gto",
        "max_radial": 5, "radius": 5.0}}``. ``max_angular`` and ``max_radial`` are
        inclusive. The orbitals reach beyond ``radius``, as in featomic. ``"Monomials"``
        instead of ``"Gto"`` are r^(l + 2n) inside the sphere of this radius.
    k_cutoff : float, optional
        Where featomic cuts its sum over k-vectors, in 1/Å. lodekit sums differently;
        here it asks for the accuracy that featomic would have with this cutoff, in
        place of ``accuracy``.
    backend : {"lodekit", "featomic"}
        ``"featomic"`` runs featomic itself; it serves `compute` only.
    accuracy : float
        Largest error of coefficients, in units of the largest value that one neighbour
        can give to a coefficient of this n and l. It covers the radial tables, too:
        ``spline_accuracy`` of the basis is for featomic.
    exclude_within : featomic.cutoff.Cutoff or dict, optional
        For far sources only: a cutoff as of `SphericalExpansion`, within which atoms,
        the centre included, do not contribute. What its function f keeps in a density,
        1 - f keeps here.
    charges : dict of str to float or list of float, optional
        Charges of the sources by element symbol, ``{"Zn": 1.0, "O": -1.0}``: one
        channel for all species instead of one unit charge and channel for each. A list
        of several charges for every element makes as many channels. Where structures
        have no net charge the potential is the same whether a neutralising background
        is there or not, so that features do not jump between boundaries, nor grow with
        the size of a structure. ``"predicted"``: one channel of charges that the fitted
        model ``predictor`` gives, which the fit of a potential sets.

    References
    ----------
    A. Grisafi, M. Ceriotti, J. Chem. Phys. 151, 204105 (2019); K. K. Huguenin-Dumittan,
    P. Loche, N. Haoran, M. Ceriotti, J. Phys. Chem. Lett. 14, 9612 (2023).
    """

    #: `ChargeLatent` of lodekit.regression, for predicted charges.
    predictor = None

    def __init__(
        self,
        *,
        density,
        basis,
        k_cutoff=None,
        backend="lodekit",
        accuracy=1e-6,
        exclude_within=None,
        charges=None,
    ):
        self.density = density
        self.basis = basis
        self.k_cutoff = k_cutoff
        self.backend = backend
        self.accuracy = accuracy
        self.exclude_within = exclude_within
        self.charges = charges

    @cached_property
    def hypers(self) -> dict:
        """Checked hyper-parameters as nested dictionaries."""
        density = check_power_law(self.density)
        return {
            "density": density,
            "basis": check_basis(self.basis, None, RADIAL_BASES),
            "accuracy": check_accuracy(self.accuracy, self.k_cutoff),
            "exclude_within": check_exclusion(self.exclude_within, density),
            "charges": check_charges(self.charges),
        }

    @cached_property
    def projections(self) -> PotentialProjections:
        """Radial integrals, made on first use."""
        radial = self.hypers["basis"]["radial"]
        basis = RADIAL_BASES[radial["type"]](
            int(radial["max_radial"]), radial["radius"]
        )
        density = self.hypers["density"]
        return PotentialProjections(
            basis, self.max_angular, density["smearing"], int(density["exponent"])
        )

    @cached_property
    def splits(self) -> SplitChoice:
        """Range separations for periodic structures."""
        accuracy = self.hypers["accuracy"]
        if self.k_cutoff is not None:
            accuracy = accuracy_of_cutoff(self.projections, self.k_cutoff)
        return SplitChoice(self.projections, accuracy)

    @cached_property
    def open_table(self) -> OpenTable:
        """Radial functions for open structures."""
        return OpenTable(self.projections, 0.1 * self.splits.tolerance)

    @cached_property
    def open_meshes(self) -> OpenMeshes:
        """Meshes for large open structures."""
        return OpenMeshes(self.splits)

    @cached_property
    def slab_kernel(self) -> SlabKernel:
        """The truncated potential, the same for all slabs."""
        reach = self.open_table.core.knots[-1]
        return SlabKernel(self.projections, self.splits.tolerance, reach)

    def n_channels(self, species: np.ndarray) -> int:
        """Return the number of channels: kinds of charges, or species without."""
        charges = self.hypers["charges"]
        if charges == PREDICTED:
            return 1
        return species.size if charges is None else len(next(iter(charges.values())))

    def expand(self, batch: StructureBatch, species: np.ndarray):
        """Expand the potential around every atom of ``batch``.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers, one channel each unless ``charges`` are given; atoms
            of another species raise ``ValueError``.

        Returns
        -------
        expansion : LodeExpansion, ChargedExpansion or PredictedExpansion
        """
        charges = self.hypers["charges"]
        if charges == PREDICTED:
            return self.expand_predicted(batch)
        channels = channel_of_species(batch.species, species)
        matrix = None if charges is None else charge_matrix(charges, species)
        if matrix is not None and matrix.shape[1] == 1:
            sources = matrix[channels, 0]
            expansion = self.expand_sources(batch, np.zeros_like(channels), 1, sources)
            expansion.has_charges = True
            return expansion
        units = np.ones(batch.n_atoms)
        by_species = self.expand_sources(batch, channels, species.size, units)
        return by_species if matrix is None else ChargedExpansion(by_species, matrix)

    def expand_predicted(self, batch: StructureBatch) -> PredictedExpansion:
        """Expand the potential of predicted charges.

        Raises
        ------
        SettingsError
            If there is no ``predictor``.
        """
        if self.predictor is None:
            raise SettingsError(
                '`charges = "predicted"` needs the `predictor` that the fit of a '
                "potential sets; give charges by element, or fit a potential"
            )
        return PredictedExpansion(self, batch, self.predictor.evaluate(batch))

    def expand_sources(
        self, batch: StructureBatch, channels: np.ndarray, n_channels: int, charges
    ) -> LodeExpansion:
        """Expand the potential of charges.

        Parameters
        ----------
        channels : ndarray of shape (n_atoms,)
            Channel that every atom is a source of.
        n_channels : int
        charges : ndarray of shape (n_atoms,)
        """
        prefactors = harmonic_prefactors(self.max_angular)
        shape = (len(prefactors) ** 2, n_channels, self.n_radial)
        values = np.zeros((batch.n_atoms, *shape))
        parts = []
        for (boundary, pair_cutoff), structures in self.group(batch).items():
            atoms = np.flatnonzero(np.isin(batch.structure_of_atom, structures))
            some = batch.select(structures)
            part_values = np.zeros((atoms.size, *shape))
            arguments = (some, channels[atoms], part_values)
            common = prefactors, charges[atoms]
            if boundary == "open" and pair_cutoff is None:
                part = OpenExpansion(*arguments, self.open_table, *common)
            else:
                arguments = (*arguments, self.splits.split(pair_cutoff), *common)
                if boundary == "open":
                    meshes = self.open_meshes, self.open_table
                    part = OpenMeshExpansion(*arguments, *meshes)
                elif boundary == "slab":
                    part = SlabExpansion(*arguments, self.slab_kernel)
                else:
                    part = PeriodicExpansion(*arguments)
            values[atoms] = part_values
            parts.append((atoms, structures, part))
        exclusion = self.hypers["exclude_within"]
        if exclusion is not None:
            arguments = (batch, channels, values, exclusion, self.open_table)
            part = exclude_neighbors(*arguments, prefactors, charges)
            everything = np.arange(batch.n_atoms), np.arange(batch.n_structures)
            parts.append((*everything, part))
        at_center = -self.missing_at_center
        add_at_centers(values, channels, charges, at_center)
        return LodeExpansion(batch, channels, values, parts, at_center)

    def group(self, batch: StructureBatch) -> dict:
        """Return indices of structures by boundary and range of their near part.

        Raises
        ------
        ValueError
            If a structure is periodic in one direction only, or a slab and the exponent
            is 2.
        """
        groups = {}
        for index in range(batch.n_structures):
            pbc, cell = batch.pbc[index], batch.cells[index]
            boundary, pair_cutoff = boundary_name(pbc), None
            if boundary == "wire":
                raise ValueError(
                    "LODE needs structures that are periodic in no, two or three "
                    f"directions, {frame_name(index)} has pbc {pbc.tolist()}"
                )
            atoms = slice(*batch.first_atom[index : index + 2])
            if boundary == "slab":
                if self.hypers["density"]["exponent"] == 2:
                    raise ValueError(
                        "1 / r^2 has no sum over a slab: it diverges; "
                        f"{frame_name(index)} is one, use another exponent"
                    )
                cell = self.slab_kernel.cell(batch.positions[atoms], cell, pbc, 0.0)
            if boundary == "open":
                pair_cutoff = self.open_meshes.choose(
                    batch.positions[atoms], batch.species[atoms]
                )
            else:
                pair_cutoff = self.splits.choose(
                    atoms.stop - atoms.start,
                    abs(np.linalg.det(cell)),
                    np.unique(batch.species[atoms]).size,
                )
            groups.setdefault((boundary, pair_cutoff), []).append(index)
        return groups

    @property
    def missing_at_center(self) -> np.ndarray:
        """The part of an atom's potential that its own c_n00 lacks, (n_radial,)."""
        if self.hypers["exclude_within"] is not None:
            return self.open_table.core.at_center
        missing = 1.0 - self.hypers["density"]["center_atom_weight"]
        return missing * self.projections.at_center / np.sqrt(4.0 * np.pi)
