"""The text of the first screen: the finding, what was analysed, four tiles with values,
warnings, and what the results do not show.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from dsi_cli.errors import count
from dsi_cli.facts import Fact, about_run, fact
from dsi_cli.metrics.differences import Difference
from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.metrics.phases import MIN_EPOCHS
from dsi_cli.queries import facts
from dsi_cli.queries.comparison.criteria import Criterion, difference, main_criteria
from dsi_cli.queries.comparison.equal_accuracy import runs_at_epochs
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.queries.conclusions import population
from dsi_cli.queries.facts import Message
from dsi_cli.queries.findings import (
    Point,
    RunFindings,
    Trend,
    clear_networks,
    earliest,
    headline,
    percent,
    percent_range,
    run_findings,
)
from dsi_cli.queries.quantities import AGREEMENT, PEARSON, QUANTITIES, Quantity
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.store import layout
from dsi_cli.store.results import Results

# metrics that need a reference, and therefore labels
REFERENCE_METRICS = (*HIERARCHY_METRICS, "severity", "superclass_accuracy")
# runs that a tile shows at once; with more runs, it shows the chosen run and the range
# of all runs
MAX_ROWS = 4
MAX_COMPARED = 3  # runs whose paired differences the page shows
FEW_CLASSES = 20
# the quantities by which an epoch is worth keeping, with the titles of their columns
BEST = {"accuracy": "highest accuracy", "loss": "lowest loss"}


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
        for split in found.splits:
            noticed += about_run(found.run, found.left_out(split))
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


def overview(results: Results, findings: Sequence[RunFindings]) -> dict[str, Any]:
    """Return the text of the first screen, with sentences on what the results show, and
    on what they do not show.
    """
    clusters = layout.curve_options(results.path, findings[0].run).get("clusters")
    every = result_messages(results, findings)
    return {
        "contradictions": [one for one in every if one.is_contradiction],
        "headline": headline(findings),
        "analysed": analysed_line(results, findings),
        "tiles": tiles(findings, clusters),
        "measured": findings[0].measured.name,
        "differences": differences(results, findings),
        "compare": shlex.join(["dsi", "compare", str(results.path)]),
        "shown": list(_shown(findings)),
        "not_shown": list(_not_shown(results, findings)),
        "warnings": [one for one in every if not one.is_contradiction],
        "last_epoch": next((run.epochs[-1] for run in findings if run.epochs), None),
        "best": best_epochs(findings),
    }


def analysed_line(results: Results, findings: Sequence[RunFindings]) -> str:
    """Return one line on the runs, checkpoints, classes, labels and predictions, with
    ranges where runs differ.
    """
    checkpoints = [len(run.epochs) for run in findings]
    every = _range(checkpoints, "checkpoint")
    if len(findings) > 1 and len(set(checkpoints)) == 1:
        every += " each"
    parts = [count(len(findings), "run"), every]
    epochs = {epoch for run in findings if run.has_epochs for epoch in run.epochs}
    if len(epochs) > 1:
        parts.append(f"epochs {min(epochs)} to {max(epochs)}")

    classes = _range([run.classes for run in findings], "class")
    reference = findings[0].reference
    known = results.classes.groupby("run", sort=False)["synset"].count()
    missing = [run.classes - int(known.get(run.run, 0)) for run in findings]
    if results.classes["name"].isna().all():
        parts.append(f"{classes} without names")
    elif not known.sum():
        parts.append(f"{classes}, none of them in {reference}")
    elif not any(missing):
        parts.append(f"{classes}, all in {reference}")
    else:
        parts.append(f"{classes}, {_range(missing, 'class')} without a synset")

    tests = [run.trend("mistakes", "test") for run in findings]
    samples = [test.last.samples for test in tests if test and test.last.samples]
    parts.append(_range(samples, "test sample") if samples else "no predictions")
    return " · ".join(parts)


def _range(numbers: Sequence[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    return count(high, noun) if low == high else f"{low:,} to {count(high, noun)}"


SCALES = {
    AGREEMENT: "0 is chance, 1 is the same as {reference}",
    "max_wsi": "cosine with the nearest 5 % of classes",
    "nidm": "classes farther from the truth than the mistake, by the network{chance}",
    "widm": "classes farther from the truth than the mistake, by {reference}{chance}",
}
"""The quantity of each tile, with one line on its scale."""
COVERED = dict.fromkeys(("nidm", "widm"), "these mistakes, not classes")
"""The population of the intervals of mistakes."""
YARDSTICK = (
    (0.0, "0.00 untrained"),
    (0.02, "0.02 collapsed training"),
    (0.35, "0.35 ImageNet head"),
    (0.81, "0.81 CNN with ViT"),
    (0.94, "0.94 best possible"),
)
"""Agreements with WordNet for comparison; docs/report.md has their sources."""
OTHER_MEASURE = "{title}: {axis}"


def note(findings: Sequence[RunFindings]) -> dict[str, Any] | None:
    """Return the run, the epoch and the rows of text of the point that the headline
    names, or at which another training begins, for the charts; None without one.
    """
    for joined in findings:
        if joined.breaks:
            epoch = joined.breaks[0]
            text = [f"epoch {epoch}:", "another training begins"]
            return {"label": joined.run, "epoch": epoch, "text": text}
    found = earliest(clear_networks(findings))
    if found is None:
        return None
    run, first, share = found
    peak = first.value / share
    text = [f"epoch {first.epoch}:", f"{percent(share)} of its peak, {peak:.2f}"]
    accuracy = run.accuracy.at(first.epoch) if run.accuracy else None
    if accuracy:
        text = [f"{text[0]} {percent(accuracy.value)} accuracy,", text[1]]
    return {"label": run.run, "epoch": first.epoch, "text": text}


def tiles(
    findings: Sequence[RunFindings], clusters: str | None = None
) -> list[dict[str, Any]]:
    """Return a tile for each of the four questions, with the values of all epochs.

    A tile has a question, a scale, what its intervals cover (classes, or ``clusters``
    of them), and a row for each run with values; or a reason why no run has any. With
    more runs than `MAX_ROWS`, the page shows the row of the chosen run, and the tile
    has the range of all runs.
    """
    first = findings[0]
    texts = {"reference": first.reference}
    reasons = _reasons(findings)
    made = []
    for name, scale in SCALES.items():
        quantity = QUANTITIES[name]
        trends = [run.trend(name) or run.trend(name, run.split) for run in findings]
        if name == AGREEMENT and not any(trends):
            quantity, trends = first.measured, [run.alignment for run in findings]
            texts |= {"title": quantity.title, "axis": quantity.axis}
            scale = OTHER_MEASURE
        points = [trend.last for trend in trends if trend]
        texts["chance"] = _ends_text(points)
        tile: dict[str, Any] = {
            "question": quantity.question.format(**texts),
            "scale": scale.format(**texts),
            "rows": [
                _row(index, trend, quantity)
                for index, trend in enumerate(trends)
                if trend
            ],
            "covers": "",
            "yardstick": [],
            "range_text": "",
            "reason": "" if points else reasons[name],
        }
        if any(point.low is not None for point in points):
            over = COVERED.get(name, population(clusters))
            tile["covers"] = f"95 % CI over {over}, not seeds"
        if points and quantity.name == AGREEMENT and first.reference == "WordNet":
            tile["yardstick"] = YARDSTICK
        if len(points) > MAX_ROWS:
            tile["range_text"] = _range_text(quantity, points)
        made.append(tile)
    return made


def _ends_text(points: Sequence[Point]) -> str:
    """Return the chance level and the maximum of shares, or nothing without them."""
    chance = percent_range(point.chance for point in points)
    most = percent_range(point.ceiling for point in points)
    if not chance:
        return ""
    return f": chance {chance}" + (f", at most {most}" if most else "")


def _range_text(quantity: Quantity, points: Sequence[Point]) -> str:
    values = [point.value for point in points]
    ends = dict.fromkeys(map(quantity.text, (min(values), max(values))))
    return f"{' to '.join(ends)} in {count(len(values), 'run')} at the last epoch"


def _reasons(findings: Sequence[RunFindings]) -> dict[str, str]:
    """Return the reason why the quantity of a tile has no value."""
    no_value = "dsi has no value; the warnings give the reason."
    no_agreement = no_value
    distrusted = {name for run in findings for name in run.distrusted}
    if "labels" in distrusted:
        no_agreement = "The labels contradict other inputs."
    if not any(run.has_names for run in findings):
        no_agreement = "The classes have no names."
    no_mistakes = "dsi has no value, because no network makes a mistake."
    has_unknown = any(run.no_agreement for run in findings)
    mistakes = [
        run.trend("mistakes", split) for run in findings for split in run.splits
    ]
    if distrusted - {"labels"}:
        no_mistakes = "The predictions contradict other inputs."
    elif not mistakes:
        no_mistakes = "There are no predictions on labelled data."
    elif any(wrong.peak.value for wrong in mistakes if wrong):
        no_mistakes = no_value
    return {
        AGREEMENT: no_agreement,
        "max_wsi": "The matrices of this analysis have no WSI.",
        "nidm": no_mistakes,
        "widm": no_agreement if mistakes and has_unknown else no_mistakes,
    }


def _row(index: int, trend: Trend, quantity: Quantity) -> dict[str, Any]:
    """Return the values of a run in a tile, as text: the value, its verdict, which is
    empty without a chance level, and its interval.
    """
    points = []
    for point in trend.points:
        interval = ""
        if point.low is not None and point.high is not None:
            interval = f"{quantity.text(point.low)} to {quantity.text(point.high)}"
        points.append(
            {
                "epoch": point.epoch,
                "value": quantity.text(point.value),
                "verdict": "" if point.z is None else point.verdict,
                "interval": interval,
            }
        )
    return {"run": index, "points": points}


def _shown(findings: Sequence[RunFindings]) -> Iterator[str]:
    reference = findings[0].reference
    if any(run.agreement for run in findings):
        yield (
            "The agreement shows whether pairs of classes that are similar in"
            f" {reference} are also similar for the network. The chance band is"
            f" {MIN_Z:g} standard deviations of random relabellings wide on either side."
        )
    learned = clear_networks(findings)
    if learned and all(run.is_early for run, _ in learned):
        yield (
            "Early means that 90 % of the rise of the agreement, with its interval,"
            " lies in the first half of the training."
        )
    if any(run.splits for run in findings):
        yield (
            "Questions 3 and 4 use only wrong predictions, which are others in each"
            " network. Question 3 measures them by the network's similarity, question 4"
            f" by {reference}, so their values cannot be compared with each other."
        )


def _not_shown(results: Results, findings: Sequence[RunFindings]) -> Iterator[str]:
    if len(findings) == 1:
        yield (
            "There is one training run. Another seed may give other values, and no"
            " interval here covers this."
        )
    else:
        yield (
            "No interval covers another seed of the same training. Runs can differ"
            " although their bands overlap, because they share their classes."
        )
    if any(run.agreement for run in findings):
        yield (
            "A higher agreement does not mean a better classifier, and a peak is not a"
            " reason to stop a training."
        )
    if any(run.accuracy and len(run.accuracy.points) > 1 for run in findings):
        yield (
            "The best epoch was chosen on the test set, so its accuracy is slightly"
            " optimistic."
        )
    classes = min(run.classes for run in findings)
    if classes < FEW_CLASSES:
        yield (
            f"With {classes} classes, chance alone gives large values, and the"
            " intervals are wide."
        )
    if any(run.epochs and len(run.epochs) < MIN_EPOCHS for run in findings):
        yield f"With fewer than {MIN_EPOCHS} epochs, no phases can be found."
    if any(results.is_vast(run.run) for run in findings):
        yield (
            "The matrices have too many classes to be stored. dsi neighbors lists the"
            " nearest classes of a class."
        )


def differences(
    results: Results, findings: Sequence[RunFindings]
) -> list[dict[str, Any]]:
    """Return the ``title`` and the ``lines`` of each pair of at most `MAX_COMPARED`
    runs: one line per quantity with the paired difference at the last epochs and its
    95 % confidence interval, which is not corrected for several quantities.
    """
    known = [
        run
        for run in findings
        if run.epochs and not run.distrusted and not results.is_vast(run.run)
    ]
    if len(known) > MAX_COMPARED:
        return []
    split = known[0].split if known else "test"
    criteria = main_criteria(findings[0].measured.variant or PEARSON)
    found = []
    for pair in combinations(known, 2):
        last = {run.run: run.epochs[-1] for run in pair}
        runs = [ComparedRun(name, name, results) for name in last]
        sides = runs_at_epochs(runs, last, split)
        if isinstance(sides, str):  # the runs have different classes
            continue
        lines = []
        for criterion in criteria:
            value = difference(criterion, sides[:1], sides[1:])
            if value.low is not None and value.high is not None:
                lines.append(_difference_line(criterion, value))
        epochs = dict.fromkeys(map(str, last.values()))
        at = f"epoch{'s' if len(epochs) > 1 else ''} {' and '.join(epochs)}"
        if lines:
            found.append({"title": f"{' less '.join(last)}, {at}", "lines": lines})
    return found


def _difference_line(criterion: Criterion, found: Difference) -> dict[str, str]:
    """Return the title, the value and the interval of a difference as text; those of
    shares are in percentage points.
    """
    factor, digits, unit = 1, 3, ""
    if criterion.quantity.unit == "%" or criterion.name == "accuracy":
        factor, digits, unit = 100, 1, " points"
    value, low, high = (
        f"{factor * number:+.{digits}f}".replace("-", "−")
        for number in (found.value or 0.0, found.low or 0.0, found.high or 0.0)
    )
    is_clear = not (found.low or 0.0) <= 0 <= (found.high or 0.0)
    return {
        "title": criterion.quantity.title,
        "value": f"{value}{unit}",
        "interval": f"{low} to {high}",
        "covers": f"over {criterion.covers}",
        "verdict": "excludes 0" if is_clear else "includes 0",
    }


def best_epochs(findings: Sequence[RunFindings]) -> list[list[str]]:
    """Return the best epoch of each run by accuracy and loss as rows of text below a
    heading; empty without several epochs.
    """
    runs = [run for run in findings if len(run.epochs) > 1]
    columns = {}
    for name, title in BEST.items():
        cells = [_best(run, name) for run in runs]
        if any(cells):
            columns[title] = [cell or "–" for cell in cells]
    if not columns:
        return []
    rows = zip((run.run for run in runs), *columns.values(), strict=True)
    return [["run", *columns], *map(list, rows)]


def _best(run: RunFindings, name: str) -> str:
    """Return the best accuracy or loss with its epoch; empty without a value."""
    trend = run.trend(name, "test")
    if not trend:
        return ""
    best = trend.peak
    text = f"{100 * best.value:.1f} %"
    if name == "loss":
        best = min(trend.points, key=lambda point: point.value)
        text = f"{best.value:.3f}"
    return f"{text} at epoch {best.epoch}"


def all_findings(results: Results) -> list[RunFindings]:
    """Return the findings of all runs of a results folder."""
    return [run_findings(results.path, run) for run in results.names]
