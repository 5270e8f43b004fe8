"""Full float32 precision on GPUs without TF32, which keeps only 10 bits of a factor and changes predictions near a tie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 convolutions and matrix products without TF32; by default, torch uses TF32 for convolutions."""
    backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    earlier: list[tuple[Any, str, Any]] = []
    for backend in backends:
        try:
            earlier.append((backend, "allow_tf32", backend.allow_tf32))
        except RuntimeError:  # torch refuses to read the old name after the new one was set
            earlier.append((backend, "fp32_precision", backend.fp32_precision))
    for backend, name, _ in earlier:
        setattr(backend, name, False if name == "allow_tf32" else "ieee")
    try:
        yield
    finally:
        for backend, name, value in earlier:
            setattr(backend, name, value)
