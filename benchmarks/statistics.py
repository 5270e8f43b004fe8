"""How often the intervals hold; ``DSI_SHARED=/path/to/shared make bench-statistics`` writes the table in ``docs/method.md``.

Classes are drawn without replacement from the 1,000 of a published ImageNet classifier. An interval is to hold the value of all
1,000 classes. All draws are seeded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import write
from dsi_cli import wordnet_csm
from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.jackknife import MEASURES
from dsi_cli.similarity.weights import weight_similarity

METHOD = Path(__file__).resolve().parent.parent / "docs" / "method.md"
HEAD = "data/heads/imagenet1k-efficientnet-lite0.npy"
SAMPLES = {20: 2000, 50: 2000, 100: 1000, 200: 1000}
"""How many samples are drawn of each number of classes."""
SEED = 20261
Matrix = NDArray[np.float32]


def main() -> int:
    """Measure the coverage, print the table and write it."""
    shared = os.environ.get("DSI_SHARED")
    if not shared:
        print("the ImageNet head is needed: DSI_SHARED=/path/to/shared python -m benchmarks.statistics")
        return 2
    network = weight_similarity(np.load(Path(shared) / HEAD))
    reference = wordnet_csm("imagenet1k").to_numpy(np.float32)
    lines = [
        "| classes | samples | measure | mean excess | sd | width over 1.96 sd | holds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += coverage(network, reference)
    text = "\n".join(lines)
    print(text)
    write(METHOD, text)
    return 0


def coverage(network: Matrix, reference: Matrix) -> Iterator[str]:
    """Yield a row of the table for each number of classes and measure."""
    truth = {name: one.excess for name, one in alignments(network, reference, MEASURES, permutations=0).items()}
    rng = np.random.default_rng(SEED)
    for classes, samples in SAMPLES.items():
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in MEASURES}
        for _ in range(samples):
            kept = np.ix_(*2 * [rng.choice(len(network), classes, replace=False)])
            for name, one in alignments(network[kept], reference[kept], MEASURES, permutations=0).items():
                assert one.excess is not None
                assert one.low is not None
                assert one.high is not None
                found[name].append((one.excess, one.low, one.high))
        for name in MEASURES:
            excess, low, high = np.array(found[name]).T
            holds = np.mean((low <= truth[name]) & (truth[name] <= high))
            width = float(np.mean(high - low) / 2 / (1.96 * excess.std()))
            yield (
                f"| {classes} | {samples:,} | {name} (all 1,000: {truth[name]:.3f}) | {excess.mean():.3f} | {excess.std():.3f} "
                f"| {width:.2f} | {100 * holds:.1f} % |"
            )


if __name__ == "__main__":
    raise SystemExit(main())
