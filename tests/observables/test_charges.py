import numpy as np
import pytest
from ase import Atoms
from crystals import cluster

from lodekit.observables.charges import (
    AffineCharges,
    charge_rows,
    check_total_charges,
    collect_charge_targets,
    observe,
    present_targets,
    reference,
    row_counts,
)

#: Two unit charges, 2 Å apart along z around the origin.
PAIR = Atoms("HF", positions=[[0, 0, 1.0], [0, 0, -1.0]])
CHARGES = AffineCharges(np.eye(2), np.zeros(2))


def test_dipole_of_a_pair_of_charges():
    value = observe(PAIR, CHARGES, "dipole").values(np.array([1.0, -1.0]))
    assert value == pytest.approx([0.0, 0.0, 2.0])


def test_quadrupole_of_two_equal_charges():
    # second moment zz = 2 e Å^2, trace 2: zz - 2/3, and -2/3 across
    value = observe(PAIR, CHARGES, "quadrupole").values(np.array([1.0, 1.0]))
    assert value == pytest.approx([-2 / 3, -2 / 3, 4 / 3, 0.0, 0.0, 0.0])


def test_atomic_dipoles_are_the_limit_of_pairs_of_charges():
    atoms = cluster(3, seed=4)
    direction = np.array([0.3, -0.5, 0.8])
    step = 1e-4
    positions = np.vstack(
        [atoms.positions[1] + step * direction, atoms.positions[1] - step * direction]
    )
    pair = Atoms("HH", positions=positions)
    ends = AffineCharges(np.array([[0.5 / step], [-0.5 / step]]), np.zeros(2))
    dipoles = np.zeros((3, 3, 1))
    dipoles[1, :, 0] = direction
    inside = AffineCharges(np.zeros((3, 1)), np.zeros(3), (dipoles,))
    for name in ("dipole", "quadrupole"):
        limit = observe(pair, ends, name).values(np.ones(1))
        exact = observe(atoms, inside, name).values(np.ones(1))
        assert exact == pytest.approx(limit, abs=1e-7)
    assert inside.moment_values(np.ones(1))[0][1] == pytest.approx(direction)
    assert observe(atoms, inside, "total_charge").values(np.ones(1)) == 0.0


def test_references_do_not_depend_on_the_origin_of_an_ion():
    atoms = PAIR.copy()
    atoms.positions += [5.0, 1.0, -2.0]
    atoms.info["total_charge"] = 1.0
    atoms.info["dipole"] = np.array([0.75, 0.25]) @ atoms.positions
    value = reference(atoms, "dipole")
    assert value == pytest.approx([0.0, 0.0, 0.5])
    given = AffineCharges(np.eye(2), np.zeros(2))
    predicted = observe(atoms, given, "dipole").values(np.array([0.75, 0.25]))
    assert predicted == pytest.approx(value)


def test_rows_hold_what_the_offset_leaves():
    atoms = PAIR.copy()
    atoms.info["quadrupole"] = np.diag([0.0, 0.0, 2.0])
    offset = np.array([1.0, 1.0])
    rows = charge_rows(atoms, AffineCharges(np.eye(2), offset), "quadrupole", 7)
    assert rows.values == pytest.approx(np.zeros(6), abs=1e-12)
    assert rows.frames.tolist() == [7] * 6


@pytest.mark.parametrize(
    ("name", "count"),
    [("charges", 5), ("dipole", 6), ("quadrupole", 6), ("mep", 4), ("total_charge", 3)],
)
def test_rows_are_counted_where_a_frame_has_the_target(name, count):
    frames = [PAIR.copy(), cluster(3), cluster(3)]
    frames[0].info = {"dipole": np.ones(3), "quadrupole": np.eye(3)}
    frames[1].info = {"dipole": np.ones(3), "mep": np.ones(4)}
    for atoms in frames[:2]:
        atoms.arrays["REF_charges"] = np.zeros(len(atoms))
    assert row_counts(frames, name) == count
    present = [name in present_targets(atoms, [name]) for atoms in frames]
    assert present == [row_counts([atoms], name) > 0 for atoms in frames]


def test_frames_that_lack_a_target_need_nothing_for_it():
    """Neither points of a potential nor open boundaries."""
    frames = [PAIR.copy() for _ in range(4)]
    for atoms in frames[:3]:
        atoms.info = {"mep": [0.1], "mep_points": [[0, 0, 4.0]], "dipole": np.ones(3)}
    frames[3].pbc, frames[3].cell = True, 9.0 * np.eye(3)
    assert collect_charge_targets(frames) == ["dipole", "mep"]
    frames[3].info["dipole"] = np.ones(3)
    message = r"the dipole of a periodic structure .* frame 4 \(index 3\) has pbc"
    with pytest.raises(ValueError, match=message):
        collect_charge_targets(frames)
    del frames[3].info["dipole"], frames[1].info["mep_points"]
    with pytest.raises(ValueError, match=r"frame 2 \(index 1\) has no mep_points"):
        collect_charge_targets(frames)


def test_charges_sum_to_the_total_charge_where_they_are():
    frames = [PAIR.copy() for _ in range(3)]
    for atoms in frames[1:]:
        atoms.arrays["REF_charges"] = np.zeros(2)
    assert collect_charge_targets(frames) == ["charges"]
    frames[2].arrays["REF_charges"] = np.ones(2)
    with pytest.raises(ValueError, match=r"charges of frame 3 \(index 2\) sum to 2"):
        collect_charge_targets(frames)


def test_total_charges_under_another_name_are_refused():
    """Ions would become neutral."""
    named, initial = PAIR.copy(), PAIR.copy()
    named.info["Qtot"] = 1
    initial.set_initial_charges([1.0, 0.0])
    message = r"frame 2 \(index 1\) has no total_charge, but 'Qtot' = 1 looks like it"
    with pytest.raises(ValueError, match=message):
        check_total_charges([PAIR, named])
    with pytest.raises(
        ValueError, match="initial charges of its atoms sum to 1 e: wri"
    ):
        check_total_charges([initial])
    named.info["total_charge"] = initial.info["total_charge"] = 1.0
    assert check_total_charges([named, initial])
    initial.set_initial_charges([0.5, -0.5])
    del initial.info["total_charge"]
    assert not check_total_charges([PAIR, initial])
