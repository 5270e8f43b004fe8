"""The runs that are compared: of one output or several, each with a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, nearest
from dsi_cli.store import layout
from dsi_cli.store.results import Results
from dsi_cli.store.schema import CURVES

OWN = ("ncsm", "tncsm-test", "tncsm-train")
"""The network's own similarity: the first of these that a run has."""
SPLITS = ("test", "train")
SHAPING = ("measures", "quantiles", "references", "ema", "keep_extra", "head")
"""Options of an analysis that make its numbers others."""


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run of one output."""

    label: str
    """What it is called here: the run's name, behind the output's where two have it."""
    name: str
    """The run's own name."""
    run: Results

    @cached_property
    def classes(self) -> pd.DataFrame:
        """Its rows of the classes table, in order."""
        rows = self.run.classes[self.run.classes["run"] == self.name]
        return rows.sort_values("class_index").reset_index(drop=True)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Its rows of the curves table: of each epoch the last save, of several references the main one."""
        rows = self.run.curves_of(self.name)
        keys = ["epoch", "metric", "of", "split", "variant", "reference"]
        return rows.sort_values("step", na_position="first", kind="stable").drop_duplicates(keys, keep="last")

    @cached_property
    def epochs(self) -> list[int]:
        """Those that have matrices."""
        return self.run.epochs(self.name)

    @cached_property
    def completed(self) -> dict[int, int] | None:
        """Finished epochs by epoch; None where that is not known of every epoch."""
        rows = self.run.checkpoints
        rows = rows[(rows["run"] == self.name) & (rows["status"] == "ok")]
        if rows.empty or rows["epochs_completed"].isna().any():
            return None
        return {int(epoch): int(done) for epoch, done in zip(rows["epoch"], rows["epochs_completed"], strict=True)}

    @cached_property
    def own(self) -> str | None:
        """The network's own similarity: out of `OWN`."""
        there = set(self.curves.loc[self.curves["metric"] == "wsi", "of"].dropna())
        splits = {(row["of"], row["split"]) for _, row in self.curves[self.curves["metric"] == "wsi"].iterrows()}
        return next((one for one in OWN if one in there or tuple(one.split("-")) in splits), None)

    @cached_property
    def shaping(self) -> dict[str, Any]:
        """The options that shaped its curves."""
        found: dict[str, Any] = layout.earlier_options(self.run.path, CURVES).get("shaping", {}).get(self.name, {})
        return found

    def csm(self, kind: str, epoch: int) -> NDArray[np.float32]:
        """Return a matrix by its kind and split (``ncsm``, ``ccsm-test``), ``scsm`` for the reference; errors as `Results.csm`."""
        self.run.require_matrices(self.name)
        name, _, split = kind.partition("-")
        matrix: NDArray[np.float32] = self.run.csm(name, epoch, split or None, self.name).to_numpy()
        return matrix

    def curve(
        self, metric: str, of: str | None = None, split: str | None = None, variant: str | None = None
    ) -> pd.DataFrame:
        """Return the points of a curve by epoch, in order; None fits a curve that has none of these."""
        rows = self.curves[self.curves["metric"] == metric]
        for column, wanted in (("of", of), ("split", split), ("variant", variant)):
            rows = rows[rows[column].isna() if wanted is None else rows[column] == wanted]
        return rows.set_index("epoch").sort_index()


def compared_runs(outputs: Sequence[str | Path], names: Sequence[str] = ()) -> list[ComparedRun]:
    """Return the runs of some outputs, or those of them that are named.

    Parameters
    ----------
    names : runs by name, or as OUTPUT/RUN where several outputs have one of that name

    Raises
    ------
    UsageError
        A folder is no output or given twice, there is no such run, or one run alone is left.
    """
    _require_once(outputs)
    found = [(Results(path), name) for path in outputs for name in Results(path).names]
    labels = _labels([(run.path, name) for run, name in found])
    every = [ComparedRun(label, name, run) for label, (run, name) in zip(labels, found, strict=True)]
    for name in names:
        if not any(name in (one.label, one.name) for one in every):
            near = nearest(name, [*labels, *(one.name for one in every)])
            meant = f"; did you mean {near}?" if near else ""
            raise UsageError(f"no run {name!r}: there are {', '.join(labels) or 'none'}{meant}")
    kept = [one for one in every if not names or one.label in names or one.name in names]
    kept = [one for one in kept if one.epochs]
    if len(kept) < 2:
        only = f"{kept[0].label} alone" if kept else "no run with a usable checkpoint"
        raise UsageError(f"a comparison takes two runs or more, of one output or of several; there is {only}")
    return kept


def _require_once(outputs: Sequence[str | Path]) -> None:
    uses = Counter(Path(path).resolve() for path in outputs)
    twice = next((path for path, times in uses.items() if times > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is given twice: its runs would be compared with themselves")


def _labels(places: Sequence[tuple[Path, str]]) -> list[str]:
    """Return a run's name where no other has it, else behind as much of its output's path as tells them apart."""
    parts = [(*path.resolve().parts, name) for path, name in places]
    uses = Counter(name for _, name in places)
    labels = []
    for mine, (_, name) in zip(parts, places, strict=True):
        length = 1 if uses[name] == 1 else 2
        while sum(mine[-length:] == other[-length:] for other in parts) > 1 and length < len(mine):
            length += 1
        labels.append("/".join(mine[-length:]))
    return labels
