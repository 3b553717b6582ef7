"""LODE without the sources within a cutoff."""

import numpy as np
import pytest
from crystals import cluster, triclinic
from lode_cases import (
    MAX_ANGULAR,
    MAX_RADIAL,
    RADIUS,
    assert_gradients_equal_finite_differences,
    coefficients,
    kept_lode,
    make_lode,
    relative_error,
)
from test_lode_slab import slab

from lodekit.descriptors import SphericalExpansion

CUTOFF = {"radius": 4.5, "smoothing": {"type": "ShiftedCosine", "width": 2.0}}


def far_lode(exponent=1, accuracy=1e-7, pair_cutoff=None):
    changes = {"exclude_within": CUTOFF}
    return make_lode(exponent, accuracy, pair_cutoff=pair_cutoff, **changes)


def far_cluster(distance=3.5):
    """Atoms on a line: near, within the switch, and beyond the cutoff."""
    atoms = cluster(3)
    atoms.set_positions([[0.1, 0.0, 0.2], [0.0, distance, 0.0], [5.0, 1.0, 4.0]])
    return atoms


def test_neighbours_fade_in_with_what_the_cutoff_function_takes_from_them():
    atoms = far_cluster()
    values = coefficients(atoms, far_lode(accuracy=1e-9))
    assert atoms.numbers.tolist() == [1, 8, 1]
    r = np.linalg.norm(atoms.positions[1] - atoms.positions[0])
    kept = 0.5 * (1.0 - np.cos(np.pi * (r - 2.5) / 2.0))
    pair = coefficients(atoms[[0, 1]], kept_lode(1, 1e-9))
    np.testing.assert_allclose(values[0, :, 1], kept * pair[0, :, 1], atol=1e-8)
    far = coefficients(atoms[[0, 2]], kept_lode(1, 1e-9, weight=0.0))
    np.testing.assert_allclose(values[0, :, 0], far[0, :, 0], atol=1e-8)


@pytest.mark.parametrize("atoms", [triclinic(4), slab(), cluster(4)])
def test_exponent_zero_and_the_density_within_the_cutoff_make_the_whole(atoms):
    """1 - f here is what f keeps in SOAP."""
    basis = {
        "type": "TensorProduct",
        "max_angular": MAX_ANGULAR,
        "radial": {"type": "Gto", "max_radial": MAX_RADIAL, "radius": RADIUS},
    }
    near = SphericalExpansion(
        cutoff=CUTOFF, density={"type": "Gaussian", "width": 0.9}, basis=basis
    )
    whole = coefficients(atoms, kept_lode(0, 1e-8))
    far = coefficients(atoms, far_lode(0, 1e-8))
    total = far + coefficients(atoms, near)
    assert relative_error(total, whole, kept_lode(0, 1e-8)) < 2e-8


@pytest.mark.compiled
@pytest.mark.parametrize("exponent", [1, 4])
@pytest.mark.parametrize("atoms", [triclinic(3), slab(n_atoms=3), far_cluster()])
def test_gradients_equal_finite_differences(atoms, exponent):
    descriptor = far_lode(exponent, pair_cutoff=5.0)
    assert_gradients_equal_finite_differences(atoms, descriptor, step=3e-4)


def test_an_open_molecule_within_the_cutoff_has_no_sources():
    atoms = cluster(3)
    atoms.positions *= 2.4 / np.ptp(atoms.positions, axis=0).sum()
    values = coefficients(atoms, far_lode())
    np.testing.assert_allclose(values, 0.0, atol=1e-6)


def test_sources_outside_change_nothing_inside_a_sharp_cutoff():
    sharp = {"radius": 4.0, "smoothing": {"type": "Step"}}
    atoms = far_cluster(2.0)
    moved = far_cluster(2.2)
    descriptor = make_lode(1, 1e-8, exclude_within=sharp)
    np.testing.assert_allclose(
        coefficients(moved, descriptor)[0],
        coefficients(atoms, descriptor)[0],
        atol=1e-7,
    )


def test_a_weight_of_the_centre_is_refused():
    descriptor = make_lode(weight=0.5, exclude_within=CUTOFF)
    with pytest.raises(ValueError, match="`exclude_within` leaves the centre out"):
        _ = descriptor.hypers


def test_a_wrong_cutoff_gives_one_clear_line():
    wrong = {"radius": -1.0, "smoothing": {"type": "Step"}}
    with pytest.raises(ValueError, match="`exclude_within.radius` must be a positive"):
        _ = make_lode(exclude_within=wrong).hypers


def test_featomic_cannot_run_it():
    pytest.importorskip("featomic")
    descriptor = make_lode(exclude_within=CUTOFF, backend="featomic")
    with pytest.raises(ValueError, match='`exclude_within` needs backend="lodekit"'):
        descriptor.compute(triclinic(2))
