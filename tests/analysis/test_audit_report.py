"""Page, figures and object of an audit."""

import json

import audit_stubs as stubs
import numpy as np
import pytest
from ase.build import molecule
from audit_stubs import PairModel
from test_audit import two_fragments

from lodekit.analysis.audit import audit_model, audit_object, write_audit_report
from lodekit.analysis.audit.plots import LIMITS, curve_figure, overview_figure
from lodekit.errors import ReportError

PNG = b"\x89PNG\r\n\x1a\n"
CHECKS = ["forces", "closed-loop", "copies", "fragments", "locality", "total-charge"]
FRAMES = [two_fragments(), molecule("CH4")]


def results_of(model, names=CHECKS, frames=FRAMES):
    return {r.name: r for r in audit_model(model, frames, names)}


class Coulomb(PairModel):
    """Pairs with an energy of 1 eV Å/r besides."""

    def spoil(self, result, atoms, frames):
        distances = atoms.get_all_distances()[np.triu_indices(len(atoms), 1)]
        result["energy"] += (1.0 / distances).sum()


def test_curves_of_structures_pulled_apart_follow_the_energy():
    curves = results_of(Coulomb())["copies"].curves
    assert list(curves) == [0, 1]
    curve = curves[1]
    assert len(curve.x) == len(curve.y) == 11
    # five atoms with five others
    assert curve.y[-1] == pytest.approx(25.0 / curve.x[-1], rel=1e-2)
    assert curve.y[-2] / curve.y[-1] == pytest.approx(2.0, rel=1e-2)


def test_curves_of_locality_hold_all_atoms_but_the_one_that_moves():
    curve = results_of(PairModel())["locality"].curves[0]
    assert len(curve.x) == 2 * len(FRAMES[0]) - 1
    assert max(curve.y) <= 1.0
    far = [y for x, y in zip(curve.x, curve.y, strict=True) if x > 6.5]
    assert set(far) == {0.0}


def test_what_is_not_judged_has_a_curve_too():
    model = stubs.LongReach()
    model.reach = float("inf")
    result = results_of(model)["locality"]
    assert result.status == "not applicable"
    assert set(result.curves) == {0, 1}


def test_the_overview_shows_what_is_judged():
    results = list(results_of(stubs.ScaledForces()).values())
    axes = overview_figure(results).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == CHECKS[:-1]
    (ratio,) = axes.lines[1].get_xdata()
    assert ratio == pytest.approx(results[0].measured / 1e-5)
    assert overview_figure(results[-1:]) is None


def test_the_overview_shows_what_is_no_number_as_the_worst():
    results = list(results_of(stubs.NoNumber(), ["translation"]).values())
    assert overview_figure(results).axes[0].lines[1].get_xdata() == LIMITS[1]


def test_figures_of_curves_name_the_structures():
    axes = curve_figure(results_of(PairModel())["locality"], [3, 8]).axes[0]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["frame 3", "frame 8"]
    assert min(axes.lines[0].get_ydata()) == 1e-16  # zeros


def test_energies_of_nothing_can_be_drawn():
    model = PairModel()
    model.compute = lambda frames, properties=None: [
        {"energy": 0.0, "forces": 0.0 * atoms.positions} for atoms in frames
    ]
    result = results_of(model)["copies"]
    assert set(result.curves[0].y) == {0.0}
    assert curve_figure(result, [1, 2]).axes[0].get_yscale() == "log"


def test_the_page_has_all_checks_and_files(tmp_path):
    results = list(results_of(stubs.ScaledForces()).values())
    folder = tmp_path / "report"
    write_audit_report(folder, results, FRAMES, [1, 7], title="of <pairs>")
    assert {path.name for path in folder.iterdir()} == {
        *("index.html", "audit.json", "overview.png"),
        *("copies.png", "fragments.png", "locality.png"),
    }
    assert (folder / "copies.png").read_bytes().startswith(PNG)
    page = (folder / "index.html").read_text()
    assert "<h1>of &lt;pairs&gt;</h1>" in page
    assert "<td>FAIL</td>" in page
    assert "2 frames, 5 to 8 atoms" in page
    for result in results:
        assert f"<td>{result.name}</td>" in page
        assert result.demand in page
    answer = json.loads((folder / "audit.json").read_text())
    assert answer["passed"] is False
    assert set(answer["checks"]["copies"]["curves"]) == {"1", "7"}
    assert answer["checks"]["forces"]["curves"] == {}


def test_the_object_has_no_curves():
    results = list(results_of(PairModel()).values())
    checks = audit_object(results, [1, 2])["checks"]
    assert set(checks["copies"]) == {
        *("demand", "status", "tolerance", "unit", "note", "n_frames"),
        *("measured", "frame"),
    }


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ReportError, match="not a report of lodekit"):
        write_audit_report(tmp_path, [], FRAMES, [1, 2], title="t")
