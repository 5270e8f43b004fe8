"""Whether TF32 is allowed while a model runs; what torch was told before stays told afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dsi_cli.inference.evaluator import Evaluator, Split

MATMUL, CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn


@pytest.fixture(autouse=True)
def _as_before():
    """Leave torch as it was."""
    before = MATMUL.allow_tf32, CUDNN.allow_tf32
    yield
    MATMUL.allow_tf32, CUDNN.allow_tf32 = before


class Seeing(nn.Linear):
    """A classifier that notes what is allowed while it runs."""

    def forward(self, images):
        self.seen = MATMUL.allow_tf32, CUDNN.allow_tf32
        return super().forward(images.flatten(1))


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_model_runs_without_tf32(is_allowed, recwarn):
    MATMUL.allow_tf32 = CUDNN.allow_tf32 = is_allowed
    model, images = Seeing(4, 2), np.ones((3, 1, 2, 2), dtype=np.uint8)
    split = Split(np.array([0, 1, 0]), lambda order, _size: iter([images[order]]), np.arange(3), [None] * 3)
    Evaluator(model).evaluate(split, 2, None)
    assert model.seen == (False, False)
    assert (MATMUL.allow_tf32, CUDNN.allow_tf32) == (is_allowed, is_allowed)
    assert not recwarn.list
