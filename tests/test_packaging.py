"""What is said about the package in several places is the same."""

import configparser
import pathlib
import re

from lodekit.cli.citation import CITATION

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_conda_and_pip_need_the_same():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    by_pip = set(config["options"]["install_requires"].split())
    recipe = (ROOT / "conda" / "meta.yaml").read_text()
    run = recipe.partition("  run:\n")[2].partition("\ntest:")[0]
    by_conda = set(re.findall(r"^    - (.*)$", run, re.M))
    python = config["options"]["python_requires"]
    assert {need.replace(" ", "") for need in by_conda} == {*by_pip, f"python{python}"}
    assert f'version = "{version()}"' in recipe


def version():
    text = (ROOT / "lodekit" / "_version.py").read_text()
    return re.search(r'"(.*)"', text.splitlines()[-1])[1]


def test_citations_are_those_of_the_citation_file():
    known = re.findall(r"doi: (\S+)", (ROOT / "CITATION.cff").read_text())
    assert re.findall(r"doi = \{(.*?)\}", CITATION) == known


def test_workflow_runs_the_script_of_developers():
    assert "run: .ci/run" in (ROOT / ".github/workflows/ci.yml").read_text()
