"""What an installation has and lacks."""

import json
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from dsi_cli.cli import doctor

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Return ``pretend(Requires_Dist=[...])``: dsi-cli asks for these from now on, in
    metadata as pip writes them.
    """

    def made(**wanted):
        folder = tmp_path / "site" / "dsi_cli-0.1.0.dist-info"
        folder.mkdir(parents=True)
        lines = ["Metadata-Version: 2.4", "Name: dsi-cli", "Version: 0.1.0"]
        lines += [
            f"{key.replace('_', '-')}: {value}"
            for key, values in wanted.items()
            for value in values
        ]
        (folder / "METADATA").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder.parent))

    return made


def test_doctor_json_names_installed_packages(dsi):
    ended = dsi("doctor", "--json")
    document = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    found = {one["name"]: one["version"] for one in document["packages"]}
    for name in ("numpy", "pandas", "typer"):
        assert found[name] == metadata.version(name)
    assert sys.version.split()[0] in document["Python"]
    assert document["WordNet"] == "3.0, in the package"


@pytest.mark.parametrize("columns", ["80", "200"])
def test_doctor_screen_counts_installed_packages(columns, dsi, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    ended = dsi("doctor")
    assert (ended.code, ended.err) == (0, "")
    for said in (
        "WordNet 3.0, in the package",
        "packages ready; --json has their versions",
    ):
        assert said in " ".join(ended.out.split())


def test_extras_each_have_a_purpose_and_serving_packages_are_dependencies():
    assert [
        name for name in PROJECT["optional-dependencies"] if name not in doctor.EXTRAS
    ] == []
    assert set(doctor.SERVES) <= {
        text.partition(">=")[0] for text in PROJECT["dependencies"]
    }


def test_doctor_missing_package_gives_the_install_command(pretend, dsi):
    pretend(
        Requires_Dist=[
            "torch>=2.2",
            "numpy>=900",
            "pandas>=2.1",
            'xyzzy>=3; extra == "remote"',
        ],
        Provides_Extra=["remote"],
    )
    ended = dsi("doctor", "-q")
    assert ended.code == 0
    assert [" ".join(line.split()) for line in ended.out.splitlines()] == [
        f"– numpy {metadata.version('numpy')} is not >=900",
        'pip install "numpy>=900"',
        f"– xyzzy is not installed ({doctor.EXTRAS['remote']})",
        'pip install "dsi-cli[remote]"',
    ]


def test_doctor_missing_required_package_exits_with_3(pretend, dsi):
    pretend(Requires_Dist=["xyzzy>=3"])
    ended = dsi("doctor", "-q")
    assert ended.code == 3
    assert [line.strip() for line in ended.out.splitlines()][:2] == [
        "✗ xyzzy is not installed",
        'pip install "xyzzy>=3"',
    ]
