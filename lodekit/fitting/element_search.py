"""Hardness and widths that make charges and moments most probable.

Equilibrated charges are q = q_0 - Abar chi, and electronegativities have the covariance
S^2 G with G = G_0 + sum_k a_k^2 Phi_k Phi_k^T of the elements and of kernels with
amplitudes a_k, so that rows O q of charges or moments have K = S^2 P G P^T +
noise with P = O Abar, and the mean O q_0. A change dM of the matrix behind the response
Abar changes charges by -Abar dM q. With W / 2 and v' the derivatives of the likelihood
by K and by the values v = y - O q_0, any parameter of M changes it by

    sum_ij T_ij dM_ij,    T = P^T (v' q_0^T - S^2 W P G Abar).

Flows over bonds are t = t_0 - F chi in the same way, with Abar = Z F, and a change dk_b
of what they cost, k_b t_b^2 / 2, changes charges by -sum_b F_b dk_b t_b.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import linalg, optimize
from scipy.linalg import lapack

from lodekit.observables.charges import (
    AffineCharges,
    observe,
    present_targets,
    reference,
    row_counts,
)
from lodekit.observables.fragments import given_charges
from lodekit.physics.elements import radii
from lodekit.quantities import quantity
from lodekit.regression.environments import batches
from lodekit.regression.evidence import FARTHEST, UNRESOLVED
from lodekit.regression.evidence import SPREAD as AMPLITUDE_SPREAD
from lodekit.structures.batch import StructureBatch

from .noises import DEFAULT_NOISES, columns_of

#: Rows and atoms that decide, at the most: the cost grows with the cube of rows.
MAX_ROWS, MAX_ATOMS = 400, 3000
#: Limits of the hardness in V/e and of widths as a factor of the covalent radius.
HARDNESS, WIDTHS = (0.05, 1e5), (0.2, 2.0)
#: Factors of the hardness that the search starts from: of a conductor, an insulator.
STARTS = (1.0, 60.0)
#: Limits of the hardness of bonds in V/e.
BOND_HARDNESS = (1e-3, 1e6)
#: Prior standard deviation of the logarithms of hardness and widths.
SPREAD = 1.0
#: Noises relative to the defaults, from and to.
NOISES = (1e-3, 30.0)
#: Atoms whose features are made at once.
BATCH_ATOMS = 1000
#: Relative step of the differences that give derivatives by widths.
WIDTH_STEP = 1e-2


def fit_elements(response, fitted: list, targets: list, frames, random_state):
    """Return an equilibration with hardness, widths and bond hardness of elements.

    The logarithm of the marginal likelihood of charges and moments of some frames is
    maximised over hardness and width of every element, the amplitudes of the kernels,
    which are changed too, and the noises. It has maxima of
    soft and of stiff charges: the higher one of two searches is taken, each with a
    prior about its start.

    Parameters
    ----------
    response : Equilibration
        With sparse points, and hardness and widths to start from.
    fitted : list of {"hardness", "widths", "bond_hardness"}
        What is replaced.
    targets : list of str
    frames : list of ase.Atoms
    random_state : numpy.random.RandomState
        Draws frames where there are too many.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (MIT
    Press, 2006), Sec. 5.4.
    """
    search = ElementSearch(response, fitted, targets, frames, random_state)
    factors = STARTS if "hardness" in fitted else STARTS[:1]
    maxima = [search.maximise(factor) for factor in factors]
    best, amplitudes, _ = search.at(min(maxima, key=lambda result: result.fun).x)
    for kernel, amplitude in zip(response.kernels, amplitudes, strict=True):
        kernel.amplify(amplitude)
    return best


class ElementSearch:
    """Varied parameters, as logarithms, and the probability of the targets.

    Parameters
    ----------
    response : Equilibration
    fitted : list of {"hardness", "widths", "bond_hardness"}
    targets : list of str
    frames : list of ase.Atoms
    random_state : numpy.random.RandomState
    """

    def __init__(self, response, fitted, targets, frames, random_state):
        self.response = response
        self.fitted = fitted
        # derivatives by positions say little about hardness that others do not
        self.names = [name for name in targets if not quantity(name).is_gradient]
        self.frames = draw_frames(frames, self.names, random_state)
        self.targets = [ChargeTargets(atoms, self.names) for atoms in self.frames]
        self.coulomb = self._known_matrices()
        species, latent = response.species, response.latent
        features = []
        for group in batches(self.frames, BATCH_ATOMS):
            batch = StructureBatch.from_frames([self.frames[i] for i in group])
            features.append(latent.rows(batch, latent.evaluate(batch)))
        features = np.concatenate(features)
        numbers = np.concatenate([atoms.numbers for atoms in self.frames])
        elements = response.element_prior * (numbers[:, None] == species)
        columns = columns_of(response.kernels, 0)
        blocks = [elements, *(features[:, part] for part in columns)]
        self.grams = [block @ block.T for block in blocks]
        start, limits = [], []
        if "hardness" in self.fitted:
            start += list(response.hardness)
            limits += [HARDNESS] * species.size
        if "widths" in self.fitted:
            start += list(response.widths)
            limits += list(np.outer(radii(species), WIDTHS))
        if "bond_hardness" in self.fitted:
            self.pairs = np.triu_indices(species.size)
            start += list(response.bond_hardness[self.pairs])
            limits += [BOND_HARDNESS] * self.pairs[0].size
        n_hardness, n_kernels = len(start), len(columns)
        start += [1.0] * n_kernels
        limits += [np.exp([-FARTHEST, FARTHEST])] * n_kernels
        for name in self.names:
            start.append(DEFAULT_NOISES[name])
            limits.append(DEFAULT_NOISES[name] * np.array(NOISES))
        self.start = self.center = np.log(start)
        self.bounds = np.log(limits)
        self.spread = np.full(len(start), SPREAD)
        self.spread[n_hardness : n_hardness + n_kernels] = AMPLITUDE_SPREAD
        self.spread[n_hardness + n_kernels :] = np.inf

    def maximise(self, factor: float) -> optimize.OptimizeResult:
        """Return the maximum found from the hardness at the start times a factor."""
        self.center = self.start.copy()
        if "hardness" in self.fitted:
            self.center[: self.response.species.size] += np.log(factor)
        return optimize.minimize(
            self.loss,
            self.center,
            jac=True,
            method="L-BFGS-B",
            bounds=self.bounds,
            options={"maxiter": 30, "ftol": 1e-4},
        )

    def at(self, logarithms: np.ndarray) -> tuple:
        """Return the equilibration, amplitudes of kernels, and noises."""
        values, changed = np.exp(logarithms), {}
        n_species = self.response.species.size
        for name in ("hardness", "widths"):
            if name in self.fitted:
                changed[name], values = np.split(values, [n_species])
        if "bond_hardness" in self.fitted:
            part, values = np.split(values, [self.pairs[0].size])
            table = self.response.bond_hardness.copy()
            table[self.pairs] = table[self.pairs[::-1]] = part
            changed["bond_hardness"] = table
        amplitudes, noises = np.split(values, [len(self.grams) - 1])
        return replace(self.response, **changed), amplitudes, noises

    def loss(self, logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        """Return minus the logarithm of the likelihood per row, and its slopes."""
        response, amplitudes, noises = self.at(logarithms)
        squares = [1.0, *amplitudes**2]
        gram = sum(a * piece for a, piece in zip(squares, self.grams, strict=True))
        parts = self.observed(response)
        values = np.concatenate([part.values for part in parts])
        kinds = np.concatenate([part.kinds for part in parts])
        cross = np.concatenate([p.transfers @ gram[p.atoms] for p in parts])
        cross *= response.stiffness**2
        signal = np.hstack([cross[:, p.atoms] @ p.transfers.T for p in parts])
        # rows that say the same differ by rounding
        variances = noises[kinds] ** 2 + 1e-12 * np.trace(signal)
        covariance = signal + np.diag(variances)
        try:
            factor = linalg.cholesky(covariance, lower=True, overwrite_a=True)
        except linalg.LinAlgError:  # the noise is lost to rounding
            return UNRESOLVED, np.zeros(logarithms.size)
        solved = linalg.cho_solve((factor, True), values)
        logs = np.log(np.diag(factor)).sum()
        lower, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        weights = np.tril(lower) + np.tril(lower, -1).T - np.outer(solved, solved)
        piece = np.diag(weights) * noises[kinds] ** 2
        scale = np.vdot(weights, signal)
        slopes = [
            self._element_slopes(response, parts, weights, cross, solved, scale),
            amplitudes**2 * self._kernel_slopes(response, parts, weights),
            np.bincount(kinds, piece, len(self.names)),
        ]
        loss = 0.5 * values @ solved + logs
        beyond = (logarithms - self.center) / self.spread
        loss += 0.5 * beyond @ beyond
        slopes = np.concatenate(slopes) + beyond / self.spread
        return loss / len(values), slopes / len(values)

    def observed(self, response) -> list:
        """Return the targets of every structure for some hardness and widths."""
        parts, n_rows, n_atoms = [], 0, 0
        for number, targets in enumerate(self.targets):
            part = ObservedCharges(
                response,
                targets,
                "bond_hardness" in self.fitted,
                self.coulomb[number] if self.coulomb else None,
            )
            part.rows = slice(n_rows, n_rows + len(part.values))
            part.atoms = slice(n_atoms, n_atoms + len(targets.structure))
            n_rows, n_atoms = part.rows.stop, part.atoms.stop
            parts.append(part)
        return parts

    def _known_matrices(self) -> list[np.ndarray]:
        """Return the Coulomb matrices, none where widths change them."""
        if "widths" in self.fitted:
            return []
        response, matrices = self.response, []
        for atoms in self.frames:
            hardness = response.element_hardness(atoms.numbers)
            matrices.append(response.system(atoms, hardness).interaction.dense())
        return matrices

    def _element_slopes(
        self, response, parts, weights, cross, solved, by_unit
    ) -> np.ndarray:
        """Return derivatives by the logarithms of hardness and of widths."""
        # S is a mean over elements
        common = by_unit / (response.stiffness * response.species.size)
        hardness = common * response.hardness
        widths = -common * response.self_interaction
        for part in parts:
            by_charges = weights[part.rows] @ cross[:, part.atoms] @ part.response
            by_charges -= np.outer(solved[part.rows], part.offset)
            transfer = -part.transfers.T @ by_charges
            species = np.searchsorted(response.species, part.structure.numbers)
            piece = np.diag(transfer) * response.hardness[species]
            np.add.at(hardness, species, piece)
            if "widths" in self.fitted:
                for kind in np.unique(species):
                    change = width_derivative(response, part.structure, kind)
                    widths[kind] += np.vdot(transfer, change)
        fitted = [hardness] * ("hardness" in self.fitted)
        fitted += [widths] * ("widths" in self.fitted)
        if "bond_hardness" in self.fitted:
            fitted.append(self._bond_slopes(parts, weights, cross, solved))
        return np.concatenate([[], *fitted])

    def _kernel_slopes(self, response, parts, weights) -> np.ndarray:
        """Return derivatives by the squares of amplitudes, twice, (n_kernels,)."""
        changed = np.hstack([weights[:, part.rows] @ part.transfers for part in parts])
        by_gram = np.vstack([part.transfers.T @ changed[part.rows] for part in parts])
        by_gram *= response.stiffness**2
        return np.array([np.vdot(by_gram, gram) for gram in self.grams[1:]])

    def _bond_slopes(self, parts, weights, cross, solved) -> np.ndarray:
        """Return derivatives by the logarithms of bond hardness, (n_pairs,)."""
        slopes = np.zeros_like(self.response.bond_hardness)
        for part in parts:
            by_flows = weights[part.rows] @ cross[:, part.atoms] @ part.flows.T
            by_flows -= np.outer(solved[part.rows], part.flow_offset)
            changed = part.operator @ part.flows.T
            change = -np.einsum("rb,rb->b", changed, by_flows)
            change *= part.equilibration.penalty
            np.add.at(slopes, tuple(part.equilibration.bonds.kinds.T), change)
        return slopes[self.pairs]


class ChargeTargets:
    """Targets of one structure, which do not change in the search.

    Attributes
    ----------
    structure : ase.Atoms
    charges : tuple
        Those that are given, see `given_charges`.
    operator : ndarray of shape (n_rows, n_atoms)
        O.
    values : ndarray of shape (n_rows,)
        The references.
    kinds : ndarray of shape (n_rows,)
        Number of the target of each row.
    """

    def __init__(self, atoms, names: list[str]):
        self.structure, self.charges = atoms, given_charges(atoms)
        identity = AffineCharges(np.eye(len(atoms)), np.zeros(len(atoms)))
        present = present_targets(atoms, names)
        operators = [observe(atoms, identity, name).matrix for name in present]
        kinds = [names.index(name) for name in present]
        self.kinds = np.repeat(kinds, [len(o) for o in operators])
        self.operator = np.concatenate(operators)
        self.values = np.concatenate([reference(atoms, name) for name in present])


class ObservedCharges:
    """Targets of one structure as rows, and what they owe to the response of charges.

    Attributes
    ----------
    structure : ase.Atoms
    rows, atoms : slice
        Where it is among all structures.
    response : ndarray of shape (n_atoms, n_atoms)
        Abar.
    transfers : ndarray of shape (n_rows, n_atoms)
        P.
    offset : ndarray of shape (n_atoms,)
        q_0.
    values : ndarray of shape (n_rows,)
        v.
    kinds : ndarray of shape (n_rows,)
        Number of the target of each row.
    equilibration : BondEquilibration
        This and what follows where the hardness of bonds is fitted.
    operator : ndarray of shape (n_rows, n_atoms)
        O.
    flows : ndarray of shape (n_bonds, n_atoms)
        F.
    flow_offset : ndarray of shape (n_bonds,)
        t_0.
    """

    rows: slice
    atoms: slice

    def __init__(self, response, targets: ChargeTargets, has_bonds, coulomb=None):
        atoms, operator = targets.structure, targets.operator
        self.structure, self.kinds = atoms, targets.kinds
        hardness = response.element_hardness(atoms.numbers)
        equilibration = response.system(atoms, hardness, coulomb)
        start = equilibration.start(*targets.charges)
        self.response = -equilibration.response_matrix()
        self.offset = start - self.response @ equilibration.product(start)
        if has_bonds:
            self.equilibration, self.operator = equilibration, operator
            self.flows = equilibration.response.flows(np.eye(len(atoms)))
            self.flow_offset = -self.flows @ equilibration.product(start)
        self.transfers = operator @ self.response
        self.values = targets.values - operator @ self.offset


def draw_frames(frames, names, random_state) -> list:
    """Return frames in random order, as many as the search can bear."""
    chosen, n_rows, n_atoms = [], 0, 0
    for index in random_state.permutation(len(frames)):
        atoms = frames[index]
        if not present_targets(atoms, names):
            continue
        n_rows += sum(row_counts([atoms], name) for name in names)
        n_atoms += len(atoms)
        if chosen and (n_rows > MAX_ROWS or n_atoms > MAX_ATOMS):
            break
        chosen.append(atoms)
    return chosen


def width_derivative(response, atoms, kind: int) -> np.ndarray:
    """Return dM/d(log of the width of one element), (n_atoms, n_atoms)."""
    chosen, sides = np.arange(response.species.size) == kind, []
    for step in (WIDTH_STEP, -WIDTH_STEP):
        wider = replace(response, widths=response.widths * np.exp(step * chosen))
        hardness = response.element_hardness(atoms.numbers)
        sides.append(wider.system(atoms, hardness).interaction.dense())
    return (sides[0] - sides[1]) / (2.0 * WIDTH_STEP)
