"""The text of the first screen: the finding, what was analysed, four tiles with values, warnings, and what the results do not show.

Each cause of a warning has one warning, with the command that helps.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli.errors import count, listed
from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.metrics.phases import MIN_EPOCHS
from dsi_cli.queries.findings import RunFindings, Trend, chance_range, headline, percent, run_findings
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.store.results import Results
from dsi_cli.store.schema import UNCERTAIN

MAX_NAMED = 5  # labels or curves that a warning names
MAX_ROWS = 4  # runs that a tile shows at once; with more runs, it shows the chosen run and the range of all runs
FEW_CLASSES = 20


class ResultWarning(NamedTuple):
    """A warning about results."""

    text: str
    command: str = ""  # the command that helps, or shows more; empty without one


def run_warnings(results: Results, run: str) -> list[ResultWarning]:
    """Return warnings about unused checkpoints, missing, unresolved and uncertain labels, and empty curves of a run."""
    found = []
    # Checkpoints that are not used
    checkpoints = results.rows_of("checkpoints", run)
    folder = run_folder(results, run)
    for status, problem in (("failed", "cannot be read or analysed"), ("pending", "may still be being written")):
        rows = checkpoints[checkpoints["status"] == status]
        if len(rows):
            first = rows.iloc[0]
            example = ", for example" if len(rows) > 1 else ""
            skipped = f"dsi skipped {count(len(rows), 'checkpoint')} that {problem}{example}"
            text = f"{skipped}, {Path(first['path']).name}: {first['reason']}"
            found.append(ResultWarning(text, shlex.join(["dsi", "scan", folder])))

    # Missing, unresolved and uncertain labels
    classes = class_rows(results, run)
    named = classes[classes["name"].notna()]
    if named.empty:
        command = shlex.join(["dsi", "analyze", folder, "-o", str(results.path), "--labels"]) + " FILE_OR_PRESET"
        found.append(ResultWarning("The classes have no names, so nothing is compared with WordNet. Run", command))
    unresolved = named["synset"].isna()
    uncertain = ~unresolved & (named["confidence"] < UNCERTAIN)
    for mask, text in (
        (unresolved, "The comparison with WordNet leaves out {labels} without a synset: {names}"),
        (uncertain, f"{{labels}} may have a wrong synset (confidence below {UNCERTAIN} on a scale from 0 to 1): {{names}}"),
    ):
        if mask.any():
            names = named.loc[mask, "name"].tolist()
            text = text.format(labels=count(len(names), "label"), names=listed(names, MAX_NAMED))
            found.append(ResultWarning(text))

    # Each reason why curves have no values has one warning; a curve with some values shows its gaps itself.
    curves = results.rows_of("curves", run)
    curves = curves[curves["variant"] != "pearson_corrected"]
    names_of: dict[str, list[str]] = {}
    for (metric, matrices), rows in curves.groupby(["metric", "of"], dropna=False):
        is_hierarchical = metric in (*HIERARCHY_METRICS, "severity", "superclass_accuracy")
        needs_reference = is_hierarchical or str(matrices).endswith("scsm")
        reasons = rows["reason"].dropna()
        if rows["value"].notna().any() or not len(reasons) or (needs_reference and named.empty):
            continue
        name = f"{str(metric).upper()}({matrices})" if isinstance(matrices, str) else str(metric).replace("_", " ")
        names_of.setdefault(reasons.iloc[0], []).append(name)
    found += [ResultWarning(f"{', '.join(names)}: no values, because {reason}") for reason, names in names_of.items()]
    return found


def result_warnings(results: Results) -> list[ResultWarning]:
    """Return the warnings of all runs; a warning that only some of several runs have begins with their names."""
    runs_of: dict[ResultWarning, list[str]] = {}
    for run in results.names:
        for warning in run_warnings(results, run):
            runs_of.setdefault(warning, []).append(run)
    return [
        warning if len(runs) == len(results.names) else warning._replace(text=f"{', '.join(runs)}: {warning.text}")
        for warning, runs in runs_of.items()
    ]


def run_folder(results: Results, run: str) -> str:
    """Return the folder of a run's checkpoints."""
    paths = results.rows_of("checkpoints", run)["path"]
    return str(Path(paths.iloc[0]).parent) if len(paths) else "CHECKPOINTS"


class TileRow(NamedTuple):
    """The values of one run in a tile, as text."""

    run: int  # the index of the run
    value: str
    verdict: str  # above, within or below chance; empty without a chance level
    details: list[str]  # the interval, the chance level and the epoch of the peak


@dataclass(frozen=True)
class Tile:
    """The values that concern one question of the paper."""

    question: str
    scale: str
    rows: list[TileRow]
    range_text: str = ""  # the range of the values of all runs, if the tile shows only the chosen run
    reason: str = ""  # the reason why no run has a value


def overview(results: Results, findings: Sequence[RunFindings]) -> dict[str, Any]:
    """Return the text of the first screen, with sentences on what the results show, and on what they do not show."""
    left_out = [(run.run, mistakes.left_out) for run in findings for mistakes in run.mistakes.values() if mistakes.left_out]
    return {
        "headline": headline(findings),
        "analysed": analysed_line(results, findings),
        "tiles": tiles(findings),
        "shown": list(_shown(findings)),
        "not_shown": list(_not_shown(results, findings)),
        "warnings": [*result_warnings(results), *(ResultWarning(f"{run}: {text}") for run, text in left_out)],
        "peaks": peaks_table(findings),
    }


def analysed_line(results: Results, findings: Sequence[RunFindings]) -> str:
    """Return one line on the runs, checkpoints, classes, labels and predictions, with ranges where runs differ."""
    parts = [count(len(findings), "run")]
    checkpoints = [len(run.epochs) for run in findings]
    parts.append(_range(checkpoints, "checkpoint") + (" each" if len(findings) > 1 and len(set(checkpoints)) == 1 else ""))
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

    samples = [test.samples for run in findings if (test := run.mistakes.get("test")) and test.samples]
    parts.append(_range(samples, "test sample") if samples else "no predictions")
    if len(set(epochs)) > 1:
        parts.append("values at the last epoch")
    return " · ".join(parts)


def _range(numbers: Sequence[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    return count(high, noun) if low == high else f"{low:,} to {count(high, noun)}"


def tiles(findings: Sequence[RunFindings]) -> list[Tile]:
    """Return a tile for each of the four questions; values are those of the last epoch that has one."""
    # Find the reasons why values are missing, and the chance level of the IDMs.
    reference = findings[0].reference
    reason = next((run.no_agreement for run in findings if run.no_agreement), "").split(":")[0].rstrip(".")
    no_agreement = f"{reason[:1].upper()}{reason[1:]}."
    no_mistakes = no_widm = "There are no predictions on labelled data."
    if any(run.mistakes for run in findings):
        no_mistakes = _reason_no_idm(findings)
        no_widm = no_agreement if reason else no_mistakes
    vectors = "classifier weights" if findings[0].own.startswith("ncsm") else "mean features"
    nidms, widms = ([_idm(run, name) for run in findings] for name in ("nidm", "widm"))
    chance = _idm_scale(findings, chance_range((*nidms, *widms)))

    questions: list[tuple[str, str, list[Trend | None], Callable[[float], str], str]] = [
        (
            f"Does its similarity agree with {reference}?",
            f"Are classes that are close in {reference} also close for the network? Correlation over all pairs of classes: "
            "0 is chance, 1 is perfect",
            [run.agreement for run in findings],
            _decimal,
            no_agreement,
        ),
        (
            "How similar are neighbouring classes?",
            f"Mean cosine similarity of the {vectors} of a class and of its nearest 5 % of classes: 0 is unrelated, "
            "1 is the same direction (Max WSI)",
            [run.max_wsi for run in findings],
            _decimal,
            "The matrices of this analysis have no WSI.",
        ),
        (
            "Do mistakes follow its own similarity?",
            "If a prediction is wrong: the share of classes that the network finds less similar to the true class than this "
            f"prediction{chance} (NIDM of mistakes)",
            nidms,
            percent,
            no_mistakes,
        ),
        (
            "Are mistakes semantically reasonable?",
            f"If a prediction is wrong: the share of classes that are farther from the true class in {reference} than this "
            f"prediction{chance} (WIDM of mistakes)",
            widms,
            percent,
            no_widm,
        ),
    ]
    made = []
    for question, scale, trends, text, reason in questions:
        known = {index: trend for index, trend in enumerate(trends) if trend}
        rows = [_row(index, trend, text, findings[index].epochs) for index, trend in known.items()]
        values = [trend.last.value for trend in known.values()]
        range_text = ""
        if len(values) > MAX_ROWS:
            ends = dict.fromkeys((text(min(values)), text(max(values))))
            range_text = f"{' to '.join(ends)} in {count(len(values), 'run')}"
        made.append(Tile(question, scale, rows, range_text, "" if rows else reason))
    return made


def _reason_no_idm(findings: Sequence[RunFindings]) -> str:
    if any(point.value for run in findings for split in run.mistakes.values() for point in split.wrong.points):
        return "dsi has no value; the warnings give the reason."
    return "dsi has no value, because no network makes a mistake."


def _idm_scale(findings: Sequence[RunFindings], levels: str) -> str:
    """Return the chance level and the maximum of an IDM of mistakes: the best mistake is the nearest of the other classes."""
    others = max(run.first_classes or run.classes for run in findings) - 1
    return f"; chance {levels}, at most {percent(1 - 1 / others)}" if levels else ""


def _row(run: int, trend: Trend, text: Callable[[float], str], epochs: Sequence[int | None]) -> TileRow:
    last, peak = trend.last, trend.peak
    verdict = "" if last.z is None else last.verdict
    # A later epoch has no value without predictions, or without a mistake.
    details = [f"at epoch {last.epoch}"] if last.epoch != epochs[-1] else []
    if last.low is not None and last.high is not None:
        details.append(f"95 % CI {text(last.low)} to {text(last.high)}")
    if len(epochs) > 1 and (last.z is None or trend.is_above_chance):
        details.append(f"peak {text(peak.value)} at epoch {peak.epoch}")
    if last.z is None and len(trend.points) > 1 and peak != trend.points[0]:
        details.append(f"{text(trend.points[0].value)} at epoch {trend.points[0].epoch}")
    return TileRow(run, text(last.value), verdict, details)


def _decimal(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


def _idm(run: RunFindings, name: str) -> Trend | None:
    """Return the NIDM or WIDM of mistakes on the first split with predictions."""
    return getattr(next(iter(run.mistakes.values()), None), name, None)


def _shown(findings: Sequence[RunFindings]) -> Iterator[str]:
    reference = findings[0].reference
    if any(run.agreement for run in findings):
        yield (
            f"The agreement shows whether pairs of classes that are similar in {reference} are also similar for the network. "
            "The chance band holds 95 % of the values that arise if the classes are relabelled at random."
        )
        yield "The interval of the agreement shows how much it would change with other classes of the same kind."
    if any(run.is_early for run in findings):
        yield "Early means that 90 % of the rise of the agreement, with its interval, lies in the first half of the training."
    if any(run.mistakes for run in findings):
        yield (
            "Questions 3 and 4 concern wrong predictions alone, so they do not depend on how many there are. "
            "Their intervals are over the wrong predictions."
        )


def _not_shown(results: Results, findings: Sequence[RunFindings]) -> Iterator[str]:
    if len(findings) == 1:
        yield "There is one training run. Another seed may give other values, and no interval here covers this."
    else:
        command = shlex.join(["dsi", "compare", str(results.path)])
        yield (
            "No interval covers another seed of the same training. "
            f"Overlapping bands do not show that runs are equal: {command} compares them."
        )
    yield "A higher agreement does not mean a better classifier, and a peak is not a reason to stop a training."
    if any(run.accuracy and len(run.accuracy.points) > 1 for run in findings):
        yield "The epoch with the best accuracy on test is chosen on test, so this accuracy is a little too high."
    classes = min(run.first_classes or run.classes for run in findings)
    if classes < FEW_CLASSES:
        yield f"With {classes} classes, chance alone gives large values, and the intervals are wide."
    if any(run.epochs and len(run.epochs) < MIN_EPOCHS for run in findings):
        yield f"With fewer than {MIN_EPOCHS} epochs, no phases can be found."
    if any(results.is_vast(run.run) for run in findings):
        yield "The matrices have too many classes to be stored. The page shows the nearest classes of each class."


def peaks_table(findings: Sequence[RunFindings]) -> list[list[str]]:
    """Return the best epoch of each run by each criterion as rows of text below a heading; empty without several epochs."""
    if all(len(run.epochs) < 2 for run in findings):
        return []
    rows = {}
    for run in findings:
        trends = {
            "highest agreement": run.agreement,
            "highest Max WSI": run.max_wsi,
            "highest NIDM of mistakes": _idm(run, "nidm"),
            "highest WIDM of mistakes": _idm(run, "widm"),
            "highest accuracy": run.accuracy,
        }
        points = {title: trend.peak for title, trend in trends.items() if trend}
        if run.loss:
            points["lowest loss"] = min(run.loss.points, key=lambda point: point.value)
        rows[run.run] = {title: f"{point.value:.3f} at epoch {point.epoch}" for title, point in points.items()}
    titles = [title for title in [*trends, "lowest loss"] if any(title in cells for cells in rows.values())]
    return [["run", *titles], *([run, *(cells.get(title, "–") for title in titles)] for run, cells in rows.items())]


def all_findings(results: Results) -> list[RunFindings]:
    """Return the findings of all runs of a results folder."""
    return [run_findings(results.path, run) for run in results.names]
