"""Every key and column of a file, its values, and choosing frames by them."""

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms

from lodekit.errors import StructureError
from lodekit.structures import (
    audit_structures,
    format_audit,
    get_target,
    read_structures,
)
from lodekit.structures.contents import (
    describe_contents,
    drop_key,
    info_value,
    matches,
)

TEXT = """\
2
Properties=species:S:1:pos:R:3:gap_forces:R:3:kind:S:1 REF_energy=-1.5 energy=2 \
T=300.0 label="a b" ok=T field="0 0 1" notes="_JSON {}" charge=1 \
virial="1 0 0 0 1 0 0 0 1" Lattice="9 0 0 0 9 0 0 0 9"
H 0 0 0 1 2 3 a
H 0 0 1 4 5 6 b
1
Properties=species:S:1:pos:R:3 REF_energy=-2.5 T=400.0 label=c charge=0 sizes="1 2"
H 0 0 0
"""


@pytest.fixture
def frames(tmp_path):
    (tmp_path / "a.xyz").write_text(TEXT)
    return read_structures(tmp_path / "a.xyz")


def test_every_key_and_column_is_described(frames):
    contents = {
        (entry["key"], entry["of"]): (
            entry["type"],
            entry["shape"],
            entry["frames"],
            entry["values"],
            entry["target"],
        )
        for entry in describe_contents(frames)
    }
    assert contents == {
        ("REF_energy", "frame"): ("number", "", 2, "-1.5 (1), -2.5 (1)", "energy"),
        ("energy", "frame"): ("whole number", "", 1, "2 (1)", None),
        ("T", "frame"): ("number", "", 2, "300.0 (1), 400.0 (1)", None),
        ("label", "frame"): ("text", "", 2, "a b (1), c (1)", None),
        ("ok", "frame"): ("true or false", "", 1, "True (1)", None),
        ("field", "frame"): ("whole number", "3", 1, "0, 1", None),
        ("notes", "frame"): ("dictionary", "", 1, "{} (1)", None),
        ("charge", "frame"): ("number", "", 2, "1.0 (1), 0.0 (1)", "total_charge"),
        ("virial", "frame"): ("number", "6", 1, "-0.0013717, 0", "stress"),
        ("sizes", "frame"): ("whole number", "2", 1, "1, 2", None),
        ("gap_forces", "atoms"): ("number", "3", 1, "1, 2, 3, 4, 5, 6", None),
        ("kind", "atoms"): ("text", "", 1, "a (1), b (1)", None),
    }


def test_many_values_are_a_range_or_a_number_of_texts():
    frames = [Atoms("H", info={"x": float(i), "name": f"n{i // 2}"}) for i in range(20)]
    frames[3].info["x"] = "seven"
    frames[4].info["long"] = 100 * "a"
    frames[4].info["ragged"] = [[1], [2, 3]]
    x, name, long, ragged = describe_contents(frames)
    assert (ragged["type"], ragged["shape"]) == ("list", "2")
    assert (x["type"], x["values"].endswith("(20 different)")) == ("mixed", True)
    assert name["values"] == "n0, n1, n2, ... (10 different)"
    assert long["values"] == f"{21 * 'a'}... (1)"
    del frames[3]
    assert describe_contents(frames)[0]["values"] == "0 to 19"


def test_the_audit_lists_them(frames):
    report = audit_structures(frames)
    lines = format_audit(report).splitlines()
    (line,) = [line for line in lines if line.startswith("gap_forces")]
    assert " ".join(line.split()) == "gap_forces atoms number 3 1 1, 2, 3, 4, 5, 6"
    assert report["keys"] == describe_contents(frames)
    assert "no keys and columns beside" in format_audit(audit_structures(Atoms("H")))


def test_fixed_atoms_are_listed():
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 1]], constraint=FixAtoms([0]))
    (entry,) = describe_contents([atoms])
    assert (entry["key"], entry["values"]) == ("constraints", "FixAtoms (1)")


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (300.0, "300", True),
        (300, "300.0", True),
        (300.0, "3e2", True),
        (300.5, "300", False),
        (True, "T", True),
        (True, "true", True),
        (False, "T", False),
        (True, "1", False),
        (1, "T", False),
        ("300K", "300K", True),
        ("a b", "a b", True),
        ("a", "b", False),
        (np.array([1.0, 2.0]), "1 2", True),
        (np.array([1, 2]), "1.0 2.0", True),
        (np.array([1, 2]), "1", False),
        ([True, False], "T F", True),
        ("x", "_JSON [", False),
        (None, "None", False),
        ({"a": 1}, "a", False),
    ],
)
def test_a_value_is_compared_as_what_it_is(value, text, expected):
    assert matches(value, text) is expected


def test_keys_that_were_moved_are_known_by_their_names_in_the_file(frames):
    assert [info_value(frame, "charge") for frame in frames] == [1.0, 0.0]
    assert [info_value(frame, "total_charge") for frame in frames] == [1.0, 0.0]
    assert info_value(frames[1], "REF_energy") == -2.5
    assert info_value(frames[1], "energy") == -2.5
    assert info_value(frames[0], "kind") is None
    assert info_value(frames[0], "nothing") is None


def test_ignored_keys_are_as_if_they_were_not_there(frames):
    drop_key(frames, "gap_forces")
    drop_key(frames, "T")
    drop_key(frames, "energy")  # the one that is not read
    assert not any("gap_forces" in frame.arrays for frame in frames)
    assert not any(
        "T" in frame.info or "other_energy" in frame.info for frame in frames
    )
    assert get_target(frames[0], "energy") == -1.5
    with pytest.raises(StructureError, match="'REF_energy' is read as energy: choose"):
        drop_key(frames, "REF_energy")
    with pytest.raises(StructureError, match="no frame has the key 'T' that is to be"):
        drop_key(frames, "T")
