"""Kernels of tensors of several orders, with sparse points that they share."""

from __future__ import annotations

from lodekit.physics.atomic_dipoles import AtomicDipoles
from lodekit.regression.environments import choose_environments
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.terms.tensors import (
    build_tensor_terms,
    choose_tensor_terms,
    dipole_terms,
)

from .progress import progress_bar


def select_kernels(
    model, frames, keys: list, random_state, *, orders=None, **choice
) -> dict:
    """Return the kernels of every order and sigma, with their sparse points.

    Points of a term are chosen once for all orders.

    Parameters
    ----------
    model : TensorModel
        Or another one with its settings; ``species_`` are known.
    frames : list of ase.Atoms
    keys : list of (order, sigma)
    random_state : numpy.random.RandomState
    orders : callable, optional
        Returns the keys of an atomic number; all of them where None.
    **choice
        See `choose_tensor_terms`.

    Returns
    -------
    kernels : dict of (order, sigma) to list of EquivariantKernel
        One for each term.
    """
    terms = choose_tensor_terms(model, frames, keys, random_state, **choice)
    kernels: dict = {key: [] for key in keys}
    for descriptor, invariants, covariance, n_sparse in terms:
        arguments = descriptor, invariants, covariance, model.species_
        made = {key: EquivariantKernel(*key, *arguments) for key in keys}
        chosen = choose_environments(
            frames,
            made[keys[0]],
            n_sparse,
            selection=model.selection,
            random_state=random_state,
            single=True,
        )
        for key in progress_bar(keys, "sparse points", model.progress):
            for z, (_, _, coefficients) in chosen.items():
                if orders is None or key in orders(z):
                    made[key].set_environments(z, coefficients)
            kernels[key].append(made[key])
    return kernels


def select_dipoles(model, frames, random_state) -> AtomicDipoles:
    """Choose channels and sparse points of the atomic dipoles of a model.

    Raises
    ------
    ValueError
        If no atom has a neighbour.
    """
    kernels = select_kernels(
        model,
        frames,
        [(1, 1)],
        random_state,
        default=lambda _: build_tensor_terms({"terms": dipole_terms()}),
    )[1, 1]
    if not sum(kernel.rank for kernel in kernels):
        raise ValueError(
            "no environment has an atomic dipole: no atom has a neighbour within the "
            "cutoff; raise the cutoff"
        )
    return AtomicDipoles(kernels)
