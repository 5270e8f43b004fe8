"""The options of ``dsi analyze`` that say where a network's answers on labelled data come from, and how their text is read."""

from __future__ import annotations

import ast
import re
from typing import Annotated, Any

import typer

from dsi_cli.cli.completion import of
from dsi_cli.errors import UsageError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

Predictions = Annotated[
    str | None,
    typer.Option(
        "--predictions",
        help="Predictions made elsewhere: Parquet or CSV (columns epoch, target, prediction), NPY or NPZ (predictions of"
        " epochs x samples, or confusion matrices of epochs x C x C), or a folder with one file per epoch.",
    ),
]
Targets = Annotated[
    str | None, typer.Option("--targets", help="The truth of each sample, where the predictions' file lacks it.")
]
Truth = Annotated[
    str,
    typer.Option(
        "--truth",
        help="Axis of a confusion matrix that is the truth: rows or columns.",
        autocompletion=of(("rows", "columns")),
    ),
]
PredictionsSplit = Annotated[
    str,
    typer.Option(
        "--predictions-split", help="test or train: what the predictions are of.", autocompletion=of(("test", "train"))
    ),
]
Test = Annotated[
    str | None,
    typer.Option(
        "--test",
        help="Test data to run the model on: folder of class folders, Parquet or tar shards, a saved data set of Hugging"
        " Face's library, a torchvision dataset (CIFAR100, with --data-root), file.py:function or module:function.",
    ),
]
Train = Annotated[str | None, typer.Option("--train", help="Training data, in the same ways.")]
DataRoot = Annotated[str | None, typer.Option("--data-root", help="Where torchvision's dataset lies.")]
Download = Annotated[bool, typer.Option("--download", help="Let torchvision fetch its dataset into --data-root.")]
LabelColumn = Annotated[
    str | None, typer.Option("--label-column", help="Label column of Parquet files or of a saved data set.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="timm:NAME, torchvision:NAME, transformers:FOLDER, file.py:function, module:function, or torchscript:FILE"
        " (which runs the file's code); by default what the checkpoints' trainer recorded.",
    ),
]
ModelArg = Annotated[list[str] | None, typer.Option("--model-arg", help="NAME=VALUE for the model's function, repeatable.")]
Templates = Annotated[bool, typer.Option("--templates", help="Also class templates from features: TNCSM and typicality.")]
ImageSize = Annotated[int | None, typer.Option("--image-size", help="Side of the model's input, pixels.")]
CropPct = Annotated[float | None, typer.Option("--crop-pct", help="Input's side over that which images are resized to.")]
Interpolation = Annotated[
    str | None,
    typer.Option(
        "--interpolation",
        help="nearest, bilinear, bicubic or lanczos.",
        autocompletion=of(("nearest", "bilinear", "bicubic", "lanczos")),
    ),
]
Mean = Annotated[str | None, typer.Option("--mean", help="Of images in [0, 1], one a channel: 0.485,0.456,0.406.")]
Std = Annotated[str | None, typer.Option("--std", help="Standard deviation, in the same way.")]
Channels = Annotated[int | None, typer.Option("--channels", help="Of the model's input: 1 or 3.")]
SkipBadImages = Annotated[bool, typer.Option("--skip-bad-images", help="Leave out images that cannot be decoded.")]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:1 or mps: where the model runs.",
        autocompletion=of(("auto", "cpu", "cuda", "mps")),
    ),
]
BatchSize = Annotated[str, typer.Option("--batch-size", help="Images at once; auto shrinks where memory is short.")]
Autocast = Annotated[
    bool, typer.Option("--autocast", help="Compute in bfloat16: faster on some devices; near ties may fall otherwise.")
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache", help="Room for decoded images, e.g. 8GB; 0 decodes anew each time; by default half of what is free."
    ),
]

Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help="Memory for comparing matrices, such as 4GB. Default: half of what is free. Measures that need more are null.",
    ),
]


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Return the numbers of ``0.485,0.456,0.406``; `UsageError` where they are none."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise UsageError(f"{option} wants numbers, for example 0.485,0.456,0.406; {text!r} is none") from None


def memory(text: str | None) -> int | None:
    """Return the bytes that ``--memory`` gives; `UsageError` where it gives none."""
    found = size(text, "--memory", "4GB or 500MB")
    if found == 0:
        raise UsageError(f"--memory wants a size above 0, for example 4GB or 500MB; {text!r} is none")
    return found


def size(text: str | None, option: str = "--cache", example: str = "8GB or 0") -> int | None:
    """Return bytes.

    >>> size("8GB"), size("0"), size("1.5g")
    (8000000000, 0, 1500000000)
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if found is None:
        raise UsageError(f"{option} wants a size, for example {example}; {text!r} is none")
    return int(float(found[1]) * _UNITS[found[2]])


def batch(text: str) -> int | None:
    """Return the batch size, None for ``auto``."""
    if text == "auto":
        return None
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"--batch-size takes a number or auto; {text!r} is neither")
    return int(text)


def arguments(texts: list[str] | None) -> tuple[tuple[str, Any], ...]:
    """Return ``name=value`` pairs; a value is a Python literal where it reads as one, else text.

    >>> arguments(["arch=tinycnn", "depth=4"])
    (('arch', 'tinycnn'), ('depth', 4))
    """
    found = []
    for text in texts or ():
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier():
            raise UsageError(f"--model-arg wants NAME=VALUE; {text!r} is not of that form")
        try:
            found.append((name, ast.literal_eval(value)))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found.append((name, value))
    return tuple(found)
