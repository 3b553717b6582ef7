import functools

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, rock_salt, triclinic
from finite_differences import central_differences, displaced, strained
from lode_cases import invariants, relative_error
from reference import (
    orthonormal_orbitals,
    periodic_potential,
    project_on_basis,
    real_harmonics,
    smeared_potential,
)
from scipy.integrate import trapezoid

from lodekit.descriptors import LodeSphericalExpansion
from lodekit.structures.batch import StructureBatch

SMEARING = 0.9
MAX_ANGULAR, MAX_RADIAL, RADIUS = 3, 2, 2.5
STRUCTURES = {
    "triclinic": triclinic(5),
    "open": cluster(4, (1, 8, 11)),
    "tiny cell": triclinic(1),
}


def make(accuracy=1e-6, weight=1.0, **changes):
    density = {"type": "SmearedPowerLaw", "smearing": SMEARING, "exponent": 1}
    radial = {"type": "Gto", "max_radial": MAX_RADIAL, "radius": RADIUS}
    basis = {"type": "TensorProduct", "max_angular": MAX_ANGULAR, "radial": radial}
    arguments = {
        "density": {**density, "center_atom_weight": weight},
        "basis": basis,
        "accuracy": accuracy,
    }
    return LodeSphericalExpansion(**{**arguments, **changes})


@functools.cache
def kept(accuracy=1e-6, weight=1.0, pair_cutoff=None):
    """A descriptor whose tables are made once; optionally with one near range."""
    descriptor = make(accuracy, weight)
    if pair_cutoff is not None:
        descriptor.splits.choose = lambda *_: pair_cutoff
    return descriptor


def expand(atoms, descriptor=None, species=(1, 8, 11)):
    batch = StructureBatch.from_frames(atoms)
    return (descriptor or kept()).expand(batch, np.array(species))


def coefficients(atoms, descriptor=None, species=(1, 8, 11)):
    """Coefficients of shape (n_atoms, n_lm, n_species, n_radial)."""
    values = expand(atoms, descriptor, species).coefficients
    return values.reshape(*values.shape[:2], len(species), -1)


@pytest.mark.parametrize("accuracy", [1e-4, 1e-6, 1e-9])
def test_periodic_coefficients_equal_the_plain_sum_over_k_vectors(accuracy):
    atoms = triclinic(6, (1, 8))
    descriptor = kept(accuracy)
    values = coefficients(atoms, descriptor, (1, 8))
    for channel, number in enumerate((1, 8)):
        expected = periodic_potential(
            atoms.positions[atoms.numbers == number],
            atoms.cell.array,
            atoms.positions,
            SMEARING,
            MAX_ANGULAR,
            MAX_RADIAL,
            RADIUS,
            k_cutoff=10.0,
        )
        assert relative_error(values[:, :, channel], expected, descriptor) < accuracy


@pytest.mark.parametrize("accuracy", [1e-4, 1e-9])
def test_open_coefficients_equal_a_quadrature_of_the_potential(accuracy):
    atoms = cluster(3, (1, 8))
    descriptor = kept(accuracy)
    values = coefficients(atoms, descriptor, (1, 8))
    for channel, number in enumerate((1, 8)):
        sources = atoms.positions[atoms.numbers == number]
        for center, position in enumerate(atoms.positions):
            expected = project_on_basis(
                lambda points, s=sources, p=position: smeared_potential(
                    points + p, s, SMEARING
                ),
                MAX_ANGULAR,
                MAX_RADIAL,
                RADIUS,
                extent=15.0,
            )
            error = relative_error(
                values[center : center + 1, :, channel], expected, descriptor
            )
            assert error < max(accuracy, 1e-8)


@pytest.mark.parametrize("name", ["triclinic", "tiny cell"])
def test_every_range_of_the_near_part_gives_the_same_coefficients(name):
    atoms = STRUCTURES[name]
    accuracy = 1e-7
    exact = coefficients(atoms, kept(1e-10, pair_cutoff=0.0))
    for pair_cutoff in (0.0, 4.0, 7.0, 11.0):
        descriptor = kept(accuracy, pair_cutoff=pair_cutoff)
        values = coefficients(atoms, descriptor)
        assert relative_error(values, exact, descriptor) < accuracy


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("pair_cutoff", [0.0, 5.0])
def test_jacobian_equals_finite_differences(name, pair_cutoff):
    atoms = STRUCTURES[name]
    descriptor = kept(pair_cutoff=pair_cutoff)
    numerical = central_differences(
        lambda r: coefficients(displaced(atoms, r), descriptor), atoms.positions, 1e-3
    )
    jacobian = expand(atoms, descriptor).jacobian()
    analytic = np.zeros_like(numerical)
    for i, j, channel, values in zip(
        jacobian.centers,
        jacobian.movers,
        jacobian.channels,
        jacobian.derivatives,
        strict=True,
    ):
        analytic[j, :, i, :, channel] += values
        analytic[i, :, i, :, channel] -= values
    np.testing.assert_allclose(analytic, numerical, atol=1e-7)
    assert jacobian.centers.size == len(atoms) * (len(atoms) - 1)
    assert (np.diff(jacobian.centers) >= 0).all()
    species = np.array([1, 8, 11])
    np.testing.assert_array_equal(
        species[jacobian.channels], atoms.numbers[jacobian.movers]
    )


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("pair_cutoff", [0.0, 5.0])
def test_strain_jacobian_equals_finite_differences(name, pair_cutoff):
    atoms = STRUCTURES[name]
    descriptor = kept(pair_cutoff=pair_cutoff)
    numerical = central_differences(
        lambda e: expand(strained(atoms, e), descriptor).coefficients,
        np.zeros((3, 3)),
        1e-3,
    )
    analytic = np.moveaxis(expand(atoms, descriptor).strain_jacobian(), 0, 2)
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(analytic, numerical, atol=2e-7 * scale)


@pytest.mark.parametrize("pair_cutoff", [0.0, 5.0])
def test_reverse_pass_contracts_both_jacobians(pair_cutoff):
    frames = [STRUCTURES["triclinic"], STRUCTURES["open"], triclinic(4, (8,), seed=3)]
    descriptor = kept(pair_cutoff=pair_cutoff)
    expansion = expand(frames, descriptor)
    adjoint = np.random.default_rng(0).normal(size=expansion.coefficients.shape)
    positions, strain = expansion.reverse(adjoint)
    jacobian = expansion.jacobian()
    by_channel = adjoint.reshape(*adjoint.shape[:2], 3, -1)
    contracted = np.einsum(
        "exmn,emn->ex",
        jacobian.derivatives,
        by_channel[jacobian.centers, :, jacobian.channels],
    )
    expected = np.zeros_like(positions)
    np.add.at(expected, jacobian.movers, contracted)
    np.add.at(expected, jacobian.centers, -contracted)
    np.testing.assert_allclose(positions, expected, atol=1e-10)
    per_atom = np.einsum("iabmq,imq->iab", expansion.strain_jacobian(), adjoint)
    expected = np.add.reduceat(per_atom, expansion.batch.first_atom[:-1])
    np.testing.assert_allclose(strain, expected, atol=1e-9)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("atoms", [triclinic(4, (1, 8)), rock_salt(1)])
def test_coefficients_and_gradients_equal_featomic(atoms, weight):
    featomic = pytest.importorskip("featomic")
    descriptor = kept(1e-8, weight)
    basis = {**descriptor.basis, "spline_accuracy": None}
    reference = featomic.LodeSphericalExpansion(
        density={**descriptor.density, "scaling": None}, basis=basis, k_cutoff=11.0
    ).compute(atoms, gradients=["positions"])
    ours = descriptor.compute(atoms, gradients=["positions"])
    assert ours.keys == reference.keys
    for key, block in reference.items():
        own = ours.block(key)
        assert own.samples == block.samples
        assert own.components == block.components
        assert own.properties == block.properties
        scale = descriptor.projections.scale[int(key["o3_lambda"])]
        np.testing.assert_array_less(np.abs(own.values - block.values) / scale, 1e-8)
        gradient, expected = own.gradient("positions"), block.gradient("positions")
        assert gradient.samples == expected.samples
        assert gradient.components == expected.components
        error = np.abs(gradient.values - expected.values) / scale
        np.testing.assert_array_less(error, 1e-7)


def test_coefficients_of_a_supercell_are_those_of_the_cell():
    atoms = triclinic(3)
    descriptor = kept(1e-8)
    once = coefficients(atoms, descriptor)
    often = coefficients(atoms.repeat((2, 1, 3)), descriptor)
    assert relative_error(often, np.tile(once, (6, 1, 1, 1)), descriptor) < 2e-8


@pytest.mark.parametrize("name", ["triclinic", "open"])
def test_translations_change_nothing(name):
    atoms = STRUCTURES[name]
    moved = displaced(atoms, atoms.positions + [0.3, -7.1, 20.9])
    np.testing.assert_allclose(coefficients(moved), coefficients(atoms), atol=1e-12)


@pytest.mark.parametrize("name", ["triclinic", "open"])
def test_rotations_keep_the_invariants_and_turn_vectors(name):
    atoms = STRUCTURES[name]
    rotation = random_rotation()
    turned = displaced(atoms, atoms.positions @ rotation.T)
    turned.set_cell(atoms.cell.array @ rotation.T)
    before, after = coefficients(atoms), coefficients(turned)
    np.testing.assert_allclose(invariants(after), invariants(before), atol=1e-10)
    # order of Y_1m: y, z, x
    vectors, turned_vectors = before[:, [3, 1, 2]], after[:, [3, 1, 2]]
    expected = np.einsum("ab,ibcn->iacn", rotation, vectors)
    np.testing.assert_allclose(turned_vectors, expected, atol=1e-10)


def test_periodic_tends_to_open_in_a_large_cell():
    # neutral combination of the channels: the dipoles of the images act as 1 / L^3
    atoms = Atoms("HO", positions=[[0.0, 0.0, 0.0], [0.5, 0.6, 0.7]])
    open_values = coefficients(atoms)
    errors = []
    for length in (12.0, 24.0):
        periodic = atoms.copy()
        periodic.set_cell(length * np.eye(3))
        periodic.set_pbc(True)
        values = coefficients(periodic, kept(1e-9)) - open_values
        errors.append(np.abs(values[:, :, 0] - values[:, :, 1]).max())
    assert errors[1] < errors[0] / 7.0
    assert errors[1] < 0.05


def test_far_field_of_an_open_structure_is_a_multipole_field():
    distances = np.array([20.0, 200.0])
    direction = np.array([1.0, 2.0, -3.0]) / np.sqrt(14.0)
    values = np.array(
        [
            coefficients(Atoms("HO", positions=[[0, 0, 0], d * direction]))[0, :, 1]
            for d in distances
        ]
    )
    l_of_lm = np.sqrt(np.arange(values.shape[1])).astype(int)
    slopes = np.log(values[1] / values[0]) / np.log(distances[1] / distances[0])
    expected = np.broadcast_to(-(l_of_lm[:, None] + 1.0), slopes.shape)
    np.testing.assert_allclose(slopes, expected, atol=1e-9)
    angular = real_harmonics(MAX_ANGULAR, direction[None])[0]
    r = np.linspace(0.0, 20.0, 4001)
    orbitals = orthonormal_orbitals(MAX_RADIAL, RADIUS, r)
    moments = np.stack(
        [trapezoid(r[:, None] ** (l + 2) * orbitals, r, axis=0) for l in l_of_lm]
    )
    factor = 4.0 * np.pi / (2.0 * l_of_lm + 1.0) / distances[1] ** (l_of_lm + 1.0)
    expected = (factor * angular)[:, None] * moments
    np.testing.assert_allclose(values[1], expected, rtol=1e-8)


def test_an_open_atom_alone_sees_itself_as_often_as_the_weight_says():
    alone = Atoms("O")
    descriptor = kept(1e-9)
    values = coefficients(alone, descriptor)
    expected = project_on_basis(
        lambda points: smeared_potential(points, np.zeros((1, 3)), SMEARING),
        MAX_ANGULAR,
        MAX_RADIAL,
        RADIUS,
        extent=15.0,
    )
    np.testing.assert_allclose(values[0, :, 1], expected, atol=1e-8)
    assert not values[0, :, [0, 2]].any()
    half = coefficients(alone, make(1e-9, weight=0.5))
    np.testing.assert_allclose(half, 0.5 * values, atol=1e-12)
    np.testing.assert_allclose(coefficients(alone, make(weight=0.0)), 0.0, atol=1e-12)


def test_a_species_that_a_structure_does_not_have_leaves_its_channel_empty():
    values = coefficients([triclinic(3, (1, 8)), cluster(2, (8,))])
    assert not values[:, :, 2].any()
    assert not values[3:, :, 0].any()
    assert values[:, :, 1].any(axis=(1, 2)).all()


def test_a_structure_is_the_same_alone_and_in_a_batch():
    frames = [cluster(3), triclinic(4), cluster(2, seed=4), rock_salt(1)]
    species = (1, 8, 11, 17)
    together = coefficients(frames, species=species)
    alone = [coefficients(frame, species=species) for frame in frames]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_open_structures_do_not_notice_their_cell():
    atoms = cluster(3)
    boxed = atoms.copy()
    boxed.set_cell([4.0, 5.0, 6.0])
    np.testing.assert_array_equal(coefficients(boxed), coefficients(atoms))


def test_large_open_structures_run_in_blocks(monkeypatch):
    atoms = cluster(9, (1, 8, 11))
    adjoint = np.random.default_rng(1).normal(size=expand(atoms).coefficients.shape)
    expected = expand(atoms)
    monkeypatch.setattr("lodekit.descriptors.lode.open.BLOCK_SIZE", 20)
    blocked = expand(atoms)
    np.testing.assert_array_equal(blocked.coefficients, expected.coefficients)
    for some, all_ in zip(
        blocked.reverse(adjoint), expected.reverse(adjoint), strict=True
    ):
        np.testing.assert_allclose(some, all_, atol=1e-12)
    np.testing.assert_array_equal(
        blocked.jacobian().derivatives, expected.jacobian().derivatives
    )


def test_sums_over_k_vectors_run_in_blocks(monkeypatch):
    atoms = triclinic(5)
    expected = expand(atoms)
    adjoint = np.random.default_rng(1).normal(size=expected.coefficients.shape)
    gradients = expected.reverse(adjoint)
    jacobian = expected.jacobian().derivatives
    monkeypatch.setattr("lodekit.descriptors.lode.far.BLOCK_SIZE", 1)
    monkeypatch.setattr("lodekit.descriptors.lode.far.PAIR_BLOCK_SIZE", 3)
    monkeypatch.setattr("lodekit.descriptors.pair_expansion.BLOCK_SIZE", 7)
    blocked = expand(atoms)
    np.testing.assert_allclose(blocked.coefficients, expected.coefficients, atol=1e-12)
    for some, all_ in zip(blocked.reverse(adjoint), gradients, strict=True):
        np.testing.assert_allclose(some, all_, atol=1e-11)
    np.testing.assert_allclose(blocked.jacobian().derivatives, jacobian, atol=1e-12)


def test_k_cutoff_asks_for_the_accuracy_that_featomic_has_with_it():
    featomic = pytest.importorskip("featomic")
    atoms = triclinic(4, (1, 8))
    exact = coefficients(atoms, kept(1e-10), (1, 8))
    descriptor = make(k_cutoff=4.0)
    ours = relative_error(coefficients(atoms, descriptor, (1, 8)), exact, descriptor)
    theirs = featomic.LodeSphericalExpansion(
        density=descriptor.density, basis=descriptor.basis, k_cutoff=4.0
    ).compute(atoms)
    converged = kept(1e-10).compute(atoms)
    scale = descriptor.projections.scale
    featomic_error = max(
        np.abs((block.values - converged.block(key).values) / scale[int(key[0])]).max()
        for key, block in theirs.items()
    )
    assert ours < 3.0 * featomic_error
    assert ours > 1e-3 * featomic_error


def test_featomic_backend_runs_featomic():
    pytest.importorskip("featomic")
    atoms = triclinic(4, (1, 8))
    ours = kept(1e-8).compute(atoms)
    theirs = make(backend="featomic", k_cutoff=10.0).compute(atoms)
    assert ours.keys == theirs.keys
    for key, block in theirs.items():
        # featomic splines its radial integrals to 1e-8
        np.testing.assert_allclose(ours.block(key).values, block.values, atol=1e-5)


def test_featomic_objects_are_accepted():
    featomic = pytest.importorskip("featomic")
    descriptor = LodeSphericalExpansion(
        density=featomic.density.SmearedPowerLaw(smearing=SMEARING, exponent=1),
        basis=featomic.basis.TensorProduct(
            max_angular=MAX_ANGULAR,
            radial=featomic.basis.Gto(max_radial=MAX_RADIAL, radius=RADIUS),
        ),
    )
    atoms = triclinic(3)
    np.testing.assert_array_equal(coefficients(atoms, descriptor), coefficients(atoms))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exponent": 10}, "`density.exponent` must be a whole number from 0 to 9"),
        ({"type": "Gaussian"}, "`density.type` must be 'SmearedPowerLaw'"),
        ({"smearing": -1.0}, "`density.smearing` must be a positive number, got -1.0"),
        ({"scaling": {"type": "Willatt2018"}}, "`density.scaling` must be None"),
        ({"width": 1.0}, "`density` has an unknown key 'width'"),
    ],
)
def test_wrong_densities_give_one_clear_line(changes, message):
    with pytest.raises(ValueError, match=message):
        _ = make(density={**make().density, **changes}).hypers


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": 0.0}, "`accuracy` must be a positive number, got 0.0"),
        ({"accuracy": 1e-15}, "`accuracy` must lie between 1e-12 and 0.1, got 1e-15"),
        ({"k_cutoff": "far"}, "`k_cutoff` must be a positive number, got 'far'"),
    ],
)
def test_wrong_accuracies_give_one_clear_line(changes, message):
    with pytest.raises(ValueError, match=message):
        _ = make(**changes).hypers


def test_a_basis_without_radius_is_refused():
    basis = {**make().basis, "radial": {"type": "Gto", "max_radial": 2}}
    with pytest.raises(ValueError, match="`basis.radial` needs the key 'radius'"):
        _ = make(basis=basis).hypers


def test_unknown_species_are_refused():
    with pytest.raises(ValueError, match=r"species \[11\] are not among the species"):
        expand(triclinic(3), species=(1, 8))


def test_open_atoms_on_top_of_each_other_are_refused():
    atoms = Atoms("HHO", positions=[[0, 0, 0], [1, 0, 0], [1, 0, 0]])
    with pytest.raises(
        ValueError, match="atoms 2 and 3 of frame 1 .index 0. are on top"
    ):
        expand(atoms)


def test_set_params_after_use_takes_effect():
    atoms = triclinic(3, (1, 8))
    changed = make()
    coefficients(atoms, changed)
    changed.set_params(density={**changed.density, "smearing": 1.4})
    fresh = make(density=changed.density)
    np.testing.assert_array_equal(
        coefficients(atoms, changed), coefficients(atoms, fresh)
    )
