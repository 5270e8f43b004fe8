"""What an analysis refuses before anything is read."""

from __future__ import annotations

import pytest

from dsi_cli.analysis.options import Evaluation
from dsi_cli.errors import UsageError


@pytest.mark.parametrize(
    ("option", "values", "message"),
    [
        ("mean", (127.5, 127.5, 127.5), "--mean 127.5,127.5,127.5: give means in [0, 1]: 0.5,0.5,0.5"),
        ("mean", (123.675, 116.28, 103.53), "--mean 123.675,116.28,103.53: give means in [0, 1]: 0.485,0.456,0.406"),
        ("std", (58.395, 57.12, 57.375), "--std 58.395,57.12,57.375: give deviations in [0, 1]: 0.229,0.224,0.225"),
    ],
)
def test_evaluation_values_of_pixels_from_0_to_255_are_refused_with_those_meant(option, values, message):
    with pytest.raises(UsageError) as refused:
        Evaluation(test="data", **{option: values})
    assert str(refused.value) == message
