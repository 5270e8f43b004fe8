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
    # The scan reports weights that are not finite, so NumPy's warnings are not needed.
    with np.errstate(all="ignore"):
        match head.factors.kind:
            case layers.WINDOW:
                return _sum_over_window(content, head)
            case layers.PRUNED:
                return _apply_mask(head)
            case layers.WEIGHT_NORM:
                return _apply_weight_norm(head)
            case layers.SPECTRAL_NORM:
                return _apply_spectral_norm(head)
            case layers.LORA:
                parts = head.factors.tensors
                rows = stored_rows(head)
                up, down = parts["up"], parts["down"]
                return apply_lora(rows, up, down, adapter_config, head.name)
        return stored_rows(head)


def _sum_over_window(
    content: CheckpointContent, head: layers.Layer
) -> NDArray[np.float32]:
    """Return the rows of a convolution before global average pooling.

    Except for the border, the mean output of a class over all positions is the sum of
    its window times the mean of each channel.
    """
    size = " x ".join(map(str, head.tensor.shape[2:]))
    content.notes.append(
        f"each row is the sum over the {size} window of a convolution, for global"
        " average pooling"
    )
    values = head.tensor.read().astype(np.float32)
    summed = values.reshape(*values.shape[:2], -1).sum(axis=2)
    return np.ascontiguousarray(summed)


def _apply_mask(head: layers.Layer) -> NDArray[np.float32]:
    """Return a pruned weight times its mask."""
    stored = stored_rows(head)
    mask = head.factors.tensors["mask"].read()
    if mask.size != stored.size or mask.shape[0] != stored.shape[0]:
        raise NoHeadError(
            f"{head.name} of shape {stored.shape} has a pruning mask of shape"
            f" {mask.shape}, which does not fit it",
            code="misfit-mask",
            head=head.name,
        )
    is_of_torch = head.name.endswith("weight_orig")
    if not is_of_torch and not np.isin(mask, (0, 1)).all():
        raise NoHeadError(
            f"{head.name} has a mask with other values than 0 and 1, and the file does"
            " not contain its use",
            code="unusable-head",
            head=head.name,
            shape=stored.shape,
        )
    return stored * mask.reshape(stored.shape).astype(np.float32)


def _apply_spectral_norm(head: layers.Layer) -> NDArray[np.float32]:
    """Return a weight divided by its largest singular value, which torch estimates as
    ``u W v``. The stored matrix may be transposed.
    """
    stored = stored_rows(head)
    vectors = []
    for side in ("left", "right"):
        vector = head.factors.tensors[side].read()
        vectors.append(vector.astype(np.float32).reshape(-1).astype(np.float64))
    left, right = vectors
    weight = stored.astype(np.float64)
    values = []
    for u, v in ((left, right), (right, left)):
        if stored.shape == (len(u), len(v)):
            values.append(float(u @ (weight @ v)))
    if not values:
        raise UnreadableError(
            f"{head.name} of shape {stored.shape} has singular vectors of {len(left)}"
            f" and {len(right)} values",
            code="misfit-spectral-norm",
            head=head.name,
        )
    largest = max(values)
    if not largest:
        raise UnreadableError(
            f"{head.name} has a largest singular value of 0, so it cannot be divided by"
            " it",
            code="zero-singular-value",
            head=head.name,
        )
    return stored / np.float32(largest)


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


def _apply_weight_norm(head: layers.Layer) -> NDArray[np.float32]:
    """Return the weight ``g * v / |v|``. The shape of ``g`` decides whether the norm is
    that of a row, a column or the matrix.
    """
    directions = stored_rows(head)
    gain = head.factors.tensors["lengths"].read().astype(np.float32)
    rows, columns = directions.shape
    axis = 1
    if gain.size == 1:
        norms = np.array([np.linalg.norm(directions.astype(np.float64))])
    elif gain.size == rows == gain.shape[0]:
        blocks = range(0, rows, _ROWS_AT_ONCE)
        norms = np.concatenate(
            [_row_norms(directions[start : start + _ROWS_AT_ONCE]) for start in blocks]
        )
    elif gain.size == columns:
        axis = 0
        norms = np.linalg.norm(directions.astype(np.float64), axis=0)
    else:
        raise UnreadableError(
            f"{head.name} has {rows} rows, but the lengths of weight norm have shape"
            f" {gain.shape}",
            code="misfit-weight-norm",
            head=head.name,
        )
    norms = norms.astype(np.float32).reshape(-1)
    scale = np.zeros_like(norms)
    np.divide(gain.reshape(-1), norms, out=scale, where=norms > 0)
    return np.multiply(directions, np.expand_dims(scale, axis), out=directions)


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
    raise NoHeadError(
        f"no classifier in this adapter (LoRA), and its base model {name[:200]!r} is"
        " not here; put it next to the adapter, or merge the adapter (merge_and_unload"
        " in peft) before saving",
        code="no-base-model",
        base_model=name,
    )


def _base_model_name(config: Any) -> str:
    name = as_dict(config).get("base_model_name_or_path")
    if not isinstance(name, str) or not name or len(name) > 1024 or "\0" in name:
        raise NoHeadError(
            "no classifier in this adapter (LoRA), and it does not name its base model;"
            " keep the classifier with modules_to_save",
            code="no-base-model-name",
        )
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
        raise NoHeadError(
            f"{weight} is changed by LoRA, and the scale (lora_alpha) is not in this"
            " file; put adapter_config.json next to it, or merge the adapter"
            " (merge_and_unload in peft) before saving",
            code="no-adapter-config",
            head=weight,
        )
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
