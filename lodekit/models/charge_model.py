"""`ChargeModel` and `DipoleModel`: charges predicted from the surroundings of atoms."""

from __future__ import annotations

from lodekit.observables.charges import ATOMIC_MOMENTS
from lodekit.physics.multipoles import Multipoles
from lodekit.regression.atomic_moments import AtomicMoments
from lodekit.regression.latent_states import ElementLatent
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import as_frames

from .charge_energy import ChargeEnergyModel, check_width
from .charge_state import read_width
from .linear_charges import energy_targets


class ChargeModel(ChargeEnergyModel):
    """Atomic charges as functions of the environments, with an exact total charge.

    q_i = q_0(species of i) + Phi_i w, fitted to charges, dipoles and quadrupoles, or
    any of them. The total charge enters the fit, and predictions are conditioned on it
    as a Gaussian process is: the missing charge goes where charges are uncertain.

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
        moments = ATOMIC_MOMENTS[: len(self.moments_.kernels)]
        return [*super().properties, *moments]

    @property
    def response(self) -> Multipoles:
        """Charges, conditioned on the total charge once they are fitted, and moments.

        By the posterior of charges and moments alone, even where energies shape them.
        """
        return Multipoles(
            ElementLatent(self.latent_, self.species_, self.element_prior),
            self.moments_,
            getattr(self, "charge_width_", 0.0),
            conserving=False,
            posterior=getattr(self, "solution_", None),
        )

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the targets of ``frames``; see `LinearChargeModel.fit`."""
        frames = as_frames(frames)
        energies = energy_targets(frames, self.targets, self.potential)
        if self.max_multipole not in (None, 0, 1, 2):
            raise ValueError(
                f"max_multipole must be 0, 1, 2 or None, got {self.max_multipole!r}"
            )
        self.charge_width_ = check_width(self.charge_width)
        self.shaping_ = energies if self.learn_from_energies else []
        self._fit_charges(frames, sample_weight, groups)
        weighting = {"sample_weight": sample_weight, "groups": groups}
        self.potential_ = None
        if self.shaping_:
            self._shape_charges(frames, energies, weighting)
        elif energies:
            self.potential_ = self._fit_remainder(frames, energies, weighting)
            self.summary_["potential"] = self.potential_.summary_
        self._share_features()
        return self

    def learn(self, solution, std_scales: dict) -> None:
        """Take over weights; of energies these alone.

        The total charge is conditioned on as before energies were fitted: with the
        posterior that charges and moments give.
        """
        if hasattr(self, "solution_"):
            solution = self.solution_.with_weights(solution.weights)
            std_scales = self.std_scales_
        super().learn(solution, std_scales)

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
