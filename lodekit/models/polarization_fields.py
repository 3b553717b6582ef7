"""Training structures of a `PolarizationModel` that were computed in a field."""

from __future__ import annotations

import numpy as np

from lodekit.observables.fields import fields_of
from lodekit.observables.polarization import moment_of
from lodekit.physics.response import EnergyParts
from lodekit.structures import frame_name

from .charge_energy import remainders
from .polarization_prediction import PolarizationPrediction


def frames_in_fields(frames):
    """Yield index and field in V/Å of the frames that were computed in one."""
    fields = fields_of(frames)
    if fields is not None:
        for index in np.flatnonzero(fields.any(axis=1)):
            yield int(index), fields[index]


def without_fields(model, frames, names: list) -> list:
    """Return frames with the energies, forces and stress that they have in no field.

    Raises
    ------
    ValueError
        If the model has no response to a field, or a periodic frame with an energy no
        polarization.
    """
    inside = dict(frames_in_fields(frames))
    if not inside:
        return frames
    parts = []
    for index, atoms in enumerate(frames):
        if index not in inside:
            parts.append(EnergyParts(0.0, np.zeros((len(atoms), 3)), np.zeros((3, 3))))
            continue
        if model.dipoles_ is None:
            raise ValueError(
                f"{frame_name(index)} was computed in an electric field: fit dipoles, "
                "polarizations or Born charges as well, or leave the frame out"
            )
        parts.append(field_part(model, atoms, inside[index], names, frame_name(index)))
    return remainders(frames, parts, names)


def field_part(model, atoms, field, names, name: str) -> EnergyParts:
    """Return the contribution of a field to energy, forces and strain derivative."""
    prediction = PolarizationPrediction(model, [atoms], field)
    in_field = prediction.in_field
    energy = float(in_field.energies[0])
    if atoms.pbc.all() and "energy" in names:
        moment = moment_of(atoms)
        if moment is None:
            raise ValueError(
                f"{name} has an energy in an electric field and no polarization, which "
                "says on which branch the energy is"
            )
        # with the branch of the moment that was computed: U - U_0 is linear in M
        energy += float(field @ (in_field.total_moments[0] - moment))
    positions, strain = prediction.field_gradients
    return EnergyParts(energy, -positions, strain[0])
