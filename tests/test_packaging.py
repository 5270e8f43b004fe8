"""What is built can be installed, and works away from its source; what stands beside it
says the same as the code.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

import nbformat
import pytest
import yaml
from helpers.notebooks import assert_it_shows
from test_docs import commands, follow

from dsi_cli.version import __version__

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="needs a checkout"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder with the sdist, and with the wheel that is built from the
    sdist's own files.
    """
    folder = tmp_path_factory.mktemp("dist")
    hatch = [sys.executable, "-m", "hatchling", "build", "-d", folder]
    subprocess.run([*hatch, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    subprocess.run(
        [*hatch, "-t", "wheel"],
        cwd=folder / f"dsi_cli-{__version__}",
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    return next(built.glob("*.whl"))


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {name for name in names if name.startswith("dsi_cli/")}
    tracked = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "dsi_cli").rglob("*")
        if path.is_file()
    }
    assert package == {name for name in tracked if "__pycache__" not in name}
    info = f"dsi_cli-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"dsi_cli", info}
    licences = (
        "LICENSE",
        "dsi_cli/labels/LICENSE-timm",
        "dsi_cli/wordnet/data/LICENSE",
    )
    assert {f"{info}/licenses/{name}" for name in licences} <= names
    assert wheel.stat().st_size < 12_000_000


def test_the_metadata_name_licences_extras_and_ranges(wheel):
    with zipfile.ZipFile(wheel) as archive:
        lines = (
            archive.read(f"dsi_cli-{__version__}.dist-info/METADATA")
            .decode()
            .splitlines()
        )
    assert "License-Expression: MIT AND Apache-2.0 AND LicenseRef-WordNet-3.0" in lines
    assert "Requires-Python: >=3.11" in lines
    extras = {
        line.split(": ")[1] for line in lines if line.startswith("Provides-Extra: ")
    }
    assert extras == set(PROJECT["optional-dependencies"])
    required = [
        line.split(": ")[1] for line in lines if line.startswith("Requires-Dist: ")
    ]
    assert all(">=" in one and "==" not in one.partition(";")[0] for one in required)


def test_readme_with_an_address_has_absolute_links_only(wheel):
    """The one setting of CONTRIBUTING.md: the address behind the first ``\\1``."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"dsi_cli-{__version__}.dist-info/METADATA").decode()
    assert metadata.endswith(readme), "without the setting, links stay relative"
    hook = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    relative, pictures = hook["substitutions"]
    address = relative["replacement"] + "https://host.example/dsi/blob/main/"
    page = re.sub(relative["pattern"], address, readme)
    page = re.sub(pictures["pattern"], pictures["replacement"], page)
    targets = re.findall(r'(?:\]\(|src="|srcset=")([^)"]+)', page)
    assert all(re.match("https?:|#", target) for target in targets)
    assert "https://host.example/dsi/raw/main/docs/images/report-dark.png" in targets
    assert "https://host.example/dsi/blob/main/CONTRIBUTING.md" in targets


def test_two_builds_are_the_same_bytes(built, wheel, tmp_path):
    """Of a copy of the files, with other times of change."""
    copy = shutil.copytree(built / f"dsi_cli-{__version__}", tmp_path / "copy")
    for path in copy.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    hatch = [sys.executable, "-m", "hatchling", "build", "-d", tmp_path / "dist"]
    subprocess.run(hatch, cwd=copy, check=True, capture_output=True)
    first = {path.name: path.read_bytes() for path in built.iterdir() if path.is_file()}
    again = {path.name: path.read_bytes() for path in (tmp_path / "dist").iterdir()}
    assert sorted(again) == sorted(first)
    assert again == first


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory):
    """Return the programs of a new virtual environment with the wheel and what pip
    fetches for it: nothing of this one. RELEASE_PYTHON may name another Python.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    python = os.environ.get("RELEASE_PYTHON", sys.executable)
    subprocess.run([python, "-m", "venv", folder], check=True)
    install(folder, str(wheel))
    return folder / "bin"


@pytest.mark.slow
def test_the_wheel_works_in_a_clean_environment_away_from_the_source(clean, tmp_path):
    python, dsi = clean / "python", clean / "dsi"
    place = printed([python, "-c", "import dsi_cli; print(dsi_cli.__file__)"], tmp_path)
    assert Path(place.strip()).is_relative_to(clean.parent)
    versions = [
        printed([*program, "--version"], tmp_path)
        for program in ([dsi], [clean / "dsi-cli"], [python, "-m", "dsi_cli"])
    ]
    assert versions == [f"dsi {__version__}\n"] * 3
    assert "WordNet" in printed([dsi, "doctor"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/index.md"])
def test_getting_started_works_in_a_clean_environment(name, clean, tmp_path):
    page = ROOT / name
    assert {"dsi scan ckpts/", "dsi analyze ckpts/ --labels cifar100"} <= set(
        commands(page)
    )
    shutil.copytree(
        next(clean.parent.glob("lib/*/site-packages/dsi_cli/demo/runs/cifar100-cnn")),
        tmp_path / "ckpts",
    )
    programs = {name: [str(clean / name)] for name in ("python", "dsi")}
    follow(page, tmp_path, programs, bare(tmp_path))


@pytest.mark.slow
def test_a_notebook_runs_as_written_with_what_its_page_installs(clean, tmp_path):
    page = (ROOT / "docs/figures.md").read_text(encoding="utf-8")
    (beside,) = re.findall("`pip install (.*)`", page)
    install(clean.parent, *beside.split())
    notebook = shutil.copy(ROOT / "docs/notebooks/tables.ipynb", tmp_path)
    printed([clean / "jupyter", "execute", "--inplace", notebook], tmp_path)
    assert_it_shows("tables", nbformat.read(notebook, 4), tmp_path / "dsi-demo")


def install(folder, *what):
    """Install in a virtual environment; pip goes where it is told to go on this
    machine.
    """
    told = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    for asked in (["install", "--no-compile", "--quiet", *what], ["check"]):
        printed([folder / "bin" / "python", "-m", "pip", *asked], folder, told)


def bare(folder):
    """Return an environment that knows nothing of this checkout."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}


def printed(command, folder, environment=None):
    """Return what a command prints; it sees nothing of this checkout."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment or bare(folder),
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_every_shipped_file_that_is_no_code_or_text_has_a_licence_on_the_page(built):
    page = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    listed = [text for cell in cells for text in re.findall("`([^`]+)`", cell)]
    ours = {".py", ".pyc", ".typed", ".md", ".ipynb", ".toml", ".yml", ".css", ".bib"}
    names = {".gitignore", "run", "Makefile", "LICENSE", "LICENSE-timm"}
    names |= {"PKG-INFO", "CITATION.cff"}
    source = built / f"dsi_cli-{__version__}"
    others = [
        path.relative_to(source).as_posix().removeprefix("dsi_cli/")
        for path in source.rglob("*")
        if path.is_file() and path.suffix not in ours and path.name not in names
    ]
    assert len(others) > 100
    unlisted = [
        path
        for path in others
        if not any(
            path.startswith(text) if text.endswith("/") else fnmatchcase(path, text)
            for text in listed
        )
    ]
    assert unlisted == []


def test_the_oldest_versions_are_the_lower_bounds():
    found = runpy.run_path(str(ROOT / "scripts/oldest.py"))["lower_bounds"]()
    bounds = dict(
        text.partition(",")[0].split(">=") for text in PROJECT["dependencies"]
    )
    assert found == {
        name: bound
        for name, bound in bounds.items()
        if name not in ("torch", "torchvision", "timm")
    }


@pytest.mark.parametrize("workflow", ["ci.yml", "release.yml"])
def test_workflow_names_each_action_by_its_commit(workflow):
    text = (ROOT / ".github" / "workflows" / workflow).read_text(encoding="utf-8")
    actions = re.findall(r"uses: ([^\s#]+)(.*)", text)
    assert actions
    for action, comment in actions:
        assert action.startswith("./") or (
            re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)
            and re.search(r"# v\d", comment)
        ), action


def test_release_publishes_only_after_the_tests():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("test", "build")
    called = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    )
    assert "workflow_call" in called[True]  # YAML 1.1 reads the key "on" as a boolean
