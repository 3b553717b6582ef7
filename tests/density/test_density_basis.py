import json

import numpy as np
import pytest
from ase import Atoms
from reference import real_harmonics
from small_bases import bent_molecule, small_basis, values_of_functions

from lodekit.density import (
    DensityBasis,
    Shell,
    channel_places,
    even_tempered,
    layout_only,
    load_basis,
    read_basis,
)
from lodekit.density.ordering import PYSCF, places_in
from lodekit.density.sites import check_coefficients
from lodekit.errors import BasisError
from lodekit.units import BOHR

TABLE = """# made for a test
H RI-TEST
  2
  1 0 1 2 1 1
    2.5 0.4 1.0
    0.7 0.6 0.0
  1 2 2 1 1
    1.2 1.0
"""


def test_a_basis_comes_back_from_json_as_it_was():
    basis = small_basis()
    copy = DensityBasis.from_dict(json.loads(json.dumps(basis.to_dict())))
    assert copy == basis
    assert copy.describe() == "H 9 (1s1p1d), O 17 (2s1p1d1f)"


def test_shells_are_sorted_by_l_and_keep_their_order_within_an_l():
    shells = [
        Shell(1, (1.0,), (1.0,)),
        Shell(0, (2.0,), (1.0,)),
        Shell(0, (1.0,), (1.0,)),
    ]
    basis = DensityBasis({"H": shells})
    exponents = [(shell.l, shell.exponents[0]) for shell in basis.shells_of(1)]
    assert exponents == [(0, 2.0), (0, 1.0), (1, 1.0)]
    np.testing.assert_array_equal(basis.sizes(np.array([1, 1])), [5, 5])


def test_functions_of_a_table_in_cp2k_format_have_its_exponents(tmp_path):
    path = tmp_path / "H-RI"
    path.write_text(TABLE)
    shells = read_basis(path).shells_of(1)
    assert [shell.l for shell in shells] == [0, 1, 2]
    np.testing.assert_allclose(shells[0].exponents, np.array([2.5, 0.7]) / BOHR**2)
    assert shells[0].coefficients == (0.4, 0.6)
    np.testing.assert_allclose(shells[1].exponents, 2.5 / BOHR**2)  # without the zero
    assert load_basis(str(path), [1]) == read_basis(path)


def test_even_tempered_exponents_have_one_ratio():
    basis = even_tempered(0.5, 2.0, {"Na": (3, 1)})
    exponents = [shell.exponents[0] for shell in basis.shells_of(11)]
    assert exponents == [0.5, 1.0, 2.0, 0.5]


def test_places_of_pyscf_put_x_y_z_where_y_z_x_are():
    atoms, basis = Atoms("H2", [[0, 0, 0], [0, 0, 1]]), layout_only({"H": (1, 1)}, "sp")
    # every atom has s, px, py, pz in PySCF; m = -1, 0, 1 is y, z, x
    np.testing.assert_array_equal(
        places_in(PYSCF, basis, atoms.numbers), [0, 2, 3, 1, 4, 6, 7, 5]
    )


def test_places_of_all_channels_are_all_coefficients():
    basis, numbers = small_basis(), np.array([8, 1, 1, 8])
    places = channel_places(basis, numbers)
    assert places[8, 0].shape == (2, 2, 1)
    assert places[1, 2].shape == (2, 1, 5)
    together = np.concatenate([part.ravel() for part in places.values()])
    np.testing.assert_array_equal(np.sort(together), np.arange(basis.size(numbers)))


def test_functions_of_pyscf_are_those_of_lodekit_in_another_order():
    gto = pytest.importorskip("pyscf.gto")
    atoms = bent_molecule()
    basis = load_basis("def2-universal-jfit", atoms.numbers)
    mol = gto.M(
        atom=list(zip(atoms.symbols, atoms.positions / BOHR, strict=True)),
        unit="Bohr",
        basis="def2-universal-jfit",
        verbose=0,
    )
    points = np.random.default_rng(0).normal(size=(7, 3))
    theirs = mol.eval_gto("GTOval_sph", points / BOHR) / BOHR**1.5
    places = places_in(PYSCF, basis, atoms.numbers)
    ours = values_of_functions(atoms, basis, points)
    np.testing.assert_allclose(ours, theirs[:, places], atol=1e-10)


def test_harmonics_of_the_slow_twin_are_those_of_the_conventions():
    x, y, z = vector = np.array([0.3, -0.5, 0.7])
    expected = np.sqrt(3.0 / 4.0 / np.pi) * np.array([y, z, x]) / np.linalg.norm(vector)
    np.testing.assert_allclose(real_harmonics(1, vector[None])[0, 1:4], expected)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({}, "needs at least one element"),
        ({"H": []}, "no shells for H"),
        ({"Q": [Shell(0, (1.0,), (1.0,))]}, "'Q' is no chemical element"),
        ({"H": [Shell(9, (1.0,), (1.0,))]}, "l = 9; l must be from 0 to 8"),
        ({"H": [Shell(0, (1.0, 2.0), (1.0,))]}, "2 exponents and 1 coefficients"),
        ({"H": [Shell(0, (-1.0,), (1.0,))]}, "exponents must be positive"),
        ({"H": [Shell(0, (1.0,), (0.0,))]}, "no coefficient but zero"),
    ],
)
def test_a_basis_that_makes_no_sense_is_refused(elements, message):
    with pytest.raises(BasisError, match=message):
        DensityBasis(elements)


def test_an_element_without_functions_is_named():
    with pytest.raises(BasisError, match="no functions for C; it has those of H, O"):
        small_basis().shells_of(6)


def test_coefficients_of_another_basis_are_refused():
    atoms, basis = bent_molecule(), small_basis()
    with pytest.raises(BasisError, match=r"file: H2O needs 35 coefficients .* got 37"):
        check_coefficients(atoms, basis, np.zeros(37), "file")
    with pytest.raises(BasisError, match="coefficient 3 is not finite"):
        check_coefficients(atoms, basis, [0.0, 0.0, np.nan, *np.zeros(32)])


def test_functions_of_a_bare_layout_are_refused():
    basis = layout_only({"O": (1,), "H": (1,)}, "numerical")
    assert basis.size(bent_molecule().numbers) == 3
    with pytest.raises(BasisError, match="numerical says how many functions there are"):
        basis.check_known()


def test_conventions_of_a_description_must_be_those_of_lodekit():
    description = {**small_basis().to_dict(), "order": "x y z"}
    with pytest.raises(BasisError, match="order = 'x y z' cannot be used"):
        DensityBasis.from_dict(description)
    del description["order"]
    with pytest.raises(BasisError, match="lacks something"):
        DensityBasis.from_dict(description)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("H RI\n 1\n 1 0 0 2 1\n 1.0 1.0\n", "neither JSON of a basis nor a table"),
        ("not a basis", "'not' is no chemical element"),
        ("{ half", "this is not JSON"),
    ],
)
def test_files_that_hold_no_basis_are_refused(tmp_path, text, message):
    path = tmp_path / "basis.json"
    path.write_text(text)
    with pytest.raises(BasisError, match=message):
        read_basis(path)
    with pytest.raises(BasisError, match="cannot be read as a basis"):
        read_basis(tmp_path / "absent")


def test_names_that_pyscf_does_not_know_are_refused():
    pytest.importorskip("pyscf")
    with pytest.raises(BasisError, match="PySCF has no basis 'nonsense' for H"):
        load_basis("nonsense", [1])


def test_even_tempered_bases_need_a_ratio_above_one():
    with pytest.raises(BasisError, match="a ratio above 1, got 0.5 and 1.0"):
        even_tempered(0.5, 1.0, {"Na": (3,)})
