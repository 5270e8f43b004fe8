"""Float32 that is float32: products on a GPU without TF32, which keeps 10 bits of a factor and turns predictions near a tie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Compute convolutions and matrix products of float32 as such within this; torch allows TF32 for the first by default."""
    backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    earlier = [(backend, *_setting(backend)) for backend in backends]
    for backend, name, _ in earlier:
        setattr(backend, name, False if name == "allow_tf32" else "ieee")
    try:
        yield
    finally:
        for backend, name, value in earlier:
            setattr(backend, name, value)


def _setting(backend: Any) -> tuple[str, Any]:
    """Return the name and value of what governs TF32: torch reads the old name only where nobody has set the new one."""
    try:
        return "allow_tf32", backend.allow_tf32
    except RuntimeError:
        return "fp32_precision", backend.fp32_precision
