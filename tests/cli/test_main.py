import os
import re
import signal
import subprocess
import sys
import warnings

import click
import pytest

from lodekit import __version__
from lodekit.cli import main as main_module
from lodekit.cli.main import COMMANDS, describe, main
from lodekit.compiled_code import LoopCache
from lodekit.errors import LodekitError

HEAVY = (
    "numpy",
    "scipy",
    "numba",
    "ase",
    "sklearn",
    "metatensor",
    "matplotlib",
    "tqdm",
    *("tomlkit", "jinja2"),
)


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.fixture
def failing(monkeypatch):
    """Make ``lodekit info X`` raise an error."""

    def fail_with(problem):
        @click.command()
        @click.argument("path")
        @click.option("--traceback", is_flag=True, expose_value=False)
        def command(path):
            raise problem

        monkeypatch.setattr("lodekit.cli.info.command", command)

    return fail_with


def test_command_line_imports_nothing_heavy():
    code = (
        "import sys, lodekit.cli.main\n"
        "from importlib import import_module\n"
        "for name in lodekit.cli.main.COMMANDS:\n"
        "    import_module(lodekit.cli.main.module_of(name))\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    answer = run_python(code)
    assert answer.stdout.strip() == "[]", answer.stderr


@pytest.mark.parametrize(
    ("option", "first"), [("--version", f"lodekit {__version__}"), ("--help", "Usage:")]
)
def test_version_and_help_are_told_quickly(option, first):
    code = (
        "import time, sys\n"
        "start = time.process_time()\n"
        "from lodekit.cli.main import main\n"
        f"main(['{option}'])\n"
        "print('lodekit.cli.fit' in sys.modules)\n"
        "print(time.process_time() - start)"
    )
    told, *_, is_imported, seconds = run_python(code).stdout.strip().split("\n")
    assert told.startswith(first)
    assert is_imported == "False"
    assert float(seconds) < 0.2  # of processor time, so that a busy machine passes


def test_help_lists_every_command(lodekit):
    status, out, _ = lodekit("--help")
    assert status == 0
    for name in COMMANDS:
        assert f"\n  {name} " in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(lodekit, name):
    status, out, _ = lodekit(name, "--help")
    assert status == 0
    assert out.startswith(f"Usage: lodekit {name} [OPTIONS]")
    assert "--json" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fot"], "No such command 'fot' (did you mean 'fit'?)"),
        (["fti"], "No such command 'fti' (did you mean 'fit'?)"),
        (["xyz"], "No such command 'xyz'"),
        (["fit"], "Missing argument 'TRAIN.xyz...'"),
        (["fit", "a.xyz", "--cutof", "3"], "No such option '--cutof'"),
        (
            ["fit", "a.xyz", "--targets", "enrgy"],
            "'enrgy' is not one of energy",
        ),
        (["fit", "a.xyz", "--targets", "enrgy"], "(did you mean 'energy'?)"),
        (["fit", "a.xyz", "--threads", "0"], "0 is not in the range x>=1"),
        (["fit", "a.xyz", "--key", "energy"], "'energy' is not of the form name=value"),
        (["info", "a.xyz", "--unit", "a=b", "a=c"], "'a' is given twice"),
        (["predict", "m.lodekit", "a.xyz"], "Missing option '--output'"),
    ],
)
def test_wrong_usage_has_status_two(lodekit, arguments, message):
    status, out, err = lodekit(*arguments)
    assert status == 2
    assert not out
    assert message in err


def test_the_help_of_fit_tells_of_the_baseline(lodekit):
    _, out, _ = lodekit("fit", "--help")
    assert "fit.baseline=isolated-atoms" in "".join(out.split())


def test_no_command_shows_the_help(lodekit):
    status, _, err = lodekit()
    assert status == 2
    assert "Commands:" in err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_that_end_programs_leave_no_hidden_file(
    lodekit, model, train, monkeypatch, tmp_path, name
):
    files = {path.name for path in tmp_path.iterdir()}
    number = getattr(signal, name)
    # under nohup the tests themselves ignore it
    before = signal.signal(number, signal.SIG_DFL)
    try:
        monkeypatch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), number))
        status, _, err = lodekit("predict", model, train, "-o", "out.xyz")
        assert status == 128 + number
        assert err == f"lodekit: ended by {name}; no file is left half written\n"
        assert {path.name for path in tmp_path.iterdir()} == files
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_signals_that_are_ignored_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with main_module.raised_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (LodekitError("file a\nis broken"), "file a is broken"),
        (ValueError("`n_sparse` must be positive"), "`n_sparse` must be positive"),
        (PermissionError(13, "Permission denied", "a.xyz"), "a.xyz: Permission denied"),
        (MemoryError(), "the memory does not suffice (no size given)"),
        (
            KeyError("x"),
            "unexpected KeyError: 'x'; --traceback shows where, please report it",
        ),
    ],
)
def test_errors_are_one_line(lodekit, failing, problem, line):
    failing(problem)
    status, out, err = lodekit("info", "x")
    assert (status, out, err) == (1, "", f"lodekit: error: {line}\n")


@pytest.mark.parametrize(
    "arguments", [["--traceback", "info", "x"], ["info", "x", "--traceback"]]
)
def test_developers_get_the_traceback(failing, arguments):
    failing(LodekitError("here"))
    with pytest.raises(LodekitError, match="here"):
        main(arguments)


def test_interrupt_is_one_line(lodekit, failing):
    failing(KeyboardInterrupt())
    status, out, err = lodekit("info", "x")
    assert (status, out) == (130, "")
    assert err.strip() == "lodekit: interrupted; no file is left half written"


def test_warnings_are_one_line(lodekit, monkeypatch):
    def run(arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("units look\nmixed", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(main_module, "run", run)
    status, _, err = lodekit("info")
    assert (status, err) == (0, "lodekit: warning: units look mixed\n")


def test_reader_that_goes_away_is_no_error():
    code = (
        "import sys\n"
        "from lodekit.cli import main as module\n"
        "def run(arguments):\n"
        "    raise BrokenPipeError\n"
        "module.run = run\n"
        "raise SystemExit(module.main(['info']))"
    )
    answer = run_python(code)
    assert (answer.returncode, answer.stderr) == (1, "")


def test_click_errors_are_described():
    assert describe(click.ClickException("no colour")) == "no colour"


def test_compilation_is_one_line(lodekit, monkeypatch):
    class EmptyCache:
        def load_overload(self, signature, target_context):
            return None

    def compile_twice(arguments):
        for _ in range(2):
            LoopCache(EmptyCache()).load_overload(None, None)
        return 0

    monkeypatch.setattr(main_module, "run", compile_twice)
    line = "compiling loops, once: the first run takes up to a minute longer"
    assert lodekit("info", "x") == (0, "", f"lodekit: {line}\n")


def test_python_m_lodekit_is_the_command():
    answer = subprocess.run(
        [sys.executable, "-m", "lodekit", "--version"], capture_output=True, text=True
    )
    assert answer.stdout == f"lodekit {__version__}\n"


def test_citation_is_bibtex(lodekit):
    status, out, _ = lodekit("--citation")
    assert status == 0
    assert out.startswith("@software{lodekit,")
    assert out.count("@") == 3


def test_verbose_tells_steps_and_quiet_no_progress(lodekit, train):
    from lodekit.logs import LOG, shows_bars

    arguments = ("fit", train, "--set", "fit.energy_noise=1e-3", "--overwrite")
    terms = ["--targets", "energy"]
    status, _, err = lodekit(*arguments, *terms, "-v")
    assert status == 0
    assert re.search(r"^\d\d:\d\d:\d\d sparse points: \d+\.\d\d s$", err, re.M)
    status, out, err = lodekit(*arguments, *terms, "-q")
    assert (status, err) == (0, "")
    assert "wrote the model" in out
    assert shows_bars()
    assert not LOG.handlers


def test_shells_complete_commands(monkeypatch, capsys):
    monkeypatch.setenv("_LODEKIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "lodekit ev")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit, match="0"):
        main([])
    assert "evaluate" in capsys.readouterr().out
