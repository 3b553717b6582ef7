import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from matplotlib.figure import Figure
from stub_model import StubModel, make_frames

from lodekit.analysis.errors import Comparison, compare, summarize
from lodekit.analysis.page import check_report_folder
from lodekit.analysis.plots import (
    calibration_figure,
    draw_parity,
    png_bytes,
    running_rmse,
    target_figure,
)
from lodekit.analysis.report import write_report
from lodekit.errors import ReportError

PNG = b"\x89PNG\r\n\x1a\n"
PROPERTIES = ["energy", "forces", "stress", "energy_std", "forces_std"]


@pytest.fixture(scope="module")
def frames():
    return {
        "training": make_frames(8, periodic=True),
        "validation": make_frames(5, periodic=True, seed=2),
    }


@pytest.fixture(scope="module")
def comparisons(frames):
    model = StubModel().fit(frames["training"])
    return {
        name: compare(own, model.compute(own, properties=PROPERTIES))
        for name, own in frames.items()
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory, frames, comparisons):
    folder = tmp_path_factory.mktemp("reports") / "report"
    write_report(
        folder,
        frames,
        comparisons,
        title="water & <friends>",
        errors={name: summarize(own) for name, own in comparisons.items()},
        groups={"near": summarize(comparisons["validation"])},
        facts={"weights": "2"},
        settings="[fit]\nsolver = 'qr'",
    )
    return folder


@pytest.mark.parametrize("target", ["energy", "forces", "stress"])
def test_figures_show_every_set(target, frames, comparisons):
    parts = {name: own[target] for name, own in comparisons.items()}
    figure = target_figure(target, parts, frames)
    parity, histogram, size, alone = figure.axes
    low, high = alone.get_xlim()
    last = target_figure(target, {"validation": parts["validation"]}, frames).axes[0]
    assert (low, high) == pytest.approx(last.get_xlim()) or target == "energy"
    assert "training" not in alone.texts[0].get_text()
    text = parity.texts[0].get_text()
    assert "training: RMSE" in text
    assert "validation: RMSE" in text
    assert len(size.collections) == 2
    assert [t.get_text() for t in histogram.get_legend().get_texts()] == list(frames)
    assert png_bytes(figure, dpi=40).startswith(PNG)


def test_energies_of_all_sets_share_one_baseline(frames, comparisons):
    parts = {name: own["energy"] for name, own in comparisons.items()}
    parity = target_figure("energy", parts, frames).axes[0]
    drawn = {
        name: points.get_offsets() / 1e3  # meV/atom
        for name, points in zip(parts, parity.collections, strict=True)
    }
    shifts = np.concatenate([parts[k].reference - drawn[k][:, 0] for k in parts])
    # make_frames repeats three compositions, so there are three shifts in all.
    assert np.unique(shifts.round(9)).size == 3


def test_a_single_frame_can_be_drawn(frames):
    model = StubModel().fit(frames["training"])
    one = frames["training"][:1]
    compared = compare(one, model.compute(one, properties=PROPERTIES))
    for target, own in compared.items():
        figure = target_figure(target, {"one": own}, {"one": one})
        assert png_bytes(figure, dpi=40).startswith(PNG)
    assert png_bytes(calibration_figure(compared), dpi=40).startswith(PNG)


def test_exact_predictions_can_be_drawn(frames, comparisons):
    own = comparisons["training"]["forces"].subset(slice(None))
    own.predicted = own.reference.copy()
    figure = target_figure("forces", {"exact": own}, {"exact": frames["training"]})
    assert png_bytes(figure, dpi=40).startswith(PNG)


def test_calibration_needs_standard_deviations(comparisons):
    assert len(calibration_figure(comparisons["training"]).axes) == 2
    stress = {"stress": comparisons["training"]["stress"]}
    assert calibration_figure(stress) is None


def test_running_rmse_follows_the_errors():
    size = np.linspace(0, 1, 400)
    error = np.where(np.arange(400) % 2, 1.0, -1.0) * size
    centres, rmse = running_rmse(size, error)
    np.testing.assert_allclose(rmse, centres, rtol=0.25)
    assert centres.size == 12
    assert running_rmse(size[:3], error[:3])[0].size == 1


def test_report_opens_without_a_network(report):
    page = (report / "index.html").read_text()
    assert "water &amp; &lt;friends&gt;" in page
    sources = re.findall(r'src="(.{22})', page)
    assert sources
    assert set(sources) == {"data:image/png;base64,"}
    # links lead from the worst frames to their pictures on the page
    links = set(re.findall(r'href="([^"]*)"', page))
    assert 0 < len(links) <= 10
    assert links == {f"#{anchor}" for anchor in re.findall(r'<a id="(.*?)"', page)}
    # what turns the worst frames is in the page
    assert page.count("<script>") == 1
    assert "http" not in page
    for heading in ("Errors by group", "Errors by element", "Structures", "Settings"):
        assert f"<h2>{heading}</h2>" in page


def test_report_keeps_plots_numbers_and_settings_as_files(report):
    names = {path.name for path in report.iterdir()}
    assert names == {
        "index.html",
        "energy.png",
        "forces.png",
        "stress.png",
        "calibration_training.png",
        "calibration_validation.png",
        "errors.json",
        "settings.toml",
    }
    assert (report / "forces.png").read_bytes().startswith(PNG)
    numbers = json.loads((report / "errors.json").read_text())
    assert set(numbers["errors"]) == {"training", "validation"}
    assert numbers["elements"]["training, H"]["forces"]["n"] > 0


def test_report_replaces_a_report(report):
    check_report_folder(report)


def test_report_goes_into_an_empty_folder(tmp_path):
    check_report_folder(tmp_path)


def test_foreign_folder_is_kept_unless_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ReportError, match="holds something that is not a report"):
        check_report_folder(tmp_path)
    (tmp_path / "index.html").write_text("<html>my own page</html>")
    with pytest.raises(ReportError, match="holds something that is not a report"):
        check_report_folder(tmp_path)
    check_report_folder(tmp_path, overwrite=True)


def test_overwriting_a_foreign_folder_removes_nothing(tmp_path, frames, comparisons):
    (tmp_path / "thesis.tex").write_text("years of work")
    stress = {"training": {"stress": comparisons["training"]["stress"]}}
    errors = {"training": summarize(stress["training"])}
    own = {"training": frames["training"]}
    write_report(tmp_path, own, stress, title="t", errors=errors, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "stress.png").exists()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "report").write_text("")
    with pytest.raises(ReportError, match="this is a file, choose another folder"):
        check_report_folder(tmp_path / "report", overwrite=True)


def test_places_where_no_report_can_be_written_are_noticed_before_the_work(
    tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refuse)
    for folder in (tmp_path, tmp_path / "new", tmp_path / "new" / "report"):
        with pytest.raises(ReportError, match=r"written there \(Read-only file system"):
            check_report_folder(folder)
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made_gives_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match=r"cannot be made \(Not a directory\)"):
        write_report(tmp_path / "file" / "report", {}, {}, title="t", errors={})


def test_worst_frames_are_in_order_of_their_errors():
    from lodekit.analysis.worst_frames import (
        find_worst,
        worst_figure,
        worst_rows,
        worst_structures,
    )

    frames = [Atoms("H2", [[0, 0, 0], [0, 0, 1.0 + 0.1 * i]]) for i in range(14)]
    errors = np.arange(14.0)
    comparison = Comparison("energy", np.zeros(14), errors, np.arange(14))
    comparisons = {"training": {"energy": comparison}}
    worst = find_worst(comparisons, "energy")
    assert [index for _, index, _ in worst] == list(range(13, 3, -1))
    headings, rows = worst_rows({"training": frames}, comparisons, "energy")
    assert rows[0][1] == '<a href="#frame-training-14">14</a>'
    (first, *_) = worst_structures({"training": frames}, comparisons, "energy")
    assert first["anchor"] == "frame-training-14"
    assert headings[-1] == "energy, meV/atom"
    assert rows[0][::2] == ["training", "2", "1.3e+04"]
    figure = worst_figure({"training": frames}, comparisons, "energy")
    assert len(figure.axes) == 10
    assert worst_figure({"training": frames}, {}, "energy") is None


def test_many_points_are_drawn_as_a_density():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=5000)
    predicted = reference + 0.1 * rng.normal(size=5000)
    comparison = Comparison("energy", reference, predicted, np.arange(5000))
    axes = Figure().subplots()
    draw_parity(axes, "energy", {"test": comparison}, {"test": "#2563eb"})
    (density,) = axes.collections
    counts = np.asarray(density.get_array())
    # every point is in some cell, and cells are coloured by their number
    assert counts.sum() == 5000
    assert "meV/atom" in axes.get_xlabel()


def test_a_run_is_described_with_hashes(tmp_path):
    from lodekit.analysis.provenance import describe_run

    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    facts = describe_run([path, tmp_path / "none"])
    # NIST's example of SHA-256
    assert facts["a.txt"] == (
        "SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert list(facts) == ["date", "command", "versions", "a.txt"]
    assert "numpy" in facts["versions"]
