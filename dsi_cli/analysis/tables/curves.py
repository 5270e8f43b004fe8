"""The rows of the curves table: from stored matrices and counts, and from what a trainer wrote itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from itertools import permutations
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsi_cli.analysis.classifiers.matrices import StoredMatrices
from dsi_cli.analysis.evaluation.stored import StoredEvaluation
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.prepared import SCSM, Classes, EpochMatrix, PreparedReference, RunReferences, own_kinds
from dsi_cli.analysis.tables import class_alignment
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import CURVES, TrainingLog
from dsi_cli.metrics import WSI_QUANTILE, alignment, hierarchy, partial_mantel, wsi
from dsi_cli.metrics.alignment import Alignment
from dsi_cli.metrics.blockwise.alignment import alignments_in_blocks
from dsi_cli.metrics.blockwise.blocks import BlockWalk
from dsi_cli.metrics.blockwise.idm import idm_in_blocks
from dsi_cli.metrics.blockwise.wsi import block_statistics
from dsi_cli.metrics.hierarchy import HierarchyScore
from dsi_cli.metrics.idm import VARIANTS, IdmResult, idm
from dsi_cli.metrics.idm import empty_result as no_idm
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.prepared import PreparedMatrix
from dsi_cli.metrics.split_half import reliability
from dsi_cli.similarity import MAX_DENSE_CLASSES
from dsi_cli.similarity.confusion import classes_with_samples
from dsi_cli.similarity.weights import Cosines

Row = dict[str, Any]


@dataclass(frozen=True)
class BlockwiseContext:
    """How an epoch's matrices are compared if they are not whole in memory."""

    walk: BlockWalk
    scratch: Path
    """The folder of temporary files."""
    is_vast: bool
    """Whether there are more classes than a matrix is stored of."""


TOO_MANY = f"left out above {MAX_DENSE_CLASSES:,} classes"
ORDER = ("ncsm", "ncsm_centred", "tncsm-train", "tncsm-test", "ccsm-train", "ccsm-test", SCSM)
"""Of the two matrices that a SAI names."""


def epoch_matrices(
    stored: StoredMatrices, answers: Sequence[StoredEvaluation], options: Options, by_rows: BlockwiseContext | None = None
) -> list[EpochMatrix]:
    """Return an epoch's matrices in the order in which a SAI names them."""
    found = {kind: EpochMatrix(kind, matrix, np.arange(len(matrix))) for kind, matrix in stored.by_kind.items()}
    if stored.weight is not None and by_rows is not None:
        for kind in ("ncsm", "ncsm_centred") if options.centred else ("ncsm",):
            rows = Cosines.of(stored.weight, centred=kind == "ncsm_centred")
            seen = stored.surveys.get(kind) or block_statistics(rows, by_rows.walk, options.quantiles)
            found[kind] = EpochMatrix(kind, rows, np.arange(rows.size), survey=seen)
    for answer in answers:
        if answer.tncsm is not None:
            name, present = f"tncsm-{answer.split}", np.flatnonzero(~np.isnan(np.diagonal(answer.tncsm)))
            found[name] = EpochMatrix(name, answer.tncsm, present)
        if answer.ccsm is not None and answer.counts is not None:
            name, present = f"ccsm-{answer.split}", classes_with_samples(answer.counts)
            found[name] = EpochMatrix(name, answer.ccsm, present, reliability(answer.counts, seed=options.seed))
    return [found[name] for name in ORDER if name in found]


def curve_rows(
    matrices: Sequence[EpochMatrix],
    answers: Sequence[StoredEvaluation],
    record: Record,
    semantics: RunReferences,
    options: Options,
    by_rows: BlockwiseContext | None = None,
) -> tuple[list[Row], pa.Table | None]:
    """Return every row that an epoch's matrices and counts give, and its rows of the table by class.

    Parameters
    ----------
    by_rows : how the matrices are compared if they are not whole in memory
    """
    rows = [row for csm in matrices if csm.kind != "ccsm" for row in _wsi_rows(csm, record, options, by_rows)]
    rows += [
        point(record, metric="reliability", of=csm.kind, split=csm.split, **asdict(csm.reliability))
        for csm in matrices
        if csm.reliability is not None
    ]
    aligned, table = _alignment_rows(matrices, record, semantics, options, by_rows)
    rows += aligned + _partial_rows(matrices, record, semantics, options, by_rows)
    for answer in answers:
        if answer.counts is None:
            continue
        rows += evaluation_rows(answer, record) + _dissimilarity_rows(answer, matrices, record, semantics, by_rows)
        is_left_out = by_rows is not None and by_rows.is_vast
        rows += (_left_out_rows if is_left_out else _hierarchy_rows)(answer, record, semantics)
    return rows, table


def missing_rows(split: str, reason: str, record: Record) -> list[Row]:
    """Return the rows that say why a checkpoint has no answer on a split."""
    place = {"split": split, "reason": reason}
    return [
        point(record, metric="accuracy", **place),
        *(point(record, metric="idm", of="ncsm", variant=one, **place) for one in VARIANTS),
    ]


def mean_row(record: Record, value: float) -> Row:
    """Return the row that says how long the mean weight row is."""
    return point(record, metric="mean_row", of="ncsm", value=value, classes_used=record.classes)


def trainer_rows(record: Record, log: TrainingLog | None) -> list[Row]:
    """Return the curves that the trainer wrote itself: from the log beside the checkpoint, else from its contents."""
    return [
        point(record, metric=CURVES[name].metric, split=CURVES[name].split, value=value)
        for name, value in trainer_values(record, log).items()
        if name in CURVES
    ]


def trainer_values(record: Record, log: TrainingLog | None) -> dict[str, float]:
    """Return what the trainer wrote of an epoch, by the names of `dsi_cli.checkpoints.training_logs.CURVES`."""
    found = dict(record.scalars)
    if log is not None and record.epoch is not None:
        # Ultralytics counts epochs from 1 in its log, from 0 in its checkpoints.
        found |= log.by_epoch.get(record.epoch + (record.trainer == "ultralytics"), {})
    return found


def without_repeats(computed: Sequence[Row], written: Sequence[Row]) -> list[Row]:
    """Return both, but for curves that a trainer wrote and that were computed as well."""
    known = {(row["metric"], row.get("split")) for row in computed if row.get("value") is not None}
    return [*computed, *(row for row in written if (row["metric"], row.get("split")) not in known)]


def sort_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the curves table is sorted by."""
    names = ("run", "epoch", "step", "metric", "of", "reference", "split", "variant")
    return tuple((row.get(name) is not None, row.get(name)) for name in names)


def _wsi_rows(csm: EpochMatrix, record: Record, options: Options, by_rows: BlockwiseContext | None) -> list[Row]:
    common = {"metric": "wsi", "of": csm.kind, "split": csm.split, "classes_used": len(csm.classes)}
    if by_rows is None:
        square = csm.matrix[np.ix_(csm.classes, csm.classes)]
        mean = wsi.mean_wsi(square)
        tails = {
            (name, quantile): function(square, quantile)
            for quantile in options.quantiles
            for name, function in (("max", wsi.max_wsi), ("min", wsi.min_wsi))
        }
    else:
        seen = csm.survey or block_statistics(csm.rows(csm.classes), by_rows.walk, options.quantiles)
        mean, tails = seen.mean_wsi, seen.wsi
    rows = [point(record, **common, variant="mean", value=mean)]
    for (name, quantile), value in tails.items():
        suffix = "" if quantile == WSI_QUANTILE else f"@{quantile:g}"
        rows.append(point(record, **common, variant=name + suffix, value=value))
    return rows


def _alignment_rows(
    matrices: Sequence[EpochMatrix],
    record: Record,
    semantics: RunReferences,
    options: Options,
    by_rows: BlockwiseContext | None,
) -> tuple[list[Row], pa.Table | None]:
    """Return the SAI of every two matrices, the references among them; and the rows of the table by class."""
    sides, own = _Sides(), own_kinds(matrices)
    pairs = [(first, second, None) for place, first in enumerate(matrices) for second in matrices[place + 1 :]]
    rows: list[Row] = []
    tables: list[pa.Table] = []
    for first, second, reference in [*pairs, *((csm, one.csm, one) for one in semantics.references for csm in matrices)]:
        if reference is not None and reference.missing is not None:
            rows += missing_reference(first, reference, record, options)
            continue
        kept = np.intersect1d(first.classes, second.classes, assume_unique=True)
        if by_rows is None:
            entries, pearson = _whole_entries(first, second, kept, reference, sides, semantics, options), None
        else:
            entries, pearson = _entries_by_rows(first, second, kept, options, by_rows.walk)
        rows += _pair_rows(first, second, reference, entries, record)
        if reference is not None and first is own:
            side = sides.of(first, kept) if by_rows is None else None
            walk = None if by_rows is None else by_rows.walk
            tables += class_alignment.class_alignment_tables(first, side, reference, kept, record, semantics, walk, pearson)
    return rows, pa.concat_tables(tables) if tables else None


def _whole_entries(
    first: EpochMatrix,
    second: EpochMatrix,
    kept: Classes,
    reference: PreparedReference | None,
    sides: _Sides,
    semantics: RunReferences,
    options: Options,
) -> dict[str, Alignment]:
    """Return the SAI of the classes ``kept`` of two whole matrices by each measure."""
    missing = alignment.reason_too_few_classes(len(kept))
    if missing is not None:
        return {name: Alignment(name, classes_used=len(kept), reason=missing) for name in options.measures}
    order = alignment.display_order(kept, semantics.labelling.order)
    other = sides.of(second, kept) if reference is None else reference.side(kept)
    pair = alignment.MatrixPair(sides.of(first, kept), other, order)
    return pair.alignments(options.measures, options.permutations, options.draws, options.seed)


def _entries_by_rows(
    first: EpochMatrix, second: EpochMatrix, kept: Classes, options: Options, walk: BlockWalk
) -> tuple[dict[str, Alignment], Values | None]:
    """Return the same by blocks of rows, and the correlation of each class's rows."""
    if len(kept) < 2:
        reason = alignment.reason_too_few_classes(len(kept))
        return {name: Alignment(name, classes_used=len(kept), reason=reason) for name in options.measures}, None
    known = first.sums(kept, walk), second.sums(kept, walk)
    return alignments_in_blocks(first.rows(kept), second.rows(kept), options.measures, walk, known)


def missing_reference(csm: EpochMatrix, reference: PreparedReference, record: Record, options: Options) -> list[Row]:
    """Return the rows that say why a matrix is not aligned with a reference."""
    common = {"reference": reference.name, "reason": reference.missing, "classes_used": len(reference.csm.classes)}
    of = f"{csm.name},{SCSM}"
    return [point(record, metric="sai", of=of, variant=measure, **common) for measure in options.measures]


def _partial_rows(
    matrices: Sequence[EpochMatrix],
    record: Record,
    semantics: RunReferences,
    options: Options,
    by_rows: BlockwiseContext | None,
) -> list[Row]:
    """Return the partial correlation of the network's own similarity with each reference given each other one."""
    own = own_kinds(matrices)
    rows = []
    for first, given in permutations([] if own is None else semantics.references, 2):
        assert own is not None
        entry = _partial(own, first, given, options, by_rows)
        place = {"of": f"{own.name},{SCSM}", "reference": f"{first.name}|{given.name}"}
        values = asdict(entry)
        rows.append(point(record, metric="sai", **place, variant=values.pop("measure"), **values))
    return rows


def _partial(
    own: EpochMatrix,
    first: PreparedReference,
    reference: PreparedReference,
    options: Options,
    by_rows: BlockwiseContext | None,
) -> Alignment:
    kept = reduce(np.intersect1d, [own.classes, first.csm.classes, reference.csm.classes])
    missing = first.missing or reference.missing
    if missing is None and len(kept) < alignment.MIN_CLASSES:
        missing = f"{len(kept)} classes in all three: an alignment needs {alignment.MIN_CLASSES} or more"
    if missing is None and by_rows is not None:
        missing = f"a partial correlation needs {by_rows.walk.requirement}"
    if missing is not None:
        return Alignment(partial_mantel.NAME, classes_used=len(kept), reason=missing)
    a, b, c = (csm.matrix[np.ix_(kept, kept)] for csm in (own, first.csm, reference.csm))
    return partial_mantel.partial_mantel(a, b, c, permutations=options.permutations, draws=options.draws, seed=options.seed)


class _Sides:
    """The matrices of one epoch, prepared once for all their partners that have the same classes."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bytes], PreparedMatrix] = {}

    def of(self, csm: EpochMatrix, kept: Classes) -> PreparedMatrix:
        key = (csm.name, kept.tobytes())
        if key not in self._made:
            self._made[key] = PreparedMatrix(csm.matrix[np.ix_(kept, kept)])
        return self._made[key]


def _pair_rows(
    first: EpochMatrix,
    second: EpochMatrix,
    reference: PreparedReference | None,
    entries: Mapping[str, Alignment],
    record: Record,
) -> list[Row]:
    """Return the rows of the SAI of two matrices; ``reference`` is the second one, where it is one."""
    noiseless = _corrected(entries.get("pearson"), first, second)
    common = {"metric": "sai", "of": f"{first.name},{second.name}"}
    if reference is not None:
        common["reference"] = reference.name
    rows = []
    for entry in [*entries.values(), *([noiseless] if noiseless is not None else [])]:
        values = asdict(entry)
        rows.append(point(record, **common, variant=values.pop("measure"), **values))
    return rows


def _corrected(pearson: Alignment | None, first: EpochMatrix, second: EpochMatrix) -> Alignment | None:
    """Return Pearson's correlation corrected for the noise of CCSMs; None where it was not asked for, or none takes part."""
    found = [csm.reliability for csm in (first, second) if csm.reliability is not None]
    if pearson is None or not found:
        return None
    blank = Alignment("pearson_corrected", classes_used=pearson.classes_used)
    if pearson.value is None:
        return replace(blank, reason=pearson.reason)
    unknown = next((one.reason for one in found if one.value is None), None)
    values = [one.value for one in found if one.value is not None]
    if unknown is not None or any(value <= 0 for value in values):
        reason = unknown or "the CCSM has no reliability above 0: its mistakes are noise"
        return replace(blank, reason=f"no correction: {reason}")
    scale = sqrt(float(np.prod(values)))
    over: dict[str, Any] = {
        name: None if (value := getattr(pearson, name)) is None else value / scale
        for name in ("value", "null_mean", "null_std", "ceiling", "low", "high")
    }
    entry = replace(pearson, measure=blank.measure, **over)
    return replace(entry, excess=entry.value)


def evaluation_rows(answer: StoredEvaluation, record: Record) -> list[Row]:
    """Return accuracy and the like, from counts; loss and top-5 where the model was run."""
    assert answer.counts is not None
    counts = answer.counts
    samples = counts.sum(axis=1)
    right, total = counts.diagonal(), int(samples.sum())
    present = samples > 0
    values = {
        "accuracy": float(right.sum() / total),
        "balanced_accuracy": float((right[present] / samples[present]).mean()),
        "mistakes": float(total - right.sum()),
        "loss": answer.mark.get("loss"),
        "accuracy_top5": None if answer.mark.get("top5") is None else answer.mark["top5"] / total,
    }
    used = {"split": answer.split, "classes_used": int(present.sum()), "samples_used": total}
    return [point(record, metric=name, value=value, **used) for name, value in values.items() if value is not None]


def _dissimilarity_rows(
    answer: StoredEvaluation,
    matrices: Sequence[EpochMatrix],
    record: Record,
    semantics: RunReferences,
    by_rows: BlockwiseContext | None,
) -> list[Row]:
    """Return the IDM of a split's counts by the NCSM, by the TNCSM of that split, and by the references."""
    assert answer.counts is not None
    counts = answer.counts

    def idm_by(csm: EpochMatrix) -> dict[str, IdmResult]:
        if by_rows is None:
            return idm(counts, csm.matrix)
        from scipy.sparse import csr_array

        return idm_in_blocks(csr_array(counts), csm.rows(csm.classes), csm.classes, by_rows.walk, by_rows.scratch)

    rows: list[Row] = []
    for csm in matrices:
        if csm.kind != "ccsm" and csm.split in (None, answer.split):
            rows += _idm_rows(record, answer, csm.kind, idm_by(csm))
    for reference in semantics.references:
        entries = idm_by(reference.csm) if reference.missing is None else no_idm(reference.missing)
        rows += [row | {"reference": reference.name} for row in _idm_rows(record, answer, SCSM, entries)]
    return rows


def _left_out_rows(answer: StoredEvaluation, record: Record, semantics: RunReferences) -> list[Row]:
    """Return the rows that say what of a split's counts is not computed of so many classes."""
    place: dict[str, Any] = {"split": answer.split, "reason": TOO_MANY}
    name = f"ccsm-{answer.split}"
    by = {"severity": semantics.labelling.hierarchy.name, "superclass_accuracy": semantics.labelling.superclasses_are}
    return [
        point(record, metric="reliability", of="ccsm", **place),
        point(record, metric="sai", of=f"ncsm,{name}", variant="cosine", reason=TOO_MANY),
        *(point(record, metric=metric, reference=name, **place) for metric, name in by.items()),
    ]


def _hierarchy_rows(answer: StoredEvaluation, record: Record, semantics: RunReferences) -> list[Row]:
    """Return the severity of a split's mistakes and the superclass accuracy, by the hierarchy of the classes."""
    assert answer.counts is not None
    counts, labelling = answer.counts, semantics.labelling
    unknown = labelling.why_no_hierarchy()
    lone = semantics.why_no_superclasses()
    found = {
        "severity": HierarchyScore(reason=unknown) if unknown else hierarchy.severity(counts, semantics.heights),
        "superclass_accuracy": HierarchyScore(reason=lone)
        if lone
        else hierarchy.superclass_accuracy(counts, semantics.superclasses),
    }
    by = {"severity": labelling.hierarchy.name, "superclass_accuracy": labelling.superclasses_are}
    return [
        point(record, metric=metric, split=answer.split, reference=by[metric], **asdict(entry))
        for metric, entry in found.items()
    ]


def _idm_rows(record: Record, answer: StoredEvaluation, of: str, entries: Mapping[str, IdmResult]) -> list[Row]:
    """Return the rows of an IDM by one matrix."""
    return [point(record, metric="idm", of=of, split=answer.split, **asdict(entry)) for entry in entries.values()]


def point(record: Record, **values: Any) -> Row:
    """Return a row of the curves table at a checkpoint."""
    place = {"run": record.run, "epoch": record.epoch, "epochs_completed": record.epochs_completed, "step": record.step}
    return {**place, **values}
