"""`WannierModel`: polarization from centroids of Wannier centres."""

from __future__ import annotations

import numpy as np
from ase.data import atomic_numbers
from ase.geometry import find_mic

from lodekit.errors import StructureError
from lodekit.physics.dipole_electrostatics import WannierCharges
from lodekit.quantities import family
from lodekit.structures import frame_name

from .charge_checks import is_number
from .polarization_model import PolarizationModel

#: Key of ``info`` under which a frame says how its centres were made.
PRESCRIPTION = "wannier_prescription"


class WannierModel(PolarizationModel):
    """Displacements of Wannier centroids from their atoms, and what follows from them.

    The centres of an element have one charge c, and their centroid is displaced from
    the atom by D_i, a vector of its surroundings. Ions with the rest of the whole
    charge q of the element make the polarization M = sum_i q_i R_i + c_i D_i, which is
    a `PolarizationModel` with dipoles d = c D: everything that it fits and computes can
    be fitted and computed here. With ``electrostatic_width`` Gaussian charges at nuclei
    and at centroids have an electrostatic energy, and the potential is fitted to the
    remainder.

    Parameters
    ----------
    descriptor, covariance, n_sparse, oxidation_states, quantum, n_channels, selection
        As in `PolarizationModel`.
    center_charges : dict of str to float
        c in e by symbol, such as {"O": -8} for the four pairs of electrons of water;
        elements that are not named have no centres.
    targets, noises, potential, polarizability, hyperpolarizability
        As in `PolarizationModel`; wannier_displacements (Å, of every atom, 0 for those
        without centres) are a target, too.
    electrostatic_width : float, optional
        Width in Å of the Gaussian charges; no electrostatic energy where None.
    screening, validation_fraction, random_state, progress
        As in `PolarizationModel`.

    References
    ----------
    L. Zhang et al., J. Chem. Phys. 156, 124107 (2022).
    """

    possible_targets = (*PolarizationModel.possible_targets, *family("wannier"))
    wannier_properties = family("wannier")
    #: A field displaces centroids, too, which their targets would have to be rid of.
    reads_fields = False

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        center_charges=None,
        oxidation_states=None,
        quantum=1.0,
        n_channels=400,
        selection=None,
        targets=None,
        noises=None,
        potential=None,
        polarizability=None,
        hyperpolarizability=None,
        electrostatic_width=None,
        screening=1.0,
        validation_fraction=1.0,
        random_state=0,
        progress=False,
    ):
        super().__init__(
            descriptor,
            covariance,
            n_sparse,
            oxidation_states=oxidation_states,
            quantum=quantum,
            n_channels=n_channels,
            selection=selection,
            targets=targets,
            noises=noises,
            potential=potential,
            polarizability=polarizability,
            hyperpolarizability=hyperpolarizability,
            electrostatic_width=electrostatic_width,
            screening=screening,
            validation_fraction=validation_fraction,
            random_state=random_state,
            progress=progress,
        )
        self.center_charges = center_charges

    def _check(self, frames) -> None:
        """Check arguments and frames, and that centres are of one prescription."""
        super()._check(frames)
        check_prescription(frames)

    def take_centers(self) -> None:
        """Read the charges of the centres of every element."""
        self.center_charges_ = read_center_charges(self.center_charges, self.species_)

    def _center_charges(self):
        self.take_centers()
        return self.center_charges_

    def _local_electrostatics(self, polarizabilities):
        """Raise ``ValueError``: centres have no surroundings of their own."""
        raise ValueError(
            "screening='local' is for charges and dipoles of a PolarizationModel; give "
            "a WannierModel a dielectric constant or 'learned'"
        )

    def _electrostatics(self, screening: float):
        width = float(self.electrostatic_width)
        return WannierCharges(width, screening, self.species_, self.center_charges_)

    def displacements(self, atoms, dipoles: np.ndarray) -> np.ndarray:
        """Return the displacements of centroids in Å for dipoles in e·Å."""
        charges = self.center_charges_[np.searchsorted(self.species_, atoms.numbers)]
        scale = np.where(
            charges == 0.0, 0.0, 1.0 / np.where(charges == 0.0, 1, charges)
        )
        return scale[:, None] * dipoles


def read_center_charges(given, species) -> np.ndarray:
    """Return the charges of centres in e by species.

    Raises
    ------
    ValueError
        If none are given, or for what is no element of the frames or no charge.
    """
    if not given:
        raise ValueError(
            "a WannierModel needs center_charges: the charge of the centres of every "
            "element that has some, such as {'O': -8} for water"
        )
    charges = np.zeros(len(species))
    for key, charge in dict(given).items():
        place = np.flatnonzero(species == atomic_numbers.get(key, key))
        if not place.size:
            raise ValueError(f"center_charges: no frame has {key!r}")
        if not is_number(charge) or not np.isfinite(charge) or charge == 0:
            raise ValueError(
                f"the charge of the centres of {key} must be a number and not 0, got "
                f"{charge!r}"
            )
        charges[place] = charge
    return charges


def check_prescription(frames) -> None:
    """Check that the Wannier centres of all frames were made in one way.

    Raises
    ------
    StructureError
        If ``wannier_prescription`` differs; centres of two prescriptions give the same
        polarization and different forces.
    """
    prescriptions = [atoms.info.get(PRESCRIPTION) for atoms in frames]
    for index, prescription in enumerate(prescriptions):
        if prescription != prescriptions[0]:
            raise StructureError(
                f"{frame_name(index)} has the {PRESCRIPTION} {prescription!r} and "
                f"{frame_name(0)} {prescriptions[0]!r}; fit one model to each"
            )


def centroid_displacements(atoms, centers, symbols) -> np.ndarray:
    """Return the displacements of centroids of Wannier centres from their atoms.

    Every centre belongs to the nearest atom of some elements.

    Parameters
    ----------
    atoms : ase.Atoms
    centers : array-like of shape (n_centers, 3)
        In Å, in any cell.
    symbols : list of str
        Elements that have centres.

    Returns
    -------
    displacements : ndarray of shape (n_atoms, 3)
        In Å; 0 for atoms without centres.

    Raises
    ------
    ValueError
        If atoms of one element have different numbers of centres.
    """
    chosen = np.flatnonzero(np.isin(atoms.symbols, list(symbols)))
    vectors = np.asarray(centers, float)[:, None] - atoms.positions[chosen]
    flat, lengths = find_mic(vectors.reshape(-1, 3), atoms.cell, atoms.pbc)
    nearest = lengths.reshape(len(vectors), -1).argmin(axis=1)
    vectors = flat.reshape(vectors.shape)[np.arange(len(vectors)), nearest]
    counts = np.bincount(nearest, minlength=chosen.size)
    for symbol in symbols:
        of_element = counts[np.array(atoms.symbols)[chosen] == symbol]
        if of_element.size and (of_element != of_element[0]).any():
            raise ValueError(
                f"atoms of {symbol} have {of_element.min()} to {of_element.max()} "
                "Wannier centres; all of an element must have as many"
            )
    displacements = np.zeros((len(atoms), 3))
    np.add.at(displacements, chosen[nearest], vectors)
    displacements[chosen] /= np.maximum(counts, 1)[:, None]
    return displacements
