"""Kernels of tensors of several orders, with sparse points that they share."""

from __future__ import annotations

from lodekit.regression.environments import choose_environments
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.terms.tensors import choose_tensor_terms

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
