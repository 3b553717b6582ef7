"""The content of a model file, taken out piece by piece and checked.

Estimators read it in ``from_state``: every piece has a kind or a shape, and what
nobody asks for is an error, so that a file that was not written by ``get_state`` does
not become a model.
"""

from __future__ import annotations

import numpy as np

#: Arrays in which a number may be infinite: a bond that costs so much does not exist.
MAY_BE_INFINITE = {"bond_hardness"}
#: Numbers of a model are smaller than this: its square and its cube are numbers, too.
LARGEST = 1e60
#: Numbers of things are smaller than this.
LARGEST_COUNT = 2**48


def check_numbers(name: str, array: np.ndarray) -> None:
    """Raise ``ValueError`` for numbers that no fitted model has."""
    if name in MAY_BE_INFINITE:
        array = array[~np.isposinf(array)]
    largest = float(np.abs(array).max(initial=0.0))
    if not largest < LARGEST:  # NaN is not smaller than anything
        raise ValueError(f"the array {name!r} holds a number that is not finite")


class StoredModel:
    """Settings and arrays of a model, or of a part of one.

    Parameters
    ----------
    state : dict
        As ``get_state`` returns it, with "settings" and "arrays".
    prefix : str
        Put before the names of arrays in the file.
    whole : StoredModel, optional
        What this is a part of.
    """

    def __init__(self, state: dict, prefix: str = "", whole: StoredModel | None = None):
        self.settings, self.arrays = state["settings"], state["arrays"]
        self.prefix = prefix
        #: names of arrays that were asked for, and rows of tables that were used
        self.taken = set() if whole is None else whole.taken
        self.used = {} if whole is None else whole.used

    def setting(self, name: str, kind):
        """Return a setting of a kind, such as dict, or a tuple of kinds.

        Raises
        ------
        KeyError
            If there is none.
        ValueError
            For one of another kind; a truth value is no number, and whole numbers are
            numbers.
        """
        value = self.settings[name]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        is_number = float in kinds and type(value) is int
        if type(value) not in kinds and not is_number:
            raise ValueError(f"the setting {name!r} is {value!r:.60}")
        return value

    def positive(self, name: str, largest=LARGEST, least=1.0 / LARGEST) -> float:
        """Return a setting that is a positive number within limits."""
        value = float(self.setting(name, float))
        if not least <= value <= largest:
            raise ValueError(f"the setting {name!r} is {value!r}")
        return value

    def positive_or_none(self, name: str, **limits) -> float | None:
        """Return a setting that is a positive number, or None; it must be there."""
        return None if self.settings[name] is None else self.positive(name, **limits)

    def has_setting(self, name: str) -> bool:
        """Return whether there is a setting that is not None."""
        return self.settings.get(name) is not None

    def has(self, name: str) -> bool:
        """Return whether there is an array."""
        return self.prefix + name in self.arrays

    def array(self, name: str, *shape) -> np.ndarray:
        """Return an array of finite numbers of double precision.

        Parameters
        ----------
        name : str
        *shape : int or None
            Size along every axis; None for any.

        Raises
        ------
        KeyError
            If there is none.
        ValueError
            For another shape or kind of number.
        """
        array = self._take(name, "f", shape)
        check_numbers(name, array)
        return array

    def species(self) -> np.ndarray:
        """Return the atomic numbers of the model, sorted."""
        species = self._take("species", "iu", (None,)).astype(np.intp)
        is_sorted = species.size and (np.diff(species) > 0).all()
        if not is_sorted or species[0] < 1 or species[-1] > 118:
            raise ValueError(f"the species are {species.tolist()!r:.60}")
        return species

    def indices(self, name: str, size: int) -> np.ndarray:
        """Return an array of whole numbers from 0 to ``size`` - 1."""
        rows = self._take(name, "i", (None,))
        if rows.size and not 0 <= rows.min() <= rows.max() < size:
            raise ValueError(f"the array {name!r} points beyond {size} rows")
        return rows

    def part(self, name: str) -> StoredModel:
        """Return a part with settings of its own and arrays called ``name/...``."""
        state = {"settings": self.setting(name, dict), "arrays": self.arrays}
        return StoredModel(state, f"{self.prefix}{name}/", self)

    def use(self, table: str, size: int, rows: np.ndarray) -> None:
        """Remember which rows of a table, of so many, were used."""
        self.used.setdefault(self.prefix + table, np.zeros(size, bool))[rows] = True

    @staticmethod
    def count(value) -> int:
        """Return a value that is a whole number of at least 0, as large as a file."""
        if type(value) is not int or not 0 <= value < LARGEST_COUNT:
            raise ValueError(f"a number of points is {value!r:.60}")
        return value

    def finish(self) -> None:
        """Raise ``ValueError`` if there are arrays or rows that nobody asked for."""
        left = sorted(set(self.arrays) - self.taken)
        if left:
            raise ValueError(f"the array {left[0]!r} does not belong to this model")
        for table, used in self.used.items():
            if not used.all():
                raise ValueError(f"{table} has rows that do not belong to this model")

    def _take(self, name: str, kinds: str, shape) -> np.ndarray:
        array = self.arrays[self.prefix + name]
        self.taken.add(self.prefix + name)
        fits = len(array.shape) == len(shape) and all(
            size is None or size == length
            for size, length in zip(shape, array.shape, strict=True)
        )
        if array.dtype.kind not in kinds or not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(
                f"the array {name!r} has the shape {array.shape} and numbers of "
                f"{array.dtype.name}, and should have the shape ({wanted})"
            )
        return array
