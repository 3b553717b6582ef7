"""Terms of atomic dipoles: descriptors with selected channels, and their defaults."""

from __future__ import annotations

from lodekit.fitting.progress import progress_bar
from lodekit.regression.equivariant_kernel import EquivariantKernel

from .atomic_dipoles import AtomicDipoles
from .tensor_terms import (
    TENSOR_SOAP,
    build_tensor_terms,
    choose_tensor_terms,
    tensor_terms,
)

#: The surroundings that decide on the dipole of an atom.
DIPOLE_SOAP = {
    **TENSOR_SOAP,
    "cutoff": 6.0,
    "density_width": 0.35,
    "scaling_exponent": 4,
    "max_radial": 5,
    "n_sparse": 300,
}


def dipole_terms() -> dict:
    """Return settings of the default terms of atomic dipoles."""
    return {"soap": dict(DIPOLE_SOAP)}


def induced_terms() -> dict:
    """Return settings of the default terms of atoms that polarize each other.

    The far part is theirs: the surroundings are as wide as those of tensors.
    """
    return {"soap": {**TENSOR_SOAP, "n_sparse": 100}}


def polarizability_terms(frames) -> dict:
    """Return settings of the default terms of polarizabilities.

    Those of tensors for molecules; in crystals what is farther away counts as well.
    """
    if not all(atoms.pbc.all() for atoms in frames):
        return tensor_terms()
    wide = {**TENSOR_SOAP, "cutoff": 6.0, "density_width": 0.35}
    return {
        "soap": wide,
        "linear": {**wide, "scaling_exponent": 2, "zeta": 1},
    }


def select_dipoles(model, frames, random_state) -> AtomicDipoles:
    """Choose channels and sparse points of the atomic dipoles of a model.

    Raises
    ------
    ValueError
        If no atom has a neighbour.
    """
    terms = choose_tensor_terms(
        model,
        frames,
        [(1, 1)],
        random_state,
        default=lambda _: build_tensor_terms({"terms": dipole_terms()}),
    )
    kernels = []
    for descriptor, invariants, covariance, n_sparse in progress_bar(
        terms, "sparse points of dipoles", model.progress
    ):
        own = (1, 1, descriptor, invariants, covariance, model.species_)
        kernels.append(
            EquivariantKernel(*own).select(
                frames, n_sparse, selection=model.selection, random_state=random_state
            )
        )
    if not sum(kernel.rank for kernel in kernels):
        raise ValueError(
            "no environment has an atomic dipole: no atom has a neighbour within the "
            "cutoff; raise the cutoff"
        )
    return AtomicDipoles(kernels)
