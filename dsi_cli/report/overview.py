"""The text of the first screen: the finding, what was analysed, four tiles with values,
warnings, and what the results do not show.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsi_cli.errors import count
from dsi_cli.facts import Fact, about_run, fact
from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.metrics.phases import MIN_EPOCHS
from dsi_cli.queries import facts
from dsi_cli.queries.facts import Message
from dsi_cli.queries.findings import (
    RunFindings,
    Trend,
    headline,
    percent,
    percent_range,
    run_findings,
)
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.store.results import Results

# metrics that need a reference, and therefore labels
REFERENCE_METRICS = (*HIERARCHY_METRICS, "severity", "superclass_accuracy")
# runs that a tile shows at once; with more runs, it shows the chosen run and the range
# of all runs
MAX_ROWS = 4
FEW_CLASSES = 20
# the criteria by which an epoch is worth keeping
BEST = (
    "highest accuracy",
    "lowest loss",
)
PEAKS = (
    "highest agreement",
    "highest Max WSI",
    "highest NIDM of mistakes",
    "highest WIDM of mistakes",
)


def result_messages(
    results: Results, findings: Sequence[RunFindings] = ()
) -> list[Message]:
    """Return what was noticed about all runs: the facts of the analysis, curves without
    values, and mistakes that `findings` leave out.
    """
    noticed = facts.of_results(results)
    for run in results.names:
        noticed += about_run(run, _curves_without_values(results, run))
    for found in findings:
        texts = [split.left_out for split in found.mistakes.values() if split.left_out]
        left_out = [fact("mistakes-left-out", text=text) for text in texts]
        noticed += about_run(found.run, left_out)
    return facts.messages(noticed, results.names)


def _curves_without_values(results: Results, run: str) -> Iterator[Fact]:
    """Yield a fact for each reason why curves have no values; a curve with some values
    shows its gaps itself, and missing labels have a fact of their own.
    """
    has_names = class_rows(results, run)["name"].notna().any()
    curves = results.rows_of("curves", run)
    curves = curves[curves["variant"] != "pearson_corrected"]
    names_of: dict[str, list[str]] = {}
    for (metric, matrices), rows in curves.groupby(["metric", "of"], dropna=False):
        needs_reference = metric in REFERENCE_METRICS or str(matrices).endswith("scsm")
        reasons = rows["reason"].dropna()
        has_value = rows["value"].notna().any()
        if has_value or reasons.empty or (needs_reference and not has_names):
            continue
        name = str(metric).replace("_", " ")
        if isinstance(matrices, str):
            name = f"{str(metric).upper()}({matrices})"
        names_of.setdefault(reasons.iloc[0], []).append(name)
    for reason, names in names_of.items():
        yield fact("curves-without-values", curves=names, reason=reason)


def run_folder(results: Results, run: str) -> str:
    """Return the folder of a run's checkpoints."""
    paths = results.rows_of("checkpoints", run)["path"]
    return str(Path(paths.iloc[0]).parent) if len(paths) else "CHECKPOINTS"


@dataclass(frozen=True)
class TilePoint:
    """The value of one run at one epoch in a tile, as text."""

    epoch: int | None
    value: str
    verdict: str  # above, within or below chance; empty without a chance level
    # the 95 % confidence interval, and the peak and the first value over all epochs
    details: str


@dataclass(frozen=True)
class TileRow:
    """The values of one run in a tile, as text."""

    run: int  # the index of the run
    points: list[TilePoint]  # the epochs with a value, in order


@dataclass(frozen=True)
class Tile:
    """The values that concern one question of the paper."""

    question: str
    scale: str
    rows: list[TileRow]
    range_text: str = (
        ""  # the range of the values of all runs, if the tile shows only the chosen run
    )
    reason: str = ""  # the reason why no run has a value


def overview(results: Results, findings: Sequence[RunFindings]) -> dict[str, Any]:
    """Return the text of the first screen, with sentences on what the results show, and
    on what they do not show.
    """
    return {
        "headline": headline(findings),
        "analysed": analysed_line(results, findings),
        "tiles": tiles(findings),
        "shown": list(_shown(findings)),
        "not_shown": list(_not_shown(results, findings)),
        "warnings": result_messages(results, findings),
        "last_epoch": next((run.epochs[-1] for run in findings if run.epochs), None),
        "best": peaks_table(findings, BEST),
        "peaks": peaks_table(findings, PEAKS),
    }


def analysed_line(results: Results, findings: Sequence[RunFindings]) -> str:
    """Return one line on the runs, checkpoints, classes, labels and predictions, with
    ranges where runs differ.
    """
    parts = [count(len(findings), "run")]
    checkpoints = [len(run.epochs) for run in findings]
    parts.append(
        _range(checkpoints, "checkpoint")
        + (" each" if len(findings) > 1 and len(set(checkpoints)) == 1 else "")
    )
    epochs = [epoch for run in findings for epoch in run.epochs if epoch is not None]
    if len(set(epochs)) > 1:
        parts.append(f"epochs {min(epochs)} to {max(epochs)}")

    known = results.classes.groupby("run", sort=False)["synset"].count()
    classes = _range([run.classes for run in findings], "class")
    missing = [run.classes - int(known.get(run.run, 0)) for run in findings]
    if results.classes["name"].isna().all():
        parts.append(f"{classes} without names")
    elif not known.sum():
        parts.append(f"{classes}, none of them in {findings[0].reference}")
    elif not any(missing):
        parts.append(f"{classes}, all in {findings[0].reference}")
    else:
        parts.append(f"{classes}, {_range(missing, 'class')} without a synset")

    samples = [
        test.samples
        for run in findings
        if (test := run.mistakes.get("test")) and test.samples
    ]
    parts.append(_range(samples, "test sample") if samples else "no predictions")
    return " · ".join(parts)


def _range(numbers: Sequence[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    return count(high, noun) if low == high else f"{low:,} to {count(high, noun)}"


def tiles(findings: Sequence[RunFindings]) -> list[Tile]:
    """Return a tile for each of the four questions, with the values of all epochs."""
    # Find the reasons why values are missing.
    reference = findings[0].reference
    reason = (
        next((run.no_agreement for run in findings if run.no_agreement), "")
        .split(":")[0]
        .rstrip(".")
    )
    no_agreement = f"{reason[:1].upper()}{reason[1:]}."
    if not any(run.has_names for run in findings):
        no_agreement = "The classes have no names."
    no_mistakes = no_widm = "There are no predictions on labelled data."
    if any(run.mistakes for run in findings):
        no_mistakes = _reason_no_idm(findings)
        no_widm = no_agreement if reason else no_mistakes
    vectors = (
        "classifier weights" if findings[0].own.startswith("ncsm") else "mean features"
    )
    nidms, widms = ([_idm(run, name) for run in findings] for name in ("nidm", "widm"))

    questions: list[
        tuple[str, str, list[Trend | None], Callable[[float], str], str]
    ] = [
        (
            f"Does its similarity agree with {reference}?",
            (
                f"Are classes that are close in {reference} also close for the network?"
                " The agreement is the correlation over all pairs of classes: 0 is"
                " chance, 1 is perfect"
            ),
            [run.agreement for run in findings],
            _decimal,
            no_agreement,
        ),
        (
            "How similar are neighbouring classes?",
            (
                f"Mean cosine similarity of the {vectors} of a class and of its nearest"
                " 5 % of classes: 0 is unrelated, 1 is the same direction (Max WSI)"
            ),
            [run.max_wsi for run in findings],
            _decimal,
            "The matrices of this analysis have no WSI.",
        ),
        (
            "Do mistakes follow its own similarity?",
            (
                "If a prediction is wrong: the share of classes that the network finds"
                " less similar to the true class than this"
                f" prediction{_idm_scale(nidms)} (NIDM of mistakes)"
            ),
            nidms,
            percent,
            no_mistakes,
        ),
        (
            "Are mistakes semantically reasonable?",
            (
                "If a prediction is wrong: the share of classes that are farther from"
                f" the true class in {reference} than this"
                f" prediction{_idm_scale(widms)} (WIDM of mistakes)"
            ),
            widms,
            percent,
            no_widm,
        ),
    ]
    made = []
    for question, scale, trends, text, reason in questions:
        known = {index: trend for index, trend in enumerate(trends) if trend}
        rows = [
            _row(index, trend, text, findings[index].epochs)
            for index, trend in known.items()
        ]
        values = [trend.last.value for trend in known.values()]
        range_text = ""
        if len(values) > MAX_ROWS:
            ends = dict.fromkeys((text(min(values)), text(max(values))))
            range_text = (
                f"{' to '.join(ends)} in {count(len(values), 'run')} at the last epoch"
            )
        made.append(Tile(question, scale, rows, range_text, "" if rows else reason))
    return made


def _reason_no_idm(findings: Sequence[RunFindings]) -> str:
    if any(
        point.value
        for run in findings
        for split in run.mistakes.values()
        for point in split.wrong.points
    ):
        return "dsi has no value; the warnings give the reason."
    return "dsi has no value, because no network makes a mistake."


def _idm_scale(trends: Sequence[Trend | None]) -> str:
    """Return the chance level of an IDM of mistakes, and its maximum, which equal
    similarities of the nearest classes lower.
    """
    last = [trend.last for trend in trends if trend]
    levels, ceilings = (
        percent_range(point.chance for point in last),
        percent_range(point.ceiling for point in last),
    )
    return f"; chance {levels}, at most {ceilings}" if levels and ceilings else ""


def _row(
    run: int, trend: Trend, text: Callable[[float], str], epochs: Sequence[int | None]
) -> TileRow:
    last, peak = trend.last, trend.peak
    shared = []  # details that hold for all epochs
    if len(epochs) > 1 and (last.z is None or trend.is_above_chance):
        shared.append(f"peak {text(peak.value)} at epoch {peak.epoch}")
    if last.z is None and len(trend.points) > 1 and peak != trend.points[0]:
        shared.append(f"{text(trend.points[0].value)} at epoch {trend.points[0].epoch}")
    points = []
    for point in trend.points:
        interval = []
        if point.low is not None and point.high is not None:
            interval = [f"95 % CI {text(point.low)} to {text(point.high)}"]
        verdict = "" if point.z is None else point.verdict
        points.append(
            TilePoint(
                point.epoch, text(point.value), verdict, "; ".join(interval + shared)
            )
        )
    return TileRow(run, points)


def _decimal(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


def _idm(run: RunFindings, name: str) -> Trend | None:
    """Return the NIDM or WIDM of mistakes on the first split with predictions."""
    return getattr(next(iter(run.mistakes.values()), None), name, None)


def _shown(findings: Sequence[RunFindings]) -> Iterator[str]:
    reference = findings[0].reference
    if any(run.agreement for run in findings):
        yield (
            "The agreement shows whether pairs of classes that are similar in"
            f" {reference} are also similar for the network. The chance band holds 95 %"
            " of the values that arise if the classes are relabelled at random."
        )
        yield (
            "The interval of the agreement shows how much it would change with other"
            " classes of the same kind."
        )
    if " early" in headline(findings):
        yield (
            "Early means that 90 % of the rise of the agreement, with its interval,"
            " lies in the first half of the training."
        )
    if any(run.mistakes for run in findings):
        yield (
            "Questions 3 and 4 concern wrong predictions alone, so they do not depend"
            " on how many there are. Their intervals are over the wrong predictions."
        )


def _not_shown(results: Results, findings: Sequence[RunFindings]) -> Iterator[str]:
    if len(findings) == 1:
        yield (
            "There is one training run. Another seed may give other values, and no"
            " interval here covers this."
        )
    else:
        command = shlex.join(["dsi", "compare", str(results.path)])
        yield (
            "No interval covers another seed of the same training. Overlapping bands"
            f" do not show that runs are equal: {command} compares them."
        )
    if any(run.agreement for run in findings):
        yield (
            "A higher agreement does not mean a better classifier, and a peak is not a"
            " reason to stop a training."
        )
    if any(run.accuracy and len(run.accuracy.points) > 1 for run in findings):
        yield (
            "The epoch with the best accuracy on test is chosen on test, so this"
            " accuracy is a little too high."
        )
    classes = min(run.first_classes or run.classes for run in findings)
    if classes < FEW_CLASSES:
        yield (
            f"With {classes} classes, chance alone gives large values, and the"
            " intervals are wide."
        )
    if any(run.epochs and len(run.epochs) < MIN_EPOCHS for run in findings):
        yield f"With fewer than {MIN_EPOCHS} epochs, no phases can be found."
    if any(results.is_vast(run.run) for run in findings):
        yield (
            "The matrices have too many classes to be stored. The page shows the"
            " nearest classes of each class."
        )


def peaks_table(
    findings: Sequence[RunFindings], titles: Sequence[str]
) -> list[list[str]]:
    """Return the best epoch of each run by some criteria as rows of text below a
    heading; empty without several epochs.
    """
    rows = {run.run: _peaks(run) for run in findings if len(run.epochs) > 1}
    shown = [
        title for title in titles if any(title in cells for cells in rows.values())
    ]
    table = [
        [run, *(cells.get(title, "–") for title in shown)]
        for run, cells in rows.items()
    ]
    return [["run", *shown], *table] if shown else []


def _peaks(run: RunFindings) -> dict[str, str]:
    trends: list[tuple[str, Trend | None, Callable[[float], str]]] = [
        ("highest accuracy", run.accuracy, "{:.3f}".format),
        ("highest agreement", run.agreement, "{:.3f}".format),
        ("highest Max WSI", run.max_wsi, "{:.3f}".format),
        ("highest NIDM of mistakes", _idm(run, "nidm"), percent),
        ("highest WIDM of mistakes", _idm(run, "widm"), percent),
    ]
    cells = {
        title: f"{text(trend.peak.value)} at epoch {trend.peak.epoch}"
        for title, trend, text in trends
        if trend
    }
    if run.loss:
        lowest = min(run.loss.points, key=lambda point: point.value)
        cells["lowest loss"] = f"{lowest.value:.3f} at epoch {lowest.epoch}"
    return cells


def all_findings(results: Results) -> list[RunFindings]:
    """Return the findings of all runs of a results folder."""
    return [run_findings(results.path, run) for run in results.names]
