"""The rows of the curves table: from matrices, confusion counts and the training log of
a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product
from math import prod, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.epoch_context import (
    SCSM,
    Classes,
    EpochMatrix,
    network_matrix,
)
from dsi_cli.analysis.tables import agreement_details
from dsi_cli.analysis.tables.class_alignment import class_alignment_tables
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import CURVES, TrainingLog
from dsi_cli.metrics import (
    WSI_QUANTILE,
    alignment,
    hierarchy,
    jackknife,
)
from dsi_cli.metrics.alignment import Alignment
from dsi_cli.metrics.blockwise import (
    block_statistics,
    idm_of,
    pair_of,
)
from dsi_cli.metrics.class_alignment import ClassAgreement
from dsi_cli.metrics.cluster_jackknife import (
    CorrelatedMatrices,
    agreement,
    cosine_excess_without,
    rank_matrix,
)
from dsi_cli.metrics.differences import CsmPair, Difference, alignment_difference
from dsi_cli.metrics.hierarchy import AVERAGES, SET_SCORES
from dsi_cli.metrics.idm import NO_MISTAKE, VARIANTS, Score
from dsi_cli.metrics.idm import empty_result as no_idm
from dsi_cli.metrics.measures import off_diagonal
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.metrics.split_half import reliability
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.store import parquet
from dsi_cli.store.schema import ALIGNMENT_BY_CLASS

Row = dict[str, Any]

REASON_TOO_MANY = f"left out above {similarity.MAX_DENSE_CLASSES:,} classes"
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


def of_chosen(evaluation: EvaluationResult, plan: RowsPlan) -> EvaluationResult:
    """Return an evaluation of the samples of the chosen classes; without loss and top-5
    accuracy, which are known of all samples together.
    """
    if plan.chosen is None or evaluation.counts is None:
        return evaluation
    counts = np.zeros_like(evaluation.counts)
    counts[plan.chosen] = evaluation.counts[plan.chosen]
    return replace(evaluation, counts=counts, loss=None, top5=None)


def evaluation_matrices(
    evaluations: Sequence[EvaluationResult], plan: RowsPlan
) -> list[EpochMatrix]:
    """Return the matrices of evaluation results, of the compared classes that have
    images.
    """
    matrices = []
    for evaluation in evaluations:
        if evaluation.tncsm is not None:
            name = f"tncsm-{evaluation.split}"
            has_values = ~np.isnan(np.diagonal(evaluation.tncsm))
            present = plan.compared[has_values[plan.compared]]
            matrices.append(EpochMatrix(name, evaluation.tncsm, present))
        if evaluation.ccsm is not None and evaluation.counts is not None:
            name = f"ccsm-{evaluation.split}"
            samples = evaluation.counts.sum(axis=1)[plan.compared]
            present = plan.compared[samples > 0]
            square = evaluation.counts[:, : len(evaluation.ccsm)]
            split_half = reliability(square, seed=plan.options.seed)
            matrices.append(EpochMatrix(name, evaluation.ccsm, present, split_half))
    return matrices


def curve_rows(
    matrices: Sequence[EpochMatrix],
    evaluations: Sequence[EvaluationResult],
    plan: RowsPlan,
) -> tuple[list[Row], pa.Table]:
    """Return all rows of an epoch's matrices and confusion counts, and its rows of the
    class alignment table.
    """
    rows: list[Row] = []
    for matrix in matrices:
        if matrix.kind != "ccsm":
            rows += _wsi_rows(matrix, plan)
        if matrix.reliability is not None:
            row = {"metric": "reliability", "of": matrix.kind, "split": matrix.split}
            rows.append(row | vars(matrix.reliability))
    alignment_rows, table = _alignment_rows(matrices, plan)
    rows += alignment_rows
    rows += agreement_details.group_rows(matrices, plan)
    rows += agreement_details.partition_rows(matrices, plan)
    rows += _gap_rows(matrices, evaluations)
    for evaluation in evaluations:
        of_templates = {"of": "templates", "split": evaluation.split}
        rows += [of_templates | row for row in evaluation.collapse.get("rows", [])]
        if evaluation.counts is None:
            continue
        rows += _accuracy_rows(evaluation)
        rows += _idm_rows(evaluation, matrices, plan)
        if plan.is_vast:
            rows += _rows_left_out(evaluation.split, plan.labels)
        else:
            rows += _hierarchy_rows(evaluation, plan)
    return rows, table


def _rows_left_out(split: str, labels: ClassLabels) -> list[Row]:
    """Return the rows of what is not computed for so many classes."""
    taxonomy, superclasses = labels.hierarchy.name, labels.superclass_source
    rows: list[Row] = [
        {"metric": "reliability", "of": "ccsm", "split": split},
        {"metric": "sai", "of": f"ncsm,ccsm-{split}", "variant": "cosine"},
        {"metric": "severity", "reference": taxonomy, "split": split},
        {"metric": "superclass_accuracy", "reference": superclasses, "split": split},
    ]
    return [row | {"reason": REASON_TOO_MANY} for row in rows]


def missing_rows(split: str, reason: str) -> list[Row]:
    """Return rows with the reason why a checkpoint has no evaluation on a split."""
    rows: list[Row] = [{"metric": "accuracy"}]
    rows += [{"metric": "idm", "of": "ncsm", "variant": name} for name in VARIANTS]
    return [row | {"split": split, "reason": reason} for row in rows]


def trainer_values(
    record: Record, log: TrainingLog | None, *, is_last: bool
) -> dict[str, float]:
    """Return the values that the trainer wrote for a checkpoint, by their names in
    `dsi_cli.checkpoints.training_logs.CURVES`.

    ``is_last`` is False for an earlier save of an epoch.
    """
    values = dict(record.scalars)
    if log is not None:
        values |= log.at(
            record.epoch_number, record.trainer, record.step, is_last=is_last
        )
    return values


def trainer_rows(
    trainer_values: Mapping[str, float], computed: Sequence[Row]
) -> list[Row]:
    """Return the rows of values that the trainer wrote, in its log or in the
    checkpoint, if their curve was not computed.
    """
    known = {
        (row["metric"], row.get("split"))
        for row in computed
        if row.get("value") is not None
    }
    rows: list[Row] = []
    for name, value in trainer_values.items():
        curve = CURVES.get(name)
        if curve is not None and (curve.metric, curve.split) not in known:
            rows.append({"metric": curve.metric, "split": curve.split, "value": value})
    return rows


def sort_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the key by which the curves table is sorted."""
    names = ("run", "epoch", "step", "metric", "of", "reference", "split", "variant")
    return tuple((row.get(name) is not None, row.get(name)) for name in names)


def _alignment_row(entry: Alignment, **values: Any) -> Row:
    columns = dict(vars(entry))
    variant = columns.pop("measure")
    return {"metric": "sai", **values, "variant": variant, **columns}


def _wsi_rows(matrix: EpochMatrix, plan: RowsPlan) -> list[Row]:
    """Return the mean, the largest and the smallest WSI of a matrix."""
    statistics = matrix.statistics
    if statistics is None:
        rows_of_matrix = matrix.rows(matrix.classes)
        quantiles = plan.options.quantiles
        statistics = block_statistics(rows_of_matrix, plan.walk, quantiles)
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
        common | {"variant": variant, "value": value}
        for variant, value in values.items()
    ]


def _alignment_rows(
    matrices: Sequence[EpochMatrix], plan: RowsPlan
) -> tuple[list[Row], pa.Table]:
    """Return the SAI of every two matrices, including the references, and the rows of
    the class alignment table.
    """
    network = network_matrix(matrices)
    pairs = [*combinations(matrices, 2), *product(matrices, plan.references)]
    rows: list[Row] = []
    tables = [parquet.from_rows(ALIGNMENT_BY_CLASS, [])]
    for first, second in pairs:
        columns = {"of": f"{first.name},{second.name}", "reference": second.reference}
        kept = second.classes
        if second.reason_missing is None:
            kept = np.intersect1d(first.classes, second.classes, assume_unique=True)
        by_class = second.reference is not None and first is network
        alignments, agreement = _align(first, second, kept, plan, by_class=by_class)
        entries = list(alignments.values())
        if second.reason_missing is None:
            if "pearson" in alignments:
                entries += _corrected(alignments["pearson"], first, second)
            if by_class:
                tables += class_alignment_tables(first, second, kept, agreement, plan)
        rows += [_alignment_row(entry, **columns) for entry in entries]
    return rows, pa.concat_tables(tables)


def _align(
    first: EpochMatrix,
    second: EpochMatrix,
    kept: Classes,
    plan: RowsPlan,
    *,
    by_class: bool,
) -> tuple[dict[str, Alignment], ClassAgreement | None]:
    """Return the SAI of two matrices of the kept classes by measure, and the agreement
    of each class if it is asked for.
    """
    options, size = plan.options, len(kept)
    reason = second.reason_missing or alignment.reason_too_few_classes(size)
    of_classes = None
    if reason is None:
        order = alignment.display_order(kept, plan.labels.order)
        a, b = (one.of_classes(kept, plan.walk) for one in (first, second))
        pair = pair_of(a, b, order)
        if by_class:
            of_classes = pair.class_agreement()
        constant = {
            matrix.kind: matrix
            for matrix, values in ((first, a), (second, b))
            if values.is_constant
        }
        if not constant:
            alignments = pair.alignments(
                options.measures, options.permutations, options.draws, options.seed
            )
            if (
                plan.clusters is not None
                and isinstance(a, PreparedMatrix)
                and isinstance(b, PreparedMatrix)
            ):
                clusters = plan.clusters[kept]
                for name, entry in alignments.items():
                    alignments[name] = _over_clusters(entry, a, b, clusters)
            return alignments, of_classes
        names = " and the ".join(map(str.upper, constant))
        reason = (
            f"all off-diagonal values of the {names} are the same, so there is no scale"
        )
        if "ccsm" in constant and not off_diagonal(constant["ccsm"].whole(kept)).any():
            reason = NO_MISTAKE
    missing = {
        name: Alignment(name, classes_used=size, reason=reason)
        for name in options.measures
    }
    return missing, of_classes


def _corrected(
    pearson: Alignment, first: EpochMatrix, second: EpochMatrix
) -> list[Alignment]:
    """Return Pearson's correlation divided by the root of the CCSMs' reliabilities;
    empty if no matrix is a CCSM.
    """
    of_ccsms = [matrix.reliability for matrix in (first, second) if matrix.reliability]
    if not of_ccsms:
        return []
    values = [entry.value for entry in of_ccsms if entry.value is not None]
    reason = None
    if pearson.value is None:
        reason = pearson.reason
    elif len(values) < len(of_ccsms):
        unknown = next(entry for entry in of_ccsms if entry.value is None)
        reason = f"no correction: {unknown.reason}"
    elif min(values) <= 0:
        reason = (
            "no correction, because the CCSM has no reliability above 0, so its"
            " mistakes are noise"
        )
    name, used = "pearson_corrected", pearson.classes_used
    if reason is not None:
        return [Alignment(name, classes_used=used, reason=reason)]
    scaled: dict[str, Any] = {}
    for field in ("value", "null_mean", "null_std", "ceiling", "low", "high"):
        value = getattr(pearson, field)
        scaled[field] = None if value is None else value / sqrt(prod(values))
    corrected = replace(pearson, measure=name, **scaled, excess=scaled["value"])
    return [corrected]


def _over_clusters(
    entry: Alignment,
    first: PreparedMatrix,
    second: PreparedMatrix,
    clusters: NDArray[np.intp],
) -> Alignment:
    """Return a SAI with the confidence interval over clusters of classes; without one
    for measures that have none.
    """
    csms, found = [first.matrix, second.matrix], None
    if entry.measure == "cosine" and entry.excess is not None:
        without = cosine_excess_without(first.matrix, second.matrix, clusters)
        found = jackknife.interval(entry.excess, without)
    elif entry.measure in ("pearson", "spearman"):
        if entry.measure == "spearman":
            csms = [rank_matrix(csm) for csm in csms]
        found = CorrelatedMatrices(csms, clusters).interval(agreement)
    low, high = found or (None, None)
    return replace(entry, low=low, high=high)


def _gap_rows(
    matrices: Sequence[EpochMatrix], evaluations: Sequence[EvaluationResult]
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
    if ncsm is None or set(counts) != {"train", "test"}:
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
    rows: list[Row] = []
    for measure in jackknife.MEASURES:
        difference = Difference(reason=REASON_UNEQUAL)
        if len(pairs) == 2:
            difference = alignment_difference(pairs["train"], pairs["test"], measure)
        rows.append(
            {
                "metric": "gap",
                "of": "ncsm,tncsm",
                "variant": measure,
                "value": difference.value,
                "low": difference.low,
                "high": difference.high,
                "reason": difference.reason,
                "classes_used": int((equal > 0).sum()),
                "samples_used": int(equal.sum()),
            }
        )
    return rows


def _accuracy_rows(evaluation: EvaluationResult) -> list[Row]:
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
        {"metric": metric, "value": value} | used for metric, value in values.items()
    ]


def _idm_rows(
    evaluation: EvaluationResult, matrices: Sequence[EpochMatrix], plan: RowsPlan
) -> list[Row]:
    """Return the IDM of a split's counts by the NCSM, by the TNCSM of the split, and by
    the references.
    """
    counts, options = evaluation.counts, plan.options
    rows: list[Row] = []
    by_network = [
        matrix
        for matrix in matrices
        if matrix.kind != "ccsm" and matrix.split in (None, evaluation.split)
    ]
    for matrix in [*by_network, *plan.references]:
        classes = matrix.classes
        if matrix.reason_missing is not None:
            scores = no_idm(matrix.reason_missing)
        else:
            kept = classes[counts[classes].sum(axis=1) > 0]
            scores = idm_of(
                counts[np.ix_(kept, kept)],
                matrix.of_classes(kept, plan.walk),
                plan.scratch,
                seed=options.seed,
                may_draw=options.permutations != 0,
            )
        columns = {
            "metric": "idm",
            "of": matrix.kind,
            "split": evaluation.split,
            "reference": matrix.reference,
        }
        rows += [columns | vars(score) for score in scores.values()]
    return rows


def _hierarchy_rows(evaluation: EvaluationResult, plan: RowsPlan) -> list[Row]:
    """Return the severity, superclass accuracy, precision, recall, F1, and accuracy at
    each level and of the path on a split.
    """
    counts, labels = evaluation.counts, plan.labels
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
        if metric == "superclass_accuracy":
            reference = labels.superclass_source
        else:
            reference = labels.hierarchy.name
        columns = {
            "metric": metric,
            "variant": variant or None,
            "split": evaluation.split,
            "reference": reference,
        }
        rows.append(vars(score) | columns)
    return rows
