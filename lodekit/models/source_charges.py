"""The small model of charges that predicts those of LODE's sources.

It is fitted where no constants of elements make the structures neutral, see
`lodekit.terms.sources`.
"""

from __future__ import annotations

import numpy as np

from lodekit.regression.charge_latent import ChargeLatent
from lodekit.structures import get_target
from lodekit.terms.tables import SMALL_CHARGES, SMALL_REMAINDER, build_terms

#: Atoms, about, that a model of charges is fitted to.
LEARNING_ATOMS = 2000


def fit_charge_latent(
    frames, names, y=None, random_state: int = 0, progress: bool = False
) -> ChargeLatent:
    """Fit a small model of charges to some of the frames.

    Parameters
    ----------
    frames : list of ase.Atoms
    names : list of str
        Targets of the potential, which charges are learned from where frames have none.
    y : array-like of shape (n_frames,), optional
        Energies in eV instead of those of the frames.
    random_state : int
    progress : bool
        Whether to show progress bars.
    """
    from . import ChargeModel, LatentChargeModel, SparsePotential

    (descriptor, covariance, n_sparse), *_ = build_terms(
        {"terms": {"soap": SMALL_CHARGES}}
    )
    arguments = (descriptor, covariance, n_sparse)
    common = {"random_state": random_state, "progress": progress}
    chosen = choose_frames(frames)
    some = [frames[i] for i in chosen]
    if all(get_target(atoms, "charges") is not None for atoms in some):
        model = ChargeModel(*arguments, targets=["charges"], **common)
        model.fit(some)
    else:
        columns = zip(*build_terms({"terms": SMALL_REMAINDER}), strict=True)
        model = LatentChargeModel(
            *arguments,
            targets=list(names),
            potential=SparsePotential(*columns),
            n_ensemble=1,
            **common,
        )
        model.fit(some, None if y is None else np.asarray(y)[chosen])
    n_species, rank = model.species_.size, model.latent_.rank
    elements = model.element_prior * model.weights_[:n_species]
    return ChargeLatent(
        model.latent_, elements, model.weights_[n_species : n_species + rank]
    )


def choose_frames(frames) -> list[int]:
    """Return indices of evenly spread frames, one at least with every species."""
    several = [i for i, atoms in enumerate(frames) if len(atoms) > 1]
    n_atoms = sum(len(frames[i]) for i in several)
    chosen = set(several[:: max(1, round(n_atoms / LEARNING_ATOMS))])
    known: set = set().union(*(frames[i].numbers.tolist() for i in chosen))
    for index, atoms in enumerate(frames):
        if not known.issuperset(atoms.numbers.tolist()):
            known.update(atoms.numbers.tolist())
            chosen.add(index)
    return sorted(chosen)
