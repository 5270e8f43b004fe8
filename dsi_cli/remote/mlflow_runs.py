"""Runs of MLflow, from a server or from a store on this machine, whose artifacts are
read in place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dsi_cli.errors import UnreachableError, UsageError, nearest
from dsi_cli.remote import locations, urls
from dsi_cli.remote.artifacts import ArtifactFileSystem
from dsi_cli.remote.locations import MLFLOW, Scalars, TrackedRun


class MlflowFileSystem(ArtifactFileSystem):
    """The artifacts of runs in MLflow: ``mlflow://RUN_ID/PATH``."""

    protocol = MLFLOW

    def __init__(self, tracking_uri: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.client = _client(tracking_uri)

    def list_folder(self, path: str) -> list[dict[str, Any]]:
        """Return the artifacts in a folder of a run."""
        run, _, folder = path.partition("/")
        entries = []
        for artifact in self.client.list_artifacts(run, folder or None):
            kind = "directory" if artifact.is_dir else "file"
            entries.append(
                {
                    "name": f"{run}/{artifact.path}",
                    "size": artifact.file_size or 0,
                    "type": kind,
                }
            )
        return entries

    def download(self, path: str, folder: Path) -> Path:
        """Download an artifact."""
        folder.mkdir(parents=True, exist_ok=True)
        run, _, artifact = path.partition("/")
        return Path(self.client.download_artifacts(run, artifact, str(folder)))


def _client(tracking_uri: str | None) -> Any:
    # By default, MLflow repeats a request for four minutes, and refuses stores that are
    # folders.
    settings = {
        "HTTP_REQUEST_MAX_RETRIES": "2",
        "ALLOW_FILE_STORE": "true",
        "DISABLE_TELEMETRY": "true",
    }
    quiet = {"LOGGING_LEVEL": "WARNING", "ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    for name, value in (settings | quiet).items():
        os.environ.setdefault(f"MLFLOW_{name}", value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri)


def find_runs(name: str) -> list[TrackedRun]:
    """Return the run of an id, or all runs of an experiment, the oldest first; errors
    as `find_tracked_runs`.
    """
    from mlflow import get_tracking_uri
    from mlflow.exceptions import MlflowException

    uri = str(get_tracking_uri())
    shown = urls.clean_message(uri)
    # MLflow would make an empty store.
    if uri.startswith("sqlite:"):
        local = urlsplit(uri).path.removeprefix("/")
    else:
        local = urls.local_path(uri)
    if urlsplit(uri).scheme in ("", "file", "sqlite") and not Path(local).exists():
        message = f"there is no MLflow store {shown}"
        raise UsageError(
            message,
            hint="set MLFLOW_TRACKING_URI to the address of the server or the store",
            code="no-such-path",
            path=shown,
        )
    try:
        client = _client(uri)
        runs = _search(client, name)
    except (MlflowException, OSError) as error:
        raise UnreachableError(
            f"MLflow at {shown} does not list {name}: {urls.clean_message(str(error))}"
        ) from None
    tracked = []
    for run in runs:
        # A store on this machine needs no copies.
        artifacts = run.info.artifact_uri
        is_local = urlsplit(artifacts).scheme in ("", "file")
        if is_local:
            folder = Path(urls.local_path(artifacts))
        else:
            folder = locations.open_url(f"mlflow://{run.info.run_id}")
        run_name = run.info.run_name or run.info.run_id
        tracked.append(
            TrackedRun("MLflow", run_name, folder, partial(_read_scalars, client, run))
        )
    return tracked


def _search(client: Any, name: str) -> list[Any]:
    from mlflow import search_runs
    from mlflow.exceptions import MlflowException

    if re.fullmatch(r"[0-9a-f]{32}", name):
        try:
            return [client.get_run(name)]
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    experiments = client.search_experiments()
    ids = {experiment.name: experiment.experiment_id for experiment in experiments}
    ids |= {
        experiment.experiment_id: experiment.experiment_id
        for experiment in experiments
        if name not in ids
    }
    if name not in ids:
        near = nearest(name, [experiment.name for experiment in experiments])
        if near:
            advice = f"; try mlflow:{near}"
        else:
            advice = f" at {urls.clean_message(client.tracking_uri)}"
        raise UsageError(
            f"MLflow has no run or experiment {name}{advice}",
            code="no-such-path",
            path=f"mlflow:{name}",
        )
    return list(
        search_runs(
            [ids[name]], order_by=["attributes.start_time ASC"], output_format="list"
        )
    )


def _read_scalars(client: Any, run: Any, names: Collection[str]) -> Scalars:
    from mlflow.exceptions import MlflowException

    try:
        return {
            key.lower(): {
                metric.step: metric.value
                for metric in client.get_metric_history(run.info.run_id, key)
            }
            for key in run.data.metrics
            if key.lower() in names
        }
    except MlflowException as error:
        raise OSError(urls.clean_message(str(error))) from None
