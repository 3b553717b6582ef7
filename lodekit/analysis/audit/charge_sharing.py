"""How charges depend on the total charge of their structure."""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import total_charge

from .structures import charged


def shares(subject, atoms) -> np.ndarray:
    """Return the changes of all charges by one electron charge more, (n_atoms,).

    They sum to 1; zeros say that the model does not know of total charges.
    """
    total = total_charge(atoms)
    frames = [charged(atoms, total + extra) for extra in (1.0, 0.0)]
    more, reference = subject.values(frames, "charges")
    return np.asarray(more) - np.asarray(reference)
