"""Files that nobody wrote by hand: one line of refusal in bounded time and memory."""

import gzip
import shutil
import tracemalloc

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write

from lodekit.errors import SettingsError, StructureFileError
from lodekit.structures import get_target, read_structures, write_structures
from lodekit.structures.frame_texts import LONGEST_LINE

PAIR = "2\n{}\nH 0 0 0\nH 0 0 1\n"
DIGITS = 400 * "9"
COLUMNS = "Properties=species:S:1:pos:R:3:{} "


def read_text(folder, text, **options):
    path = folder / "frames.xyz"
    path.write_text(text)
    return read_structures(path, **options)


REFUSED = {
    "an atom count of 1e20": (f"1{20 * '0'}\n\nH 0 0 0\n", "line 1: expected the numb"),
    "an atom count of 10,000 digits": (
        f"{25 * DIGITS}\n\nH 0 0 0\n",
        "line 1: expected the number of atoms, got '999",
    ),
    "an atom count with an underscore": ("1_0\n\nH 0 0 0\n", "atoms, got '1_0'"),
    "400 digits in a dipole": (
        PAIR.format(f'dipole="{DIGITS} 0 0"'),
        "line 2: 'dipole' must be numbers, got '999",
    ),
    "400 digits alone": (PAIR.format(f"energy={DIGITS}"), "'energy' must be numbers"),
    "400 digits in a Lattice": (
        PAIR.format(f'Lattice="{DIGITS} 0 0 0 5 0 0 0 5"'),
        "line 2: Lattice must be nine numbers",
    ),
    "JSON that is 100,000 deep": (
        PAIR.format(f'x="_JSON {100_000 * "["}{100_000 * "]"}"'),
        "line 2: the JSON of key 'x' is nested more than 50 deep",
    ),
    "JSON that is 51 deep": (
        PAIR.format(f'x="_JSON {50 * "["}{{}}{50 * "]"}"'),
        "the JSON of key 'x' is nested more than 50 deep",
    ),
    "a list of texts for an energy": (
        PAIR.format(r'energy="_JSON [\"a\", \"b\"]"'),
        "'energy' must be numbers",
    ),
    "a name that lodekit uses, with text": (
        PAIR.format("target_keys=abc REF_energy=1.0"),
        "line 2: the key 'target_keys' is where lodekit keeps .*; rename it",
    ),
    "a name that lodekit uses, with a number and a virial": (
        PAIR.format('target_keys=3 virial="1 0 0 0 1 0 0 0 1"'),
        "'target_keys' .*; rename it",
    ),
    "a name that lodekit uses, with a list": (
        PAIR.format('target_keys="_JSON [1, 2]" REF_energy=1.0'),
        "'target_keys' .*; rename it",
    ),
    "quotes in the middle of a value": (
        PAIR.format('x=a"b c"d energy=1'),
        """cannot be read from 'x=a"b c"d""",
    ),
    "quotes in the middle of a key": (
        PAIR.format('x=1 a"b y" energy=1'),
        """cannot be read from 'a"b y""",
    ),
    "a quotation mark that swallows the next key": (
        PAIR.format('x=a"b "c y=" d'),
        "cannot be read from",
    ),
    "more columns than anybody has": (
        PAIR.format(COLUMNS.format(":".join(100_001 * ["x:R:1"]))),
        "line 2: Properties names more than 100000 columns",
    ),
    "a column of 1e18 numbers": (
        PAIR.format(COLUMNS.format(f"x:R:1{18 * '0'}")),
        r"line 3: expected 1000000000000000004 columns \(species:S:1:pos:R:3:x:R:1000",
    ),
    "a long line of blanks": ((LONGEST_LINE + 9) * " ", "line 1: there are more than"),
    "many blank lines": ((LONGEST_LINE + 9) * "\n", r"line \d+: there are more than"),
    "a comment line without an end": (
        f"1\n{(LONGEST_LINE + 9) * 'a'}\nH 0 0 0\n",
        "line 2: there are more than 10000000 characters",
    ),
    "an atom without an end": (
        f"1\n\n{(LONGEST_LINE + 9) * '1'}\n",
        "line 3: there are more than 10000000 characters",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_file_gives_one_short_line(name, tmp_path):
    text, message = REFUSED[name]
    with pytest.raises(StructureFileError, match=message) as caught:
        read_text(tmp_path, text)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_a_message_is_one_line_whatever_the_file_holds(tmp_path):
    with pytest.raises(StructureFileError) as caught:
        read_text(
            tmp_path, PAIR.format('"a\u2028\x85\x0b\x00"="1" "a\u2028\x85\x0b\x00"=2')
        )
    assert str(caught.value).isprintable()
    with pytest.raises(StructureFileError) as caught:
        read_text(tmp_path, PAIR.format(f"{100_000 * 'k'}=1 {100_000 * 'k'}=2"))
    assert str(caught.value).endswith("occurs twice; keep one")


ACCEPTED = {
    "[[{}]]": "[[{}]]",
    f"[[{DIGITS}, 1]]": f"[[{DIGITS}, 1]]",
    "[[null, 1]]": "[[null, 1]]",
    '[["1", 2]]': '[["1", 2]]',
    f"[[{20_000 * '['}]]": None,
    f'"_JSON [{DIGITS}, 1.5]"': [int(DIGITS), 1.5],
    f'"{DIGITS} 1"': f"{DIGITS} 1",
}


@pytest.mark.parametrize("written", ACCEPTED)
def test_what_only_looks_like_a_matrix_stays_as_it_is(written, tmp_path):
    meant = ACCEPTED[written]
    text = PAIR.format(f"x={written} energy=1")
    if meant is None:
        with pytest.raises(StructureFileError, match="the comment line cannot be read"):
            read_text(tmp_path, text)
    else:
        assert read_text(tmp_path, text)[0].info["x"] == meant


def test_lists_of_texts_take_no_more_memory_than_their_letters(tmp_path):
    """NumPy would give 1000 short texts the room of the longest, 4 GB."""
    words = ",".join(1000 * [r"\"a\""])
    long = 1_000_000 * "a"
    text = PAIR.format(rf'x="_JSON [{words},\"{long}\"]" dipole="_JSON [\"{long}\",1]"')
    tracemalloc.start()
    with pytest.raises(StructureFileError, match="'dipole' must be numbers"):
        read_text(tmp_path, text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_a_gigabyte_in_a_small_compressed_file_is_not_held(tmp_path):
    path = tmp_path / "bomb.xyz.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"1\n")
        for _ in range(3):
            file.write(LONGEST_LINE * b"a")
    tracemalloc.start()
    with pytest.raises(StructureFileError, match="bomb.xyz.gz: .* more than 10000000"):
        read_structures(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * LONGEST_LINE


def test_a_frame_larger_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lodekit.structures.frame_texts.LARGEST_FRAME", 10_000)
    with pytest.raises(StructureFileError, match="the frame needs more than 0 MB"):
        read_text(tmp_path, "150\n\n" + 150 * "H 0 0 0\n")
    with pytest.raises(StructureFileError, match="got '200', more than lodekit can"):
        read_text(tmp_path, "200\n\n" + 200 * "H 0 0 0\n")


def test_ten_thousand_columns_and_keys_are_read_and_written(tmp_path):
    """A square of them would take minutes."""
    n = 10_000
    columns = COLUMNS.format(":".join(f"c{i}:R:1" for i in range(n)))
    keys = " ".join(f"k{i}={i}" for i in range(n))
    text = f"1\n{columns}{keys}\nH 0 0 0 {n * '1.5 '}\n"
    (structure,) = read_text(tmp_path, text)
    write_structures(tmp_path / "again.xyz", structure)
    (again,) = read_structures(tmp_path / "again.xyz")
    assert again.info == structure.info
    assert again.arrays.keys() == structure.arrays.keys()
    assert again.info[f"k{n - 1}"] == n - 1


def test_the_record_of_an_earlier_reading_is_no_key_of_the_user(tmp_path):
    (structure,) = read_text(tmp_path, PAIR.format("REF_energy=1.0"))
    path = tmp_path / "by_ase.xyz"
    write(path, structure)  # with the record, as JSON
    (again,) = read_structures(path)
    assert "target_keys" not in again.info
    assert get_target(again, "energy") == 1.0


def test_values_that_are_set_aside_replace_nothing(tmp_path):
    text = PAIR.format("REF_energy=1 energy=2 other_energy=3")
    (structure,) = read_text(tmp_path, text)
    assert get_target(structure, "energy") == 1.0
    assert structure.info["other_energy"] == 3
    assert structure.info["other_other_energy"] == 2


@pytest.mark.parametrize(
    ("comment", "units", "message"),
    [
        ("energy=1e308", {"energy": "Hartree"}, "energy is not finite"),
        (
            'Lattice="1e-2 0 0 0 1 0 0 0 1" pbc="F F F" virial="1e308 0 0 0 1 0 0 0 1"',
            None,
            "virial is not finite",
        ),
        (
            'Lattice="0.5 0 0 0 5 0 0 0 5"',
            {"length": "Bohr"},
            r"lengths 0.2646 .*; give the cell .* \(after conversion to Å\)",
        ),
        (
            'Lattice="1e308 0 0 0 5 0 0 0 5" pbc=F',
            {"length": "nm"},
            "not finite .after",
        ),
    ],
)
def test_what_is_not_finite_in_other_units_is_refused(
    tmp_path, comment, units, message
):
    with pytest.raises(StructureFileError, match=message):
        read_text(tmp_path, PAIR.format(comment), units=units)


def test_the_largest_numbers_survive(tmp_path):
    """The mean of both triangles of a matrix is no larger than they are."""
    text = PAIR.format('stress="0 0 0 0 0 1e308 0 1e308 0"')
    write_structures(tmp_path / "again.xyz", read_text(tmp_path, text))
    (structure,) = read_structures(tmp_path / "again.xyz")
    assert get_target(structure, "stress").tolist() == [0, 0, 0, 1e308, 0, 0]


def test_a_mask_that_fixes_nothing_is_no_constraint(tmp_path):
    for kind, words in (("L:1", "T"), ("L:3", "T T T")):
        columns = COLUMNS.format(f"move_mask:{kind}")
        text = f"2\n{columns}\nH 0 0 0 {words}\nH 0 0 1 {words}\n"
        assert not read_text(tmp_path, text)[0].constraints


def test_positions_that_are_not_finite_in_other_units_are_refused(tmp_path):
    text = "1\n\nH 0 0 1e308\n"
    with pytest.raises(
        StructureFileError, match="positions are not finite .after conv"
    ):
        read_text(tmp_path, text, units={"length": "nm"})


def test_a_cell_of_no_finite_volume_has_no_stress(tmp_path):
    lattice = 'Lattice="1e200 0 0 0 1e200 0 0 0 1" pbc=F'
    text = PAIR.format(f'{lattice} virial="1 0 0 0 1 0 0 0 1"')
    (structure,) = read_text(tmp_path, text)
    assert get_target(structure, "stress") is None
    np.testing.assert_array_equal(get_target(structure, "virial"), [1, 1, 1, 0, 0, 0])


@pytest.mark.parametrize(
    "index", ["::0", slice(None, None, 0), "1:2:3:4", 10**30, slice("a"), 1.5, ""]
)
def test_an_index_that_makes_no_sense_is_refused(index, tmp_path):
    with pytest.raises(
        SettingsError, match="index must be a number, a slice or a text"
    ):
        read_text(tmp_path, PAIR.format("energy=1"), index=index)


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(StructureFileError, match="cannot be read .File name too long"):
        read_structures(tmp_path / f"{300 * 'a'}.xyz")


def test_a_name_with_an_at_sign_is_a_name(tmp_path):
    write(tmp_path / "x.traj", molecule("CO"))
    write(tmp_path / "other.traj", [molecule("H2O"), molecule("CH4")])
    shutil.move(tmp_path / "other.traj", tmp_path / "x.traj@0")
    formulas = [str(atoms.symbols) for atoms in read_structures(tmp_path / "x.traj@0")]
    assert formulas == ["OH2", "CH4"]
    write_structures(tmp_path / "y.xyz", Atoms("He"))
    shutil.move(tmp_path / "y.xyz", tmp_path / "y.xyz@:5")
    assert str(read_structures(tmp_path / "y.xyz@:5")[0].symbols) == "He"
