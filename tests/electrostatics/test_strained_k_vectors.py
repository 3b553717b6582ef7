"""Energies and stresses across the strain at which k-vectors enter a sum."""

import numpy as np
import pytest
from crystals import triclinic

from lodekit.electrostatics import (
    CoulombInteraction,
    MultipoleInteraction,
    PowerLawInteraction,
)
from lodekit.electrostatics.boundary import Boundary, FarKernel
from lodekit.electrostatics.far_mesh import FarMesh
from lodekit.electrostatics.split import CoulombSplit
from lodekit.units import COULOMB_CONSTANT

ATOMS = triclinic(5)
CHARGES = np.linspace(-1.0, 1.0, 5)
OPTIONS = {"accuracy": 1e-4, "cutoff": 3.0}


def make_multipoles(dipoles, quadrupoles):
    """Multipoles of one degree next to charges."""
    rng = np.random.default_rng(0)
    tensors = rng.normal(size=(5, 3, 3))
    tensors += np.swapaxes(tensors, 1, 2)
    tensors -= np.trace(tensors, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3.0
    moments = (CHARGES, dipoles * rng.normal(size=(5, 3)), quadrupoles * tensors)

    def at(positions, cell, pbc):
        interaction = MultipoleInteraction(positions, cell, pbc, **OPTIONS)
        far = interaction.parts(positions, interaction.widths)[1]
        result = interaction.compute(*moments)
        return far.sum.k.size, result.energy, result.strain_gradient

    return at


def make_direct(kind):
    def at(positions, cell, pbc):
        interaction = kind(positions, cell, pbc)
        result = interaction.compute(CHARGES)
        n_k = interaction.parts[1].k.size
        return n_k, result.energy, result.strain_gradient

    return at


def far_on_mesh(positions, cell, pbc):
    """The far part alone: the near part of a small structure knows no k-vectors."""
    split = CoulombSplit.make(OPTIONS["cutoff"], OPTIONS["accuracy"])
    far = FarMesh(FarKernel(Boundary.of(cell, pbc), split, 0.0), positions)
    potential, _, strain = far.gradients(CHARGES, CHARGES)
    energy = 0.5 * COULOMB_CONSTANT * CHARGES @ potential
    # grids of another size are other sums, see `test_other_grids_are_as_accurate`
    count = len(far.mesh.k_vectors), far.mesh.shape
    return count, energy, 0.5 * COULOMB_CONSTANT * strain


SUMS = {
    "charges": make_direct(lambda *where: CoulombInteraction(*where, **OPTIONS)),
    "mesh": far_on_mesh,
    "dipoles": make_multipoles(1.0, 0.0),
    "quadrupoles": make_multipoles(0.0, 1.0),
    "dispersion": make_direct(lambda *where: PowerLawInteraction(*where, 6, **OPTIONS)),
}


def scaled(name, scale, pbc=(True, True, True)):
    """A slab is stretched in its plane: along the normal it has no cell."""
    deformation = np.eye(3) + (scale - 1.0) * stretched(pbc)
    positions, cell = ATOMS.positions @ deformation, ATOMS.cell.array @ deformation
    return SUMS[name](positions, cell, pbc)


def stretched(pbc):
    """Projector on the directions that are scaled."""
    normal = np.cross(*ATOMS.cell.array[:2])
    normal *= (not all(pbc)) / np.linalg.norm(normal)
    return np.eye(3) - np.outer(normal, normal)


def find_entries(count_at, scales):
    """Yield pairs of scales, apart by rounding, between which the count changes."""
    counts = [count_at(scale) for scale in scales]
    for i, count in enumerate(counts[1:]):
        below, above = scales[i], scales[i + 1]
        if count == counts[i]:
            continue
        while above - below > 1e-13:
            middle = 0.5 * (below + above)
            if count_at(middle) == counts[i]:
                below = middle
            else:
                above = middle
        yield below, above


SLAB = (True, True, False)


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("name", "pbc"),
    [(name, (True, True, True)) for name in SUMS]
    + [(name, SLAB) for name in ("charges", "dipoles", "quadrupoles")],
)
def test_nothing_jumps_when_k_vectors_enter(name, pbc):
    n_entries = 0
    for below, above in find_entries(
        lambda scale: scaled(name, scale, pbc)[0], np.linspace(1.0, 1.01, 21)
    ):
        before, after = (scaled(name, scale, pbc) for scale in (below, above))
        if name == "mesh" and before[0][1] != after[0][1]:
            continue
        n_entries += 1
        assert after[1] == pytest.approx(before[1], abs=1e-9)
        np.testing.assert_allclose(after[2], before[2], atol=1e-9)
        # the slope across the entry is the analytic one
        step = 1e-6
        energies = [scaled(name, below + own, pbc)[1] for own in (-step, step)]
        slope = (energies[1] - energies[0]) / (2.0 * step)
        expected = np.sum(stretched(pbc) * before[2])
        assert slope * below == pytest.approx(expected, rel=1e-6)
    assert n_entries > 1


def test_other_grids_are_as_accurate():
    scales = np.linspace(1.0, 1.2, 101)
    jumps = []
    for below, above in find_entries(lambda s: scaled("mesh", s)[0][1], scales):
        before, after = (scaled("mesh", scale) for scale in (below, above))
        jumps.append(np.abs(after[2] - before[2]).max() / np.abs(before[2]).max())
    assert jumps
    assert max(jumps) < OPTIONS["accuracy"]
