import gzip
import os

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian

from lodekit.errors import SettingsError, StructureFileError
from lodekit.structures import get_target, read_structures


def random_frame(rng, n_atoms, boundary):
    structure = Atoms(
        numbers=rng.integers(1, 100, n_atoms), positions=rng.normal(size=(n_atoms, 3))
    )
    if boundary != "open":
        structure.cell = 5.0 * np.eye(3) + rng.normal(scale=0.3, size=(3, 3))
        structure.pbc = {"slab": [True, True, False], "periodic": True}[boundary]
    stress = {"stress": rng.normal(size=6)} if boundary == "periodic" else {}
    structure.calc = SinglePointCalculator(
        structure,
        energy=rng.normal(),
        forces=rng.normal(size=(n_atoms, 3)),
        charges=rng.normal(size=n_atoms),
        dipole=rng.normal(size=3),
        **stress,
    )
    structure.set_tags(rng.integers(0, 5, n_atoms))
    structure.arrays["marked"] = rng.integers(0, 2, n_atoms).astype(bool)
    structure.arrays["label"] = np.array([f"a{i}" for i in range(n_atoms)])
    structure.arrays["initial_charges"] = rng.normal(size=n_atoms)
    structure.info = {
        "name": "two words",
        "number": 7,
        "nine": np.arange(9.0),
        "matrix": rng.normal(size=(2, 2)),
        "flags": [True, False],
        "nested": {"a": [1, 2], "b": "text"},
    }
    return structure


def assert_same(ours, theirs):
    """The two must have the same atoms, info, arrays, results and constraints."""
    assert ours == theirs
    assert ours.arrays.keys() == theirs.arrays.keys()
    for key, array in theirs.arrays.items():
        assert ours.arrays[key].dtype.kind == array.dtype.kind, key
        np.testing.assert_array_equal(ours.arrays[key], array)
    assert ours.info.keys() == theirs.info.keys()
    for key, value in theirs.info.items():
        np.testing.assert_equal(ours.info[key], value)
    assert (ours.calc is None) == (theirs.calc is None)
    if theirs.calc is not None:
        assert ours.calc.results.keys() == theirs.calc.results.keys()
        for key, value in theirs.calc.results.items():
            np.testing.assert_allclose(
                ours.calc.results[key], value, rtol=1e-14, err_msg=key
            )
    for mine, other in zip(ours.constraints, theirs.constraints, strict=True):
        assert mine.todict() == other.todict()


def test_what_ase_writes_is_read_as_ase_reads_it(tmp_path):
    """The oracle is ase.io.read; its mask of all T in a column fixes nothing."""
    rng = np.random.default_rng(7)
    frames = [
        random_frame(rng, n_atoms, boundary)
        for n_atoms in (1, 2, 5)
        for boundary in ("open", "slab", "periodic")
    ]
    frames[4].set_constraint(FixAtoms([1]))
    frames[7].set_constraint(FixCartesian(2, [True, False, False]))
    path = tmp_path / "frames.xyz"
    ase.io.write(path, frames)
    ours, theirs = read_structures(path), ase.io.read(path, index=":")
    assert len(ours) == len(theirs) == 9
    for mine, other in zip(ours, theirs, strict=True):
        other.info["nine"] = other.info["nine"].ravel()
        if len(mine) > 1 and other.constraints:
            other.constraints = [c for c in other.constraints if _fixes(c)]
            mine.constraints = [c for c in mine.constraints if _fixes(c)]
        assert_same(mine, other)


def _fixes(constraint):
    return np.any(getattr(constraint, "mask", True))


def three_frames(folder):
    path = folder / "three.xyz"
    path.write_text(
        "".join(f"1\nREF_energy={number}.5\nH 0 0 {number}\n" for number in range(3))
    )
    return path


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (None, [0, 1, 2]),
        (0, [0]),
        (-1, [2]),
        (slice(2), [0, 1]),
        ("1:", [1, 2]),
        ("::2", [0, 2]),
        ("::-1", [2, 1, 0]),
        ("-2:", [1, 2]),
    ],
)
def test_an_index_chooses_frames(index, expected, tmp_path):
    frames = read_structures(three_frames(tmp_path), index=index)
    assert [structure.positions[0, 2] for structure in frames] == expected


def test_an_index_beyond_the_file_is_refused(tmp_path):
    with pytest.raises(StructureFileError, match="holds no structures at index 3"):
        read_structures(three_frames(tmp_path), index=3)
    with pytest.raises(
        SettingsError, match="index must be a number, a slice or a text"
    ):
        read_structures(three_frames(tmp_path), index="first")
    with pytest.raises(SettingsError, match="index must be .*got '1:x'"):
        read_structures(three_frames(tmp_path), index="1:x")


def test_compressed_files_are_read(tmp_path):
    text = three_frames(tmp_path).read_bytes()
    path = tmp_path / "three.xyz.gz"
    path.write_bytes(gzip.compress(text))
    assert len(read_structures(path)) == 3
    path.write_bytes(gzip.compress(text)[:-12])
    with pytest.raises(StructureFileError, match=r"three\.xyz\.gz: cannot be read \("):
        read_structures(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StructureFileError, match="nothing.xyz: there is no such file"):
        read_structures(tmp_path / "nothing.xyz")
    with pytest.raises(StructureFileError, match="this is not a file"):
        read_structures(tmp_path)


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.xyz"
    for text in ("", "\n \n"):
        path.write_text(text)
        with pytest.raises(StructureFileError, match="empty.xyz: holds no structures"):
            read_structures(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads all")
def test_a_file_without_permission_is_refused(tmp_path):
    path = three_frames(tmp_path)
    path.chmod(0)
    with pytest.raises(StructureFileError, match="cannot be read .Permission denied"):
        read_structures(path)


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "binary.xyz"
    path.write_bytes(b"1\n\xff\xfe\x00\nH 0 0 0\n")
    with pytest.raises(StructureFileError, match="this is not a text file in UTF-8"):
        read_structures(path)


def test_other_formats_are_read_by_ase(tmp_path):
    structure = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])
    structure.calc = SinglePointCalculator(structure, energy=-1.0)
    path = tmp_path / "frames.traj"
    ase.io.write(path, [structure, structure])
    frames = read_structures(path, units={"energy": "Hartree", "length": "Bohr"})
    assert len(frames) == 2
    assert get_target(frames[1], "energy") == pytest.approx(-27.2114, abs=1e-4)
    assert frames[1].get_distance(0, 1) == pytest.approx(0.74 * 0.529177, abs=1e-6)
    assert frames[1].get_potential_energy() == get_target(frames[1], "energy")
    assert len(read_structures(path, index="1:")) == 1


def test_a_bad_target_of_another_format_names_the_atom(tmp_path):
    structure = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])
    forces = [[0, 0, 0], [0, 0, np.nan]]
    structure.calc = SinglePointCalculator(structure, forces=forces)
    path = tmp_path / "frames.traj"
    ase.io.write(path, structure)
    with pytest.raises(
        StructureFileError, match="frame 1, atom 2: forces is not finit"
    ):
        read_structures(path)


def test_a_format_that_nobody_can_read_is_refused(tmp_path):
    path = tmp_path / "frames.cif"
    path.write_text("this is no crystal\n")
    with pytest.raises(StructureFileError, match="frames.cif: .*ASE cannot read it"):
        read_structures(path)
    path = tmp_path / "notes.unknown"
    path.write_text("words\n")
    with pytest.raises(StructureFileError, match="notes.unknown: .*ASE cannot read it"):
        read_structures(path)


def test_extended_xyz_is_recognised_by_its_content(tmp_path):
    path = tmp_path / "frames.dat"
    path.write_text(
        "1\nProperties=species:S:1:pos:R:3\nH 0 0 0\n\n"
        "1\nProperties=species:S:1:pos:R:3\nH 0 0 0\n"
    )
    assert len(read_structures(path)) == 2


def test_a_target_that_is_not_finite_names_frame_line_and_key(tmp_path):
    path = tmp_path / "frames.xyz"
    good = "1\nREF_energy=1.0 Properties=species:S:1:pos:R:3:force:R:3\nH 0 0 0 0 0 1\n"
    path.write_text(good + good.replace("1.0", "nan"))
    with pytest.raises(
        StructureFileError,
        match=r"frames.xyz: frame 2, line 5: energy \(key 'REF_energy'\) is not finit",
    ):
        read_structures(path)
    path.write_text(good + good.replace("0 0 1\n", "0 inf 1\n"))
    with pytest.raises(
        StructureFileError,
        match=r"frame 2, line 6: forces \(key 'force'\) is not finite at atom 1; corr",
    ):
        read_structures(path)
    path.write_text(good.replace("REF_energy", "other_energy").replace("1.0", "nan"))
    assert len(read_structures(path)) == 1


def test_a_target_of_another_shape_is_left_alone_unless_it_is_wanted(tmp_path):
    path = tmp_path / "frames.xyz"
    path.write_text(2 * "1\ndipole=1.85 energy=1\nH 0 0 0\n")
    with pytest.warns(
        UserWarning, match=r"frame 1, line 2: dipole must have shape \(3,"
    ):
        frames = read_structures(path)
    assert frames[1].info["dipole"] == 1.85
    assert get_target(frames[1], "energy") == 1.0
    assert len(read_structures(path, targets=["energy"])) == 2
    with pytest.raises(
        StructureFileError, match=r"line 2: dipole must have .*got \(\)"
    ):
        read_structures(path, targets=["dipole"])
    path.write_text('1\nREF_forces="_JSON [[true, false, true]]"\nH 0 0 0\n')
    with pytest.raises(StructureFileError, match="line 2: forces .* must be numbers"):
        read_structures(path, targets=["forces"])


def test_a_key_that_no_frame_has_is_refused(tmp_path):
    with pytest.raises(
        StructureFileError,
        match="three.xyz: no frame has the key 'E' asked for as energy; the first "
        "frame has REF_energy",
    ):
        read_structures(three_frames(tmp_path), keys={"energy": "E"})
