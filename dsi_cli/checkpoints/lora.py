"""LoRA adapters, which change the weights of a base model by low-rank matrices.

PEFT stores an adapter as ``adapter_model.safetensors`` with ``adapter_config.json`` next to it, which names the base model. If
the classifier head was trained as a whole, it is in the adapter and is found there as in any checkpoint. Otherwise it is the head
of the base model, plus the adapter's change if there is one: ``W + scale * B A`` (Hu et al. 2021, arXiv 2106.09685). dsi looks for
the base model on this machine only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent, open_content
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import NoHeadError
from dsi_cli.remote.locations import Place

BASE_MODEL_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)
"""The files of a base model, the best first."""
CONFIG_FILE = "adapter_config.json"
_PREFIX = "base_model.model."


class LoraChange(NamedTuple):
    """What an adapter adds to one layer's weight: ``scale * up @ down``."""

    up: Tensor
    down: Tensor
    scale: float


def is_adapter(path: Place) -> bool:
    """Return whether a file is PEFT's adapter of a model, by its name and what lies beside it."""
    return path.name.startswith("adapter_model.") and (path.parent / CONFIG_FILE).is_file()


def open_base_model(adapter: Place, config: Any, stack: ExitStack) -> CheckpointContent:
    """Return the content of the model that an adapter belongs to.

    Raises
    ------
    NoHeadError
        The adapter does not say which, or it is not on this machine.
    CheckpointError
        It cannot be read.
    """
    name = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(name, str) or not name or len(name) > 1024 or "\0" in name:
        raise NoHeadError(
            "no classifier in this adapter (LoRA), and it does not name its base model: keep the classifier with modules_to_save"
        )
    folders = [adapter.parent / name, adapter.parent.parent / name]
    found = next((folder / file for folder in folders for file in BASE_MODEL_FILES if (folder / file).is_file()), None)
    if found is None:
        raise NoHeadError(
            f"no classifier in this adapter (LoRA), and its base model {name[:200]!r} is not here:"
            " put it next to the adapter, or merge the adapter (merge_and_unload in peft) before saving"
        )
    return open_content(found, stack)[1]


def lora_change(tensors: dict[str, Tensor], weight: str, config: Any) -> LoraChange | None:
    """Return what an adapter adds to a weight of its base model; None if it leaves the weight as it is.

    Raises
    ------
    NoHeadError
        It changes the weight in a way that dsi does not put together (DoRA, a rank for each layer).
    """
    layer = f"{_PREFIX}{weight.removesuffix('.weight')}"
    down, up = (tensors.get(f"{layer}.lora_{side}.weight") for side in "AB")
    if down is None or up is None:
        return None
    return LoraChange(up, down, lora_scale(config, weight, down.shape[0]))


def lora_scale(config: Any, weight: str, rank: int) -> float:
    """Return the factor of an adapter's product of matrices, from the contents of ``adapter_config.json``.

    Raises
    ------
    NoHeadError
        The configuration is missing, or asks for something else than one factor for all layers.
    """
    if not isinstance(config, dict):
        raise NoHeadError(
            f"{weight} is changed by LoRA, and the scale (lora_alpha) is not in this file: put adapter_config.json next to it,"
            " or merge the adapter (merge_and_unload in peft) before saving"
        )
    alpha = config.get("lora_alpha")
    is_other = any(config.get(option) for option in ("use_dora", "alpha_pattern", "fan_in_fan_out"))
    if is_other or not isinstance(alpha, int | float) or not rank:
        raise NoHeadError(f"the adapter changes {weight} in a way that dsi does not put together with its base model")
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)


def apply_change(
    rows: NDArray[np.float32], change: LoraChange, read: Callable[[Tensor], NDArray[Any]]
) -> NDArray[np.float32]:
    """Return a weight ``(rows, features)`` with an adapter's change.

    Raises
    ------
    NoHeadError
        The shapes do not fit.
    """
    up, down = (read(one).astype(np.float32) for one in (change.up, change.down))
    if up.ndim != 2 or down.ndim != 2 or (up.shape[0], down.shape[1]) != rows.shape or up.shape[1] != down.shape[0]:
        raise NoHeadError(f"the adapter's matrices {up.shape} and {down.shape} do not fit a weight of shape {rows.shape}")
    merged: NDArray[np.float32] = rows + np.float32(change.scale) * (up @ down)
    return merged
