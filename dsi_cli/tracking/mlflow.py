"""MLflow: an MLflow run a run, found again by a tag; of a metric only the steps that are missing are logged.

A metric's history only grows. So where a value has changed since (other options, another checkpoint), the MLflow run is deleted, as
MLflow deletes (``mlflow runs restore`` brings it back), and a new one takes its place.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from dsi_cli.errors import OutputError
from dsi_cli.tracking.points import plain
from dsi_cli.version import __version__

if TYPE_CHECKING:
    from dsi_cli.tracking.points import RunPoints

EXPERIMENT = "dsi"
TAG = "dsi.key"
MOST = 1000
"""Metrics that MLflow takes at once."""
_Points = dict[tuple[str, int], float]
"""Values by name and epoch."""


def send(runs: list[RunPoints], place: str | None) -> tuple[str, str]:
    """Log the curves of runs to a tracking URI, by default MLflow's own; return it, and how to look at it.

    Raises
    ------
    OutputError
        The store does not exist or could not be written to.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    try:
        client = MlflowClient(tracking_uri=place)
        known = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if known is None else known.experiment_id
        for run in runs:
            _send(client, experiment, run)
    except (MlflowException, OSError) as error:
        raise OutputError(f"MLflow did not take the curves: {_without_password(' '.join(str(error).split()))}") from None
    uri = _without_password(client.tracking_uri)
    return f"{uri}, experiment {name}", uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"


def _send(client: Any, experiment: str, run: RunPoints) -> None:
    from mlflow.entities import Metric

    wanted = {(plain(name), epoch.number): value for epoch in run.epochs for name, value in epoch.values.items()}
    times = {epoch.number: int(epoch.time * 1000) for epoch in run.epochs}
    found, there = _earlier(client, experiment, run.key)
    if found is not None and not there.items() <= wanted.items():
        client.delete_run(found)
        found, there = None, {}
    if found is None:
        tags = {TAG: run.key, "dsi.version": __version__, "dsi.output": run.output, "dsi.run": run.name}
        found = client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
    missing = [
        Metric(name, value, times[epoch], epoch) for (name, epoch), value in wanted.items() if (name, epoch) not in there
    ]
    for begin in range(0, len(missing), MOST):
        client.log_batch(found, missing[begin : begin + MOST])
    client.set_terminated(found)


def _earlier(client: Any, experiment: str, key: str) -> tuple[str | None, _Points]:
    """Return the MLflow run of an earlier call, and the points in it."""
    runs = client.search_runs([experiment], f"tags.`{TAG}` = '{key}'", max_results=1)
    if not runs:
        return None, {}
    run_id = runs[0].info.run_id
    history = [one for name in runs[0].data.metrics for one in client.get_metric_history(run_id, name)]
    return run_id, {(one.key, one.step): one.value for one in history}


def _without_password(text: str) -> str:
    """Return text with what a URI says of a user left out.

    >>> _without_password("postgresql://ann:secret@host/db")
    'postgresql://host/db'
    """
    return re.sub(r"(\w://)[^/@\s]*@", r"\1", text)
