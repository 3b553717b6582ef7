import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from lodekit.errors import StructureError
from lodekit.structures import (
    audit_structures,
    format_audit,
    read_structures,
    write_structures,
)


def molecule(formula, energy=None, shift=0.0, **results):
    rng = np.random.default_rng(len(formula))
    structure = Atoms(formula)
    structure.positions = 2.0 * np.arange(3 * len(structure)).reshape(-1, 3)
    structure.positions += 0.1 * rng.random(structure.positions.shape) + shift
    if energy is not None:
        results["energy"] = energy
    if results:
        structure.calc = SinglePointCalculator(structure, **results)
    return structure


def test_the_audit_of_a_mixed_set_counts_everything():
    slab = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]], cell=[3, 3, 20], pbc=[1, 1, 0])
    crystal = Atoms("NaCl", [[0, 0, 0], [0, 0, 2.8]], cell=[4, 4, 5.6], pbc=True)
    frames = [molecule("OH2", -2.0), Atoms("H"), slab, crystal]
    report = audit_structures(frames)
    assert report["frames"] == 4
    assert report["atoms"] == {"total": 8, "min": 1, "mean": 2.0, "max": 3}
    assert report["species"]["H"] == {"atoms": 3, "frames": 2}
    assert report["boundaries"] == {"open": 2, "wire": 0, "slab": 1, "periodic": 1}
    assert report["volume"]["frames"] == 1
    assert report["volume"]["min"] == pytest.approx(89.6)
    density = 1.66054 * (22.990 + 35.45) / 89.6  # g/cm³
    assert report["volume"]["density_max"] == pytest.approx(density, rel=1e-4)
    assert report["distances"]["shortest"] == pytest.approx(2.5)
    assert report["distances"]["species"] == ["Cu", "Cu"]
    energy = report["targets"]["energy"]
    assert (energy["frames"], energy["missing"]) == (1, 3)
    assert energy["missing_frames"] == [2, 3, 4]
    assert energy["sources"] == {"results:energy": 1}
    assert report["forces"] is None
    assert report["charges"] is None
    assert report["problems"] == []


def test_the_composition_fit_finds_the_frame_that_is_off():
    formulas = ["OH2", "O2H4", "O2H2", "OH4", "O3H2", "O2", "H6"]
    counts = np.array([[1, 2], [2, 4], [2, 2], [1, 4], [3, 2], [2, 0], [0, 6]], float)
    energies = counts @ [-10.0, -3.0]
    frames = [
        molecule(formula, energy)
        for formula, energy in zip(formulas, energies, strict=True)
    ]
    frames.append(Atoms("O"))
    frames[-1].info["energy"] = -1.0
    report = audit_structures(frames)["energy_fit"]
    assert report["baseline"] == pytest.approx({"H": -3.0, "O": -10.0})
    assert report["spread"] == pytest.approx(0.0, abs=1e-9)
    assert (report["frames"], report["single_atoms"]) == (7, 1)
    assert report["unique"]
    assert report["n_outliers"] == 0
    many = [molecule("OH2", -16.0 + 0.001 * step) for step in range(20)]
    report = audit_structures([*many, molecule("OH2", -18.0)])["energy_fit"]
    assert not report["unique"]
    assert [outlier["frame"] for outlier in report["outliers"]] == [21]


def test_net_forces_and_largest_forces_name_their_frames():
    balanced = molecule("H2", forces=[[0, 0, 5.0], [0, 0, -5.0]])
    drifting = molecule("H2", forces=[[0, 3.0, 0], [4.0, 0, 0]])
    report = audit_structures([molecule("H2"), balanced, drifting])["forces"]
    assert report["max"] == 5.0
    assert report["max_frame"] == 2
    assert report["net_max"] == 5.0
    assert report["net_max_frame"] == 3


def test_charges_are_compared_with_the_total_charge():
    neutral = molecule("H2", charges=[0.5, -0.5])
    cation = molecule("H2", charges=[0.25, 0.5])
    cation.info["total_charge"] = 1
    report = audit_structures([neutral, cation])["charges"]
    assert report["max_deviation"] == pytest.approx(0.25)
    assert report["max_deviation_frame"] == 2
    assert report["with_total_charge"] == 1


def test_duplicates_are_told_apart_by_what_differs():
    plus, minus = molecule("H2", -1.0), molecule("H2", -2.0)
    plus.info["total_charge"], minus.info["total_charge"] = 1, -1
    same, other = molecule("N2", -5.0), molecule("N2", -6.0)
    frames = [
        plus,
        minus,
        same,
        molecule("N2", -5.0),
        other,
        molecule("N2", shift=0.01),
    ]
    report = audit_structures(frames)["duplicates"]
    assert report["pairs"] == 4
    assert report["repeats"] == 3
    assert report["exact"] == 1
    assert report["other_targets"] == 1
    assert report["other_total_charge"] == 1
    assert report["first_pairs"] == [[1, 2], [3, 4], [3, 5]]


def test_structures_in_other_fields_are_no_duplicates_with_other_targets():
    alone, zero, inside = (molecule("N2", -5.0 - i) for i in range(3))
    zero.info["electric_field"] = np.zeros(3)
    inside.info["electric_field"] = np.array([0.0, 0.0, 0.1])
    charged, two = (molecule("H2", -1.0 - i) for i in range(2))
    charged.info["point_charges"] = np.array([[1.0, 0.0, 0.0, 5.0]])
    two.info["point_charges"] = np.array([[1.0, 0, 0, 5.0], [-1.0, 0, 0, -5.0]])
    report = audit_structures([alone, zero, inside, charged, two])["duplicates"]
    assert report["other_targets"] == 1
    assert report["other_surroundings"] == 2


def compressed_copper(sign):
    frames = []
    for scale in np.linspace(0.97, 1.03, 6):
        structure = bulk("Cu", cubic=True)
        structure.set_cell(structure.cell[:] * scale, scale_atoms=True)
        structure.calc = EMT()
        stress = sign * structure.get_stress()
        structure.calc = SinglePointCalculator(structure, stress=stress)
        frames.append(structure)
    return frames


def test_the_sign_of_the_stress_is_judged_by_compression():
    """The oracle is ASE's EMT potential, whose stress follows ASE's sign."""
    report = audit_structures(compressed_copper(1.0))
    assert report["stress"] == {"frames": 6, "sign": "expected"}
    assert report["notes"] == []
    report = audit_structures(compressed_copper(-1.0))
    assert report["stress"]["sign"] == "opposite"
    assert "its sign looks opposite" in report["notes"][0]
    report = audit_structures(compressed_copper(1.0)[:2])
    assert report["stress"]["sign"] == "unclear"


def test_lengths_in_bohr_are_noted():
    crystal = bulk("NaCl", "rocksalt", a=5.64 / 0.529177)
    report = audit_structures([crystal])
    assert report["notes"] == [
        "the closest atoms of most frames are far apart for Å: positions in Bohr?"
    ]


@pytest.mark.parametrize("origin", [[0.0, 0.0, 0.0], [-0.5, -0.5, 0.4]])
def test_quadrupoles_about_another_point_are_noted(origin):
    rng, frames = np.random.default_rng(0), []
    for _ in range(6):
        positions, charges = rng.normal(size=(5, 3)), rng.normal(size=5)
        charges -= charges.mean()
        others = charges + 0.02 * rng.normal(size=5)  # charges do not say all
        others -= others.mean()
        atoms = Atoms("H5", positions + 1.5 * np.arange(5)[:, None])
        places = atoms.positions - origin
        results = {"charges": charges, "dipole": others @ atoms.positions}
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info["quadrupole"] = (places.T * others) @ places
        frames.append(atoms)
    notes = [n for n in audit_structures(frames)["notes"] if "quadrupoles" in n]
    assert len(notes) == np.any(origin)
    assert all("from another point than the positions do" in note for note in notes)
    assert all("near -0." in note for note in notes)


def test_broken_frames_are_listed_and_do_not_stop_the_audit():
    broken = molecule("H2", energy=np.nan)
    flat = Atoms("H", pbc=True)
    lost = molecule("O2")
    lost.positions[0, 0] = np.nan
    stale = molecule("O2", -3.0)
    stale.positions += 1.0
    report = audit_structures([molecule("H2", -1.0), broken, flat, lost, stale])
    listed = {(entry["frame"], entry["problem"][:30]) for entry in report["problems"]}
    assert (2, "energy is not finite; correct ") in listed
    assert (3, "periodic along T T T, but the ") in listed
    assert (4, "atom 1 has the position nan 2.") in listed
    assert (5, "the calculator of this structu") in listed
    assert report["targets"]["energy"]["frames"] == 1
    assert "frame 3: periodic along" in format_audit(report)


def test_an_audit_needs_structures():
    with pytest.raises(StructureError, match="there are no structures to audit"):
        audit_structures([])


def test_the_keys_of_the_file_are_reported(tmp_path):
    path = tmp_path / "frames.xyz"
    path.write_text(
        '1\nREF_energy=-1 Lattice="2 0 0 0 2 0 0 0 2" virial="1 0 0 0 1 0 0 0 1"\n'
        "H 0 0 0\n"
        "1\nenergy=-2\nH 0 0 0\n"
    )
    targets = audit_structures(read_structures(path))["targets"]
    assert targets["energy"]["sources"] == {"info:REF_energy": 1, "results:energy": 1}
    assert targets["stress"]["sources"] == {"info:virial": 1}
    assert "virial" not in targets
    structure = Atoms("H", cell=[2, 2, 2], pbc=True)
    structure.info["virial"] = np.eye(3)
    targets = audit_structures([structure])["targets"]
    assert targets["stress"]["sources"] == {"info:virial": 1}


def test_the_report_is_plain_json_and_a_readable_table(tmp_path):
    frames = compressed_copper(1.0)
    frames += [
        molecule("OH2", -2.0, forces=np.ones((3, 3)), charges=[-0.4, 0.2, 0.1]),
        molecule("OH2", -2.1),
        molecule("O2", -3.1),
        Atoms("H"),
    ]
    frames[-1].info["energy"] = -0.5
    path = tmp_path / "frames.xyz"
    write_structures(path, frames)
    report = audit_structures(read_structures(path))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    text = format_audit(report)
    for line in (
        "frames       10",
        "boundaries   4 open, 6 periodic",
        "forces is missing in 9 frames: 1, 2, 3, 4, 5, 6, 8, 9, 10",
        "stress       sign, judged by volumes: expected",
        "charges      sums -0.1 e, off the whole number by up to 0.1 e (frame 7)",
        "duplicates   1 pairs; repeats 1 with other targets (7 = 8)",
        "Frames and atoms are counted from 1.",
    ):
        assert line in text.splitlines()
    assert max(map(len, text.splitlines())) <= 120


def test_a_set_without_targets_has_a_table_too():
    text = format_audit(audit_structures([Atoms("H")]))
    assert "no targets found" in text
    assert "duplicates   none" in text
