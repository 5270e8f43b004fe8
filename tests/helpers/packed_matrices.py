"""Decode packed matrices as the scripts of the report do."""

import base64
import zlib

import numpy as np


def unpack(text, levels):
    """Return the codes of a packed text."""
    planes = np.frombuffer(
        zlib.decompress(base64.b64decode(text)), dtype=np.uint8
    ).astype(np.uint16)
    if levels <= 255:
        return planes
    low, high = planes.reshape(2, -1)
    return low | high << 8


def decode(scale, codes):
    """Return the values of codes, NaN for 0."""
    return np.where(
        codes == 0, np.nan, scale.low + (codes.astype(float) - 1) * scale.step
    )
