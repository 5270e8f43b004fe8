"""The options of ``dsi analyze`` and ``dsi watch``, each declared once: one frozen dataclass per group.

A field's name and default are those of the Python API. Its metadata hold the flag, the placeholder and the help text of the command
line (`dsi_cli.analysis.option_groups.declaration`). The command line and ``docs/cli.md`` are made from this module, and
`dsi_cli.Options` and `dsi_cli.Evaluation` inherit their fields from the groups.

To add an option: add a field here, and a keyword to `dsi_cli.analyze` unless the field belongs to `dsi_cli.Evaluation`. A test
compares names and defaults.

The groups lack ``==`` and a ``repr``, and those that are only base classes lack ``__init__``, because each method that `dataclass`
generates delays every ``--help``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dsi_cli.analysis.option_groups.declaration import AS_IT_IS, CACHE, DOWNLOAD, option
from dsi_cli.analysis.option_groups.text_values import (
    parse_arguments,
    parse_batch_size,
    parse_memory,
    parse_numbers,
    parse_seconds,
    parse_size,
)
from dsi_cli.engines import DEFAULT as DEFAULT_ENGINE
from dsi_cli.engines import ENGINES
from dsi_cli.engines import NAMES as ENGINE_NAMES
from dsi_cli.metrics import DEFAULT_MEASURES, DEFAULT_REFERENCES, MEASURES, WSI_QUANTILE
from dsi_cli.tracking import TRACKERS, form

SPLITS = ("train", "test")
TRUTH = ("rows", "columns")


def preset_names() -> Iterable[str]:
    """Return the names of the label presets."""
    from dsi_cli.labels.presets import PRESETS

    return (preset.name for preset in PRESETS)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class CheckpointOptions:
    """The paths of a call."""

    checkpoints: tuple[str, ...] = field(
        default=(),
        metadata=option(
            metavar="CHECKPOINTS",
            help="Checkpoint files, folders (searched to any depth), glob patterns, URLs (s3://...), or runs of a tracker"
            " (mlflow:RUN, wandb:ENTITY/PROJECT/RUN).",
            url=AS_IT_IS,
        ),
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class InputOptions:
    """The revisions, the epochs, the classifier head and the training log to read."""

    revisions: str | None = field(
        default=None,
        metadata=option(
            "--revisions",
            metavar="WHICH",
            help="Read a Hugging Face repository (hf://ORG/MODEL) at each of its commits, tags or branches, or at the tags and"
            " branches that fit a pattern, for example 'step*'.",
            choices=("commits", "tags", "branches"),
        ),
    )
    epochs: str | None = field(
        default=None,
        metadata=option(
            "--epochs", metavar="FIRST:LAST:STEP", help="Epochs to analyse, for example 0:200:5. LAST is included."
        ),
    )
    head: str | None = field(
        default=None,
        metadata=option(
            "--head",
            metavar="NAME",
            help="Name of the classifier's weight; dsi scan --why FILE lists the candidates.",
            is_kept=True,
        ),
    )
    ema: bool = field(
        default=False,
        metadata=option("--ema/--no-ema", help="Use averaged (EMA) weights instead of raw ones.", is_kept=True),
    )
    keep_extra_classes: bool = field(
        default=False,
        metadata=option(
            "--keep-extra-classes/--no-keep-extra-classes",
            help="Keep the head's rows for no object or background.",
            is_kept=True,
        ),
    )
    log: str | None = field(
        default=None,
        metadata=option(
            "--log",
            metavar="FILE",
            help="Training log: CSV, trainer_state.json or TensorBoard's files. By default the one next to the checkpoints.",
            url=DOWNLOAD,
        ),
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LabelOptions:
    """The labels of the classes and their senses."""

    labels: str | None = field(
        default=None,
        metadata=option(
            "--labels",
            "-l",
            metavar="FILE",
            help="Label file (txt, csv, tsv, json, yaml), its URL, or a preset, for example imagenet1k.",
            choices=preset_names,
            is_kept=True,
            url=DOWNLOAD,
        ),
    )
    mapping: str | None = field(
        default=None,
        metadata=option(
            "--map",
            metavar="FILE",
            help="CSV file with the WordNet sense of each label; dsi labels --write-map writes one to edit.",
            is_kept=True,
            url=DOWNLOAD,
        ),
    )
    pos: str = field(
        default="noun",
        metadata=option(
            "--pos",
            metavar="POS",
            help="Part of speech of the labels: noun (default), or verb for lists of actions.",
            choices=("noun", "verb"),
            is_kept=True,
        ),
    )
    wordnet: str | None = field(
        default=None,
        metadata=option(
            "--wordnet",
            metavar="NAME",
            help="A WordNet that is installed for NLTK (wordnet31, wordnet2022), instead of version 3.0.",
            is_kept=True,
        ),
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ComparisonOptions:
    """The references for the matrices, and the measures of the comparison."""

    references: tuple[str, ...] = field(
        default=DEFAULT_REFERENCES,
        metadata=option(
            "--reference",
            metavar="REFERENCE",
            help="What the networks are compared with: path (default), wup, lch, res:FILE, lin:FILE, jcn:FILE, or the file of a"
            " matrix (.csv, .parquet, .npy). Repeatable; the first is the main one.",
            choices=("path", "wup", "lch", "res:", "lin:", "jcn:"),
            is_kept=True,
            url=DOWNLOAD,
        ),
    )
    taxonomy: str | None = field(
        default=None,
        metadata=option(
            "--taxonomy",
            metavar="FILE",
            help="File that replaces WordNet for path, wup, lch, groups, class order and scores by the hierarchy: CSV of"
            " child,parent, a JSON tree, or a file of ImageNet, BREEDS or iNaturalist.",
            is_kept=True,
            url=DOWNLOAD,
        ),
    )
    centred: bool = field(
        default=False, metadata=option("--centred", help="Also compute the NCSM without the mean weight row.")
    )
    measures: tuple[str, ...] = field(
        default=DEFAULT_MEASURES,
        metadata=option(
            "--measure",
            metavar="NAME",
            help=f"SAI measure to compute instead of the default ones: {', '.join(measure.name for measure in MEASURES)}."
            " Repeatable.",
            choices=[measure.name for measure in MEASURES],
        ),
    )
    quantiles: tuple[float, ...] = field(
        default=(WSI_QUANTILE,),
        metadata=option(
            "--wsi-quantile",
            metavar="FRACTION",
            help=f"Quantile for the maximum and minimum WSI, between 0 and 1 (default {WSI_QUANTILE:g}). Repeatable.",
        ),
    )
    permutations: int | None = field(
        default=None,
        metadata=option(
            "--permutations",
            metavar="NUMBER",
            help="Number of random relabellings, for p-values and chance levels that need them.",
        ),
    )
    draws: int | None = field(
        default=None,
        metadata=option(
            "--draws",
            metavar="NUMBER",
            help="Any number above 0 asks for the confidence interval of ssim.",
        ),
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class PredictionOptions:
    """Predictions that were made elsewhere."""

    predictions: str | None = field(
        default=None,
        metadata=option(
            "--predictions",
            metavar="FILE",
            help="Stored predictions: Parquet or CSV (epoch, target, prediction), NPY or NPZ (epochs x samples, or confusion"
            " matrices), or a folder with one file per epoch.",
            is_kept=True,
            url=DOWNLOAD,
        ),
    )
    targets: str | None = field(
        default=None,
        metadata=option(
            "--targets",
            metavar="FILE",
            help="The true class of each sample, if the file of predictions lacks it.",
            url=DOWNLOAD,
        ),
    )
    truth: str = field(
        default="rows",
        metadata=option(
            "--truth",
            metavar="AXIS",
            help="Axis of a confusion matrix that holds the true classes: rows or columns.",
            choices=TRUTH,
        ),
    )
    predictions_split: str = field(
        default="test",
        metadata=option(
            "--predictions-split",
            metavar="SPLIT",
            help="Split that the predictions belong to: test or train.",
            choices=("test", "train"),
        ),
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ModelOptions:
    """The labelled data, and the model that dsi runs on them."""

    test: str | None = field(
        default=None,
        metadata=option(
            "--test",
            metavar="DATA",
            help="Test data: a folder of class folders, Parquet or tar shards, a data set saved by Hugging Face's library, a"
            " torchvision dataset (CIFAR100, with --data-root), file.py:function or module:function.",
            url=CACHE,
        ),
    )
    train: str | None = field(
        default=None,
        metadata=option("--train", metavar="DATA", help="Training data, in the same forms as --test.", url=CACHE),
    )
    data_root: str | None = field(
        default=None, metadata=option("--data-root", metavar="DIR", help="Folder of torchvision's datasets.")
    )
    download: bool = field(
        default=False, metadata=option("--download", help="Let torchvision download its dataset into --data-root.")
    )
    label_column: str | None = field(
        default=None,
        metadata=option(
            "--label-column", metavar="NAME", help="Label column of Parquet files or of a saved data set, if ambiguous."
        ),
    )
    model: str | None = field(
        default=None,
        metadata=option(
            "--model",
            metavar="MODEL",
            help="timm:NAME, torchvision:NAME, transformers:FOLDER, file.py:function, module:function, or torchscript:FILE"
            " (which runs the file's code). By default dsi uses the model that the trainer recorded.",
        ),
    )
    model_arguments: tuple[tuple[str, Any], ...] = field(
        default=(),
        metadata=option(
            "--model-arg",
            metavar="NAME=VALUE",
            help="Argument for the function that builds the model. Repeatable.",
            parse=parse_arguments,
        ),
    )
    templates: bool = field(
        default=False,
        metadata=option("--templates", help="Also compute class templates from features: TNCSM and typicality."),
    )
    image_size: int | None = field(
        default=None, metadata=option("--image-size", metavar="PIXELS", help="Side of the model's input, in pixels.")
    )
    crop_pct: float | None = field(
        default=None,
        metadata=option(
            "--crop-pct",
            metavar="FRACTION",
            help="Side of the model's input, divided by the side that images are resized to.",
        ),
    )
    interpolation: str | None = field(
        default=None,
        metadata=option(
            "--interpolation",
            metavar="NAME",
            help="Interpolation for resizing: nearest, bilinear, bicubic or lanczos.",
            choices=("nearest", "bilinear", "bicubic", "lanczos"),
        ),
    )
    mean: tuple[float, ...] | None = field(
        default=None,
        metadata=option(
            "--mean",
            metavar="NUMBERS",
            help="Mean of images in [0, 1], one number per channel: 0.485,0.456,0.406.",
            parse=partial(parse_numbers, "--mean"),
        ),
    )
    std: tuple[float, ...] | None = field(
        default=None,
        metadata=option(
            "--std",
            metavar="NUMBERS",
            help="Standard deviation of images in [0, 1], one number per channel: 0.229,0.224,0.225.",
            parse=partial(parse_numbers, "--std"),
        ),
    )
    channels: int | None = field(
        default=None, metadata=option("--channels", metavar="NUMBER", help="Channels of the model's input: 1 or 3.")
    )
    skip_bad_images: bool = field(
        default=False, metadata=option("--skip-bad-images", help="Leave out images that cannot be decoded.")
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class InferenceOptions:
    """The device and the memory for running the model. Only `autocast` may change predictions."""

    device: str = field(
        default="auto",
        metadata=option(
            "--device",
            metavar="DEVICE",
            help="Device that runs the model: auto, cpu, cuda, cuda:1 or mps.",
            choices=("auto", "cpu", "cuda", "mps"),
        ),
    )
    batch_size: int | None = field(
        default=None,
        metadata=option(
            "--batch-size",
            metavar="NUMBER",
            help="Images per batch; auto makes the batches smaller if memory is short.",
            parse=parse_batch_size,
            text_default="auto",
        ),
    )
    autocast: bool = field(
        default=False,
        metadata=option(
            "--autocast",
            help="Compute in bfloat16, which is faster on some devices; predictions close to a tie may change.",
        ),
    )
    cache: int | None = field(
        default=None,
        metadata=option(
            "--cache",
            metavar="SIZE",
            help="Memory and disk space for decoded images, for example 8GB; 0 decodes them again for each checkpoint."
            " By default half of what is free.",
            parse=parse_size,
        ),
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EngineChoice:
    """The engine that runs the jobs."""

    engine: str = field(
        default=DEFAULT_ENGINE,
        metadata=option(
            "--engine",
            metavar="NAME",
            help=f"What runs the jobs: {'; '.join(f'{engine.name} ({engine.title})' for engine in ENGINES)}.",
            choices=ENGINE_NAMES,
        ),
    )
    address: str | None = field(
        default=None,
        metadata=option(
            "--address",
            metavar="ADDRESS",
            help="Address of the Ray cluster: auto (the one that runs on this machine), HOST:PORT or ray://HOST:PORT."
            " By default RAY_ADDRESS; without it, dsi starts Ray on this machine for the call.",
            url=AS_IT_IS,
        ),
    )
    gpus_per_task: float = field(
        default=0.0,
        metadata=option(
            "--gpus-per-task",
            metavar="NUMBER",
            help="GPUs of the cluster that one task takes to run a model on images, for example 1 or 0.25.",
        ),
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class MemoryOptions:
    """The memory of the analysis."""

    memory: int | None = field(
        default=None,
        metadata=option(
            "--memory",
            metavar="SIZE",
            help="Memory for comparing matrices, for example 4GB. By default half of what is free. Measures that need more"
            " are null.",
            parse=parse_memory,
        ),
    )


@dataclass(frozen=True, eq=False, repr=False)
class OutputOptions:
    """The output folder, the trackers, and the printed output."""

    out: Path = field(
        default=Path("dsi-out"),
        metadata=option(
            "--out", "-o", metavar="DIR", help="Output folder, or its URL; a second call brings it up to date."
        ),
    )
    report: bool = field(
        default=True,
        metadata=option("--report/--no-report", help="Write report.html, one page that shows all results."),
    )
    log_to: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "--log-to",
            metavar="TRACKER",
            help=f"Also log the curves to a tracker: {', '.join(map(form, TRACKERS))}. Repeatable.",
            url=AS_IT_IS,
        ),
    )
    per_epoch: bool = field(
        default=False,
        metadata=option("--per-epoch", help="Also print tables with a row for each epoch.", is_terminal_only=True),
    )
    json: bool = field(
        default=False,
        metadata=option("--json", help="Print one JSON document on stdout and nothing else.", is_terminal_only=True),
    )
    quiet: bool = field(
        default=False,
        metadata=option("--quiet", "-q", help="Print no progress and no notes on stderr.", is_terminal_only=True),
    )


@dataclass(frozen=True, eq=False, repr=False)
class WatchOutputOptions(OutputOptions):
    """The output options of ``dsi watch``."""

    json: bool = field(
        default=False,
        metadata=option(
            "--json",
            help="Print JSON lines: one document per update, and at the end the document of dsi analyze --json.",
            is_terminal_only=True,
        ),
    )


@dataclass(frozen=True, eq=False, repr=False)
class WatchOptions:
    """The pace of ``dsi watch``, and the conditions for its end."""

    every: float = field(
        default=10.0,
        metadata=option(
            "--every",
            metavar="TIME",
            help="Time from one listing of the files to the next: 10s, 1m.",
            parse=partial(parse_seconds, "--every"),
            text_default="10s",
            is_terminal_only=True,
        ),
    )
    until_epoch: int | None = field(
        default=None,
        metadata=option(
            "--until-epoch",
            metavar="EPOCH",
            help="End once every run has this epoch (the trainer's own number), or the last epoch before it that --epochs"
            " selects.",
            minimum=0,
            is_terminal_only=True,
        ),
    )
    idle: float | None = field(
        default=None,
        metadata=option(
            "--idle",
            metavar="TIME",
            help="End when nothing was new for this long: 90s, 30m, 2h.",
            parse=partial(parse_seconds, "--idle"),
            is_terminal_only=True,
        ),
    )


Sections = dict[str, tuple[type, ...]]
_SHARED: Sections = {
    "Input": (CheckpointOptions, InputOptions),
    "Labels": (LabelOptions,),
    "Comparison": (ComparisonOptions,),
    "Predictions": (PredictionOptions,),
    "Running a model": (ModelOptions,),
    "Compute": (InferenceOptions, EngineChoice, MemoryOptions),
}
ANALYZE: Sections = _SHARED | {"Output": (OutputOptions,)}
"""The sections of the help of ``dsi analyze``, with the groups of options in each."""
WATCH: Sections = {"Watching": (WatchOptions,)} | _SHARED | {"Output": (WatchOutputOptions,)}
"""The sections of the help of ``dsi watch``: every option of ``dsi analyze``, and its own."""
