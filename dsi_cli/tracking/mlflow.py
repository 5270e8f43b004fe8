"""MLflow: one MLflow run per training run, identified by a tag; dsi logs only the
missing steps of a metric.

The history of a metric can only grow. If a value has changed (because of other options
or another checkpoint), dsi deletes the MLflow run and creates a new one. ``mlflow runs
restore`` restores the deleted run.
"""

from __future__ import annotations

import os
from typing import Any

from dsi_cli.errors import OutputError
from dsi_cli.remote import urls
from dsi_cli.tracking.points import RunPoints, plain
from dsi_cli.version import __version__

EXPERIMENT = "dsi"
TAG = "dsi.key"
MAX_BATCH_METRICS = 1000  # metrics in one request to MLflow


def send(runs: list[RunPoints], target: str | None) -> tuple[str, str]:
    """Log curves to a tracking URI, by default MLflow's; return it and the command to
    show it, or raise `OutputError`.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    try:
        client = MlflowClient(tracking_uri=target)
        existing = client.get_experiment_by_name(name)
        if existing is None:
            experiment = client.create_experiment(name)
        else:
            experiment = existing.experiment_id
        for run in runs:
            _send(client, experiment, run)
    except (MlflowException, OSError) as error:
        reason = urls.clean_message(str(error))
        raise OutputError(
            f"MLflow did not take the curves: {reason}", code="tracker-failed"
        ) from None
    uri = urls.without_secrets(client.tracking_uri)
    return f"{uri}, experiment {name}", (
        uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"
    )


def _send(client: Any, experiment: str, run: RunPoints) -> None:
    from mlflow.entities import Metric

    points = {
        (plain(name), epoch.number): value
        for epoch in run.epochs
        for name, value in epoch.values.items()
    }
    times = {epoch.number: int(epoch.time * 1000) for epoch in run.epochs}
    # Find the MLflow run of an earlier call, and its points.
    run_id = None
    logged: dict[tuple[str, int], float] = {}
    for earlier in client.search_runs(
        [experiment], f"tags.`{TAG}` = '{run.key}'", max_results=1
    ):
        run_id = earlier.info.run_id
        for name in earlier.data.metrics:
            logged |= {
                (metric.key, metric.step): metric.value
                for metric in client.get_metric_history(run_id, name)
            }
    if run_id is not None and not logged.items() <= points.items():
        client.delete_run(run_id)
        run_id, logged = None, {}
    if run_id is None:
        tags = {
            TAG: run.key,
            "dsi.version": __version__,
            "dsi.output": run.output,
            "dsi.run": run.name,
        }
        run_id = client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
    missing = [
        Metric(name, value, times[epoch], epoch)
        for (name, epoch), value in points.items()
        if (name, epoch) not in logged
    ]
    for begin in range(0, len(missing), MAX_BATCH_METRICS):
        client.log_batch(run_id, missing[begin : begin + MAX_BATCH_METRICS])
    client.set_terminated(run_id)
