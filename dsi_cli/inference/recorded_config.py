"""What a trainer recorded of its model: the architecture's name, the image size, mean and deviation.

Metadata is not trusted: it gives plain numbers, and a name only where that is exactly one that the library lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dsi_cli.checkpoints import scan, trainers
from dsi_cli.checkpoints.discovery import CheckpointFile
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.remote.locations import Place

_HOLDERS = ("args", "hyper_parameters", "hparams", "config", "cfg")
_OF_IMAGES = re.compile(r"\w{1,60}(ForImageClassification(WithTeacher)?|Model)")
"""Hugging Face's names of networks with a classifier of images, or without one."""


def facts_of(file: CheckpointFile) -> dict[str, Any]:
    """Return the plain values that a checkpoint and the ``config.json`` of its run hold, by name; the checkpoint's own first."""
    parts = scan.read_metadata(file) or []
    merged: dict[str, Any] = {}
    for part in (*parts, json_beside(file.folder, "config.json")):
        if isinstance(part, Mapping):
            for holder in (part, *(part.get(name) for name in _HOLDERS)):
                if isinstance(holder, Mapping):
                    plain = {k: v for k, v in holder.items() if isinstance(k, str) and not isinstance(v, Mapping | None)}
                    merged = {**plain, **merged}
    return merged


def model_of(file: CheckpointFile, trainer: str | None, facts: Mapping[str, Any]) -> str | None:
    """Return the specification of the model that a trainer recorded, None where nothing certain is recorded."""
    folder = file.step_folder or file.folder
    architectures = json_beside(folder, "config.json").get("architectures")
    if isinstance(architectures, list) and any(map(_OF_IMAGES.fullmatch, map(str, architectures))):
        return f"transformers:{folder}"
    name = facts.get("model") if trainer == "torchvision" else facts.get("arch")
    if not isinstance(name, str):
        return None
    import timm
    from torchvision import models

    listed = {"torchvision": models.list_models(module=models), "timm": timm.list_models()}
    in_order = ("timm", "torchvision") if trainer == "timm" else ("torchvision", "timm")
    return next((f"{library}:{name}" for library in in_order if name in listed[library]), None)


def channels_of(tensors: Mapping[str, Tensor]) -> int | None:
    """Return the channels that a model takes: the width of its first two-dimensional convolution; None without one."""
    return next((tensor.shape[1] for tensor in tensors.values() if len(tensor.shape) == 4 and tensor.shape[2] > 1), None)


def json_beside(folder: Place, name: str) -> dict[str, Any]:
    """Return a JSON object in a folder; empty where there is none that can be read."""
    found = scan.find_sibling_json(CheckpointFile("", folder, folder / name, None, 0, 0), name)
    return trainers.plain_data(found) if isinstance(found, dict) else {}
