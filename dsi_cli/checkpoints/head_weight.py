"""The effective weight of the classifier head, as rows of float32.

Trainers store some weights in parts: pruning keeps a mask, weight norm keeps directions and lengths, spectral norm keeps singular
vectors, LoRA keeps two thin matrices. The similarity of classes is that of the weight which the network uses, so the parts are
put together here, or the checkpoint is refused.

References: weight norm, Salimans and Kingma 2016 (arXiv 1602.07868); spectral norm, Miyato et al. 2018 (arXiv 1802.05957).
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import layers, lora
from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.head import Head
from dsi_cli.errors import NoHeadError, UnreadableError

_ROWS_AT_ONCE = 4096
"""Rows whose squares are in memory at a time."""


def head_rows(content: CheckpointContent, head: Head, adapter_config: Any = None) -> NDArray[np.float32]:
    """Return the effective weight of a head, ``(classes, features)`` in float32.

    Parameters
    ----------
    content : the opened checkpoint
    head : which tensors belong to the head
    adapter_config : the contents of ``adapter_config.json`` next to the checkpoint, which holds the scale of a LoRA adapter

    Raises
    ------
    CheckpointError
        A tensor cannot be read, or the parts do not fit together.
    """
    # Values that overflow or are not finite make the checkpoint unusable, with a reason; NumPy need not warn of them as well.
    with np.errstate(all="ignore"):
        return _effective(content, head, adapter_config)


def _effective(content: CheckpointContent, head: Head, adapter_config: Any) -> NDArray[np.float32]:
    """Return the effective weight, put together from its parts."""
    kind, parts = head.factors.kind, head.factors.tensors
    if kind == layers.WINDOW:
        return _summed_over_window(content, head)
    stored = stored_rows(content, head)
    if kind == layers.PRUNED:
        return _pruned(stored, content.read(parts["mask"]), head)
    if kind == layers.WEIGHT_NORM:
        return _weight_normed(stored, content.read(parts["lengths"]), head)
    if kind == layers.SPECTRAL_NORM:
        left, right = (content.read(parts[side]).astype(np.float32).reshape(-1) for side in ("left", "right"))
        return _spectrally_normed(stored, left, right, head)
    if kind == layers.LORA:
        change = lora.LoraChange(
            parts["up"], parts["down"], lora.lora_scale(adapter_config, head.name, parts["down"].shape[0])
        )
        return lora.apply_change(stored, change, content.read)
    return stored


def _summed_over_window(content: CheckpointContent, head: Head) -> NDArray[np.float32]:
    """Return the rows of a convolution before global average pooling, ``(classes, channels)``.

    The mean output of a class over all positions is the sum of its window times the mean of each channel, apart from the border.
    """
    height, width = head.tensor.shape[2:]
    content.notes.append(
        f"each row is the sum over the {height} x {width} window of a convolution, for global average pooling"
    )
    values = content.read(head.tensor).astype(np.float32)
    return np.ascontiguousarray(values.reshape(*values.shape[:2], -1).sum(axis=2))


def stored_rows(content: CheckpointContent, head: Head) -> NDArray[np.float32]:
    """Return the head's stored tensor as a contiguous float32 matrix with one row for each class."""
    values = content.read(head.tensor)
    with np.errstate(over="ignore"):
        found: NDArray[np.float32] = np.ascontiguousarray(values.reshape(values.shape[0], -1), dtype=np.float32)
    return found


def fingerprint(content: CheckpointContent, head: Head, effective: NDArray[np.float32]) -> str:
    """Return the SHA-256, in hex, of a head as (classes, features) little-endian float32.

    It is the effective weight that is hashed. Under spectral norm it is the stored one, since dividing by a single number changes
    no similarity and its last bits depend on the machine.
    """
    return weight_hash(stored_rows(content, head) if head.factors.kind == layers.SPECTRAL_NORM else effective)


def weight_hash(weight: NDArray[np.float32]) -> str:
    """Return the SHA-256, in hex, of a weight as little-endian float32."""
    return hashlib.sha256(np.ascontiguousarray(weight, dtype="<f4").data).hexdigest()


def _pruned(weight: NDArray[np.float32], mask: NDArray[Any], head: Head) -> NDArray[np.float32]:
    """Return a pruned weight (`torch.nn.utils.prune`): the stored one where the mask is 1, else 0."""
    if mask.size != weight.size or mask.shape[0] != weight.shape[0]:
        raise NoHeadError(
            f"{head.name} of shape {weight.shape} has a pruning mask of shape {mask.shape}, which does not fit it"
        )
    return weight * mask.reshape(weight.shape).astype(np.float32)


def _weight_normed(directions: NDArray[np.float32], lengths: NDArray[Any], head: Head) -> NDArray[np.float32]:
    """Return the weight ``g * v / |v|``, with the norm over each row, each column or the whole matrix, as ``g`` is shaped."""
    gain = lengths.astype(np.float32)
    if gain.size == 1:
        norm = np.float32(np.linalg.norm(directions.astype(np.float64)))
        whole: NDArray[np.float32] = directions * (gain.reshape(-1)[0] / norm if norm > 0 else np.float32(0))
        return whole
    by_row = gain.size == directions.shape[0] == gain.shape[0]
    if not by_row and gain.size != directions.shape[1]:
        raise UnreadableError(
            f"{head.name} has {len(directions)} rows, but the lengths of weight norm have shape {lengths.shape}"
        )
    if not by_row:
        norms: NDArray[np.float32] = np.linalg.norm(directions.astype(np.float64), axis=0).astype(np.float32)
        scale = np.divide(gain.reshape(-1), norms, out=np.zeros_like(norms), where=norms > 0)
        return np.multiply(directions, scale[None, :], out=directions)
    blocks = range(0, len(directions), _ROWS_AT_ONCE)
    norms = np.concatenate([_row_norms(directions[start : start + _ROWS_AT_ONCE]) for start in blocks])
    scale = np.divide(gain.reshape(-1), norms, out=np.zeros_like(norms), where=norms > 0)
    return np.multiply(directions, scale[:, None], out=directions)


def _row_norms(directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the norm of each row as torch computes it, in eight running sums, so that the composed weight is torch's own."""
    count, width = directions.shape
    padded = np.zeros((count, -(-width // 8) * 8), dtype=np.float32)
    padded[:, :width] = directions
    sums = np.square(padded).reshape(count, -1, 8).sum(axis=1)
    for half in (4, 2, 1):
        sums = sums[:, :half] + sums[:, half:]
    norms: NDArray[np.float32] = np.sqrt(sums[:, 0])
    return norms


def _spectrally_normed(
    weight: NDArray[np.float32], left: NDArray[np.float32], right: NDArray[np.float32], head: Head
) -> NDArray[np.float32]:
    """Return the weight divided by its largest singular value, which torch estimates as ``u W v``."""
    pairs = [(left, right), (right, left)]  # the norm may be taken over the columns
    fitting = [(u, v) for u, v in pairs if weight.shape == (len(u), len(v))]
    if not fitting:
        raise UnreadableError(
            f"{head.name} of shape {weight.shape} has singular vectors of {len(left)} and {len(right)} values"
        )
    exact = weight.astype(np.float64)
    largest = max(float(u.astype(np.float64) @ (exact @ v.astype(np.float64))) for u, v in fitting)
    if not largest:
        raise UnreadableError(f"{head.name} has a largest singular value of 0, so its spectral norm is not defined")
    return weight / np.float32(largest)
