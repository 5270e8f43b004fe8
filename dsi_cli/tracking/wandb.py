"""Weights & Biases: one W&B run per training run, with a fixed id, so that another
upload replaces the run.

dsi works offline unless ``WANDB_MODE`` is set. Each call then writes a new
``offline-run-TIME-ID`` and removes the one before. dsi records only the curves: no
console output, no system metrics and no code.

W&B and ``wandb sync`` replace a run with a known id, unless they resume it. Resuming
would log the same epochs twice.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dsi_cli.errors import OutputError, UsageError
from dsi_cli.remote import urls
from dsi_cli.tracking.points import RunPoints, plain

PROJECT = "dsi"
_MODE, _REPORTS = "WANDB_MODE", "WANDB_ERROR_REPORTING"


def send(runs: list[RunPoints], target: str | None) -> tuple[str, str]:
    """Log the curves of runs to a project, ``PROJECT`` or ``ENTITY/PROJECT``; return a
    description and the next step.

    Raise `UsageError` if the project's name or W&B's settings are invalid, or the user
    is not logged in although W&B requires it. Raise `OutputError` if W&B could not be
    written to.
    """
    if os.environ.get(_MODE, "offline") == "offline":
        # otherwise, W&B uses the network even when offline
        os.environ.setdefault(_REPORTS, "false")
    import wandb

    entity, _, project = (
        target or os.environ.get("WANDB_PROJECT") or PROJECT
    ).rpartition("/")
    if "/" in entity:
        message = (
            f"--log-to wandb:{target} is not a project; expected PROJECT or"
            " ENTITY/PROJECT"
        )
        raise UsageError(message, code="invalid-project")
    try:
        folders = [_send(run, entity or None, project) for run in runs]
    except (wandb.errors.UsageError, ValueError) as error:
        raise UsageError(
            f"W&B refuses these settings: {urls.clean_message(str(error))}",
            code="tracker-settings",
        ) from None
    except (wandb.errors.Error, OSError) as error:
        raise OutputError(
            f"W&B did not take the curves: {urls.clean_message(str(error))}",
            code="tracker-failed",
        ) from None
    offline_folders = [
        os.path.relpath(folder) for folder in folders if folder is not None
    ]
    if offline_folders:
        parent = Path(offline_folders[0]).parent
        return (
            f"{parent}, offline, project {project}",
            f"wandb sync {' '.join(offline_folders)}",
        )
    return f"project {project}", f"{_MODE} is {os.environ.get(_MODE)}"


def _send(run: RunPoints, entity: str | None, project: str) -> Path | None:
    """Log a run; return its folder if it was logged offline."""
    import wandb

    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    wandb_run = wandb.init(
        entity=entity,
        project=project,
        id=run.key,
        name=run.name,
        config={"dsi_output": run.output, "dsi_run": run.name},
        mode=os.environ.get(_MODE, "offline"),
        dir=os.environ.get("WANDB_DIR") or str(Path.cwd()),
        reinit="create_new",
        settings=settings,
    )
    wandb_run.define_metric("epoch")
    wandb_run.define_metric("*", step_metric="epoch")
    for epoch in run.epochs:
        wandb_run.log(
            {"epoch": epoch.number}
            | {plain(name): value for name, value in epoch.values.items()}
        )
    folder = Path(wandb_run.settings.sync_dir) if wandb_run.offline else None
    wandb_run.finish()
    if folder is not None:
        for earlier in set(folder.parent.glob(f"offline-run-*-{run.key}")) - {folder}:
            shutil.rmtree(earlier)
    return folder
