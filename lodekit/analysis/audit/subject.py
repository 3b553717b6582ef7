"""The model under audit, asked for what it can compute."""

from __future__ import annotations

import numpy as np

from lodekit.quantities import CHARGES, ENERGIES, family, quantity, undefined

from .results import NotApplicable

_AUDITED = (*ENERGIES, *CHARGES, *family("moments"), *family("dipoles"))
#: How a property changes with its structure, see `Quantity.kind`. Points that nobody
#: turns with the structure do not take part.
KINDS = {
    target.name: target.kind
    for target in map(quantity, _AUDITED)
    if target.kind != "numbers" and target.by_default
}
#: Names of the energy, with its derivatives, of models that have no other energy.
ELECTROSTATIC = {name: f"electrostatic_{name}" for name in ENERGIES}


class Subject:
    """A fitted model and the structures that it is audited with.

    A model without an energy but with an electrostatic one has that for its energy.

    Parameters
    ----------
    model : estimator
        Fitted, with ``compute(frames, properties)`` and the list ``properties`` of what
        that knows.
    frames : list of ase.Atoms
    """

    def __init__(self, model, frames):
        self.model = model
        self.frames = frames
        known = set(model.properties)
        self.names = {name: name for name in KINDS if name in known}
        if "energy" not in known:
            self.names.update(
                {name: long for name, long in ELECTROSTATIC.items() if long in known}
            )

    def has(self, name: str) -> bool:
        """Return whether the model computes a property of `KINDS`."""
        return name in self.names

    def require(self, name: str) -> None:
        """Raise `NotApplicable` where the model does not compute a property."""
        if not self.has(name):
            raise NotApplicable(f"the model computes no {name}")

    def defined(self, atoms) -> list[str]:
        """Return the properties that the model computes of a structure.

        Raises
        ------
        NotApplicable
            Where there are none.
        """
        names = [name for name in self.names if name not in undefined(atoms.pbc)]
        if not names:
            raise NotApplicable("the model computes nothing that is checked")
        return names

    def compute(self, frames, names, **options) -> list[dict]:
        """Return properties under the names of `KINDS`."""
        results = self.model.compute(
            frames, properties=[self.names[name] for name in names], **options
        )
        return [{name: r[self.names[name]] for name in names} for r in results]

    def values(self, frames, name: str, **options) -> list:
        """Return one property of every structure."""
        return [result[name] for result in self.compute(frames, [name], **options)]

    def energies(self, frames, **options) -> np.ndarray:
        """Return energies in eV, (n_frames,)."""
        return np.array(self.values(frames, "energy", **options), dtype=float)

    @property
    def is_equilibrated(self) -> bool:
        """Whether the charges minimise the energy."""
        return getattr(self.model, "is_stationary", False)


def difference(name: str, values, expected, n_atoms: int) -> float:
    """Return the largest difference of a property from what is expected.

    In eV/atom, eV/Å, eV/Å^3, e, e·Å or e·Å²; of values beyond 1, relative to them.
    """
    scale = n_atoms if name == "energy" else 1
    values, expected = np.asarray(values) / scale, np.asarray(expected) / scale
    error = np.max(np.abs(values - expected), initial=0.0)
    return float(error / max(1.0, np.max(np.abs(expected), initial=0.0)))
