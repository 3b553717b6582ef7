"""Expansions and features as metatensor ``TensorMap``s with featomic's names."""

from __future__ import annotations

import numpy as np

from lodekit.structures.batch import StructureBatch

from .expansion import CoefficientJacobian, Expansion
from .hyperparameters import as_dictionary

GRADIENTS = ("positions", "strain")


def check_gradients(gradients) -> list[str]:
    """Return the list of wanted gradients.

    Raises
    ------
    ValueError
        If one is not among ``"positions"`` and ``"strain"``.
    """
    gradients = list(gradients or [])
    for name in gradients:
        if name not in GRADIENTS:
            raise ValueError(f"gradients must be among {list(GRADIENTS)}, got '{name}'")
    return gradients


def featomic_tensor_map(name: str, descriptor, frames, gradients):
    """Run featomic's calculator ``name`` with the arguments of ``descriptor``."""
    import featomic

    arguments = {
        key: as_dictionary(getattr(descriptor, key))
        for key in ("cutoff", "density", "basis", "k_cutoff")
        if hasattr(descriptor, key)
    }
    calculator = getattr(featomic, name)(**arguments)
    return calculator.compute(frames, gradients=gradients)


def atom_samples(batch: StructureBatch, atoms: np.ndarray):
    """Return the labels (system, atom) of ``atoms``."""
    from metatensor import Labels

    values = np.stack(
        [batch.structure_of_atom[atoms], batch.index_in_structure[atoms]], axis=1
    )
    return Labels(["system", "atom"], values.astype(np.int32))


def spherical_tensor_map(
    expansion: Expansion, batch: StructureBatch, species: np.ndarray, gradients=None
):
    """Return spherical expansion coefficients in featomic's layout.

    A block of centre and neighbour species exists for all centres of the species if any
    of them has such a neighbour (itself included), as in featomic; absent neighbours
    are rows of zeros for LODE and missing rows for SOAP there, zeros in both cases
    here.
    """
    from metatensor import Labels, TensorBlock, TensorMap

    gradients = check_gradients(gradients)
    n_atoms, n_lm, n_q = expansion.coefficients.shape
    n_radial = n_q // species.size
    values = expansion.coefficients.reshape(n_atoms, n_lm, species.size, n_radial)
    jacobian = expansion.jacobian() if "positions" in gradients else None
    strain = expansion.strain_jacobian() if "strain" in gradients else None
    properties = Labels(["n"], np.arange(n_radial, dtype=np.int32)[:, None])
    keys, blocks = [], []
    for l in range(int(np.sqrt(n_lm) + 0.5)):
        lm = slice(l * l, (l + 1) * (l + 1))
        components = Labels(["o3_mu"], np.arange(-l, l + 1, dtype=np.int32)[:, None])
        for center in np.unique(batch.species):
            atoms = np.flatnonzero(batch.species == center)
            for channel, neighbor in enumerate(species):
                keys.append([l, 1, center, neighbor])
                block = TensorBlock(
                    np.ascontiguousarray(values[atoms, lm, channel]),
                    atom_samples(batch, atoms),
                    [components],
                    properties,
                )
                if jacobian is not None:
                    block.add_gradient(
                        "positions",
                        position_gradient(
                            jacobian, batch, atoms, channel, lm, components, properties
                        ),
                    )
                if strain is not None:
                    columns = slice(channel * n_radial, (channel + 1) * n_radial)
                    block.add_gradient(
                        "strain",
                        strain_gradient(
                            strain[atoms][..., lm, columns], components, properties
                        ),
                    )
                blocks.append(block)
    names = ["o3_lambda", "o3_sigma", "center_type", "neighbor_type"]
    return TensorMap(Labels(names, np.array(keys, dtype=np.int32)), blocks)


def position_gradient(
    jacobian: CoefficientJacobian, batch, atoms, channel, lm, components, properties
):
    """Return the gradient block: one row for each (sample, moving atom) pair."""
    from metatensor import Labels, TensorBlock

    sample_of_atom = np.full(batch.n_atoms, -1)
    sample_of_atom[atoms] = np.arange(atoms.size)
    chosen = (sample_of_atom[jacobian.centers] >= 0) & (jacobian.channels == channel)
    samples = sample_of_atom[jacobian.centers[chosen]]
    derivatives = jacobian.derivatives[chosen][:, :, lm]
    # the centre moves against its neighbours
    rows = np.concatenate(
        [
            np.stack([samples, jacobian.movers[chosen]], axis=1),
            np.stack([samples, jacobian.centers[chosen]], axis=1),
        ]
    )
    unique, place = np.unique(rows, axis=0, return_inverse=True)
    values = np.zeros((len(unique), *derivatives.shape[1:]))
    np.add.at(values, place.ravel(), np.concatenate([derivatives, -derivatives]))
    moving = unique[:, 1]
    labels = np.stack(
        [
            unique[:, 0],
            batch.structure_of_atom[moving],
            batch.index_in_structure[moving],
        ],
        axis=1,
    )
    return TensorBlock(
        values,
        Labels(["sample", "system", "atom"], labels.astype(np.int32)),
        [xyz_labels("xyz"), components],
        properties,
    )


def strain_gradient(values: np.ndarray, components, properties):
    """Return the strain gradient block, one row a sample."""
    from metatensor import Labels, TensorBlock

    samples = Labels(["sample"], np.arange(len(values), dtype=np.int32)[:, None])
    return TensorBlock(
        np.ascontiguousarray(values),
        samples,
        [xyz_labels("xyz_1"), xyz_labels("xyz_2"), components],
        properties,
    )


def xyz_labels(name: str):
    """Return the labels of a Cartesian axis."""
    from metatensor import Labels

    return Labels([name], np.arange(3, dtype=np.int32)[:, None])
