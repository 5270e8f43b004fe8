"""The rows of the curves table: from matrices, confusion counts and the training log of
a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import combinations, permutations, product
from math import prod, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.analysis.classifiers.heads import HeadParameters
from dsi_cli.analysis.semantics.epoch_context import (
    SCSM,
    Classes,
    EpochContext,
    EpochMatrix,
    network_matrix,
)
from dsi_cli.analysis.tables.class_alignment import class_alignment_tables
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import CURVES, TrainingLog
from dsi_cli.metrics import (
    WSI_QUANTILE,
    alignment,
    hierarchy,
    jackknife,
    partial_mantel,
)
from dsi_cli.metrics.alignment import Alignment
from dsi_cli.metrics.blockwise import (
    BlockStatistics,
    BlockWalk,
    alignments_in_blocks,
    block_statistics,
    idm_in_blocks,
)
from dsi_cli.metrics.differences import CsmPair, Difference, alignment_difference
from dsi_cli.metrics.hierarchy import AVERAGES, SET_SCORES
from dsi_cli.metrics.idm import NO_MISTAKE, VARIANTS, Score, idm_of_prepared
from dsi_cli.metrics.idm import empty_result as no_idm
from dsi_cli.metrics.measures import Values, off_diagonal
from dsi_cli.metrics.split_half import reliability
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import MAX_DENSE_CLASSES, Cosines

Row = dict[str, Any]

REASON_TOO_MANY = f"left out above {MAX_DENSE_CLASSES:,} classes"
REASON_UNEQUAL = (
    "the splits have unequal numbers of images per class; run `dsi analyze` with"
    " --train, --test and --templates again"
)
ORDER = (
    "ncsm",
    "ncsm_centred",
    "tncsm-train",
    "tncsm-test",
    "ccsm-train",
    "ccsm-test",
    SCSM,
)
"""The order of matrices in the name of a SAI."""


def epoch_matrices(
    dense: Mapping[str, NDArray[np.float32]],
    head: HeadParameters | None,
    statistics_of_blocks: Mapping[str, BlockStatistics],
    evaluations: Sequence[EvaluationResult],
    context: EpochContext,
    common: int | None = None,
) -> list[EpochMatrix]:
    """Return the matrices of an epoch in `ORDER`, only with the first ``common``
    classes, which all epochs of a run have.

    `dense` are the matrices of the weights; without them, the head gives their rows,
    and `statistics_of_blocks` their statistics.
    """
    matrices = {
        kind: EpochMatrix(kind, matrix, np.arange(len(matrix)))
        for kind, matrix in dense.items()
    }
    options = context.options
    for kind, known in statistics_of_blocks.items():
        assert head is not None, "the blocks were read from the head"
        assert context.walk is not None, "the matrix was read in blocks"
        weight = head.weight
        rows = Cosines.of(weight, centred=kind == "ncsm_centred").take(
            np.arange(len(weight))[:common]
        )
        statistics = (
            known
            if rows.size == len(weight)
            else block_statistics(rows, context.walk, options.quantiles)
        )
        matrices[kind] = EpochMatrix(
            kind, rows, np.arange(rows.size), statistics=statistics
        )
    for evaluation in evaluations:
        if evaluation.tncsm is not None:
            name, present = (
                f"tncsm-{evaluation.split}",
                np.flatnonzero(~np.isnan(np.diagonal(evaluation.tncsm))),
            )
            matrices[name] = EpochMatrix(name, evaluation.tncsm, present)
        if evaluation.ccsm is not None and evaluation.counts is not None:
            name, present = (
                f"ccsm-{evaluation.split}",
                np.flatnonzero(evaluation.counts.sum(axis=1) > 0),
            )
            split_half = reliability(evaluation.counts, seed=options.seed)
            matrices[name] = EpochMatrix(name, evaluation.ccsm, present, split_half)
    ordered = [matrices[name] for name in ORDER if name in matrices]
    if common is None or all(matrix.classes[-1:] < common for matrix in ordered):
        return ordered
    return [
        replace(matrix, classes=matrix.classes[matrix.classes < common])
        for matrix in ordered
    ]


def curve_rows(
    matrices: Sequence[EpochMatrix],
    evaluations: Sequence[EvaluationResult],
    context: EpochContext,
) -> tuple[list[Row], pa.Table | None]:
    """Return all rows of an epoch's matrices and confusion counts, and its rows of the
    class alignment table.
    """
    rows: list[Row] = []
    for matrix in matrices:
        if matrix.kind != "ccsm":
            rows += _wsi_rows(matrix, context)
        if matrix.reliability is not None:
            values = vars(matrix.reliability)
            rows.append(
                _row(
                    context.record,
                    metric="reliability",
                    of=matrix.kind,
                    split=matrix.split,
                    **values,
                )
            )
    alignment_rows, table = _alignment_rows(matrices, context)
    rows += alignment_rows
    rows += _partial_rows(matrices, context)
    rows += _gap_rows(matrices, evaluations, context)
    for evaluation in evaluations:
        collapse = evaluation.collapse.get("rows", [])
        rows += [
            _row(context.record, of="templates", split=evaluation.split, **row)
            for row in collapse
        ]
        if evaluation.counts is None:
            continue
        rows += _accuracy_rows(evaluation, context.record)
        rows += _idm_rows(evaluation, matrices, context)
        if context.labels.classes > similarity.MAX_DENSE_CLASSES:
            left_out = {"split": evaluation.split, "reason": REASON_TOO_MANY}
            labels, with_mistakes = context.labels, f"ncsm,ccsm-{evaluation.split}"
            rows += [
                _row(context.record, metric="reliability", of="ccsm", **left_out),
                _row(
                    context.record,
                    metric="sai",
                    of=with_mistakes,
                    variant="cosine",
                    reason=REASON_TOO_MANY,
                ),
                _row(
                    context.record,
                    metric="severity",
                    reference=labels.hierarchy.name,
                    **left_out,
                ),
                _row(
                    context.record,
                    metric="superclass_accuracy",
                    reference=labels.superclass_source,
                    **left_out,
                ),
            ]
        else:
            rows += _hierarchy_rows(evaluation, context)
    return rows, table


def missing_rows(split: str, reason: str, record: Record) -> list[Row]:
    """Return rows with the reason why a checkpoint has no evaluation on a split."""
    common = {"split": split, "reason": reason}
    idm_rows = [
        _row(record, metric="idm", of="ncsm", variant=variant, **common)
        for variant in VARIANTS
    ]
    return [_row(record, metric="accuracy", **common), *idm_rows]


def mean_row(record: Record, value: float) -> Row:
    """Return the row with the length of the mean weight vector."""
    return _row(
        record, metric="mean_row", of="ncsm", value=value, classes_used=record.classes
    )


def trainer_values(
    record: Record, log: TrainingLog | None, *, is_last: bool
) -> dict[str, float]:
    """Return the values that the trainer wrote for a checkpoint, by their names in
    `dsi_cli.checkpoints.training_logs.CURVES`.

    ``is_last`` is False for an earlier save of an epoch.
    """
    values = dict(record.scalars)
    if log is not None and record.epoch is not None:
        values |= log.at(record.epoch, record.trainer, record.step, is_last=is_last)
    return values


def trainer_rows(
    record: Record, trainer_values: Mapping[str, float], computed: Sequence[Row]
) -> list[Row]:
    """Return the rows of values that the trainer wrote, in its log or in the
    checkpoint, if their curve was not computed.
    """
    known = {
        (row["metric"], row.get("split"))
        for row in computed
        if row.get("value") is not None
    }
    written = [
        (CURVES[name], value)
        for name, value in trainer_values.items()
        if name in CURVES
    ]
    missing = [
        (curve, value)
        for curve, value in written
        if (curve.metric, curve.split) not in known
    ]
    return [
        _row(record, metric=curve.metric, split=curve.split, value=value)
        for curve, value in missing
    ]


def sort_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the key by which the curves table is sorted."""
    names = ("run", "epoch", "step", "metric", "of", "reference", "split", "variant")
    return tuple((row.get(name) is not None, row.get(name)) for name in names)


def _row(record: Record, **values: Any) -> Row:
    return record.key_columns | values


def _alignment_row(record: Record, entry: Alignment, **values: Any) -> Row:
    columns = dict(vars(entry))
    return _row(
        record, metric="sai", **values, variant=columns.pop("measure"), **columns
    )


def _wsi_rows(matrix: EpochMatrix, context: EpochContext) -> list[Row]:
    """Return the mean, the largest and the smallest WSI of a matrix."""
    statistics = matrix.statistics
    if statistics is None:
        walk = context.walk or BlockWalk()
        statistics = block_statistics(
            matrix.rows(matrix.classes), walk, context.options.quantiles
        )
    values = {"mean": statistics.mean_wsi}
    for (name, quantile), value in statistics.wsi.items():
        suffix = "" if quantile == WSI_QUANTILE else f"@{quantile:g}"
        values[name + suffix] = value
    common = {
        "metric": "wsi",
        "of": matrix.kind,
        "split": matrix.split,
        "classes_used": len(matrix.classes),
    }
    return [
        _row(context.record, **common, variant=variant, value=value)
        for variant, value in values.items()
    ]


def _alignment_rows(
    matrices: Sequence[EpochMatrix], context: EpochContext
) -> tuple[list[Row], pa.Table | None]:
    """Return the SAI of every two matrices, including the references, and the rows of
    the class alignment table.
    """
    network, record = network_matrix(matrices), context.record
    pairs_with_references = [
        (matrix, reference) for reference in context.references for matrix in matrices
    ]
    rows: list[Row] = []
    tables: list[pa.Table] = []
    for first, second in [*combinations(matrices, 2), *pairs_with_references]:
        columns = {"of": f"{first.name},{second.name}"}
        if second.reference is not None:
            columns["reference"] = second.reference
        kept = second.classes
        if second.reason_missing is None:
            kept = np.intersect1d(first.classes, second.classes, assume_unique=True)
        alignments, pearson = _align(first, second, kept, context)
        rows += [
            _alignment_row(record, entry, **columns) for entry in alignments.values()
        ]
        if second.reason_missing is not None:
            continue
        if "pearson" in alignments:
            corrected = _correct_for_noise(alignments["pearson"], first, second)
            if corrected is not None:
                rows.append(_alignment_row(record, corrected, **columns))
        if second.reference is not None and first is network:
            tables += class_alignment_tables(first, second, kept, pearson, context)
    return rows, pa.concat_tables(tables) if tables else None


def _align(
    first: EpochMatrix, second: EpochMatrix, kept: Classes, context: EpochContext
) -> tuple[dict[str, Alignment], Values | None]:
    """Return the SAI of two matrices of the kept classes, by measure; in blocks also
    the correlation of each class's rows.
    """
    options, size = context.options, len(kept)
    reason = second.reason_missing
    if reason is None and context.walk is not None and size >= 2:
        sums = first.sums(kept, context.walk), second.sums(kept, context.walk)
        return alignments_in_blocks(
            first.rows(kept), second.rows(kept), options.measures, context.walk, sums
        )
    reason = reason or alignment.reason_too_few_classes(size)
    if reason is None:
        order = alignment.display_order(kept, context.labels.order)
        pair = alignment.MatrixPair(
            first.of_classes(kept), second.of_classes(kept), order
        )
        constant = {
            matrix.kind: values
            for matrix, values in ((first, pair.a), (second, pair.b))
            if values.is_constant
        }
        if not constant:
            return (
                pair.alignments(
                    options.measures, options.permutations, options.draws, options.seed
                ),
                None,
            )
        names = " and the ".join(map(str.upper, constant))
        reason = (
            f"all off-diagonal values of the {names} are the same, so there is no scale"
        )
        if "ccsm" in constant and not off_diagonal(constant["ccsm"].matrix).any():
            reason = NO_MISTAKE
    return {
        name: Alignment(name, classes_used=size, reason=reason)
        for name in options.measures
    }, None


def _correct_for_noise(
    pearson: Alignment, first: EpochMatrix, second: EpochMatrix
) -> Alignment | None:
    """Return Pearson's correlation divided by the root of the CCSMs' reliabilities, or
    None if no matrix is a CCSM.
    """
    reliabilities = [
        matrix.reliability
        for matrix in (first, second)
        if matrix.reliability is not None
    ]
    if not reliabilities:
        return None
    values = [entry.value for entry in reliabilities if entry.value is not None]
    reason = None
    if pearson.value is None:
        reason = pearson.reason
    elif len(values) < len(reliabilities):
        reason = (
            "no correction:"
            f" {next(entry.reason for entry in reliabilities if entry.value is None)}"
        )
    elif min(values) <= 0:
        reason = (
            "no correction, because the CCSM has no reliability above 0, so its"
            " mistakes are noise"
        )
    if reason is not None:
        return Alignment(
            "pearson_corrected", classes_used=pearson.classes_used, reason=reason
        )
    known = {
        name: getattr(pearson, name)
        for name in ("value", "null_mean", "null_std", "ceiling", "low", "high")
    }
    scaled: dict[str, Any] = {
        name: None if value is None else value / sqrt(prod(values))
        for name, value in known.items()
    }
    return replace(
        pearson, measure="pearson_corrected", **scaled, excess=scaled["value"]
    )


def _partial_rows(matrices: Sequence[EpochMatrix], context: EpochContext) -> list[Row]:
    """Return the partial correlations of the network's similarity with each reference,
    controlling for each other one.
    """
    network, options = network_matrix(matrices), context.options
    if network is None:
        return []
    rows = []
    for first, control in permutations(context.references, 2):
        kept = reduce(np.intersect1d, [network.classes, first.classes, control.classes])
        reason = first.reason_missing or control.reason_missing
        if reason is None and len(kept) < alignment.MIN_CLASSES:
            reason = (
                f"{len(kept)} classes in all three; an alignment needs"
                f" {alignment.MIN_CLASSES} or more"
            )
        if reason is None and context.walk is not None:
            reason = f"a partial correlation needs {context.walk.requirement}"
        if reason is not None:
            entry = Alignment(
                partial_mantel.NAME, classes_used=len(kept), reason=reason
            )
        else:
            a, b, c = (
                matrix.dense[np.ix_(kept, kept)] for matrix in (network, first, control)
            )
            entry = partial_mantel.partial_mantel(
                a, b, c, permutations=options.permutations, seed=options.seed
            )
        columns = {
            "of": f"{network.name},{SCSM}",
            "reference": f"{first.reference}|{control.reference}",
        }
        rows.append(_alignment_row(context.record, entry, **columns))
    return rows


def _gap_rows(
    matrices: Sequence[EpochMatrix],
    evaluations: Sequence[EvaluationResult],
    context: EpochContext,
) -> list[Row]:
    """Return the overfitting gap: the excess of SAI(NCSM, TNCSM-train) minus that of
    SAI(NCSM, TNCSM-test).

    Both TNCSMs are of equally many images of each class, because templates of fewer
    images are noisier.
    """
    both = [
        result
        for result in evaluations
        if result.tncsm is not None and result.counts is not None
    ]
    counts = {result.split: result.counts.sum(axis=1) for result in both}
    ncsm = next((matrix for matrix in matrices if matrix.name == "ncsm"), None)
    if ncsm is None or context.walk is not None or set(counts) != {"train", "test"}:
        return []
    equal = np.minimum(counts["train"], counts["test"])
    pairs = {}
    for result in both:
        has_more = (counts[result.split] > equal).any()
        tncsm = result.equal_tncsm if has_more else result.tncsm
        is_equal = not has_more or (
            result.equal_samples is not None
            and np.array_equal(result.equal_samples, equal)
        )
        if tncsm is not None and is_equal:
            pairs[result.split] = CsmPair(ncsm.dense, tncsm)
    used = {"classes_used": int((equal > 0).sum()), "samples_used": int(equal.sum())}
    rows = []
    for measure in jackknife.MEASURES:
        difference = Difference(reason=REASON_UNEQUAL)
        if len(pairs) == 2:
            difference = alignment_difference(pairs["train"], pairs["test"], measure)
        columns = {
            name: getattr(difference, name)
            for name in ("value", "low", "high", "reason")
        }
        rows.append(
            _row(
                context.record,
                metric="gap",
                of="ncsm,tncsm",
                variant=measure,
                **columns,
                **used,
            )
        )
    return rows


def _accuracy_rows(evaluation: EvaluationResult, record: Record) -> list[Row]:
    """Return the accuracies and the number of mistakes, and loss and top-5 accuracy if
    dsi ran the model.
    """
    samples = evaluation.counts.sum(axis=1)
    correct, total = evaluation.counts.diagonal(), int(samples.sum())
    present = samples > 0
    values = {
        "accuracy": float(correct.sum() / total),
        "balanced_accuracy": float((correct[present] / samples[present]).mean()),
        "mistakes": float(total - correct.sum()),
    }
    if evaluation.loss is not None:
        values["loss"] = evaluation.loss
    if evaluation.top5 is not None:
        values["accuracy_top5"] = evaluation.top5 / total
    used = {
        "split": evaluation.split,
        "classes_used": int(present.sum()),
        "samples_used": total,
    }
    return [
        _row(record, metric=metric, value=value, **used)
        for metric, value in values.items()
    ]


def _idm_rows(
    evaluation: EvaluationResult, matrices: Sequence[EpochMatrix], context: EpochContext
) -> list[Row]:
    """Return the IDM of a split's counts by the NCSM, by the TNCSM of the split, and by
    the references.
    """
    from scipy.sparse import csr_array

    counts, options = evaluation.counts, context.options
    rows: list[Row] = []
    by_network = [
        matrix
        for matrix in matrices
        if matrix.kind != "ccsm" and matrix.split in (None, evaluation.split)
    ]
    for matrix in [*by_network, *context.references]:
        classes = matrix.classes
        if matrix.reason_missing is not None:
            scores = no_idm(matrix.reason_missing)
        elif context.walk is not None:
            context.scratch.mkdir(parents=True, exist_ok=True)
            scores = idm_in_blocks(
                csr_array(counts),
                matrix.rows(classes),
                classes,
                context.walk,
                context.scratch,
            )
        else:
            kept = classes[counts[classes].sum(axis=1) > 0]
            used, may_draw = counts[np.ix_(kept, kept)], options.permutations != 0
            scores = idm_of_prepared(
                used, matrix.of_classes(kept), seed=options.seed, may_draw=may_draw
            )
        columns = {
            "metric": "idm",
            "of": matrix.kind,
            "split": evaluation.split,
            "reference": matrix.reference,
        }
        rows += [
            _row(context.record, **columns, **vars(score)) for score in scores.values()
        ]
    return rows


def _hierarchy_rows(evaluation: EvaluationResult, context: EpochContext) -> list[Row]:
    """Return the severity, superclass accuracy, precision, recall, F1, and accuracy at
    each level and of the path on a split.
    """
    counts, labels = evaluation.counts, context.labels
    reason = labels.reason_no_hierarchy()
    if reason is not None:
        severity = missing = Score(reason=reason)
        scores = dict.fromkeys(product(SET_SCORES, AVERAGES), missing)
        scores["path_accuracy", ""] = missing
    else:
        severity = hierarchy.severity(counts, labels.hierarchy.heights)
        known = list(labels.hierarchy.nodes)
        used = counts[np.ix_(known, known)]
        scores = hierarchy.set_scores(used, labels.hierarchy.common_hypernyms)
        levels = hierarchy.level_accuracies(used, labels.hierarchy.paths)
        scores |= {
            ("level_accuracy", str(level)): score
            for level, score in enumerate(levels, start=1)
        }
        scores["path_accuracy", ""] = levels[-1]
    accuracy = Score(reason=labels.reason_no_superclasses())
    if accuracy.reason is None:
        accuracy = hierarchy.superclass_accuracy(counts, labels.superclass_numbers)

    scores = {
        ("severity", ""): severity,
        ("superclass_accuracy", ""): accuracy,
    } | scores
    rows = []
    for (metric, variant), score in scores.items():
        reference = (
            labels.superclass_source
            if metric == "superclass_accuracy"
            else labels.hierarchy.name
        )
        columns = {
            "metric": metric,
            "variant": variant or None,
            "split": evaluation.split,
            "reference": reference,
        }
        rows.append(vars(score) | _row(context.record, **columns))
    return rows
