"""``dsi analyze``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsi_cli.cli import completion, console, data_options, engine_options
from dsi_cli.cli.summary import report
from dsi_cli.metrics import DEFAULT_MEASURES, MEASURES, WSI_QUANTILE
from dsi_cli.tracking import TRACKERS, form

Checkpoints = Annotated[
    list[str], typer.Argument(help="Checkpoint files, folders (searched to any depth), glob patterns, or URLs (s3://...).")
]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="The output folder, or its URL; a second call brings it up to date.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]
Head = Annotated[str | None, typer.Option("--head", help="Name of the classifier's weight, where it cannot be told.")]
Ema = Annotated[bool, typer.Option("--ema", help="Averaged (EMA) weights instead of raw ones.")]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        "-l",
        help="Label file (txt, csv, tsv, json, yaml), its URL, or a preset, e.g. imagenet1k.",
        autocompletion=completion.presets,
    ),
]
MapFile = Annotated[
    str | None,
    typer.Option("--map", help="CSV of what labels mean (dsi labels --write-map), edited; comes before all else."),
]
References = Annotated[
    list[str] | None,
    typer.Option(
        "--reference",
        help="What the networks are compared with, repeatable, the main one first: path (default), wup, lch, res:FILE, lin:FILE,"
        " jcn:FILE, or a matrix (.csv, .parquet, .npy).",
        autocompletion=completion.of(("path", "wup", "lch", "res:", "lin:", "jcn:")),
    ),
]
TaxonomyFile = Annotated[
    str | None,
    typer.Option("--taxonomy", help="CSV of child,parent in place of WordNet: path, wup and lch, groups, order, severity."),
]
EarlierPartOfSpeech = Annotated[
    str | None, typer.Option("--pos", help="What labels are in WordNet: noun (default), or verb for lists of actions.")
]
PartOfSpeech = Annotated[str, typer.Option("--pos", help="What labels are in WordNet: noun, or verb for lists of actions.")]
WordNetName = Annotated[
    str | None,
    typer.Option("--wordnet", help="A WordNet that NLTK has installed (wordnet31, wordnet2022), in place of 3.0."),
]
EarlierEma = Annotated[bool | None, typer.Option("--ema/--no-ema", help="Averaged (EMA) weights instead of raw ones.")]
KeepExtraClasses = Annotated[
    bool | None,
    typer.Option("--keep-extra-classes/--no-keep-extra-classes", help="Keep rows for no object or background."),
]
Permutations = Annotated[
    int | None, typer.Option("--permutations", help="Random relabellings, for p-values and the nulls that need them.")
]
Draws = Annotated[
    int | None, typer.Option("--draws", help="Bootstrap draws of classes for the interval of ssim; none by default.")
]
LogTo = Annotated[
    list[str] | None,
    typer.Option("--log-to", help=f"Also log the curves to a tracker, repeatable: {', '.join(map(form, TRACKERS))}."),
]
Report = Annotated[bool, typer.Option("--report/--no-report", help="Write report.html, one page that shows all of it.")]


def analyze(
    checkpoints: Checkpoints,
    out: Out = Path("dsi-out"),
    labels: Labels = None,
    map_file: MapFile = None,
    reference: References = None,
    taxonomy: TaxonomyFile = None,
    pos: EarlierPartOfSpeech = None,
    wordnet: WordNetName = None,
    epochs: Annotated[str | None, typer.Option("--epochs", help="first:last:step, for example 0:200:5.")] = None,
    head: Head = None,
    ema: EarlierEma = None,
    keep_extra_classes: KeepExtraClasses = None,
    centred: Annotated[bool, typer.Option("--centred", help="Also the NCSM without the mean weight row.")] = False,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            help=f"SAI measure, instead of the default, repeatable: {', '.join(m.name for m in MEASURES)}.",
            autocompletion=completion.of(m.name for m in MEASURES),
        ),
    ] = None,
    wsi_quantile: Annotated[
        list[float] | None, typer.Option("--wsi-quantile", help="Of max and min WSI, repeatable; 0.95 by default.")
    ] = None,
    permutations: Permutations = None,
    draws: Draws = None,
    log: Annotated[
        str | None,
        typer.Option("--log", help="Training log (CSV, trainer_state.json, TensorBoard's files), not what lies beside."),
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
    log_to: LogTo = None,
    engine: engine_options.Name = engine_options.DEFAULT,
    address: engine_options.Address = None,
    gpus_per_task: engine_options.GpusPerTask = 0.0,
    memory: data_options.Memory = None,
    html: Report = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare the classifiers of checkpoints with WordNet, and with their own mistakes.

    Writes Parquet tables: every similarity matrix, and curves of SAI (with its chance level), WSI, losses and accuracies;
    and report.html, one page that shows them.

    With predictions, or test data and the model, also confusion counts, CCSMs, and how near the mistakes fall (IDM).

    What says what the classes and the head are (--labels, --map, --taxonomy, --reference, --pos, --wordnet, --head, --ema,
    --keep-extra-classes, --predictions) holds in later calls with the same output folder, until another is given; none removes it.

    Examples
    --------
    dsi analyze ckpts/                           # tables, report: dsi-out
    dsi analyze ckpts/ --labels cifar100 -o out  # a preset, or a file
    dsi analyze ckpts/ --epochs 0:30:10 --reference wup -o some
    dsi analyze ckpts/ --predictions preds.npy --targets targets.npy
    dsi analyze ckpts/ --test data/test --model timm:resnet18
    """
    from dsi_cli.analysis import earlier_settings, report_file, track
    from dsi_cli.analysis.analyze import analyze as run_analysis
    from dsi_cli.analysis.options import Evaluation, Options
    from dsi_cli.engines import EngineOptions
    from dsi_cli.tracking.destinations import destinations

    trackers = destinations(log_to or ())
    settings = earlier_settings.Settings(
        labels=labels,
        mapping=map_file,
        taxonomy=taxonomy,
        references=tuple(reference) if reference else None,
        pos=pos,
        wordnet=wordnet,
        head=head,
        ema=ema,
        keep_extra=keep_extra_classes,
        predictions=predictions,
    )
    evaluation = Evaluation(
        predictions=settings.predictions_file,
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
        **settings.options(),
        epochs=epochs,
        centred=centred,
        measures=tuple(measure or DEFAULT_MEASURES),
        quantiles=tuple(wsi_quantile or (WSI_QUANTILE,)),
        permutations=permutations,
        draws=draws,
        memory=data_options.memory(memory),
        log=log,
        evaluation=evaluation,
        engine=EngineOptions(engine, address, gpus_per_task),
    )
    with console.progress(quiet=quiet or as_json) as watching:
        summary = run_analysis(checkpoints, out, options, lambda event: watching.update(*event), watching.say)
        if html:
            report_file.add_report(summary, lambda event: watching.update(*event))
        track.track_summary(summary, trackers)
    report(summary, as_json=as_json, quiet=quiet)
    return summary.exit_code
