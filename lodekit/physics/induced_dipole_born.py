"""Born charges of atoms that polarize each other, and how weights change them.

With nu_a = B^-1 e_a, the dipoles that a unit field along a induces, the moment M = sum
q R + mu of a structure changes with the latents by

    y_qi = R_ia - (A nu_a)_i,    y_di = a_i^-1 nu_ia,
    y_li = nu_ia . a_i^-1 (mu_i - mu_0i)

for charges q, permanent dipoles mu_0 and logarithms l of polarizabilities. Born charges
are derivatives of forces by the field, so that at the moments m = (q, mu) of the
minimum, with n_a = (0, nu_a),

    Z_j,ab = q_j delta_ab - m . dA/dR_jb . n_a + sum_i y_qi dq_i/dR_jb
             + y_di . dmu_0i/dR_jb + y_li dl_i/dR_jb.

All of it depends on the weights: of q, mu_0 and l with their gradients, of m, and, as
nu_a and y depend on l, of these.
"""

from __future__ import annotations

import numpy as np

from lodekit.electrostatics.multipole_matrix import MultipoleMatrix
from lodekit.electrostatics.multipole_sums import gradients_of

from .induced_dipole_latents import InducedBatch


class InducedResponse:
    """How one structure responds to a unit field along each axis.

    Parameters
    ----------
    batch : InducedBatch
    place : int
        Of the structure in the batch.

    Attributes
    ----------
    system : InducedDipoles
    solved : Induced
    nu : ndarray of shape (n_atoms, 3, 3)
        nu, last axis a, in e·Å per V/Å.
    by_charges, by_logs : ndarray of shape (n_atoms, 3)
        y_q in Å and y_l in e·Å.
    by_dipoles : ndarray of shape (n_atoms, 3, 3)
        y_d.
    pulled : ndarray of shape (n_atoms, 3)
        a^-1 (mu - mu_0) in V/Å.
    """

    def __init__(self, batch: InducedBatch, place: int, iterative=None):
        atoms = batch.own(place)
        self.charges = batch.charges[atoms]
        self.system = batch.system(place, iterative)
        self.solved = batch.solve(place, self.system)
        n_atoms, stiffness = len(self.charges), self.system.stiffness
        uniform = np.broadcast_to(np.eye(3), (n_atoms, 3, 3))
        self.nu = self.system.respond(uniform)
        self.by_dipoles = np.einsum("icd,ida->ica", stiffness, self.nu)
        change = self.solved.dipoles - batch.permanent[atoms]
        self.pulled = np.einsum("icd,id->ic", stiffness, change)
        self.by_logs = np.einsum("ica,ic->ia", self.nu, self.pulled)
        none = np.zeros(n_atoms)
        felt = [self.system.felt(none, self.nu[:, :, a])[:, 0] for a in range(3)]
        self.by_charges = self.system.interaction.positions - np.stack(felt, axis=1)

    @property
    def moments(self) -> np.ndarray:
        """Charges and dipoles, (n_atoms, 4)."""
        return np.hstack([self.charges[:, None], self.solved.dipoles])

    def response_moments(self, axis: int) -> np.ndarray:
        """Return n_a, (n_atoms, 4)."""
        return np.hstack([np.zeros((len(self.nu), 1)), self.nu[:, :, axis]])

    def fixed_born_charges(self) -> np.ndarray:
        """Return Z of latents that do not depend on positions, (n_atoms, 3, 3)."""
        charges = self.charges[:, None, None] * np.eye(3)
        for axis in range(3):
            ends = []
            for sign in (1.0, -1.0):  # the energy is quadratic in the moments
                dipoles = self.solved.dipoles + sign * self.nu[:, :, axis]
                moments = self.system.interaction.pack(self.charges, dipoles, None)
                ends.append(gradients_of(moments, self.system.derivatives(moments)))
            charges[:, axis] -= 0.5 * (ends[0] - ends[1])
        return charges


def born_charges(batch: InducedBatch, responses: list) -> np.ndarray:
    """Return Z of all atoms of a batch in e, (n_atoms, 3, 3).

    Parameters
    ----------
    batch : InducedBatch
    responses : list of InducedResponse
        Of all its structures.
    """
    charges = np.concatenate([response.fixed_born_charges() for response in responses])
    for axis in range(3):
        adjoints = join_adjoints(responses, axis)
        charges[:, axis] += batch.latent_gradients(*adjoints)[0]
    return charges


def join_adjoints(responses: list, axis: int) -> tuple:
    """Return y_q, y_d and y_l of one axis for all atoms of a batch."""
    return (
        np.concatenate([response.by_charges[:, axis] for response in responses]),
        np.concatenate([response.by_dipoles[:, :, axis] for response in responses]),
        np.concatenate([response.by_logs[:, axis] for response in responses]),
    )


class BornRows:
    """Rows of the Born charges of a batch: their derivatives by all weights.

    Parameters
    ----------
    batch : InducedBatch
    responses : list of InducedResponse
        Of all its structures.
    features : tuple of ndarray
        Derivatives of q, mu_0 and l of all atoms by their weights.
    """

    def __init__(self, batch: InducedBatch, responses: list, features: tuple):
        self.batch, self.responses, self.features = batch, responses, features
        self.values = born_charges(batch, responses)
        #: rows of gradients at fixed y, by axis
        self.gradient_rows = [
            batch.latent_gradient_rows(*join_adjoints(responses, axis))
            for axis in range(3)
        ]
        self.jacobians = batch.latent_jacobians()

    def rows(self, place: int) -> np.ndarray:
        """Return dZ/dw of one structure, (n_atoms, 3, 3, rank)."""
        chosen, response = self.batch.own(place), self.responses[place]
        features = [part[chosen] for part in self.features]
        jacobians = [part[chosen][..., chosen, :] for part in self.jacobians]
        rows = np.stack([part[chosen] for part in self.gradient_rows], axis=1)
        ends = np.cumsum([part.shape[-1] for part in features])
        by_charges, by_dipoles, by_logs = np.split(rows, ends[:-1], axis=3)
        for axis in range(3):
            by_charges[:, axis, axis] += features[0]
        matrix = MultipoleMatrix(response.system.interaction, 4)
        changes = Changes(response, matrix.matrix, features)
        felt = matrix.gradients(response.moments)[:, 1:]
        # l = t + const with t = tanh x, so that dl/dR = (1 - t^2) dx/dR
        slopes, bends = self.batch.log_slopes[chosen], -2.0 * self.batch.logs[chosen]
        for axis in range(3):
            gradients = matrix.gradients(response.response_moments(axis))
            by_charges[:, axis] -= contract(gradients[:, 0], features[0])
            for part, change in zip(
                (by_charges, by_dipoles, by_logs), changes.dipoles, strict=True
            ):
                part[:, axis] -= contract(gradients[:, 1:], change)
            change = changes.responses[axis]
            by_logs[:, axis] -= contract(felt, change)
            for jacobian, adjoint in zip(
                jacobians[:2], changes.adjoints(axis), strict=True
            ):
                by_logs[:, axis] += contract(jacobian, adjoint)
            bent = (bends * response.by_logs[:, axis])[:, None] * features[2]
            by_logs[:, axis] += contract(jacobians[2], bent)
            for part, change in zip(
                (by_charges, by_dipoles, by_logs),
                changes.log_adjoints(axis),
                strict=True,
            ):
                part[:, axis] += contract(jacobians[2], slopes[:, None] * change)
        return rows


def contract(gradients: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Return the sum of gradients (..., n_atoms, 3) times changes (..., rank)."""
    *rows, n_columns = changes.shape
    shape = gradients.shape[-2:]
    flat = gradients.reshape(int(np.prod(rows)), -1)
    product = flat.T @ changes.reshape(len(flat), n_columns)
    return product.reshape(*shape, n_columns)


class Changes:
    """How the moments of one structure, their responses and y change with weights.

    Parameters
    ----------
    response : InducedResponse
    matrix : ndarray of shape (n_atoms, 4, n_atoms, 4)
        A, but for an atom with itself, which does not couple charges to dipoles.
    features : list of ndarray
        Derivatives of q, mu_0 and l by their weights.

    Attributes
    ----------
    dipoles : list of ndarray of shape (n_atoms, 3, n)
        dmu by the weights of q, of mu_0 and of l.
    responses : list of ndarray of shape (n_atoms, 3, n)
        dnu_a by the weights of l.
    """

    def __init__(self, response: InducedResponse, matrix, features):
        self.response, self.matrix, self.features = response, matrix, features
        by_charges, by_dipoles, by_logs = features
        system, stiffness = response.system, response.system.stiffness
        n_atoms = len(stiffness)
        coupling = np.ascontiguousarray(matrix[:, 1:, :, 0]).reshape(-1, n_atoms)
        pulls = [
            -(coupling @ by_charges).reshape(n_atoms, 3, by_charges.shape[1]),
            np.einsum("icd,idw->icw", stiffness, by_dipoles),
            response.pulled[:, :, None] * by_logs[:, None],
        ]
        self.dipoles = [system.respond(atoms) for atoms in pulls]
        self.responses = [
            system.respond(response.by_dipoles[:, :, axis, None] * by_logs[:, None])
            for axis in range(3)
        ]

    def adjoints(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the changes of y_q and y_d by the weights of l."""
        response, change = self.response, self.responses[axis]
        n_atoms = len(change)
        coupling = np.ascontiguousarray(self.matrix[:, 0, :, 1:]).reshape(n_atoms, -1)
        potentials = -coupling @ change.reshape(3 * n_atoms, -1)
        potentials -= potentials.mean(axis=0)  # charges keep their sum
        stretched = np.einsum("icd,idw->icw", response.system.stiffness, change)
        stretched -= response.by_dipoles[:, :, axis, None] * self.features[2][:, None]
        return potentials, stretched

    def log_adjoints(self, axis: int) -> list[np.ndarray]:
        """Return the changes of y_l by the weights of q, of mu_0 and of l."""
        response = self.response
        stretched = response.by_dipoles[:, :, axis]
        adjoints = [
            np.einsum("ic,icw->iw", stretched, dipoles) for dipoles in self.dipoles
        ]
        adjoints[1] -= np.einsum("ic,icw->iw", stretched, self.features[1])
        adjoints[2] += np.einsum("ic,icw->iw", response.pulled, self.responses[axis])
        adjoints[2] -= response.by_logs[:, axis, None] * self.features[2]
        return adjoints
