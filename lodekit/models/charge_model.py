"""`ChargeModel` and `DipoleModel`: charges predicted from the surroundings of atoms."""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import ATOMIC_MOMENTS, AffineCharges, total_charge
from lodekit.quantities import ENERGIES
from lodekit.regression.environments import batches
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch, as_frames

from .atomic_moments import AtomicMoments
from .charge_checks import is_number
from .charge_conditioning import ConditionedCharges
from .charge_energy import (
    add_energies,
    add_remainder,
    energy_targets,
    fit_remainder,
    share_features,
)
from .charge_rows import ChargeExpansion
from .charge_state import read_width
from .dipole_gradients import EnvironmentDipoles
from .energy_fit import fit_energies
from .joint_fit import energy_spread
from .linear_charges import BATCH_ATOMS, LinearChargeModel
from .moving_charges import MovingCharges


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
        Standard deviation of the noise by target, in e, e·Å and e·Å², and for
        ``learn_from_energies`` eV/atom, eV/Å, eV/Å^3; what makes the targets most
        probable where it is missing.
    validation_fraction : float
        Share of the frames that may be left out, see `SparsePotential`.
    max_multipole : {0, 1, 2}, optional
        Whether atomic dipoles (1) and quadrupoles (2) go with the charges. Where None,
        atomic dipoles if both charges and what they should explain are fitted: moments,
        potentials, or in the same fit energies. Few reference charges do.
    charge_width : float
        Standard deviation in Å of the Gaussian charges and moments whose electrostatic
        energy is part of the energy.
    potential : SparsePotential, optional
        What describes the remainder of energies, forces and stress; two SOAP terms
        where None and energies are among the targets.
    learn_from_energies : bool
        Whether energies, forces and stress shape the charges, together with what else
        is fitted. If not, charges come first, and the remainder is fitted afterwards.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    weights_ : ndarray of shape (rank,)
    std_scales_ : dict of str to float
        Calibration factors of standard deviations by target.
    potential_ : SparsePotential or None
        Fitted to the remainder.
    summary_ : dict

    References
    ----------
    N. Artrith, T. Morawietz, J. Behler, Phys. Rev. B 83, 153101 (2011).
    """

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        selection=None,
        targets=None,
        noises=None,
        max_multipole=None,
        charge_width=1.0,
        potential=None,
        learn_from_energies=True,
        validation_fraction=1.0,
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
        self.learn_from_energies = learn_from_energies
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def _select(self, frames, random_state) -> None:
        """Choose sparse points, those of atomic moments for the first term alone."""
        super()._select(frames, random_state)
        order = self.max_multipole
        if order is None:
            order = int(self._explains_more(frames))
        first = self.latent_.kernels[0]
        self.moments_ = AtomicMoments.select(frames, first, order, random_state)

    def _explains_more(self, frames) -> bool:
        """Whether charges are fitted together with what moments help to explain."""
        energies = energy_targets(frames, self.targets, self.potential)
        others = {*self.targets_, *self.shaping_} - {"charges"}
        comes_later = energies and not self.shaping_
        return "charges" in self.targets_ and bool(others) and not comes_later

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        energies = () if self.potential_ is None else ENERGIES
        if self.ensemble_ is not None:
            energies = (*energies, "energy_std")
        moments = ATOMIC_MOMENTS[: len(self.moments_.kernels)]
        return [*energies, *super().properties, *moments]

    @property
    def kernels(self) -> list:
        """Kernels of charges, then of atomic moments."""
        return [*super().kernels, *self.moments_.kernels]

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the targets of ``frames``; see `LinearChargeModel.fit`."""
        frames = as_frames(frames)
        energies = energy_targets(frames, self.targets, self.potential)
        self._check_arguments()
        self.shaping_ = energies if self.learn_from_energies else []
        weighting = {"sample_weight": sample_weight, "groups": groups}
        super().fit(frames, **weighting)
        self.charge_width_ = float(self.charge_width)
        self.potential_ = None
        if self.shaping_:
            fit_energies(self, frames, energies, ChargeExpansion, **weighting)
        elif energies:
            parts = list(self._energy_parts(frames))
            self.potential_ = fit_remainder(
                self.potential, frames, parts, energies, **weighting
            )
            self.summary_["potential"] = self.potential_.summary_
        share_features(self)
        return self

    def _check_arguments(self) -> None:
        """Raise ``ValueError`` for arguments out of range."""
        if self.max_multipole not in (None, 0, 1, 2):
            raise ValueError(
                f"max_multipole must be 0, 1, 2 or None, got {self.max_multipole!r}"
            )
        if not (is_number(self.charge_width) and 0 <= self.charge_width < np.inf):
            raise ValueError(
                f"charge_width must be a length in Å, got {self.charge_width!r}"
            )

    def learn(self, solution, std_scales: dict) -> None:
        """Take over weights; of energies these alone.

        The total charge is conditioned on as before energies were fitted: with the
        posterior that charges and moments give.
        """
        if hasattr(self, "solution_"):
            solution = self.solution_.with_weights(solution.weights)
            std_scales = self.std_scales_
        super().learn(solution, std_scales)

    def _affine(self, frames):
        """Yield Phi, conditioned on the total charge once there is a posterior."""
        batch = StructureBatch.from_frames(frames)
        cache: dict = {}
        features = self._padded(batch, self.latent_.evaluate(batch, cache))
        moments = self.moments_.rows(batch, self.moments_.evaluate(batch, cache))
        first = batch.first_atom
        solution = getattr(self, "solution_", None)
        if solution is not None:
            sums = np.add.reduceat(features, first[:-1], axis=0)
            spreads = solution.apply_covariance(sums.T)
        for index, atoms in enumerate(frames):
            own = slice(first[index], first[index + 1])
            matrix, offset, charges = features[own], np.zeros(len(atoms)), None
            if solution is not None:
                charges = ConditionedCharges.of(
                    matrix, solution, total_charge(atoms), spreads[:, index]
                )
                matrix, offset = charges.matrix, charges.offset
            moved = EnvironmentDipoles(self, atoms, charges)
            of_atoms = tuple(m[own] for m in moments)
            yield atoms, AffineCharges(matrix, offset, of_atoms, moved)

    def _padded(self, batch: StructureBatch, states, covariances=None) -> np.ndarray:
        """Return Phi of elements and kernels, 0 for the weights of atomic moments."""
        rows = self.feature_rows(batch, states, covariances)
        missing = self.rank - rows.shape[1]
        return np.pad(rows, ((0, 0), (0, missing))) if missing else rows

    def _energy_parts(self, frames):
        """Yield the electrostatic energy of every structure with its derivatives."""
        for group in batches(frames, BATCH_ATOMS):
            yield from MovingCharges(self, [frames[i] for i in group]).energy_parts()

    def compute(self, frames, properties=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of charges (e), dipole (e·Å, from the origin), quadrupole (e·Å², (6,)),
            mep (V, at the ``mep_points``), each with _std, atomic_dipoles (e·Å,
            (n_atoms, 3)), atomic_quadrupoles (e·Å², (n_atoms, 6), traceless), and where
            energies were fitted energy (eV), forces (eV/Å), stress (eV/Å^3, Voigt,
            fully periodic frames only), and energy_std if they shaped the charges.
            Where None, charges, the dipole of open structures, and energy, forces and
            stress where there are any.

        Returns
        -------
        results : list of dict
        """
        return super().compute(frames, properties)

    def _compute_batch(self, frames, properties) -> list[dict]:
        """Predict frames that fit into memory together."""
        wanted = set(ENERGIES if properties is None else properties)
        wanted &= {*ENERGIES, "energy_std"}
        if not wanted or self.potential_ is None:
            return super()._compute_batch(frames, properties)
        together = MovingCharges(self, frames)
        results = [
            self._compute_one(atoms, charges, properties)
            for atoms, charges in zip(frames, together.affine(), strict=True)
        ]
        if "energy_std" in wanted:
            spreads = energy_spread(self, together)
            for result, spread in zip(results, spreads, strict=True):
                result["energy_std"] = spread
        if {*ENERGIES} & wanted:
            add_energies(results, together, self.potential_, {*ENERGIES} & wanted)
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
        moving = MovingCharges(self, [atoms])
        energies = [moving.interact(0, own)[0].energy for own in charges]
        return add_remainder(energies, atoms, self.potential_)

    def add_state(self, settings: dict, arrays: dict, store) -> None:
        """Add the charge width and the atomic moments."""
        settings["charge_width"] = self.charge_width_
        settings["moments"], more = self.moments_.get_state(store)
        arrays |= more

    def take_state(self, stored: StoredModel) -> None:
        """Take what `add_state` added."""
        self.charge_width_ = read_width(stored)
        self.moments_ = AtomicMoments.from_state(stored, self.latent_.kernels[0])


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
        learn_from_energies=False,
        validation_fraction=1.0,
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
            learn_from_energies=learn_from_energies,
            validation_fraction=validation_fraction,
            random_state=random_state,
            progress=progress,
        )
