"""The rows of the curves table: from stored matrices, and from what a trainer wrote itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.logs import CURVES, Log
from dsi_cli.checkpoints.records import Record
from dsi_cli.metrics import WSI_QUANTILE, alignment
from dsi_cli.metrics import weights as wsi
from dsi_cli.metrics.side import Side
from dsi_cli.pipeline.labelling import Labelling
from dsi_cli.pipeline.options import REFERENCE, Options

Row = dict[str, Any]


@dataclass(frozen=True)
class Semantics:
    """The reference matrix of a run, prepared once for all its epochs."""

    labelling: Labelling

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """The SCSM, NaN for classes without a synset."""
        return self.labelling.reference()

    @cached_property
    def known(self) -> NDArray[np.intp]:
        """The classes that have a synset."""
        return np.flatnonzero(~np.isnan(np.diagonal(self.matrix)))

    @cached_property
    def side(self) -> Side:
        """The SCSM of these classes, prepared for many partners."""
        return Side(self.matrix[np.ix_(self.known, self.known)])


def matrix_rows(kind: str, csm: NDArray[np.float32], record: Record, semantics: Semantics, options: Options) -> list[Row]:
    """Return the WSI and SAI rows of one stored matrix."""
    rows = [_point(record, metric="wsi", of=kind, variant="mean", value=wsi.mean_wsi(csm), classes_used=len(csm))]
    for quantile in options.quantiles:
        suffix = "" if quantile == WSI_QUANTILE else f"@{quantile:g}"
        for name, function in (("max", wsi.max_wsi), ("min", wsi.min_wsi)):
            value = function(csm, quantile)
            rows.append(_point(record, metric="wsi", of=kind, variant=name + suffix, value=value, classes_used=len(csm)))
    return rows + _alignment_rows(kind, csm, record, semantics, options)


def mean_row(record: Record, value: float) -> Row:
    """Return the row that says how long the mean weight row is."""
    return _point(record, metric="mean_row", of="ncsm", value=value, classes_used=record.classes)


def trainer_rows(record: Record, log: Log | None) -> list[Row]:
    """Return the curves that the trainer wrote itself: from the log beside the checkpoint, else from its contents."""
    found = dict(record.scalars)
    if log is not None and record.epoch is not None:
        # Ultralytics counts epochs from 1 in its log, from 0 in its checkpoints.
        found |= log.by_epoch.get(record.epoch + (record.trainer == "ultralytics"), {})
    return [
        _point(record, metric=CURVES[name].metric, split=CURVES[name].split, value=value)
        for name, value in found.items()
        if name in CURVES
    ]


def sort_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the curves table is sorted by."""
    names = ("run", "epoch", "step", "metric", "of", "reference", "split", "variant")
    return tuple((row.get(name) is not None, row.get(name)) for name in names)


def _alignment_rows(
    kind: str, csm: NDArray[np.float32], record: Record, semantics: Semantics, options: Options
) -> list[Row]:
    common = {"metric": "sai", "of": f"{kind},scsm", "reference": REFERENCE}
    missing = semantics.labelling.why_no_reference()
    if missing is not None:
        return [
            _point(record, **common, variant=measure, reason=missing, classes_used=semantics.labelling.resolved)
            for measure in options.measures
        ]
    known = semantics.known
    order = alignment.order_among(known, semantics.labelling.order)
    pair = alignment.Pair(Side(csm[np.ix_(known, known)]), semantics.side, order)
    found = pair.alignments(options.measures, options.permutations, options.draws, options.seed)
    rows = []
    for measure, entry in found.items():
        values = asdict(entry)
        values.pop("measure")
        rows.append(_point(record, **common, variant=measure, **values))
    return rows


def _point(record: Record, **values: Any) -> Row:
    place = {"run": record.run, "epoch": record.epoch, "epochs_completed": record.epochs_completed, "step": record.step}
    return {**place, **values}
