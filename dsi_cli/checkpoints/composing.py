"""The classifier's weight as rows of float32, put together where a checkpoint keeps it in parts, and its fingerprint."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import Content
from dsi_cli.checkpoints.head import Head
from dsi_cli.errors import UnreadableError

_ROWS_AT_ONCE = 4096
"""Rows whose squares are in memory at a time."""


def rows(content: Content, picked: Head) -> NDArray[np.float32]:
    """Return the head as (rows, features) float32; a weight-normed one composed of its directions and lengths.

    Raises
    ------
    CheckpointError
        It cannot be read.
    """
    values = content.read(picked.tensor)
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(values.reshape(values.shape[0], -1), dtype=np.float32)
    if picked.gain is None:
        return found
    gain = content.read(picked.gain).reshape(-1).astype(np.float32)
    if gain.shape != found.shape[:1]:
        raise UnreadableError(f"{picked.name} has {len(found)} rows, the lengths beside it {len(gain)}")
    length = np.concatenate([_lengths(found[at : at + _ROWS_AT_ONCE]) for at in range(0, len(found), _ROWS_AT_ONCE)])
    scale: NDArray[np.float32] = np.divide(gain, length, out=np.zeros_like(length), where=length > 0)
    return np.multiply(found, scale[:, None], out=found)


def _lengths(directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of each row as torch computes it, in eight running sums: so the composed weight is torch's own."""
    count, width = directions.shape
    padded = np.zeros((count, -(-width // 8) * 8), dtype=np.float32)
    padded[:, :width] = directions
    with np.errstate(over="ignore"):
        sums = np.square(padded).reshape(count, -1, 8).sum(axis=1)
        for half in (4, 2, 1):
            sums = sums[:, :half] + sums[:, half:]
    lengths: NDArray[np.float32] = np.sqrt(sums[:, 0])
    return lengths


def fingerprint(rows: NDArray[np.float32]) -> str:
    """Return the SHA-256, in hex, of a head as (rows, features) little-endian float32."""
    return hashlib.sha256(np.ascontiguousarray(rows, dtype="<f4").data).hexdigest()
