"""Terms of tensors: descriptors with their selected channels, and their defaults."""

from __future__ import annotations

from lodekit.descriptors import EquivariantPowerSpectrum, PowerSpectrum
from lodekit.descriptors.channel_selection import ChannelSelection
from lodekit.regression import FarthestPointSelection
from lodekit.regression.equivariant_covariance import EquivariantCovariance

from .choice import check_whole, choose_terms
from .tables import SOAP, build_terms

#: The surroundings as far as molecules are rigid.
TENSOR_SOAP = {
    **SOAP,
    "cutoff": 4.0,
    "smoothing_width": 1.0,
    "scaling_exponent": 4,
    "scaling_radius": 2.0,
    "max_radial": 5,
    "n_sparse": 300,
}
#: The bonds of an atom, all with the same weight.
NEAR_TENSOR = {**TENSOR_SOAP, "cutoff": 3.0, "scaling_exponent": 0}
#: What is farther away, in less detail.
WIDE_TENSOR = {**TENSOR_SOAP, "cutoff": 5.0, "scaling_exponent": 3}

#: The surroundings that decide on the dipole of an atom.
DIPOLE_SOAP = {
    **TENSOR_SOAP,
    "cutoff": 6.0,
    "density_width": 0.35,
    "scaling_exponent": 4,
    "max_radial": 5,
    "n_sparse": 300,
}

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


def tensor_terms() -> dict:
    """Return settings of the default terms of tensors."""
    terms = {"soap": TENSOR_SOAP, "near": NEAR_TENSOR, "wide": WIDE_TENSOR}
    return {name: dict(term) for name, term in terms.items()}


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


def density_terms(is_by_charges: bool = False) -> dict:
    """Return settings of the default terms of densities, or their changes by charges.

    Those have weights for every order of the potential, and take few sparse points.
    """
    if is_by_charges:
        return {
            "soap": {**DENSITY_SOAP, "max_angular": 4, "max_radial": 5, "n_sparse": 6}
        }
    return {"soap": dict(DENSITY_SOAP)}


def build_tensor_terms(settings: dict) -> list[tuple]:
    """Return (descriptor, covariance, n_sparse) of every term of complete settings."""
    known: dict = {}
    terms = []
    for invariants, covariance, n_sparse in build_terms(settings):
        if id(invariants) not in known:
            known[id(invariants)] = (
                invariants,
                EquivariantPowerSpectrum(invariants.left, invariants.right),
            )
        equivariant = EquivariantCovariance(covariance.zeta, covariance.normalize)
        terms.append((known[id(invariants)][1], equivariant, n_sparse))
    return terms


def choose_tensor_terms(
    model, frames, keys: list, random_state, default=None, n_environments=100
) -> list[tuple]:
    """Return the terms of a `TensorModel`, with selected channels.

    Parameters
    ----------
    model : TensorModel
    frames : list of ase.Atoms
    keys : list of (order, sigma)
        Of the parts that are fitted.
    default : callable, optional
        Returns the terms of ``frames`` where the model has no descriptor; those of
        tensors where None.
    n_environments : int
        Atoms of each species whose features tell channels apart.

    Returns
    -------
    terms : list of (descriptor, invariants, covariance, n_sparse)
        With a `PowerSpectrum` of the same expansions as invariants.

    Raises
    ------
    ValueError
        If the expansions, or the channels selected, do not reach an order.
    """
    check_whole("n_channels", model.n_channels)
    covariance = model.covariance
    if model.descriptor is not None and covariance is None:
        covariance = EquivariantCovariance()
    terms = choose_terms(
        frames,
        model.descriptor,
        covariance,
        model.n_sparse,
        default=default or (lambda _: build_tensor_terms({"terms": tensor_terms()})),
    )
    invariants: dict = {}
    for descriptor, covariance_of_term, _ in terms:
        covariance_of_term.scalar.check()
        if id(descriptor) in invariants:
            continue
        invariants[id(descriptor)] = PowerSpectrum(descriptor.left, descriptor.right)
        check_keys(descriptor, keys)
        if descriptor.selection is None:
            descriptor.selection = ChannelSelection.select(
                frames,
                descriptor,
                model.n_channels,
                model.selection or FarthestPointSelection(),
                keys=keys,
                n_environments=n_environments,
                random_state=random_state,
            )
    return [
        (one, invariants[id(one)], covariance_of_term, size)
        for one, covariance_of_term, size in terms
    ]


def check_keys(descriptor: EquivariantPowerSpectrum, keys: list) -> None:
    """Raise ``ValueError`` if a descriptor lacks an order of the targets."""
    for order, sigma in keys:
        if (order, sigma) not in descriptor.keys:
            raise ValueError(
                f"the targets have parts of order {order} and sigma {sigma}, which the "
                "descriptor does not reach or has not selected; raise its max_angular"
            )
