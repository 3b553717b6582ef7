import json
import pathlib
import zipfile

import numpy as np
import pytest
from small_bases import bent_molecule, drawn_coefficients, small_basis

from lodekit.density import DensitySet
from lodekit.density.density_set import HEADER
from lodekit.errors import BasisError, DensityFileError


def two_densities(with_responses=True):
    frames = [bent_molecule(), bent_molecule()[:2]]
    frames[1].info["label"] = "an O and an H"
    basis = small_basis()
    coefficients = [drawn_coefficients(atoms, basis) for atoms in frames]
    responses = [np.outer(c, [1.0, 2.0, 3.0]) for c in coefficients]
    return DensitySet(
        frames,
        basis,
        coefficients,
        responses if with_responses else None,
        {8: 6.0},
        {"code": "none"},
    )


@pytest.fixture
def file(tmp_path):
    two_densities().save(tmp_path / "two.npz")
    return tmp_path / "two.npz"


@pytest.mark.parametrize("with_responses", [True, False])
def test_a_file_of_densities_comes_back_as_it_was(tmp_path, with_responses):
    densities = two_densities(with_responses)
    densities.save(tmp_path / "two.npz")
    copy = DensitySet.load(tmp_path / "two.npz")
    assert copy.basis == densities.basis
    assert copy.record == {"code": "none"}
    assert copy.frames[1].info["label"] == "an O and an H"
    for before, after in zip(densities.frames, copy.frames, strict=True):
        np.testing.assert_array_equal(after.numbers, before.numbers)
        np.testing.assert_array_equal(after.positions, before.positions)
    np.testing.assert_array_equal(copy.coefficients[1], densities.coefficients[1])
    np.testing.assert_array_equal(copy.density(0).nuclear_charges, [6.0, 1.0, 1.0])
    if with_responses:
        np.testing.assert_array_equal(copy.responses[0], densities.responses[0])
    else:
        assert copy.responses is None


def test_numpy_reads_the_arrays_of_a_file(file):
    whole = np.load(file)["coefficients"]
    np.testing.assert_array_equal(whole, np.concatenate(two_densities().coefficients))


def test_no_densities_at_all_make_a_file_too(tmp_path):
    DensitySet([], small_basis(), []).save(tmp_path / "none.npz")
    assert len(DensitySet.load(tmp_path / "none.npz")) == 0


def test_some_densities_are_selected():
    chosen = two_densities().select([1])
    assert len(chosen) == 1
    np.testing.assert_array_equal(chosen.responses[0], two_densities().responses[1])


def test_coefficients_must_fit_their_frames():
    basis, frames = small_basis(), [bent_molecule()]
    with pytest.raises(BasisError, match="coefficients of 0 structures and 1 frames"):
        DensitySet(frames, basis, [])
    with pytest.raises(
        BasisError, match=r"coefficients of frame 1 \(index 0\): H2O needs"
    ):
        DensitySet(frames, basis, [np.zeros(3)])
    with pytest.raises(BasisError, match="responses of frame 1"):
        DensitySet(frames, basis, [np.zeros(35)], [np.zeros((4, 3))])


def change_header(file, **changes):
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = {**json.loads(members[HEADER]), **changes}
    members[HEADER] = json.dumps(header).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "has format 99, this lodekit .* update lodekit"),
        ({"magic": "other"}, "a zip file, but not one of densities"),
        ({"units": {}}, "has other units than lodekit"),
        ({"basis": {}}, "basis description lacks something"),
    ],
)
def test_foreign_and_newer_files_are_refused(file, changes, message):
    change_header(file, **changes)
    with pytest.raises(DensityFileError, match=message):
        DensitySet.load(file)


def test_damaged_files_are_refused(file, tmp_path):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DensityFileError, match="damaged, truncated or foreign"):
        DensitySet.load(file)
    with pytest.raises(DensityFileError, match="absent.npz: cannot be read"):
        DensitySet.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(DensityFileError, match="a zip file, but not one of densities"):
        DensitySet.load(tmp_path / "other.npz")


def test_a_file_with_too_few_coefficients_is_refused(file):
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["coefficients.npy"] = members["coefficients.npy"][:-8].replace(
        b"(61,)", b"(60,)"
    )
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(DensityFileError, match="has 60 rows and the frames need 61"):
        DensitySet.load(file)


def test_files_are_not_replaced_by_accident(file):
    with pytest.raises(DensityFileError, match=r"two.npz: exists already"):
        two_densities().save(file)
    two_densities().save(file, overwrite=True)


def test_densities_of_water_in_the_repository_have_their_electrons_and_dipoles():
    examples = pathlib.Path(__file__).parents[2] / "examples"
    densities = DensitySet.load(examples / "data" / "water_densities.npz")
    groups = [atoms.info["group"] for atoms in densities.frames]
    assert [groups.count(g) for g in ("monomer", "dimer", "octamer")] == [40, 16, 1]
    for index in (0, 39, 40, 56):
        density = densities.density(index)
        assert density.charge == pytest.approx(0.0, abs=1e-9)
        expected = densities.frames[index].calc.results["dipole"]
        np.testing.assert_allclose(density.dipole(), expected, atol=0.05)


def test_sets_are_put_together():
    densities = two_densities()
    parts = [densities.select([0]), densities.select([1])]
    joined = DensitySet.join(parts)
    np.testing.assert_array_equal(joined.coefficients[1], densities.coefficients[1])
    np.testing.assert_array_equal(joined.responses[1], densities.responses[1])
    without = two_densities(with_responses=False)
    with pytest.raises(BasisError, match="some densities have responses"):
        DensitySet.join([densities, without])
    other = DensitySet(
        without.frames, without.basis, without.coefficients, None, {8: 5.0}
    )
    with pytest.raises(BasisError, match="cannot be put together"):
        DensitySet.join([without, other])
