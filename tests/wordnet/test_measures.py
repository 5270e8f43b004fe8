"""The other similarities on small taxonomies with known answers; `test_nltk_values`
compares them with NLTK's.
"""

import numpy as np
import pytest
from helpers.errors import raises
from helpers.taxonomies import random_taxonomy
from numpy.testing import assert_allclose

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.similarity import measures
from dsi_cli.wordnet.similarity.measures import wup_similarity


@pytest.mark.parametrize("seed", range(4))
def test_wup_on_random_taxonomies_follows_the_rule(seed):
    rng = np.random.default_rng(seed)
    taxonomy = random_taxonomy(rng, 25)
    nodes = [int(node) for node in rng.integers(0, 25, 14)]
    assert_allclose(
        wup_similarity(nodes, taxonomy),
        [[slow_wup(taxonomy, a, b) for b in nodes] for a in nodes],
        rtol=0,
    )


def slow_wup(taxonomy, a, b):
    def ways(node):
        """Return the lengths of all ways up to each hypernym."""
        found = {node: {0}}
        for parent in taxonomy.parents_of(node):
            for above, lengths in ways(parent).items():
                found.setdefault(above, set()).update(length + 1 for length in lengths)
        return found

    def to_root(node):
        return [
            length
            for above, lengths in ways(node).items()
            if not taxonomy.parents_of(above)
            for length in lengths
        ]

    def distance(first, second):
        up, other = ways(first), ways(second)
        return min(min(up[v]) + min(other[v]) for v in up.keys() & other.keys())

    common = ways(a).keys() & ways(b).keys()
    if not common:
        return 0.0
    lowest = max(min(to_root(v)) for v in common)
    best = sorted(
        (v for v in common if min(to_root(v)) == lowest),
        key=lambda v: taxonomy.names[v],
    )
    chosen = a if a in best else best[0]
    depth = max(to_root(chosen)) + 1
    return 2.0 * depth / (distance(a, chosen) + distance(b, chosen) + 2 * depth)


def test_too_many_classes_are_refused(monkeypatch):
    monkeypatch.setattr(measures, "MAX_CLASSES", 3)
    with raises("too-many-classes-for-measure", UsageError, classes=4):
        wup_similarity([1, 2, 3, 4])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("wnver::x\n1740n 10\n", "ic-no-root"),
        ("wnver::x\n1740n ten ROOT\n", "ic-format"),
        ("wnver::x\n1740n 10 ROOT\n1741n 3\n", "ic-other-wordnet"),
        ("wnver::x\n1740n 10 ROOT\n2084071n 30\n", "ic-no-root"),
        ("wnver::x\n1740n -1 ROOT\n", "ic-count"),
        ("wnver::x\n1740n 1e5.3 ROOT\n", "ic-format"),
        ("wnver::x\n1740 10 ROOT\n", "ic-format"),
        ("wnver::x\n\n", "ic-format"),
        ("wnver::x\n1740n inf ROOT\n", "ic-count"),
        ("", "ic-no-root"),
    ],
)
def test_read_information_content_invalid_file_is_refused(tmp_path, text, code):
    path = tmp_path / "ic.dat"
    path.write_text(text)
    with raises(code, UsageError):
        measures.read_information_content(path, load_wordnet())


def test_read_information_content_unreadable_file_is_refused(tmp_path):
    with raises("ic-not-readable", UsageError, reason="No such file or directory"):
        measures.read_information_content(tmp_path / "nothing.dat", load_wordnet())
    (tmp_path / "binary.dat").write_bytes(b"\xff\xfe\x00")
    with raises("ic-not-readable", UsageError, reason="it is not text"):
        measures.read_information_content(tmp_path / "binary.dat", load_wordnet())
