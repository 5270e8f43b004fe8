"""Compute the effective weight of the classifier head, with one float32 row per class.

Trainers store some weights in parts: pruning stores a mask, weight norm stores
directions and lengths, spectral norm stores singular vectors, and LoRA stores two thin
matrices. The similarity of classes must be that of the weight which the network uses.
So dsi computes it from the parts, or refuses the checkpoint.

PEFT stores a LoRA adapter as ``adapter_model.safetensors``. The file
``adapter_config.json`` in the same folder names the base model. If all weights of the
classifier head were trained, the adapter contains the head. Otherwise the head is that
of the base model, changed by the adapter to ``W + scale * B A``. dsi looks for the base
model only on this machine.

References: LoRA, Hu et al. 2021 (arXiv 2106.09685); weight norm, Salimans and Kingma
2016 (arXiv 1602.07868); spectral norm, Miyato et al. 2018 (arXiv 1802.05957).
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import layers
from dsi_cli.checkpoints.file_access import is_inside
from dsi_cli.checkpoints.folders import MODEL_FILES
from dsi_cli.checkpoints.formats import CheckpointContent, OpenFiles, open_content
from dsi_cli.checkpoints.tensors import FLOATS, Tensor
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import CheckpointError, NoHeadError, UnreadableError
from dsi_cli.remote.locations import Place

_ROWS_AT_ONCE = 4096  # the number of rows whose squares are in memory at a time
CONFIG_FILE = "adapter_config.json"


def head_rows(
    content: CheckpointContent, head: layers.Layer, adapter_config: Any = None
) -> NDArray[np.float32]:
    """Return the effective weight of a head, ``(classes, features)`` in float32.

    ``adapter_config`` is the contents of ``adapter_config.json``, with the scale of a
    LoRA adapter. Raise `CheckpointError` if a tensor cannot be read, or the parts do
    not fit together.
    """
    kind, parts = head.factors.kind, head.factors.tensors
    # The scan reports weights that are not finite, so NumPy's warnings are not needed.
    with np.errstate(all="ignore"):
        if kind == layers.WINDOW:
            # A convolution before global average pooling. Except for the border, the
            # mean output of a class over all positions is the sum of its window times
            # the mean of each channel.
            size = " x ".join(map(str, head.tensor.shape[2:]))
            content.notes.append(
                f"each row is the sum over the {size} window of a convolution, for"
                " global average pooling"
            )
            values = head.tensor.read().astype(np.float32)
            return np.ascontiguousarray(
                values.reshape(*values.shape[:2], -1).sum(axis=2)
            )
        stored = stored_rows(head)
        if kind == layers.PRUNED:
            mask = parts["mask"].read()
            if mask.size != stored.size or mask.shape[0] != stored.shape[0]:
                message = (
                    f"{head.name} of shape {stored.shape} has a pruning mask of shape"
                    f" {mask.shape}"
                )
                raise NoHeadError(
                    f"{message}, which does not fit it",
                    code="misfit-mask",
                    head=head.name,
                )
            if (
                not head.name.endswith("weight_orig")
                and not np.isin(mask, (0, 1)).all()
            ):
                message = (
                    f"{head.name} has a mask with other values than 0 and 1, and the"
                    " file does not contain its use"
                )
                raise NoHeadError(
                    message, code="unusable-head", head=head.name, shape=stored.shape
                )
            return stored * mask.reshape(stored.shape).astype(np.float32)
        if kind == layers.WEIGHT_NORM:
            return _apply_weight_norm(stored, parts["lengths"].read(), head)
        if kind == layers.SPECTRAL_NORM:
            # Divide by the largest singular value, which torch estimates as ``u W v``.
            # The stored matrix may be transposed.
            left, right = (
                parts[side].read().astype(np.float32).reshape(-1)
                for side in ("left", "right")
            )
            fitting = [
                (u, v)
                for u, v in ((left, right), (right, left))
                if stored.shape == (len(u), len(v))
            ]
            if not fitting:
                message = (
                    f"{head.name} of shape {stored.shape} has singular vectors of"
                    f" {len(left)} and {len(right)} values"
                )
                raise UnreadableError(
                    message, code="misfit-spectral-norm", head=head.name
                )
            weight = stored.astype(np.float64)
            largest = max(
                float(u.astype(np.float64) @ (weight @ v.astype(np.float64)))
                for u, v in fitting
            )
            if not largest:
                message = (
                    f"{head.name} has a largest singular value of 0, so it cannot be"
                    " divided by it"
                )
                raise UnreadableError(
                    message, code="zero-singular-value", head=head.name
                )
            return stored / np.float32(largest)
        if kind == layers.LORA:
            return apply_lora(
                stored, parts["up"], parts["down"], adapter_config, head.name
            )
        return stored


def stored_rows(head: layers.Layer) -> NDArray[np.float32]:
    """Return the head's stored tensor as a contiguous float32 matrix with one row for
    each class.
    """
    values = head.tensor.read()
    with np.errstate(over="ignore"):
        rows: NDArray[np.float32] = np.ascontiguousarray(
            values.reshape(values.shape[0], -1), dtype=np.float32
        )
    return rows


def head_bias(head: layers.Layer, classes: int) -> NDArray[np.float32] | None:
    """Return the bias of a head, ``(classes,)`` float32; None if the file has not one
    value per class, or it cannot be read.
    """
    if (
        not head.bias
        or any(part.shape != (classes,) for part in head.bias)
        or head.bias[0].dtype not in FLOATS
    ):
        return None
    try:
        with np.errstate(all="ignore"):
            bias: NDArray[np.float32] = np.prod(
                [part.read().astype(np.float32) for part in head.bias], axis=0
            )
    except CheckpointError:
        return None
    return bias


def fingerprint(head: layers.Layer, effective: NDArray[np.float32]) -> str:
    """Return the SHA-256, in hex, of a head as (classes, features) little-endian
    float32.

    This is the hash of the effective weight. With spectral norm, it is the hash of the
    stored weight. Dividing by a single number does not change similarities, and the
    last bits of the quotient depend on the machine.
    """
    return weight_hash(
        stored_rows(head) if head.factors.kind == layers.SPECTRAL_NORM else effective
    )


def weight_hash(weight: NDArray[np.float32]) -> str:
    """Return the SHA-256, in hex, of a weight as little-endian float32."""
    return hashlib.sha256(np.ascontiguousarray(weight, dtype="<f4").data).hexdigest()


def _apply_weight_norm(
    directions: NDArray[np.float32], lengths: NDArray[Any], head: layers.Layer
) -> NDArray[np.float32]:
    """Return the weight ``g * v / |v|``. The shape of ``g`` decides whether the norm is
    that of a row, a column or the matrix.
    """
    gain = lengths.astype(np.float32)
    if gain.size == 1:
        norm = np.float32(np.linalg.norm(directions.astype(np.float64)))
        return directions * (gain.reshape(-1)[0] / norm if norm > 0 else np.float32(0))
    by_row = gain.size == directions.shape[0] == gain.shape[0]
    if by_row:
        blocks = range(0, len(directions), _ROWS_AT_ONCE)
        norms = np.concatenate(
            [_row_norms(directions[start : start + _ROWS_AT_ONCE]) for start in blocks]
        )
    elif gain.size == directions.shape[1]:
        norms = np.linalg.norm(directions.astype(np.float64), axis=0).astype(np.float32)
    else:
        message = (
            f"{head.name} has {len(directions)} rows, but the lengths of weight norm"
            f" have shape {lengths.shape}"
        )
        raise UnreadableError(message, code="misfit-weight-norm", head=head.name)
    scale = np.divide(
        gain.reshape(-1), norms, out=np.zeros_like(norms), where=norms > 0
    )
    return np.multiply(
        directions, np.expand_dims(scale, 1 if by_row else 0), out=directions
    )


def _row_norms(directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the norm of each row. Like torch, this uses eight running sums, so that
    the weight is equal to torch's.
    """
    count, width = directions.shape
    padded = np.zeros((count, -(-width // 8) * 8), dtype=np.float32)
    padded[:, :width] = directions
    sums = np.square(padded).reshape(count, -1, 8).sum(axis=1)
    for half in (4, 2, 1):
        sums = sums[:, :half] + sums[:, half:]
    return np.sqrt(sums[:, 0])


def open_base_model(
    adapter: Place, config: Any, files: OpenFiles, inputs: Sequence[Place] = ()
) -> CheckpointContent:
    """Return the content of an adapter's base model.

    Raise `NoHeadError` if the adapter does not name its base model
    (``no-base-model-name``), it is not on this machine (``no-base-model``), or it is
    neither near the adapter nor an input (``base-model-outside``). Raise
    `CheckpointError` if the base model cannot be read.

    Parameters
    ----------
    adapter : the file of the adapter.
    config : the contents of ``adapter_config.json``.
    files : closes the file of the base model.
    inputs : the folders that the user named; other folders than these and the two of
        the adapter are not searched.
    """
    name = _base_model_name(config)
    # On Windows, opening \\host\share would send the user's password hash to that host.
    is_on_network = name[0] in "\\/" and name[1:2] in ("\\", "/")
    near = (adapter.parent, adapter.parent.parent)
    found = [] if is_on_network else [folder / name for folder in near]
    allowed = [
        folder
        for folder in found
        if any(is_inside(folder, root) for root in (*near, *inputs))
    ]
    models = (
        folder / model
        for folder in allowed
        for model in MODEL_FILES
        if not model.startswith("adapter_")
    )
    base = next((model for model in models if model.is_file()), None)
    if base is not None:
        return open_content(base, files)
    if not allowed or any(folder.is_dir() for folder in found if folder not in allowed):
        raise _base_model_outside(adapter, name, is_on_network=is_on_network)
    message = (
        f"no classifier in this adapter (LoRA), and its base model {name[:200]!r} is"
        " not here; put it next to the "
    )
    message += "adapter, or merge the adapter (merge_and_unload in peft) before saving"
    raise NoHeadError(message, code="no-base-model", base_model=name)


def _base_model_name(config: Any) -> str:
    name = as_dict(config).get("base_model_name_or_path")
    if not isinstance(name, str) or not name or len(name) > 1024 or "\0" in name:
        message = (
            "no classifier in this adapter (LoRA), and it does not name its base model;"
            " keep the classifier with "
        )
        message += "modules_to_save"
        raise NoHeadError(message, code="no-base-model-name")
    return name


def _base_model_outside(
    adapter: Place, name: str, *, is_on_network: bool
) -> NoHeadError:
    message = (
        f"no classifier in this adapter (LoRA), and its base model {name[:200]!r} is"
        " outside its folder; copy it next "
    )
    message += "to the adapter"
    if not is_on_network:
        message += (
            ", or name it after the adapter:"
            f" {shlex.quote(os.path.normpath(adapter.parent / name)[:200])}"
        )
    return NoHeadError(message, code="base-model-outside", base_model=name)


def apply_lora(
    rows: NDArray[np.float32], up: Tensor, down: Tensor, config: Any, weight: str
) -> NDArray[np.float32]:
    """Return a weight ``(rows, features)`` plus ``scale * up @ down``; ``config`` has
    the scale (``adapter_config.json``).

    Raise `NoHeadError` if the configuration is missing (``no-adapter-config``), it has
    more than one factor for all layers (``unsupported-adapter``), or the shapes do not
    fit (``misfit-adapter``).
    """
    if not isinstance(config, dict):
        message = (
            f"{weight} is changed by LoRA, and the scale (lora_alpha) is not in this"
            " file; put adapter_config.json "
        )
        message += (
            "next to it, or merge the adapter (merge_and_unload in peft) before saving"
        )
        raise NoHeadError(message, code="no-adapter-config", head=weight)
    alpha, rank = config.get("lora_alpha"), down.shape[0]
    has_other_options = any(
        config.get(option) for option in ("use_dora", "alpha_pattern", "fan_in_fan_out")
    )
    if has_other_options or not isinstance(alpha, int | float) or not rank:
        message = (
            f"the adapter changes {weight} in a way that dsi does not put together with"
            " its base model"
        )
        raise NoHeadError(message, code="unsupported-adapter", head=weight)
    scale = float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)
    left, right = up.read().astype(np.float32), down.read().astype(np.float32)
    if (
        left.ndim != 2
        or right.ndim != 2
        or (len(left), right.shape[1]) != rows.shape
        or left.shape[1] != len(right)
    ):
        message = (
            f"the adapter's matrices {left.shape} and {right.shape} do not fit a weight"
            f" of shape {rows.shape}"
        )
        raise NoHeadError(message, code="misfit-adapter")
    return rows + np.float32(scale) * (left @ right)
