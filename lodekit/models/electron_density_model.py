"""`ElectronDensityModel`: coefficients of electron densities and of their responses."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.density import DensitySet, ElectronDensity
from lodekit.density.features import DensityFeatures
from lodekit.density.perturbations import PointCharges
from lodekit.fitting.clock import Clock
from lodekit.fitting.density_fit import (
    BATCH_ATOMS,
    draw_left_out,
    fit_densities,
)
from lodekit.fitting.groups import find_groups
from lodekit.fitting.tensor_kernels import select_kernels
from lodekit.observables.moments import check_points
from lodekit.regression.environments import batches
from lodekit.structures import check_structures
from lodekit.structures.batch import as_frames
from lodekit.terms.tensors import build_tensor_terms, density_terms

from .charge_checks import check_fraction, check_weights
from .density_prediction import (
    POLARIZABILITY,
    DensityPrediction,
    predict_properties,
)
from .density_state import DensityState
from .density_targets import (
    DensityTarget,
    check_positive,
    collect_densities,
    density_data,
)
from .extrapolating import with_extrapolation
from .model import Model
from .prediction import check_species

#: Atoms of each species whose features tell channels apart: every one has as many
#: vectors as its order has components.
N_ENVIRONMENTS = 30


class ElectronDensityModel(DensityTarget, DensityState, Model):
    """Coefficients of electron densities, learned with symmetry-adapted kernels.

    The coefficients of the shells of atom i with angular momentum l are c[n, m] =
    mean[n] + Phi_i[m] . w[n], with features Phi of order l that turn like spherical
    harmonics, shared by all shells n. Weights minimise the metric norm of the error of
    the whole density, see `lodekit.fitting.density_fit`. The number of electrons is
    exact.

    Parameters
    ----------
    descriptor : EquivariantPowerSpectrum or list of these, optional
        One for each term; one SOAP term where None.
    covariance : EquivariantCovariance or list of these, optional
        Of every term; with zeta = 2 where None.
    n_sparse : int or list of int, optional
        Sparse points of each species, at the most.
    basis : DensityBasis, optional
        Of the coefficients; that of the `DensitySet` where one is fitted.
    metric : DensityMetric, optional
        In which errors are measured; the overlap where None.
    target : {"density", "response", "charge_response"}
        The density, its change in a uniform field, or its change by the
        ``point_charges`` beside a structure.
    n_channels : int
        Channels of every order and species, at the most, where the descriptor has no
        selection.
    selection : object with ``select(points, n_select)``, optional
        Chooses sparse points and channels; `FarthestPointSelection` where None.
    strength : float, optional
        Of the prior, relative to the mean squared deviation of a coefficient; found
        with frames that are left out where None.
    validation_fraction : float
        Share of the frames that are left out for it.
    max_memory : float
        Memory for equations in GB. Beyond it, weights are found by conjugate gradients.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    basis_ : DensityBasis
    nuclear_charges_ : dict
        By atomic number, of elements with a pseudopotential.
    features_ : DensityFeatures
        With the kernels of every order.
    means_ : dict of int to ndarray
        Mean coefficients of shells of l = 0, by element.
    weights_ : dict of (z, l) to ndarray of shape (n_shells, rank)
    covariance_ : DensityCovariance or None
        For standard deviations; None where no frames were left out, or dipoles are not
        defined.
    summary_ : dict

    References
    ----------
    A. Grisafi et al., ACS Cent. Sci. 5, 57 (2019); A. Grisafi, A. M. Lewis, M. Rossi,
    M. Ceriotti, J. Chem. Theory Comput. 19, 4451 (2023).
    """

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        basis=None,
        metric=None,
        target="density",
        n_channels=250,
        selection=None,
        strength=None,
        validation_fraction=0.2,
        max_memory=4.0,
        random_state=0,
        progress=False,
    ):
        self.descriptor = descriptor
        self.covariance = covariance
        self.n_sparse = n_sparse
        self.basis = basis
        self.metric = metric
        self.target = target
        self.n_channels = n_channels
        self.selection = selection
        self.strength = strength
        self.validation_fraction = validation_fraction
        self.max_memory = max_memory
        self.random_state = random_state
        self.progress = progress

    def fit(self, frames, y=None, sample_weight=None, groups=None, metrics=None):
        """Fit to the densities of structures.

        Parameters
        ----------
        frames : DensitySet, or list of ase.Atoms
        y : list of ndarray, optional
            Coefficients of every frame, (n_functions,), or changes, (n_functions, 3)
            in a field and (n_functions, 1) by point charges, where ``frames`` is a
            list; in the order and the unit of `DensityBasis`. An axis of NaN is not
            fitted.
        sample_weight : array-like of shape (n_frames,), optional
            Weight of each frame: its squared error counts so many times.
        groups : array-like of shape (n_frames,), optional
            Names of groups of like frames, see `SparsePotential.fit`.
        metrics : list of ndarray of shape (n_functions, n_functions), optional
            Matrices of every frame instead of those of ``metric``, such as overlaps of
            functions that are not Gaussians.

        Raises
        ------
        ValueError
            For targets that are missing, and arguments out of range.
        BasisError
            If coefficients do not fit the basis.
        """
        clock = Clock()
        densities = collect_densities(self, frames, y)
        frames = densities.frames
        self.check_labelled(frames)
        check_fraction(self.validation_fraction)
        check_positive("max_memory", self.max_memory)
        if self.strength is not None:
            check_positive("strength", self.strength)
        random_state = check_random_state(self.random_state)
        data = density_data(self, densities, metrics)
        self.check_charges(frames)
        if sample_weight is not None:
            data = data.weighted(check_weights(sample_weight, len(frames)))
        self.basis_, self.nuclear_charges_ = densities.basis, densities.nuclear_charges
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self.features_ = DensityFeatures(self.basis_, self.species_, self.perturbation)
        groups = find_groups(frames, groups)
        left_out = draw_left_out(frames, groups, self.validation_fraction, random_state)
        clock.lap("groups")
        terms = density_terms(isinstance(self.perturbation, PointCharges))
        self.features_.kernels = select_kernels(
            self,
            frames,
            self.features_.keys,
            random_state,
            orders=self.features_.orders,
            default=lambda _: build_tensor_terms({"terms": terms}),
            n_environments=N_ENVIRONMENTS,
        )
        clock.lap("sparse points")
        self.means_ = data.mean_shells(self.is_response)
        data.subtract(self.means_)
        result = fit_densities(
            data,
            self.features_,
            left_out,
            strength=self.strength,
            max_bytes=1e9 * self.max_memory,
            progress=self.progress,
            lap=clock.lap,
        )
        self.weights_, self.covariance_ = result.weights, result.covariance
        self.learn_range(frames, groups)
        clock.lap("training range")
        self.summary_ = {
            "n_structures": len(frames),
            "species": self.species_.tolist(),
            "target": self.target,
            "noises": {},
            "strength": result.strength,
            "n_held_out": result.n_left_out,
            "held_out_percent": result.error,
            **result.summary,
            "seconds": clock.seconds,
        }
        return self

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter to an atom's coefficients."""
        kernels = self.features_.kernels.values()
        return max(kernel.reach for of_species in kernels for kernel in of_species)

    @with_extrapolation
    def compute(self, frames, properties=None) -> list[dict]:
        """Predict densities of ``frames`` and what follows from them.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Of a density: "density_coefficients" (n_functions,) in Å^(-3/2),
            "n_electrons", "dipole" (e·Å), "quadrupole" (6,) in e·Å², "mep" (V, at the
            ``mep_points`` of the frames), "hartree_energy" and "electrostatic_energy"
            (eV). Of a response: "density_response", of shape
            (n_functions, 3), in Å^(-3/2) for a field of 1 V/Å, and "polarizability"
            (3, 3) in Å³. Of a response to the ``point_charges`` of the frames:
            "density_charge_response" (n_functions,) in Å^(-3/2), "induced_dipole"
            (e·Å), "induction_energy" (eV, of the charges with what they induce), and
            "polarizability". The first of each where None. "dipole_std",
            "polarizability_std" and "induced_dipole_std" are standard deviations.

        Returns
        -------
        results : list of dict

        Raises
        ------
        ValueError
            For species the model has not seen, unknown properties, moments of periodic
            structures.
        """
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        check_structures(frames)
        check_species(frames, self.species_)
        if isinstance(properties, str):
            properties = [properties]
        wanted = [self.main_property] if properties is None else list(properties)
        for name in wanted:
            if name not in self.properties:
                raise ValueError(
                    f"properties must be among {self.properties}, got '{name}'"
                )
        if any(name != POLARIZABILITY for name in wanted):
            self.check_charges(frames)
        if "mep" in wanted:
            check_points(frames)
        results = []
        for group in batches(frames, BATCH_ATOMS):
            results += predict_properties(self, [frames[i] for i in group], wanted)
        return results

    def predict(self, frames) -> list[np.ndarray]:
        """Return `main_property` of every frame, (n_functions,) or (n_functions, 3)."""
        name = self.main_property
        return [result[name] for result in self.compute(frames, [name])]

    def densities(self, frames) -> DensitySet:
        """Return predicted densities, which give potentials, cubes and energies.

        Those of a response have its changes, and coefficients of zero.
        """
        frames = as_frames(frames)
        values = self.predict(frames)
        responses = values if self.is_response else None
        if self.is_response:
            values = [np.zeros(len(array)) for array in values]
        return DensitySet(frames, self.basis_, values, responses, self.nuclear_charges_)

    def density(self, atoms) -> ElectronDensity:
        """Return the predicted density of one structure, or its change by charges."""
        densities = self.densities([atoms])
        is_change = isinstance(self.perturbation, PointCharges)
        return densities.change(0) if is_change else densities.density(0)

    def integral_std(self, atoms, integrals) -> np.ndarray:
        """Return standard deviations of integrals of the predicted density.

        Such as numbers of electrons in a region, or potentials at points: whatever is
        linear in the coefficients.

        Parameters
        ----------
        atoms : ase.Atoms
        integrals : ndarray of shape (n_functions, n)
            q of the integrals q . c.

        Returns
        -------
        deviations : ndarray of shape (n,), or (n, 3) of a response along x, y, z

        Raises
        ------
        ValueError
            If the model has none: it was fitted without leaving structures out, or to
            periodic ones.
        """
        check_is_fitted(self, "weights_")
        if self.covariance_ is None:
            raise ValueError(
                "the model has no standard deviations; fit it to open structures, with "
                "a validation_fraction that leaves some of them out"
            )
        return DensityPrediction(self, [atoms]).integral_std(integrals)

    def squared_errors(self, frames, y=None, metrics=None) -> dict[str, np.ndarray]:
        """Return squared metric norms of errors, deviations and densities.

        Parameters
        ----------
        frames, y, metrics
            As in `fit`.

        Returns
        -------
        squares : dict of str to ndarray of shape (n_frames,)
            "errors", "deviations" from atoms with the mean coefficients of the
            training structures, and "norms".
        """
        densities = collect_densities(self, frames, y)
        data = density_data(self, densities, metrics)
        predicted = self.predict(densities.frames)
        expected = data.targets
        data.subtract(self.means_)
        squares = {"errors": [], "deviations": [], "norms": []}
        for index, array in enumerate(predicted):
            matrix = data.metric(index)
            error = array.reshape(len(array), -1)[:, data.cases] - expected[index]
            vectors = error, data.targets[index], expected[index]
            for name, vector in zip(squares, vectors, strict=True):
                squares[name].append(np.sum(vector * (matrix @ vector)))
        return {name: np.array(numbers) for name, numbers in squares.items()}

    def density_error(self, frames, y=None, metrics=None) -> float:
        """Return the error in % of the deviation from mean atoms, as SALTED prints it.

        The norm of errors of all structures over that of the differences between their
        densities and atoms with the mean coefficients of the training structures.
        """
        squares = self.squared_errors(frames, y, metrics)
        return 100.0 * float(
            np.sqrt(squares["errors"].sum() / squares["deviations"].sum())
        )

    def score(self, frames, y=None) -> float:
        """Return 1 minus the squared error over the squared deviation from the mean."""
        return 1.0 - (self.density_error(frames, y) / 100.0) ** 2
