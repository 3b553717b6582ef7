import numpy as np
import pytest
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained

from lodekit.electrostatics import (
    ChargeEquilibration,
    SplitChargeEquilibration,
    fragment_constraints,
)
from lodekit.units import COULOMB_CONSTANT

BOUNDARIES = {"open": False, "slab": (True, True, False), "periodic": True}
FIELDS = {"open": (0.3, -0.2, 0.5), "slab": None, "periodic": None}


def case(boundary, n_atoms=6, seed=0):
    """Atoms with electronegativities, hardness and widths, none alike."""
    atoms = triclinic(n_atoms, seed=seed) if BOUNDARIES[boundary] else cluster(n_atoms)
    atoms.pbc = BOUNDARIES[boundary]
    rng = np.random.default_rng(seed)
    values = rng.uniform([2.0, 4.0, 0.5], [9.0, 8.0, 0.9], size=(n_atoms, 3))
    return atoms, *values.T


def equilibration_of(atoms, hardness, widths, **options):
    options.setdefault("accuracy", 1e-12)
    return ChargeEquilibration(
        atoms.positions, atoms.cell[:], atoms.pbc, hardness, widths, **options
    )


def dimer_row(n_dimers, bond=2.06, spacing=5.64):
    """Positions of a row of dimers along z, and the dimer of every atom."""
    heights = np.repeat(np.arange(n_dimers) * spacing, 2)
    heights += np.tile([0.0, bond], n_dimers)
    return np.outer(heights, [0.0, 0.0, 1.0]), np.repeat(np.arange(n_dimers), 2)


def polarizability(equilibration, positions):
    """alpha_zz in Å^3."""
    heights = positions[:, 2]
    return -COULOMB_CONSTANT * heights @ equilibration.response_matrix() @ heights


def test_two_atoms_have_a_closed_form():
    # q_1 = (chi_2 - chi_1 + Q (J_2 - A_12)) / (J_1 + J_2 - 2 A_12)
    distance, hardness, total = 1.7, np.array([9.0, 13.0]), 0.4
    equilibration = ChargeEquilibration(
        [[0, 0, 0], [0, 0, distance]], None, False, hardness, 0.0
    )
    coulomb = COULOMB_CONSTANT / distance
    first = (6.5 - 4.0 + total * (13.0 - coulomb)) / (22.0 - 2.0 * coulomb)
    result = equilibration.solve([4.0, 6.5], total)
    np.testing.assert_allclose(result.charges, [first, total - first], rtol=1e-12)
    potential = 4.0 + 9.0 * first + coulomb * (total - first)
    np.testing.assert_allclose(result.chemical_potentials, potential, rtol=1e-12)


def test_chain_of_four_with_fixed_ends():
    # lammps/lammps#3543: 1, -1/6, 1/6, -1 in units with k_e = 1 and hardness 2
    equilibration = ChargeEquilibration(
        2.0 * np.outer(range(4), [1.0, 0, 0]),
        None,
        False,
        2.0 * COULOMB_CONSTANT,
        0.0,
        constraints=np.eye(4)[[0, 3]],
    )
    result = equilibration.solve([0.0, 3.0, 3.0, 0.0], 0.0, [1.0, -1.0])
    np.testing.assert_allclose(result.charges, [1, -1 / 6, 1 / 6, -1], atol=1e-12)


@pytest.mark.parametrize("iterative", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_chemical_potentials_are_equal(boundary, iterative):
    atoms, chi, hardness, widths = case(boundary)
    total = 0.0 if boundary == "slab" else 1.0
    equilibration = equilibration_of(
        atoms, hardness, widths, iterative=iterative, tolerance=1e-13
    )
    result = equilibration.solve(chi, total, field=FIELDS[boundary])
    assert abs(result.charges).max() > 0.1
    assert np.ptp(result.chemical_potentials) < 1e-10
    assert result.charges.sum() == pytest.approx(total, abs=1e-12)
    slopes = central_differences(
        lambda q: equilibration.energy(q, chi, FIELDS[boundary]), result.charges
    )
    np.testing.assert_allclose(slopes, result.chemical_potentials, atol=1e-6)
    expected = equilibration.energy(result.charges, chi, FIELDS[boundary])
    assert result.energy == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_iteration_agrees_with_the_direct_solution(boundary):
    atoms, chi, hardness, widths = case(boundary, n_atoms=40)
    results = [
        equilibration_of(atoms, hardness, widths, iterative=iterative).solve(chi)
        for iterative in (False, True)
    ]
    np.testing.assert_allclose(results[1].charges, results[0].charges, atol=1e-8)
    assert results[1].energy == pytest.approx(results[0].energy, abs=1e-7)


def test_several_columns_respond_like_one_by_one():
    atoms, _, hardness, widths = case("periodic", 12)
    columns = np.random.default_rng(0).normal(size=(12, 3))
    columns[:, 1] = 1.0  # moves nothing
    direct = equilibration_of(atoms, hardness, widths).respond(columns)
    iterated = equilibration_of(atoms, hardness, widths, iterative=True)
    np.testing.assert_allclose(iterated.respond(columns), direct, atol=1e-9)
    np.testing.assert_allclose(direct[:, 1], 0.0, atol=1e-12)


def test_response_matrix_is_negative_and_conserves_charge():
    atoms, chi, hardness, widths = case("periodic")
    constraints = fragment_constraints([0, 0, 0, 1, 1, 1])
    equilibration = equilibration_of(
        atoms, hardness, widths, constraints=constraints[:1]
    )
    response = equilibration.response_matrix()
    np.testing.assert_allclose(response, response.T, atol=1e-14)
    values = np.linalg.eigvalsh(response)
    assert (values < -1e-3).sum() == 4
    np.testing.assert_allclose(values[-2:], 0.0, atol=1e-14)
    np.testing.assert_allclose(constraints @ response, 0.0, atol=1e-14)
    slopes = central_differences(
        lambda chi: equilibration.solve(chi, 1.0, [0.3]).charges, chi
    )
    np.testing.assert_allclose(response, slopes, atol=1e-9)


@pytest.mark.parametrize("iterative", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_forces_and_stress_at_fixed_charges_are_total_derivatives(boundary, iterative):
    atoms, chi, hardness, widths = case(boundary)
    total = 0.0 if boundary == "slab" else 1.0
    field = FIELDS[boundary]

    def energy(atoms):
        equilibration = equilibration_of(atoms, hardness, widths, iterative=iterative)
        return equilibration.solve(chi, total, field=field).energy

    equilibration = equilibration_of(atoms, hardness, widths, iterative=iterative)
    charges = equilibration.solve(chi, total, field=field).charges
    positions, strain = equilibration.gradients(charges, field)
    expected = central_differences(
        lambda r: energy(displaced(atoms, r)), atoms.positions, 1e-3
    )
    np.testing.assert_allclose(positions, expected, atol=1e-6)
    expected = central_differences(
        lambda e: energy(strained(atoms, e)), np.zeros((3, 3)), 1e-3
    )
    np.testing.assert_allclose(strain, expected, atol=1e-6)


def test_a_field_across_a_slab():
    atoms, chi, hardness, widths = case("slab")
    normal = np.cross(*atoms.cell[:2])
    field = 0.4 * normal / np.linalg.norm(normal)

    def energy(shear):
        moved = strained(atoms, shear * np.outer(normal, normal) / (normal @ normal))
        equilibration = equilibration_of(moved, hardness, widths)
        return equilibration.solve(chi, field=field).energy

    equilibration = equilibration_of(atoms, hardness, widths)
    charges = equilibration.solve(chi, field=field).charges
    positions, strain = equilibration.gradients(charges, field)
    expected = central_differences(energy, np.zeros(1), 1e-3).item()
    assert normal @ strain @ normal / (normal @ normal) == pytest.approx(expected)
    np.testing.assert_allclose(positions.sum(axis=0), 0.0, atol=1e-9)
    with pytest.raises(ValueError, match="component along a periodic direction"):
        equilibration.solve(chi, field=[0.1, 0.0, 0.0])


def test_rotation_and_order_of_atoms():
    atoms, chi, hardness, widths = case("periodic")
    expected = equilibration_of(atoms, hardness, widths).solve(chi, 1.0)
    turned, order = atoms.copy(), np.array([3, 5, 0, 1, 4, 2])
    rotation = random_rotation()
    turned.set_cell(atoms.cell[:] @ rotation.T)
    turned.set_positions(atoms.positions @ rotation.T)
    result = equilibration_of(turned[order], hardness[order], widths[order]).solve(
        chi[order], 1.0
    )
    np.testing.assert_allclose(result.charges, expected.charges[order], atol=1e-10)
    assert result.energy == pytest.approx(expected.energy, abs=1e-10)


def test_a_field_polarises_a_row_of_dimers_without_end():
    # conductors: alpha_zz grows as the cube of the length over its logarithm
    per_dimer = []
    for n_dimers in (1, 2, 4, 8, 16, 32, 64):
        positions, _ = dimer_row(n_dimers)
        equilibration = ChargeEquilibration(positions, None, False, 14.8, 0.0)
        per_dimer.append(polarizability(equilibration, positions) / n_dimers)
    one = COULOMB_CONSTANT * 2.06**2 / (2.0 * (14.8 - COULOMB_CONSTANT / 2.06))
    assert per_dimer[0] == pytest.approx(one, rel=1e-12)
    ratios = np.divide(per_dimer[1:], per_dimer[:-1])
    assert (ratios > 3.0).all()
    assert per_dimer[-1] > 1000.0 * one


def test_neutral_fragments_polarise_like_insulators():
    positions, dimers = dimer_row(64)
    equilibration = ChargeEquilibration(
        positions,
        None,
        False,
        14.8,
        0.0,
        constraints=fragment_constraints(dimers),
    )
    shifts = 5.64 * np.arange(1, 2000)
    coupling = (2.0 / shifts - 1.0 / (shifts + 2.06) - 1.0 / (shifts - 2.06)).sum()
    cost = 2.0 * (14.8 - COULOMB_CONSTANT / 2.06) + 2.0 * COULOMB_CONSTANT * coupling
    infinite = COULOMB_CONSTANT * 2.06**2 / cost
    # ends of the row are polarised less: two of 64 dimers
    found = polarizability(equilibration, positions) / 64
    assert found == pytest.approx(infinite, rel=0.01)
    assert found < infinite


def test_contradictory_constraints_are_refused():
    atoms, chi, hardness, widths = case("open")
    equilibration = equilibration_of(
        atoms,
        hardness,
        widths,
        constraints=fragment_constraints([0, 0, 1, 1, 1, 1]),
    )
    result = equilibration.solve(chi, 1.0, [0.25, 0.75])
    assert result.charges[:2].sum() == pytest.approx(0.25, abs=1e-12)
    with pytest.raises(ValueError, match="constraints contradict"):
        equilibration.solve(chi, 1.0, [0.25, 0.25])
    with pytest.raises(ValueError, match="3 constraints"):
        equilibration.solve(chi, 1.0, [0.25])


@pytest.mark.parametrize("iterative", [False, True])
def test_an_energy_without_minimum_is_refused(iterative):
    positions = [[0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]]
    with pytest.raises(ValueError, match="raise the hardness"):
        ChargeEquilibration(
            positions, None, False, 5.0, 0.0, iterative=iterative
        ).solve([1.0, 2.0, 4.0])


def test_bad_input():
    positions = [[0, 0, 0], [0, 0, 2.0]]
    with pytest.raises(ValueError, match="atom 2 has zero hardness and zero width"):
        ChargeEquilibration(positions, None, False, [9.0, 0.0], 0.0)
    with pytest.raises(ValueError, match="hardness must be finite"):
        ChargeEquilibration(positions, None, False, -1.0, 0.5)
    with pytest.raises(ValueError, match="hardness must be one number"):
        ChargeEquilibration(positions, None, False, [1.0, 1.0, 1.0], 0.5)
    with pytest.raises(ValueError, match=r"constraints must have shape"):
        ChargeEquilibration(positions, None, False, 9.0, 0.5, constraints=[[1.0]])
    equilibration = ChargeEquilibration(positions, None, False, 9.0, 0.5)
    with pytest.raises(ValueError, match=r"electronegativities must have shape \(2,\)"):
        equilibration.solve([1.0])
    with pytest.raises(ValueError, match="field must be three finite numbers"):
        equilibration.solve([1.0, 2.0], field=[1.0])
    slab = ChargeEquilibration(positions, 5 * np.eye(3), (1, 1, 0), 9.0, 0.5)
    with pytest.raises(ValueError, match="slab with the net charge 1 e"):
        slab.solve([1.0, 2.0], 1.0)


RING = [(0, 1), (1, 2), (2, 0)]


def test_soft_bonds_make_conductors():
    atoms, chi, hardness, widths = case("open")
    start = np.array([1.0, 0, 0, 0, -0.5, 0])
    soft = SplitChargeEquilibration(
        atoms.positions, None, False, hardness, widths, [*RING, (3, 4), (4, 5)], 0.0
    ).solve(chi, start)
    expected = equilibration_of(
        atoms,
        hardness,
        widths,
        constraints=fragment_constraints([0, 0, 0, 1, 1, 1]),
    ).solve(chi, 0.5, [1.0, -0.5])
    np.testing.assert_allclose(soft.charges, expected.charges, atol=1e-8)
    assert soft.energy == pytest.approx(expected.energy, abs=1e-8)


@pytest.mark.parametrize("bond_hardness", [1e12, np.inf])
def test_hard_bonds_make_insulators(bond_hardness):
    atoms, chi, hardness, widths = case("open")
    start = np.array([1.0, 0, 0, 0, -0.5, 0])
    result = SplitChargeEquilibration(
        atoms.positions, None, False, hardness, widths, RING, bond_hardness
    ).solve(chi, start)
    np.testing.assert_allclose(result.charges, start, atol=1e-8)


def test_bonds_between_dimers_lead_from_insulators_to_conductors():
    positions, dimers = dimer_row(16)
    inner = [(2 * i, 2 * i + 1) for i in range(16)]
    outer = [(2 * i + 1, 2 * i + 2) for i in range(15)]

    def row(bond_hardness):
        return polarizability(
            SplitChargeEquilibration(
                positions,
                None,
                False,
                14.8,
                0.0,
                inner + outer,
                [0.0] * 16 + [bond_hardness] * 15,
            ),
            positions,
        )

    conductor = ChargeEquilibration(positions, None, False, 14.8, 0.0)
    insulator = ChargeEquilibration(
        positions, None, False, 14.8, 0.0, constraints=fragment_constraints(dimers)
    )
    values = [row(hardness) for hardness in (0.0, 1.0, 10.0, 100.0, 1e4, np.inf)]
    assert values[0] == pytest.approx(polarizability(conductor, positions), rel=1e-8)
    assert values[-1] == pytest.approx(polarizability(insulator, positions), rel=1e-8)
    assert (np.diff(values) < 0).all()


def test_split_charges_minimise_their_energy():
    atoms, chi, hardness, widths = case("open")
    bonds, bond_hardness = [*RING, (2, 3), (3, 4)], np.array([1.0, 0.0, 4.0, 2.0, 3.0])
    start = np.array([0.0, 0.2, 0.0, 0.0, 0.3, 0.5])
    field = FIELDS["open"]

    def make(atoms):
        return SplitChargeEquilibration(
            atoms.positions,
            None,
            False,
            hardness,
            widths,
            bonds,
            bond_hardness,
            accuracy=1e-12,
        )

    equilibration = make(atoms)
    result = equilibration.solve(chi, start, field)
    assert result.charges[5] == 0.5
    # stationary: dU/dq_i - dU/dq_j + H p = 0 for every bond
    slopes = np.array(
        [
            result.chemical_potentials[i] - result.chemical_potentials[j]
            for i, j in bonds
        ]
    )
    assert slopes[1] == pytest.approx(0.0, abs=1e-10)
    moved = -slopes / np.where(bond_hardness > 0, bond_hardness, 1.0)
    assert moved[4] == pytest.approx(-(result.charges - start)[4], abs=1e-10)
    energy = equilibration.energy(result.charges, chi, field)
    energy += 0.5 * (bond_hardness * moved**2).sum()
    assert result.energy == pytest.approx(energy, abs=1e-9)
    forces, _ = equilibration.gradients(result.charges, field)
    expected = central_differences(
        lambda r: make(displaced(atoms, r)).solve(chi, start, field).energy,
        atoms.positions,
        1e-3,
    )
    np.testing.assert_allclose(forces, expected, atol=1e-6)
    np.testing.assert_allclose(result.flows[[0, 2, 3, 4]], moved[[0, 2, 3, 4]], 1e-8)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("iterative", [True, False], ids=["mesh", "many bonds"])
def test_iterative_flows_equal_direct_ones(boundary, iterative, monkeypatch):
    atoms, chi, hardness, widths = case(boundary)
    bond_hardness = [1.0, 0.0, 4.0, np.inf, 3e6]

    def solve(iterative):
        return SplitChargeEquilibration(
            atoms.positions,
            atoms.cell[:],
            atoms.pbc,
            hardness,
            widths,
            [*RING, (2, 3), (3, 4)],
            bond_hardness,
            iterative=iterative,
            accuracy=1e-11,
        ).solve(chi)

    direct = solve(False)
    monkeypatch.setattr("lodekit.electrostatics.split_charges.MANY_BONDS", 0)
    found = solve(iterative)
    assert not np.array_equal(found.charges, direct.charges)
    np.testing.assert_allclose(found.charges, direct.charges, atol=1e-8)
    np.testing.assert_allclose(found.flows, direct.flows, atol=1e-8)
    assert found.energy == pytest.approx(direct.energy, abs=1e-8)


def test_bad_bonds():
    positions = [[0, 0, 0], [0, 0, 2.0]]
    with pytest.raises(ValueError, match="join different atoms of the 2"):
        SplitChargeEquilibration(positions, None, False, 9.0, 0.5, [(0, 2)], 1.0)
    with pytest.raises(ValueError, match="bond_hardness must not be negative"):
        SplitChargeEquilibration(positions, None, False, 9.0, 0.5, [(0, 1)], -1.0)
    with pytest.raises(ValueError, match="start must have shape"):
        SplitChargeEquilibration(positions, None, False, 9.0, 0.5, [(0, 1)], 1.0).solve(
            [0.0, 0.0], [1.0]
        )
