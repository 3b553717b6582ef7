"""Every check of the audit, with a model that passes and one that fails."""

from contextlib import contextmanager

import audit_stubs as stubs
import numba
import numpy as np
import pytest
from ase.build import molecule
from audit_stubs import PairModel, SharedCharges
from crystals import cluster, triclinic

from lodekit.analysis.audit import CHECKS, audit_model, format_results
from lodekit.analysis.audit.derivatives import loop_work
from lodekit.analysis.audit.structures import repeated, split
from lodekit.analysis.audit.subject import Subject
from lodekit.errors import SettingsError


def two_fragments():
    """Methane and water, distorted."""
    first, second = molecule("CH4"), molecule("H2O")
    second.positions += [3.5, 0.0, 0.0]
    both = first + second
    both.rattle(0.1, seed=0)
    return both


def large_cell():
    """Atoms further apart than twice the reach, in a skewed cell."""
    return triclinic(12, (1, 8), volume_per_atom=90.0)


FRAMES = {
    "open": two_fragments(),
    "periodic": triclinic(5, (1, 8), volume_per_atom=8.0),
    "large cell": large_cell(),
}
FRAMES["slab"] = FRAMES["periodic"].copy()
FRAMES["slab"].pbc = (True, True, False)


def check(model, name, frames=None):
    frames = list(FRAMES.values()) if frames is None else frames
    (result,) = audit_model(model, frames, [name])
    assert result.name == name
    assert result.demand
    return result


@contextmanager
def _pretend(numbers, n_threads):
    before = numbers[-1]
    numbers.append(n_threads)
    yield
    numbers.append(before)


@pytest.fixture
def two_threads(monkeypatch):
    """A machine that says it has two threads, and one where it is asked for one."""
    numbers = [2]
    monkeypatch.setattr(numba, "get_num_threads", lambda: numbers[-1])
    monkeypatch.setattr(
        "lodekit.analysis.audit.symmetries.limit_threads",
        lambda n_threads: _pretend(numbers, n_threads),
    )


MECHANICAL = (
    *(
        "forces",
        "closed-loop",
        "stress",
        "translation",
        "rotation",
        "inversion",
        "permutation",
    ),
    *("batches", "threads", "supercell", "copies", "fragments", "locality"),
)


@pytest.mark.parametrize("name", MECHANICAL)
@pytest.mark.usefixtures("two_threads")
def test_a_model_of_pairs_passes(name):
    result = check(PairModel(), name)
    assert result.status == "pass"
    assert result.measured <= result.tolerance
    assert result.n_frames > 0


@pytest.mark.parametrize(
    ("name", "defect", "size"),
    [
        ("forces", "ScaledForces", 1e-4),
        ("forces", "WrongSign", 2.0),
        ("closed-loop", "WithCurl", None),
        ("stress", "WrongSign", 2.0),
        ("stress", "WrongStressOrder", None),
        ("translation", "WithOrigin", None),
        ("rotation", "WithDirection", None),
        ("inversion", "WithHandedness", None),
        ("permutation", "WithOrder", None),
        ("batches", "WithCompany", None),
        ("threads", "WithThreads", 1e-3 / 5),
        ("supercell", "NotExtensive", None),
        ("copies", "NotExtensive", 1e-4 * 8),
        ("copies", "LogarithmicTail", None),
        ("fragments", "NotExtensive", 1e-4 * 2 * 5 * 3 / 8),
        ("fragments", "LogarithmicTail", None),
        ("locality", "LongReach", None),
    ],
)
@pytest.mark.usefixtures("two_threads")
def test_a_model_with_a_defect_fails(name, defect, size):
    result = check(getattr(stubs, defect)(), name)
    assert result.status == "fail"
    assert result.measured > 4.0 * result.tolerance
    assert 0 <= result.frame < len(FRAMES)
    if size is not None:
        # a random estimate for forces and stress, exact otherwise
        loose = 1.0 if name in ("forces", "stress") else 1e-3
        assert result.measured == pytest.approx(size, rel=loose)


def test_a_defect_breaks_no_other_law():
    broken = {
        "WithDirection": {"forces", "rotation"},
        "WithHandedness": {"forces", "inversion"},
        "ScaledForces": {"forces"},  # a gradient, but of another energy
        "WithCurl": {"forces", "closed-loop", "rotation"},
    }
    names = ["forces", "closed-loop", "rotation", "inversion", "batches"]
    for defect, expected in broken.items():
        model = getattr(stubs, defect)()
        results = audit_model(model, FRAMES["open"], names)
        assert {r.name for r in results if r.status == "fail"} == expected


def test_the_work_around_a_loop_is_curl_times_area():
    atoms = FRAMES["open"]
    axes = 3e-3 * np.random.default_rng(0).normal(size=(2, len(atoms), 3))
    axes[:, 0] = 0.0  # forces turn around the first atom
    work, change = loop_work(Subject(stubs.WithCurl(), [atoms]), atoms, axes)
    u, v = axes
    area = np.pi * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum()
    assert work == pytest.approx(2e-3 * area, rel=1e-6)
    assert 0.0 < change < 1.0


@pytest.mark.parametrize("name", ["total-charge", "charge-locality", "rotation"])
def test_local_charges_with_a_shared_total_charge_pass(name):
    assert check(SharedCharges(), name).status == "pass"


@pytest.mark.parametrize(
    ("name", "defect"),
    [("total-charge", "MissingCharge"), ("charge-locality", "FarCharges")],
)
def test_wrong_charges_fail(name, defect):
    assert check(getattr(stubs, defect)(), name).status == "fail"


def test_what_is_no_number_fails():
    result = check(stubs.NoNumber(), "translation")
    assert result.status == "fail"
    assert not result.is_finite
    assert "nan" in format_results([result])


@pytest.mark.parametrize(
    ("name", "model", "frame", "reason"),
    [
        ("stress", PairModel(), "open", "fully periodic structures only"),
        ("supercell", PairModel(), "open", "have no cell to repeat"),
        ("copies", PairModel(), "slab", "only open structures can be pulled apart"),
        ("locality", PairModel(), "periodic", "in cells of this size"),
        ("total-charge", PairModel(), "open", "computes no charges"),
        ("field", PairModel(), "open", "no response to a field"),
        ("forces", SharedCharges(), "open", "computes no energy"),
    ],
)
def test_laws_that_say_nothing_name_the_reason(name, model, frame, reason):
    result = check(model, name, [FRAMES[frame]])
    assert result.status == "not applicable"
    assert reason in result.note
    assert result.n_frames == 0


def test_one_molecule_has_no_fragments():
    result = check(PairModel(), "fragments", [molecule("CH4")])
    assert (result.status, result.measured) == ("not applicable", None)
    assert "bonds join all atoms" in result.note


def test_one_thread_cannot_be_compared(monkeypatch):
    monkeypatch.setattr(numba, "get_num_threads", lambda: 1)
    assert check(PairModel(), "threads").status == "not applicable"


def test_an_endless_reach_is_reported_and_not_judged():
    model = stubs.LongReach()
    model.reach = np.inf
    result = check(model, "locality")
    assert result.status == "not applicable"
    assert "at 3" in result.note
    # the derivative of 1 / r^2 against forces of neighbours of some eV/Å
    assert 0.0 < result.measured < 1e-3


def test_all_checks_run_where_none_is_named():
    results = audit_model(PairModel(), FRAMES["open"])
    assert [result.name for result in results] == list(CHECKS)


def test_an_unknown_check_is_refused():
    with pytest.raises(SettingsError, match="no check 'force'; there are forces,"):
        audit_model(PairModel(), FRAMES["open"], ["force"])


def test_results_are_the_same_every_time():
    first, again = (audit_model(PairModel(), FRAMES["open"]) for _ in range(2))
    assert first == again


def test_the_table_says_what_fails_and_where():
    results = audit_model(
        stubs.ScaledForces(), [cluster(4), two_fragments()], ["forces", "stress"]
    )
    table = format_results(results, [7, 9])
    lines = table.splitlines()
    assert lines[0].split() == ["check", "result", "measured", "at", "most", "unit"]
    assert lines[1].startswith("forces  FAIL    ")
    assert lines[2].startswith("stress  -  ")
    assert "forces fails in frame " in table
    assert lines[-1] == "0 checks passed, 1 failed, 1 do not apply"


def test_supercells_keep_within_the_limit():
    cell = triclinic(5)
    assert [len(repeated(cell, limit)) for limit in (0, 10, 20, 39, 40)] == [
        *(10, 10, 20, 20, 40)
    ]
    slab = cell.copy()
    slab.pbc = (False, True, True)
    slab.info["total_charge"] = 0.5
    large = repeated(slab, 1000)
    assert len(large) == 20
    assert large.info["total_charge"] == 2.0
    np.testing.assert_allclose(large.cell[0], cell.cell[0])


def test_fragments_are_what_bonds_join():
    assert [part.tolist() for part in split(two_fragments())] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7],
    ]
