"""Expansions and features as metatensor ``TensorMap``s with featomic's names."""

from __future__ import annotations

import numpy as np

from lodekit.errors import SettingsError
from lodekit.structures.batch import StructureBatch

from .expansion import Expansion
from .hyperparameters import as_dictionary
from .pair_expansion import sum_by_key

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
    """Run featomic's calculator ``name`` with the arguments of ``descriptor``.

    Raises
    ------
    SettingsError
        If ``exclude_within`` or ``charges`` are set, which featomic does not have.
    """
    import featomic

    for key in ("exclude_within", "charges"):
        if getattr(descriptor, key, None) is not None:
            raise SettingsError(f'`{key}` needs backend="lodekit"')
    arguments = {
        key: as_dictionary(getattr(descriptor, key))
        for key in ("cutoff", "density", "basis", "k_cutoff")
        if hasattr(descriptor, key)
    }
    calculator = getattr(featomic, name)(**arguments)
    return calculator.compute(frames, gradients=gradients)


class ExpansionArrays:
    """Coefficients and wanted derivatives of an expansion, channel by channel.

    Parameters
    ----------
    expansion : Expansion
    batch : StructureBatch
    species : ndarray of shape (n_species,)
        Species of the channels.
    gradients : list of {"positions", "strain"}

    Attributes
    ----------
    values : ndarray of shape (n_atoms, n_lm, n_species, n_radial)
    labels : ndarray of shape (n_channels,)
        Atomic numbers of the channels; -1, -2, ... where sources carry charges.
    present : ndarray of shape (n_atoms, n_species)
        Whether an atom has a neighbour of a species; it is one itself.
    jacobian : CoefficientJacobian or None
    strain : ndarray of shape (n_atoms, 3, 3, n_lm, n_species, n_radial) or None
    """

    def __init__(self, expansion: Expansion, batch: StructureBatch, species, gradients):
        n_atoms, n_lm, n_q = expansion.coefficients.shape
        n_channels = expansion.n_channels
        shape = (n_lm, n_channels, n_q // n_channels)
        self.batch = batch
        self.values = expansion.coefficients.reshape(n_atoms, *shape)
        self.labels = species
        self.present = expansion.has_neighbor
        if expansion.has_charges:
            self.labels = -1 - np.arange(n_channels)
        else:
            self.present = self.present | (batch.species[:, None] == species)
        self.jacobian = expansion.jacobian() if "positions" in gradients else None
        self.strain = None
        if "strain" in gradients:
            self.strain = expansion.strain_jacobian().reshape(n_atoms, 3, 3, *shape)

    @property
    def n_l(self) -> int:
        """Number of angular channels."""
        return int(np.sqrt(self.values.shape[1]) + 0.5)

    def moving(self, atoms: np.ndarray, channel: int):
        """Return derivatives with respect to all atoms that change a channel.

        Parameters
        ----------
        atoms : ndarray of shape (n_samples,)
            Centres.

        Returns
        -------
        rows : ndarray of shape (n_rows,)
            ``sample * n_atoms + moving atom``, ascending.
        derivatives : ndarray of shape (n_rows, 3, n_lm, n_radial)
        """
        jacobian, n_atoms = self.jacobian, self.batch.n_atoms
        sample_of_atom = np.full(n_atoms, -1)
        sample_of_atom[atoms] = np.arange(atoms.size)
        chosen = sample_of_atom[jacobian.centers] >= 0
        chosen &= jacobian.channels == channel
        centers, derivatives = jacobian.centers[chosen], jacobian.derivatives[chosen]
        first = sample_of_atom[centers] * n_atoms
        # the centre moves against its neighbours, and is listed even without any
        alone = np.arange(atoms.size) * n_atoms + atoms
        rows = [first + jacobian.movers[chosen], first + centers, alone]
        zeros = np.zeros((atoms.size, *derivatives.shape[1:]))
        return sum_by_key(
            np.concatenate(rows), np.concatenate([derivatives, -derivatives, zeros])
        )

    def moving_channels(self, atoms: np.ndarray, channels):
        """Return `moving` for several channels, (n_rows, 3, n_lm, n_channels * n)."""
        parts = [self.moving(atoms, channel) for channel in channels]
        rows = np.unique(np.concatenate([part[0] for part in parts]))
        n_lm, _, n_radial = self.values.shape[1:]
        derivatives = np.zeros((rows.size, 3, n_lm, len(parts), n_radial))
        for place, (places, values) in enumerate(parts):
            derivatives[np.searchsorted(rows, places), :, :, place] = values
        return rows, derivatives.reshape(rows.size, 3, n_lm, -1)


def spherical_tensor_map(
    expansion: Expansion, batch: StructureBatch, species: np.ndarray, gradients=None
):
    """Return spherical expansion coefficients in featomic's layout.

    A block holds the atoms of one species that have neighbours of the other species;
    every atom is a neighbour of itself.
    """
    from metatensor import TensorBlock, TensorMap

    gradients = check_gradients(gradients)
    arrays = ExpansionArrays(expansion, batch, species, gradients)
    properties = number_labels("n", np.arange(arrays.values.shape[3]))
    keys, blocks = [], []
    for center in np.unique(batch.species):
        for channel, neighbor in enumerate(arrays.labels):
            is_sample = (batch.species == center) & arrays.present[:, channel]
            atoms = np.flatnonzero(is_sample)
            if atoms.size == 0:
                continue
            samples = atom_samples(batch, atoms)
            if arrays.jacobian is not None:
                rows, derivatives = arrays.moving(atoms, channel)
            for l in range(arrays.n_l):
                lm = slice(l * l, (l + 1) * (l + 1))
                components = [number_labels("o3_mu", np.arange(-l, l + 1))]
                values = np.ascontiguousarray(arrays.values[atoms, lm, channel])
                block = TensorBlock(values, samples, components, properties)
                if arrays.jacobian is not None:
                    add_position_gradient(block, batch, rows, derivatives[:, :, lm])
                if arrays.strain is not None:
                    add_strain_gradient(block, arrays.strain[atoms, :, :, lm, channel])
                keys.append([l, 1, center, neighbor])
                blocks.append(block)
    names = ["o3_lambda", "o3_sigma", "center_type", "neighbor_type"]
    return TensorMap(integer_labels(names, keys), blocks)


def add_position_gradient(block, batch: StructureBatch, rows, values) -> None:
    """Add the gradient with respect to positions; ``rows`` as of `moving`."""
    from metatensor import TensorBlock

    samples, moving = np.divmod(rows, batch.n_atoms)
    columns = [samples, batch.structure_of_atom[moving]]
    columns.append(batch.index_in_structure[moving])
    gradient = TensorBlock(
        np.ascontiguousarray(values),
        integer_labels(["sample", "system", "atom"], np.stack(columns, axis=1)),
        [number_labels("xyz", np.arange(3)), *block.components],
        block.properties,
    )
    block.add_gradient("positions", gradient)


def add_strain_gradient(block, values: np.ndarray) -> None:
    """Add the gradient with respect to strain, one row a sample."""
    from metatensor import TensorBlock

    axes = [number_labels(name, np.arange(3)) for name in ("xyz_2", "xyz_1")]
    gradient = TensorBlock(
        np.ascontiguousarray(values),
        number_labels("sample", np.arange(len(values))),
        [*axes, *block.components],
        block.properties,
    )
    block.add_gradient("strain", gradient)


def atom_samples(batch: StructureBatch, atoms: np.ndarray):
    """Return the labels (system, atom) of ``atoms``."""
    columns = [batch.structure_of_atom[atoms], batch.index_in_structure[atoms]]
    return integer_labels(["system", "atom"], np.stack(columns, axis=1))


def number_labels(name: str, numbers: np.ndarray):
    """Return labels of one column."""
    return integer_labels([name], numbers[:, None])


def integer_labels(names: list, values):
    """Return labels with 32-bit integers."""
    from metatensor import Labels

    values = np.array(values, dtype=np.int32).reshape(-1, len(names))
    return Labels(names, values)
