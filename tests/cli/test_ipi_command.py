import json

from stub_model import make_frames

from lodekit.structures import write_structures


def test_nobody_at_the_other_end_is_one_line(lodekit, model, tmp_path):
    write_structures(tmp_path / "init.xyz", make_frames(1, periodic=True))
    arguments = ("ipi", model, "init.xyz", "--unix", "--address", "nobody_here")
    status, _, err = lodekit(*arguments)
    assert status == 1
    assert err.count("\n") == 1


def test_one_structure_is_needed(lodekit, model, train):
    status, _, err = lodekit("ipi", model, train)
    assert status == 1
    assert "one structure is needed, there are 12; name one, such as train.xyz@0" in err


def test_extras_are_properties_of_the_model(lodekit, model, train):
    status, _, err = lodekit("ipi", model, train, "--extras", "charges")
    assert status == 1
    assert "does not compute charges" in err


def test_warmup_fits_and_predicts(lodekit, monkeypatch):
    from lodekit.cli import warmup

    done = []
    monkeypatch.setattr(warmup, "fit_small", lambda *case: done.append(case))
    status, out, _ = lodekit("warmup", "--json")
    assert status == 0
    assert json.loads(out)["steps"] == len(done) > 5
    monkeypatch.undo()
    warmup.fit_small("charges", True)
