import numpy as np
import pytest
from ase import Atoms

from lodekit.errors import StructureFileError
from lodekit.structures import get_target, read_structures, write_structures

STRESS = np.array([0.01, 0.02, 0.03, 0.004, 0.005, 0.006])  # eV/Å³, Voigt
MATRIX = "0.01 0.006 0.005 0.006 0.02 0.004 0.005 0.004 0.03"
VOLUME = 24.0
CELL = 'Lattice="2 0 0 0 3 0 0 0 4"'


def read_line(folder, comment, row="H 0 0 0", **options):
    path = folder / "frames.xyz"
    path.write_text(f"1\n{comment}\n{row}\n")
    return read_structures(path, **options)[0]


def minus_times_volume(text):
    return " ".join(str(-float(word) * VOLUME) for word in text.split())


def test_a_reference_energy_becomes_the_result(tmp_path):
    structure = read_line(tmp_path, "REF_energy=-3.5")
    assert structure.get_potential_energy() == -3.5
    assert structure.info == {"target_keys": {"energy": "info:REF_energy"}}
    assert get_target(structure, "energy") == -3.5


def test_another_value_of_the_same_target_is_kept_aside(tmp_path):
    comment = "REF_energy=-3.5 energy=-9.0 my_energy=1.0"
    structure = read_line(tmp_path, comment)
    assert get_target(structure, "energy") == -3.5
    assert structure.info["other_energy"] == -9.0
    structure = read_line(tmp_path, comment, keys={"energy": "my_energy"})
    assert get_target(structure, "energy") == 1.0
    assert structure.info["other_energy"] == -9.0
    assert structure.info["other_REF_energy"] == -3.5
    structure = read_line(tmp_path, comment, keys={"energy": "energy"})
    assert get_target(structure, "energy") == -9.0
    assert structure.info["other_REF_energy"] == -3.5


def test_columns_of_the_same_target_are_kept_aside(tmp_path):
    structure = read_line(
        tmp_path,
        "Properties=species:S:1:pos:R:3:forces:R:3:REF_forces:R:3",
        "H 0 0 0 1 1 1 2 2 2",
    )
    np.testing.assert_array_equal(get_target(structure, "forces"), [[2, 2, 2]])
    np.testing.assert_array_equal(structure.arrays["other_forces"], [[1, 1, 1]])
    np.testing.assert_array_equal(structure.get_forces(), [[2, 2, 2]])


@pytest.mark.parametrize(
    "written",
    [
        f'stress="{MATRIX}"',
        f'REF_stress="{MATRIX}"',
        'REF_stress="0.01 0.02 0.03 0.004 0.005 0.006"',
        'stress="0.01 0.02 0.03 0.004 0.005 0.006"',
        f'virial="{minus_times_volume(MATRIX)}"',
        f'REF_virials="{minus_times_volume(MATRIX)}"',
        f'stress="{MATRIX}" virial="{minus_times_volume(MATRIX)}"',
    ],
)
def test_stress_and_virial_become_one_stress(written, tmp_path):
    structure = read_line(tmp_path, f"{CELL} {written}")
    np.testing.assert_allclose(structure.get_stress(), STRESS, rtol=1e-12)
    np.testing.assert_allclose(get_target(structure, "stress"), STRESS, rtol=1e-12)
    np.testing.assert_allclose(
        get_target(structure, "virial"), -STRESS * VOLUME, rtol=1e-12
    )
    assert "virial" not in structure.info


def test_the_source_of_a_stress_made_from_a_virial_is_remembered(tmp_path):
    structure = read_line(tmp_path, f'{CELL} virial="{MATRIX}"', targets=["stress"])
    assert structure.info["target_keys"] == {"stress": "info:virial"}
    structure = read_line(tmp_path, f'{CELL} V="{MATRIX}"', keys={"virial": "V"})
    assert structure.info["target_keys"] == {"stress": "info:V"}


def test_a_virial_that_contradicts_the_stress_is_refused(tmp_path):
    opposite = " ".join(str(float(word) * VOLUME) for word in MATRIX.split())
    message = (
        "frame 1, line 2: virial contradicts the stress: it should be minus stress "
        "times volume, they differ by 1.44 eV because one of them has the opposite sign"
    )
    with pytest.raises(StructureFileError, match=message):
        read_line(tmp_path, f'{CELL} stress="{MATRIX}" virial="{opposite}"')
    with pytest.raises(StructureFileError, match="eV; remove the wrong one"):
        read_line(tmp_path, f'{CELL} stress="{MATRIX}" virial="{MATRIX}"')


def test_a_virial_without_a_cell_stays_a_virial(tmp_path):
    structure = read_line(tmp_path, f'virial="{MATRIX}"')
    assert get_target(structure, "stress") is None
    np.testing.assert_allclose(get_target(structure, "virial"), STRESS, rtol=1e-12)
    assert structure.info["virial"].shape == (3, 3)


def test_a_stress_must_be_symmetric(tmp_path):
    lopsided = MATRIX.replace("0.006", "0.016", 1)
    message = "line 2: 'stress' must be symmetric, but the triangles differ by 0.01"
    with pytest.raises(StructureFileError, match=message):
        read_line(tmp_path, f'{CELL} stress="{lopsided}"')
    with pytest.raises(StructureFileError, match="line 2: stress .* must be symmetric"):
        read_line(tmp_path, f'{CELL} REF_stress="{lopsided}"')
    with pytest.warns(
        UserWarning, match="stress must be six or nine numbers, got shape"
    ):
        read_line(tmp_path, f'{CELL} stress="1 2 3"')


def test_born_charges_keep_their_order_through_a_file(tmp_path):
    values = " ".join(map(str, range(9)))
    for name in ("bec", "becs", "REF_becs", "born_effective_charges"):
        structure = read_line(
            tmp_path,
            f"Properties=species:S:1:pos:R:3:{name}:R:9",
            f"H 0 0 0 {values}",
        )
        expected = np.arange(9.0).reshape(1, 3, 3)
        np.testing.assert_array_equal(
            get_target(structure, "born_effective_charges"), expected
        )
        assert structure.arrays["REF_becs"].shape == (1, 9)
        path = tmp_path / "again.xyz"
        write_structures(path, structure, overwrite=True)
        assert "REF_becs:R:9" in path.read_text()
        again = read_structures(path)[0]
        np.testing.assert_array_equal(
            get_target(again, "born_effective_charges"), expected
        )
        assert "target_keys" not in again.info


def test_a_column_called_charge_can_be_chosen(tmp_path):
    structure = read_line(
        tmp_path,
        "Properties=species:S:1:pos:R:3:charge:R:1",
        "H 0 0 0 0.5",
        keys={"charges": "charge"},
    )
    assert get_target(structure, "charges").tolist() == [0.5]


def test_only_named_targets_are_looked_for(tmp_path):
    structure = read_line(tmp_path, "REF_energy=1.0 REF_dipole=2.0", targets=["energy"])
    assert structure.info["REF_dipole"] == 2.0
    assert get_target(structure, "energy") == 1.0


def test_a_normalised_file_is_read_again_unchanged(tmp_path):
    first = read_line(
        tmp_path,
        f'{CELL} REF_energy=1.25 REF_total_charge=1 REF_dipole="1 2 3" '
        f'virial="{MATRIX}" polarizability="{MATRIX}"',
    )
    path = tmp_path / "again.xyz"
    write_structures(path, [first])
    second = read_structures(path)[0]
    names = ("energy", "total_charge", "dipole", "stress", "polarizability")
    for name in names:
        np.testing.assert_allclose(
            get_target(second, name), get_target(first, name), rtol=1e-14
        )
    assert "target_keys" not in second.info


def test_targets_are_found_in_structures_made_by_hand():
    structure = Atoms("H", cell=np.diag([2.0, 3.0, 4.0]), pbc=True)
    structure.info["virial"] = -STRESS * VOLUME
    np.testing.assert_allclose(get_target(structure, "stress"), STRESS, rtol=1e-14)
    assert get_target(structure, "virial").shape == (6,)
