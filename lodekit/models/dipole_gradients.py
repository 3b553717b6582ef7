"""How the dipole of charges and atomic moments follows a displaced atom.

For charges of environments q = Phi w, atomic dipoles d = Psi w and the displacement of
atom i of an open structure, this is the derivative at fixed charges of the atom itself,

    D_i = sum_j (R_j - R_c) q_j,i + d_j,i,

linear in the weights. Charges conditioned on their sum Q, q = Phi w + c (Q - s.w) as in
`charge_conditioning`, have for R_c = sum_j c_j R_j and Y = sum_j (R_j - R_c) Phi_j

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

from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs


class EnvironmentDipoles:
    """D of one structure, for charges and moments of environments.

    Parameters
    ----------
    model : LinearChargeModel
        With ``latent_``, and ``moments_`` where there are any.
    atoms : ase.Atoms
    conditioned : ConditionedCharges, optional
        Charges with their sum and posterior; those of an unconditioned fit, or that
        sum to Q by an equal share of all atoms, where None.
    """

    def __init__(self, model, atoms, conditioned=None):
        self.model = model
        self.atoms = atoms
        self.conditioned = None if atoms.pbc.any() else conditioned
        self.shared = conditioned if atoms.pbc.any() else None
        self.n_elements = model.species_.size
        self.latent = model.latent_
        self.moments = getattr(model, "moments_", None)

    @cached_property
    def cluster(self) -> tuple[Atoms, np.ndarray]:
        """The atoms with the images near them, and which atom each of all is."""
        atoms = self.atoms
        if not atoms.pbc.any():
            return atoms, np.arange(len(atoms))
        if not np.isfinite(self.latent.reach):
            raise ValueError(
                "dipoles of periodic structures have derivatives where charges are "
                "those of neighbourhoods; features of this model have no end (LODE): "
                "use SOAP features"
            )
        pairs = find_pairs(StructureBatch.from_frames([atoms]), self.latent.reach)
        cells = np.linalg.inv(atoms.cell.complete()[:])
        ends = atoms.positions[pairs.centers] + pairs.vectors
        shifts = np.rint((ends - atoms.positions[pairs.neighbors]) @ cells).astype(int)
        images = np.unique(np.column_stack([pairs.neighbors, shifts]), axis=0)
        images = images[images[:, 1:].any(axis=1)]
        owners = np.concatenate([np.arange(len(atoms)), images[:, 0]])
        moved = atoms.positions[images[:, 0]] + images[:, 1:] @ atoms.cell.complete()[:]
        positions = np.concatenate([atoms.positions, moved])
        return Atoms(atoms.numbers[owners], positions), owners

    @cached_property
    def batch(self) -> StructureBatch:
        """The cluster."""
        return StructureBatch.from_frames([self.cluster[0]])

    @cached_property
    def states(self) -> tuple[list, object]:
        """Features of charges and of moments."""
        cache: dict = {}
        scalars = self.latent.evaluate(self.batch, cache)
        has_moments = self.moments is not None and self.moments.kernels
        return scalars, self.moments.evaluate(
            self.batch, cache
        ) if has_moments else None

    @cached_property
    def center(self) -> np.ndarray:
        """R_c in Å, (3,)."""
        positions = self.atoms.positions
        if self.conditioned is None:
            return positions.mean(axis=0)
        return self.conditioned.share @ positions

    @cached_property
    def adjoints(self) -> np.ndarray:
        """R - R_c and 1 of the atoms, 0 of their images, (n, 4)."""
        adjoints = np.zeros((self.batch.n_atoms, 4))
        adjoints[: len(self.atoms), :3] = self.atoms.positions - self.center
        adjoints[: len(self.atoms), 3] = 1.0
        return adjoints

    def moment_adjoints(self, axis: int) -> list[np.ndarray]:
        """Return adjoints of the component of a dipole, by order of the moments."""
        sizes = [2 * kernel.order + 1 for kernel in self.moments.kernels]
        shapes = [(self.batch.n_atoms, {3: 3, 5: 6}[size]) for size in sizes]
        adjoints = [np.zeros(shape) for shape in shapes]
        adjoints[0][: len(self.atoms), axis] = 1.0
        return adjoints

    def fold(self, firsts: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Return derivatives of images added to those of their atoms.

        Parameters
        ----------
        firsts : ndarray of shape (3, n, 3, ...)
            By the position of all, of sum_j (R_j - R_c) a_j.
        sums : ndarray of shape (n, 3, ...)
            Of sum_j a_j.

        Returns
        -------
        folded : ndarray of shape (n_atoms, 3, 3, ...)
            Atom, component of the dipole, of the displacement.
        """
        firsts = np.swapaxes(firsts, 0, 1)
        if not self.atoms.pbc.any():
            return firsts
        cluster, owners = self.cluster
        places = cluster.positions - self.center
        shape = places.shape + (1,) * (sums.ndim - 1)
        firsts = firsts - places.reshape(shape) * sums[:, None]
        return self.sum_images(firsts, owners)

    def sum_images(self, values: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """Return sums over the images of every atom, without their mean over atoms."""
        folded = np.zeros((len(self.atoms), *values.shape[1:]))
        np.add.at(folded, owners, values)
        return folded - folded.mean(axis=0)

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return D, affine in the weights.

        Returns
        -------
        matrix : ndarray of shape (n_atoms, 3, 3, rank)
        offset : ndarray of shape (n_atoms, 3, 3)
        """
        scalars, states = self.states
        needs_sums = self.atoms.pbc.any() or self.conditioned is not None
        parts = [
            -self.latent.force_rows(self.batch, scalars, self.adjoints[:, column])
            for column in range(4 if needs_sums else 3)
        ]
        sums = parts.pop() if needs_sums else parts[0]
        own = slice(self.n_elements, self.n_elements + self.latent.rank)
        shape = (len(self.atoms), 3, 3)
        matrix = np.zeros((*shape, self.model.rank))
        matrix[..., own] = self.fold(np.array(parts), sums)
        if states is not None:
            moments = [
                -self.moments.force_rows(self.batch, states, self.moment_adjoints(a))
                for a in range(3)
            ]
            moments = np.swapaxes(moments, 0, 1)
            if self.atoms.pbc.any():
                moments = self.sum_images(moments, self.cluster[1])
            matrix[..., own.stop :] = moments
        offset = np.zeros(shape)
        if self.shared is not None:
            excess, total = self.excess_share, self.shared.features.sum(axis=0)
            for axis in range(3):
                matrix[:, axis, axis] += np.outer(excess, total)
                offset[:, axis, axis] -= excess * self.shared.total
        if self.conditioned is None:
            return matrix, offset
        charges = self.conditioned
        shares = matrix[..., own] @ charges.spread[own]
        shares += np.einsum("ibw,wa->iab", sums, self.responses[own])
        total = charges.features.sum(axis=0)
        shares /= total @ charges.spread
        matrix -= shares[..., None] * total
        return matrix, charges.total * shares

    def sum_rows(self) -> np.ndarray:
        """Return the derivatives of sum_j Phi_j by positions, (n_atoms, 3, rank)."""
        sums = -self.latent.force_rows(self.batch, self.states[0], self.adjoints[:, 3])
        cluster_owners = self.cluster[1]
        rows = np.zeros((len(self.atoms), 3, self.model.rank))
        own = slice(self.n_elements, self.n_elements + self.latent.rank)
        np.add.at(rows[..., own], cluster_owners, sums)
        return rows

    @cached_property
    def responses(self) -> np.ndarray:
        """B Y, (rank, 3)."""
        charges = self.conditioned
        firsts = self.adjoints[: len(self.atoms), :3].T @ charges.features
        return charges.solution.apply_covariance(firsts.T)

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Return D at some weights, (n_atoms, 3, 3), by reverse passes."""
        scalars, states = self.states
        charges = self.conditioned
        own = slice(self.n_elements, self.n_elements + self.latent.rank)
        main = weights if charges is None else weights + charges.level * charges.spread
        slopes = self.slopes(main[own])
        firsts = []
        for axis in range(3):
            scales = self.adjoints[:, axis]
            adjoints = [scales[:, None] * slope for slope in slopes]
            if charges is not None:
                more = self.slopes(charges.level * self.responses[own, axis])
                pairs = zip(adjoints, more, strict=True)
                adjoints = [first + second for first, second in pairs]
            firsts.append(self.latent.gradients(self.batch, scalars, adjoints)[0])
        sums = firsts[0]
        if self.atoms.pbc.any():
            ones = self.adjoints[:, 3]
            sums = self.latent.gradients(self.batch, scalars, slopes, ones)[0]
        folded = self.fold(np.array(firsts), sums)
        if states is not None:
            ranks = np.cumsum([kernel.rank for kernel in self.moments.kernels])[:-1]
            parts = np.split(weights[own.stop :], ranks)
            moments = [
                self.moments.gradients(
                    self.batch, states, parts, self.moment_adjoints(axis)
                )[0]
                for axis in range(3)
            ]
            moments = np.swapaxes(moments, 0, 1)
            if self.atoms.pbc.any():
                moments = self.sum_images(moments, self.cluster[1])
            folded = folded + moments
        if self.shared is not None:
            missing = self.shared.total - self.shared.features.sum(axis=0) @ weights
            folded = folded - (missing * self.excess_share)[:, None, None] * np.eye(3)
        return folded

    @property
    def excess_share(self) -> np.ndarray:
        """What atoms of a periodic structure take of the total charge beyond 1 / n."""
        return self.shared.share - 1.0 / len(self.atoms)

    def slopes(self, weights: np.ndarray) -> list[np.ndarray]:
        """Return d(Phi_i . weights)/d(features of i) by term."""
        coefficients = self.latent.coefficients(weights[None])
        return self.latent.values(self.batch, self.states[0], coefficients)[1]


class ReducedDipoles:
    """D of charges whose weights are combinations of a few directions.

    Parameters
    ----------
    moved : EnvironmentDipoles
    directions : ndarray of shape (rank, n_directions)
    n_others : int
        Columns of zeros that follow those of the directions.
    """

    def __init__(self, moved, directions, n_others):
        self.moved = moved
        self.directions = directions
        self.n_others = n_others

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix (n_atoms, 3, 3, n) and offset (n_atoms, 3, 3)."""
        matrix, offset = self.moved.rows()
        return self.reduce(matrix), offset

    def sum_rows(self) -> np.ndarray:
        """Return the derivatives of sums, (n_atoms, 3, n)."""
        return self.reduce(self.moved.sum_rows())

    def reduce(self, rows: np.ndarray) -> np.ndarray:
        """Return rows by all weights as rows by directions, with zeros behind."""
        rows = rows @ self.directions
        none = np.zeros((*rows.shape[:-1], self.n_others))
        return np.concatenate([rows, none], axis=-1)
