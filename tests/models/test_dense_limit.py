"""With enough sparse points the model is the dense Gaussian process, written out here.

The covariance of two structures is the sum of k(p, q) over their atoms of one species;
derivatives of k are taken on paper, those of the features by finite differences.
"""

import numpy as np
import pytest
from crystals import cluster, triclinic
from labelled_structures import (
    ATOM_ENERGIES,
    differences,
    labelled,
    lode,
    moved_frames,
    open_frames,
    periodic_frames,
    soap,
    strained_frames,
)

from lodekit.models import SparsePotential
from lodekit.regression import PolynomialCovariance
from lodekit.structures.batch import StructureBatch

NOISES = {"energy_noise": 0.01, "force_noise": 0.05, "stress_noise": 0.01}
STEP = 5e-4  # Å, and as strain
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


class DenseProcess:
    """Gaussian process of energies, forces and stress; k = (p.q / |p||q|)^zeta."""

    def __init__(self, descriptor, species, zeta, targets):
        self.descriptor = descriptor
        self.species = np.array(species)
        self.zeta = zeta
        self.targets = targets

    def directions(self, frames):
        """Normalised features of structures of one size, (n_frames, n_atoms, ...)."""
        batch = StructureBatch.from_frames(frames)
        features = self.descriptor.evaluate(batch, self.species).features
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        return features.reshape(len(frames), -1, features.shape[1])

    def functionals(self, atoms, targets):
        """Normalised features u, weights of sum a(u), and derivatives of u."""
        units = self.directions([atoms])[0]
        n_atoms = len(atoms)
        values, derivatives = [], []
        if "energy" in targets:
            values.append(np.full(1, 1.0 / n_atoms))
            derivatives.append(np.zeros((1, *units.shape)))
        if "forces" in targets:
            moved = self.directions(moved_frames(atoms, STEP))
            values.append(np.zeros(3 * n_atoms))
            derivatives.append(-differences(moved, STEP))
        if "stress" in targets:
            moved = self.directions(strained_frames(atoms, STEP))
            gradient = differences(moved, STEP).reshape(3, 3, *units.shape)
            voigt = [0.5 * (gradient[a, b] + gradient[b, a]) for a, b in VOIGT]
            values.append(np.zeros(6))
            derivatives.append(np.array(voigt) / atoms.get_volume())
        return (
            atoms.numbers,
            units,
            np.concatenate(values),
            np.concatenate(derivatives),
        )

    def covariance(self, first, second):
        """Covariances of all functionals of two structures."""
        numbers, u, a, du = first
        other_numbers, v, b, dv = second
        zeta = self.zeta
        cosines = u @ v.T
        same = numbers[:, None] == other_numbers
        value = same * cosines**zeta
        slope = same * zeta * cosines ** (zeta - 1)
        curvature = same * zeta * (zeta - 1) * cosines ** max(zeta - 2, 0)
        du_v = np.einsum("xif,jf->xij", du, v)
        u_dv = np.einsum("if,yjf->yij", u, dv)
        total = np.outer(a, b) * value.sum()
        total += np.outer((du_v * slope).sum(axis=(1, 2)), b)
        total += np.outer(a, (u_dv * slope).sum(axis=(1, 2)))
        total += np.tensordot(du_v * curvature, u_dv, axes=([1, 2], [1, 2]))
        total += np.tensordot(slope.T @ du, dv, axes=([1, 2], [1, 2]))
        return total

    def matrix(self, rows, columns):
        return np.block([[self.covariance(r, c) for c in columns] for r in rows])

    def fit(self, frames):
        targets, noise = [], []
        for atoms in frames:
            energy = atoms.get_potential_energy()
            energy -= sum(ATOM_ENERGIES[z] for z in atoms.numbers)
            values = {
                "energy": [energy / len(atoms)],
                "forces": atoms.get_forces().ravel(),
                "stress": atoms.get_stress() if "stress" in self.targets else [],
            }
            for name in self.targets:
                targets.append(values[name])
                key = {"energy": "energy", "forces": "force", "stress": "stress"}[name]
                noise.append(np.full(len(values[name]), NOISES[f"{key}_noise"]))
        self.frames = [self.functionals(atoms, self.targets) for atoms in frames]
        noise = np.diag(np.concatenate(noise) ** 2)
        self.inverse = np.linalg.inv(self.matrix(self.frames, self.frames) + noise)
        self.alpha = self.inverse @ np.concatenate(targets)
        return self

    def predict(self, atoms, targets):
        """Posterior means and standard deviations of the targets of one structure."""
        own = self.functionals(atoms, targets)
        cross = self.matrix([own], self.frames)
        variance = self.covariance(own, own) - cross @ self.inverse @ cross.T
        return cross @ self.alpha, np.sqrt(np.diag(variance).clip(0))


def fit_both(descriptor, frames, zeta, targets, n_ensemble=1):
    species = sorted({int(z) for atoms in frames for z in atoms.numbers})
    model = SparsePotential(
        descriptor,
        PolynomialCovariance(zeta),
        n_sparse=1000,
        targets=targets,
        baseline=ATOM_ENERGIES,
        validation_fraction=0.0,
        n_ensemble=n_ensemble,
        **NOISES,
    )
    dense = DenseProcess(descriptor, species, zeta, targets)
    return model.fit(frames), dense.fit(frames)


def assert_equal(model, dense, atoms, tolerance):
    targets = ["energy", "forces"] + (["stress"] if atoms.pbc.all() else [])
    means, _ = dense.predict(atoms, targets)
    result = model.compute(atoms, targets)[0]
    energy = means[0] * len(atoms) + sum(ATOM_ENERGIES[z] for z in atoms.numbers)
    assert result["energy"] == pytest.approx(energy, abs=tolerance)  # eV
    forces = means[1 : 1 + 3 * len(atoms)].reshape(-1, 3)
    np.testing.assert_allclose(result["forces"], forces, rtol=0, atol=tolerance)
    if atoms.pbc.all():
        stress = means[1 + 3 * len(atoms) :]
        np.testing.assert_allclose(result["stress"], stress, rtol=0, atol=tolerance)


@pytest.mark.parametrize("make", [soap, lode])
@pytest.mark.parametrize("zeta", [1, 2])
def test_energies_alone_give_the_dense_process_for_open_structures(make, zeta):
    # All environments as sparse points span what energies can tell.
    frames = open_frames(8)
    model, dense = fit_both(make(), frames, zeta, ["energy"])
    assert sum(model.summary_["n_sparse"][0].values()) == 32
    for atoms in (frames[0], cluster(5, seed=77)):
        assert_equal(model, dense, atoms, 1e-8)


@pytest.mark.parametrize("make", [soap, lode])
def test_energies_alone_give_the_dense_process_for_crystals(make):
    frames = periodic_frames(6, 3)
    model, dense = fit_both(make(), frames, 2, ["energy"])
    assert_equal(model, dense, triclinic(3, (1, 8), 8.0, seed=77), 1e-8)


@pytest.mark.parametrize("zeta", [1, 2])
def test_energies_forces_and_stress_give_the_dense_process(zeta):
    # Derivatives of k lie in the span of the sparse points where these span all
    # polynomials of the features: 4 features (l = 0 to 3) have 10 products of two.
    descriptor = soap(max_radial=0, max_angular=3, width=0.3, center_weight=0.0)
    frames = periodic_frames(6, 4, (1,))
    model, dense = fit_both(descriptor, frames, zeta, ["energy", "forces", "stress"])
    assert model.summary_["rank"] == {1: 4, 2: 10}[zeta]
    for atoms in (frames[3], triclinic(3, (1,), 8.0, seed=77)):
        assert_equal(model, dense, atoms, 1e-8)


def test_two_species_and_open_structures_give_the_dense_process():
    # 6 features have 21 products, of which one (l = 0) is a square of another.
    descriptor = soap(max_radial=0, max_angular=1, width=0.3, center_weight=0.0)
    frames = open_frames(10, 6)
    model, dense = fit_both(descriptor, frames, 2, ["energy", "forces"])
    assert model.summary_["rank"] == 40
    assert_equal(model, dense, cluster(5, seed=77), 1e-8)


def test_ensembles_spread_like_the_dense_posterior():
    descriptor = soap(max_radial=0, max_angular=3, width=0.3, center_weight=0.0)
    frames = open_frames(6, 4, (1,))
    targets = ["energy", "forces"]
    model, dense = fit_both(descriptor, frames, 2, targets, n_ensemble=20_000)
    frame = labelled([cluster(4, (1,), seed=77)])[0]
    _, deviations = dense.predict(frame, targets)
    result = model.compute(frame, ["energy_std", "forces_std"])[0]
    # Relative sampling error 1 / sqrt(2 * 20000) = 0.5 %; five of these.
    assert result["energy_std"] == pytest.approx(deviations[0] * 4, rel=0.025)
    np.testing.assert_allclose(
        result["forces_std"].ravel(), deviations[1:], rtol=0.025, atol=1e-6
    )
