"""``dsi compare``: the differences of several runs with confidence intervals, at equal
accuracy.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import console, tables
from dsi_cli.cli.options import Html, Json, Quiet, complete_runs, option
from dsi_cli.cli.text import cell, terminal_text
from dsi_cli.errors import DONE
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.queries.comparison.compare import Comparison
    from dsi_cli.queries.comparison.equal_accuracy import EqualAccuracy

SHORT_TITLES = {
    "sai_pearson": "agreement",
    "widm": "WIDM",
    "nidm": "NIDM",
    "accuracy": "last accuracy",
}
"""Short titles of rows."""
SCALE = "0 is chance, 1 is the same"
OTHER_MATCHES = {"accuracy": "at equal accuracy", "last epochs": "at their last epochs"}
"""The words for the epochs of two networks whose numbers do not match."""
MAX_TABLES = 3  # pairs of runs whose differences are printed as a table
HEAD_WIDTH = 9  # number of characters of a line of a name above a column


def compare(
    outputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUTPUT", help="Output folders of dsi analyze, one or several."
        ),
    ],
    run: Annotated[
        list[str] | None,
        option(
            "--run",
            "NAME",
            "Compare only this run. Repeatable; all by default.",
            complete_runs,
        ),
    ] = None,
    group: Annotated[
        str | None,
        option(
            "--group",
            "PATTERN",
            "Repetitions: seed, or a regular expression whose parentheses name the"
            " group.",
        ),
    ] = None,
    clusters: Annotated[
        str | None,
        option(
            "--clusters",
            "CHOICE",
            "Clusters of classes that intervals leave out together: superclass, group,"
            " or a CSV file of name,superclass.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        option(
            "--tolerance",
            "NUMBER",
            "Largest difference of accuracies that count as equal.",
        ),
    ] = 0.01,
    split: Annotated[
        str | None,
        option(
            "--split",
            "SPLIT",
            "Split of accuracy and mistakes: test or train.",
            ("test", "train"),
        ),
    ] = None,
    measure: Annotated[
        list[str] | None,
        option(
            "--measure",
            "NAME",
            "Measure of the SAI: pearson, cosine, spearman. Repeatable; the first is a"
            " criterion.",
        ),
    ] = None,
    out: Annotated[
        Path | None, option("--out -o", "DIR", "Folder for tables and a page.")
    ] = None,
    html: Html = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare runs at equal accuracy, with 95 % confidence intervals.

    Intervals of single trainings do not cover the variation between seeds. Train each
    network several times and give --group to cover it.

    Examples
    --------
    dsi compare cnn-out vit-out --html comparison.html
    dsi compare dsi-demo -o comparison  # tables and a page
    dsi compare out --group seed  # runs cnn_seed0, cnn_seed1, vit_seed0, ...
    """
    from dsi_cli.analysis.robustness import compared_choices, robustness_table
    from dsi_cli.analysis.semantics.class_clusters import read_clusters
    from dsi_cli.queries.comparison.compare import compare as compare_runs
    from dsi_cli.report import comparison_page
    from dsi_cli.store.results import Results

    if html is not None:
        atomic_write.require_suffix(html, (".html", ".htm"), "the comparison is a page")
    chosen = None
    if clusters is not None:
        classes = Results(outputs[0]).classes
        in_order = classes[classes["run"] == classes["run"].iloc[0]]
        names = in_order.sort_values("class_index")["name"].tolist()
        chosen = read_clusters(clusters, names)
    with console.progress(quiet=quiet or as_json) as display:
        comparison = compare_runs(
            outputs,
            names=run or (),
            group=group,
            tolerance=tolerance,
            split=split,
            measures=measure or (),
            clusters=chosen,
            progress=display.update,
        )
        choices = [
            (equal, compared_choices(equal))
            for _, equal in comparison.pairs[:MAX_TABLES]
        ]
        made = comparison.tables() if as_json or out is not None else {}
        made["robustness"] = robustness_table(choices)
        files = [] if out is None else _save_tables(made, out)
        if out is not None or html is not None:
            path = html or Path(out or ".") / comparison_page.FILE
            page = comparison_page.render(comparison, choices)
            files.append(str(comparison_page.save(page, path)))
        if as_json:
            document = _document(comparison) | made | {"files": files}
            console.print_json(tables.document(document))
            return DONE
        shown = _networks_shown(comparison)
    _print(comparison, shown, choices, quiet=quiet)
    for note in comparison.notes:
        console.note(f"note: {note}", quiet=quiet)
    for file in files:
        print(terminal_text(f"  {file}"))
    return DONE


def _save_tables(made: Mapping[str, pd.DataFrame], folder: Path) -> list[str]:
    """Write tables into a folder, and return their paths."""
    paths = []
    for name, table in made.items():
        path = folder / f"{name}.parquet"
        atomic_write.write_atomically(path, table.to_parquet(index=False))
        paths.append(str(path))
    return paths


def _document(comparison: Comparison) -> dict[str, Any]:
    from dsi_cli.queries.facts import documents

    names = (
        "epochs",
        "split",
        "measures",
        "reference",
        "preferred",
        "recommendation",
        "coverage",
        "notes",
    )
    document = {name: getattr(comparison, name) for name in names}
    return {"facts": documents(comparison.facts)} | document


def _networks_shown(comparison: Comparison) -> pd.DataFrame:
    """Return the SAI between the networks at their last common epoch, as bands."""
    from dsi_cli.queries.comparison.repetitions import network_bands

    if comparison.has_groups:
        networks = comparison.networks
    else:
        networks = comparison.networks_at(last_only=True)
    bands = network_bands(comparison.groups, networks)
    bands.attrs["z"] = networks["z"].iloc[-1]
    bands.attrs["matched_by"] = networks["matched_by"].iloc[-1]
    # The verdicts name pairs without common classes.
    is_other = networks["reason"].notna() & networks["classes_by"].notna()
    bands.attrs["not_compared"] = networks[is_other & networks["at"].isna()]
    return bands


def _print(
    comparison: Comparison,
    networks: pd.DataFrame,
    choices: Sequence[tuple[EqualAccuracy, Sequence[dict[str, Any]]]],
    *,
    quiet: bool,
) -> None:
    from dsi_cli.queries.comparison.compare import MANY_PAIRS
    from dsi_cli.queries.conclusions import changed_choices
    from dsi_cli.queries.facts import messages

    # Different label lists come before the verdict, which depends on them.
    for message in messages(comparison.facts, ()):
        line = message.line
        console.print_sentence(f"{line[:1].upper()}{line[1:]}", hanging=0)
    # The verdict is first, then the differences, and last what describes the runs.
    console.print_sentence(comparison.recommendation)
    pairs = comparison.pairs
    if len(pairs) > 1:
        for verdict, equal in pairs[:MANY_PAIRS]:
            # The sentence on two runs that cannot be compared begins with their names.
            pair = f"{verdict.first} and {verdict.second}: " if equal.main_rows else ""
            console.print_sentence(f"- {pair}{verdict.sentence}")
    shown = [equal for _, equal in pairs if equal.main_rows][:MAX_TABLES]
    for equal in shown:
        print()
        _print_differences(equal)
    print()
    if comparison.coverage:
        console.print_sentence(comparison.coverage)
        print()
    for equal, rows in choices:
        changed = changed_choices(rows)
        if changed:
            console.print_sentence(
                f"{equal.first} and {equal.second}: the conclusion about the agreement"
                f" depends on measure and correlation: it differs {changed}"
            )
    _print_runs(comparison)
    _print_reliability(comparison)
    _print_networks(comparison, networks)
    if len(comparison.equal) == 1:
        classes = comparison.equal[0].classes
        unlike = classes[classes["likeness"] < 1].head(5)
        if len(unlike):
            named = unlike["name"] + unlike["likeness"].map(" {:.2f}".format)
            console.print_sentence(
                f"Classes whose similarities correlate least: {', '.join(named)}"
            )
    if len(comparison.compared) > MAX_TABLES:
        console.note(
            "not shown: other pairs; --run NAME chooses runs, and --json has all",
            quiet=quiet,
        )


def _print_differences(equal: EqualAccuracy) -> None:
    """Print the differences of two runs or groups: one line per main quantity."""
    if equal.reason is not None:
        console.print_sentence(f"At the last epochs: {equal.reason}")
    rows = equal.main.copy()
    rows["short"] = rows["quantity"].map(SHORT_TITLES).fillna(rows["title"])
    rows["interval"] = tables.intervals(rows, "+.3f")
    rows["covers"] = rows["covers"].where(rows["low"].notna(), "-")
    first, second = _short_names(equal.first, equal.second)
    columns = {
        "short": ("", ""),
        "first_value": (_head(first), ".3f"),
        "second_value": (_head(second), ".3f"),
        "difference": ("diff.", "+.3f"),
        "interval": ("#95 % CI", ""),
        "covers": ("CI over", ""),
    }
    tables.print_rows(rows, columns)
    for short, name in ((first, equal.first), (second, equal.second)):
        text = f"{short}: {name}, " if short != name else f"{name}: "
        console.print_sentence(text + equal.described(name))
    missing = rows[rows["low"].isna()]
    for reason, of_reason in missing.groupby("reason", sort=False):
        console.print_sentence(f"{'; '.join(of_reason['title'])}: {reason}")


def _short_names(first: str, second: str) -> tuple[str, str]:
    """Return two names without the words with which both begin.

    >>> _short_names("cifar100-cnn", "cifar100-vit"), _short_names("a", "b")
    (('cnn', 'vit'), ('a', 'b'))
    """
    start = 0
    for index, (one, other) in enumerate(zip(first, second, strict=False), start=1):
        if one != other:
            break
        if one in "-_/.":
            start = index
    if len(first) == start or len(second) == start:
        return first, second
    return first[start:], second[start:]


def _head(name: str) -> str:
    """Return a name in lines that are as wide as a column of numbers."""
    lines = textwrap.wrap(name, HEAD_WIDTH)
    return "\n".join([*lines[:2], "..."] if len(lines) > 3 else lines)


def _print_runs(comparison: Comparison) -> None:
    from dsi_cli.queries.comparison.compare import run_texts
    from dsi_cli.queries.comparison.criteria import measure_title

    runs = run_texts(comparison)
    runs["best"] = runs["best_accuracy"].map(cell) + runs["best_at"]
    runs["half_at"] = runs["half_at"].replace("", "-")
    columns = {
        "label": ("run", ""),
        "group": ("group", ""),
        "classes": ("classes", "d"),
        "span": ("#epochs", ""),
        "best": ("#best\naccuracy", ""),
        "alignment": (f"last\n{measure_title(comparison.measures[0])}", ".3f"),
        "half_at": ("#half of the\nhighest", ""),
    }
    if not comparison.has_groups:
        del columns["group"]
    tables.print_rows(runs, columns)


def _print_reliability(comparison: Comparison) -> None:
    """Print the reliability of repetitions at their last common epoch, and whether it
    explains a decline of the agreement.
    """
    found = comparison.reliability
    last = found.table.groupby("group", sort=False).tail(1)
    if last.empty:
        return
    console.print_title(
        "Agreement and seeds", "corrected: without the noise of the seed"
    )
    last = last.assign(interval=tables.intervals(last))
    columns = {
        "group": ("", ""),
        "seeds": ("seeds", "d"),
        "epoch": ("epoch", "d"),
        "agreement": ("agreement", ".3f"),
        "reliability": ("reliability", ".3f"),
        "corrected": ("corrected", ".3f"),
        "interval": ("#95 % CI", ""),
    }
    tables.print_rows(last, columns)
    for reason in last["reason"].dropna().unique():
        console.print_sentence(f"No interval: {reason}")
    for text in found.sentences:
        console.print_sentence(text)


def _print_networks(comparison: Comparison, bands: pd.DataFrame) -> None:
    """Print the similarity of networks at their last common epoch; that of groups is
    the mean over pairs of runs.
    """
    from dsi_cli.queries.comparison.compare import MANY_PAIRS
    from dsi_cli.queries.comparison.criteria import measure_title
    from dsi_cli.queries.comparison.repetitions import BAND

    title = measure_title(comparison.measures[0])
    begin = f"{title[:1].upper()}{title[1:]} of the networks with each other"
    last = bands.groupby("group", sort=False).tail(1).head(MANY_PAIRS)
    if len(last) == 1 and len(comparison.compared) == 2:
        (row,) = last.to_dict("records")
        by, z = bands.attrs["matched_by"], bands.attrs["z"]
        chance = "0 is chance" if z != z else f"0 is chance, z = {z:.0f}"
        where = OTHER_MATCHES.get(by, f"at {row['x']} ({by})")
        console.print_sentence(f"{begin} {where}: {row['mean']:.3f} ({chance})")
    elif len(last):
        console.print_title(begin, f"{SCALE}; at their last common epoch")
        last = last.assign(band=tables.intervals(last))
        columns = {
            "group": ("", ""),
            "runs": ("pairs", "d"),
            "x": ("epoch", "d"),
            "mean": (title, ".3f"),
            "band": (f"#{BAND}", ""),
        }
        if not comparison.has_groups:
            del columns["runs"], columns["band"]
        tables.print_rows(last, columns)
    for row in bands.attrs["not_compared"].head(MANY_PAIRS).to_dict("records"):
        console.print_sentence(
            f"{row['first']} and {row['second']} are not compared with each other:"
            f" {row['reason']}"
        )
