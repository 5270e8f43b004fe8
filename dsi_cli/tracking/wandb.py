"""Weights & Biases: a W&B run a run, under an id of its own, so that what is uploaded again replaces itself.

Offline unless ``WANDB_MODE`` says otherwise: each call writes ``offline-run-TIME-ID`` anew and removes the one before. Nothing
but the curves is recorded: no console, no system metrics, no code.

W&B lets a run with a known id take the place of the one before, unless it is told to resume; so does ``wandb sync``.
Resuming would add the same epochs once more.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsi_cli.errors import OutputError, UsageError
from dsi_cli.tracking.points import plain

if TYPE_CHECKING:
    from dsi_cli.tracking.points import RunPoints

PROJECT = "dsi"
_MODE, _REPORTS = "WANDB_MODE", "WANDB_ERROR_REPORTING"


def send(runs: list[RunPoints], place: str | None) -> tuple[str, str]:
    """Log the curves of runs to a project, ``PROJECT`` or ``ENTITY/PROJECT``; return where they are, and what to do next.

    Raises
    ------
    UsageError
        The project's name or W&B's own settings cannot be right, or nobody is logged in where that is needed.
    OutputError
        W&B could not be written to.
    """
    if os.environ.get(_MODE, "offline") == "offline":
        os.environ.setdefault(_REPORTS, "false")  # else W&B asks the network even when offline
    import wandb

    entity, _, project = (place or os.environ.get("WANDB_PROJECT") or PROJECT).rpartition("/")
    if "/" in entity:
        raise UsageError(f"--log-to wandb:{place} is no project: expected PROJECT or ENTITY/PROJECT")
    try:
        sent = [_send(run, entity or None, project) for run in runs]
    except (wandb.errors.UsageError, ValueError) as error:
        raise UsageError(f"W&B does not take what was asked: {_line(error)}") from None
    except (wandb.errors.Error, OSError) as error:
        raise OutputError(f"W&B did not take the curves: {_line(error)}") from None
    folders = [os.path.relpath(folder) for folder in sent if folder is not None]
    if folders:
        return f"{Path(folders[0]).parent}, offline, project {project}", f"wandb sync {' '.join(folders)}"
    return f"project {project}", f"{_MODE} is {os.environ.get(_MODE)}"


def _send(run: RunPoints, entity: str | None, project: str) -> Path | None:
    """Return the folder of a run that was logged offline."""
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
    logged = wandb.init(
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
    _log(run, logged)
    folder = Path(logged.settings.sync_dir) if logged.offline else None
    logged.finish()
    if folder is not None:
        for earlier in set(folder.parent.glob(f"offline-run-*-{run.key}")) - {folder}:
            shutil.rmtree(earlier)
    return folder


def _log(run: RunPoints, logged: Any) -> None:
    logged.define_metric("epoch")
    logged.define_metric("*", step_metric="epoch")
    for epoch in run.epochs:
        logged.log({"epoch": epoch.number} | {plain(name): value for name, value in epoch.values.items()})


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
