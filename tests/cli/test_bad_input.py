"""The mistakes that users make: one clear line or a defined result, nothing lost.

What is wrong with settings and options is in `test_fit_command`, lonely atoms are in
`test_whole_path`.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from stub_model import make_frames

from lodekit.structures import read_structures, write_structures

BAD_FILES = {
    "empty": ("", "holds no structures"),
    "nan": ("1\nenergy=-1\nH 0 0 nan\n", "frame 1, line 3: nan is not finite|nan"),
    "overlap": ("2\nenergy=-1\nH 0 0 0\nH 0 0 0\n", "atoms 1 and 2 are 0 Å apart"),
    "no cell": ("1\nenergy=-1 pbc=T\nH 0 0 0\n", "no Lattice"),
    "zero cell": (
        '1\nenergy=-1 Lattice="0 0 0 0 0 0 0 0 0" pbc=T\nH 0 0 0\n',
        "frame 1",
    ),
    "short": ("3\nenergy=-1\nH 0 0 0\n", "frame 1"),
    "unknown element": ("1\nenergy=-1\nXx 0 0 0\n", "frame 1"),
    "foreign species": ("1\nenergy=-1\nXe 0 0 0\n", "has Xe, which the model has not"),
    "no file": (None, "there is no such file"),
}
COMMANDS = {
    "predict": ("predict", "m.lodekit", "bad.xyz", "-o", "out.xyz"),
    "evaluate": ("evaluate", "m.lodekit", "bad.xyz", "--report", "out"),
    "fit": ("fit", "bad.xyz", "-o", "out.lodekit"),
    "validation": ("fit", "train.xyz", "--validation", "bad.xyz", "-o", "out.lodekit"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_give_one_line_in_every_command(
    lodekit, built, model, train, command, case
):
    text, message = BAD_FILES[case]
    if case == "foreign species" and command == "fit":
        return  # the model that is fitted knows it
    if text is not None:
        Path("bad.xyz").write_text(text)
    before = sorted(os.listdir())
    status, _, err = lodekit(*COMMANDS[command])
    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("lodekit: error: bad.xyz: ")
    assert any(part in line for part in message.split("|")), line
    assert sorted(os.listdir()) == before


@pytest.mark.filterwarnings("always")
def test_mixed_units_cause_one_line_of_warning(lodekit, built, model):
    frames = [frame for frame in make_frames(30) if len(frame) == 3]
    for index, frame in enumerate(frames):
        unit = 27.211386 if index < 4 else 1.0  # eV in a Hartree
        frame.calc.results["energy"] = (-2080.0 - 0.1 * index) / unit
    write_structures("mixed.xyz", frames)
    status, _, err = lodekit("fit", "mixed.xyz", "--targets", "energy")
    assert status == 0
    lines = [line for line in err.splitlines() if "warning" in line]
    assert len(lines) == 1
    assert "fall into two groups" in lines[0]
    assert "are the units mixed?" in lines[0]


def disk_is_full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "train.xyz", "-o", "m.lodekit", "--overwrite"),
        ("fit", "train.xyz", "-o", "new.lodekit"),
        ("predict", "m.lodekit", "train.xyz", "-o", "old.xyz", "--overwrite"),
        ("predict", "m.lodekit", "train.xyz", "-o", "out.xyz"),
        ("evaluate", "m.lodekit", "train.xyz", "--predictions", "out.xyz"),
        ("evaluate", "m.lodekit", "train.xyz", "--report", "."),
    ],
)
def test_a_full_disk_gives_one_line_and_keeps_what_was_there(
    lodekit, built, model, train, monkeypatch, arguments
):
    for name in ("m.lodekit", "train.xyz"):
        assert Path(name).is_file()
    Path("old.xyz").write_bytes(Path("train.xyz").read_bytes())
    if "--report" in arguments:
        arguments = (*arguments, "--overwrite")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    monkeypatch.setattr(os, "fsync", disk_is_full)
    status, _, err = lodekit(*arguments)
    assert status == 1
    (line,) = err.strip().splitlines()
    assert "could not be written (No space left on device); nothing was changed" in line
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_output_gives_one_line(train):
    code = "import sys; from lodekit.cli.main import main; sys.exit(main())"
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-c", code, "info", train],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert answer.returncode == 1
    line = "lodekit: error: the output: No space left on device\n"
    assert answer.stderr == line


@pytest.mark.parametrize("name", ["/dev/full", "."])
def test_places_that_are_no_files_are_refused(lodekit, built, model, train, name):
    for arguments in (
        ("fit", "train.xyz", "-o", name, "--overwrite"),
        ("predict", "m.lodekit", "train.xyz", "-o", name, "--overwrite"),
    ):
        status, _, err = lodekit(*arguments)
        assert status == 1
        assert "this is not a file, choose another name" in err


SMALL = (
    *("--set", "terms.lode=false", "terms.induction=false", "fit.n_ensemble=2"),
    *("terms.soap.cutoff=3", "terms.soap.max_radial=1", "terms.soap.max_angular=1"),
)


def test_too_few_sparse_points_give_a_model_or_one_line(lodekit, train):
    status, _, err = lodekit("fit", train, *SMALL, "terms.soap.n_sparse=0")
    assert status == 1
    assert "error: n_sparse must be a whole number of at least 1, got 0" in err
    assert not os.path.exists("model.lodekit")
    status, out, err = lodekit("fit", train, *SMALL, "terms.soap.n_sparse=1")
    assert status == 0, err
    assert "nan" not in out


def test_a_singular_system_gives_one_line(lodekit, train):
    # every energy twice, more weights, and next to no noise
    write_structures("twice.xyz", 2 * read_structures(train))
    tiny = ("fit.energy_noise=1e-30", "fit.validation_fraction=0")
    status, _, err = lodekit("fit", "twice.xyz", "--targets", "energy", *SMALL, *tiny)
    assert status == 1
    (line,) = (li for li in err.splitlines() if "error" in li)
    assert "raise the noise" in line
    assert "unexpected" not in line
    assert not os.path.exists("model.lodekit")


def test_single_and_lonely_atoms_go_the_whole_way(lodekit, model):
    lonely = Atoms("OH", [[0, 0, 0], [0, 0, 50]])
    frames = [Atoms("O"), lonely]
    for frame in frames:
        forces = np.zeros((len(frame), 3))
        frame.calc = SinglePointCalculator(frame, energy=-1.0, forces=forces)
    write_structures("lonely.xyz", frames)
    assert lodekit("predict", model, "lonely.xyz", "-o", "out.xyz")[0] == 0
    for frame in read("out.xyz", ":"):
        assert np.isfinite(frame.get_potential_energy())
        np.testing.assert_array_equal(frame.get_forces(), 0.0)
    for command in (("evaluate", model), ("info",)):
        assert lodekit(*command, "lonely.xyz")[0] == 0
