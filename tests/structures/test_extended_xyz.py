import numpy as np
import pytest

from lodekit.errors import StructureFileError
from lodekit.structures import read_structures

WATER = """\
3
Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5
O 0.00 0.00 0.12 0.1 0.2 0.3
H 0.00 0.76 -0.47 -0.1 -0.2 -0.1
H 0.00 -0.76 -0.47 0.0 0.0 -0.2
"""
ION = "1\nProperties=species:S:1:pos:R:3 total_charge=1\nNa 0 0 0\n"


def read_text(folder, text, **options):
    path = folder / "frames.xyz"
    path.write_text(text)
    return read_structures(path, **options)


def replaced(old, new):
    assert old in WATER
    return WATER.replace(old, new)


REFUSED = {
    "a short row": (
        replaced("-0.2 -0.1\n", "-0.2\n"),
        r"frames\.xyz: frame 1, line 4: expected 7 columns "
        r"\(species:S:1:pos:R:3:forces:R:3\), got 6; the line is cut short",
    ),
    "a column that Properties does not name": (
        "1\nProperties=species:S:1:pos:R:3\nO 0 0 0 1.0\n",
        "frame 1, line 3: expected 4 columns .*got 5; name every column in Properties",
    ),
    "an extra column of plain XYZ": ("1\n\nO 0 0 0 1.0\n", "expected 4 columns"),
    "a short last frame": (
        ION + WATER.rsplit("H", 1)[0],
        "frame 2, line 4: expected 3 atoms, but the file ends after 2; the file is cut",
    ),
    "a file that ends after the number of atoms": (ION + "3\n", "ends after 0"),
    "more atoms than announced": (
        "2" + WATER[1:],
        "frame 2, line 5: expected the number of atoms, got 'H 0.00 -0.76 .*frame 1 "
        "may have more atoms than its first line says",
    ),
    "fewer atoms than announced": (
        "4" + WATER[1:] + WATER,
        "line 6: expected 7 columns .*got 1; the frame may have fewer atoms than the 4",
    ),
    "a first line that is no number": (
        "three" + WATER[1:],
        "frame 1, line 1: expected the number of atoms, got 'three'",
    ),
    "no atoms": ("0\n\n" + WATER, "line 1: expected at least one atom, got 0; remove"),
    "stars": (
        replaced("0.76 -0.47 -0.1", "******* -0.47 -0.1"),
        r"frame 1, line 4: expected a number for 'pos', got '\*\*\*\*\*\*\*'; the "
        "number did not fit its field",
    ),
    "a word instead of a number": (replaced("0.3", "x.3"), "line 3: .*'forces'.*'x.3'"),
    "digits with an underscore": (replaced("0.3", "0_3"), "line 3: .*got '0_3'"),
    "a broken whole number": (
        "1\nProperties=species:S:1:pos:R:3:tag:I:1\nO 0 0 0 1.5\n",
        "line 3: expected a whole number for 'tag', got '1.5'",
    ),
    "a whole number of 30 digits": (
        f"1\nProperties=species:S:1:pos:R:3:tag:I:1\nO 0 0 0 {'9' * 30}\n",
        "line 3: expected a whole number for 'tag'",
    ),
    "a broken logical": (
        "1\nProperties=species:S:1:pos:R:3:fixed:L:1\nO 0 0 0 yes\n",
        "line 3: expected T or F for 'fixed', got 'yes'",
    ),
    "a position that is not finite": (
        replaced("-0.76", "nan"),
        "line 5: position 0.0 nan -0.47 is not finite",
    ),
    "an unknown species": (
        replaced("O 0.00", "Xx1 0.00"),
        "line 3: unknown species 'Xx1'; write a chemical symbol",
    ),
    "an atomic number that does not exist": (
        "1\nProperties=Z:I:1:pos:R:3\n200 0 0 0\n",
        "line 3: there is no element with Z = 200",
    ),
    "species and atomic number that differ": (
        "1\nProperties=species:S:1:Z:I:1:pos:R:3\nO 7 0 0 0\n",
        "line 3: species 'O' and Z 7 differ",
    ),
    "a Lattice of eight numbers": (
        replaced("0 0 0 9 0 0 0 9", "0 0 0 9 0 0 0"),
        "frame 1, line 2: Lattice must be nine numbers .*, got 8",
    ),
    "a Lattice of words": (replaced("9 0 0 0 9", "a b c"), "nine numbers .*got 'a b c"),
    "a Lattice of lists": (
        replaced('"9 0 0 0 9 0 0 0 9"', '"_JSON [[9, 0], [9]]"'),
        r"nine numbers .*got \[\[9, 0\], \[9\]\]",
    ),
    "a Lattice that is not finite": (
        replaced('"9 0', '"nan 0'),
        "line 2: the cell holds numbers that are not finite",
    ),
    "a flat cell": (
        replaced("0 9 0 0 0 9", "9 0 0 0 0 9"),
        "line 2: periodic along T T T, but the cell vectors there lie in one plane",
    ),
    "a zero cell": (
        replaced('"9 0 0 0 9 0 0 0 9"', '"0 0 0 0 0 0 0 0 0"'),
        "line 2: periodic along T T T, but the cell vectors .*lengths 0 0 0 Å; give",
    ),
    "periodic flags without a cell": (
        "1\npbc=T Properties=species:S:1:pos:R:3\nO 0 0 0\n",
        "line 2: pbc says periodic, but there is no Lattice; give the cell or write",
    ),
    "periodic flags that are no flags": (
        replaced("energy=", 'pbc="T yes F" energy='),
        "line 2: pbc must be three of T and F, such as .*got 'T yes F'",
    ),
    "two periodic flags": (replaced("energy=", 'pbc="T F" energy='), "pbc must be"),
    "a key that occurs twice": (
        replaced("energy=", "energy=2 energy="),
        "frame 1, line 2: key 'energy' occurs twice",
    ),
    "Properties that are no triples": (
        replaced("forces:R:3", "forces:R"),
        "line 2: Properties must be name:type:columns triples",
    ),
    "Properties without a value": (
        replaced("Properties=", "Properties "),
        "line 2: Properties must be name:type:columns triples .*got 'True'",
    ),
    "Properties with an unknown type": (
        replaced("forces:R:3", "forces:D:3"),
        "gives 'forces' the type 'D'; it must be R, I, S or L",
    ),
    "two columns of one name": (
        replaced("pos:R:3:forces", "forces:R:3:forces"),
        "names two columns 'forces'; keep one",
    ),
    "charge beside charges": (
        "1\nProperties=species:S:1:pos:R:3:charge:R:1:charges:R:1\nO 0 0 0 1 1\n",
        "names two columns 'charges'; keep one",
    ),
    "no positions": (replaced("pos:R:3", "xyz:R:3"), "name the positions as pos:R:3"),
    "no species": (replaced("species:S:1", "kind:S:1"), "species as species:S:1 or Z"),
    "species of two columns": (
        "1\nProperties=species:S:2:pos:R:3\nO O 0 0 0\n",
        "must give the species as species:S:1",
    ),
    "atomic numbers that are not whole": (
        "1\nProperties=Z:R:1:pos:R:3\n8 0 0 0\n",
        "must give the atomic numbers as Z:I:1",
    ),
    "an energy that is a word": (
        replaced("energy=-1.5", "energy=unknown"),
        "line 2: 'energy' must be numbers, got 'unknown'",
    ),
    "an energy of lists": (
        replaced("energy=-1.5", 'energy="_JSON [[1, 2], [3]]"'),
        r"line 2: 'energy' must be numbers, got \[\[1, 2\], \[3\]\]",
    ),
    "a constraint of two columns": (
        "1\nProperties=species:S:1:pos:R:3:move_mask:L:2\nO 0 0 0 T T\n",
        "move_mask must be one or three columns of T and F",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_file_gives_one_line(name, tmp_path):
    text, message = REFUSED[name]
    with pytest.raises(StructureFileError, match=message) as caught:
        read_text(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_blank_lines_between_frames_lose_nothing(tmp_path):
    frames = read_text(tmp_path, f"\n{WATER}\n\n{ION}   \n{WATER}\n\n")
    assert [len(structure) for structure in frames] == [3, 1, 3]
    broken = f"{WATER}\n\n{ION}".replace("Na 0", "Na x")
    with pytest.raises(StructureFileError, match="frame 2, line 10: "):
        read_text(tmp_path, broken)


def test_periodic_flags_are_read_as_meant(tmp_path):
    for written in ('"t t f"', '"T T F"', '"true True FALSE"', '"1 1 0"', "[T, T, F]"):
        text = replaced("energy=", f"pbc={written} energy=")
        assert read_text(tmp_path, text)[0].pbc.tolist() == [True, True, False]
    for written, meant in (("T", True), ("F", False), ("f", False)):
        text = replaced("energy=", f"pbc={written} energy=")
        assert read_text(tmp_path, text)[0].pbc.tolist() == [meant] * 3


def test_a_lattice_means_periodic_and_none_means_open(tmp_path):
    assert read_text(tmp_path, WATER)[0].pbc.all()
    assert not read_text(tmp_path, ION)[0].pbc.any()


def test_a_slab_needs_no_third_vector(tmp_path):
    text = replaced('0 0 9"', '0 0 0"').replace("energy=", 'pbc="T T F" energy=')
    assert read_text(tmp_path, text)[0].pbc.tolist() == [True, True, False]


def test_fortran_exponents_in_columns_are_numbers(tmp_path):
    structure = read_text(tmp_path, replaced("0.76 -0.47", "7.6D-01 -4.7d-1"))[0]
    assert structure.positions[1].tolist() == [0.0, 0.76, -0.47]


def test_logicals_of_every_spelling_are_read(tmp_path):
    rows = "".join(
        f"H {i} 0 0 {word}\n" for i, word in enumerate(["T", "true", "F", "false"])
    )
    text = f"4\nProperties=species:S:1:pos:R:3:marked:L:1\n{rows}"
    marked = read_text(tmp_path, text)[0].arrays["marked"]
    assert marked.tolist() == [True, True, False, False]


def test_plain_xyz_keeps_its_comment(tmp_path):
    structure = read_text(tmp_path, "1\nIt's an atom, from hand\nhe 0 0 0\n")[0]
    assert structure.info == {"comment": "It's an atom, from hand"}
    assert structure.get_chemical_formula() == "He"


def test_windows_line_ends_and_byte_order_marks_do_not_matter(tmp_path):
    path = tmp_path / "frames.xyz"
    path.write_bytes(b"\xef\xbb\xbf" + (WATER + ION).replace("\n", "\r\n").encode())
    assert [len(structure) for structure in read_structures(path)] == [3, 1]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_damage_gives_structures_or_one_line(tmp_path):
    rng = np.random.default_rng(11)
    pieces = ['"', "=", "[", "]", "\\", " ", "\n", "nan", "1e999", "-", "_JSON ", "*"]
    pieces += ["0", "T", "é", ":", "forces", "Lattice=", "pbc=", "stress=", "energies"]
    n_read = 0
    for _ in range(300):
        text = WATER + ION
        for _ in range(rng.integers(1, 4)):
            start = rng.integers(len(text))
            stop = start + rng.choice([0, 1, 2, 5, 20])
            text = text[:start] + rng.choice(pieces) + text[stop:]
        try:
            read_text(tmp_path, text)
            n_read += 1
        except StructureFileError as problem:
            assert "\n" not in str(problem)  # noqa: PT017
    assert 0 < n_read < 300
