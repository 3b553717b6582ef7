"""`BornChargeModel`: Born effective charges as tensors of atoms, one by one."""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import total_charge
from lodekit.observables.polarization import (
    BORN_CHARGES,
    born_charges_of,
    check_sum,
)
from lodekit.structures import frame_name
from lodekit.structures.batch import as_frames

from .charge_checks import check_weights
from .tensor_model import TensorModel
from .tensor_state import check_tensor


class BornChargeModel(TensorModel):
    """Born charges as tensors of orders 0, 1 and 2, without a polarization.

    The direct model of field responses, to compare with: nothing makes the charges
    derivatives of one polarization, so that a closed path does not bring it back
    (``lodekit audit --checks born-loop``) and no whole charge is carried. Sums are
    projected on the total charge, Z_i - (sum_j Z_j - Q) / n. `PolarizationModel` has
    both laws by construction, and is as accurate for fewer numbers.

    Parameters
    ----------
    descriptor, covariance, n_sparse, n_channels, selection, noises
        As in `TensorModel`.
    sum_rule : bool
        Whether sums are projected on the total charge.
    validation_fraction, random_state, progress
        As in `TensorModel`.

    References
    ----------
    L. Schienbein, Phys. Chem. Chem. Phys. 25, 15340 (2023).
    """

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        n_channels=500,
        selection=None,
        noises=None,
        sum_rule=True,
        validation_fraction=1.0,
        random_state=0,
        progress=False,
    ):
        super().__init__(
            descriptor,
            covariance,
            n_sparse,
            n_channels=n_channels,
            selection=selection,
            targets=[BORN_CHARGES],
            noises=noises,
            validation_fraction=validation_fraction,
            random_state=random_state,
            progress=progress,
        )
        self.sum_rule = sum_rule

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the Born charges of the frames that have some; see `TensorModel.fit`.

        Raises
        ------
        ValueError
            If no frame has Born charges, or they do not sum to the total charge.
        """
        frames = as_frames(frames)
        self.check_labelled(frames)
        weights = check_weights(sample_weight, len(frames))
        used = []
        for index, atoms in enumerate(frames):
            charges = born_charges_of(atoms)
            if charges is not None:
                check_sum(charges, total_charge(atoms), frame_name(index))
                used.append(index)
        if not used:
            raise ValueError(
                f"no frame has {BORN_CHARGES}: columns of nine numbers in e, (moment, "
                "displacement) = xx, xy, xz, yx, ..."
            )
        groups = None if groups is None else np.asarray(groups)[used]
        some = [frames[index] for index in used]
        return super().fit(some, None, weights[used], groups)

    def check_tensors(self) -> None:
        """Raise ``ValueError`` where stored tensors are no Born charges."""
        check_tensor(self.tensors_, BORN_CHARGES)

    def compute(self, frames, properties=None) -> list[dict]:
        """Predict Born charges of ``frames``; see `TensorModel.compute`."""
        frames = as_frames(frames)
        results = super().compute(frames, properties)
        for atoms, result in zip(frames, results, strict=True):
            if self.sum_rule and BORN_CHARGES in result:
                charges = result[BORN_CHARGES]
                excess = charges.sum(axis=0) - total_charge(atoms) * np.eye(3)
                result[BORN_CHARGES] = charges - excess / len(atoms)
        return results
