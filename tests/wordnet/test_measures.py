"""The other similarities against NLTK, to the last bit, and on small taxonomies with known answers."""

from __future__ import annotations

from collections import Counter
from math import log

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from taxonomies import preset_nodes, random_taxonomy

from dsi_cli.errors import UsageError
from dsi_cli.labels.presets import load_preset
from dsi_cli.wordnet import information, measures
from dsi_cli.wordnet.measures import jcn_similarity, lch_similarity, lin_similarity, res_similarity, wup_similarity
from dsi_cli.wordnet.paths import path_similarity
from dsi_cli.wordnet.taxonomy import load

SPECIAL = ["einstein.n.01", "entity.n.01", "dog.n.01", "puppy.n.01", "person.n.01", "paris.n.01", "domestic_animal.n.01"]
WORDS = (
    "dog",
    "cat",
    "dog",
    "wolf",
    "bird",
    "tree",
    "rose",
    "oak",
    "car",
    "truck",
    "car",
    "person",
    "baby",
    "table",
    "fish",
) * 3
SIMILARITIES = (
    ("path_similarity", path_similarity),
    ("wup_similarity", wup_similarity),
    ("lch_similarity", lch_similarity),
)


def synset(nltk_wordnet, node):
    return nltk_wordnet.synset_from_pos_and_offset("n", int(load().offsets[node]))


def pairs_of_mixed_nouns():
    """Return nouns, many of which have several parents or are instances, and 20,000 random pairs of them."""
    rng, graph = np.random.default_rng(11), load()
    several = np.flatnonzero(np.diff(graph.starts) > 1)
    nodes = np.concatenate([rng.choice(82115, 1300), rng.choice(several, 500), [graph.node(name) for name in SPECIAL]])
    special = [(place, 1800 + k) for k in range(len(SPECIAL)) for place in range(0, 1807, 13)]
    return nodes, [*rng.integers(0, len(nodes), (20_000, 2)), *special, *(pair[::-1] for pair in special)]


@pytest.mark.parametrize(("name", "similarity"), SIMILARITIES)
def test_20000_random_pairs_equal_nltk_to_the_last_bit(nltk_wordnet, name, similarity):
    nodes, pairs = pairs_of_mixed_nouns()
    found = similarity(nodes)
    synsets = [synset(nltk_wordnet, node) for node in nodes]
    assert [found[i, j] for i, j in pairs] == [getattr(synsets[i], name)(synsets[j]) for i, j in pairs]


@pytest.mark.parametrize(("name", "similarity"), SIMILARITIES[1:])
def test_all_pairs_of_cifar100_equal_nltk_to_the_last_bit(nltk_wordnet, name, similarity):
    nodes = preset_nodes("cifar100")
    synsets = [synset(nltk_wordnet, node) for node in nodes]
    expected = [[getattr(first, name)(second) for second in synsets] for first in synsets]
    assert similarity(nodes).tolist() == expected


def test_wups_choice_among_equally_deep_hypernyms_is_nltks_both_ways(nltk_wordnet):
    """Pairs of a noun with several parents and one of its own hypernyms: where the rule depends on which comes first."""
    graph, rng = load(), np.random.default_rng(3)
    nodes = [int(node) for node in rng.choice(np.flatnonzero(np.diff(graph.starts) > 1), 300, replace=False)]
    nodes = list(dict.fromkeys([*nodes, *(parent for node in nodes for parent in graph.parents_of(node))]))
    found = wup_similarity(nodes)
    for node in nodes[:300]:
        for parent in graph.parents_of(node):
            i, j = nodes.index(node), nodes.index(parent)
            first, second = synset(nltk_wordnet, node), synset(nltk_wordnet, parent)
            assert (found[i, j], found[j, i]) == (first.wup_similarity(second), second.wup_similarity(first))


@pytest.fixture(scope="module")
def information_file(nltk_wordnet, tmp_path_factory):
    """Return an information content file of a small text, counted by NLTK, and what NLTK counted."""

    class Text:
        def words(self):
            return WORDS

    counted = nltk_wordnet.ic(Text(), weight_senses_equally=False, smoothing=0.0)
    path = tmp_path_factory.mktemp("ic") / "ic-small.dat"
    lines = ["wnver::small", f"1740n {counted['n'][0]!r} ROOT", "1740v 0.0 ROOT"]
    lines += [f"{offset}n {count!r}" for offset, count in counted["n"].items() if offset not in (0, 1740)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def nltk_information(information_file):
    """Return the file as NLTK reads it; its own way to open files keeps to NLTK_DATA."""
    from nltk.corpus.reader.wordnet import WordNetICCorpusReader

    class Reader(WordNetICCorpusReader):
        def __init__(self):
            pass

        def open(self, path):
            return path.open(encoding="utf-8")

    return Reader().ic(information_file)


@pytest.mark.parametrize(
    ("name", "similarity"),
    [("res_similarity", res_similarity), ("lin_similarity", lin_similarity), ("jcn_similarity", jcn_similarity)],
)
def test_measures_by_information_equal_nltk_to_the_last_bit(
    nltk_wordnet, information_file, nltk_information, name, similarity
):
    words = [f"{word}.n.01" for word in dict.fromkeys([*WORDS, "zebra", "unicorn", "animal", "entity", "object"])]
    nodes = [load().node(word) for word in words]
    found = similarity(nodes, information.read(information_file))
    synsets = [synset(nltk_wordnet, node) for node in nodes]
    for i, first in enumerate(synsets):
        for j, second in enumerate(synsets):
            if name == "lin_similarity" and i == j == words.index("entity.n.01"):
                assert np.isnan(found[i, j])  # NLTK divides by zero
            else:
                assert found[i, j] == getattr(first, name)(second, nltk_information), (first, second)


def test_information_is_minus_the_logarithm_of_the_share(information_file):
    found = information.read(information_file)
    dog, unicorn, entity = (load().node(f"{word}.n.01") for word in ("dog", "unicorn", "entity"))
    assert found.content(np.array([dog, unicorn, entity])).tolist() == [
        -log(found.counts[dog] / found.total),
        information.UNKNOWN,
        0.0,
    ]
    assert Counter(WORDS)["dog"] > 0


@pytest.mark.parametrize("seed", range(4))
def test_wup_on_random_taxonomies_follows_the_rule(seed):
    rng = np.random.default_rng(seed)
    taxonomy = random_taxonomy(rng, 25)
    nodes = [int(node) for node in rng.integers(0, 25, 14)]
    assert_allclose(wup_similarity(nodes, taxonomy), [[slow_wup(taxonomy, a, b) for b in nodes] for a in nodes], rtol=0)


def slow_wup(taxonomy, a, b):
    def ways(node):
        """Return the lengths of all ways up to each hypernym."""
        found = {node: {0}}
        for parent in taxonomy.parents_of(node):
            for above, lengths in ways(parent).items():
                found.setdefault(above, set()).update(length + 1 for length in lengths)
        return found

    def to_root(node):
        return [length for above, lengths in ways(node).items() if not taxonomy.parents_of(above) for length in lengths]

    def distance(first, second):
        up, other = ways(first), ways(second)
        return min(min(up[v]) + min(other[v]) for v in up.keys() & other.keys())

    common = ways(a).keys() & ways(b).keys()
    if not common:
        return 0.0
    lowest = max(min(to_root(v)) for v in common)
    best = sorted((v for v in common if min(to_root(v)) == lowest), key=lambda v: taxonomy.names[v])
    chosen = a if a in best else best[0]
    depth = max(to_root(chosen)) + 1
    return 2.0 * depth / (distance(a, chosen) + distance(b, chosen) + 2 * depth)


def test_the_order_of_the_classes_moves_the_values_with_them():
    nodes = preset_nodes("cifar100")
    order = np.random.default_rng(0).permutation(100)
    for _, similarity in SIMILARITIES:
        assert_array_equal(similarity(nodes[order]), similarity(nodes)[np.ix_(order, order)])


def test_presets_wup_is_between_0_and_1():
    nodes = [load().node(wnid) for wnid in load_preset("imagenet1k").wnids]
    found = wup_similarity(nodes)
    assert ((found > 0) & (found <= 1)).all()


def test_too_many_classes_are_refused(monkeypatch):
    monkeypatch.setattr(measures, "MOST", 3)
    with pytest.raises(UsageError, match="the measures beside path take 3 classes or fewer, found 4: use path"):
        wup_similarity([1, 2, 3, 4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wnver::x\n1740n 10\n", "expected a line ROOT for nouns"),
        ("wnver::x\n1740n ten ROOT\n", "line 2: expected an information content file of NLTK"),
        ("wnver::x\n1740n 10 ROOT\n1741n 3\n", "line 3: no noun of WordNet 3.0 has that id; it is of another version"),
        ("wnver::x\n1740n 10 ROOT\n2084071n 30\n", "expected a line ROOT for nouns with the largest count"),
        ("wnver::x\n1740n -1 ROOT\n", "line 2: expected an information content file"),
        ("wnver::x\n1740n 1e5.3 ROOT\n", "line 2: expected an information content file"),
        ("", "expected a line ROOT"),
    ],
)
def test_a_file_that_is_no_information_content_is_refused(tmp_path, text, message):
    path = tmp_path / "ic.dat"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        information.read(path)


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        information.read(tmp_path / "nothing.dat")
    (tmp_path / "binary.dat").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read: it is no text"):
        information.read(tmp_path / "binary.dat")
