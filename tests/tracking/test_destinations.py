"""What ``--log-to`` takes, and what it says of the rest before anything is analysed."""

import importlib.machinery
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from helpers.errors import raises

from dsi_cli import tracking
from dsi_cli.errors import UsageError
from dsi_cli.tracking import TRACKERS, form


@pytest.mark.parametrize(
    ("text", "name", "target"),
    [
        ("tensorboard:logs", "tensorboard", "logs"),
        ("tensorboard:/a b/c:d", "tensorboard", "/a b/c:d"),
        ("wandb", "wandb", None),
        ("wandb:", "wandb", None),
        ("wandb:lab/dsi", "wandb", "lab/dsi"),
        ("mlflow:http://host:5000", "mlflow", "http://host:5000"),
    ],
)
def test_destinations_of_a_valid_text_returns_tracker_and_target(text, name, target):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"needs the package {name}")
    (found,) = tracking.destinations([text, text])
    assert (found.tracker.name, found.target) == (name, target)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("comet", "unknown-tracker"),
        ("tensorboard", "missing-target"),
        ("tensorboard:", "missing-target"),
    ],
)
def test_destination_of_an_invalid_text_raises_the_code(text, code):
    with raises(code, UsageError):
        tracking.destination(text)


@pytest.mark.parametrize("tracker", TRACKERS, ids=lambda one: one.name)
@pytest.mark.parametrize(
    "found", ["nothing", "a folder of that name", "an import hook"]
)
def test_destination_without_the_package_raises_package_missing(
    tracker, found, monkeypatch, tmp_path
):
    for name in [
        name for name in sys.modules if name.partition(".")[0] == tracker.name
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    hook = SimpleNamespace(find_spec=Mock(side_effect=ModuleNotFoundError))
    monkeypatch.setattr(
        sys,
        "meta_path",
        [hook if found == "an import hook" else importlib.machinery.PathFinder],
    )
    if found == "a folder of that name":
        (tmp_path / tracker.name).mkdir()
    with raises("package-missing", UsageError, package=tracker.name):
        tracking.destination(form(tracker).replace("[", "").replace("]", ""))


def test_a_tracker_is_a_line_a_module_and_an_extra():
    root = Path(__file__).resolve().parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]["optional-dependencies"]
    modules = {path.stem for path in (root / "dsi_cli/tracking").glob("*.py")} - {
        "__init__",
        "destinations",
        "points",
    }
    assert modules == {tracker.name for tracker in TRACKERS}
    for tracker in TRACKERS:
        assert any(
            re.match(rf"{tracker.name}(-skinny)?>=", requirement)
            for requirement in extras[tracker.name]
        )
