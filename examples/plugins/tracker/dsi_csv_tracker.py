"""A CSV file as a tracker: ``dsi export dsi-out --log-to csv:curves.csv``."""

import csv
from pathlib import Path

from dsi_cli.tracking.points import RunPoints


def send(runs: list[RunPoints], target: str | None) -> tuple[str, str]:
    """Write a row for each value; return the place, and the command that shows it.

    ``target`` is the text after the colon of ``--log-to``. A repeated call must not add
    points twice, so the file is written from the start.
    """
    path = Path(target or "curves.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "epoch", "name", "value"])
        for run in runs:
            for epoch in run.epochs:
                for name, value in epoch.values.items():
                    writer.writerow([run.name, epoch.number, name, value])
    return str(path), f"column -s, -t {path}"
