"""Electric fields in which structures were computed: ``electric_field`` in V/Å.

Energies and moments in a field E are

    U(E) = U_0 - E . M - E . alpha . E / 2,    M(E) = M + alpha . E,

with M and alpha without a field. M of a periodic structure is known up to quanta, and
so is U(E); with the value of M(E) of the same calculation, U_0 = U(E) + E . M(E) - E .
alpha . E / 2 is not.
"""

from __future__ import annotations

import numpy as np

from lodekit.structures import frame_name, get_target

FIELD = "electric_field"
#: Key of frames: q (e), x, y, z (Å) of every charge.
POINT_CHARGES = "point_charges"
#: Share of a field that counts as rounding of a direction.
ROUNDING = 1e-9


def fields_of(frames):
    """Return the fields of structures in V/Å, (n_frames, 3); None without any."""
    values = [get_target(atoms, FIELD) for atoms in frames]
    fields = np.array([np.zeros(3) if field is None else field for field in values])
    return fields if fields.any() else None


def check_directions(frames, fields) -> None:
    """Raise ``ValueError`` for fields along periodic directions of slabs and wires.

    Their polarization along these has no value that a branch could belong to.

    Parameters
    ----------
    frames : list of ase.Atoms
    fields : array-like of shape (3,) or (n_frames, 3)
    """
    vectors = np.broadcast_to(fields, (len(frames), 3))
    for index, (atoms, field) in enumerate(zip(frames, vectors, strict=True)):
        if not atoms.pbc.any() or atoms.pbc.all():
            continue
        along = atoms.cell[:][atoms.pbc] @ field
        lengths = np.linalg.norm(atoms.cell[:][atoms.pbc], axis=1)
        if np.abs(along).max() > ROUNDING * lengths.max() * np.linalg.norm(field):
            raise ValueError(
                f"the field {np.round(field, 6).tolist()} V/Å has a component along a "
                f"periodic direction of {frame_name(index)}, where its polarization is "
                "not defined; give a field along the normal"
            )


def refuse_fields(frames, model) -> None:
    """Raise ``ValueError`` for structures in a field, which a model does not know."""
    fields = fields_of(frames)
    if fields is not None:
        index = int(np.flatnonzero(fields.any(axis=1))[0])
        raise ValueError(
            f"{frame_name(index)} was computed in an electric field, which "
            f"{type(model).__name__} takes for none; fit a PolarizationModel "
            "(--model polarization), or leave the frame out"
        )


def unread_causes(frames, model) -> list[str]:
    """Return keys of fields and charges of frames that predictions leave out."""
    left_out = []
    if not model.reads_fields and fields_of(frames) is not None:
        left_out.append(FIELD)
    if not model.reads_point_charges and any(
        get_target(atoms, POINT_CHARGES) is not None for atoms in frames
    ):
        left_out.append(POINT_CHARGES)
    return left_out


def refuse_point_charges(frames, model) -> None:
    """Raise ``ValueError`` for structures with charges that a model does not know."""
    for index, atoms in enumerate(frames):
        if get_target(atoms, POINT_CHARGES) is not None:
            raise ValueError(
                f"{frame_name(index)} has {POINT_CHARGES}, which "
                f"{type(model).__name__} takes for none; leave them out where they are "
                "not in its targets, or the frame"
            )
