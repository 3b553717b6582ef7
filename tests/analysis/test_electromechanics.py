"""Piezoelectric tensors of a crystal of springs, and loops in closed form."""

import numpy as np
import polar_crystals as crystals
import pytest
from ase import Atoms

from lodekit.analysis.electromechanics import (
    piezoelectric_tensor,
    polarization_loop,
)
from lodekit.analysis.plots import loop_figure
from lodekit.structures.stress import as_matrix, as_voigt

CHARGE, SPRING = 1.5, 4.0
REST = np.array([0.3, 0.2, 0.4])  # fractions of the cell
#: how the rest length of the spring changes with strain, Å
TILT = np.random.default_rng(3).normal(size=(3, 6))
HALVES = np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5])


class Springs:
    """Two ions of charges -q and q with U = k |r - rest|^2 / 2 - q E . r.

    The spring is at rest at fractions of the cell, plus what depends on strain.
    """

    responds_to = ("field",)

    def __init__(self, cell):
        self.cell = cell

    def rest(self, cell):
        deformation = np.linalg.solve(self.cell, cell)
        strain = as_voigt(0.5 * (deformation + deformation.T) - np.eye(3)) / HALVES
        return REST @ cell + TILT @ strain

    def energy(self, bond, cell, field):
        stretch = bond - self.rest(cell)
        return 0.5 * SPRING * stretch @ stretch - CHARGE * field @ bond

    def compute(self, atoms, properties, field=(0.0, 0.0, 0.0)):
        frames = [atoms] if isinstance(atoms, Atoms) else atoms
        return [self.compute_one(own, np.asarray(field)) for own in frames]

    def compute_one(self, atoms, field):
        cell, bond = atoms.cell[:], atoms.positions[1] - atoms.positions[0]
        force = SPRING * (self.rest(cell) - bond) + CHARGE * field
        slopes = []
        for strain in 1e-5 * HALVES * np.eye(6):
            ends = []
            for sign in (1.0, -1.0):
                deformation = np.eye(3) + sign * as_matrix(strain)
                voltages = np.linalg.solve(deformation, field)
                moved = bond @ deformation, cell @ deformation
                ends.append(self.energy(*moved, voltages))
            slopes.append((ends[0] - ends[1]) / 2e-5)
        return {
            "forces": np.array([-force, force]),
            "stress": np.array(slopes) / atoms.get_volume(),
            "born_effective_charges": CHARGE * np.stack([-np.eye(3), np.eye(3)]),
        }


def test_ions_that_follow_the_strain_carry_their_charges():
    model = Springs(crystals.SKEW)
    atoms = Atoms("LiF", positions=[[0, 0, 0], REST @ crystals.SKEW])
    atoms.set_cell(crystals.SKEW)
    atoms.pbc = True
    # whole charges at fixed fractions of the cell carry no current
    np.testing.assert_allclose(piezoelectric_tensor(model, atoms), 0.0, atol=1e-6)
    relaxed = piezoelectric_tensor(model, atoms, relaxed=True)
    expected = CHARGE * TILT / atoms.get_volume()
    np.testing.assert_allclose(relaxed, expected, atol=1e-6)


@pytest.mark.parametrize("n_cycles", [1, 3])
def test_an_ellipse_has_the_area_of_an_ellipse(n_cycles):
    angles = 2.0 * np.pi * np.arange(n_cycles * 400) / 400
    loop = polarization_loop(
        0.2 * np.cos(angles), 0.03 * np.cos(angles - 0.4), n_cycles
    )
    assert loop.remanent[0] == pytest.approx(0.03 * np.sin(0.4), rel=1e-3)
    assert loop.coercive[0] == pytest.approx(0.2 * np.sin(0.4), rel=1e-3)
    assert loop.area[0] == pytest.approx(np.pi * 0.2 * 0.03 * np.sin(0.4), rel=1e-3)
    assert np.isnan(loop.area[1]) == (n_cycles == 1)
    if n_cycles > 1:
        assert loop.area[1] < 1e-12
        assert loop.gap < 1e-12
    axes = loop_figure(loop).axes
    assert axes[0].get_xlabel() == "field (V/Å)"


def test_a_line_has_no_loss():
    fields = np.cos(2.0 * np.pi * np.arange(40) / 40)
    loop = polarization_loop(fields, 0.1 * fields)
    assert max(loop.area[0], loop.remanent[0], loop.coercive[0]) < 1e-12


def test_what_is_no_loop_is_refused():
    with pytest.raises(ValueError, match="one field and one polarization"):
        polarization_loop(np.zeros(8), np.zeros(7))
    with pytest.raises(ValueError, match="8 steps are not 3 cycles"):
        polarization_loop(np.zeros(8), np.zeros(8), 3)


def test_what_has_no_piezoelectric_tensor_is_refused():
    cell = np.diag([3.0, 3.5, 4.0])
    bond = np.array([0.0, 0.0, 0.0]), REST @ cell
    crystal = Atoms("LiF", bond, cell=cell, pbc=True)
    model = Springs(cell)
    crystal.pbc = (True, True, False)
    with pytest.raises(ValueError, match="periodic in three directions, pbc is"):
        piezoelectric_tensor(model, crystal)
    crystal.pbc = True
    crystal.positions[1] += 0.1
    with pytest.raises(ValueError, match="up to 0.4 eV/Å: its ions are not at rest"):
        piezoelectric_tensor(model, crystal, relaxed=True)
    model.properties = ["polarization"]
    with pytest.raises(ValueError, match="needs a model of stress"):
        piezoelectric_tensor(model, crystal)
    model.responds_to = ()
    with pytest.raises(ValueError, match="a Springs has no response to a field"):
        piezoelectric_tensor(model, crystal)
