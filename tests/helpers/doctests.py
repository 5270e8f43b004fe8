"""A plugin: modules without examples are not imported to look for doctests, which takes
seconds for some libraries; the examples of the API run in a folder with the demo.
"""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

import dsi_cli

RUNS = files("dsi_cli.demo") / "runs"


@pytest.fixture(scope="session")
def folder_of_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints of the demo's CNN in ``ckpts``, and results of both
    runs, at few epochs, in ``dsi-demo``.
    """
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(str(RUNS / "cifar100-cnn"), folder / "ckpts")
    dsi_cli.analyze(str(RUNS), folder / "dsi-demo", epochs="0:30:15", report=False)
    return folder


@pytest.fixture(autouse=True)
def _in_folder_of_examples(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the examples of the API in their folder."""
    if request.node.name.startswith("dsi_cli.api."):
        monkeypatch.chdir(request.getfixturevalue("folder_of_examples"))
    if request.node.name == "dsi_cli.api.log_curves":
        pytest.importorskip("tensorboard")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules of the package and of the helpers whose text has no example."""
    is_module = collection_path.suffix == ".py" and not collection_path.name.startswith(
        "test_"
    )
    return (
        True
        if is_module and ">>> " not in collection_path.read_text(encoding="utf-8")
        else None
    )
