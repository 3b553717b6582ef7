"""Wannier centroids of a crystal in closed form, and electrostatic energies."""

import numpy as np
import polar_crystals as crystals
import pytest
from ase import Atoms
from finite_differences import central_differences, displaced

from lodekit import load_model
from lodekit.analysis.audit import audit_model
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.errors import StructureError
from lodekit.models import (
    PolarizationModel,
    SparsePotential,
    TensorModel,
    WannierModel,
)
from lodekit.models.wannier_model import centroid_displacements

CHARGE = -8.0  # of the centres of fluorine


def arguments(**more):
    own = SphericalExpansion(
        cutoff={"radius": 3.6, "smoothing": {"type": "ShiftedCosine", "width": 0.8}},
        density={"type": "Gaussian", "width": 0.4},
        basis={
            "type": "TensorProduct",
            "max_angular": 3,
            "radial": {"type": "Gto", "max_radial": 3},
        },
    )
    vectors = EquivariantPowerSpectrum(own)
    return {
        "descriptor": vectors,
        "n_sparse": 20,
        "n_channels": 40,
        "potential": SparsePotential(PowerSpectrum(own), n_sparse=20),
        "polarizability": TensorModel(vectors, n_sparse=10, n_channels=30),
        **more,
    }


def label(atoms):
    """Ionic crystals whose fluorine atoms alone have a dipole."""
    labelled = crystals.label(atoms)
    del labelled.arrays["becs"], labelled.info["polarization"]
    displacements = crystals.atomic_dipoles(atoms) / CHARGE
    displacements[atoms.numbers == 3] = 0.0
    labelled.arrays["wannier_centroid"] = displacements
    return labelled


@pytest.fixture(scope="module")
def frames():
    generator = np.random.default_rng(1)
    return [label(crystals.draw(generator)) for _ in range(18)]


@pytest.fixture(scope="module")
def model(frames):
    own = arguments(center_charges={"F": CHARGE}, electrostatic_width=0.8)
    targets = ["energy", "forces", "wannier_displacements"]
    return WannierModel(**own, targets=targets).fit(frames[:15])


def test_centroids_and_their_polarization_are_learned(model, frames):
    names = ["wannier_displacements", "polarization"]
    results = model.compute(frames[15:], names)
    for atoms, result in zip(frames[15:], results, strict=True):
        expected = atoms.arrays["wannier_centroid"]
        rms = np.sqrt(np.mean((result[names[0]] - expected) ** 2))
        assert rms < 0.05 * np.std(expected)
        charges = np.where(atoms.numbers == 3, 1.0, -1.0)
        moment = charges @ atoms.positions + CHARGE * result[names[0]].sum(axis=0)
        np.testing.assert_allclose(result["polarization"], moment, atol=1e-10)
    assert model.summary_["oxidation_states"] == {"Li": 1, "F": -1}


def check_derivatives(model, atoms, **control):
    (result,) = model.compute(atoms, ["forces", "stress"], **control)

    def energy(moved):
        return model.compute(moved, ["energy"], **control)[0]["energy"]

    def energy_of_some(positions):
        moved = np.concatenate([positions, atoms.positions[2:]])
        return energy(displaced(atoms, moved))

    forces = -central_differences(energy_of_some, atoms.positions[:2], step=1e-3)
    np.testing.assert_allclose(result["forces"][:2], forces, rtol=1e-6, atol=1e-6)

    def strained_energy(voigt):
        xx, yy, zz, yz, xz, xy = voigt
        strain = [[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]]
        moved = atoms.copy()
        moved.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
        return energy(moved)

    stress = central_differences(strained_energy, np.zeros(6), step=3e-4)
    stress /= atoms.get_volume()
    np.testing.assert_allclose(result["stress"], stress, rtol=1e-6, atol=1e-7)


def test_forces_with_gaussians_at_centroids_are_derivatives(model, frames):
    assert abs(model.compute(frames[16], ["energy"])[0]["energy"]) > 0.0
    check_derivatives(model, frames[16])


def test_forces_with_charges_and_dipoles_in_a_medium_are_derivatives(frames):
    generator = np.random.default_rng(3)
    own = [crystals.label(crystals.draw(generator)) for _ in range(10)]
    settings = arguments(electrostatic_width=0.8, screening="learned")
    model = PolarizationModel(**settings).fit(own)
    epsilon = model.compute(own, ["dielectric_tensor"])
    mean = np.mean([np.trace(e["dielectric_tensor"]) / 3.0 for e in epsilon])
    assert model.summary_["screening"] == pytest.approx(mean)
    check_derivatives(model, own[4])
    rms = np.sqrt(
        np.mean(
            [
                (r["forces"] - a.get_forces()) ** 2
                for r, a in zip(model.compute(own, ["forces"]), own, strict=True)
            ]
        )
    )
    assert rms < 0.2 * np.std([a.get_forces() for a in own])


def test_an_audit_finds_all_laws(model, frames):
    checks = ["field", "field-forces", "hysteresis", "born-sum", "born-derivative"]
    checks += ["born-loop", "transported-charge"]
    results = audit_model(model, frames[15], checks)
    assert [result.name for result in results if result.status != "pass"] == []


def test_saved_models_are_the_same(model, frames, tmp_path):
    model.save(tmp_path / "model.lodekit")
    loaded = load_model(tmp_path / "model.lodekit")
    before, after = (one.compute(frames[15:]) for one in (model, loaded))
    for old, own in zip(before, after, strict=True):
        assert {*old} == {*own}
        for name, value in old.items():
            np.testing.assert_array_equal(own[name], value)


def test_centres_belong_to_the_nearest_atom_in_a_periodic_cell():
    atoms = Atoms("OH2", [[0.1, 0, 0], [0.8, 0.6, 0], [-0.7, 0.6, 0]], cell=[5, 5, 5])
    atoms.pbc = True
    around = np.array([[0.3, 0.2, 0.0], [-0.2, 0.2, 0.1], [0.0, -0.3, 0.2]])
    found = centroid_displacements(atoms, atoms.positions[0] + around + 5.0, ["O"])
    np.testing.assert_allclose(found[0], around.mean(axis=0), atol=1e-12)
    np.testing.assert_array_equal(found[1:], 0.0)
    pair = atoms + Atoms("O", [[2.5, 2.5, 2.5]])
    with pytest.raises(ValueError, match="atoms of O have 0 to 3 Wannier centres"):
        centroid_displacements(pair, atoms.positions[0] + around, ["O"])


def test_wrong_input_is_refused(frames):
    targets = ["wannier_displacements"]
    with pytest.raises(ValueError, match="a WannierModel needs center_charges"):
        WannierModel(**arguments(), targets=targets).fit(frames[:4])
    own = arguments(targets=targets, center_charges={"O": -8})
    with pytest.raises(ValueError, match="no frame has 'O'"):
        WannierModel(**own).fit(frames[:4])
    own = arguments(targets=targets, center_charges={"Li": -2})
    with pytest.raises(StructureError, match="Wannier centroid at F, which has no"):
        WannierModel(**own).fit(frames[:4])
    mixed = [atoms.copy() for atoms in frames[:4]]
    mixed[2].info["wannier_prescription"] = "projected"
    own = arguments(targets=targets, center_charges={"F": -8})
    with pytest.raises(StructureError, match="frame 3 .* 'projected' and frame 1"):
        WannierModel(**own).fit(mixed)
    own = arguments(electrostatic_width=-1.0)
    with pytest.raises(ValueError, match="electrostatic_width must be a positive"):
        PolarizationModel(**own).fit(frames[:4])
