import tomllib

import pytest

from lodekit.cli.options import flatten, parse_pairs, spread_values
from lodekit.cli.settings import (
    complete,
    merge,
    parse_assignments,
    read_settings_file,
)
from lodekit.cli.toml_text import format_toml
from lodekit.errors import SettingsError

DEFAULTS = {
    "fit": {"targets": ["energy"], "energy_noise": "auto"},
    "terms": {
        "soap": {"type": "soap", "cutoff": 5.0, "n_sparse": 100},
        "lode": {"type": "lode", "smearing": 1.0},
    },
}


def test_options_take_values_in_a_row():
    given = "train.xyz --targets energy forces --json --set a.b=c d.e=f"
    meant = "train.xyz --targets energy --targets forces --json --set a.b=c --set d.e=f"
    assert spread_values(given.split(" "), {"--targets", "--set"}) == meant.split(" ")


def test_a_file_ends_the_values_of_an_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").touch()
    for file in ("train.xyz", "data/train", "model"):
        arguments = ["--targets", "energy", "forces", file, "forces"]
        spread = spread_values(arguments, {"--targets"})
        assert spread == ["--targets", "energy", "--targets", "forces", file, "forces"]


def test_a_value_with_an_equal_sign_is_no_file():
    spread = spread_values(["--key", "energy=a.b", "forces=c/d"], {"--key"})
    assert spread == ["--key", "energy=a.b", "--key", "forces=c/d"]


def test_nothing_is_spread_after_two_dashes():
    arguments = ["--targets", "energy", "--", "forces"]
    assert spread_values(arguments, {"--targets"}) == arguments


def test_repeated_names_count_once():
    groups = [("energy", "forces"), ("forces", "stress")]
    assert flatten(groups) == ["energy", "forces", "stress"]


def test_pairs_may_hold_more_equal_signs():
    assert parse_pairs(["energy=a=b"], "--key") == {"energy": "a=b"}


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("fit.x=1e-3", 1e-3),
        ("fit.x=5", 5),
        ("fit.x=true", True),
        ("fit.x=[1, 2]", [1, 2]),
        ("fit.x='a b'", "a b"),
        ("fit.x=isolated-atoms", "isolated-atoms"),
        ("fit.x={H = -13.6}", {"H": -13.6}),
    ],
)
def test_values_are_toml_and_words_need_no_quotes(assignment, value):
    assert parse_assignments([assignment]) == {"fit": {"x": value}}


@pytest.mark.parametrize("assignment", ["fit", "fit=1", "x.=1", "=1", ".a=2"])
def test_assignments_name_section_and_key(assignment):
    with pytest.raises(SettingsError, match="--set is written section.key=value"):
        parse_assignments([assignment])


def test_values_that_are_no_toml_are_refused():
    with pytest.raises(SettingsError, match=r"--set fit.x=\[1: '\[1' is not a value"):
        parse_assignments(["fit.x=[1"])


def test_a_value_cannot_become_a_section():
    with pytest.raises(SettingsError, match="--set fit.a.b=2: 'a' is set to a value"):
        parse_assignments(["fit.a=1", "fit.a.b=2"])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("ft.x=1", r"unknown section \[ft\] \(did you mean 'fit'\?\); known: struct"),
        ("run.outptu=a", r"unknown key 'outptu' in \[run\] \(did you mean 'output'"),
        ("structures.zebra=a", r"unknown key 'zebra' in \[structures\]; known: keys"),
        ("terms.soap=3", "terms.soap is a section with keys, or false to leave it out"),
    ],
)
def test_unknown_names_come_with_a_suggestion(assignment, message):
    with pytest.raises(SettingsError, match=message):
        parse_assignments([assignment])


def test_settings_file_is_read(tmp_path):
    (tmp_path / "s.toml").write_text('[structures]\nkeys = {energy = "E"}\n')
    settings = read_settings_file(tmp_path / "s.toml")
    assert settings == {"structures": {"keys": {"energy": "E"}}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[fit\n", "s.toml: this is not TOML: .*line 1"),
        (b"\xff\xfe", "s.toml: this is not TOML: .*decode"),
        (b"[fti]\n", r"s.toml: unknown section \[fti\] \(did you mean 'fit'\?\)"),
        (b"fit = 3\n", "s.toml: 'fit' is a section with keys, not a value"),
    ],
)
def test_bad_settings_files_give_one_line(tmp_path, content, message):
    (tmp_path / "s.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=message) as caught:
        read_settings_file(tmp_path / "s.toml")
    assert "\n" not in str(caught.value)


def test_missing_settings_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"s.toml: cannot be read \(No such file"):
        read_settings_file(tmp_path / "s.toml")


def test_merging_changes_neither_side():
    base, change = {"a": {"b": 1, "c": [2]}}, {"a": {"b": 3}}
    assert merge(base, change) == {"a": {"b": 3, "c": [2]}}
    assert base == {"a": {"b": 1, "c": [2]}}
    assert change == {"a": {"b": 3}}


def test_defaults_hold_where_nothing_is_said():
    assert complete(DEFAULTS, {}, {}) == DEFAULTS


def test_overrides_beat_the_file_and_the_file_beats_defaults():
    given = {"fit": {"energy_noise": 0.1, "targets": ["forces"]}}
    settings = complete(DEFAULTS, given, {"fit": {"energy_noise": 0.2}})
    assert settings["fit"] == {"targets": ["forces"], "energy_noise": 0.2}


def test_terms_of_a_file_take_the_place_of_the_default_ones():
    given = {"terms": {"soap": {"cutoff": 4.0}, "far": {"type": "soap", "cutoff": 8}}}
    terms = complete(DEFAULTS, given, {})["terms"]
    assert terms == {
        "soap": {"type": "soap", "cutoff": 4.0, "n_sparse": 100},
        "far": {"type": "soap", "cutoff": 8},
    }


def test_a_term_of_another_type_takes_nothing_from_its_namesake():
    given = {"terms": {"soap": {"type": "lode", "smearing": 2.0}}}
    assert complete(DEFAULTS, given, {})["terms"] == given["terms"]


def test_a_term_can_be_left_out():
    overrides = parse_assignments(["terms.lode=false"])
    assert list(complete(DEFAULTS, {}, overrides)["terms"]) == ["soap"]


@pytest.mark.parametrize("value", ["none", "None", "'none'", "false"])
def test_none_and_false_leave_a_term_out(value, tmp_path):
    overrides = parse_assignments([f"terms.lode={value}"])
    assert list(complete(DEFAULTS, {}, overrides)["terms"]) == ["soap"]
    (tmp_path / "s.toml").write_text('[terms]\nlode = "none"\n[terms.soap]\n')
    settings = read_settings_file(tmp_path / "s.toml")
    assert list(complete(DEFAULTS, settings, {})["terms"]) == ["soap"]


def test_a_term_can_be_added():
    overrides = parse_assignments(["terms.far.type=soap", "terms.far.cutoff=8"])
    terms = complete(DEFAULTS, {}, overrides)["terms"]
    assert terms["far"] == {"type": "soap", "cutoff": 8}
    assert set(terms) == {"soap", "lode", "far"}


def test_a_misspelt_term_comes_with_a_suggestion():
    overrides = parse_assignments(["terms.sop.cutoff=4"])
    message = r"unknown term 'sop' \(did you mean 'soap'\?\); known: soap, lode"
    with pytest.raises(SettingsError, match=message):
        complete(DEFAULTS, {}, overrides)


def test_written_toml_is_read_back():
    settings = {
        "structures": {"keys": {"energy": "my energy", "a b": "c"}},
        "fit": {
            "targets": ["energy", "forces"],
            "noise": 1e-6,
            "n": 3,
            "on": True,
            "text": 'quotes " and \\ and Å',
            "baseline": {"H": -13.6, "O": 1e20},
        },
        "terms": {"soap": {"type": "soap", "cutoff": 5.0}, "two words": {"a": []}},
        "empty": {},
    }
    assert tomllib.loads(format_toml(settings)) == settings


def test_none_is_a_word_of_settings_files_and_comes_back(tmp_path):
    settings = {
        "fit": {"hardness": None, "n": 1},
        "terms": {"soap": {"type": "soap"}},
        "potential": {"fit": {"targets": None}, "terms": {}},
    }
    (tmp_path / "s.toml").write_text(format_toml(settings))
    assert 'hardness = "none"' in (tmp_path / "s.toml").read_text()
    assert read_settings_file(tmp_path / "s.toml") == settings


def test_set_takes_none_for_what_is_not_there():
    given = parse_assignments(
        ["fit.hardness=none", "terms.lode=none", "potential.terms.wide=none"]
    )
    assert given == {
        "fit": {"hardness": None},
        "terms": {"lode": False},
        "potential": {"terms": {"wide": False}},
    }


def test_toml_holds_no_objects():
    with pytest.raises(TypeError, match="TOML cannot hold <object"):
        format_toml({"fit": {"a": object()}})
