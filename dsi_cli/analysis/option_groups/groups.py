"""The options of ``dsi analyze`` and ``dsi watch``, each declared once: one frozen
dataclass per group.

A field's name and default are those of the Python API. Its metadata hold the flag, the
placeholder and the help text (`dsi_cli.analysis.option_groups.declaration`). The
command line, ``docs/cli.md`` and the docstring of `dsi_cli.analyze` are made from this
module. `dsi_cli.Options` and `dsi_cli.Evaluation` inherit their fields from the groups.

To add an option: add a field here, and its type to
`dsi_cli.analysis.option_groups.keywords` unless the field belongs to
`dsi_cli.Evaluation`. A test compares the names.

The groups lack ``==`` and a ``repr``, and those that are only base classes lack
``__init__``, because each method that `dataclass` generates delays every ``--help``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dsi_cli.analysis.option_groups import text_values
from dsi_cli.analysis.option_groups.declaration import CACHE, DOWNLOAD, keyword, option
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

    checkpoints: tuple[str, ...] = option(
        "CHECKPOINTS",
        "Checkpoint files, folders, glob patterns, or URLs (s3://...).",
        default=(),
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class InputOptions:
    """The revisions, the epochs, the names, the classifier head and the training log to
    read.
    """

    revisions: str | None = option(
        "--revisions WHICH",
        "Revisions of a Hugging Face repository (hf://ORG/MODEL): commits, tags,"
        " branches, or a pattern ('step*').",
        choices=("commits", "tags", "branches"),
    )
    epochs: str | None = option(
        "--epochs FIRST:LAST:STEP",
        "Epochs to analyse, for example 0:200:5. LAST is included.",
    )
    names: str | None = option(
        "--names PATTERN",
        "How the files are named, for example 'm_{seed}_{epoch}.pt': {epoch}, {step},"
        " parts of the run's name, and {} for the rest.",
        is_kept=True,
    )
    head: str | None = option(
        "--head NAME",
        "Name of the head; dsi scan --why FILE lists the candidates.",
        is_kept=True,
    )
    ema: bool = option(
        "--ema/--no-ema",
        "Use averaged (EMA) weights instead of raw ones.",
        is_kept=True,
    )
    keep_extra_classes: bool = option(
        "--keep-extra-classes/--no-keep-extra-classes",
        "Keep the head's rows for no object or background.",
        is_kept=True,
    )
    log: str | None = option(
        "--log FILE",
        "Training log. By default the one next to the checkpoints.",
        url=DOWNLOAD,
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LabelOptions:
    """The labels of the classes and their senses."""

    labels: str | None = option(
        "--labels -l FILE",
        "Label file (txt, csv, tsv, json, yaml) or a preset, for example imagenet1k.",
        choices=preset_names,
        is_kept=True,
        url=DOWNLOAD,
    )
    mapping: str | None = option(
        "--map FILE",
        "CSV file with the sense of each label, as dsi labels --write-map writes it.",
        is_kept=True,
        url=DOWNLOAD,
    )
    pos: str = option(
        "--pos POS",
        "Part of speech of the labels: noun (default) or verb.",
        default="noun",
        choices=("noun", "verb"),
        is_kept=True,
    )
    wordnet: str | None = keyword(
        "Another WordNet installed for NLTK, such as wordnet31.", is_kept=True
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ComparisonOptions:
    """The references for the matrices, and the measures of the comparison."""

    references: tuple[str, ...] = option(
        "--reference REFERENCE",
        "What the networks are compared with: path (default), wup, lch, lin, res:FILE,"
        " lin:FILE, jcn:FILE, or your own matrix (.csv, .parquet, .npy). The first"
        " is the main one.",
        default=DEFAULT_REFERENCES,
        choices=("path", "wup", "lch", "lin", "res:", "lin:", "jcn:"),
        is_kept=True,
        url=DOWNLOAD,
    )
    taxonomy: str | None = option(
        "--taxonomy FILE",
        "Hierarchy that replaces WordNet: CSV of child,parent, or a JSON tree.",
        is_kept=True,
        url=DOWNLOAD,
    )
    classes: str | None = option(
        "--classes FILE",
        "Part of the classes to analyse: a label file with their names, a superclass, or"
        " a synset such as animal.n.01.",
        is_kept=True,
        url=DOWNLOAD,
    )
    clusters: str | None = option(
        "--clusters CHOICE",
        "Clusters of classes that intervals leave out together, for other superclasses"
        " instead of other classes: superclass, group, or a CSV file of"
        " name,superclass.",
        choices=("superclass", "group"),
        is_kept=True,
        url=DOWNLOAD,
    )
    centred: bool = keyword(
        "Also compute the NCSM without the mean weight row.", default=False
    )
    measures: tuple[str, ...] = option(
        "--measure NAME",
        f"SAI measure, instead of the default ones: {', '.join(MEASURES)}.",
        default=DEFAULT_MEASURES,
        choices=MEASURES,
    )
    quantiles: tuple[float, ...] = keyword(
        f"Quantile for the maximum and minimum WSI (default {WSI_QUANTILE:g}).",
        default=(WSI_QUANTILE,),
    )
    permutations: int | None = option(
        "--permutations NUMBER",
        "Random relabellings for chance levels that need them (default: 40 for ssim).",
    )
    draws: int | None = keyword(
        "A number above 0 adds the confidence interval of ssim."
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class PredictionOptions:
    """Predictions that were made elsewhere."""

    predictions: str | None = option(
        "--predictions FILE",
        "Stored predictions, scores or confusion matrices: Parquet, CSV, NPY or NPZ, or"
        " a folder with one file per epoch or run.",
        is_kept=True,
        url=DOWNLOAD,
    )
    targets: str | None = option(
        "--targets FILE",
        "The true classes, if the file of predictions lacks them.",
        url=DOWNLOAD,
    )
    truth: str = option(
        "--truth AXIS",
        "True classes of a confusion matrix: rows or columns.",
        default="rows",
        choices=TRUTH,
    )
    predictions_split: str = keyword(
        "Split of predictions whose file does not name it: test or train.",
        default="test",
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ModelOptions:
    """The labelled data, and the model that dsi runs on them."""

    test: str | None = option(
        "--test DATA",
        "Test data: a folder of class folders, a torchvision data set (CIFAR100), or"
        " file.py:function that returns a torch data set.",
        url=CACHE,
    )
    train: str | None = option(
        "--train DATA", "Training data, in the same forms as --test.", url=CACHE
    )
    data_root: str | None = option(
        "--data-root DIR", "Folder of torchvision's data sets."
    )
    download: bool = keyword(
        "Let torchvision download its data set into data_root.", default=False
    )
    model: str | None = option(
        "--model MODEL",
        "timm:NAME, torchvision:NAME, transformers:FOLDER or file.py:function. By"
        " default the model that the trainer recorded.",
    )
    model_arguments: tuple[tuple[str, Any], ...] = option(
        "--model-arg NAME=VALUE",
        "Argument for the function that builds the model.",
        default=(),
        parse=text_values.parse_arguments,
    )
    templates: bool = option(
        "--templates",
        "Also compute class templates from features: TNCSM and typicality.",
    )
    image_size: int | None = option(
        "--image-size PIXELS", "Side of the input, in pixels."
    )
    crop_pct: float | None = keyword(
        "Side of the crop, divided by the side that images are resized to."
    )
    interpolation: str | None = keyword(
        "Interpolation for resizing: nearest, bilinear, bicubic or lanczos.",
        choices=("nearest", "bilinear", "bicubic", "lanczos"),
    )
    mean: tuple[float, ...] | None = option(
        "--mean NUMBERS",
        "Mean per channel, in [0, 1]: 0.485,0.456,0.406.",
        parse=partial(text_values.parse_numbers, "--mean"),
    )
    std: tuple[float, ...] | None = option(
        "--std NUMBERS",
        "Standard deviation per channel, in [0, 1]: 0.229,0.224,0.225.",
        parse=partial(text_values.parse_numbers, "--std"),
    )
    channels: int | None = keyword("Channels of the input: 1 or 3.")
    skip_bad_images: bool = keyword(
        "Leave out images that cannot be decoded.", default=False
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class InferenceOptions:
    """The device and the memory for running the model. Only `autocast` may change
    predictions.
    """

    device: str = option(
        "--device DEVICE",
        "Device that runs the model: auto, cpu, cuda, cuda:1 or mps.",
        default="auto",
        choices=("auto", "cpu", "cuda", "mps"),
    )
    batch_size: int | None = option(
        "--batch-size NUMBER",
        "Images per batch.",
        parse=text_values.parse_batch_size,
        text_default="auto",
    )
    autocast: bool = keyword(
        "Compute in bfloat16; predictions close to a tie may change.", default=False
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EngineChoice:
    """The engine that runs the jobs."""

    engine: str = option(
        "--engine NAME",
        "What runs the jobs:"
        f" {'; '.join(f'{engine.name} ({engine.title})' for engine in ENGINES)}.",
        default=DEFAULT_ENGINE,
        choices=ENGINE_NAMES,
    )
    address: str | None = keyword(
        "Address of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT. By default the"
        " cluster of this process, or RAY_ADDRESS; otherwise dsi starts Ray."
    )
    gpus_per_task: float = keyword(
        "GPUs of a task that runs a model, for example 1 or 0.25.", default=0.0
    )


@dataclass(frozen=True, eq=False, repr=False, init=False)
class MemoryOptions:
    """The memory of the analysis."""

    memory: int | None = keyword(
        "Memory for comparing matrices, for example 4GB. By default half of what is"
        " free.",
        parse=partial(text_values.parse_size, "memory", least=1),
    )


@dataclass(frozen=True, eq=False, repr=False)
class OutputOptions:
    """The output folder, the trackers, and the printed output."""

    out: Path = option("--out -o DIR", "Output folder.", default=Path("dsi-out"))  # noqa: RUF009 (it returns a field)
    report: bool = option("--report/--no-report", "Write report.html.", default=True)
    log_to: tuple[str, ...] = option(
        "--log-to TRACKER",
        f"Also log the curves to a tracker: {', '.join(map(form, TRACKERS))}.",
        default=(),
    )
    json: bool = option(
        "--json", "Print one JSON document and nothing else.", is_terminal_only=True
    )
    quiet: bool = option(
        "--quiet -q", "Print no progress and no notes.", is_terminal_only=True
    )


@dataclass(frozen=True, eq=False, repr=False)
class WatchOutputOptions(OutputOptions):
    """The output options of ``dsi watch``."""

    json: bool = option(
        "--json",
        "Print a JSON document per update, and at the end that of dsi analyze --json.",
        is_terminal_only=True,
    )


@dataclass(frozen=True, eq=False, repr=False)
class WatchOptions:
    """The pace of ``dsi watch``, and the conditions for its end."""

    every: float = option(
        "--every TIME",
        "Time between two listings of the files: 10s, 1m.",
        default=10.0,
        parse=partial(text_values.parse_seconds, "--every"),
        text_default="10s",
        is_terminal_only=True,
    )
    until_epoch: int | None = option(
        "--until-epoch EPOCH",
        "End once every run has this epoch (the trainer's own number).",
        minimum=0,
        is_terminal_only=True,
    )
    idle: float | None = option(
        "--idle TIME",
        "End when nothing was new for this long: 90s, 30m, 2h.",
        parse=partial(text_values.parse_seconds, "--idle"),
        is_terminal_only=True,
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
WATCH: Sections = (
    {"Watching": (WatchOptions,)} | _SHARED | {"Output": (WatchOutputOptions,)}
)
"""The sections of the help of ``dsi watch``: every option of ``dsi analyze``, and its
own.
"""
