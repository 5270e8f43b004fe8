"""The known faults of ImageNet, the classifier in ``examples/imagenet``, and the page
about them.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import imagenet_faults
from dsi_cli import read_head
from dsi_cli.labels.presets import load_preset

ROOT = Path(__file__).resolve().parents[1]
KINDS = {"near synonyms", "special case", "part", "together", "mixed images"}


@pytest.fixture(scope="module")
def faults():
    return imagenet_faults.load_faults()


def test_faults_of_imagenet_name_the_classes_of_the_preset(faults):
    names = load_preset("imagenet1k").names
    for one in faults:
        assert one.names == tuple(names[index] for index in one.pair), one.pair


def test_faults_of_imagenet_are_different_pairs_with_a_source(faults):
    pairs = [one.pair for one in faults]
    assert len(set(pairs)) == len(pairs) >= 30
    assert all(first < second for first, second in pairs)
    assert {one.kind for one in faults} == KINDS
    for one in faults:
        assert one.known.endswith("."), one.pair
        assert re.search(r"\b20\d\d\b", one.source), one.pair
        assert one.url.startswith("https://"), one.pair
        assert 0 <= one.both <= one.either, one.pair


def test_faults_of_imagenet_hold_what_a_quarter_of_relabelled_images_share(faults):
    for one in faults:
        is_shared = 4 * one.both >= one.either
        assert ("Beyer et al. 2020" in one.source) == is_shared, one.pair


def test_pair_ranks_count_from_the_largest_value():
    values = np.array([[0, 3, 1], [3, 0, 2], [1, 2, 0]], dtype=float)
    ranks = imagenet_faults.pair_ranks(values)
    assert ranks.tolist() == [[0, 1, 3], [0, 0, 2], [0, 0, 0]]


def test_head_of_imagenet_ranks_the_four_best_known_pairs_among_the_first_60():
    weight = read_head(imagenet_faults.HEAD)
    assert weight.shape == (1000, 1280)
    similarity, reference = imagenet_faults.similarity_and_reference()
    residuals = imagenet_faults.pair_residuals(similarity, reference)
    ranks = imagenet_faults.pair_ranks(residuals)
    assert all(ranks[pair] <= 60 for pair in imagenet_faults.FAMOUS)
