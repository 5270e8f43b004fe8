"""Heads of independently trained networks are unrelated for ``dsi diff``, and two
epochs of one training are related.
"""

from itertools import combinations, product

import numpy as np

from dsi_cli import diff, read_head
from dsi_cli.metrics.head_geometry import correlation_z
from dsi_cli.metrics.permutation_null import MIN_Z


def test_correlation_of_seeds_is_chance_and_that_of_epochs_is_not(shared):
    folder = shared / "data" / "seeds"
    runs = [
        folder / f"{network}_seed{seed}"
        for network, seed in product(("mean", "attn"), range(12))
    ]
    first, last = (
        [read_head(run / f"epoch_{epoch:03}.pt") for run in runs] for epoch in (0, 15)
    )
    z = np.array([correlation_z(*pair) for pair in combinations(last, 2)])
    assert z.max() < MIN_Z
    assert abs(z.mean()) < 0.2
    assert 0.9 < z.std() < 1.1
    assert min(correlation_z(*pair) for pair in zip(first, last, strict=True)) > 30
    assert "independently trained" in diff(runs[0], runs[1]).reason_no_angles
