"""How the dipole of charges and atomic moments follows a displaced atom.

For charges of environments q = Phi w, atomic dipoles d = Psi w and the displacement of
atom i of an open structure, this is the derivative at fixed charges of the atom itself,

    D_i = sum_j (R_j - R_c) q_j,i + d_j,i,

linear in the weights. Charges conditioned on their sum Q, q = Phi w + c (Q - s.w) as in
`conditioning`, have for R_c = sum_j c_j R_j and Y = sum_j (R_j - R_c) Phi_j

    D_i = Y_i . w + (Q - s.w) k_i,    k_i = (Y_i . g + s_i . B Y) / (s.g).

In a periodic structure the dipole is known up to multiples of the cell, but its
derivative is not ambiguous as long as charge flows between an atom and its neighbours:
every image m of the displaced atom has the distances of its own,

    D_i = sum_jm (R_j - R_i - T_m) q_j,im + d_j,im.

What is added to charges to keep their sum flows in no direction, and is left out; the
mean of D_i over atoms is taken away, so that moving all of them moves no charge. Shares
c_i of a total that is known far better than single charges are large and of both signs:
in Z = q + D every atom takes 1 / n of what is missing instead, (c_i - 1 / n) (Q - s.w)
being taken from D.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ase import Atoms

from lodekit.regression.latent import ReversePass
from lodekit.regression.latent_states import KernelFeatures
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs


class MovedDipoles:
    """D of one structure, for charges and moments of environments.

    Parameters
    ----------
    response : Multipoles
    atoms : ase.Atoms
    weights : ndarray of shape (rank,), optional
        Of charges and moments, for values.
    conditioned : ConditionedCharges, optional
        Charges with their sum and posterior; those of an unconditioned fit, or that
        sum to Q by an equal share of all atoms, where None.
    """

    def __init__(self, response, atoms, weights=None, conditioned=None):
        self.response, self.atoms, self.weights = response, atoms, weights
        self.is_periodic = bool(atoms.pbc.any())
        self.conditioned = None if self.is_periodic else conditioned
        self.shared = conditioned if self.is_periodic else None
        self.columns = slice(0, response.latent.rank)

    @cached_property
    def cluster(self) -> tuple[Atoms, np.ndarray]:
        """The atoms with the images near them, and which atom each of all is."""
        atoms, reach = self.atoms, self.response.latent.latent.reach
        if not self.is_periodic:
            return atoms, np.arange(len(atoms))
        if not np.isfinite(reach):
            raise ValueError(
                "dipoles of periodic structures have derivatives where charges are "
                "those of neighbourhoods; features of this model have no end (LODE): "
                "use SOAP features"
            )
        pairs = find_pairs(StructureBatch.from_frames([atoms]), reach)
        cells = np.linalg.inv(atoms.cell.complete()[:])
        ends = atoms.positions[pairs.centers] + pairs.vectors
        shifts = np.rint((ends - atoms.positions[pairs.neighbors]) @ cells).astype(int)
        images = np.unique(np.column_stack([pairs.neighbors, shifts]), axis=0)
        images = images[images[:, 1:].any(axis=1)]
        owners = np.concatenate([np.arange(len(atoms)), images[:, 0]])
        changed = (
            atoms.positions[images[:, 0]] + images[:, 1:] @ atoms.cell.complete()[:]
        )
        positions = np.concatenate([atoms.positions, changed])
        return Atoms(atoms.numbers[owners], positions), owners

    @cached_property
    def batch(self) -> StructureBatch:
        """The cluster."""
        return StructureBatch.from_frames([self.cluster[0]])

    @cached_property
    def features(self) -> KernelFeatures:
        """Features of the cluster."""
        return KernelFeatures(self.response.latent.latent, self.batch, {})

    def states(self, weights: np.ndarray) -> list:
        """Return charges and moments of the cluster with some weights."""
        of_charges, others = np.split(weights, [self.columns.stop])
        charges = self.response.latent.evaluate(self.features, of_charges)
        cache = self.features.cache
        return [charges, *self.response.moments.evaluate(self.batch, cache, others)]

    @cached_property
    def center(self) -> np.ndarray:
        """R_c in Å, (3,)."""
        positions = self.atoms.positions
        if self.conditioned is None:
            return positions.mean(axis=0)
        return self.conditioned.share @ positions

    @cached_property
    def ones(self) -> np.ndarray:
        """1 for the atoms and 0 for their images, (n, 1)."""
        return (np.arange(self.batch.n_atoms) < len(self.atoms)).astype(float)[:, None]

    def adjoints(self, axis: int) -> list[np.ndarray]:
        """Return the derivatives of a component of the dipole, by order of moments."""
        places = np.zeros_like(self.ones)
        places[: len(self.atoms), 0] = (self.atoms.positions - self.center)[:, axis]
        n_orders = len(self.response.moments.kernels)
        of_moments = [self.ones * np.eye(n)[axis] for n in (3, 6)[:n_orders]]
        for part in of_moments[1:]:
            part[:] = 0.0
        return [places, *of_moments]

    def fold(self, firsts: np.ndarray, sums) -> np.ndarray:
        """Return derivatives of images added to those of their atoms.

        Parameters
        ----------
        firsts : ndarray of shape (3, n, 3, ...)
            By the position of all, of sum_j (R_j - R_c) q_j + t_j.
        sums : ndarray of shape (n, 3, ...) or None
            Of sum_j q_j, of periodic structures.

        Returns
        -------
        folded : ndarray of shape (n_atoms, 3, 3, ...)
            Atom, component of the dipole, of the displacement.
        """
        firsts = np.swapaxes(firsts, 0, 1)
        if not self.is_periodic:
            return firsts
        cluster, owners = self.cluster
        places = cluster.positions - self.center
        places = places.reshape(places.shape + (1,) * (sums.ndim - 1))
        folded = np.zeros((len(self.atoms), *firsts.shape[1:]))
        np.add.at(folded, owners, firsts - places * sums[:, None])
        return folded - folded.mean(axis=0)

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return D, affine in the weights.

        Returns
        -------
        matrix : ndarray of shape (n_atoms, 3, 3, rank)
        offset : ndarray of shape (n_atoms, 3, 3)
        """
        states = self.states(np.zeros(self.response.rank))
        parts = [
            np.concatenate(
                [
                    state.position_rows(adjoint)
                    for state, adjoint in zip(states, self.adjoints(axis), strict=True)
                ],
                axis=2,
            )
            for axis in range(3)
        ]
        sums = self.padded_sums(states[0]) if self.is_periodic else None
        matrix = np.ascontiguousarray(self.fold(np.array(parts), sums))
        offset = np.zeros(matrix.shape[:3])
        if self.shared is not None:
            excess, total = self.excess_share, self.shared.features.sum(axis=0)
            for axis in range(3):
                matrix[:, axis, axis] += np.outer(excess, total)
                offset[:, axis, axis] -= excess * self.shared.total
        if self.conditioned is None:
            return matrix, offset
        charges, part = self.conditioned, self.columns
        sums = states[0].position_rows(self.ones)
        shares = matrix[..., part] @ charges.spread[part]
        shares += np.einsum("ibw,wa->iab", sums, self.responses[part])
        total = charges.features.sum(axis=0)
        shares /= total @ charges.spread
        matrix -= shares[..., None] * total
        return matrix, charges.total * shares

    def padded_sums(self, state) -> np.ndarray:
        """Return the rows of sums of charges, with columns 0 of moments."""
        sums = state.position_rows(self.ones)
        missing = self.response.rank - self.columns.stop
        return np.pad(sums, ((0, 0), (0, 0), (0, missing)))

    def sum_rows(self) -> np.ndarray:
        """Return the derivatives of sum_j Phi_j by positions, (n_atoms, 3, rank)."""
        states = self.states(np.zeros(self.response.rank))
        rows = np.zeros((len(self.atoms), 3, self.response.rank))
        np.add.at(rows, self.cluster[1], self.padded_sums(states[0]))
        return rows

    @cached_property
    def responses(self) -> np.ndarray:
        """B Y, (rank, 3)."""
        charges = self.conditioned
        firsts = (self.atoms.positions - self.center).T @ charges.features
        return charges.solution.apply_covariance(firsts.T)

    def values(self) -> np.ndarray:
        """Return D at the weights, (n_atoms, 3, 3), by reverse passes."""
        weights, charges, main = self.weights, self.conditioned, self.weights.copy()
        if charges is not None:
            main[self.columns] += (charges.level * charges.spread)[self.columns]
        states, firsts = self.states(main), []
        for axis in range(3):
            reverse_pass = ReversePass(self.batch)
            for state, adjoint in zip(states, self.adjoints(axis), strict=True):
                state.pull(reverse_pass, adjoint)
            if charges is not None:
                more = charges.level * self.responses[:, axis]
                self.states(more)[0].pull(reverse_pass, self.ones)
            firsts.append(reverse_pass.run()[0])
        sums = None
        if self.is_periodic:
            reverse_pass = ReversePass(self.batch)
            states[0].pull(reverse_pass, self.ones)
            sums, _ = reverse_pass.run()
        folded = self.fold(np.array(firsts), sums)
        if self.shared is not None:
            missing = self.shared.total - self.shared.features.sum(axis=0) @ weights
            folded = folded - (missing * self.excess_share)[:, None, None] * np.eye(3)
        return folded

    @property
    def excess_share(self) -> np.ndarray:
        """Shares of atoms of periodic structures in the total charge, less 1 / n."""
        return self.shared.share - 1.0 / len(self.atoms)


class EquilibratedDipoles:
    """D of one structure: how its dipole follows a displaced atom at fixed charge.

    With f the positions from the centre, which stay as atoms move, D = f.q_R is what
    dU/dR changes by with a potential s f: D = d/ds dU/dR at s = 0. Charges are affine
    in s, and dU/dR and its derivatives by the weights quadratic, so that differences
    between s = 1 and s = -1 are derivatives without any error.

    Parameters
    ----------
    solved : SolvedEquilibration
    index : int
        Of the structure.

    Raises
    ------
    ValueError
        For a periodic structure: its charge flows from everywhere to everywhere.
    """

    def __init__(self, solved, index: int):
        self.solved, self.index = solved, index

    def check(self) -> None:
        """Raise ``ValueError`` where the dipole has no derivative."""
        if self.solved.frames[self.index].pbc.any():
            raise ValueError(
                "dipoles of equilibrated charges have derivatives in open structures: "
                "in a periodic one charge flows without an end; use a ChargeModel, "
                "DipoleModel or LatentChargeModel"
            )
        if self.solved.field is not None:
            raise ValueError("derivatives of dipoles are those without a field")

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return D, affine around the weights.

        Returns
        -------
        matrix : ndarray of shape (n_atoms, 3, 3, rank)
        offset : ndarray of shape (n_atoms, 3, 3)
        """
        self.check()
        matrix = self.solved.dipole_rows[self.solved.atoms_of(self.index)].copy()
        return matrix, self.values() - matrix @ self.solved.weights

    def values(self) -> np.ndarray:
        """Return D at the weights, (n_atoms, 3, 3)."""
        self.check()
        return self.solved.dipole_gradients[self.solved.atoms_of(self.index)]
