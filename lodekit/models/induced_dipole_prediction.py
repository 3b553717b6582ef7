"""Predictions of an `InducedDipoleModel`, with and without a field."""

from __future__ import annotations

import numpy as np

from lodekit.observables.fields import check_directions
from lodekit.observables.polarization import BORN_CHARGES, POLARIZATION
from lodekit.physics.induced_dipole_born import InducedResponse, born_charges
from lodekit.physics.induced_dipole_latents import InducedBatch
from lodekit.quantities import ENERGIES, family, quantity
from lodekit.structures import frame_name
from lodekit.units import COULOMB_CONSTANT, FOUR_PI

from .charge_checks import check_stress

#: What does not depend on the field, or only by what responds to it.
RESPONSES = family("responses")


def defined_properties(model) -> list[str]:
    """Return the names of what a fitted model computes."""
    energies = ENERGIES if model.potential_ is not None else ()
    return [*energies, *family("dipoles"), *RESPONSES, "charges"]


def check_carried(model, frames, names, field) -> None:
    """Check that what carries charge through a cell carries whole charges.

    Raises
    ------
    ValueError
        For polarization, Born charges and fields of periodic structures, where charges
        depend on the surroundings.
    """
    asked = [name for name in (POLARIZATION, BORN_CHARGES) if name in names]
    if model.latents_.whole_charges is not None or not (asked or field is not None):
        return
    what = asked[0] if asked else "a response to a field"
    for index, atoms in enumerate(frames):
        if atoms.pbc.any():
            raise ValueError(
                f"{frame_name(index)} is periodic, and charges that depend on the "
                f"surroundings have no polarization there, so that {what} is not "
                "defined; fit with oxidation_states"
            )


def wanted_properties(model, frames, properties, field) -> list[list[str]]:
    """Return the names of what is computed of every frame.

    Raises
    ------
    ValueError
        For what the model, or a frame, does not have.
    """
    known = defined_properties(model)
    if field is not None:
        check_directions(frames, field)
    if isinstance(properties, str):
        properties = [properties]
    if properties is None:
        check_carried(model, frames, (), field)
        is_whole = model.latents_.whole_charges is not None
        known = [name for name in known if name != BORN_CHARGES]
        return [
            [
                name
                for name in known
                if quantity(name).fits(atoms.pbc) and (is_whole or name != POLARIZATION)
            ]
            for atoms in frames
        ]
    for name in properties:
        if name not in known:
            raise ValueError(f"properties must be among {known}, got '{name}'")
    check_stress(frames, properties)
    for name in properties:
        for index, atoms in enumerate(frames):
            if not quantity(name).fits(atoms.pbc):
                raise ValueError(
                    f"{name} is not defined for {frame_name(index)}, whose pbc is "
                    f"{atoms.pbc.tolist()}"
                )
    check_carried(model, frames, properties, field)
    return [list(properties)] * len(frames)


def predict_batch(model, frames, wanted: list, field) -> list[dict]:
    """Predict frames that fit into memory together."""
    every = set().union(*wanted)
    batch = InducedBatch(model.latents_, model.solution_.weights, frames, field)
    responds = {*RESPONSES, BORN_CHARGES} & every
    if responds:
        responses = [InducedResponse(batch, index) for index in range(len(frames))]
        solved = [response.solved for response in responses]
    else:
        solved = [batch.solve(index) for index in range(len(frames))]
    parts = batch.energy_parts(solved) if every & {*ENERGIES} else []
    born = born_charges(batch, responses) if BORN_CHARGES in every else None
    results = []
    for index, (atoms, names) in enumerate(zip(frames, wanted, strict=True)):
        atom_range, values = batch.own(index), {}
        energies = [name for name in ENERGIES if name in names]
        if energies:
            values = model.potential_.compute([atoms], energies)[0]
            part = parts[index]
            more = {"energy": part.energy, "forces": part.forces}
            if "stress" in energies:
                more["stress"] = part.stress(atoms)
            values = {name: values[name] + more[name] for name in energies}
        values["charges"] = batch.charges[atom_range]
        values["atomic_dipoles"] = solved[index].dipoles
        values["dipole"] = values["polarization"] = solved[index].moment
        if responds:
            total = COULOMB_CONSTANT * responses[index].nu.sum(axis=0)
            values["polarizability"] = total
            if atoms.pbc.all():
                scale = FOUR_PI / atoms.get_volume()
                values["dielectric_tensor"] = np.eye(3) + scale * total
        if born is not None:
            values[BORN_CHARGES] = born[atom_range]
        results.append({name: values[name] for name in names})
    return results
