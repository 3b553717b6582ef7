"""Invariance and covariance of predictions: symmetries, supercells, machines."""

from __future__ import annotations

import numpy as np

from lodekit.quantities import quantity
from lodekit.structures.stress import as_matrix, as_voigt
from lodekit.threads import limit_threads

from .results import Finding, NotApplicable, check
from .structures import moved, random_rotation, repeated, transformed
from .subject import KINDS, difference

#: Size of the random shift in Å.
SHIFT = 5.0
#: Largest number of atoms of a supercell, if one cell more does not exceed it already.
SUPERCELL_ATOMS = 400
#: Displacements in Å of the other structure in a batch.
RATTLE = 0.1
#: What a symmetry may miss, in the units of `subject.difference`: sums over sparse
#: points have large coefficients, which cost digits.
TOLERANCE = 1e-6
MIXED_UNIT = "eV, Å, e"


def turned(name: str, value, matrix: np.ndarray):
    """Return a property of the structure whose positions are r M."""
    kind = KINDS[name]
    if kind in ("vector", "atom vectors"):
        return value @ matrix
    if kind == "matrix":
        return as_voigt(matrix.T @ as_matrix(value) @ matrix)
    if kind == "rank 3":
        return np.einsum("abc,ax,by,cz->xyz", value, matrix, matrix, matrix)
    if kind == "atom matrices":
        return np.array([as_voigt(matrix.T @ as_matrix(v) @ matrix) for v in value])
    return value


def is_of_atoms(name: str) -> bool:
    """Return whether every atom has its own value of a property."""
    return KINDS[name].startswith("atom")


def compare(subject, atoms, other, expected, names) -> Finding:
    """Return the largest difference between what ``other`` has and ``expected``.

    ``expected(name, value)`` is what a property of ``atoms`` becomes.
    """
    (before,) = subject.compute([atoms], names)
    (after,) = subject.compute([other], names)
    return largest(
        {
            name: difference(
                name, after[name], expected(name, before[name]), len(other)
            )
            for name in names
        }
    )


def largest(errors: dict) -> Finding:
    """Return the largest error, with the name of its property."""
    name = max(errors, key=lambda name: (np.isnan(errors[name]), errors[name]))
    return Finding(errors[name], f"largest for {name}" if errors[name] else "")


@check(
    "translation",
    "nothing but moments changes where all atoms move alike",
    TOLERANCE,
    MIXED_UNIT,
)
def translation(subject, atoms, random) -> Finding:
    """Shift all atoms."""
    names = [n for n in subject.defined(atoms) if quantity(n).boundary != "open"]
    if not names:
        raise NotApplicable("the model computes nothing but moments")
    other = moved(atoms, SHIFT * random.normal(size=3))
    return compare(subject, atoms, other, lambda name, value: value, names)


@check(
    "rotation",
    "energies and charges stay, vectors and tensors turn with the structure",
    TOLERANCE,
    MIXED_UNIT,
)
def rotation(subject, atoms, random) -> Finding:
    """Turn atoms and cell."""
    return orthogonal(subject, atoms, random_rotation(random))


@check(
    "inversion",
    "energies and charges stay, vectors change sign with the structure",
    TOLERANCE,
    MIXED_UNIT,
)
def inversion(subject, atoms, random) -> Finding:
    """Invert atoms and cell."""
    return orthogonal(subject, atoms, -np.eye(3))


def orthogonal(subject, atoms, matrix) -> Finding:
    """Compare a structure with its image r M."""
    return compare(
        subject,
        atoms,
        transformed(atoms, matrix),
        lambda name, value: turned(name, value, matrix),
        subject.defined(atoms),
    )


@check("permutation", "the order of the atoms changes nothing", TOLERANCE, MIXED_UNIT)
def permutation(subject, atoms, random) -> Finding:
    """Shuffle the atoms."""
    if len(atoms) < 2:
        raise NotApplicable("one atom has one order")
    order = random.permutation(len(atoms))
    return compare(
        subject,
        atoms,
        atoms[order],
        lambda name, value: np.asarray(value)[order] if is_of_atoms(name) else value,
        subject.defined(atoms),
    )


@check(
    "supercell",
    "the energy of a supercell is that of its cells, forces and charges repeat",
    1e-5,
    MIXED_UNIT,
)
def supercell(subject, atoms, random) -> Finding:
    """Repeat the cell."""
    if not atoms.pbc.any():
        raise NotApplicable("open structures have no cell to repeat")
    large = repeated(atoms, SUPERCELL_ATOMS)
    times = len(large) // len(atoms)

    def expected(name, value):
        if is_of_atoms(name):
            return np.concatenate([value] * times)
        return value * times if name == "energy" else value

    return compare(subject, atoms, large, expected, subject.defined(atoms))


@check("batches", "other structures in the call change nothing", TOLERANCE, MIXED_UNIT)
def batches(subject, atoms, random) -> Finding:
    """Compute a structure alone, and among others."""
    rattled = moved(atoms, RATTLE * random.normal(size=(len(atoms), 3)))
    others = [one for one in subject.frames if (one.pbc == atoms.pbc).all()]
    names = subject.defined(atoms)
    (alone,) = subject.compute([atoms], names)
    *_, among, _ = subject.compute([*others, rattled, atoms, rattled], names)
    return largest(
        {name: difference(name, among[name], alone[name], len(atoms)) for name in names}
    )


@check("threads", "the number of threads changes nothing", TOLERANCE, MIXED_UNIT)
def threads(subject, atoms, random) -> Finding:
    """Compute on one thread, and on all."""
    import numba

    if numba.get_num_threads() < 2:
        raise NotApplicable("one thread is all there is here")
    names = subject.defined(atoms)
    (many,) = subject.compute([atoms], names)
    with limit_threads(1):
        (one,) = subject.compute([atoms], names)
    return largest(
        {name: difference(name, many[name], one[name], len(atoms)) for name in names}
    )
