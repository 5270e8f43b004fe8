"""Apply LoRA adapters, which change the weights of a base model by low-rank matrices.

PEFT stores an adapter as ``adapter_model.safetensors``. The file ``adapter_config.json`` in the same folder names the base model.
If all weights of the classifier head were trained, the adapter contains the head. Otherwise the head is that of the base model,
changed by the adapter to ``W + scale * B A`` (Hu et al. 2021, arXiv 2106.09685). dsi looks for the base model only on this machine.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.folders import MODEL_FILES
from dsi_cli.checkpoints.formats import CheckpointContent, open_content
from dsi_cli.errors import NoHeadError
from dsi_cli.remote.locations import Place

CONFIG_FILE = "adapter_config.json"
_PREFIX = "base_model.model."


def is_adapter(path: Place) -> bool:
    """Return whether a file is PEFT's adapter of a model, by its name and its configuration file."""
    return path.name.startswith("adapter_model.") and (path.parent / CONFIG_FILE).is_file()


def open_base_model(adapter: Place, config: Any, stack: ExitStack) -> CheckpointContent:
    """Return the content of an adapter's base model.

    Raise `NoHeadError` if the adapter does not name its base model (``no-base-model-name``), or it is not on this machine
    (``no-base-model``). Raise `CheckpointError` if the base model cannot be read.

    ``config`` holds the contents of ``adapter_config.json``. ``stack`` closes the file of the base model.
    """
    name = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(name, str) or not name or len(name) > 1024 or "\0" in name:
        raise NoHeadError(
            "no classifier in this adapter (LoRA), and it does not name its base model; keep the classifier with modules_to_save",
            code="no-base-model-name",
        )
    for folder in (adapter.parent / name, adapter.parent.parent / name):
        for file in MODEL_FILES:
            if not file.startswith("adapter_") and (folder / file).is_file():
                return open_content(folder / file, stack)[1]
    raise NoHeadError(
        f"no classifier in this adapter (LoRA), and its base model {name[:200]!r} is not here;"
        " put it next to the adapter, or merge the adapter (merge_and_unload in peft) before saving",
        code="no-base-model",
        base_model=name,
    )


def adapted_rows(rows: NDArray[np.float32], weight: str, adapter: CheckpointContent, config: Any) -> NDArray[np.float32]:
    """Return a weight of the base model with the adapter's change, if the adapter changes it.

    Raise `NoHeadError` if dsi cannot compute the change (DoRA, a rank for each layer), or the shapes do not fit.
    """
    layer = f"{_PREFIX}{weight.removesuffix('.weight')}"
    down, up = adapter.tree.get(f"{layer}.lora_A.weight"), adapter.tree.get(f"{layer}.lora_B.weight")
    if down is None or up is None:
        return rows
    scale = lora_scale(config, weight, down.shape[0])
    return apply_change(rows, adapter.read(up), adapter.read(down), scale)


def lora_scale(config: Any, weight: str, rank: int) -> float:
    """Return the factor of an adapter's matrix product, from the contents of ``adapter_config.json``.

    Raise `NoHeadError` if the configuration is missing (``no-adapter-config``), or has more than one factor for all layers
    (``unsupported-adapter``).
    """
    if not isinstance(config, dict):
        raise NoHeadError(
            f"{weight} is changed by LoRA, and the scale (lora_alpha) is not in this file; put adapter_config.json next to it,"
            " or merge the adapter (merge_and_unload in peft) before saving",
            code="no-adapter-config",
            head=weight,
        )
    alpha = config.get("lora_alpha")
    has_other_options = any(config.get(option) for option in ("use_dora", "alpha_pattern", "fan_in_fan_out"))
    if has_other_options or not isinstance(alpha, int | float) or not rank:
        message = f"the adapter changes {weight} in a way that dsi does not put together with its base model"
        raise NoHeadError(message, code="unsupported-adapter", head=weight)
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)


def apply_change(rows: NDArray[np.float32], up: NDArray[Any], down: NDArray[Any], scale: float) -> NDArray[np.float32]:
    """Return a weight ``(rows, features)`` plus ``scale * up @ down``; raise `NoHeadError` if the shapes do not fit."""
    up, down = up.astype(np.float32), down.astype(np.float32)
    if up.ndim != 2 or down.ndim != 2 or (up.shape[0], down.shape[1]) != rows.shape or up.shape[1] != down.shape[0]:
        message = f"the adapter's matrices {up.shape} and {down.shape} do not fit a weight of shape {rows.shape}"
        raise NoHeadError(message, code="misfit-adapter")
    merged: NDArray[np.float32] = rows + np.float32(scale) * (up @ down)
    return merged
