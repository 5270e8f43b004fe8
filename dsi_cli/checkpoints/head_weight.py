"""Compute the effective weight of the classifier head, with one float32 row per class.

Trainers store some weights in parts: pruning stores a mask, weight norm stores
directions and lengths, and spectral norm stores singular vectors. The similarity of
classes must be that of the weight which the network uses. So dsi computes it from the
parts, or refuses the checkpoint.

References: weight norm, Salimans and Kingma 2016 (arXiv 1602.07868); spectral norm,
Miyato et al. 2018 (arXiv 1802.05957).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import layers
from dsi_cli.checkpoints.tensors import FLOATS
from dsi_cli.errors import CheckpointError, NoHeadError, UnreadableError

_ROWS_AT_ONCE = 4096  # the number of rows whose squares are in memory at a time


def head_rows(head: layers.Layer) -> NDArray[np.float32]:
    """Return the effective weight of a head, ``(classes, features)`` in float32.

    Raise `CheckpointError` if a tensor cannot be read, or the parts do not fit
    together.
    """
    # The scan reports weights that are not finite, so NumPy's warnings are not needed.
    with np.errstate(all="ignore"):
        match head.factors.kind:
            case layers.PRUNED:
                return _apply_mask(head)
            case layers.WEIGHT_NORM:
                return _apply_weight_norm(head)
            case layers.SPECTRAL_NORM:
                return _apply_spectral_norm(head)
        return stored_rows(head)


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
