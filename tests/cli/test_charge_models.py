"""The whole path with models of charges, on data that comes with the repository."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from lodekit import load_model, read_structures
from lodekit.structures import get_target, write_structures

DATA = Path(__file__).resolve().parents[2] / "examples" / "data"
TERM = """
type = "soap"
cutoff = 3.0
smoothing_width = 1.0
max_radial = 2
max_angular = 2
n_sparse = 6
"""
SETTINGS = f"[terms.soap]{TERM}"
POTENTIAL = f"[potential.terms.soap]{TERM}"
ENERGIES = ("energy", "forces")
#: Kind of model and what it is fitted to.
CASES = {
    "charges": ("charges", ("charges", "dipole", *ENERGIES)),
    "dipole": ("dipole", ("dipole",)),
    "dipole-energies": ("dipole", ("dipole", *ENERGIES)),
    "kqeq": ("kqeq", ("charges", "dipole", *ENERGIES)),
    "kqeq-from-energies": ("kqeq", ENERGIES),
    "latent": ("latent-charges", ENERGIES),
}
UNITS = {"charges": "e", "dipole": "e·Å", "energy": "eV/atom", "forces": "eV/Å"}


def monomers():
    """Charged and neutral molecules, twenty of 4 to 8 atoms."""
    frames = read_structures(DATA / "dimers.xyz")
    names = ("MONO_NH4+", "MONO_HCOO-", "MONO_CH2O", "MONO_CH3NH3+")
    return [frame for frame in frames if frame.info["dimer_id"] in names]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("charge_models")
    write_structures(folder / "train.xyz", monomers())
    return folder


@pytest.fixture(params=CASES)
def case(request, folder, lodekit, monkeypatch):
    """Model file, targets, and what ``fit --json`` printed; fitted once."""
    monkeypatch.chdir(folder)
    kind, targets = CASES[request.param]
    name = f"{request.param}.lodekit"
    if not Path(name).exists():
        has_energies = set(ENERGIES) <= set(targets)
        Path("s.toml").write_text(SETTINGS + POTENTIAL * has_energies)
        status, out, err = lodekit(
            *("fit", "train.xyz", "--model", kind, "--targets", *targets),
            *("--settings", "s.toml", "--output", name, "--report", request.param),
            "--json",
        )
        assert status == 0, err
        Path(f"{request.param}.json").write_text(out)
    return name, targets, json.loads(Path(f"{request.param}.json").read_text())


def test_fit_shows_errors_of_all_targets(case):
    name, targets, answer = case
    errors = answer["errors"]["training"]
    assert list(errors) == list(targets)
    for target, numbers in errors.items():
        assert numbers["unit"] == UNITS[target]
        assert np.isfinite(numbers["rmse"])
    if "charges" in errors:
        assert errors["charges"]["n"] == 105  # atoms
        assert errors["charges"]["r2"] > 0.7
    if "dipole" in errors:
        assert errors["dipole"]["n"] == 60  # components
        assert errors["dipole"]["r2"] > 0.7  # 6 sparse points, shared with energies


def test_report_has_a_figure_of_every_target(case):
    name, targets, _ = case
    files = {path.name for path in Path(name.removesuffix(".lodekit")).iterdir()}
    assert {f"{target}.png" for target in targets} <= files


def test_predictions_are_those_of_the_model(case, lodekit):
    name, targets, _ = case
    out_file = f"out_{name}.xyz"
    status, _, err = lodekit("predict", name, "train.xyz", "-o", out_file, "--std")
    assert status == 0, err
    model = load_model(name)
    wanted = [*targets, "charges", "dipole", "charges_std", "dipole_std"]
    before = read_structures("train.xyz")
    expected = model.compute(before, list(dict.fromkeys(wanted)))
    after = read(out_file, ":")
    for old, new, result in zip(before, after, expected, strict=True):
        charges = new.calc.results["charges"]
        np.testing.assert_allclose(charges, result["charges"], atol=1e-8)
        assert charges.sum() == pytest.approx(old.info["total_charge"], abs=1e-7)
        np.testing.assert_allclose(new.calc.results["dipole"], result["dipole"])
        np.testing.assert_allclose(new.info["dipole_std"], result["dipole_std"])
        np.testing.assert_allclose(
            new.arrays["charges_std"], result["charges_std"], atol=1e-8
        )
        if "forces" in targets:
            np.testing.assert_allclose(new.get_forces(), result["forces"], atol=1e-8)
            assert new.get_potential_energy() == pytest.approx(result["energy"])


def test_reference_values_are_found_beside_predictions(case, lodekit):
    name, targets, _ = case
    out_file = f"ref_{name}.xyz"
    lodekit("predict", name, "train.xyz", "-o", out_file)
    for old, new in zip(monomers(), read_structures(out_file), strict=True):
        for target in ("charges", "dipole", *targets):
            np.testing.assert_allclose(
                get_target(new, target), get_target(old, target), atol=1e-8
            )


def test_evaluate_agrees_with_fit_before_and_after_predict(case, lodekit):
    name, targets, answer = case
    out_file = f"eva_{name}.xyz"
    lodekit("predict", name, "train.xyz", "-o", out_file)
    for file in ("train.xyz", out_file):
        arguments = ("--targets", *targets, "--json")
        status, out, err = lodekit("evaluate", name, *arguments, file)
        assert status == 0, err
        for target, numbers in json.loads(out).items():
            known = answer["errors"]["training"][target]
            assert numbers["rmse"] == pytest.approx(known["rmse"], rel=1e-3)


def test_info_tells_what_the_model_is(case, lodekit):
    name, targets, answer = case
    status, out, err = lodekit("info", name)
    assert status == 0, err
    assert "exact, of total_charge in every frame" in out
    for target in targets:
        assert f"{target} " in out
    if name.startswith("kqeq"):
        assert "hardness" in out
        assert "V/e" in out
        assert "widths" in out


def test_a_hardness_of_environments(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    Path("s.toml").write_text(SETTINGS)
    arguments = ("--targets", "charges", "--settings", "s.toml", "-o", "h.lodekit")
    arguments += ("--set", "fit.hardness=environment")
    arguments += ("--set", "fit.validation_fraction=0.0")
    status, _, err = lodekit("fit", "train.xyz", "--model", "kqeq", *arguments)
    assert status == 0, err
    _, out, _ = lodekit("info", "h.lodekit")
    assert re.search(r"hardness .* C \S+ to \S+, .* V/e", out)
    names = ("charges", "hardnesses")
    arguments = ("-o", "h.xyz", "--properties", *names)
    status, _, err = lodekit("predict", "h.lodekit", "train.xyz", *arguments)
    assert status == 0, err
    expected = load_model("h.lodekit").compute(monomers(), names)
    for atoms, result in zip(read("h.xyz", ":"), expected, strict=True):
        np.testing.assert_allclose(
            atoms.arrays["hardnesses"], result["hardnesses"], rtol=1e-6
        )
        assert atoms.arrays["hardnesses"].min() > 0.0


def test_saved_settings_give_the_same_settings(case, lodekit):
    name, _, answer = case
    _, text, _ = lodekit("info", name, "--settings")
    Path("again.toml").write_text(text)
    kind = CASES[name.removesuffix(".lodekit")][0]
    assert f'[run]\nmodel = "{kind}"' in text
    arguments = ("--settings", "again.toml", "--dry-run", "--json")
    status, out, err = lodekit("fit", "train.xyz", *arguments)
    assert status == 0, err
    assert json.loads(out) == answer["settings"]
    if kind == "kqeq":
        assert answer["settings"]["fit"]["bond_hardness"] is None
        assert 'bond_hardness = "none"' in text


@pytest.mark.parametrize("order", [0, 2])
def test_potentials_at_points_are_fitted_judged_and_predicted(folder, lodekit, order):
    for number, atoms in enumerate(frames := monomers()):
        offset = np.array([0.0, 0.0, 3.0 + 0.1 * number])
        atoms.info["mep_points"] = atoms.positions[:2] + offset
        atoms.info["mep"] = np.array([0.1, -0.1])
    write_structures("mep.xyz", frames)
    Path("s.toml").write_text(SETTINGS)
    arguments = ("--targets", "mep", "--settings", "s.toml", "-o", "mep.lodekit")
    arguments += ("--max-multipole", order)
    status, _, err = lodekit("fit", "mep.xyz", "--model", "charges", *arguments)
    assert status == 0, err
    status, out, err = lodekit("evaluate", "mep.lodekit", "mep.xyz")
    assert "mV" in out, err
    lodekit("predict", "mep.lodekit", "mep.xyz", "-o", "out.xyz", "--std")
    first = read_structures("out.xyz")[0]
    assert first.info["mep"].shape == first.info["mep_std"].shape == (2,)
    np.testing.assert_allclose(get_target(first, "mep"), [0.1, -0.1])
    # frames without points have no potential, unless it is asked for
    data = folder / "train.xyz"
    status, _, err = lodekit("predict", "mep.lodekit", data, "-o", "none.xyz")
    assert status == 0, err
    assert "mep" not in read_structures("none.xyz")[0].info
    arguments = ("-o", "other.xyz", "--properties", "mep")
    status, _, err = lodekit("predict", "mep.lodekit", data, *arguments)
    assert status == 1
    assert "frame 1 (index 0) has no mep_points, at which the mep is wanted" in err


def test_atomic_moments_are_fitted_judged_audited_and_predicted(folder, lodekit):
    Path("s.toml").write_text(SETTINGS)
    arguments = ("--model", "charges", "--targets", "charges", "dipole")
    arguments += ("--max-multipole", "2", "--settings", "s.toml", "-o", "m.lodekit")
    data = folder / "train.xyz"
    status, _, err = lodekit("fit", data, *arguments)
    assert status == 0, err
    status, out, err = lodekit("evaluate", "m.lodekit", data, "--json")
    assert status == 0, err
    assert json.loads(out)["dipole"]["r2"] > 0.9
    status, out, err = lodekit("audit", "m.lodekit", data)
    assert status == 0, err
    names = ["atomic_dipoles", "atomic_quadrupoles"]
    arguments = ("-o", "out.xyz", "--properties", *names)
    status, _, err = lodekit("predict", "m.lodekit", data, *arguments)
    assert status == 0, err
    before = read_structures(data)[0]
    (expected,) = load_model("m.lodekit").compute(before, names)
    after = read("out.xyz", 0)
    for name in names:
        np.testing.assert_allclose(after.arrays[name], expected[name], atol=1e-8)
    traces = expected["atomic_quadrupoles"][:, :3].sum(axis=1)
    np.testing.assert_allclose(traces, 0.0, atol=1e-14)
