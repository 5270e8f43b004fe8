"""dsi's WordNet against NLTK's reader of WordNet 3.0: senses, parents, glosses and similarities, to the last bit."""

import zipfile

import numpy as np
import pytest
from helpers import oracles
from numpy.testing import assert_array_equal

import dsi_cli
from dsi_cli.labels.presets import load_preset
from dsi_cli.wordnet.database import lexicon, taxonomy
from dsi_cli.wordnet.database.taxonomy import load
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.disambiguation.resolve import resolve
from dsi_cli.wordnet.similarity import measures
from dsi_cli.wordnet.similarity.measures import (
    jcn_similarity,
    lin_similarity,
    res_similarity,
    wup_similarity,
)

VERBS = load_wordnet("verb")
SPECIAL = ["einstein.n.01", "entity.n.01", "dog.n.01", "puppy.n.01", "person.n.01", "paris.n.01", "domestic_animal.n.01"]
WORDS = [
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
] * 3


def sample_words():
    rng = np.random.default_rng(3)
    lemmas, irregular = sorted(lexicon.load().rows), sorted(lexicon.load().irregular)
    words = [lemmas[k] for k in rng.choice(len(lemmas), 150, replace=False)]
    plurals = [f"{word}s" for word in words[:50]] + ["boxes", "churches", "wolves", "berries", "firemen", "glasses"]
    return words + plurals + [irregular[k] for k in rng.choice(len(irregular), 100, replace=False)] + ["", "s", "zzzz"]


def test_senses_are_nltks_in_its_order(nltk_wordnet):
    for word in sample_words():
        expected = dict.fromkeys(synset.name() for synset in nltk_wordnet.synsets(word, "n"))
        assert [taxonomy.load().names[node] for node in lexicon.senses(word)] == list(expected), word


def test_base_forms_begin_with_nltks(nltk_wordnet):
    for word in sample_words():
        assert (lexicon.base_forms(word) or [None])[0] == nltk_wordnet.morphy(word, "n"), word


def synset(nltk_wordnet, node):
    return nltk_wordnet.synset_from_pos_and_offset("n", int(load().offsets[node]))


def pairs_of_nouns():
    """Return nouns, many of which have several parents or are instances, and 20,000 random pairs of them."""
    rng, graph = np.random.default_rng(11), load()
    several = np.flatnonzero(np.diff(graph.starts) > 1)
    nodes = np.concatenate([rng.choice(82115, 1300), rng.choice(several, 500), [graph.node(name) for name in SPECIAL]])
    special = [(place, 1800 + k) for k in range(len(SPECIAL)) for place in range(0, 1807, 13)]
    return nodes, [*rng.integers(0, len(nodes), (20_000, 2)), *special, *(pair[::-1] for pair in special)]


def pairs_of_verbs():
    """Return verbs, many of which are roots or have several hypernyms, and 21,000 pairs of them, more than 100 of two roots."""
    rng, graph = np.random.default_rng(5), VERBS.taxonomy
    count = np.diff(graph.starts)
    several = np.flatnonzero(count > 1)
    nodes = np.concatenate([rng.choice(len(count), 1200), several, rng.choice(np.flatnonzero(count == 0), 200)])
    place = {int(node): k for k, node in enumerate(nodes)}
    near = [(k, place[p]) for k, node in enumerate(nodes) for p in graph.parents_of(int(node)) if p in place]
    mixed = [(1200 + i, 1200 + j) for i in range(len(several)) for j in range(len(several))]
    same = [(k, k) for k in range(0, len(nodes), 20)]
    of = [*rng.integers(0, len(nodes), (20_000, 2)), *near, *(pair[::-1] for pair in near), *mixed, *same]
    is_root = count[nodes] == 0
    assert sum(is_root[i] and is_root[j] and nodes[i] != nodes[j] for i, j in of) > 100
    return nodes, of


@pytest.mark.parametrize("kind", ["path", "wup", "lch"])
@pytest.mark.parametrize(("graph", "pairs"), [(load(), pairs_of_nouns), (VERBS.taxonomy, pairs_of_verbs)], ids=["n", "v"])
def test_20000_random_pairs_equal_nltk_to_the_last_bit(nltk_wordnet, graph, pairs, kind):
    nodes, of = pairs()
    synsets = [nltk_wordnet.synset(graph.names[node]) for node in nodes]
    found = measures.BY_TAXONOMY[kind](nodes, graph)
    assert [found[i, j] for i, j in of] == [getattr(synsets[i], f"{kind}_similarity")(synsets[j]) for i, j in of]


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
    found = similarity(nodes, measures.read_information_content(information_file))
    synsets = [synset(nltk_wordnet, node) for node in nodes]
    for i, first in enumerate(synsets):
        for j, second in enumerate(synsets):
            if name == "lin_similarity" and i == j == words.index("entity.n.01"):
                assert np.isnan(found[i, j])  # NLTK divides by zero
            else:
                assert found[i, j] == getattr(first, name)(second, nltk_information), (first, second)


def test_the_reference_matrix_of_cifar100_is_nltks(shared):
    lines = (shared / "data" / "labels" / "cifar100.tsv").read_text(encoding="utf-8").splitlines()
    published = {name: synset for _, name, synset in (line.split("\t") for line in lines)}
    names = load_preset("cifar100").names
    assert [found.synset for found in resolve(names, load_preset("cifar100").wnids)] == [published[name] for name in names]
    expected = oracles.path_similarity_pairs([published[name] for name in names], shared / "wordnet" / "nltk_data")
    assert_array_equal(dsi_cli.wordnet_csm(list(names)).to_numpy(), expected)


def test_verbs_have_the_names_parents_and_glosses_of_nltk(nltk_wordnet):
    graph = VERBS.taxonomy
    assert len(graph.names) == 13_767
    for node in np.random.default_rng(2).choice(len(graph.names), 300, replace=False):
        synset = nltk_wordnet.synset(graph.names[node])
        assert synset.name() == graph.names[node]
        assert {graph.names[parent] for parent in graph.parents_of(int(node))} == {one.name() for one in synset.hypernyms()}
        assert (graph.depths[node], VERBS.definitions([node])) == (synset.max_depth(), [synset.definition()])


def test_senses_and_forms_of_verbs_are_nltks(nltk_wordnet):
    rng, words = np.random.default_rng(3), VERBS.words
    lemmas, irregular = sorted(words.rows), sorted(words.irregular)
    some = [lemmas[k] for k in rng.choice(len(lemmas), 80, replace=False)]
    forms = [
        form for word in some for form in (word, f"{word}s", f"{word}ed", f"{word}ing", f"{word[:-1]}ing", f"{word}es")
    ]
    for form in [*forms, *(irregular[k] for k in rng.choice(len(irregular), 150, replace=False)), "", "ing", "zzzz"]:
        expected = dict.fromkeys(synset.name() for synset in nltk_wordnet.synsets(form, "v"))
        assert [VERBS.taxonomy.names[node] for node in lexicon.senses(form, words)] == list(expected), form
        assert (lexicon.base_forms(form, words) or [None])[0] == nltk_wordnet.morphy(form, "v"), form


@pytest.fixture
def corpora(shared, tmp_path, monkeypatch):
    """Return an NLTK_DATA whose folder ``corpora`` holds the shared WordNet as the folder ``wordnet99``, two lines changed."""
    import nltk.data

    folder = tmp_path / "corpora"
    with zipfile.ZipFile(shared / "wordnet" / "nltk_data" / "corpora" / "wordnet.zip") as archive:
        archive.extractall(folder)
    (folder / "wordnet").rename(folder / "wordnet99")
    verbs = folder / "wordnet99" / "data.verb"
    verbs.write_text(verbs.read_text().replace("| move fast by using", "| move very fast by using"))
    with (folder / "wordnet99" / "verb.exc").open("a") as file:
        file.write("runnen run\n")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    return folder


def test_an_installed_wordnet_is_the_shipped_one_but_for_what_was_changed(corpora):
    load_wordnet.cache_clear()
    other = load_wordnet("verb", "wordnet99")
    assert (other.id, other.title) == ("wordnet99-verb", "wordnet99")
    shipped = VERBS.taxonomy
    for name in ("names", "depths", "starts", "parents"):
        assert_array_equal(getattr(other.taxonomy, name), getattr(shipped, name))
    assert set(np.unique(other.taxonomy.offsets - shipped.offsets)) <= {0, 18}  # see scripts/compile_wordnet.py
    assert {name: column.tolist() for name, column in other.kinds.items()} == {
        name: column.tolist() for name, column in VERBS.kinds.items()
    }
    for name in ("starts", "synsets"):
        assert_array_equal(getattr(other.words, name), getattr(VERBS.words, name))
    assert other.words.rows == VERBS.words.rows
    assert other.words.irregular == VERBS.words.irregular | {"runnen": ["run"]}
    everything = range(len(shipped.names))
    differing = [
        k
        for k, (a, b) in enumerate(zip(other.definitions(everything), VERBS.definitions(everything), strict=True))
        if a != b
    ]
    assert [shipped.names[k] for k in differing] == ["run.v.01"]
    (found,) = resolve(["runnen"], wordnet=other)
    assert found.definition.startswith("move very fast by using")
