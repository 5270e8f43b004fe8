"""The classifier in ``examples/imagenet`` is the shared one in half precision."""

import numpy as np

from benchmarks import imagenet_faults
from dsi_cli import read_head, wordnet_csm
from dsi_cli.metrics.pair_residuals import fisher, pair_residuals
from dsi_cli.similarity import centred_weight_similarity

HEAD = "data/heads/imagenet1k-efficientnet-lite0.npy"


def test_head_of_the_examples_is_the_shared_one_rounded(shared):
    weight = np.load(shared / HEAD)
    kept = np.asarray(read_head(imagenet_faults.HEAD))
    assert np.array_equal(kept, weight.astype(np.float16).astype(kept.dtype))


def test_half_precision_keeps_the_order_of_the_first_200_pairs(shared):
    reference = wordnet_csm("imagenet1k").to_numpy(np.float64)
    order = []
    for weight in (np.load(shared / HEAD), read_head(imagenet_faults.HEAD)):
        residuals = pair_residuals(fisher(centred_weight_similarity(weight)), reference)
        ranks = imagenet_faults.pair_ranks(residuals)
        order.append(np.where(ranks <= 200, ranks, 0))
    assert np.array_equal(*order)
