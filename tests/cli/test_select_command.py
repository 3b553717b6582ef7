import json

import pytest
from ase.io import read
from stub_model import make_waters

from lodekit.models import SparsePotential
from lodekit.structures import write_structures


@pytest.fixture(scope="module")
def fitted():
    return SparsePotential(n_sparse=5, targets=["energy"]).fit(make_waters())


@pytest.fixture
def files(tmp_path, fitted):
    write_structures(tmp_path / "pool.xyz", make_waters(20, (1.5, 1.3)))
    write_structures(tmp_path / "known.xyz", make_waters(2, (1.5,)))
    fitted.save(tmp_path / "m.lodekit")


@pytest.mark.usefixtures("files")
def test_structures_unlike_each_other_are_written(lodekit):
    arguments = ("select", "pool.xyz", "-n", "3", "-o", "out.xyz", "--rest", "r.xyz")
    status, out, err = lodekit(*arguments)
    assert status == 0, err
    assert out == "wrote 3 of 20 structures to out.xyz\n"
    frames = read("out.xyz", ":")
    assert 20 in {atoms.info["frame"] for atoms in frames}
    assert len(read("r.xyz", ":")) == 17
    assert lodekit(*arguments)[0] == 1  # exists already


@pytest.mark.usefixtures("files")
def test_known_structures_are_avoided(lodekit):
    options = ("-n", "1", "-o", "out.xyz", "--json")
    _, out, _ = lodekit("select", "pool.xyz", *options)
    assert json.loads(out)["frames"] == [20]
    arguments = ("select", "--known", "known.xyz", "--overwrite", *options)
    _, out, err = lodekit(*arguments, "--where", "frame=1", "pool.xyz")
    assert "no frame has frame=1" in err


@pytest.mark.usefixtures("files")
def test_a_model_says_what_is_far(lodekit):
    options = ("select", "pool.xyz", "-n", "2", "-o", "out.xyz", "--model", "m.lodekit")
    status, out, err = lodekit(*options, "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert answer["frames"][0] == 20
    assert answer["scores"][0] > 1.0
    assert answer["scores"][0] > answer["scores"][1]
    _, out, err = lodekit(*options, "--by", "std", "--overwrite")
    assert "standard deviation:" in out, err


@pytest.mark.usefixtures("files")
def test_mistakes_are_one_line(lodekit):
    options = ("select", "pool.xyz", "-n", "2", "-o", "out.xyz")
    assert "--by std need one" in lodekit(*options, "--by", "std")[2]
    wrong = (*options, "--by", "farthest", "--model", "m.lodekit")
    assert "takes no --model" in lodekit(*wrong)[2]
