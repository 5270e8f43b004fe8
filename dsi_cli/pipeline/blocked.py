"""An epoch's rows where its matrices come by blocks: matrices that are stored, or a classifier that stands for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dsi_cli.checkpoints.records import Record
from dsi_cli.metrics.blocked.walk import Walk
from dsi_cli.pipeline import blocked_rows, by_rows, curves
from dsi_cli.pipeline.answers import Stored as StoredAnswer
from dsi_cli.pipeline.blocked_rows import Comparing, Epoch
from dsi_cli.pipeline.by_rows import Source
from dsi_cli.pipeline.curves import Row
from dsi_cli.pipeline.heads import cosines, multiplier
from dsi_cli.pipeline.labelling import Labelling
from dsi_cli.pipeline.options import Options
from dsi_cli.pipeline.reading import Stored
from dsi_cli.pipeline.references import Opened
from dsi_cli.pipeline.semantics import Semantics
from dsi_cli.store import output

__all__ = ["Comparing", "of_rows", "of_semantics", "rows_of"]


def of_rows(out: Path, one: Labelling, opened: Sequence[Opened], options: Options, walk: Walk) -> Comparing:
    """Return what the epochs of a run of very many classes are compared with; errors as `Opened.of`."""
    kinds = ("ncsm", "ncsm_centred") if options.centred else ("ncsm",)
    return Comparing(one, by_rows.references(one, opened), options, walk, output.scratch(out), None, kinds)


def of_semantics(out: Path, semantics: Semantics, options: Options, walk: Walk) -> Comparing:
    """Return what the epochs of a run are compared with whose matrices are stored."""
    references = by_rows.of_semantics(semantics)
    return Comparing(semantics.labelling, references, options, walk, output.scratch(out), semantics)


def rows_of(
    stored: Stored, answers: Sequence[StoredAnswer], record: Record, comparing: Comparing
) -> tuple[list[Row], pa.Table | None]:
    """Return the rows of an epoch's matrices and counts, as `curves.rows_of` does, and those of the table by class."""
    options, semantics = comparing.options, comparing.semantics
    comparing.scratch.mkdir(parents=True, exist_ok=True)
    if semantics is not None:
        epoch = Epoch(record, blocked_rows.whole_sources(stored.by_kind, answers, options), answers, {})
        rows, table = blocked_rows.rows_of(epoch, comparing)
        for answer in answers:
            rows += curves.hierarchy_rows(answer, record, semantics) if answer.counts is not None else []
    else:
        sources = _of_weight(stored, comparing)
        rows, table = blocked_rows.rows_of(Epoch(record, sources, answers, stored.surveys), comparing)
        rows += blocked_rows.left_out_rows(answers, record, comparing.labelling)
    if stored.by_kind or stored.weight is not None:
        rows.append(curves.mean_row(record, stored.mean_row))
    return rows, table


def _of_weight(stored: Stored, comparing: Comparing) -> list[Source]:
    if stored.weight is None:
        return []
    weight, on = stored.weight, multiplier(comparing.options.evaluation.device)
    return [Source(kind, cosines(weight, kind, on), np.arange(len(weight))) for kind in comparing.kinds]
