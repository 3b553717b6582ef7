"""The whole path with a model of densities, from a file to cubes and errors."""

import json
import pathlib
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "models"))

from made_densities import BASIS, made_charge_set, made_set  # noqa: E402

from lodekit import load_model  # noqa: E402
from lodekit.density import Cube, DensitySet  # noqa: E402
from lodekit.structures import write_structures  # noqa: E402
from lodekit.units import BOHR  # noqa: E402

SETTINGS = """
[fit]
n_channels = 30
[terms.soap]
type = "soap"
cutoff = 3.0
smoothing_width = 1.0
density_width = 0.5
max_radial = 2
max_angular = 3
n_sparse = 8
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("density_models")
    densities = made_set(36)
    for index, atoms in enumerate(densities.frames):
        atoms.info["part"] = "train" if index < 30 else "new"
    densities.select(range(30)).save(folder / "train.npz")
    densities.select(range(30, 36)).save(folder / "new.npz")
    write_structures(folder / "new.xyz", densities.frames[30:])
    write_structures(folder / "all.xyz", densities.frames)
    (folder / "s.toml").write_text(SETTINGS)
    table = np.array(densities.coefficients) * BOHR**1.5
    np.save(folder / "table.npy", table)
    (folder / "basis.json").write_text(json.dumps(BASIS.to_dict()))
    return folder


def fit(lodekit, folder, *arguments):
    given = "fit", folder / "train.npz", "--model", "density"
    given = *given, "--settings", folder / "s.toml", *arguments
    return lodekit(*given)


@pytest.fixture
def fitted(folder, lodekit):
    """What ``fit --json`` printed; fitted once."""
    if not (folder / "m.lodekit").exists():
        status, out, _ = fit(
            *(lodekit, folder, "-o", folder / "m.lodekit", "--json"),
            *("--validation", folder / "new.npz"),
        )
        assert status == 0
        (folder / "fit.json").write_text(out)
    return json.loads((folder / "fit.json").read_text())


def test_fit_judges_training_and_validation(fitted, folder):
    errors = fitted["errors"]
    assert errors["training"]["density"]["rmse"] < 5.0
    assert errors["validation"]["density"]["n"] == 6
    assert fitted["summary"]["solver"] == "dense"
    assert fitted["settings"]["run"] == {"model": "density"}


def test_predict_writes_coefficients_and_cubes(fitted, folder, lodekit, tmp_path):
    status, out, _ = lodekit(
        *("predict", folder / "m.lodekit", folder / "new.xyz"),
        *("-o", "out.npz", "--cubes", "cubes", "--spacing", 1.0, "--json"),
    )
    assert status == 0
    assert json.loads(out)["n"] == 6
    densities = DensitySet.load("out.npz")
    model = load_model(folder / "m.lodekit")
    (expected,) = model.predict(densities.frames[0])
    np.testing.assert_allclose(densities.coefficients[0], expected, atol=1e-6)
    cube = Cube.read("cubes/density_1.cube")
    own = densities.density(0).on_grid(cube.grid)
    np.testing.assert_allclose(cube.values, own, atol=1e-5)


def test_predict_writes_dipoles_into_structures(fitted, folder, lodekit):
    from ase.io import read

    model = folder / "m.lodekit"
    status, _, error = lodekit("predict", model, folder / "new.xyz", "-o", "out.xyz")
    assert status == 0, error
    atoms = read("out.xyz", index=2)
    (expected,) = load_model(model).compute(atoms, ["dipole"])
    np.testing.assert_allclose(atoms.get_dipole_moment(), expected["dipole"], atol=1e-5)


def test_evaluate_prints_errors_of_the_density(fitted, folder, lodekit):
    status, out, _ = lodekit(
        *("evaluate", folder / "m.lodekit", folder / "new.npz", "--json"),
        *("--grid", 0.5),
    )
    assert status == 0
    errors = json.loads(out)
    for name, own in fitted["errors"]["validation"].items():
        assert errors[name]["rmse"] == pytest.approx(own["rmse"], rel=1e-9)
    assert errors["density_on_grid"]["rmse"] < 2.0
    status, out, error = lodekit(
        *("evaluate", folder / "m.lodekit", folder / "new.npz", "--plane", "worst.png")
    )
    assert status == 0, error
    assert "electrostatic_energy" in out
    assert "wrote worst.png of frame" in out + error
    assert pathlib.Path("worst.png").read_bytes().startswith(b"\x89PNG")


def test_layout_of_salted(fitted, folder, lodekit):
    given = "evaluate", folder / "m.lodekit", folder / "table.npy", "--json"
    status, out, error = lodekit(
        *given, "--structures", folder / "all.xyz", "--aux-basis", folder / "basis.json"
    )
    assert status == 0, error
    assert json.loads(out)["density"]["n"] == 36
    status, _, error = lodekit(*given, "--structures", folder / "all.xyz")
    assert status == 1
    assert "--aux-basis is missing" in error


def test_info_describes_the_model(fitted, folder, lodekit):
    status, out, _ = lodekit("info", folder / "m.lodekit")
    assert status == 0
    assert "ElectronDensityModel" in out
    assert "of the deviation from mean atoms, on" in out


def test_responses(folder, lodekit):
    arguments = "--targets", "density_response", "-o", "r.lodekit", "--json"
    status, out, _ = fit(lodekit, folder, *arguments)
    assert status == 0
    errors = json.loads(out)["errors"]["training"]
    assert errors["response"]["rmse"] < 5.0
    assert errors["polarizability"]["rmse"] < 1.0
    status, _, error = lodekit(
        *("predict", "r.lodekit", folder / "new.xyz", "--cubes", "c"),
        *("--spacing", 1.0, "-o", "r.npz"),
    )
    assert status == 0, error
    change, cube = (
        DensitySet.load("r.npz").change(5, 2),
        Cube.read("c/density_6_z.cube"),
    )
    np.testing.assert_allclose(cube.values, change.on_grid(cube.grid), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--folds", 3), "--folds has no use with --model density"),
        (("--key", "energy=e"), "--key has no use with --model density"),
        (("--targets", "energy"), "--model density is fitted to one of"),
        (("--where", "part=other"), "part"),
        (("--structures", "a.xyz"), "a file of densities has both"),
        (("--set", "fit.overlap=0"), "a metric needs weights"),
        (("--weight-key", "absent"), "absent"),
        (("--set", "terms.soap.offset=1"), "offset must be 0"),
    ],
)
def test_bad_input_of_fit(folder, lodekit, arguments, message):
    status, _, error = fit(lodekit, folder, *arguments)
    assert status == 1
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_bad_files(fitted, folder, lodekit):
    model, new = folder / "m.lodekit", folder / "new.npz"
    status, _, error = lodekit("fit", folder / "new.xyz", "--model", "density")
    assert status == 1
    assert "is no file of densities" in error
    status, _, error = lodekit("fit", folder / "none.npz", "--model", "density")
    assert status == 1
    assert "cannot be read" in error
    status, _, error = lodekit("evaluate", model, new, "--by", "part")
    assert status == 1
    assert "--by has no use" in error
    status, _, error = lodekit("predict", model, folder / "new.xyz")
    assert status == 2
    other = DensitySet.load(new)
    basis = type(BASIS)({8: BASIS.shells[8], 1: BASIS.shells[1]}, "other")
    shells = {**basis.shells, 1: (BASIS.shells[8][0], BASIS.shells[8][2])}
    counts = [len(values) for values in other.coefficients]
    changed = DensitySet(other.frames, type(BASIS)(shells), other.coefficients)
    assert counts == [len(values) for values in changed.coefficients]
    changed.save("other.npz")
    status, _, error = lodekit("evaluate", model, "other.npz")
    assert status == 1
    assert "is in the basis" in error


def test_models_of_another_kind(model, train, lodekit, folder):
    status, _, error = lodekit("predict", model, train, "-o", "out.npz")
    assert status == 1
    assert "coefficients and cubes are of models of densities" in error
    status, _, error = lodekit("fit", train, "--structures", "a.xyz")
    assert status == 1
    assert "--structures goes with --model density only" in error


def test_changes_by_point_charges_from_file_to_file(folder, lodekit, tmp_path):
    densities = made_charge_set(12)
    densities.save("charges.npz")
    write_structures("new.xyz", densities.frames[:2])
    del densities.frames[1].info["point_charges"]
    write_structures("none.xyz", densities.frames[:2])
    fit = "fit", "charges.npz", "--model", "density", "--settings", folder / "s.toml"
    small = "--set", "terms.soap.n_sparse=2", "--set", "fit.n_channels=8"
    status, out, error = lodekit(
        *(*fit, *small, "--targets", "density_charge_response"),
        *("-o", "m.lodekit", "--json"),
    )
    assert status == 0, error
    assert "induction_energy" in json.loads(out)["errors"]["training"]
    status, out, error = lodekit("evaluate", "m.lodekit", "charges.npz")
    assert (status, "induced_dipole" in out) == (0, True), error
    model = load_model("m.lodekit")
    status, out, error = lodekit("predict", "m.lodekit", "new.xyz", "-o", "new.npz")
    assert status == 0, error
    predicted = DensitySet.load("new.npz")
    (expected,) = model.predict(predicted.frames[1])
    np.testing.assert_allclose(predicted.responses[1][:, 0], expected, atol=1e-9)
    names = "induced_dipole", "induction_energy", "polarizability"
    status, out, error = lodekit(
        *("predict", "m.lodekit", "new.xyz", "-o", "out.xyz", "--properties", *names)
    )
    assert status == 0, error
    (result,) = model.compute(predicted.frames[0], "induction_energy")
    assert f"{result['induction_energy']:.6f}"[:6] in Path("out.xyz").read_text()
    status, out, error = lodekit("predict", "m.lodekit", "none.xyz", "-o", "no.npz")
    assert (status, Path("no.npz").exists()) == (1, False)
    assert "has no point_charges: q x y z of every charge, in e and Å" in error
    status, out, error = lodekit(*fit, "--targets", "density_response", "-o", "f.zip")
    assert status == 1
    assert "have responses to point charges and target='response' needs" in error
