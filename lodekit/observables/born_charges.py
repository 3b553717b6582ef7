"""Born effective charges: how the dipole follows a displaced atom.

Z_i,ab = dM_a / dR_ib in e: the first index is the component of the dipole, the second
that of the displacement of atom i. In an open structure they are also called atomic
polar tensors; in a periodic one M is the volume times the polarization. With charges q
and the derivative D of their dipole while the charge of the displaced atom stays,

    Z_i = q_i + D_i.

Moving all atoms moves the total charge, sum_i Z_i = Q, and turning an open structure
turns its dipole: sum_i Z_i,ab (e_c x R_i)_b = (e_c x M)_a is antisymmetric in a and c.
The first sum does not know the order of indices, the second one does.

References
----------
R. Resta, Rev. Mod. Phys. 66, 899 (1994); W. B. Person, J. H. Newton, J. Chem. Phys. 61,
1040 (1974).
"""

from __future__ import annotations

import numpy as np

from lodekit.structures import frame_name, get_target

from .charge_observable import (
    AffineCharges,
    ChargeObservable,
    TotalCharge,
    total_charge,
)
from .polarization import check_sum

#: How much better other indices must obey the sum rule of rotations to be a mistake.
MUCH_BETTER = 5.0


class BornCharges(ChargeObservable):
    """Z of all atoms, row by row: atom, component of the dipole, displacement."""

    name = "born_effective_charges"
    shape = (-1, 3, 3)

    def observe(self, atoms, charges: AffineCharges) -> AffineCharges:
        """Return Z as an affine map of the weights, (9 n_atoms,)."""
        matrix, offset = charges.moved.rows()
        for axis in range(3):
            matrix[:, axis, axis] += charges.matrix
            offset[:, axis, axis] += charges.offset
        return AffineCharges(matrix.reshape(offset.size, -1), offset.ravel())

    def value(self, atoms, charges: AffineCharges, weights: np.ndarray) -> np.ndarray:
        """Return Z in e, (n_atoms, 3, 3), without rows."""
        fixed = charges.values(weights)[:, None, None] * np.eye(3)
        return fixed + charges.moved.values()

    def conditions(self, charges: AffineCharges, names) -> dict[str, np.ndarray]:
        """Return the changes of the total charge, where a model may have any."""
        if TotalCharge.name not in names:
            return {}
        changes = charges.moved.sum_rows()
        return {TotalCharge.name: changes.reshape(-1, changes.shape[-1])}

    def check_references(self, frames, chosen) -> None:
        """Raise ``ValueError`` where sum rules say that references are wrong."""
        for index in chosen:
            atoms = frames[index]
            charges = get_target(atoms, self.name)
            check_sum(charges, total_charge(atoms), frame_name(index))
            if atoms.pbc.any() or len(atoms) < 3:
                continue
            error = rotation_error(atoms.positions, charges)
            other = rotation_error(atoms.positions, charges.swapaxes(1, 2))
            if error > MUCH_BETTER * other:
                raise ValueError(
                    f"{self.name} of {frame_name(index)} look transposed: turning the "
                    f"structure misses its dipole by {error:.2g} e·Å, and by "
                    f"{other:.2g} e·Å with the last two indices exchanged; exchange "
                    "them, they are [atom, dipole, displacement] "
                    "(`lodekit.observables.polarization.transpose_born_charges`)"
                )


def rotation_error(positions: np.ndarray, charges: np.ndarray) -> float:
    """Return how far Born charges are from turning a dipole, in e·Å.

    The root mean square of the symmetric part of sum_i Z_i,ab (e_c x R_i)_b.
    """
    positions = positions - positions.mean(axis=0)
    turned = np.cross(np.eye(3)[:, None], positions)  # c, atom, b
    moments = np.einsum("iab,cib->ac", charges, turned)
    return float(np.sqrt(np.mean((moments + moments.T) ** 2)) / 2.0)
