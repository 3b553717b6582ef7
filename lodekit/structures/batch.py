"""Many structures packed into arrays, so that one compiled call serves them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .targets import get_target


@dataclass(frozen=True)
class StructureBatch:
    """Positions, cells and species of several structures, one after the other.

    Attributes
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Positions of all atoms in Å.
    species : ndarray of shape (n_atoms,)
        Atomic numbers.
    cells : ndarray of shape (n_structures, 3, 3)
        Cell vectors in Å, one per row; zero where a structure has no cell.
    pbc : ndarray of shape (n_structures, 3)
        Periodic directions.
    first_atom : ndarray of shape (n_structures + 1,)
        Atoms of structure s are ``first_atom[s]:first_atom[s + 1]``.
    total_charges : ndarray of shape (n_structures,)
        In e; 0 where a structure has none.
    """

    positions: np.ndarray
    species: np.ndarray
    cells: np.ndarray
    pbc: np.ndarray
    first_atom: np.ndarray
    total_charges: np.ndarray | None = None

    def __post_init__(self):
        """Take structures for neutral where nothing is said."""
        if self.total_charges is None:
            object.__setattr__(self, "total_charges", np.zeros(self.n_structures))

    @classmethod
    def from_frames(cls, frames) -> StructureBatch:
        """Pack a list of ``ase.Atoms``.

        Raises
        ------
        TypeError
            If ``frames`` is not a list of ``ase.Atoms`` (or one of them).
        ValueError
            If a position is not finite, or a periodic structure has no volume.
        """
        frames = as_frames(frames)
        sizes = [len(atoms) for atoms in frames]
        positions = [atoms.positions for atoms in frames]
        species = [atoms.numbers for atoms in frames]
        batch = cls(
            positions=np.ascontiguousarray(
                np.concatenate(positions) if frames else np.zeros((0, 3)), dtype=float
            ),
            species=np.ascontiguousarray(
                np.concatenate(species) if frames else [], dtype=np.intp
            ),
            cells=np.array([atoms.cell.array for atoms in frames]).reshape(-1, 3, 3),
            pbc=np.array([atoms.pbc for atoms in frames], dtype=bool).reshape(-1, 3),
            first_atom=np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp),
            total_charges=np.array(
                [get_target(atoms, "total_charge") or 0.0 for atoms in frames], float
            ),
        )
        batch.check()
        return batch

    def check(self) -> None:
        """Raise ``ValueError`` for positions and cells that nothing can use."""
        finite = np.isfinite(self.positions).all(axis=1)
        if not finite.all():
            atom = int(np.flatnonzero(~finite)[0])
            structure = int(self.structure_of_atom[atom])
            place = atom - self.first_atom[structure]
            raise ValueError(
                f"positions must be finite numbers, atom {place + 1} of "
                f"{frame_name(structure)} has {self.positions[atom]}"
            )
        for structure in np.flatnonzero(self.pbc.any(axis=1)):
            vectors = self.cells[structure][self.pbc[structure]]
            lengths = np.linalg.norm(vectors, axis=1)
            gram = vectors @ vectors.T / np.outer(lengths, lengths).clip(1e-300)
            if not (lengths > 1e-6).all() or np.linalg.det(gram) < 1e-12:
                raise ValueError(
                    f"{frame_name(structure)} is periodic along {self.pbc[structure]} "
                    f"but its cell {self.cells[structure].tolist()} spans no volume "
                    "there; give the cell or set pbc to False"
                )

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures."""
        return self.positions.shape[0]

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return self.first_atom.size - 1

    @property
    def structure_of_atom(self) -> np.ndarray:
        """Index of the structure that each atom belongs to, shape (n_atoms,)."""
        return np.repeat(np.arange(self.n_structures), np.diff(self.first_atom))

    @property
    def index_in_structure(self) -> np.ndarray:
        """Index of each atom within its own structure, shape (n_atoms,)."""
        return np.arange(self.n_atoms) - np.repeat(
            self.first_atom[:-1], np.diff(self.first_atom)
        )

    def select(self, structures) -> StructureBatch:
        """Return some structures, in ascending order, as a batch of their own."""
        structures = np.asarray(structures, dtype=np.intp)
        if structures.size == self.n_structures:
            return self
        atoms = np.isin(self.structure_of_atom, structures)
        sizes = np.diff(self.first_atom)[structures]
        return StructureBatch(
            self.positions[atoms],
            self.species[atoms],
            self.cells[structures],
            self.pbc[structures],
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp),
            self.total_charges[structures],
        )

    def structure(self, index: int) -> StructureBatch:
        """Return one structure as a batch of its own."""
        atoms = slice(self.first_atom[index], self.first_atom[index + 1])
        return StructureBatch(
            self.positions[atoms],
            self.species[atoms],
            self.cells[index : index + 1],
            self.pbc[index : index + 1],
            np.array([0, atoms.stop - atoms.start], dtype=np.intp),
            self.total_charges[index : index + 1],
        )


def as_frames(frames) -> list:
    """Return ``frames`` as a list of ``ase.Atoms``, of one if it is one ``Atoms``.

    Raises
    ------
    TypeError
        If an element is something else.
    """
    from ase import Atoms

    if isinstance(frames, Atoms):
        return [frames]
    frames = list(frames)
    for index, atoms in enumerate(frames):
        if not isinstance(atoms, Atoms):
            raise TypeError(
                "frames must be a list of ase.Atoms, "
                f"{frame_name(index)} is a {type(atoms).__name__}"
            )
    return frames


def frame_name(index: int) -> str:
    """Return how messages call a structure of a list.

    >>> frame_name(2)
    'frame 3 (index 2)'
    """
    return f"frame {index + 1} (index {index})"
