"""`ChargeModel` and `DipoleModel`: charges predicted from the surroundings of atoms."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from lodekit.observables.charges import AffineCharges, total_charge

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

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        selection=None,
        targets=None,
        noises=None,
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
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def _charges(self, atoms, features: np.ndarray) -> AffineCharges:
        """Return Phi, conditioned on the total charge once there is a posterior.

        q = Phi w + c (Q - 1.Phi w) with c = S 1 / (1.S 1) and S the posterior
        covariance of the charges.
        """
        if not hasattr(self, "factor_"):
            return AffineCharges(features, np.zeros(len(features)))
        solved = linalg.cho_solve((self.factor_, True), features.sum(axis=0))
        share = features @ solved
        share /= share.sum()
        matrix = features - np.outer(share, features.sum(axis=0))
        return AffineCharges(matrix, share * total_charge(atoms))


class DipoleModel(ChargeModel):
    """Charges learned from molecular dipoles: the charges of MuML.

    The same model as `ChargeModel`, fitted to dipoles alone; its charges are what the
    dipoles need, and sum to the total charge.

    References
    ----------
    M. Veit, D. M. Wilkins, Y. Yang, R. A. DiStasio Jr., M. Ceriotti, J. Chem. Phys.
    153, 024113 (2020).
    """

    default_targets = ("dipole",)
