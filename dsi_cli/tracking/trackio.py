"""Trackio: one run per training run in Trackio's local store, or where
``TRACKIO_SPACE_ID`` or ``TRACKIO_SERVER_URL`` points.

Runs in the local store are recognised by a key in their configuration, and a repeated
call replaces them.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from dsi_cli.errors import OutputError
from dsi_cli.remote import urls
from dsi_cli.tracking.points import RunPoints

PROJECT = "dsi"
KEY = "dsi_key"


def send(runs: list[RunPoints], target: str | None) -> tuple[str, str]:
    """Log the curves of runs to a project; return it and the command that shows it.

    Raise `OutputError` if Trackio could not be written to.
    """
    project = target or PROJECT
    try:
        for run in runs:
            with redirect_stdout(io.StringIO()):  # Trackio prints hints
                _send(run, project)
    except (OSError, ValueError, RuntimeError) as error:
        raise OutputError(
            f"Trackio did not take the curves: {urls.clean_message(str(error))}",
            code="tracker-failed",
        ) from None
    return f"project {project}", f"trackio show --project {project}"


def _send(run: RunPoints, project: str) -> None:
    import trackio

    config = {KEY: run.key, "dsi_output": run.output, "dsi_run": run.name}
    logged = trackio.init(
        project=project,
        name=run.name,
        config=config,
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    for epoch in run.epochs:
        values = dict(epoch.values)
        # Trackio's own step is the number of the epoch.
        if "step" in values:
            values["optimiser_step"] = values.pop("step")
        trackio.log(values, step=epoch.number)
    trackio.finish()
    for earlier in trackio.Api().runs(project):
        is_same = (earlier.config or {}).get(KEY) == run.key
        if is_same and earlier.id != logged.id:
            earlier.delete()
