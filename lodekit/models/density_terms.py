"""Terms of densities: descriptors with selected channels, and sparse points."""

from __future__ import annotations

from lodekit.fitting.progress import progress_bar
from lodekit.regression.environments import choose_environments
from lodekit.regression.equivariant_kernel import EquivariantKernel

from .density_features import DensityFeatures
from .tensor_terms import build_tensor_terms, choose_tensor_terms
from .terms import SOAP

#: The surroundings in more detail than scalars need: shells of high l ask for it.
DENSITY_SOAP = {
    **SOAP,
    "cutoff": 4.0,
    "smoothing_width": 0.5,
    "scaling_exponent": 0,
    "max_radial": 7,
    "max_angular": 6,
    "n_sparse": 200,
}
#: Atoms of each species whose features tell channels apart: every one has as many
#: vectors as its order has components.
N_ENVIRONMENTS = 30


def density_terms() -> dict:
    """Return settings of the default terms of densities."""
    return {"soap": dict(DENSITY_SOAP)}


def select_kernels(model, frames, features: DensityFeatures, random_state) -> dict:
    """Return the kernels of every order and sigma, with their sparse points.

    Points are chosen once for all orders, and stored for the elements that have shells
    of an order.
    """
    terms = choose_tensor_terms(
        model,
        frames,
        features.keys,
        random_state,
        default=lambda _: build_tensor_terms({"terms": density_terms()}),
        n_environments=N_ENVIRONMENTS,
    )
    kernels: dict = {key: [] for key in features.keys}
    for descriptor, invariants, covariance, n_sparse in terms:
        made = {
            key: EquivariantKernel(
                *key, descriptor, invariants, covariance, features.species
            )
            for key in features.keys
        }
        chosen = choose_environments(
            frames,
            made[features.keys[0]],
            n_sparse,
            selection=model.selection,
            random_state=random_state,
            single=True,
        )
        for key in progress_bar(features.keys, "sparse points", model.progress):
            for z, (_, _, coefficients) in chosen.items():
                if key in features.orders(z):
                    made[key].set_environments(z, coefficients)
            kernels[key].append(made[key])
    return kernels
