import pathlib

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from small_bases import bent_molecule, drawn_coefficients, small_basis

from lodekit.density import (
    DensityMetric,
    ElectronDensity,
    electron_counts,
    layout_only,
    read_overlap,
    read_salted,
)
from lodekit.density.ordering import COEFFICIENT_UNIT, LODEKIT, PYSCF, places_in
from lodekit.errors import BasisError, DensityFileError
from lodekit.units import BOHR, HARTREE

XYZ = PYSCF


def coefficients_of(atoms, basis, seed):
    """Coefficients of a neutral molecule, in Å^(-3/2)."""
    values = drawn_coefficients(atoms, basis, seed)
    counts = electron_counts(atoms, basis)
    excess = counts @ values - atoms.numbers.sum()
    return values - excess * counts / (counts @ counts)


@pytest.fixture
def frames():
    frames = [bent_molecule() for _ in range(3)]
    basis = small_basis()
    for index, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=index)
        density = ElectronDensity(atoms, basis, coefficients_of(atoms, basis, index))
        atoms.calc = SinglePointCalculator(atoms, dipole=density.dipole())
        atoms.info["truth"] = density.coefficients
    return frames


def write_folder(path, frames, order=LODEKIT, overlap=True):
    """What SALTED writes, in atomic units and an order."""
    basis = small_basis()
    for name in ("coefficients", "overlaps"):
        (path / name).mkdir(parents=True)
    for index, atoms in enumerate(frames):
        places = places_in(order, basis, atoms.numbers)
        values = np.empty(len(places))
        values[places] = atoms.info["truth"] / COEFFICIENT_UNIT
        np.save(path / "coefficients" / f"coefficients_conf{index}.npy", values)
        if overlap:
            matrix = np.empty((len(places), len(places)))
            matrix[np.ix_(places, places)] = DensityMetric().matrix(atoms, basis)
            np.save(path / "overlaps" / f"overlap_conf{index}.npy", matrix)
    return path


@pytest.mark.parametrize("order", [LODEKIT, XYZ])
def test_coefficients_of_a_folder_are_read_in_lodekit_order_and_units(
    tmp_path, frames, order
):
    folder = write_folder(tmp_path / "data", frames, order)
    densities = read_salted(folder, frames, small_basis(), order=order)
    for atoms, values in zip(frames, densities.coefficients, strict=True):
        np.testing.assert_allclose(values, atoms.info["truth"], rtol=1e-12)
    assert densities.density(1).charge == pytest.approx(0.0, abs=1e-10)


def test_overlaps_tell_another_order(tmp_path, frames):
    folder = write_folder(tmp_path / "data", frames, XYZ)
    with pytest.raises(BasisError, match="agree in the order 'x, y, z for l = 1'"):
        read_salted(folder, frames, small_basis())


def test_dipoles_tell_another_order(tmp_path, frames):
    folder = write_folder(tmp_path / "data", frames, XYZ, overlap=False)
    with pytest.raises(BasisError, match="say order='x, y, z for l = 1'"):
        read_salted(folder, frames, small_basis())
    folder = write_folder(tmp_path / "more", frames, LODEKIT, overlap=False)
    with pytest.raises(BasisError, match="say order='m from -l to l'"):
        read_salted(folder, frames, small_basis(), order=XYZ)


def test_numbers_of_electrons_tell_another_basis_unit_or_pseudopotential(
    tmp_path, frames
):
    folder = write_folder(tmp_path / "data", frames, overlap=False)
    with pytest.raises(BasisError, match="has 10 electrons instead of 8; "):
        read_salted(folder, frames, small_basis(), nuclear_charges={8: 6.0})


def test_overlaps_of_another_basis_are_refused(tmp_path, frames):
    folder = write_folder(tmp_path / "data", frames)
    file = folder / "overlaps" / "overlap_conf0.npy"
    np.save(file, 0.5 * np.load(file))
    with pytest.raises(BasisError, match="its functions, their order or their unit"):
        read_salted(folder, frames, small_basis())


def test_one_array_with_a_row_for_every_frame_is_read(tmp_path, frames):
    table = np.array([atoms.info["truth"] for atoms in frames]) / COEFFICIENT_UNIT
    np.save(tmp_path / "coefficients.npy", table)
    densities = read_salted(tmp_path / "coefficients.npy", frames, small_basis())
    np.testing.assert_allclose(densities.coefficients[2], frames[2].info["truth"])
    with pytest.raises(DensityFileError, match="has 3 rows and there are 2 frames"):
        read_salted(tmp_path / "coefficients.npy", frames[:2], small_basis())


def test_missing_frames_are_named(tmp_path, frames):
    folder = write_folder(tmp_path / "data", frames)
    (folder / "coefficients" / "coefficients_conf1.npy").unlink()
    with pytest.raises(
        DensityFileError, match=r"1 of 3 frames have no .* \(indices 1\); it holds 2"
    ):
        read_salted(folder, frames, small_basis())
    with pytest.raises(DensityFileError, match="there is no such folder"):
        read_salted(tmp_path, frames, small_basis())


def test_files_of_another_size_and_broken_files_are_named(tmp_path, frames):
    folder = write_folder(tmp_path / "data", frames)
    file = folder / "coefficients" / "coefficients_conf2.npy"
    np.save(file, np.zeros(34))
    with pytest.raises(
        BasisError, match=r"coefficients_conf2.npy: H2O needs 35 .* got 34"
    ):
        read_salted(folder, frames, small_basis())
    file.write_bytes(b"half a file")
    with pytest.raises(DensityFileError, match="conf2.npy: cannot be read as an array"):
        read_salted(folder, frames, small_basis())
    np.save(file, np.array(["text"]))
    with pytest.raises(DensityFileError, match="does not hold an array of numbers"):
        read_salted(folder, frames, small_basis())


def test_a_bare_layout_has_coefficients_and_metrics_of_files(tmp_path, frames):
    folder = write_folder(tmp_path / "data", frames)
    basis = layout_only({"O": (2, 1, 1, 1), "H": (1, 1, 1)}, "numerical")
    densities = read_salted(folder, frames, basis)
    np.testing.assert_allclose(densities.coefficients[0], frames[0].info["truth"])
    matrix = read_overlap(folder, 1, frames[1], basis)
    np.testing.assert_allclose(matrix, DensityMetric().matrix(frames[1], small_basis()))
    with pytest.raises(BasisError, match=r"has shape \(35, 35\), and HO has 26"):
        read_overlap(folder, 1, frames[1][:2], basis)


def test_responses_are_read_per_field_of_one_volt_per_angstrom(tmp_path, frames):
    # l = 1 along the field on the first atom: it pulls electrons to the other side
    folder, basis = tmp_path / "data", small_basis()
    for place, axis in ((4, "x"), (2, "y"), (3, "z")):  # l = 1 is y, z, x
        (folder / "coefficients" / axis).mkdir(parents=True)
        for index, atoms in enumerate(frames):
            values = np.zeros(basis.size(atoms.numbers))
            values[place] = -1.0
            path = folder / "coefficients" / axis / f"coefficients_conf{index}.npy"
            np.save(path, values)
    densities = read_salted(folder, frames, basis)
    unit = COEFFICIENT_UNIT / (HARTREE / BOHR)
    assert densities.responses[0][4, 0] == pytest.approx(-unit)
    for path in (folder / "coefficients").rglob("*.npy"):
        np.save(path, -np.load(path))
    with pytest.raises(BasisError, match="polarizability of frame 1 .* is negative"):
        read_salted(folder, frames, basis)


def test_orders_that_lodekit_does_not_know_are_refused(tmp_path, frames):
    folder = write_folder(tmp_path / "data", frames)
    with pytest.raises(BasisError, match="unknown order 'z first' of coefficients"):
        read_salted(folder, frames, small_basis(), order="z first")


def test_the_densities_of_salted_water_have_ten_electrons():
    pytest.importorskip("pyscf")
    folder = pathlib.Path(__file__).parents[3] / "shared/data/salted_water_pyscf"
    if not folder.is_dir():
        pytest.skip("../shared/data has no salted_water_pyscf")
    from lodekit.density import load_basis
    from lodekit.structures import read_structures

    frames = read_structures(folder / "water_monomers_100.xyz")
    basis = load_basis("cc-pvqz-jkfit", [1, 8])
    densities = read_salted(folder / "coefficients.npy", frames, basis)
    electrons = [densities.density(index).n_electrons for index in range(100)]
    np.testing.assert_allclose(electrons, 10.0, atol=2e-3)
    # overlaps by PySCF of the first frame; positions in Bohr by another constant
    matrix = DensityMetric().matrix(frames[0], basis)
    np.testing.assert_allclose(matrix, np.load(folder / "overlap_0.npy"), atol=1e-6)
    # dipoles of the calculation, in atomic units
    for index in (0, 50, 99):
        expected = BOHR * np.array(frames[index].info["mu"])
        np.testing.assert_allclose(
            densities.density(index).dipole(), expected, atol=5e-3
        )
