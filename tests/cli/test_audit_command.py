import html
import json
from pathlib import Path

import pytest
from stub_model import StubModel

from lodekit.analysis.audit import CHECKS
from lodekit.cli import audit as audit_module


@pytest.fixture
def _model_knows_its_properties(monkeypatch):
    properties = ("energy", "forces", "stress")
    monkeypatch.setattr(StubModel, "properties", properties, raising=False)
    monkeypatch.setattr(StubModel, "reach", 3.0, raising=False)


pytestmark = pytest.mark.usefixtures("_model_knows_its_properties")


@pytest.fixture
def _wrong_forces(monkeypatch):
    compute = StubModel.compute

    def scaled(self, frames, properties=None):
        results = compute(self, frames, properties)
        for result in results:
            if "forces" in result:
                result["forces"] = 1.01 * result["forces"]
        return results

    monkeypatch.setattr(StubModel, "compute", scaled)


def test_the_table_ends_with_a_summary(lodekit, model, train):
    status, out, _ = lodekit("audit", model, train)
    assert status == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(CHECKS)]] == list(CHECKS)
    assert " checks passed, 0 failed, " in lines[-1]


@pytest.mark.usefixtures("_wrong_forces")
def test_a_failed_check_has_status_one_and_is_no_error(lodekit, model, train):
    status, out, err = lodekit("audit", model, train, "--checks", "forces", "rotation")
    assert status == 1
    assert "error" not in err
    assert "forces fails in frame " in out
    assert out.strip().endswith("1 checks passed, 1 failed, 0 do not apply")


@pytest.mark.usefixtures("_wrong_forces")
def test_json_is_one_object(lodekit, model, train):
    arguments = ("--json", "--frames", "2", "--checks", "forces,fragments,rotation")
    status, out, _ = lodekit("audit", model, train, *arguments)
    assert status == 1
    answer = json.loads(out)
    assert answer["passed"] is False
    assert answer["frames"] == [1, 12]
    assert list(answer["checks"]) == ["forces", "fragments", "rotation"]
    forces = answer["checks"]["forces"]
    assert forces["status"] == "fail"
    assert forces["measured"] > forces["tolerance"]
    assert forces["frame"] in (1, 12)
    assert answer["checks"]["fragments"]["measured"] is None
    assert answer["checks"]["fragments"]["frame"] is None


def test_a_report_shows_checks_and_curves(lodekit, model, train):
    arguments = ("--checks", "forces", "rotation", "--report", "page")
    status, out, _ = lodekit("audit", model, train, *arguments)
    assert status == 0
    assert out.endswith("wrote the report page/index.html\n")
    page = Path("page/index.html").read_text()
    assert "<h1>Audit of m.lodekit with train.xyz</h1>" in page
    assert "the work of forces is what the energy loses" in page
    assert 'targets = ["energy"]' in html.unescape(page)
    assert lodekit("audit", model, train, *arguments)[0] == 0  # replaced


@pytest.mark.usefixtures("_wrong_forces")
def test_a_report_is_written_of_what_fails_and_beside_json(lodekit, model, train):
    arguments = ("--json", "--checks", "forces", "--report", "page")
    status, out, _ = lodekit("audit", model, train, *arguments)
    assert status == 1
    assert json.loads(out)["passed"] is False
    assert "<td>FAIL</td>" in Path("page/index.html").read_text()


def test_a_report_into_a_foreign_folder_is_refused_before_the_work(
    lodekit, model, train
):
    Path("page").mkdir()
    Path("page/thesis.tex").write_text("years of work")
    status, out, err = lodekit("audit", model, train, "--report", "page")
    assert (status, out) == (1, "")
    assert "holds something that is not a report of lodekit" in err
    assert lodekit("audit", model, train, "--report", "page", "--overwrite")[0] == 0
    assert Path("page/thesis.tex").exists()


def test_names_on_the_command_line_are_those_of_the_checks():
    assert list(audit_module.CHECKS) == list(CHECKS)


def test_wrong_usage_has_status_two(lodekit, model, train):
    status, _, err = lodekit("audit", model, train, "--checks", "force")
    assert status == 2
    assert "'force' is not one of forces, closed-loop, stress" in err
    assert lodekit("audit", model, train, "--frames", "0")[0] == 2


def test_a_missing_file_is_one_line(lodekit, model):
    status, out, err = lodekit("audit", model, "nothing.xyz")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "nothing.xyz" in err
