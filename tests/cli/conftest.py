import pytest
from stub_model import StubModel, make_frames

from lodekit import model_file
from lodekit.cli.main import main
from lodekit.settings.potential import build_arguments
from lodekit.structures import write_structures


@pytest.fixture(autouse=True)
def _work_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(model_file.MODEL_CLASSES, "StubModel", "stub_model")


@pytest.fixture
def built(monkeypatch):
    """Settings that a stub was built from, in place of the real potential."""
    built = []

    def build(settings, progress=False):
        model = StubModel(progress=progress)
        if progress:  # of a fit: plans build small models as well
            built.append(settings)
        arguments = build_arguments(settings)
        model.descriptor = arguments["descriptor"]
        model.covariance = arguments["covariance"]
        return model

    monkeypatch.setattr("lodekit.settings.potential.build_potential", build)
    return built


@pytest.fixture
def train(tmp_path):
    write_structures(tmp_path / "train.xyz", make_frames(12, periodic=True))
    return "train.xyz"


@pytest.fixture
def model(tmp_path):
    model_file.save_model(
        StubModel().fit(make_frames(12, periodic=True)),
        tmp_path / "m.lodekit",
        record={
            "training_file": "train.xyz",
            "settings": {"fit": {"targets": ["energy"]}},
            "errors": {"training": {"energy": {"rmse": 0.001, "unit": "eV/atom"}}},
        },
    )
    return "m.lodekit"


@pytest.fixture
def lodekit(capsys):
    """Run the command line and return status, standard output and standard error."""

    def run(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run
