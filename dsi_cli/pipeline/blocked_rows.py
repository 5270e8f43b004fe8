"""The rows of the curves table, and of that by class, from matrices that come by blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli.checkpoints.records import Record
from dsi_cli.metrics import WSI_QUANTILE, alignment, dissimilarity, partial
from dsi_cli.metrics.alignment import Alignment
from dsi_cli.metrics.blocked import alignment as blocked
from dsi_cli.metrics.blocked import by_class as blocked_by_class
from dsi_cli.metrics.blocked import dissimilarity as blocked_idm
from dsi_cli.metrics.blocked import survey
from dsi_cli.metrics.blocked.survey import Survey
from dsi_cli.metrics.blocked.walk import Walk
from dsi_cli.metrics.by_class import Alignment as GroupAlignment
from dsi_cli.metrics.reliability import reliability
from dsi_cli.pipeline import by_class, curves
from dsi_cli.pipeline.answers import Stored as StoredAnswer
from dsi_cli.pipeline.by_rows import ByRows, Source, source_of
from dsi_cli.pipeline.curves import ORDER, Row
from dsi_cli.pipeline.labelling import Labelling
from dsi_cli.pipeline.options import Options
from dsi_cli.pipeline.semantics import SCSM, Classes, Semantics, own_of
from dsi_cli.similarity.confusion import classes_with_samples

TOO_MANY = "left out above 4,096 classes"
NO_PARTIAL = "a partial correlation needs whole matrices: give more with --memory (up to 4,096 classes)"


@dataclass(frozen=True)
class Epoch:
    """The matrices and answers of one checkpoint."""

    record: Record
    sources: list[Source]
    """In the order in which a SAI names them."""
    answers: Sequence[StoredAnswer]
    surveys: Mapping[str, Survey]
    """Of sources that were looked at already, by name."""


@dataclass(frozen=True)
class Comparing:
    """What all epochs of a run are compared with, and how."""

    labelling: Labelling
    references: list[ByRows]
    options: Options
    walk: Walk
    scratch: Path
    semantics: Semantics | None = None
    """Where matrices are stored."""
    kinds: Sequence[str] = ("ncsm",)
    """Made from a classifier, where they are not."""


def whole_sources(
    by_kind: Mapping[str, NDArray[np.float32]], answers: Sequence[StoredAnswer], options: Options
) -> list[Source]:
    """Return an epoch's stored matrices."""
    found = {kind: source_of(kind, matrix, np.arange(len(matrix))) for kind, matrix in by_kind.items()}
    for answer in answers:
        if answer.tncsm is not None:
            name = f"tncsm-{answer.split}"
            found[name] = source_of(name, answer.tncsm)
        if answer.ccsm is not None and answer.counts is not None:
            name = f"ccsm-{answer.split}"
            found[name] = source_of(name, answer.ccsm, classes_with_samples(answer.counts))
            found[name].reliability = reliability(answer.counts, seed=options.seed)
    return [found[name] for name in ORDER if name in found]


def rows_of(epoch: Epoch, with_: Comparing) -> tuple[list[Row], pa.Table | None]:
    """Return every row that an epoch's matrices and counts give, and its rows of the table by class."""
    rows = [row for one in epoch.sources if one.kind != "ccsm" for row in _wsi_rows(one, epoch, with_)]
    rows += curves.reliability_rows(epoch.sources, epoch.record)
    parts: list[pa.Table] = []
    for place, first in enumerate(epoch.sources):
        for second in epoch.sources[place + 1 :]:
            rows += _pair(first, second, None, epoch, with_)[0]
    own = own_of(epoch.sources)
    for reference in with_.references:
        for one in epoch.sources:
            if reference.missing is not None:
                rows += curves.missing_reference(one, reference, epoch.record, with_.options)
                continue
            found, compared = _pair(one, reference.source, reference, epoch, with_)
            rows += found
            parts += _by_class(one, reference, compared, epoch, with_) if one is own and compared is not None else []
    rows += list(_partial_rows(own, epoch, with_))
    for answer in epoch.answers:
        if answer.counts is not None:
            rows += [*curves.answer_rows(answer, epoch.record), *_idm_rows(answer, epoch, with_)]
    return rows, pa.concat_tables(parts) if parts else None


def left_out_rows(answers: Sequence[StoredAnswer], record: Record, one: Labelling) -> list[Row]:
    """Return the rows that say what is not computed of so many classes."""
    rows = []
    for answer in answers:
        if answer.counts is not None:
            place: dict[str, Any] = {"split": answer.split, "reason": TOO_MANY}
            name = f"ccsm-{answer.split}"
            rows.append(curves.point(record, metric="reliability", of="ccsm", **place))
            rows.append(curves.point(record, metric="sai", of=f"ncsm,{name}", variant="cosine", reason=TOO_MANY))
            by = {"severity": one.hierarchy.name, "superclass_accuracy": one.superclasses_are}
            rows += [curves.point(record, metric=metric, reference=name, **place) for metric, name in by.items()]
    return rows


def _wsi_rows(one: Source, epoch: Epoch, with_: Comparing) -> Iterator[Row]:
    seen = epoch.surveys.get(one.name) or survey.of(one.rows, with_.walk, with_.options.quantiles)
    one.sums = seen.sums
    common = {"metric": "wsi", "of": one.kind, "split": one.split, "classes_used": one.rows.size}
    yield curves.point(epoch.record, **common, variant="mean", value=seen.mean_wsi)
    for (name, quantile), value in seen.wsi.items():
        suffix = "" if quantile == WSI_QUANTILE else f"@{quantile:g}"
        yield curves.point(epoch.record, **common, variant=name + suffix, value=value)


def _pair(
    first: Source, second: Source, reference: ByRows | None, epoch: Epoch, with_: Comparing
) -> tuple[list[Row], tuple[Classes, blocked.Compared] | None]:
    """Return the SAI of two matrices; also the classes in display order and what their rows add up to, where there is one."""
    options, kept = with_.options, np.intersect1d(first.classes, second.classes, assume_unique=True)
    compared = None
    if len(kept) < alignment.FEWEST_CLASSES:
        reason = f"{len(kept)} classes in both matrices: an alignment needs {alignment.FEWEST_CLASSES} or more"
        entries = {name: Alignment(name, classes_used=len(kept), reason=reason) for name in options.measures}
    else:
        order = alignment.order_among(kept, with_.labelling.order)
        a, b = (source.side(kept[order], with_.walk) for source in (first, second))
        entries, found = blocked.alignments(
            a,
            b,
            options.measures,
            with_.walk,
            order=order,
            permutations=options.permutations,
            draws=options.draws,
            seed=options.seed,
        )
        compared = None if found is None else (kept[order], found)
    corrected = curves.corrected(entries.get("pearson"), first, second)
    common = {"metric": "sai", "of": f"{first.name},{second.name}"}
    common |= {} if reference is None else {"reference": reference.name}
    rows = []
    for entry in [*entries.values(), *([corrected] if corrected is not None else [])]:
        values = asdict(entry)
        rows.append(curves.point(epoch.record, **common, variant=values.pop("measure"), **values))
    return rows, compared


def _by_class(
    own: Source, reference: ByRows, compared: tuple[Classes, blocked.Compared], epoch: Epoch, with_: Comparing
) -> Iterator[pa.Table]:
    shown, found = compared
    first, second = (source.side(shown, with_.walk).sums for source in (own, reference.source))
    back = np.argsort(shown)
    pearson, z = (values[back] for values in blocked_by_class.of_classes(first, second, found.products))

    def of_group(at: Classes) -> GroupAlignment:
        return blocked_by_class.of_group(own.of(at), reference.source.of(at), with_.walk)

    return by_class.tables(epoch.record, own.name, reference.name, with_.labelling, shown[back], pearson, z, of_group)


def _partial_rows(own: Source | None, epoch: Epoch, with_: Comparing) -> Iterator[Row]:
    for first, given in permutations([] if own is None else with_.references, 2):
        assert own is not None
        place = {"of": f"{own.name},{SCSM}", "reference": f"{first.name}|{given.name}", "variant": partial.NAME}
        yield curves.point(epoch.record, metric="sai", **place, reason=first.missing or given.missing or NO_PARTIAL)


def _idm_rows(answer: StoredAnswer, epoch: Epoch, with_: Comparing) -> Iterator[Row]:
    """Yield the IDM of a split's counts by the NCSM, by the TNCSM of that split, and by the references."""
    from scipy.sparse import csr_array

    counts = csr_array(answer.counts)

    def of(source: Source) -> dict[str, dissimilarity.Dissimilarity]:
        return blocked_idm.idm(counts, source.rows, source.classes, with_.walk, with_.scratch)

    for one in epoch.sources:
        if one.kind != "ccsm" and one.split in (None, answer.split):
            yield from curves.of_idm(epoch.record, answer, one.kind, of(one))
    for reference in with_.references:
        missing = reference.missing
        entries = (
            of(reference.source)
            if missing is None
            else {one: dissimilarity.Dissimilarity(one, reason=missing) for one in dissimilarity.VARIANTS}
        )
        for row in curves.of_idm(epoch.record, answer, SCSM, entries):
            yield row | {"reference": reference.name}
