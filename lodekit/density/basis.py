"""Auxiliary bases: the functions that densities of electrons are expanded in.

A shell is one radial function with the 2l + 1 real harmonics of its l,

    R(r) Y_lm,   R(r) = sum_p d_p N_p r^l exp(-a_p r^2),

with normalised primitives (N_p) and contraction coefficients d_p, as tables of basis
sets have them; R is normalised to the integral of R^2 r^2 of 1 in the end. Exponents
are in 1/Å^2, functions in Å^(-3/2), so that coefficients of a density of electrons,
1/Å^3, are in Å^(-3/2); `lodekit.density.ordering` converts from atomic units.

Coefficients of a structure are in the order of its atoms, of the shells of an atom by l
and within an l as in the basis, and of m = -l to l.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from scipy.special import gamma

from lodekit.errors import BasisError

#: Highest l of a function; integrals lose digits beyond, and no table has more.
HIGHEST_L = 8
#: What descriptions say about themselves; another order or norm is refused.
CONVENTIONS = {
    "order": "atoms, shells of an atom by l, m from -l to l",
    "harmonics": "real, orthonormal, without Condon-Shortley phase",
    "norm": "integral of every function squared is 1",
    "exponent_unit": "1/Angstrom^2",
}


@dataclass(frozen=True)
class Shell:
    """One radial function with all m.

    Attributes
    ----------
    l : int
        Angular momentum.
    exponents : tuple of float
        Exponents of the primitives in 1/Å^2; none where only the layout is known.
    coefficients : tuple of float
        Contraction coefficients of normalised primitives.
    """

    l: int
    exponents: tuple[float, ...] = ()
    coefficients: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Number of functions."""
        return 2 * self.l + 1

    @property
    def spreads(self) -> np.ndarray:
        """1 / (4 a) of the primitives in Å^2."""
        return 0.25 / np.array(self.exponents)

    @cached_property
    def amplitudes(self) -> np.ndarray:
        """A of the transforms A (-i)^l k^l Y_lm exp(-k^2 / 4a), (n_primitives,)."""
        a = np.array(self.exponents)
        return self.factors * (np.pi / a) ** 1.5 * (2.0 * a) ** -self.l

    @cached_property
    def factors(self) -> np.ndarray:
        """Factors of r^l exp(-a r^2) in the normalised R, (n_primitives,)."""
        a, power = np.array(self.exponents), self.l + 1.5
        raw = np.array(self.coefficients) * np.sqrt(
            2.0 * (2.0 * a) ** power / gamma(power)
        )
        overlap = 0.5 * gamma(power) * (a[:, None] + a) ** -power
        return raw / np.sqrt(raw @ overlap @ raw)


class DensityBasis:
    """The shells of every element.

    Parameters
    ----------
    elements : mapping
        Chemical symbols (or atomic numbers) and their shells, in any order.
    name : str
        What people call the basis.

    Raises
    ------
    BasisError
        If there is nothing in it, or a shell makes no sense.

    Examples
    --------
    >>> shells = [Shell(0, (1.0,), (1.0,)), Shell(1, (2.0,), (1.0,))]
    >>> basis = DensityBasis({"H": shells})
    >>> basis.size(np.array([1, 1]))
    8
    """

    def __init__(self, elements: Mapping, name: str = "custom"):
        self.name = str(name)
        shells = {number_of(key): check_shells(key, elements[key]) for key in elements}
        if not shells:
            raise BasisError("a basis needs at least one element")
        self.shells = dict(sorted(shells.items()))

    def __eq__(self, other) -> bool:
        """Return whether the functions are the same, whatever they are called."""
        return isinstance(other, DensityBasis) and self.shells == other.shells

    __hash__ = None

    def __repr__(self) -> str:
        """Return name and functions in one line."""
        return f"<DensityBasis {self.name}: {self.describe()}>"

    def describe(self) -> str:
        """Return numbers of functions by element, and shells, as people write them.

        >>> DensityBasis({"H": [Shell(0, (1.0,), (1.0,))] * 2}).describe()
        'H 2 (2s)'
        """
        words = []
        for number, shells in self.shells.items():
            counts = self.counts(number)
            letters = "".join(f"{n}{'spdfghikl'[l]}" for l, n in enumerate(counts) if n)
            size = sum(shell.size for shell in shells)
            words.append(f"{chemical_symbols[number]} {size} ({letters})")
        return ", ".join(words)

    def counts(self, number: int) -> list[int]:
        """Return the number of shells of every l of an element."""
        shells = self.shells_of(number)
        counts = [0] * (1 + max(shell.l for shell in shells))
        for shell in shells:
            counts[shell.l] += 1
        return counts

    def shells_of(self, number: int) -> tuple[Shell, ...]:
        """Return the shells of an element, or say that there are none."""
        if number not in self.shells:
            known = ", ".join(chemical_symbols[z] for z in self.shells)
            raise BasisError(
                f"the basis {self.name} has no functions for "
                f"{chemical_symbols[number]}; it has those of {known}"
            )
        return self.shells[number]

    def sizes(self, numbers: np.ndarray) -> np.ndarray:
        """Return the number of functions of every atom, (n_atoms,)."""
        kinds, index = np.unique(np.asarray(numbers), return_inverse=True)
        sizes = [sum(shell.size for shell in self.shells_of(int(z))) for z in kinds]
        return np.array(sizes, dtype=np.intp)[index]

    def size(self, numbers: np.ndarray) -> int:
        """Return the number of functions of a structure with these elements."""
        return int(self.sizes(numbers).sum())

    @property
    def is_known(self) -> bool:
        """Whether the functions are known, or only their number."""
        return all(shell.exponents for s in self.shells.values() for shell in s)

    def check_known(self) -> None:
        """Refuse work that needs the functions where only the layout is known."""
        if not self.is_known:
            raise BasisError(
                f"the basis {self.name} says how many functions there are, not what "
                "they are, so that nothing but coefficients can be computed; give "
                "exponents, or metric matrices from files"
            )

    def to_dict(self) -> dict:
        """Return the basis as JSON holds it; `from_dict` reads it."""
        elements = {
            chemical_symbols[number]: [
                {
                    "l": shell.l,
                    "exponents": list(shell.exponents),
                    "coefficients": list(shell.coefficients),
                }
                for shell in shells
            ]
            for number, shells in self.shells.items()
        }
        return {"name": self.name, **CONVENTIONS, "elements": elements}

    @classmethod
    def from_dict(cls, description: Mapping) -> DensityBasis:
        """Return the basis that `to_dict` described.

        Raises
        ------
        BasisError
            If something is missing, or the conventions are others.
        """
        try:
            for key, convention in CONVENTIONS.items():
                if description[key] != convention:
                    raise BasisError(
                        f"a basis description with {key} = {description[key]!r} cannot "
                        f"be used; lodekit knows {convention!r}"
                    )
            elements = {
                symbol: [
                    Shell(
                        shell["l"],
                        numbers_of(shell["exponents"]),
                        numbers_of(shell["coefficients"]),
                    )
                    for shell in shells
                ]
                for symbol, shells in description["elements"].items()
            }
            if not isinstance(description["name"], str):
                raise TypeError("name is no text")
            return cls(elements, description["name"])
        except (KeyError, TypeError, AttributeError) as problem:
            raise BasisError(
                f"a basis description lacks something ({type(problem).__name__}: "
                f"{problem}); write it with DensityBasis.to_dict"
            ) from None


def numbers_of(values) -> tuple[float, ...]:
    """Return a list of numbers of a description; a truth value is none."""
    if any(type(value) not in (int, float) for value in values):
        raise TypeError(f"{values!r:.60} are no numbers")
    return tuple(map(float, values))


def number_of(element: str | int) -> int:
    """Return the atomic number of a symbol or number."""
    if isinstance(element, str):
        if element not in atomic_numbers:
            raise BasisError(f"{element!r} is no chemical element")
        return atomic_numbers[element]
    return int(element)


def check_shells(element: str | int, shells: Iterable[Shell]) -> tuple[Shell, ...]:
    """Return the shells of an element sorted by l, or say what is wrong."""
    shells = tuple(shells)
    if not shells:
        raise BasisError(f"the basis has no shells for {element}")
    for shell in shells:
        a, d = np.array(shell.exponents), np.array(shell.coefficients)
        is_whole = isinstance(shell.l, (int, np.integer))
        if not is_whole or not 0 <= shell.l <= HIGHEST_L:
            raise BasisError(
                f"a shell of {element} has l = {shell.l}; l must be from 0 to "
                f"{HIGHEST_L}"
            )
        if a.shape != d.shape or a.ndim != 1:
            raise BasisError(
                f"a shell of {element} has {a.size} exponents and {d.size} "
                "coefficients; it needs one coefficient for every exponent"
            )
        if not (np.isfinite(a).all() and (a > 0).all() and np.isfinite(d).all()):
            raise BasisError(
                f"a shell of {element} has exponents {shell.exponents} and "
                f"coefficients {shell.coefficients}; exponents must be positive"
            )
        if a.size and not d.any():
            raise BasisError(f"a shell of {element} has no coefficient but zero")
    return tuple(sorted(shells, key=lambda shell: shell.l))


def single_shell(width: float, l: int = 0) -> Shell:
    """Return a shell of one Gaussian whose density has a standard deviation in Å."""
    if not width > 0:
        raise BasisError(f"the width of a Gaussian must be positive, got {width} Å")
    return Shell(l, (0.5 / width**2,), (1.0,))
