"""Every mistake with models of charges ends in one line, and in no file."""

import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read

from lodekit.structures import write_structures

SETTINGS = """
[terms.soap]
type = "soap"
cutoff = 3.0
max_radial = 1
max_angular = 1
n_sparse = 4
"""


def molecules(n_frames=6, total=0.0, pbc=False):
    """Bent molecules whose charges depend on their shape."""
    random = np.random.default_rng(3)
    frames = []
    for _ in range(n_frames):
        positions = [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]
        atoms = Atoms("OH2", positions, cell=[8, 8, 8], pbc=pbc)
        atoms.rattle(0.05, rng=random)
        charges = np.array([-0.8, 0.4, 0.4]) + total / 3
        charges[:2] += [-0.1, 0.1] * random.normal(size=1)
        atoms.info["total_charge"] = total
        atoms.calc = SinglePointCalculator(
            atoms,
            charges=charges,
            dipole=charges @ atoms.positions,
            energy=-10.0,
            forces=np.zeros((3, 3)),
        )
        frames.append(atoms)
    return frames


@pytest.fixture
def fit(lodekit):
    """Fit frames with some arguments; return status, output and errors."""
    Path("s.toml").write_text(SETTINGS)

    def run(frames, kind, *arguments):
        write_structures("train.xyz", frames, overwrite=True)
        given = ("--model", kind, "--settings", "s.toml", *arguments)
        return lodekit("fit", "train.xyz", *given)

    return run


def check_one_line(answer, message, file="model.lodekit"):
    status, _, err = answer
    assert status == 1
    (line,) = (li for li in err.splitlines() if li.startswith("lodekit: error: "))
    assert message in line
    assert "unexpected" not in line
    assert not os.path.exists(file)


def without_total_charge(frames, index):
    del frames[index].info["total_charge"]
    return frames


@pytest.mark.parametrize("kind", ["charges", "dipole", "kqeq"])
def test_total_charges_that_are_missing_are_named(fit, kind):
    frames = without_total_charge(molecules(3, 1.0) + molecules(3), 4)
    message = "total_charge is missing in 1 of 6 frames"
    check_one_line(fit(frames, kind), message)


@pytest.mark.parametrize("kind", ["charges", "kqeq"])
def test_charges_that_do_not_sum_to_the_total_charge_are_named(fit, kind):
    frames = molecules(4)
    frames[2].calc.results["charges"] += 0.1
    message = "sum to 0.300 e, its total charge is 0 e; set total_charge in the file"
    check_one_line(fit(frames, kind), message)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("charges", ["--targets", "energy"], "charges need charges, a dipole, a"),
        ("charges", ["--targets", "polarisation"], "'polarisation' is not one of"),
        ("potential", ["--targets", "charges"], "cannot be fitted to charges; it can"),
        ("kqeq", ["--targets", "quadrupole"], "no frame has quadrupole (looked for"),
        ("kqeq", ["--max-multipole", "1"], "[fit] has an unknown key 'max_multipole'"),
        (
            "charges",
            ["--max-multipole", "2", "--set", "terms.soap.max_angular=0"],
            "of order 1 need a first descriptor with a max_angular of at least 1, got",
        ),
        (
            "charges",
            ["--set", "potential.fit.energy_noise=1e-3"],
            "[potential] is fitted to energy, forces or stress; name some",
        ),
        (
            "charges",
            ["--targets", "charges,energy", "--set", "potential.fit.enrgy_noise=1"],
            "[potential]: [fit] has an unknown key 'enrgy_noise'; known: selec",
        ),
        (
            "charges",
            ["--targets", "charges,energy", "--set", "potential.terms.sop.cutoff=3"],
            "unknown term 'sop' (did you mean 'soap'?)",
        ),
        (
            "kqeq",
            [
                *("--targets", "charges,energy"),
                *("--set", "fit.energy_noise=1e-3"),
                *("--set", "fit.learn_from_energies=false"),
            ],
            "fit.energy_noise needs fit.learn_from_energies = true",
        ),
        (
            "charges",
            ["--targets", "charges,energy", "--set", "potential.fit.energy_noise=1e-3"],
            "potential.fit.energy_noise has no use where charges and remainder are one",
        ),
        (
            "kqeq",
            ["--set", "fit.learn_from_energies=yes"],
            "[fit] learn_from_energies must be true or false, got 'yes'",
        ),
        (
            "kqeq",
            ["--targets", "energy", "--set", "fit.hardness=fit"],
            "hardness and widths are fitted to charges or moments",
        ),
        (
            "kqeq",
            ["--set", "fit.hardness={H = 10.0}"],
            "hardness needs a positive number in V/e for O, got None",
        ),
        ("kqeq", ["--set", "fit.hardness=0"], "hardness must be a positive number"),
        (
            "kqeq",
            ["--set", "fit.hardness=surroundings"],
            "'fit' or 'environment', got 'surroundings'",
        ),
        ("kqeq", ["--set", "fit.widths=wide"], "widths must be a positive number"),
        (
            "charges",
            ["--set", "fit.quadrupole_noise=0.1"],
            "noises name 'quadrupole', which is not among the targets",
        ),
        ("dipole", ["--set", "fit.hardness=1"], "[fit] has an unknown key 'hardness'"),
        ("charges", ["--set", "fit.charge_width=-1"], "charge_width must be a length"),
    ],
)
def test_contradictory_settings_give_one_line(fit, kind, arguments, message):
    status, out, err = fit(molecules(), kind, *arguments)
    if "is not one of" in message:
        assert (status, message in err) == (2, True)
        return
    check_one_line((status, out, err), message)


def test_dipoles_of_periodic_structures_are_refused(fit):
    frames = molecules(pbc=True)
    message = "the dipole of a periodic structure is not a sum over charges"
    check_one_line(fit(frames, "charges", "--targets", "charges", "dipole"), message)
    assert fit(frames, "charges")[0] == 0  # to charges alone


def predict(lodekit, frames, *arguments):
    write_structures("new.xyz", frames, overwrite=True)
    return lodekit("predict", "model.lodekit", "new.xyz", "-o", "out.xyz", *arguments)


def test_predictions_ask_for_total_charges(fit, lodekit):
    assert fit(molecules(3, 1.0) + molecules(3), "charges")[0] == 0
    answer = predict(lodekit, without_total_charge(molecules(3), 1))
    check_one_line(answer, "new.xyz: frame 2 has no total_charge", "out.xyz")
    write_structures("new.xyz", without_total_charge(molecules(3), 1), overwrite=True)
    answer = lodekit("evaluate", "model.lodekit", "new.xyz", "--predictions", "out.xyz")
    check_one_line(answer, "new.xyz: frame 2 has no total_charge", "out.xyz")


def test_fields_need_a_response_and_an_open_direction(fit, lodekit):
    field = ("--field", "0", "0", "-0.1")
    assert fit(molecules(), "charges")[0] == 0
    message = "a ChargeModel has no response to a field; fit a ChargeEquilibrationModel"
    check_one_line(predict(lodekit, molecules(), *field), message, "out.xyz")
    assert fit(molecules(), "kqeq", "--overwrite")[0] == 0
    message = "has a component along a periodic direction"
    answer = predict(lodekit, molecules(2) + molecules(2, pbc=True), *field)
    check_one_line(answer, message, "out.xyz")
    answer = predict(lodekit, molecules(), "--field", "0", "nan", "0")
    check_one_line(answer, "field must be three finite numbers in V/Å", "out.xyz")
    assert predict(lodekit, molecules(), *field)[0] == 0


def test_what_a_model_does_not_compute_is_named(fit, lodekit):
    assert fit(molecules(), "charges")[0] == 0
    message = "this ChargeModel does not compute forces; it computes charges, dipole"
    answer = predict(lodekit, molecules(), "--properties", "charges", "forces")
    check_one_line(answer, message, "out.xyz")
    answer = lodekit("evaluate", "model.lodekit", "new.xyz", "--targets", "forces")
    check_one_line(answer, message, "out.xyz")


@pytest.mark.filterwarnings("always")
def test_predictions_taken_for_references_cause_a_warning(fit, lodekit):
    frames = molecules()
    assert fit(frames, "charges")[0] == 0
    for frame in frames:
        frame.calc = None
    assert predict(lodekit, frames)[0] == 0
    status, _, err = lodekit("evaluate", "model.lodekit", "out.xyz")
    assert status == 0
    assert "warning: out.xyz: charges and dipole and quadrupole equal the pred" in err


def test_fragments_are_read_from_the_file(fit, lodekit):
    frames = molecules()
    for atoms in frames:
        atoms.arrays["fragments"] = np.arange(len(atoms)) // 2
    assert fit(frames, "kqeq", "--set", "fit.bond_hardness=5.0")[0] == 0
    message = "has no fragments, and the frames of the fit have"
    check_one_line(predict(lodekit, molecules()), message, "out.xyz")
    frames[0].info["fragment_charges"] = np.array([1.0, 1.0, 1.0])
    check_one_line(predict(lodekit, frames), "fragment_charges", "out.xyz")
    del frames[0].info["fragment_charges"]
    assert predict(lodekit, frames)[0] == 0
    for atoms in read("out.xyz", ":"):
        charges = atoms.calc.results["charges"]
        sums = np.bincount(atoms.arrays["fragments"], charges)
        np.testing.assert_allclose(sums, 0.0, atol=1e-7)
