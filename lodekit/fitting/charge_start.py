"""Where the fit of latent charges starts: the lifted problem in a few directions.

With charges q = B z + c in a few directions z (a constant for each element, and the
leading directions of the environments of each), c = Q / n, the energy is

    U = sum_ab W_ab b_a.A b_b / 2 + sum_a z_a b_a.A c + c.A c / 2,    W = z z^T,

linear in W and z. Least squares for W, z and the remainder together has one solution;
the leading eigenvector of W is z up to its sign. Since the remainder is linear, it is
eliminated from the normal equations for good: the rest is a problem in z alone,
where Gauss-Newton steps cost nothing. They start from the eigenvectors, with both
signs, and from the linear z, and the least loss of all of them is taken.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from lodekit.electrostatics import CoulombInteraction
from lodekit.observables.charges import AffineCharges, total_charge
from lodekit.physics.moved_dipoles import MovedDipoles
from lodekit.regression.environments import batches
from lodekit.regression.gauss_newton import minimise
from lodekit.regression.latent_states import ElementLatent, KernelFeatures
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part

from .joint_fit import ROW_ATOMS, JointFit

#: Atoms of the frames that the start is found from, about.
START_ATOMS = 5000
#: Charges in e that one of z stands for; those of environments are smaller.
ELEMENT_CHARGE = 2.0
#: Leading directions of the environments of an element that charges may vary along, and
#: what the loss must fall to for more than the first one.
N_LEADING, WORTHWHILE = 2, 0.9
#: Largest of z below which there are no charges.
LEAST_CHARGE = 1e-6
#: Eigenvectors of W that are tried.
N_VECTORS = 4


class StartedFit(JointFit):
    """A `JointFit` of latent charges, with a start by the lifted problem."""

    def start(self, noises: dict) -> np.ndarray:
        """Return the solution of a convex problem in a few directions.

        From evenly spread frames of about `START_ATOMS` atoms.
        """
        n_atoms = sum(len(atoms) for atoms in self.frames)
        every = max(1, n_atoms // START_ATOMS)
        return self.find_start(noises, np.arange(0, len(self.frames), every))

    def find_start(self, noises: dict, chosen) -> np.ndarray:
        """Return weights of elements, remainder and charges, from some frames."""
        frames = [self.frames[i] for i in chosen]
        directions = find_directions(self.response.latent, frames)

        def expand(some, weights, keep):
            return LiftedExpansion(self.response, some, directions)

        n_lifted = directions.shape[1] * (directions.shape[1] + 3) // 2
        none = np.zeros(self.n_rest + n_lifted)
        lifted = Reduced.of(self.linearise(expand, none, chosen), self.n_rest, noises)
        lifted.prior = directions.T @ directions
        few = lifted.part(2 * self.species.size).least()
        best = lifted.least()
        if best.loss > WORTHWHILE * few.loss:  # the simpler charges explain as much
            best = few
        z = np.zeros(directions.shape[1])
        z[: best.weights.size] = best.weights
        return np.concatenate([lifted.rest(z), directions @ z])


def find_directions(charges: ElementLatent, frames) -> np.ndarray:
    """Return weights of the charges for each direction, (rank, n_directions)."""
    n_species, latent = charges.species.size, charges.latent
    totals = np.zeros((n_species, latent.rank))
    squares = [np.zeros((totals.shape[1],) * 2) for _ in range(n_species)]
    counts = np.zeros(n_species)
    for group in batches(frames, ROW_ATOMS):
        batch = StructureBatch.from_frames([frames[i] for i in group])
        rows = latent.rows(batch, latent.evaluate(batch))
        for kind, z in enumerate(charges.species):
            part = rows[batch.species == z]
            counts[kind] += len(part)
            totals[kind] += part.sum(axis=0)
            squares[kind] += part.T @ part
    directions = np.zeros((charges.rank, (1 + N_LEADING) * n_species))
    kinds = np.arange(n_species)
    directions[kinds, kinds] = ELEMENT_CHARGE / charges.element_scale
    for kind in kinds:
        mean = totals[kind] / max(counts[kind], 1.0)
        covariance = squares[kind] / max(counts[kind], 1.0) - np.outer(mean, mean)
        vectors = linalg.eigh(covariance)[1][:, ::-1][:, :N_LEADING]
        places = n_species * (1 + np.arange(vectors.shape[1])) + kind
        directions[n_species:, places] = vectors
        directions[kind, places] = -mean @ vectors / charges.element_scale
    return directions


class LiftedExpansion:
    """Rows of the lifted problem for one batch, linear in z and in W.

    The columns of W_ab, a <= b, follow those of z; W_ab and W_ba are one unknown.

    Parameters
    ----------
    response : Multipoles
    frames : list of ase.Atoms
    directions : ndarray of shape (rank, n_directions)
    """

    def __init__(self, response, frames, directions: np.ndarray):
        self.response, self.frames, self.directions = response, frames, directions
        self.batch = StructureBatch.from_frames(frames)
        self.features = KernelFeatures(response.latent.latent, self.batch, {})
        self.columns = self.along(np.zeros(response.rank)).rows[:, 0] @ directions
        self.interactions = [
            CoulombInteraction(a.positions, a.cell[:], a.pbc, response.width)
            for a in frames
        ]
        self.pairs = list(zip(*np.triu_indices(directions.shape[1]), strict=True))

    def along(self, direction: np.ndarray):
        """Return the latents of the charges with the weights of one direction."""
        return self.response.latent.evaluate(self.features, direction)

    def atoms_of(self, index: int) -> slice:
        """Return the atoms of one structure."""
        return slice(self.batch.first_atom[index], self.batch.first_atom[index + 1])

    def charges(self, index: int) -> np.ndarray:
        """Return b_a of one structure and, as last column, c."""
        columns = self.columns[self.atoms_of(index)]
        n_atoms = len(columns)
        shares = np.full(n_atoms, total_charge(self.frames[index]) / n_atoms)
        return np.column_stack([columns - columns.mean(axis=0), shares])

    def linear(self, index: int, name: str) -> AffineCharges:
        """Return the charges that a linear target is about."""
        n_pairs = len(self.pairs)
        columns = self.columns[self.atoms_of(index)]
        charges = self.charges(index)
        if name == "total_charge":
            charges = np.column_stack([columns, np.zeros(len(columns))])
        none = np.zeros((len(columns), n_pairs))
        dipoles = MovedDipoles(self.response, self.frames[index])
        dipoles = ReducedDipoles(dipoles, self.directions, n_pairs)
        matrix = np.hstack([charges[:, :-1], none])
        return AffineCharges(matrix, charges[:, -1], moved=dipoles)

    def collect(self, products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn b_a.A b_b (or derivatives), (n_b, n_b, n), into rows and values."""
        linear = products[:-1, -1]
        squares = [(0.5 if a == b else 1.0) * products[a, b] for a, b in self.pairs]
        return np.concatenate([linear, squares]).T, 0.5 * products[-1, -1]

    def felt(self, index: int, charges: np.ndarray) -> np.ndarray:
        """Return A times charges of one structure (n_atoms, n)."""
        itself = self.response.own_potential * charges
        return self.interactions[index] @ charges - itself

    def energy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/atom."""
        rows, values = [], []
        for index in range(len(self.frames)):
            charges = self.charges(index)
            products = charges.T @ self.felt(index, charges) / len(charges)
            row, value = self.collect(products[:, :, None])
            rows.append(row)
            values.append(value)
        return np.concatenate(rows), np.concatenate(values)

    def forces(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å."""
        everything = range(len(self.frames))
        products = self.derivatives(everything, strain=False)
        rows, values = zip(*(self.collect(-part) for part in products), strict=True)
        return np.concatenate(rows), np.concatenate(values)

    def stress(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å^3, of fully periodic structures."""
        chosen = [i for i, atoms in enumerate(self.frames) if atoms.pbc.all()]
        volumes = [self.frames[i].get_volume() for i in chosen]
        parts = zip(self.derivatives(chosen, strain=True), volumes, strict=True)
        rows, values = zip(*(self.collect(a / b) for a, b in parts), strict=True)
        return np.concatenate(rows), np.concatenate(values)

    def derivatives(self, chosen, strain: bool):
        """Yield those of b_a.A b_b of some structures, (n_b, n_b, n).

        By positions or by strain; complete for a <= b.
        """
        followed = {  # directions of elements alone do not follow the atoms
            a: self.along(direction).atom_gradients(strain)
            for a, direction in enumerate(self.directions.T)
            if direction[self.response.latent.species.size :].any()
        }
        for index in chosen:
            charges = self.charges(index)
            products = self.at_fixed_charges(index, charges, strain)
            potentials = self.felt(index, charges)
            scales = potentials - potentials.mean(axis=0)
            for a, changes in followed.items():
                along = scales.T @ changes[index][:, 0]
                products[a] += along
                products[:, a] += along
            yield products

    def at_fixed_charges(self, index: int, charges, strain: bool) -> np.ndarray:
        """Return the derivatives of b_a.A b_b of one structure at fixed b."""
        size, interaction = charges.shape[1], self.interactions[index]
        products = np.zeros((size, size, 6 if strain else 3 * len(charges)))
        for a, b in zip(*np.triu_indices(size), strict=True):
            positions, by_strain = interaction.gradients(charges[:, a], charges[:, b])
            changes = symmetric_part(by_strain) if strain else positions.ravel()
            products[a, b] = changes
        return products


class ReducedDipoles:
    """D of charges whose weights are combinations of a few directions.

    Parameters
    ----------
    dipoles : MovedDipoles
    directions : ndarray of shape (rank, n_directions)
    n_others : int
        Columns of zeros that follow those of the directions.
    """

    def __init__(self, dipoles, directions, n_others):
        self.dipoles = dipoles
        self.directions = directions
        self.n_others = n_others

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix (n_atoms, 3, 3, n) and offset (n_atoms, 3, 3)."""
        matrix, offset = self.dipoles.rows()
        return self.reduce(matrix), offset

    def sum_rows(self) -> np.ndarray:
        """Return the derivatives of sums, (n_atoms, 3, n)."""
        return self.reduce(self.dipoles.sum_rows())

    def reduce(self, rows: np.ndarray) -> np.ndarray:
        """Return rows by all weights as rows by directions, with zeros behind."""
        rows = rows @ self.directions
        none = np.zeros((*rows.shape[:-1], self.n_others))
        return np.concatenate([rows, none], axis=-1)


class Reduced:
    """The lifted problem without the remainder: quadratic in x = (z, W).

    Attributes
    ----------
    factor : ndarray of shape (n_rest, n_rest)
        Cholesky factor of the remainder's part.
    cross : ndarray of shape (n_rest, n_lifted)
        What couples it with x, divided by the factor.
    moment : ndarray of shape (n_rest,)
        Its right-hand side, divided by the factor.
    matrix, vector : ndarray of shape (n_lifted, n_lifted) and (n_lifted,)
        The loss is x.matrix x - 2 vector.x + constant.
    constant : float
        The loss without charges.
    prior : ndarray of shape (n_directions, n_directions)
        Of the weights that z stands for.
    """

    @classmethod
    def of(cls, linearised, n_rest: int, noises: dict):
        """Eliminate the remainder from normal equations."""
        matrix, moment, constant = linearised.weigh(noises)
        reduced = cls()
        reduced.factor = linalg.cholesky(matrix[:n_rest, :n_rest], lower=True)
        reduced.cross = linalg.solve_triangular(
            reduced.factor, matrix[n_rest:, :n_rest].T, lower=True
        )
        reduced.moment = linalg.solve_triangular(
            reduced.factor, moment[:n_rest], lower=True
        )
        part = matrix[n_rest:, n_rest:]
        part = np.tril(part) + np.tril(part, -1).T - np.eye(len(part))
        reduced.matrix = part - reduced.cross.T @ reduced.cross
        reduced.vector = moment[n_rest:] - reduced.cross.T @ reduced.moment
        reduced.constant = constant - float(reduced.moment @ reduced.moment)
        return reduced

    def starts(self) -> list[np.ndarray]:
        """Return z to start from: of the convex problem's solution."""
        lifted = np.linalg.solve(self.matrix + np.eye(len(self.matrix)), self.vector)
        n_directions = len(self.prior)
        square = np.zeros((n_directions, n_directions))
        square[np.triu_indices(n_directions)] = lifted[n_directions:]
        square += np.triu(square, 1).T
        values, vectors = linalg.eigh(square)
        leading = vectors[:, -N_VECTORS:] * np.sqrt(np.maximum(values[-N_VECTORS:], 0))
        return [lifted[:n_directions], *leading.T, *-leading.T]

    def part(self, n_directions: int):
        """Return the problem of the first so many directions."""
        n_all = len(self.prior)
        first, second = np.triu_indices(n_all)
        pairs = n_all + np.flatnonzero((first < n_directions) & (second < n_directions))
        kept = np.concatenate([np.arange(n_directions), pairs])
        part = Reduced()
        part.matrix, part.vector = self.matrix[np.ix_(kept, kept)], self.vector[kept]
        part.prior = self.prior[:n_directions, :n_directions]
        part.constant = self.constant
        return part

    def least(self):
        """Return the best `Minimum` with charges.

        No charges are a saddle point, which steps would not leave.
        """
        minima = [self.polish(start) for start in self.starts()]
        charged = [one for one in minima if np.abs(one.weights).max() > LEAST_CHARGE]
        return min(charged or minima, key=lambda minimum: minimum.loss)

    def polish(self, start: np.ndarray):
        """Return the `Minimum` that Gauss-Newton steps reach."""

        def linearise(z):
            x, slopes = lift(z)
            matrix = slopes.T @ self.matrix @ slopes + self.prior
            residual = self.vector - self.matrix @ (x - slopes @ z)
            loss = self.constant + x @ (self.matrix @ x - 2.0 * self.vector)
            return matrix, slopes.T @ residual, float(loss + z @ self.prior @ z)

        return minimise(linearise, start)

    def rest(self, z: np.ndarray) -> np.ndarray:
        """Return the weights of the remainder for some z."""
        left = self.moment - self.cross @ lift(z)[0]
        return linalg.solve_triangular(self.factor, left, lower=True, trans="T")


def lift(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (z, W) with W = z z^T, and its derivatives by z.

    Returns
    -------
    lifted : ndarray of shape (n_lifted,)
    slopes : ndarray of shape (n_lifted, n_directions)
    """
    first, second = np.triu_indices(z.size)
    units = np.eye(z.size)
    slopes = units[first] * z[second, None] + units[second] * z[first, None]
    return np.concatenate([z, z[first] * z[second]]), np.concatenate([units, slopes])
