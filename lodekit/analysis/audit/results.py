"""Checks, their findings and verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

PASSED, FAILED, NOT_APPLICABLE = "pass", "fail", "not applicable"


@dataclass(frozen=True)
class Curve:
    """Sizes that a check met on its way, for people to look at.

    Attributes
    ----------
    x, y : tuple of float
        Points; both positive, or y zero.
    x_label, y_label : str
        What they are, with units.
    is_line : bool
        Whether points belong to one another, in their order.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    x_label: str
    y_label: str
    is_line: bool = True


@dataclass(frozen=True)
class Finding:
    """The value that a check measured in one structure.

    Attributes
    ----------
    value : float
        Size of the violation, in the unit of the check.
    note : str
        What else there is to know.
    curve : Curve or None
        What there is to see.
    """

    value: float
    note: str = ""
    curve: Curve | None = None


class NotApplicable(Exception):
    """Raised by a check where its law says nothing, with the reason.

    Attributes
    ----------
    value : float or None
        What was measured nevertheless.
    curve : Curve or None
        What there is to see.
    """

    def __init__(
        self, reason: str, value: float | None = None, curve: Curve | None = None
    ):
        super().__init__(reason)
        self.value = value
        self.curve = curve


@dataclass(frozen=True)
class Check:
    """One physical law.

    Attributes
    ----------
    name : str
    demand : str
        What the law says.
    tolerance : float
        Largest violation that passes.
    unit : str
        Of violation and tolerance.
    measure : callable
        ``measure(subject, atoms, random)`` returns a `Finding` or raises
        `NotApplicable`.
    """

    name: str
    demand: str
    tolerance: float
    unit: str
    measure: Callable


def check(name: str, demand: str, tolerance: float, unit: str):
    """Make a `Check` of a function that measures."""
    return lambda measure: Check(name, demand, tolerance, unit, measure)


@dataclass(frozen=True)
class CheckResult:
    """The verdict of one check on a model.

    Attributes
    ----------
    name, demand, tolerance, unit
        As of `Check`.
    status : {"pass", "fail", "not applicable"}
    measured : float or None
        Largest violation among the structures. It judges nothing where the check does
        not apply.
    note : str
        Of the structure with the largest violation; or why the check does not apply.
    frame : int or None
        That structure, as an index into those that were given.
    n_frames : int
        Number of structures that the check applies to.
    curves : dict of Curve
        By index of the structure, where there is something to see.
    """

    name: str
    demand: str
    tolerance: float
    unit: str
    status: str
    measured: float | None
    note: str
    frame: int | None
    n_frames: int
    curves: dict[int, Curve]

    @property
    def is_finite(self) -> bool:
        """Whether a number was measured."""
        return self.measured is not None and math.isfinite(self.measured)

    @classmethod
    def judge(cls, check: Check, outcomes) -> CheckResult:
        """Return the verdict on findings, one or a `NotApplicable` for each structure.

        A value that is no number is the worst of all.
        """
        fields = (check.name, check.demand, check.tolerance, check.unit)
        curves = {i: o.curve for i, o in enumerate(outcomes) if o.curve is not None}
        places = [i for i, one in enumerate(outcomes) if isinstance(one, Finding)]
        if not places:
            measured = [i for i, one in enumerate(outcomes) if one.value is not None]
            frame = max(measured, key=lambda i: outcomes[i].value, default=None)
            reason = outcomes[0 if frame is None else frame]
            verdict = NOT_APPLICABLE, reason.value, str(reason), frame
            return cls(*fields, *verdict, n_frames=0, curves=curves)
        worst = max(places, key=lambda i: _badness(outcomes[i].value))
        finding = outcomes[worst]
        status = PASSED if finding.value <= check.tolerance else FAILED
        verdict = status, float(finding.value), finding.note, worst
        return cls(*fields, *verdict, n_frames=len(places), curves=curves)


def _badness(value: float) -> float:
    return value if value == value else float("inf")
