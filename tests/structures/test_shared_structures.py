"""Real data sets that are not part of the repository: read as ASE reads them."""

import json
import pathlib

import ase.io
import numpy as np
import pytest

from lodekit.structures import audit_structures, check_structures, read_structures

SHARED = pathlib.Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
FILES = sorted(SHARED.glob("*/*.xyz"))

pytestmark = pytest.mark.skipif(
    not FILES, reason="the shared data sets are not in ../shared/data"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_a_real_file_is_read_as_ase_reads_it(path):
    frames, references = read_structures(path), ase.io.read(path, index=":")
    assert len(frames) == len(references)
    for structure, reference in zip(frames, references, strict=True):
        assert structure == reference
        moved = structure.info.pop("target_keys", {})
        assert structure.info.keys() == reference.info.keys()
        for key, value in reference.info.items():
            np.testing.assert_array_equal(structure.info[key], value)
        gone = {source.partition(":")[2] for source in moved.values()}
        assert reference.arrays.keys() - gone <= structure.arrays.keys()
        results = {} if reference.calc is None else reference.calc.results
        for key, value in results.items():
            # Stress is the mean of both triangles here, the upper one in ASE.
            np.testing.assert_allclose(structure.calc.results[key], value, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "targets", "known"),
    [
        # reference forces of 35 eV/Å on atoms of an ordinary water molecule
        ("nacl_water/train.xyz", ["energy", "forces"], "34.94 eV/Å in frame 61"),
        ("kqeq_ions/train.xyz", ["energy", "dipole", "charges", "total_charge"], None),
        (
            "water_bec_rpbe/train.xyz",
            ["energy", "forces", "born_effective_charges"],
            None,
        ),
        ("qm7b_dipole_pol/train.xyz", ["dipole", "polarizability"], None),
        ("coulomb_test_frames/frames.xyz", ["energy", "forces", "stress"], None),
    ],
)
def test_real_files_pass_the_checks_and_the_audit(name, targets, known):
    frames = read_structures(SHARED / name, targets=targets)
    if known:
        with pytest.warns(UserWarning, match=known):
            check_structures(frames, targets)
        del frames[60]
    assert set(check_structures(frames, targets).values()) == {len(frames)}
    report = audit_structures(frames)
    assert report["problems"] == []
    json.dumps(report, allow_nan=False)
