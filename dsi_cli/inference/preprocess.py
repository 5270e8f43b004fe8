"""The preprocessing of images, and its sources: options, the checkpoint, files next to
it, and the library.

timm's evaluation transform resizes the shorter side and crops the centre, with 8-bit
values. Mean and standard deviation, for values in [0, 1], are applied to whole batches.
The image processor of a Hugging Face folder prepares images itself, unless an option
changes how.

The metadata of a checkpoint is not trusted. Only plain numbers are used, and names of
architectures that exactly match one in the library's list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import checkpoint_reader, trainers
from dsi_cli.checkpoints.discovery import CheckpointFile
from dsi_cli.checkpoints.file_access import read_json_or_none
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import UsageError, count, expected, suggestion
from dsi_cli.remote.locations import Place

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
PROCESSOR_FILE = "preprocessor_config.json"
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""The methods by Pillow's numbers, which Hugging Face's processors record."""
_HOLDERS = ("args", "hyper_parameters", "hparams", "config", "cfg", "pretrained_cfg")
_OF_IMAGES = re.compile(r"\w{1,60}(ForImageClassification(WithTeacher)?|Model)")
"""Hugging Face's names of networks with or without an image classifier."""


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of an image; a field is None if no source defines it."""

    # the height and width of the input; None for images of their original size
    size: tuple[int, int] | None = None
    # the input's size over that of the resized shorter side; 1 if None
    crop_pct: float | None = None
    # ``center``, or ``squash`` to resize both sides without a crop
    crop_mode: str | None = None
    interpolation: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: int | None = None
    # the Hugging Face folder whose image processor prepares images
    processor: str | None = None

    def with_defaults(self, defaults: Preprocessing) -> Preprocessing:
        """Return a copy with the values of ``defaults`` for missing fields."""
        values = {
            name: value for name, value in asdict(self).items() if value is not None
        }
        return replace(defaults, **values)

    def describe(self) -> str:
        """Return a description for messages."""
        if self.processor is not None:
            return f"as {self.processor}/{PROCESSOR_FILE} says"
        if self.size is None:
            size = "images as they are"
        else:
            crop = f"crop {self.crop_pct or 1.0:g}"
            if self.crop_mode == "squash":
                crop = "squashed"
            height, width = self.size
            size = f"{height}x{width} ({self.interpolation or 'bilinear'}, {crop})"
        mean, std = (
            " ".join(f"{value:.4g}" for value in values or ()) or "none"
            for values in (self.mean, self.std)
        )
        channels = count(self.channels or 3, "channel")
        return f"{size}, {channels}, mean {mean}, std {std}"

    def validated(self) -> Preprocessing:
        """Return a copy with mean and standard deviation for each channel.

        Raise `UsageError` if a number is out of range, or if the number of values is
        neither one nor that of the channels.
        """
        channels = self.channels or 3
        if channels not in _MODES:
            message = (
                f"images of {channels} channels cannot be made: expected"
                f" {', '.join(map(str, _MODES))}"
            )
            raise UsageError(message, code="channels", channels=channels)
        if self.interpolation not in (None, *INTERPOLATIONS):
            raise UsageError(
                f"interpolation {self.interpolation!r}: {expected(INTERPOLATIONS)}",
                hint=suggestion(self.interpolation, INTERPOLATIONS),
                code="interpolation",
                interpolation=self.interpolation,
            )
        if not all(map(isfinite, (*(self.mean or ()), *(self.std or ())))):
            raise UsageError(
                f"mean and std are numbers; {self.mean} and {self.std} are not",
                code="mean-or-std",
            )
        if not all(value > 0 for value in self.std or ()):
            raise UsageError(
                f"a standard deviation is above 0; {self.std} is not",
                code="mean-or-std",
            )
        if not all(1 <= side <= 8192 for side in self.size or ()):
            size = " x ".join(map(str, dict.fromkeys(self.size or ())))
            raise UsageError(
                f"--image-size {size}: expected 1 to 8,192 pixels", code="image-size"
            )
        if self.crop_pct is not None and not 0 < self.crop_pct <= 4:
            raise UsageError(
                f"crop_pct {self.crop_pct:g}: expected a number above 0, up to 4",
                code="crop-share",
            )
        return replace(
            self,
            mean=_each(self.mean, channels),
            std=_each(self.std, channels),
            channels=channels,
        )

    def average_channels(self) -> Preprocessing:
        """Return a copy in which the library's values for RGB models are averaged if
        images have one channel.
        """
        if self.channels != 1:
            return self
        mean, std = (
            None if values is None else (sum(values) / len(values),)
            for values in (self.mean, self.std)
        )
        return replace(self, mean=mean, std=std)

    def transform(self) -> Callable[[Image], NDArray[Any]]:
        """Return the function from an image to ``(channels, height, width)``: uint8, or
        normalised float32 from an image processor.
        """
        mode = _MODES[self.channels or 3]
        if self.processor is not None:
            return _processor_transform(self.processor)
        steps: list[Callable[[Any], Any]] = []
        if self.size is not None:
            from timm.data import create_transform  # type: ignore[attr-defined]

            evaluation_transform = create_transform(
                (self.channels or 3, *self.size),
                is_training=False,
                use_prefetcher=True,
                interpolation=self.interpolation or "bilinear",
                crop_pct=self.crop_pct or 1.0,
                crop_mode=self.crop_mode or "center",
            )
            # the last step returns a tensor
            steps = list(evaluation_transform.transforms[:-1])

        def transform(image: Image) -> NDArray[np.uint8]:
            image = _converted(image, mode)
            for step in steps:
                image = step(image)
            pixels = np.asarray(image)
            pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
            return np.ascontiguousarray(pixels, dtype=np.uint8)

        return transform


def _converted(image: Image, mode: str) -> Image:
    """Return an image in another colour mode; 16-bit grey values are scaled to 8 bits,
    because Pillow would clip them.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode != "I" or values.max(initial=0) > 255:
            from PIL.Image import fromarray

            scaled = values.clip(0, 65535) / 257
            image = fromarray(scaled.round().astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _processor_transform(folder: str) -> Callable[[Image], NDArray[np.float32]]:
    """Return the function from an image to what the image processor of a Hugging Face
    folder makes of it, ``(3, height, width)`` float32.
    """
    from transformers import AutoImageProcessor

    processor: Any = AutoImageProcessor.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )

    def transform(image: Image) -> NDArray[np.float32]:
        prepared = processor(_converted(image, "RGB"), return_tensors="np")
        return np.asarray(prepared["pixel_values"][0], dtype=np.float32)

    return transform


def _each(values: tuple[float, ...] | None, channels: int) -> tuple[float, ...] | None:
    """Return a value for each channel; a single value is repeated."""
    if values is None or len(values) == channels:
        return values
    if len(values) == 1:
        return values * channels
    message = f"{len(values)} values of mean or std for {count(channels, 'channel')}"
    raise UsageError(
        message,
        hint="give one value, or one per channel",
        code="channel-values",
        values=len(values),
        channels=channels,
    )


def recorded_preprocessing(facts: Mapping[str, Any]) -> Preprocessing:
    """Return a trainer's record under common names: arguments of timm's or
    torchvision's script, or a custom config.
    """
    sizes = (
        _size(facts.get(name))
        for name in ("val_crop_size", "input_size", "img_size", "image_size")
    )
    size = next(filter(None, sizes), None)
    crop = _number(facts.get("crop_pct"))
    resized = _number(facts.get("val_resize_size"))
    if crop is None and size is not None and resized:
        crop = min(size) / resized
    interpolation = facts.get("interpolation")
    if interpolation not in INTERPOLATIONS:
        interpolation = None
    mean, std = _values(facts.get("mean")), _values(facts.get("std"))
    # A number alone is not of images, but for example of initial weights.
    is_list = isinstance(facts.get("mean", facts.get("std")), list | tuple)
    if (mean is None or std is None) and not is_list:
        mean = std = None
    if max((0.0, *(mean or ()), *(std or ()))) > 1:  # for values from 0 to 255
        mean, std = _divided(mean, 255), _divided(std, 255)
    return Preprocessing(
        size,
        crop_pct=crop,
        crop_mode="squash" if facts.get("crop_mode") == "squash" else None,
        interpolation=interpolation,
        mean=mean,
        std=std,
    )


def _divided(values: tuple[float, ...] | None, by: int) -> tuple[float, ...] | None:
    return None if values is None else tuple(value / by for value in values)


def from_processor(folder: Path) -> Preprocessing:
    """Return the preprocessing of a Hugging Face folder: that of its image processor.

    The other fields are the plain values of its file. They count if an option changes
    one of them, since the processor then does not prepare the images.
    """
    facts = read_sibling_json(folder, PROCESSOR_FILE)
    if not facts:
        return Preprocessing()
    method = facts.get("resample")
    sizes = (_size(facts.get("crop_size")), _size(facts.get("size")))
    return Preprocessing(
        size=next(filter(None, sizes), None),
        interpolation=_RESAMPLING.get(method) if isinstance(method, int) else None,
        mean=_values(facts.get("image_mean")),
        std=_values(facts.get("image_std")),
        processor=str(folder),
    )


def _size(value: Any) -> tuple[int, int] | None:
    """Return height and width from a number, ``[side]``, ``[height, width]``,
    ``[channels, height, width]`` or a mapping.
    """
    if isinstance(value, Mapping):
        side = value.get("shortest_edge")
        value = [value.get("height", side), value.get("width", side)]
    if isinstance(value, list | tuple):
        value = value[-2:]
    numbers = _values(value)
    if numbers is None or min(numbers) < 1:
        return None
    return int(numbers[0]), int(numbers[-1])


def _values(value: Any) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        value = [value]
    numbers = [_number(number) for number in value]
    known = tuple(number for number in numbers if number is not None)
    return known if len(known) == len(numbers) and 1 <= len(known) <= 4 else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) else None


def recorded_facts(file: CheckpointFile) -> dict[str, Any]:
    """Return the plain values in a checkpoint and in the ``config.json`` of its run;
    the checkpoint has priority.
    """
    parts = checkpoint_reader.read_metadata(file) or []
    merged: dict[str, Any] = {}
    for part in (*parts, read_sibling_json(file.folder, "config.json")):
        if not isinstance(part, Mapping):
            continue
        for holder in (part, *(part.get(name) for name in _HOLDERS)):
            if not isinstance(holder, Mapping):
                continue
            for name, value in holder.items():
                is_plain = value is not None and not isinstance(value, Mapping)
                if isinstance(name, str) and is_plain:
                    merged.setdefault(name, value)
    return merged


def recorded_model(
    file: CheckpointFile, trainer: str | None, facts: Mapping[str, Any]
) -> str | None:
    """Return the specification of the model that a trainer recorded, or None if it is
    not certain.
    """
    folder = file.metadata_folder
    config = read_sibling_json(folder, "config.json")
    architectures = config.get("architectures")
    if isinstance(architectures, list) and any(
        map(_OF_IMAGES.fullmatch, map(str, architectures))
    ):
        return f"transformers:{folder}"
    if "pretrained_cfg" in config:  # timm's for Hugging Face's hub
        trainer, facts = "timm", {"arch": config.get("architecture")}
    name = facts.get("model") if trainer == "torchvision" else facts.get("arch")
    if not isinstance(name, str):
        return None
    import timm
    from torchvision import models

    listed = {
        "torchvision": models.list_models(module=models),
        "timm": timm.list_models(),
    }
    in_order = ("timm", "torchvision") if trainer == "timm" else ("torchvision", "timm")
    return next(
        (f"{library}:{name}" for library in in_order if name in listed[library]), None
    )


def input_channels(tensors: Mapping[str, Tensor]) -> int | None:
    """Return the number of input channels of a model's first two-dimensional
    convolution; None without one.

    A depthwise convolution may come first in the file. Its weights have one channel,
    too.
    """
    found = [
        tensor.shape[1]
        for tensor in tensors.values()
        if len(tensor.shape) == 4 and tensor.shape[2] > 1
    ]
    return 3 if found[:1] == [1] and 3 in found else next(iter(found), None)


def read_sibling_json(folder: Place, name: str) -> dict[str, Any]:
    """Return a JSON object in a folder; an empty one if it is missing or cannot be
    read.
    """
    value = read_json_or_none(folder / name)
    return trainers.plain_data(value) if isinstance(value, dict) else {}
