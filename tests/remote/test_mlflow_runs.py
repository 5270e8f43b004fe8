"""Runs of MLflow as inputs: artifacts in a store on this machine and on an S3 server,
and curves as the training log.
"""

import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers.errors import raises
from helpers.outputs import ANIMALS, heads, save_head, tables
from helpers.s3 import BUCKET

import dsi_cli
from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.errors import UnreachableError, UsageError

pytest.importorskip("sqlalchemy", reason="MLflow's local store needs it")
EPOCHS = 3


@pytest.fixture
def client(mlflow_store, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    return MlflowClient(tracking_uri=mlflow_store)


def train(client, experiment: str, name: str, folder: Path, seed: int = 0) -> str:
    """Log a run as Lightning does with ``log_model="all"``; return its id."""
    run = client.create_run(experiment, run_name=name).info.run_id
    for epoch, weight in enumerate(heads(EPOCHS, seed=seed)):
        stem = f"epoch={epoch}-step={10 * epoch + 10}"
        file = save_head(
            folder / f"{stem}.ckpt",
            weight,
            epoch=epoch,
            global_step=10 * epoch + 10,
            classes=list(ANIMALS),
        )
        client.log_artifact(run, str(file), stem)
        (folder / "aliases.txt").write_text("['latest']", encoding="utf-8")
        client.log_artifact(run, str(folder / "aliases.txt"), stem)
        for metric, value in {
            "epoch": epoch,
            "train_loss": 2 - epoch / 2,
            "val_acc": epoch / 4,
            "other": 9.0,
        }.items():
            client.log_metric(run, metric, value, step=10 * epoch + 9)
    return run


def values(results, metric: str) -> dict[int, float]:
    rows = results.curves[results.curves.metric == metric]
    return dict(zip(rows.epoch, rows.value, strict=True))


def test_a_run_gives_the_tables_of_its_checkpoints_in_a_folder_and_its_curves(
    client, tmp_path
):
    experiment = client.create_experiment(
        "alone", artifact_location=str(tmp_path / "store")
    )
    run = train(client, experiment, "nice-fish", tmp_path / "nice-fish")
    there = dsi_cli.analyze(f"mlflow:{run}", tmp_path / "there", report=False)
    here = dsi_cli.analyze(tmp_path / "nice-fish", tmp_path / "here", report=False)
    assert list(there) == ["nice-fish"]
    assert values(there, "loss") == {0: 2.0, 1: 1.5, 2: 1.0}
    assert values(there, "accuracy") == {0: 0.0, 1: 0.25, 2: 0.5}
    computed = there.curves[
        ~there.curves.metric.isin(["loss", "accuracy"])
    ].reset_index(drop=True)
    pd.testing.assert_frame_equal(here.curves, computed)
    frames = [
        tables(tmp_path / side)["checkpoints"].drop(columns=["path", "modified_ns"])
        for side in ("here", "there")
    ]
    pd.testing.assert_frame_equal(*frames)


def test_an_experiment_gives_each_of_its_runs(client, tmp_path):
    experiment = client.create_experiment(
        "pair", artifact_location=str(tmp_path / "store")
    )
    for seed in range(2):
        train(client, experiment, "same-name", tmp_path / str(seed), seed)
    client.create_run(experiment, run_name="without artifacts")
    found = scan_paths(["mlflow:pair"], HeadOptions())
    assert [[record.epoch for record in records] for _, records in found] == [
        [0, 1, 2],
        [0, 1, 2],
    ]
    assert len({run.name for run, _ in found}) == 2
    assert all(run.name.startswith("same-name") for run, _ in found)


def test_a_store_that_is_a_folder_is_read(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(tracking_uri=str(tmp_path / "mlruns"))
    train(client, client.create_experiment("folder"), "near", tmp_path / "near")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    ((run, records),) = scan_paths(["mlflow:folder"], HeadOptions())
    assert (run.name, [record.epoch for record in records]) == ("near", [0, 1, 2])


def test_artifacts_on_a_server_are_downloaded_one_at_a_time_and_removed(
    client, s3, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", s3.url)
    experiment = client.create_experiment(
        "remote", artifact_location=f"s3://{BUCKET}/artifacts"
    )
    run = train(client, experiment, "far", tmp_path / "far")
    s3.requests.clear()
    results = dsi_cli.analyze(f"mlflow:{run}", tmp_path / "out", report=False)
    assert list(results.checkpoints.epoch) == [0, 1, 2]
    assert (
        results.checkpoints.path[0]
        == f"mlflow://{run}/epoch=0-step=10/epoch=0-step=10.ckpt"
    )
    read = [
        path
        for method, path, _ in s3.requests
        if method == "GET" and path.endswith((".ckpt", ".txt"))
    ]
    assert len(set(read)) == EPOCHS, "no other artifact"
    assert len(read) <= EPOCHS + 1, "the first one again for the names of the classes"
    ((found, *_),) = (run.checkpoints for run in discover([f"mlflow:{run}"]))
    assert not [
        path for path in found.path.fs._folder.path.rglob("*") if path.is_file()
    ]
    s3.requests.clear()
    dsi_cli.analyze(f"mlflow:{run}", tmp_path / "out", report=False)
    read = [
        path
        for method, path, _ in s3.requests
        if method == "GET" and path.endswith(".ckpt")
    ]
    assert len(read) <= 1, "only the first one, for the names of the classes"


@pytest.mark.parametrize("name", ["allone", "0" * 32])
def test_an_unknown_run_or_experiment_is_wrong_usage(name, client):
    with raises("no-such-path", UsageError):
        discover([f"mlflow:{name}"])


def test_a_store_that_does_not_exist_is_not_made(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    with raises("no-such-path", UsageError):
        discover(["mlflow:anything"])
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_gone_is_one_line_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:sesame@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        UnreachableError,
        match=r"MLflow at http://127\.0\.0\.1:9 does not list anything",
    ) as caught:
        discover(["mlflow:anything"])
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named_with_the_line_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match=r"pip install 'dsi-cli\[mlflow\]'"):
        discover(["mlflow:anything"])
