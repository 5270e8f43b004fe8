"""Fixtures of the checkpoint reader's tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.records import Record


@pytest.fixture
def state_dict() -> dict[str, torch.Tensor]:
    """Return a small convolutional classifier's weights: 5 classes, 7 features."""
    generator = torch.Generator().manual_seed(0)
    return {
        "conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "fc.weight": torch.randn(5, 7, generator=generator),
        "fc.bias": torch.randn(5, generator=generator),
    }


@pytest.fixture
def record_of() -> Callable[..., Record]:
    """Return the function that scans one file."""

    def scanned(path: Path, **choice: object) -> Record:
        return scan_checkpoint(require_file(path), HeadOptions(**choice)).record

    return scanned
