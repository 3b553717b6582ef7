"""`ChargeEquilibrationModel`: kernel charge equilibration (kQEq)."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lodekit.electrostatics import ChargeEquilibration
from lodekit.observables.charges import (
    AffineCharges,
    check_open,
    total_charge,
)
from lodekit.regression.environments import batches
from lodekit.structures import check_structures
from lodekit.structures.batch import as_frames

from .charge_equilibration_atoms import read_hardness, read_widths
from .charge_equilibration_batch import EquilibratedBatch
from .linear_charges import BATCH_ATOMS, LinearChargeModel
from .prediction import voigt

MOMENTS = {"charges", "dipole", "quadrupole"}
DEVIATIONS = {"charges_std", "dipole_std", "quadrupole_std"}
GRADIENTS = {"electrostatic_forces", "electrostatic_stress"}
OTHERS = {"electronegativities", "chemical_potential", "electrostatic_energy"}
PROPERTIES = sorted(MOMENTS | DEVIATIONS | GRADIENTS | OTHERS)


class ChargeEquilibrationModel(LinearChargeModel):
    """Charges that minimise an energy, with electronegativities of the environments.

    U(q) = sum_i chi_i q_i + sum_i J_i q_i^2 / 2 + the Coulomb energy of Gaussian
    charges, at the total charge Q of the structure; chi_i = chi_0(species of i) + Phi_i
    w. The charges that minimise it are affine in the weights, q = -Abar chi + b Q, so
    that charges, dipoles and quadrupoles are fitted by linear least squares. They sum
    to Q whatever the weights are.

    Parameters
    ----------
    descriptor, covariance, n_sparse, selection
        As in `SparsePotential`, of the electronegativities.
    hardness : float or dict
        J by element in V/e, or a factor of k_e / r with covalent radii r.
    widths : float or dict
        Standard deviations of Gaussian charges by element in Å, or a factor of the
        covalent radius.
    targets : list of {"charges", "dipole", "quadrupole"}, optional
        What is fitted; all that the frames have where None.
    noises : dict of str to float, optional
        Standard deviation of the noise by target, in e, e·Å and e·Å²; what predicts
        held-out frames best where it is missing.
    accuracy : float
        Of Coulomb sums, see `CoulombInteraction`.
    validation_fraction : float
        Share of the frames that chooses noises and calibrates standard deviations.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    hardness_, widths_ : ndarray of shape (n_species,)
        In V/e and Å.
    weights_ : ndarray of shape (rank,)
    std_scale_ : float
        Calibration factor of standard deviations.
    summary_ : dict

    References
    ----------
    C. G. Staacke et al., Mach. Learn.: Sci. Technol. 3, 015032 (2022).
    """

    conserves_charge = True

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        hardness=2.0,
        widths=0.7,
        selection=None,
        targets=None,
        noises=None,
        accuracy=1e-6,
        validation_fraction=0.1,
        random_state=0,
        progress=False,
    ):
        self.descriptor = descriptor
        self.covariance = covariance
        self.n_sparse = n_sparse
        self.hardness = hardness
        self.widths = widths
        self.selection = selection
        self.targets = targets
        self.noises = noises
        self.accuracy = accuracy
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def _select(self, frames, random_state) -> None:
        """Read hardness and widths, and choose sparse points."""
        self.hardness_ = read_hardness(self.hardness, self.species_)
        self.widths_ = read_widths(self.widths, self.species_)
        self.accuracy_ = self.accuracy
        super()._select(frames, random_state)

    def equilibration(self, atoms) -> ChargeEquilibration:
        """Return the charge equilibration of one structure."""
        kinds = np.searchsorted(self.species_, atoms.numbers)
        return ChargeEquilibration(
            atoms.positions,
            atoms.cell[:],
            atoms.pbc,
            self.hardness_[kinds],
            self.widths_[kinds],
            accuracy=self.accuracy_,
        )

    def _charges(self, atoms, features: np.ndarray) -> AffineCharges:
        """Return q = -Abar Phi w + b Q."""
        equilibration = self.equilibration(atoms)
        start = equilibration.start(total_charge(atoms))
        columns = np.column_stack([features, equilibration.product(start)])
        moved = equilibration.respond(columns)
        return AffineCharges(moved[:, :-1], start + moved[:, -1])

    def compute(self, frames, properties=None, field=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of charges (e), dipole (e·Å, from the origin), quadrupole (e·Å², (6,)),
            their standard deviations charges_std, dipole_std, quadrupole_std,
            electronegativities (V), chemical_potential (V), and the energy U at its
            minimum: electrostatic_energy (eV), electrostatic_forces (eV/Å),
            electrostatic_stress (eV/Å^3, Voigt, fully periodic frames only). Charges
            and, for open structures, the dipole if None.
        field : array_like of shape (3,), optional
            Uniform field in V/Å, along directions that are not periodic. The energy of
            a charged structure in it counts from the origin.

        Raises
        ------
        ValueError
            For unknown species and properties, missing total charges, a field along a
            periodic direction.
        """
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        check_structures(frames)
        self._check_frames(frames)
        wanted = self._check_properties(frames, properties)
        results = []
        for group in batches(frames, BATCH_ATOMS):
            results += self._compute_batch([frames[i] for i in group], wanted, field)
        return results

    def _check_properties(self, frames, properties) -> set[str] | None:
        """Return the properties to compute; None where the boundary decides."""
        if properties is None:
            return None
        for name in properties:
            if name not in PROPERTIES:
                raise ValueError(f"properties must be among {PROPERTIES}, got '{name}'")
        moments = {name.removesuffix("_std") for name in properties}
        if moments & {"dipole", "quadrupole"}:
            check_open(frames, sorted(moments & {"dipole", "quadrupole"}))
        periodic = [bool(atoms.pbc.all()) for atoms in frames]
        if "electrostatic_stress" in properties and not all(periodic):
            raise ValueError(
                "stress is defined for fully periodic frames only, "
                f"frame {periodic.index(False)} is not"
            )
        return set(properties)

    def _compute_batch(self, frames, wanted, field) -> list[dict]:
        """Predict frames that fit into memory together."""
        together = EquilibratedBatch(self, frames, field)
        results = []
        for index, (atoms, found) in enumerate(
            zip(frames, together.solutions, strict=True)
        ):
            default = {"charges"} if atoms.pbc.any() else {"charges", "dipole"}
            names = default if wanted is None else wanted
            result = {name: together.observed(index, name) for name in MOMENTS & names}
            result["electronegativities"] = together.chi[together.own(index)]
            result["chemical_potential"] = float(found.chemical_potentials.mean())
            result["electrostatic_energy"] = found.energy
            results.append(result)
        if wanted and GRADIENTS & wanted:
            positions, strain = together.gradients()
            for index, (atoms, result) in enumerate(zip(frames, results, strict=True)):
                result["electrostatic_forces"] = -positions[together.own(index)]
                if atoms.pbc.all():
                    stress = voigt(strain[index]) / atoms.get_volume()
                    result["electrostatic_stress"] = stress
        if wanted and DEVIATIONS & wanted:
            rows = self._affine(frames)
            for result, (atoms, affine) in zip(results, rows, strict=True):
                result.update(self._compute_one(atoms, affine, DEVIATIONS & wanted))
        kept = wanted or MOMENTS
        return [{name: r[name] for name in r if name in kept} for r in results]
