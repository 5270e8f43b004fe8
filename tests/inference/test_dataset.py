"""What all sources share: locations of samples and the choice of a split."""

import numpy as np
import pytest

from dsi_cli.errors import UsageError
from dsi_cli.inference.dataset import Samples, pick_split


def _samples(names, targets):
    return Samples(
        "here",
        "0" * 12,
        names,
        np.array(targets),
        (None, "a.png", None),
        lambda _: None,
        True,
    )


def test_a_sample_without_a_file_is_called_by_its_number():
    assert [_samples(None, [0, 0, 0]).locate(number) for number in range(2)] == [
        "sample 0",
        "a.png",
    ]


def test_pick_split_without_the_split_raises():
    with pytest.raises(
        UsageError,
        match=(
            r"^data: expected a train split, found only test; name its folder or file$"
        ),
    ):
        pick_split(["test"], True, "data")
    with pytest.raises(
        UsageError, match=r"^data: expected a test split, found only train; name"
    ):
        pick_split(["train"], False, "data")
