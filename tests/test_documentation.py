"""Everything that the README and the docs tell a user to type is accepted.

Command lines go through the real parser and the real checks of settings, without being
run; Python blocks are compiled, and names and arguments of lodekit in them must exist.
What takes milliseconds is run.
"""

import ast
import importlib
import inspect
import json
import pathlib
import re
import shlex
import tomllib

import click
import numpy as np
import pytest
from ase import Atoms

from lodekit import read_structures
from lodekit.cli import settings as cli_settings
from lodekit.cli.fit_options import gather
from lodekit.cli.fit_run import FitRun
from lodekit.cli.kinds import KINDS
from lodekit.cli.main import COMMANDS, commands, main
from lodekit.errors import SettingsError, StructureError

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    \S.*$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
#: What stands for a value of the user's, and a value.
PLACEHOLDERS = {"N": "1", "COMMAND": "fit", "KIND": "potential"}
PUBLIC = ("models", "descriptors", "electrostatics", "calculators", "metrics")


def blocks(path, language):
    """Fenced blocks of a language, with the line they begin in."""
    text = path.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        if found[2] == language:
            yield text[: found.start()].count("\n") + 2, found[3]


def find_blocks(language):
    return [
        pytest.param(path, line, block, id=f"{path.name}:{line}")
        for path in PAGES
        for line, block in blocks(path, language)
    ]


def code_of(path):
    """Indented lines (True: complete commands) and code in running text of a page."""
    text = FENCE.sub("", path.read_text(encoding="utf-8")).replace("\\\n", "")
    for line in INDENTED.findall(text):
        for part in line.split("&&"):
            yield part.split(" > ")[0].strip(), True
    for span in SPAN.findall(INDENTED.sub("", text)):
        yield " ".join(span.split()), False


def find_code(pattern):
    return [
        pytest.param(code, complete, id=f"{path.name}: {code[:60]}")
        for path in PAGES
        for code, complete in dict.fromkeys(code_of(path))
        if re.match(pattern, code)
    ]


def words_of(code):
    words = shlex.split(code, comments=True)
    return [PLACEHOLDERS.get(word, word) for word in words]


@pytest.fixture(scope="module")
def frames():
    return read_structures(ROOT / "examples/data/dimers.xyz", index=slice(100, 104))


def parse(name, arguments, complete):
    """Parse the arguments of a command, and return its context where it would run."""
    command = commands.get_command(None, name)
    assert command is not None, f"lodekit has no command {name}"
    arguments = list(arguments)
    while True:
        try:
            return command.make_context(name, list(arguments))
        except click.exceptions.Exit:  # --help
            return None
        except click.BadOptionUsage:  # an option without its value
            if complete:
                raise
            return None
        except click.MissingParameter as missing:
            if complete:
                raise
            # what a fragment leaves out
            is_option = isinstance(missing.param, click.Option)
            before = [missing.param.opts[-1]] if is_option else []
            is_number = isinstance(missing.param.type, click.IntRange)
            arguments += [*before, "1" if is_number else "FILE.xyz"]


def check_fit(options, frames):
    """Check the settings of a fit, without a fit."""
    options["settings"] = None  # files of the user
    given, overrides = gather(options)
    if not {*(overrides.get("fit") or {}).get("targets", [])} - {"energy", "forces"}:
        FitRun("FILE.xyz", given, overrides, True).choose_settings(frames)


@pytest.mark.parametrize(("code", "complete"), find_code(r"lodekit( |$)"))
def test_commands_are_accepted(code, complete, frames):
    words = words_of(code)[1:]
    if not words or words[0].startswith("-"):
        assert set(words) <= {"--version", "--citation", "--help", "--traceback"}
        return
    # a word that stands for one of the names that an option takes
    words = [
        "potential" if word == "MODEL" and before == "--model" else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    context = parse(words[0], words[1:], complete)
    if words[0] == "fit" and context:
        check_fit(dict(context.params, as_json=True), frames)


@pytest.mark.parametrize(("code", "complete"), find_code(r"--[a-z]"))
def test_options_in_the_text_exist(code, complete, frames):
    words = words_of(code)
    options = {
        option
        for name in COMMANDS
        for parameter in commands.get_command(None, name).params
        for option in parameter.opts
    }
    scripts = "".join(p.read_text("utf-8") for p in (ROOT / "benchmarks").glob("*.py"))
    options |= set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', scripts))
    options |= {"--version", "--help"}
    for word in words:
        assert not word.startswith("--") or word in options, f"no command has {word}"
    assignments = [word for word in words if "=" in word]
    has_placeholders = re.search(r"[A-Z]{2}", " ".join(assignments))
    if "--set" in words and assignments and not has_placeholders:
        accepted = [is_accepted(kind, words, frames) for kind in KINDS]
        assert any(accepted), f"no kind of model takes {code}"


def is_accepted(kind, words, frames):
    """Whether the settings of some options are those of a kind of model."""
    words = [word for word in words if word not in ("--model", kind)]
    context = parse("fit", ["FILE.xyz", "--model", kind, *words], True)
    try:
        check_fit(dict(context.params, as_json=True), frames)
    except (SettingsError, StructureError):  # or its targets are not in these frames
        return False
    return True


@pytest.mark.parametrize(
    ("code", "complete"), find_code(r"([A-Z_]+=\S+ )?python (benchmarks|examples)/")
)
def test_scripts_and_their_options_exist(code, complete):
    words = [word for word in shlex.split(code, comments=True) if "=" not in word]
    script = ROOT / words[1]
    assert script.is_file(), f"there is no {words[1]}"
    sources = "".join(path.read_text("utf-8") for path in script.parent.glob("*.py"))
    own = script.read_text("utf-8")
    for word in words[2:]:
        if word.startswith("--"):
            assert f'"{word}"' in own, f"{words[1]} has no option {word}"
        elif re.fullmatch(r"[a-z]\w+", word):
            assert re.search(rf"\b{word}\b", sources), f"{words[1]} knows no {word}"


@pytest.mark.parametrize(("path", "line", "block"), find_blocks("python"))
def test_python_blocks_use_what_exists(path, line, block):
    tree = ast.parse(block)
    compile(tree, f"{path.name}:{line}", "exec")
    names = {}
    for package in PUBLIC:
        names |= vars(importlib.import_module(f"lodekit.{package}"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("lodekit"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"no {alias.name} in {node.module}"
                names[alias.asname or alias.name] = getattr(module, alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = names.get(node.func.id)
            if called is not None:
                check_arguments(called, node)


def check_arguments(called, node):
    """Check that a function or class takes the arguments of a call."""
    keywords = {keyword.arg: None for keyword in node.keywords if keyword.arg}
    inspect.signature(called).bind_partial(*[None] * len(node.args), **keywords)


@pytest.mark.parametrize(("path", "line", "block"), find_blocks("toml"))
def test_settings_in_the_docs_are_complete_and_known(path, line, block):
    settings = tomllib.loads(block)
    cli_settings.check_sections(settings)
    settings.get("fit", {}).pop("noise_by", None)  # of frames, not of the model
    kind = KINDS[kind_of(settings)]
    targets = settings.get("fit", {}).get("targets")
    frames = [Atoms("OH", [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])]
    defaults = kind.default_settings(frames, targets)
    kind.check_settings(cli_settings.complete(defaults, settings, {}))


def kind_of(settings):
    """Return the kind of model that a block of settings is about."""
    fit = settings.get("fit", {})
    telling = {"hardness": "kqeq", "spherical": "tensor"}
    named = [kind for key, kind in telling.items() if key in fit]
    return settings.get("run", {}).get("model") or (named or ["potential"])[0]


@pytest.mark.parametrize(("path", "line", "block"), find_blocks("json"))
def test_json_in_the_docs_is_json(path, line, block):
    assert json.loads(block)


def run_blocks(page, **names):
    """Run all Python blocks of a page, one after the other, and return the names."""
    for line, block in blocks(ROOT / "docs" / page, "python"):
        exec(compile(block, f"{page}:{line}", "exec"), names)
    return names


def test_blocks_about_electrostatics_run():
    from lodekit import electrostatics

    atoms = Atoms("H2O", [[0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [0.0, 0.8, 0.0]])
    charges, vectors = np.array([0.4, 0.4, -0.8]), np.ones((3, 3))
    names = run_blocks(
        "electrostatics.md",
        atoms=atoms,
        charges=charges,
        a=charges,
        b=charges,
        points=np.ones((2, 3)),
        positions=atoms.positions,
        cell=atoms.cell[:],
        pbc=atoms.pbc,
        dipoles=vectors,
        quadrupoles=np.zeros((3, 3, 3)),
        MultipoleInteraction=electrostatics.MultipoleInteraction,
        MultipoleMatrix=electrostatics.MultipoleMatrix,
    )
    energy = 0.5 * charges @ names["potential"]
    assert names["result"].energy == pytest.approx(energy)


def test_blocks_about_descriptors_run():
    names = run_blocks("descriptors.md")
    assert names["points"].table.values.size > 0


def test_commands_that_take_milliseconds_run(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["--version"]) == 0
    assert main(["info", "examples/data/water_clusters.xyz"]) == 0
    assert "80" in capsys.readouterr().out


#: Rooms whose names users import.
PUBLIC = ("structures", "descriptors", "electrostatics", "regression", "density")
PUBLIC += ("models", "calculators", "metrics", "analysis.audit")


@pytest.mark.parametrize("room", PUBLIC)
def test_the_reference_has_every_public_name(room):
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    module = importlib.import_module(f"lodekit.{room}")
    names = module.__all__
    missing = [name for name in names if f"lodekit.{room}.{name}" not in reference]
    assert not missing


def test_every_page_is_in_the_navigation():
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    trees = re.findall(r"```\{toctree\}\n.*?\n\n(.*?)```", index, re.DOTALL)
    listed = [name for tree in trees for name in tree.split()]
    pages = {path.stem for path in ROOT.glob("docs/*.md")} - {"index"}
    assert set(listed) - {"gallery/index"} == pages
    assert len(listed) == len(set(listed))


def test_every_numbered_example_is_a_page_of_the_gallery():
    for path in sorted((ROOT / "examples").glob("[0-9]*.py")):
        title, line, *_ = ast.get_docstring(ast.parse(path.read_text())).splitlines()
        assert set(line) == {"="}, path.name
        assert len(line) == len(title)
