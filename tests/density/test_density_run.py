"""Densities of many frames in one file; a stub stands for the calculation."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from small_bases import bent_molecule

from lodekit.density import DensitySet, load_basis
from lodekit.density import density_run as runs
from lodekit.density.density_run import DensityRun
from lodekit.density.pyscf_density import CalculatedDensity, Calculation, NotConverged
from lodekit.errors import DensityFileError, StructureError

pytest.importorskip("pyscf")
HARTREE_FOCK = Calculation("hf", "def2-svp")


@pytest.fixture(scope="module")
def basis():
    return load_basis("def2-universal-jfit", [1, 8])


def invented(atoms, calculation, basis):
    """Coefficients that tell frames apart; frames with a label do not converge."""
    if "bad" in atoms.info:
        raise NotConverged("no")
    values = np.full(basis.size(atoms.numbers), atoms.positions.sum())
    return CalculatedDensity(values, -1.0, np.zeros(3), atoms.numbers.astype(float))


@pytest.fixture
def frames():
    frames = [bent_molecule() for _ in range(4)]
    for index, atoms in enumerate(frames):
        atoms.positions[0, 0] += 0.01 * index + 1e-12
        atoms.calc = SinglePointCalculator(atoms, energy=5.0)
    return frames


@pytest.fixture
def run(monkeypatch, basis, tmp_path):
    """A function that makes a run with a stub calculation."""
    monkeypatch.setattr(runs, "calculate_density", invented)

    def make(frames, calculation=HARTREE_FOCK, **settings):
        path = tmp_path / "d.npz"
        return DensityRun(frames, calculation, basis, path, **settings)

    return make


def test_an_interrupted_run_continues_where_it_was(run, frames, monkeypatch, tmp_path):
    first = run(frames)
    calculated = []

    def interrupted(atoms, calculation, basis):
        if len(calculated) == 2:
            raise KeyboardInterrupt
        calculated.append(atoms)
        return invented(atoms, calculation, basis)

    monkeypatch.setattr(runs, "calculate_density", interrupted)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert len(DensitySet.load(tmp_path / "d.npz")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["d.npz"]
    monkeypatch.setattr(runs, "calculate_density", invented)
    second = run(frames)
    assert second.n_finished == 2
    densities = second.run()
    for atoms, values in zip(frames, densities.coefficients, strict=True):
        np.testing.assert_allclose(values, np.round(atoms.positions, 8).sum())
    assert densities.frames[3].calc.results["energy"] == -1.0


def test_frames_that_do_not_converge_are_left_out_and_named(run, frames):
    frames[1].info["bad"] = True
    first = run(frames)
    assert len(first.run()) == 3
    with pytest.raises(
        NotConverged, match=r"1 of 4 frames did not converge .* frames 2;"
    ):
        first.check()
    del frames[1].info["bad"]
    second = run(frames)
    assert len(second.run()) == 4
    second.check()
    positions = [atoms.positions[0, 0] for atoms in DensitySet.load(second.path).frames]
    np.testing.assert_allclose(positions, [0.3, 0.31, 0.32, 0.33], atol=1e-8)


def test_a_file_that_was_made_in_another_way_is_refused(run, frames, tmp_path):
    run(frames).run()
    with pytest.raises(DensityFileError, match=r"other settings \(metric\); choose"):
        run(frames, Calculation("hf", "def2-svp", metric="overlap"))
    with pytest.raises(DensityFileError, match="frame 4 .* not among the structures"):
        run(frames[:3])
    assert run(frames[:3], overwrite=True).n_finished == 0


def test_responses_of_a_file_are_not_lost(run, frames, tmp_path):
    run(frames).run()
    densities = DensitySet.load(tmp_path / "d.npz")
    responses = [np.zeros((len(values), 3)) for values in densities.coefficients]
    densities.responses = responses
    densities.save(tmp_path / "d.npz", overwrite=True)
    with pytest.raises(DensityFileError, match=r"settings \(responses\)"):
        run(frames)


@pytest.mark.parametrize("kind", ["field", "charges"])
def test_responses_are_calculated_and_continued(run, frames, monkeypatch, kind):
    for atoms in frames:
        atoms.info["point_charges"] = np.array([1.0, 0.0, 0.0, 9.0])
    size = {"field": 3, "charges": 1}[kind]

    def response(atoms, calculation, basis):
        values = np.full((basis.size(atoms.numbers), size), atoms.positions.sum())
        return (values, np.eye(3)) if kind == "field" else values

    def density(atoms, calculation, basis):
        assert ("point_charges" in atoms.info) == (kind == "field")
        return invented(atoms, calculation, basis)

    monkeypatch.setattr(runs, "calculate_density", density)
    name = {"field": "calculate_response", "charges": "calculate_charge_response"}
    monkeypatch.setattr(runs, name[kind], response)
    calculation = Calculation("hf", "def2-svp", response=kind)
    run(frames[:2], calculation).run()
    second = run(frames, calculation)
    assert second.n_finished == 2
    densities = second.run()
    assert DensitySet.load(second.path).perturbation == kind
    for values, changes in zip(
        densities.coefficients, densities.responses, strict=True
    ):
        np.testing.assert_allclose(changes, np.tile(values[:, None], size))
    assert "point_charges" in densities.frames[0].info
    with pytest.raises(DensityFileError, match=r"settings \(response, responses\)"):
        run(frames)


def test_a_longer_file_of_structures_continues_a_run(run, frames):
    run(frames[:2]).run()
    assert run(frames).n_finished == 2


def test_a_frame_that_cannot_be_calculated_is_named(run, frames, monkeypatch):
    def refuse(atoms, calculation, basis):
        raise StructureError("no")

    monkeypatch.setattr(runs, "calculate_density", refuse)
    with pytest.raises(StructureError, match=r"frame 1 \(index 0\): no"):
        run(frames).run()


def test_charge_and_spin_tell_frames_apart(frames):
    keys = {runs.frame_key(atoms) for atoms in frames}
    for info in ({"total_charge": 1}, {"spin": 3}):
        atoms = bent_molecule()
        atoms.positions = frames[0].positions
        atoms.info = info
        keys.add(runs.frame_key(atoms))
    assert len(keys) == 6
