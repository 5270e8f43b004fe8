"""Fixtures that every test may use, and the rule that ``tests/shared_data`` runs only
where ``DSI_SHARED`` names the data.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from helpers.trainers import Expected

pytest.register_assert_rewrite("helpers")
pytest_plugins = (
    "helpers.analysed_runs",
    "helpers.browser",
    "helpers.doctests",
    "helpers.trained_models",
)

VARIABLE = "DSI_SHARED"
SHARED_DATA = Path(__file__).resolve().parent / "shared_data"


def pytest_configure() -> None:
    """Stop at once if the variable names no folder, and heed interrupts, which a
    shell's background job ignores.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = os.environ.get(VARIABLE)
    if folder and not Path(folder).is_dir():
        raise pytest.UsageError(
            f"{VARIABLE} names no folder: {folder}; unset it, or set it to the folder"
            " of shared data"
        )


def pytest_report_header() -> str:
    """Say whether the tests that need the shared data are run."""
    if os.environ.get(VARIABLE):
        return f"tests/shared_data reads the data in {os.environ[VARIABLE]}"
    return f"tests/shared_data is left out: {VARIABLE} is not set"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests that need the shared data if no variable names it."""
    return (
        True
        if collection_path == SHARED_DATA and not os.environ.get(VARIABLE)
        else None
    )


@pytest.fixture(scope="session", autouse=True)
def _without_fsync() -> Iterator[None]:
    """Let no test wait for the disk; processes that tests start still do, so that kills
    are real.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def _without_the_users_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget the modules that a test let dsi import from its files, and the folders of
    theirs that stay on the path.
    """
    path, before = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    made = str(tmp_path_factory.getbasetemp())
    for name in sys.modules.keys() - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(made):
            del sys.modules[name]


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """Return a folder that ``make`` fills, once for all worker processes; later callers
    wait for the first one.
    """
    base = factory.getbasetemp()
    top = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = top / name
    with FileLock(top / f"{name}.lock"):
        if not (top / f"{name}.done").exists():
            make(folder)
            (top / f"{name}.done").touch()
    return folder


@pytest.fixture(scope="session")
def four_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of four training runs, which `four_runs.py` describes; do not
    write to it.
    """
    from helpers.four_runs import write

    return made_once(tmp_path_factory, "four-runs", write)


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of an MLflow store; it is a copy of one that is made once, because
    making one takes seconds.
    """
    pytest.importorskip("sqlalchemy", reason="MLflow's local store needs it")
    mlflow = pytest.importorskip("mlflow", reason="makes the store")

    def make(folder: Path) -> None:
        folder.mkdir()
        mlflow.MlflowClient(
            tracking_uri=f"sqlite:///{folder}/mlflow.db"
        ).search_experiments()

    copy = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    shutil.copy(made_once(tmp_path_factory, "mlflow-store", make) / "mlflow.db", copy)
    return f"sqlite:///{copy}"


class TrainersFiles(NamedTuple):
    """Checkpoints of many trainers."""

    folder: Path
    expected: dict[str, list[Expected]]
    """What is in each checkpoint, by trainer."""


@pytest.fixture(scope="session")
def trainers_files(tmp_path_factory: pytest.TempPathFactory) -> TrainersFiles:
    """Return a folder of checkpoints of each of the trainers in `trainers.py`; do not
    write to it.
    """
    from helpers.trainers import write_all

    def make(folder: Path) -> None:
        expected = write_all(folder / "top")
        (folder / "expected.pickle").write_bytes(pickle.dumps(expected))

    folder = made_once(tmp_path_factory, "trainers", make)
    return TrainersFiles(
        folder / "top", pickle.loads((folder / "expected.pickle").read_bytes())
    )


@pytest.fixture(scope="session")
def colour_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 10 images of 32 x 32 pixels for each class of CIFAR-100; do
    not write to it.
    """
    return _images(tmp_path_factory.mktemp("colour"), "cifar100", size=32, mode="RGB")


@pytest.fixture(scope="session")
def grey_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 10 grey images of 28 x 28 pixels for each class of
    Fashion-MNIST; do not write to it.
    """
    return _images(tmp_path_factory.mktemp("grey"), "fashion-mnist", size=28, mode="L")


def _images(folder: Path, preset: str, *, size: int, mode: str) -> Path:
    from helpers.pictures import write

    from dsi_cli.labels.presets import load_preset

    names = [name.replace("/", "-") for name in load_preset(preset).names]
    return write(folder / "images", names, each=10, size=size, mode=mode)
