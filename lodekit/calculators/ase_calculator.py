"""A fitted model as an ASE calculator.

    from lodekit.calculators import LodekitCalculator

    atoms.calc = LodekitCalculator("model.lodekit")
    atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    atoms.get_charges(), atoms.get_dipole_moment()

What ASE asks for is what is computed: energies alone cost less than forces, and stress
is computed only when it is wanted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
    all_properties,
)
from ase.data import chemical_symbols

from lodekit.errors import ExtrapolationError
from lodekit.model_file import load_model
from lodekit.models.charge_checks import field_argument
from lodekit.models.extrapolating import EXTRAPOLATION
from lodekit.observables.charges import ATOMIC_MOMENTS
from lodekit.observables.fragments import CHARGES, LABELS
from lodekit.quantities import BOUNDARIES, QUANTITIES, quantity
from lodekit.structures import get_target

#: What is computed whenever anything is, where the model and the boundary allow it.
_ALWAYS = {
    name for name, one in QUANTITIES.items() if one.in_ase and not one.is_gradient
}
#: A field or displacement in V/Å, or what returns one.
Control = Sequence[float] | np.ndarray | Callable[[], Any] | None
#: What may happen far from the training data.
_REACTIONS = ("warn", "raise", "ignore")
#: Factor by which the extrapolation grows before another warning.
_GROWTH = 2.0


def _given(atoms: Atoms) -> tuple:
    """Return total charge, fragments and their charges of a structure, to compare."""
    labels, charges = atoms.arrays.get(LABELS), atoms.info.get(CHARGES)
    return (
        get_target(atoms, "total_charge"),
        None if labels is None else labels.tolist(),
        None if charges is None else np.ravel(charges).tolist(),
    )


def _check_std(model: Any, std: bool | str | Sequence[str]) -> bool | list[str]:
    """Return True, or names of properties that have a standard deviation."""
    if isinstance(std, bool):
        return std
    names = [std] if isinstance(std, str) else list(std)
    has = [name.removesuffix("_std") for name in model.properties if "_std" in name]
    for name in names:
        if name not in has:
            raise ValueError(
                f"this {type(model).__name__} has no standard deviation of {name!r}; "
                f"it has those of {', '.join(has) or 'nothing'}"
            )
    return names


class LodekitCalculator(Calculator):
    """ASE calculator of a fitted model.

    Parameters
    ----------
    model : str, Path or estimator
        A model file, or a fitted model such as `lodekit.models.SparsePotential`.
    std : bool or list of str
        Compute standard deviations, too: of the properties that are named, or with True
        of all that is computed, as far as the model has them. They are in ``results``
        under "energy_std", "forces_std", "charges_std" and so on. ``["energy"]`` costs
        a part of a force call, forces_std tens of them.
    field : array_like of shape (3,) or callable, optional
        Uniform electric field in V/Å, for models that respond to one. Energy, forces
        and stress include it. It may be changed: ``calculator.field = (0, 0, 0.1)``. A
        callable without arguments that returns it is asked before every calculation:
        ``field=lambda: strength * np.sin(frequency * dynamics.get_time())``. Atoms of
        periodic structures must not be wrapped while there is one.
    displacement : array_like of shape (3,) or callable, optional
        Electric displacement D / eps_0 in V/Å instead, for a `PolarizationModel`.
    on_extrapolation : {"warn", "raise", "ignore"}
        What happens where a structure is far from the training data: a warning, and
        another one whenever it is twice as far as at the last; an
        `lodekit.errors.ExtrapolationError`, which ends a simulation; or nothing. It
        costs a few per cent of a force call.

    Attributes
    ----------
    implemented_properties : list of str
        What the model has of energy, free_energy, energies, forces, stress, charges,
        dipole, polarization (M = P V in e·Å), born_effective_charges (moment before
        displacement), dielectric_tensor, and for ``get_property`` atomic_dipoles and
        atomic_quadrupoles. The latter takes every other property of ``model.compute``
        as well, such as energy_std, hardnesses or polarizability.
        ``results["extrapolation"]`` (n_atoms,) is how far every atom is from the
        training data, 1 being the limit, unless that is ignored.

    Raises
    ------
    ValueError
        If there is a field and the model does not respond to one, or a displacement as
        well, ``std`` names what the model has no standard deviation of, or
        ``on_extrapolation`` is none of the three.

    Notes
    -----
    Energies are in eV, forces in eV/Å, stress in eV/Å^3 in the order xx, yy, zz, yz,
    xz, xy, charges in e, dipoles in e·Å from the origin. ``free_energy`` equals
    ``energy``: models have no electronic entropy.

    The total charge of a structure is ``atoms.info["total_charge"]``, in e. Fragments
    are ``atoms.arrays["fragments"]``, see `lodekit.observables.fragments`.

    A model that was fitted to charges or moments alone has no energy: charges and the
    dipole can be asked for, energies, forces and stress cannot. Its electrostatic
    energy is a part of the energy only, and does not stand in for it.
    """

    atoms: Any

    def __init__(
        self,
        model: Any,
        std: bool | str | Sequence[str] = False,
        field: Control = None,
        on_extrapolation: str = "warn",
        displacement: Control = None,
    ) -> None:
        super().__init__()
        if on_extrapolation not in _REACTIONS:
            raise ValueError(
                f"on_extrapolation must be one of {', '.join(_REACTIONS)}, got "
                f"{on_extrapolation!r}"
            )
        self.on_extrapolation, self._warned = on_extrapolation, 1.0 / _GROWTH
        if isinstance(model, (str, os.PathLike)):
            model = load_model(model)
        self.model = model
        self.std = _check_std(model, std)
        self._controls: dict[str, Any] = {"field": None, "displacement": None}
        self._values: dict[str, list] = {}
        self.field, self.displacement = field, displacement
        self._species = frozenset(model.species_.tolist())
        names = (*all_properties, *ATOMIC_MOMENTS)
        known = [name for name in names if name in model.properties]
        if "energy" in known:
            known.append("free_energy")
        self.implemented_properties = known

    @property
    def field(self) -> Control:
        """Electric field in V/Å, a function that returns it, or None."""
        return self._controls["field"]

    @field.setter
    def field(self, field: Control) -> None:
        self._set_control("field", field)

    @property
    def displacement(self) -> Control:
        """Electric displacement in V/Å, a function that returns it, or None."""
        return self._controls["displacement"]

    @displacement.setter
    def displacement(self, displacement: Control) -> None:
        self._set_control("displacement", displacement)

    def _set_control(self, name: str, value: Control) -> None:
        field_argument(self.model, value, name)
        self._controls[name] = value
        if all(control is not None for control in self._controls.values()):
            self._controls[name] = None
            raise ValueError(
                "a field and a displacement were given; one of them follows from the "
                "other: set one of them to None"
            )
        self.reset()

    def _control(self) -> dict[str, Any]:
        """Return the present field, or displacement, as arguments of the model."""
        present = {n: v() if callable(v) else v for n, v in self._controls.items()}
        return {n: v for n, v in present.items() if v is not None}

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """Return the changes since the last call, however small.

        Charges that are given count.
        """
        changes = super().check_state(atoms, tol)
        if changes or self.atoms is None:
            return changes
        if any(map(callable, self._controls.values())):
            values = {name: list(value) for name, value in self._control().items()}
            if values != self._values:
                return ["field"]
        before, now = (_given(a) for a in (self.atoms, atoms))
        return [] if now == before else ["initial_charges"]

    def get_property(
        self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True
    ) -> Any:
        """Return one property; ASE calls this."""
        if name in self.implemented_properties:
            return super().get_property(name, atoms, allow_calculation)
        if name not in self.model.properties:
            raise PropertyNotImplementedError(
                f"this {type(self.model).__name__} has no {name}; it has "
                f"{', '.join(self.implemented_properties)}, which the targets of its "
                "fit decide"
            )
        # ASE knows the names of properties that it may ask for, and these are others
        changes = [] if atoms is None else self.check_state(atoms)
        if changes:
            self.reset()
        if name not in self.results:
            if not allow_calculation:
                return None
            self.calculate(self.atoms if atoms is None else atoms, [name], changes)
        return np.copy(self.results[name])[()]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Iterable[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute properties of a structure; ASE calls this.

        Parameters
        ----------
        atoms : ase.Atoms
            The structure.
        properties : list of str
            What is wanted.
        system_changes : list of str
            What changed since the last call.

        Raises
        ------
        ValueError
            For species that the model has not seen, and for boundaries and cells that
            it cannot describe, total charges that are missing, a field along a periodic
            direction.
        PropertyNotImplementedError
            For the stress of a structure that is not periodic in three directions, and
            the dipole of one that is periodic in any.
        """
        super().calculate(atoms, properties, system_changes)
        self._check(properties)
        control = self._control()
        self._values = {name: list(value) for name, value in control.items()}
        (results,) = self.model.compute(
            [self.atoms],
            properties=self._wanted(properties),
            **control,
        )
        if "energy" in results:
            results["free_energy"] = results["energy"]
        results.update(self._extrapolate())
        # ASE keeps results while the structure stays: earlier properties are kept.
        self.results.update(results)

    def _extrapolate(self) -> dict[str, np.ndarray]:
        """Return the extrapolation as a result, and react where it is large.

        Raises
        ------
        ExtrapolationError
            If that was asked for.
        """
        if self.on_extrapolation == "ignore" or self.model.training_range_ is None:
            return {}
        if EXTRAPOLATION in self.results:  # of the same structure
            return {EXTRAPOLATION: self.results[EXTRAPOLATION]}
        (extrapolation,) = self.model.extrapolate(self.atoms)
        text = f"the structure is far from the training data: {extrapolation.reason}"
        if extrapolation.reason and self.on_extrapolation == "raise":
            raise ExtrapolationError(text)
        if extrapolation.reason and extrapolation.largest >= _GROWTH * self._warned:
            self._warned = extrapolation.largest
            warnings.warn(text, stacklevel=2)
        return {EXTRAPOLATION: extrapolation.values}

    def _wanted(self, properties: Iterable[str]) -> list[str]:
        """Return the properties to compute when some are asked for."""
        wanted = _ALWAYS.union(properties) - {"free_energy"}
        if "stress" in wanted:
            wanted.add("forces")
        if self.std:
            wanted |= {f"{n}_std" for n in (wanted if self.std is True else self.std)}
        wanted -= {n for n in wanted if not quantity(n).fits(self.atoms.pbc)}
        return sorted(wanted.intersection(self.model.properties))

    def _check(self, properties: Iterable[str]) -> None:
        pbc = self.atoms.pbc
        for name in properties:
            if not quantity(name).fits(pbc):
                raise PropertyNotImplementedError(
                    f"{quantity(name).name} needs a structure "
                    f"{BOUNDARIES[quantity(name).boundary]}, pbc is {pbc.tolist()}"
                )
        if not len(self.atoms):
            raise ValueError("the structure has no atoms")
        foreign = sorted(set(self.atoms.numbers.tolist()) - self._species)
        if foreign:
            known = ", ".join(chemical_symbols[z] for z in sorted(self._species))
            raise ValueError(
                f"the structure has {chemical_symbols[foreign[0]]}, which the model "
                f"has not seen; it knows {known}"
            )
