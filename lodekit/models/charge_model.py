"""`ChargeModel` and `DipoleModel`: charges predicted from the surroundings of atoms."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lodekit.electrostatics import CoulombInteraction
from lodekit.observables.charges import AffineCharges, total_charge
from lodekit.regression.vector_kernel import VectorKernel
from lodekit.structures.batch import StructureBatch, as_frames

from .charge_checks import is_number
from .charge_conditioning import ConditionedCharges, latent_adjoints
from .charge_energy import (
    ENERGY_TARGETS,
    EnergyParts,
    add_energies,
    add_remainder,
    energy_targets,
    fit_remainder,
)
from .linear_charges import LinearChargeModel
from .settings import default_charge_terms


class ChargeModel(LinearChargeModel):
    """Atomic charges as functions of the environments, with an exact total charge.

    q_i = q_0(species of i) + Phi_i w, fitted to charges, dipoles and quadrupoles, or
    any of them. The total charge enters the fit, and predictions are conditioned on it
    as a Gaussian process is: what is missing goes where the charges are uncertain.

    Parameters
    ----------
    descriptor, covariance, n_sparse, selection
        As in `SparsePotential`.
    targets : list of str, optional
        What is fitted, of charges, dipole, quadrupole, energy, forces, stress. Where
        None, all charges and moments that the frames have; with a ``potential``,
        energies, forces and stress too.
    noises : dict of str to float, optional
        Standard deviation of the noise by target, in e, e·Å and e·Å²; what predicts
        held-out frames best where it is missing.
    validation_fraction : float
        Share of the frames that chooses noises and calibrates standard deviations.
    max_multipole : {0, 1}
        Whether atomic dipoles help the charges (1) where moments are fitted; they have
        no energy yet.
    charge_width : float
        Standard deviation in Å of the Gaussian charges whose electrostatic energy is
        part of the energy.
    potential : SparsePotential, optional
        What is fitted to the remainder of energies, forces and stress; SOAP alone where
        None and energies are among the targets.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    weights_ : ndarray of shape (rank,)
    std_scale_ : float
        Calibration factor of standard deviations.
    potential_ : SparsePotential or None
        Fitted to the remainder.
    summary_ : dict

    References
    ----------
    N. Artrith, T. Morawietz, J. Behler, Phys. Rev. B 83, 153101 (2011).
    """

    #: Prior standard deviation of the components of atomic dipoles in e·Å.
    dipole_prior = 0.1
    #: Sparse points for atomic dipoles, three weights each, by one of the charges'.
    dipole_points = 0.5

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        selection=None,
        targets=None,
        noises=None,
        max_multipole=0,
        charge_width=1.0,
        potential=None,
        validation_fraction=0.1,
        random_state=0,
        progress=False,
    ):
        self.descriptor = descriptor
        self.covariance = covariance
        self.n_sparse = n_sparse
        self.selection = selection
        self.targets = targets
        self.noises = noises
        self.max_multipole = max_multipole
        self.charge_width = charge_width
        self.potential = potential
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def _select(self, frames, random_state) -> None:
        """Choose sparse points, those of atomic dipoles for the first term alone."""
        super()._select(frames, random_state)
        self.vectors_ = None
        if self.max_multipole:
            first = self.latent_.kernels[0]
            n_sparse = max(len(points.features) for points in first.points.values())
            self.vectors_ = VectorKernel.select(
                frames,
                first.descriptor,
                first.covariance,
                self.species_,
                max(1, int(self.dipole_points * n_sparse)),
                random_state=random_state,
            )

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        energies = () if self.potential_ is None else ENERGY_TARGETS
        dipoles = () if self.vectors_ is None else ("atomic_dipoles",)
        return [*energies, *super().properties, *dipoles]

    def _default_terms(self, frames) -> list[tuple]:
        """Return SOAP, and LODE where charges are fitted."""
        return default_charge_terms(frames, far="charges" in self.targets_)

    @property
    def rank(self) -> int:
        """Number of weights: of elements, of the kernels, of atomic dipoles."""
        return super().rank + (0 if self.vectors_ is None else self.vectors_.rank)

    def fit(self, frames, y=None):
        """Fit to the targets of ``frames``; see `LinearChargeModel.fit`."""
        frames = as_frames(frames)
        energies = energy_targets(frames, self.targets, self.potential)
        self._check_arguments(energies)
        super().fit(frames)
        self.charge_width_ = float(self.charge_width)
        self.potential_ = None
        if energies:
            parts = list(self._energy_parts(frames))
            self.potential_ = fit_remainder(self.potential, frames, parts, energies)
            self.summary_["potential"] = self.potential_.summary_
        return self

    def _check_arguments(self, energies) -> None:
        """Raise ``ValueError`` for arguments out of range."""
        if self.max_multipole not in (0, 1):
            raise ValueError(f"max_multipole must be 0 or 1, got {self.max_multipole}")
        if not (is_number(self.charge_width) and 0 <= self.charge_width < np.inf):
            raise ValueError(
                f"charge_width must be a length in Å, got {self.charge_width!r}"
            )
        if energies and self.max_multipole:
            raise ValueError(
                "atomic dipoles have no energy here; use max_multipole=0 for the "
                f"targets {energies}"
            )

    def _affine(self, frames):
        """Yield Phi, conditioned on the total charge once there is a posterior."""
        batch = StructureBatch.from_frames(frames)
        cache: dict = {}
        features = self._padded(batch, self.latent_.evaluate(batch, cache))
        dipoles = None
        if self.vectors_ is not None:
            dipoles = self.dipole_prior * self.vectors_.rows(batch, cache)
        first = batch.first_atom
        solution = getattr(self, "solution_", None)
        if solution is not None:
            sums = np.add.reduceat(features, first[:-1], axis=0)
            spreads = solution.apply_covariance(sums.T)
        for index, atoms in enumerate(frames):
            own = slice(first[index], first[index + 1])
            matrix, offset = features[own], np.zeros(len(atoms))
            if solution is not None:
                charges = ConditionedCharges.of(
                    matrix, solution, total_charge(atoms), spreads[:, index]
                )
                matrix, offset = charges.matrix, charges.offset
            moments = () if dipoles is None else (dipoles[own],)
            yield atoms, AffineCharges(matrix, offset, moments)

    def _padded(self, batch: StructureBatch, states) -> np.ndarray:
        """Return Phi of elements and kernels, 0 for the weights of atomic dipoles."""
        rows = self.feature_rows(batch, states)
        return np.pad(rows, ((0, 0), (0, self.rank - rows.shape[1])))

    def _energy_parts(self, frames):
        """Yield the electrostatic energy of every structure with its derivatives."""
        for atoms in frames:
            batch = StructureBatch.from_frames([atoms])
            states = self.latent_.evaluate(batch)
            features = self._padded(batch, states)
            charges = ConditionedCharges.of(
                features, self.solution_, total_charge(atoms)
            )
            result = CoulombInteraction(
                atoms.positions, atoms.cell[:], atoms.pbc, self.charge_width_
            ).compute(charges.values)
            adjoints = latent_adjoints(
                self.latent_,
                batch,
                states,
                [w[self.species_.size :] for w in charges.vectors(result.potential)],
                charges.scales(result.potential),
            )
            gradients, strain = self.latent_.gradients(batch, states, adjoints)
            yield EnergyParts(
                result.energy,
                result.forces - gradients,
                result.strain_gradient + strain[0],
            )

    def compute(self, frames, properties=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of charges (e), dipole (e·Å, from the origin), quadrupole (e·Å², (6,)),
            charges_std, dipole_std, quadrupole_std, atomic_dipoles (e·Å, (n_atoms, 3)),
            and where energies were fitted energy (eV), forces (eV/Å), stress (eV/Å^3,
            Voigt, fully periodic frames only). Where None, charges, the dipole of open
            structures, and energy, forces and stress where there are any.

        Returns
        -------
        results : list of dict
        """
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        if isinstance(properties, str):
            properties = [properties]
        results = super().compute(frames, properties)
        wanted = set(self.properties if properties is None else properties)
        wanted &= set(ENERGY_TARGETS)
        if wanted:
            parts = list(self._energy_parts(frames))
            add_energies(results, frames, parts, self.potential_, wanted)
        return results

    def energies_of_charges(self, atoms, charges) -> np.ndarray:
        """Return energies of one structure with other charges than those predicted.

        Parameters
        ----------
        atoms : ase.Atoms
        charges : ndarray of shape (n_sets, n_atoms)
            In e.

        Returns
        -------
        energies : ndarray of shape (n_sets,)
            In eV, of the charges and where energies were fitted, of the remainder.
        """
        interaction = CoulombInteraction(
            atoms.positions, atoms.cell[:], atoms.pbc, self.charge_width_
        )
        energies = [interaction.energy(own) for own in charges]
        return add_remainder(energies, atoms, self.potential_)

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        state = super().get_state()
        state["settings"]["charge_width"] = self.charge_width_
        state["settings"]["max_multipole"] = int(self.vectors_ is not None)
        if self.vectors_ is not None:
            state["arrays"].update(self.vectors_.get_arrays("vectors"))
        return state

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`."""
        settings, arrays = state["settings"], state["arrays"]
        model = super().from_state(state)
        model.charge_width = model.charge_width_ = settings["charge_width"]
        model.max_multipole = settings["max_multipole"]
        model.vectors_ = None
        if model.max_multipole:
            first = model.latent_.kernels[0]
            model.vectors_ = VectorKernel.from_arrays(
                first.descriptor, first.covariance, model.species_, arrays, "vectors"
            )
        return model


class DipoleModel(ChargeModel):
    """Charges and atomic dipoles learned from molecular dipoles: MuML.

    The same model as `ChargeModel`, fitted to dipoles alone and with atomic dipoles;
    its charges are what the dipoles need, and sum to the total charge.

    References
    ----------
    M. Veit, D. M. Wilkins, Y. Yang, R. A. DiStasio Jr., M. Ceriotti, J. Chem. Phys.
    153, 024113 (2020).
    """

    default_targets = ("dipole",)

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        selection=None,
        targets=None,
        noises=None,
        max_multipole=1,
        charge_width=1.0,
        potential=None,
        validation_fraction=0.1,
        random_state=0,
        progress=False,
    ):
        super().__init__(
            descriptor,
            covariance,
            n_sparse,
            selection=selection,
            targets=targets,
            noises=noises,
            max_multipole=max_multipole,
            charge_width=charge_width,
            potential=potential,
            validation_fraction=validation_fraction,
            random_state=random_state,
            progress=progress,
        )
