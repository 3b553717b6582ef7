"""`ChargeModel` and `DipoleModel`: charges predicted from the surroundings of atoms."""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import AffineCharges, total_charge
from lodekit.regression.vector_kernel import VectorKernel
from lodekit.structures.batch import StructureBatch

from .linear_charges import LinearChargeModel


class ChargeModel(LinearChargeModel):
    """Atomic charges as functions of the environments, with an exact total charge.

    q_i = q_0(species of i) + Phi_i w, fitted to charges, dipoles and quadrupoles, or
    any of them. The total charge enters the fit, and predictions are conditioned on it
    as a Gaussian process is: what is missing goes where the charges are uncertain.

    Parameters
    ----------
    descriptor, covariance, n_sparse, selection
        As in `SparsePotential`.
    targets : list of {"charges", "dipole", "quadrupole"}, optional
        What is fitted; all that the frames have where None.
    noises : dict of str to float, optional
        Standard deviation of the noise by target, in e, e·Å and e·Å²; what predicts
        held-out frames best where it is missing.
    validation_fraction : float
        Share of the frames that chooses noises and calibrates standard deviations.
    max_multipole : {0, 1}
        Whether atomic dipoles help the charges (1) where moments are fitted.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    weights_ : ndarray of shape (rank,)
    std_scale_ : float
        Calibration factor of standard deviations.
    summary_ : dict

    References
    ----------
    N. Artrith, T. Morawietz, J. Behler, Phys. Rev. B 83, 153101 (2011).
    """

    #: Prior standard deviation of the components of atomic dipoles in e·Å.
    dipole_prior = 0.3
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
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def _select(self, frames, random_state) -> None:
        """Choose sparse points, those of atomic dipoles for the first term alone."""
        if self.max_multipole not in (0, 1):
            raise ValueError(f"max_multipole must be 0 or 1, got {self.max_multipole}")
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
    def rank(self) -> int:
        """Number of weights: of elements, of the kernels, of atomic dipoles."""
        return super().rank + (0 if self.vectors_ is None else self.vectors_.rank)

    def _affine(self, frames):
        """Yield Phi, conditioned on the total charge once there is a posterior.

        q = Phi w + c (Q - 1.Phi w) with c = S 1 / (1.S 1) and S the posterior
        covariance of the charges.
        """
        batch = StructureBatch.from_frames(frames)
        cache: dict = {}
        features = np.zeros((batch.n_atoms, self.rank))
        n_species = self.species_.size
        is_element = batch.species[:, None] == self.species_
        features[:, :n_species] = is_element * self.element_prior
        rows = self.latent_.rows(batch, self.latent_.evaluate(batch, cache))
        features[:, n_species : n_species + rows.shape[1]] = rows
        dipoles = None
        if self.vectors_ is not None:
            dipoles = self.dipole_prior * self.vectors_.rows(batch, cache)
        first = batch.first_atom
        if hasattr(self, "solution_"):
            sums = np.add.reduceat(features, first[:-1], axis=0)
            spreads = self.solution_.apply_covariance(sums.T)
        for index, atoms in enumerate(frames):
            own = slice(first[index], first[index + 1])
            matrix, offset = features[own], np.zeros(len(atoms))
            if hasattr(self, "solution_"):
                share = matrix @ spreads[:, index]
                share /= share.sum()
                matrix = matrix - np.outer(share, sums[index])
                offset = share * total_charge(atoms)
            own_dipoles = None if dipoles is None else dipoles[own]
            yield atoms, AffineCharges(matrix, offset, own_dipoles)


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
            validation_fraction=validation_fraction,
            random_state=random_state,
            progress=progress,
        )
