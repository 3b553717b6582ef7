"""Gradients of every atom's features on its own, from adjoints of expansions."""

from __future__ import annotations

import numpy as np


def contract_factors(factors: list, adjoints: list[np.ndarray]) -> np.ndarray:
    """Return the gradients of the sum of adjoint_i . c_i, of every atom i on its own.

    Parameters
    ----------
    factors : list of Factor
    adjoints : list of ndarray of shape (n_atoms, n_lm, n_q)
        By the coefficients c of each factor.

    Returns
    -------
    gradients : ndarray of shape (n_atoms, n_atoms, 3)
        Of the first atom by the position of the second.
    """
    n_atoms = len(adjoints[0])
    gradients = np.zeros((n_atoms, n_atoms, 3))
    for factor, adjoint in zip(factors, adjoints, strict=True):
        jacobian = factor.jacobian
        n_lm, n_radial = jacobian.derivatives.shape[2:]
        adjoint = adjoint.reshape(n_atoms, n_lm, -1, n_radial).swapaxes(1, 2)
        contracted = np.einsum(
            "exln,eln->ex",
            jacobian.derivatives,
            adjoint[jacobian.centers, jacobian.channels],
        )
        np.add.at(gradients, (jacobian.centers, jacobian.movers), contracted)
        np.subtract.at(gradients, (jacobian.centers, jacobian.centers), contracted)
    return gradients


def contract_strain(factors: list, adjoints: list[np.ndarray]) -> np.ndarray:
    """Do what `contract_factors` does, for strain: (n_atoms, 3, 3)."""
    parts = [
        np.einsum("iabln,iln->iab", factor.strain_jacobian, adjoint)
        for factor, adjoint in zip(factors, adjoints, strict=True)
    ]
    return sum(parts)
