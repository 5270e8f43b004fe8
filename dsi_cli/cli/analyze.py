"""``dsi analyze``: the main job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import console, data_options
from dsi_cli.metrics import DEFAULT_MEASURES, MEASURES, WSI_QUANTILE

if TYPE_CHECKING:
    from dsi_cli.pipeline.summary import RunSummary, Summary
    from dsi_cli.views.overview import Line, Mistakes

NAMED = 5
"""Labels without a synset that are named one by one."""
Out = Annotated[Path, typer.Option("--out", "-o", help="The output folder; a second call brings it up to date.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]
Head = Annotated[str | None, typer.Option("--head", help="Name of the classifier's weight, where it cannot be told.")]
Ema = Annotated[bool, typer.Option("--ema", help="Averaged (EMA) weights instead of raw ones.")]


def analyze(
    checkpoints: Annotated[
        list[str], typer.Argument(help="Checkpoint files, folders (searched to any depth) or glob patterns.")
    ],
    out: Out = Path("dsi-out"),
    labels: Annotated[
        str | None, typer.Option("--labels", "-l", help="Label file (txt, csv, tsv, json) or preset, e.g. imagenet1k.")
    ] = None,
    epochs: Annotated[str | None, typer.Option("--epochs", help="first:last:step, for example 0:200:5.")] = None,
    head: Head = None,
    ema: Ema = False,
    keep_extra_classes: Annotated[
        bool, typer.Option("--keep-extra-classes", help="Keep rows for no object or background.")
    ] = False,
    centred: Annotated[bool, typer.Option("--centred", help="Also the NCSM without the mean weight row.")] = False,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure", help=f"SAI measure, instead of the default, repeatable: {', '.join(m.name for m in MEASURES)}."
        ),
    ] = None,
    wsi_quantile: Annotated[
        list[float] | None, typer.Option("--wsi-quantile", help="Of max and min WSI, repeatable; 0.95 by default.")
    ] = None,
    permutations: Annotated[
        int | None,
        typer.Option("--permutations", help="Random relabellings, for p-values and the nulls that need them."),
    ] = None,
    draws: Annotated[
        int | None, typer.Option("--draws", help="Bootstrap draws for intervals; 200 by default up to 256 classes.")
    ] = None,
    predictions: data_options.Predictions = None,
    targets: data_options.Targets = None,
    truth: data_options.Truth = "rows",
    predictions_split: data_options.PredictionsSplit = "test",
    test: data_options.Test = None,
    train: data_options.Train = None,
    data_root: data_options.DataRoot = None,
    download: data_options.Download = False,
    label_column: data_options.LabelColumn = None,
    model: data_options.Model = None,
    model_arg: data_options.ModelArg = None,
    templates: data_options.Templates = False,
    image_size: data_options.ImageSize = None,
    crop_pct: data_options.CropPct = None,
    interpolation: data_options.Interpolation = None,
    mean: data_options.Mean = None,
    std: data_options.Std = None,
    channels: data_options.Channels = None,
    skip_bad_images: data_options.SkipBadImages = False,
    device: data_options.Device = "auto",
    batch_size: data_options.BatchSize = "auto",
    autocast: data_options.Autocast = False,
    cache: data_options.Cache = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare the classifiers of checkpoints with WordNet, and with their own mistakes.

    Writes Parquet tables: every similarity matrix, and curves of SAI (with its chance level), WSI, losses and accuracies.

    With predictions, or test data and the model, also confusion counts, CCSMs, and how near the mistakes fall (IDM).

    Example: dsi analyze runs/resnet18/checkpoints --labels imagenet1k -o out
    """
    from dsi_cli.checkpoints.scan import Choice
    from dsi_cli.pipeline.analysis import analyze as run_analysis
    from dsi_cli.pipeline.options import Evaluation, Options

    evaluation = Evaluation(
        predictions=predictions,
        targets=targets,
        truth=truth,
        predictions_split=predictions_split,
        test=test,
        train=train,
        data_root=data_root,
        download=download,
        label_column=label_column,
        model=model,
        model_arguments=data_options.arguments(model_arg),
        templates=templates,
        image_size=image_size,
        crop_pct=crop_pct,
        interpolation=interpolation,
        mean=data_options.numbers("--mean", mean),
        std=data_options.numbers("--std", std),
        channels=channels,
        skip_bad_images=skip_bad_images,
        device=device,
        batch_size=data_options.batch(batch_size),
        autocast=autocast,
        cache=data_options.size(cache),
    )
    options = Options(
        labels=labels,
        epochs=epochs,
        choice=Choice(head, ema, keep_extra_classes),
        centred=centred,
        measures=tuple(measure or DEFAULT_MEASURES),
        quantiles=tuple(wsi_quantile or (WSI_QUANTILE,)),
        permutations=permutations,
        draws=draws,
        evaluation=evaluation,
    )
    with console.progress(quiet=quiet or as_json) as watching:
        summary = run_analysis(checkpoints, out, options, lambda event: watching.update(*event), watching.say)
    report(summary, as_json=as_json, quiet=quiet)
    return summary.exit_code


def report(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    """Print what an analysis did: tables and the next step, or one JSON document."""
    from dsi_cli.views import overview

    found = {
        run.name: (overview.lines(Path(summary.out), run.name), overview.mistakes(Path(summary.out), run.name))
        for run in summary.runs
    }
    if as_json:
        console.print_json(_document(summary, found))
        return
    for run in summary.runs:
        lines, mistakes = found[run.name]
        _notes(run, quiet=quiet)
        if lines:
            _print_lines(run, lines, quiet=quiet)
        for split, answered in mistakes.items():
            print()
            _print_table(f"{run.name}: mistakes on {split}", answered, _MISTAKES, quiet=quiet)
    for warning in summary.warnings:
        console.note(f"warning: {warning}", quiet=quiet)
    has_sai = any(line.value is not None for lines, _ in found.values() for line in lines)
    _print_next_step(summary, has_sai=has_sai, has_mistakes=any(mistakes for _, mistakes in found.values()))


def _document(summary: Summary, found: dict[str, tuple[list[Line], dict[str, list[Mistakes]]]]) -> dict[str, object]:
    runs = []
    for run in summary.runs:
        lines, mistakes = found[run.name]
        answered = {split: [asdict(line) for line in of_split] for split, of_split in mistakes.items()}
        runs.append(asdict(run) | {"epochs": [asdict(line) for line in lines], "mistakes": answered})
    return asdict(summary) | {"exit_code": summary.exit_code, "runs": runs}


def _notes(run: RunSummary, *, quiet: bool) -> None:
    for line in _told(run):
        console.note(line, quiet=quiet)
    for path, status, reason in run.problems:
        console.note(f"  {status}: {path}: {reason}")
    for path, split, reason in run.unanswered:
        console.note(f"  no answer on {split}: {path}: {reason}")


def _told(run: RunSummary) -> Iterator[str]:
    """Yield what a person should know of a run beside its numbers."""
    ok = run.statuses.get("ok", 0)
    if not ok:
        yield f"{run.name}: no checkpoint can be used"
        return
    weights = " and ".join(run.weights_used)
    heads = ", ".join(run.heads) or "none: text embeddings or class templates stand in its place"
    what = f"{console.count(ok, 'checkpoint')}, {console.count(run.classes or 0, 'class')}, classifier {heads} ({weights})"
    yield f"{run.name}: {what}"
    if run.labels:
        is_said = run.preset is None or run.labels == f"the preset {run.preset}"
        preset = "" if is_said else f", which are the preset {run.preset}"
        yield f"  labels: {run.labels}{preset}; {run.resolved} of {run.classes} in WordNet 3.0"
    if run.log:
        yield f"  losses and accuracies: {run.log}"
    for split, words in run.splits.items():
        yield f"  {split}: {words}"
    other = {status: number for status, number in run.statuses.items() if status != "ok"} | {"ignored": run.ignored}
    yield from (
        f"  other files: {told}" for told in [", ".join(f"{n} {status}" for status, n in other.items() if n)] if told
    )
    if run.reused:
        yield f"  {run.reused} of {console.count(ok, 'epoch')} known from an earlier call; heads read now: {run.read}"
    if run.gone:
        yield f"  {console.count(run.gone, 'checkpoint')} of an earlier call, not among these files: kept"
    yield from _told_of_labels(run)


def _told_of_labels(run: RunSummary) -> Iterator[str]:
    for label, reason in run.unresolved[:NAMED]:
        yield f"  warning: label {label!r} is left out of the alignment: {reason}"
    if len(run.unresolved) > NAMED:
        yield f"  warning: and {len(run.unresolved) - NAMED} more labels without a synset (classes.parquet names them)"
    if run.no_reference:
        yield f"  no alignment with WordNet: {run.no_reference}"


def _print_lines(run: RunSummary, lines: list[Line], *, quiet: bool) -> None:
    columns = [(name.format(measure=lines[0].measure), digits, field) for name, digits, field in _COLUMNS]
    _print_table(run.name, lines, columns, quiet=quiet)
    missing = next((line.reason for line in lines if line.reason), None) if all(x.value is None for x in lines) else None
    if missing and not run.no_reference:
        console.note(f"  no SAI: {missing}", quiet=quiet)


def _print_table(
    title: str, lines: Sequence[Line | Mistakes], columns: Sequence[tuple[str, int, str]], *, quiet: bool
) -> None:
    """Print a table of some epochs, without the columns that are empty throughout."""
    from rich.table import Table
    from rich.text import Text

    from dsi_cli.views import overview

    table = Table(title=Text(console.shown(title)), title_justify="left", pad_edge=False, box=None, header_style="bold")
    kept = [column for column in columns if any(getattr(line, column[2]) is not None for line in lines)]
    for name, _, _ in kept:
        table.add_column(name, justify="right")
    shown = overview.thinned(list(lines))
    for line in shown:
        table.add_row(*(_number(getattr(line, field), digits) for _, digits, field in kept))
    console.print_table(table)
    if len(shown) < len(lines):
        console.note(f"  {len(shown)} of {len(lines)} epochs are shown; curves.parquet has all", quiet=quiet)


_COLUMNS = (
    ("epoch", 0, "epoch"),
    ("SAI excess", 3, "excess"),
    ("z", 1, "z"),
    ("SAI ({measure})", 3, "value"),
    ("by chance", 3, "chance"),
    ("Max WSI", 3, "max_wsi"),
    ("Min WSI", 3, "min_wsi"),
    ("accuracy", 3, "accuracy"),
)
_MISTAKES = (
    ("epoch", 0, "epoch"),
    ("mistakes", 0, "mistakes"),
    ("NIDM", 3, "nidm"),
    ("z", 1, "nidm_z"),
    ("WIDM", 3, "widm"),
    ("z", 1, "widm_z"),
    ("by chance", 3, "chance"),
    ("CCSM", 3, "ccsm"),
    ("z", 1, "ccsm_z"),
    ("gap", 3, "gap"),
)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def _print_next_step(summary: Summary, *, has_sai: bool, has_mistakes: bool) -> None:
    print()
    if has_sai:
        print("SAI excess: 0 is what chance gives, 1 is identity; z: deviations above chance.")
        print("A raw SAI alone says little.")
    if has_mistakes:
        print("NIDM, WIDM: how near mistakes fall by the network's own similarity and by WordNet's,")
        print("over mistakes alone. CCSM: SAI excess of the network's similarity with its mistakes.")
    folders = "csms/, confusions/" if has_mistakes else "csms/"
    print(f"tables: {console.shown(summary.out)} (curves.parquet, checkpoints.parquet, classes.parquet, {folders})")
    print(f"notebook: from dsi_cli import open_run; run = open_run({console.shown(repr(summary.out))}); run.curves")
