import numpy as np
import pytest
from ase import Atoms

from lodekit.errors import SettingsError, StructureError
from lodekit.structures import check_structures
from lodekit.structures.distances import shortest_distance


def water(**info):
    structure = Atoms("OH2", positions=[[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]])
    structure.info = info
    return structure


def crystal(cell, pbc=True):
    return Atoms("Na", positions=[[0, 0, 0]], cell=cell, pbc=pbc)


def test_good_structures_pass_and_their_targets_are_counted():
    frames = [water(energy=-1.0), water(energy=-2.0, dipole=[0, 0, 1]), Atoms("H")]
    frames[2].info["energy"] = -3.0
    assert check_structures(frames) == {}
    assert check_structures(frames, ["energy"]) == {"energy": 3}
    counts = check_structures(frames, ["energy", "dipole"], allow_missing=True)
    assert counts == {"energy": 3, "dipole": 1}


def test_no_structures_are_refused():
    with pytest.raises(StructureError, match="there are no structures to work with"):
        check_structures([])
    with pytest.raises(TypeError, match="frames must be a list of ase.Atoms"):
        check_structures(["frames.xyz"])


def test_a_structure_without_atoms_is_refused():
    with pytest.raises(StructureError, match=r"frame 2 \(index 1\): .* has no atoms"):
        check_structures([water(), Atoms()])


def test_positions_that_are_not_finite_are_refused():
    structure = water()
    structure.positions[1, 2] = np.nan
    message = (
        r"frame 1 \(index 0\): atom 2 has the position 0 0.8 nan, which is not fin"
    )
    with pytest.raises(StructureError, match=message):
        check_structures([structure])
    structure.positions[1, 2] = 1e11
    message = "atom 2 has the position 0 0.8 1e.11, which is far from everything"
    with pytest.raises(StructureError, match=message):
        check_structures([structure])


def test_far_atoms_along_an_open_direction_take_no_time():
    """The neighbour search alone needs minutes for this slab."""
    slab = Atoms(
        "H3", [[0, 0, 0], [0, 0, 1], [1, 1, 9e3]], cell=[9, 9, 0], pbc=[1, 1, 0]
    )
    assert shortest_distance(slab).distance == 1.0
    slab.cell[2] = [3, 0, 5]
    assert shortest_distance(slab).distance == 1.0


@pytest.mark.parametrize(
    ("cell", "pbc", "message"),
    [
        (np.zeros((3, 3)), True, "lengths 0 0 0 Å; give the cell or set pbc to F"),
        (np.diag([4.0, 4.0, 0.0]), True, "lengths 4 4 0 Å"),
        ([[4, 0, 0], [4, 0, 0], [0, 0, 4]], True, "so the volume is zero; correct the"),
        ([[4, 0, 0], [0, 4, 0], [4, 4, 0]], True, "lie in one plane or line"),
        (np.diag([4.0, 0.01, 4.0]), True, "lengths 4 0.01 4 Å; give the cell"),
        (np.diag([4.0, 1e6, 4.0]), [1, 0, 1], "a cell vector is 1e.06 Å long; correct"),
        ([[4, 0, 0], [3.999, 0.01, 0], [0, 0, 4]], True, "lie in one plane or line"),
        ([[4, 0, 0], [8, 0, 0], [2, 0, 0]], True, "lie in one plane or line"),
        ([[4, 0, 0], [8, 0, 0], [0, 0, 9]], [True, True, False], "along T T F, but"),
        (np.diag([4.0, 4.0, np.inf]), True, "cell holds numbers that are not finite"),
        (np.diag([4.0, 4.0, -4.0]), True, "left-handed .negative volume.; swap two"),
    ],
)
def test_cells_that_cannot_be_periodic_are_refused(cell, pbc, message):
    with pytest.raises(StructureError, match=message):
        check_structures([crystal(cell, pbc)])


def test_cells_of_slabs_and_wires_may_be_zero_where_they_are_open():
    check_structures(
        [
            crystal(np.diag([4.0, 4.0, 0.0]), [True, True, False]),
            crystal(np.diag([0.0, 4.0, 0.0]), [False, True, False]),
            crystal(np.zeros((3, 3)), False),
            crystal([[30, 0, 0], [29, 5, 0], [0, 0, 30]]),
        ]
    )


def test_atoms_on_top_of_each_other_are_refused():
    structure = water()
    structure.positions[2] = structure.positions[1] + 0.01
    message = "atoms [23] and [23] are 0.0173 Å apart, on top of each other; remove one"
    with pytest.raises(StructureError, match=message):
        check_structures([structure])
    wrapped = Atoms("Na2", [[0, 0, 0.0], [0, 0, 4.0]], cell=[4, 4, 4], pbc=True)
    with pytest.raises(StructureError, match="on top of each other"):
        check_structures([wrapped])


def test_missing_targets_are_counted_and_named():
    frames = [water(energy=-1.0) if index < 3 else water() for index in range(10)]
    message = (
        r"energy is missing in 7 of 10 frames \(4, 5, 6, 7, 8, ...; looked for "
        r"REF_energy, energy\); leave them out or allow missing targets"
    )
    with pytest.raises(StructureError, match=message):
        check_structures(frames, ["energy"])
    message = (
        r"no frame has forces \(looked for REF_forces, forces, force; the first frame "
        r"has energy\); name the key with forces=KEY"
    )
    with pytest.raises(StructureError, match=message):
        check_structures(frames, ["forces"], allow_missing=True)
    with pytest.raises(StructureError, match="no frame has energy .looked for E; the"):
        check_structures(frames, ["energy"], keys={"energy": "E"})
    with pytest.raises(SettingsError, match="unknown target 'colour'"):
        check_structures(frames, ["colour"])


def test_a_target_that_is_not_finite_names_the_frame():
    frames = [water(energy=-1.0), water(energy=np.nan)]
    message = r"frame 2 \(index 1\): energy is not finite; correct it, or leave it out"
    with pytest.raises(StructureError, match=message):
        check_structures(frames, ["energy"])


def test_energies_of_mixed_units_cause_a_warning():
    hartree = [water(energy=-76.4 - 0.01 * step) for step in range(4)]
    ev = [water(energy=27.2114 * (-76.4 - 0.01 * step)) for step in range(6)]
    with pytest.warns(
        UserWarning, match="energies of H2O fall into two groups, 4 frame"
    ):
        check_structures(hartree + ev, ["energy"])
    check_structures(ev, ["energy"])


def test_interaction_energies_of_all_sizes_cause_no_warning():
    energies = -np.logspace(-6, 0, 40)
    check_structures([water(energy=energy) for energy in energies], ["energy"])


def with_forces(*largest):
    frames = [water() for _ in largest]
    for structure, force in zip(frames, largest, strict=True):
        structure.arrays["forces"] = np.zeros((3, 3))
        structure.arrays["forces"][1] = [0.6 * force, 0.0, 0.8 * force]
    return frames


def test_forces_far_beyond_all_others_cause_a_warning():
    message = (
        r"forces of up to 30 eV/Å in frame 5 \(index 4\), 12 eV/Å in frame 2 \(index 1"
        r"\), while nine of ten frames stay below 2: look whether they are right"
    )
    largest = [1.0, 12.0, 1.5, 1.0, 30.0, *(18 * [2.0])]
    with pytest.warns(UserWarning, match=message):
        check_structures(with_forces(*largest), ["forces"])
    check_structures(with_forces(*largest))  # forces are not fitted
    check_structures(with_forces(*(10 * [1e-6]), 0.9), ["forces"])  # relaxed
    check_structures(with_forces(*np.linspace(0.1, 9.0, 20)), ["forces"])
    check_structures(with_forces(1.0, 100.0), ["forces"])  # of two none is usual


def test_lengths_in_nanometres_cause_a_warning():
    frames = [water() for _ in range(3)]
    for structure in frames:
        structure.positions *= 0.1
    with pytest.warns(UserWarning, match="in 3 of 3 frames the closest atoms .* in nm"):
        check_structures(frames)


def test_the_shortest_distance_counts_periodic_images():
    rng = np.random.default_rng(2)
    for pbc in (False, True, [True, False, False]):
        structure = Atoms(
            "H30",
            rng.random((30, 3)) * 6,
            cell=[[6, 0, 0], [3, 5, 0], [0, 1, 7]],
            pbc=pbc,
        )
        distances = structure.get_all_distances(mic=True) + 1e3 * np.eye(30)
        found = shortest_distance(structure)
        assert found.distance == pytest.approx(distances.min(), abs=1e-12)
        assert distances[found.first, found.second] == distances.min()


def test_a_single_atom_meets_only_its_own_image():
    assert shortest_distance(Atoms("H")) is None
    assert shortest_distance(crystal([30, 31, 32])).distance == 30.0
    thin = crystal([3, 31, 32], [False, True, True])
    assert shortest_distance(thin).distance == 31.0


def test_two_atoms_at_one_point_are_two_atoms():
    found = shortest_distance(Atoms("H3", positions=np.zeros((3, 3))))
    assert found.distance == 0.0
    assert found.first != found.second
