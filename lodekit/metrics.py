"""Scorers for scikit-learn: how far predictions are from the targets of structures.

from sklearn.model_selection import GridSearchCV, cross_validate
from lodekit.metrics import NegativeRMSE

GridSearchCV(model, grid, scoring=NegativeRMSE("forces")).fit(frames)
cross_validate(model, frames, scoring=NegativeRMSE("energy", "forces"))
"""

from __future__ import annotations

import numpy as np

from lodekit.analysis.errors import compare
from lodekit.quantities import UNITS
from lodekit.structures import get_target
from lodekit.structures.batch import as_frames

__all__ = ["NegativeRMSE"]


class NegativeRMSE:
    """Minus the root mean square error, for ``scoring=`` of scikit-learn.

    Parameters
    ----------
    *targets : {"energy", "forces", "stress", "charges", "dipole", "quadrupole", "mep"}
        What to compare, over all components, of the frames that have it. Energies are
        those per atom. In eV/atom, eV/Å, eV/Å^3, e, e·Å, e·Å² and V.

    Raises
    ------
    ValueError
        For other targets, or none.
    """

    def __init__(self, *targets: str):
        for target in targets:
            if target not in UNITS:
                raise ValueError(
                    f"scores are of {', '.join(UNITS)}, got the target {target!r}"
                )
        if not targets:
            raise ValueError(f"name a target to score, of {', '.join(UNITS)}")
        self.targets = targets

    def __repr__(self) -> str:
        """Return how to make it."""
        return f"NegativeRMSE({', '.join(map(repr, self.targets))})"

    def __call__(self, model, frames, y=None) -> float | dict[str, float]:
        """Return the score of a fitted model, or one for each of several targets.

        Parameters
        ----------
        model : estimator
        frames : list of ase.Atoms
        y : array-like of shape (n_frames,), optional
            Total energies in eV instead of those of the frames.

        Raises
        ------
        ValueError
            For a target that no frame has.
        """
        frames = as_frames(frames)
        squares: dict[str, list] = {target: [] for target in self.targets}
        for wanted, indices in self._groups(frames, y).items():
            some = [frames[i] for i in indices]
            results = model.compute(some, list(wanted))
            for target in wanted:
                if target == "energy" and y is not None:
                    sizes = np.array([len(atoms) for atoms in some])
                    predicted = np.array([result["energy"] for result in results])
                    errors = (predicted - np.asarray(y)[indices]) / sizes
                else:
                    errors = compare(some, results, [target])[target].errors
                squares[target].append(errors**2)
        scores = {
            target: -float(np.sqrt(np.mean(np.concatenate(parts))))
            for target, parts in squares.items()
        }
        return scores if len(scores) > 1 else scores[self.targets[0]]

    def _groups(self, frames, y) -> dict[tuple, list[int]]:
        """Return indices of frames by the targets that they have."""
        groups: dict = {}
        for index, atoms in enumerate(frames):
            has = tuple(name for name in self.targets if _has(atoms, name, y))
            if has:
                groups.setdefault(has, []).append(index)
        missing = set(self.targets).difference(*groups)
        if missing:
            raise ValueError(
                f"no frame has {', '.join(sorted(missing))}, and a score needs "
                "reference values"
            )
        return groups


def _has(atoms, target: str, y) -> bool:
    """Return whether a frame has reference values of a target."""
    if target == "energy" and y is not None:
        return True
    return get_target(atoms, target) is not None
