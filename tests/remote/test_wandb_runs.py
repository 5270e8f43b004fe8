"""Runs of Weights & Biases as inputs: real folders of offline runs, and a stand-in for
the client of its server.
"""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.errors import raises
from helpers.outputs import ANIMALS, heads, save_head

import dsi_cli
from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.errors import UnreachableError, UsageError

EPOCHS = 3


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """Work in a folder of its own, offline and without the settings of a user."""
    pytest.importorskip("wandb", reason="writes offline runs")
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_PROJECT", "WANDB_DIR", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    folders = {
        f"WANDB_{name}_DIR": str(tmp_path / name)
        for name in ("CONFIG", "DATA", "CACHE")
    }
    for name, value in {
        **settings,
        **folders,
        "NETRC": str(tmp_path / "netrc"),
    }.items():
        monkeypatch.setenv(name, value)


def offline_run(folder: Path) -> Path:
    """Log a run as Lightning does with ``log_model="all"``; return its folder."""
    import wandb

    run = wandb.init(
        project="p",
        name="nice-fish",
        dir=str(folder),
        reinit="create_new",
        settings={"console": "off"},
    )
    for epoch, weight in enumerate(heads(EPOCHS)):
        file = save_head(folder / f"{epoch}.ckpt", weight, classes=list(ANIMALS))
        metadata = {"original_filename": f"epoch={epoch}-step={10 * epoch}.ckpt"}
        artifact = wandb.Artifact(
            name=f"model-{run.id}", type="model", metadata=metadata
        )
        artifact.add_file(str(file), name="model.ckpt")
        run.log_artifact(artifact, aliases=["latest"])
        run.log({"epoch": epoch, "train_loss": 2 - epoch / 2, "val_acc": epoch / 4})
    (folder / "notes.txt").write_text("x", encoding="utf-8")
    notes = wandb.Artifact(name="notes", type="dataset")
    notes.add_file(str(folder / "notes.txt"))
    run.log_artifact(notes)
    written = Path(run.settings.sync_dir)
    run.finish()
    wandb.teardown()
    return written


def test_an_offline_run_gives_its_artifacts_and_its_curves(tmp_path):
    folder = offline_run(tmp_path)
    results = dsi_cli.analyze(f"wandb:{folder}", tmp_path / "out", report=False)
    assert list(results) == ["nice-fish"]
    rows = results.checkpoints
    found = list(zip(rows.epoch, rows.step, rows.epoch_source, strict=True))
    assert found == [(epoch, 10 * epoch, "revision name") for epoch in range(EPOCHS)]
    losses = results.curves[results.curves.metric == "loss"]
    assert dict(zip(losses.epoch, losses.value, strict=True)) == {
        0: 2.0,
        1: 1.5,
        2: 1.0,
    }
    Path(rows.path[0]).unlink()
    ((_, records),) = scan_paths([f"wandb:{folder}"], HeadOptions())
    assert sorted(record.status for record in records) == ["failed", "ok", "ok"]
    file = next(folder.glob("*.wandb"))
    file.write_bytes(file.read_bytes()[:-200])
    assert discover([f"wandb:{folder}"]), "a file that is still written"


class Server:
    """What dsi uses of W&B's public API, answered from files; the real server cannot be
    run on this machine.
    """

    downloads: list[str] = []  # noqa: RUF012 (of the class, because dsi makes the objects)

    def __init__(self, timeout: int) -> None:  # noqa: ARG002
        self.folder = Path("server")

    def run(self, path: str) -> SimpleNamespace:
        if path != "lab/animals/abc":
            raise ValueError(f"Could not find run {path}")
        rows = [
            {
                "_step": 7 * epoch,
                "train/epoch": epoch,
                "train/loss": 2.0 - epoch,
                "text": "x",
            }
            for epoch in range(1, 3)
        ]
        names = [*(f"model-abc:v{number}" for number in (10, 9, 2)), "history:v0"]
        artifacts = [self.artifact(f"lab/animals/{name}") for name in names]
        return SimpleNamespace(
            name="nice-fish",
            logged_artifacts=lambda: artifacts,
            scan_history=lambda: iter(rows),
        )

    def artifact(self, path: str) -> SimpleNamespace:
        name = path.rpartition("/")[2]
        number = int(name.rpartition("v")[2])
        file = self.folder / f"{number}.safetensors"

        def download(root: str, skip_cache: bool) -> str:
            assert skip_cache
            Path(root).mkdir(parents=True)
            self.downloads.append(name)
            return str(shutil.copy(file, Path(root) / "model.ckpt"))

        size = file.stat().st_size if file.exists() else 0
        entries = {"model.ckpt": SimpleNamespace(size=size, digest=str(number))}
        entries["docs/card.txt"] = SimpleNamespace(size=1, digest="")
        return SimpleNamespace(
            name=name,
            version=f"v{number}",
            type="wandb-history" if name.startswith("history") else "model",
            aliases=[f"v{number}", "latest", *([f"epoch_{number}"])],
            metadata={},
            manifest=SimpleNamespace(entries=entries),
            get_entry=lambda _: SimpleNamespace(download=download),
        )


def test_a_run_on_the_server_gives_each_version_of_its_artifacts(tmp_path, monkeypatch):
    monkeypatch.setattr("wandb.Api", Server)
    Server.downloads.clear()
    for number, weight in zip((2, 9, 10), heads(EPOCHS), strict=True):
        save_head(
            tmp_path / "server" / f"{number}.safetensors", weight, classes=list(ANIMALS)
        )
    results = dsi_cli.analyze("wandb:lab/animals/abc", tmp_path / "out", report=False)
    assert list(results) == ["nice-fish"]
    assert list(results.checkpoints.epoch) == [2, 9, 10]
    assert (
        results.checkpoints.path[0] == "wandb://lab/animals/abc/model-abc:v2/model.ckpt"
    )
    assert set(Server.downloads) == {"model-abc:v10", "model-abc:v2", "model-abc:v9"}
    Server.downloads.clear()
    dsi_cli.analyze("wandb:lab/animals/abc", tmp_path / "out", report=False)
    assert len(Server.downloads) <= 1, (
        "only the first one, for the names of the classes"
    )


@pytest.mark.parametrize("name", ["abc", "lab/animals/other"])
def test_an_unknown_run_is_wrong_usage(name, monkeypatch):
    monkeypatch.setattr("wandb.Api", Server)
    with raises("no-such-path", UsageError):
        discover([f"wandb:{name}"])


def test_without_a_login_there_is_one_line(monkeypatch):
    import wandb

    def refuse(timeout: int) -> None:
        raise wandb.errors.UsageError("No API key configured")

    monkeypatch.setattr("wandb.Api", refuse)
    with pytest.raises(
        UnreachableError,
        match=r"lab/animals/abc: run wandb login or set WANDB_API_KEY$",
    ):
        discover(["wandb:lab/animals/abc"])


def test_a_missing_package_is_named_with_the_line_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match=r"pip install 'dsi-cli\[wandb\]'"):
        discover(["wandb:lab/animals/abc"])
