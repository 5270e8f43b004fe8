"""A trainer's record of its model: the name of the architecture, the image size, mean and standard deviation.

Metadata is not trusted. Only plain numbers are used, and names that exactly match one in the library's list.
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
"""Hugging Face's names of networks with or without an image classifier."""


def recorded_facts(file: CheckpointFile) -> dict[str, Any]:
    """Return the plain values in a checkpoint and in the ``config.json`` of its run; the checkpoint has priority."""
    parts = scan.read_metadata(file) or []
    merged: dict[str, Any] = {}
    for part in (*parts, read_sibling_json(file.folder, "config.json")):
        if isinstance(part, Mapping):
            for holder in (part, *(part.get(name) for name in _HOLDERS)):
                if isinstance(holder, Mapping):
                    plain = {k: v for k, v in holder.items() if isinstance(k, str) and not isinstance(v, Mapping | None)}
                    merged = {**plain, **merged}
    return merged


def recorded_model(file: CheckpointFile, trainer: str | None, facts: Mapping[str, Any]) -> str | None:
    """Return the specification of the model that a trainer recorded, or None if it is not certain."""
    folder = file.step_folder or file.folder
    architectures = read_sibling_json(folder, "config.json").get("architectures")
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


def input_channels(tensors: Mapping[str, Tensor]) -> int | None:
    """Return the number of input channels of a model's first two-dimensional convolution; None without one."""
    return next((tensor.shape[1] for tensor in tensors.values() if len(tensor.shape) == 4 and tensor.shape[2] > 1), None)


def read_sibling_json(folder: Place, name: str) -> dict[str, Any]:
    """Return a JSON object in a folder; an empty one if it is missing or cannot be read."""
    value = scan.find_sibling_json(CheckpointFile("", folder, folder / name, None, 0, 0), name)
    return trainers.plain_data(value) if isinstance(value, dict) else {}
