"""dsi's WordNet against NLTK's reader of WordNet 3.0: senses, parents, glosses and
similarities, to the last bit.
"""

import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import dsi_cli
from dsi_cli.labels.presets import load_preset
from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.taxonomy import load
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.disambiguation.resolve import resolve
from dsi_cli.wordnet.similarity import measures
from dsi_cli.wordnet.similarity.measures import wup_similarity

VERBS = load_wordnet("verb")
SPECIAL = [
    "einstein.n.01",
    "entity.n.01",
    "dog.n.01",
    "puppy.n.01",
    "person.n.01",
    "paris.n.01",
    "domestic_animal.n.01",
]


FORMS = {"noun": ("{}", "{}s", "{}es"), "verb": ("{}", "{}s", "{}es", "{}ed", "{}ing")}


@pytest.mark.parametrize("part", FORMS)
def test_senses_and_base_forms_are_nltks_in_its_order(part, nltk_wordnet):
    wordnet, rng = load_wordnet(part), np.random.default_rng(3)
    lemmas, irregular = sorted(wordnet.words.rows), sorted(wordnet.words.irregular)
    words = rng.choice(lemmas, 120, replace=False).tolist()
    forms = [form.format(word) for word in words for form in FORMS[part]] + [
        f"{word[:-1]}ing" for word in words
    ]
    forms += [
        "boxes",
        "churches",
        "wolves",
        "berries",
        "firemen",
        "glasses",
        "",
        "s",
        "ing",
        "zzzz",
    ]
    for form in [*forms, *rng.choice(irregular, 150, replace=False).tolist()]:
        expected = dict.fromkeys(
            synset.name() for synset in nltk_wordnet.synsets(form, part[0])
        )
        nodes = [
            node
            for lemma in lexicon.base_forms(form, wordnet.words)
            for node in wordnet.words.senses(lemma)
        ]
        assert [wordnet.taxonomy.names[node] for node in dict.fromkeys(nodes)] == list(
            expected
        ), form
        assert (lexicon.base_forms(form, wordnet.words) or [None])[
            0
        ] == nltk_wordnet.morphy(form, part[0]), form


def pairs_of_nouns():
    """Return nouns, many of which have several parents or are instances, and 20,000
    random pairs of them.
    """
    rng, graph = np.random.default_rng(11), load()
    several = np.flatnonzero(np.diff(graph.starts) > 1)
    nodes = np.concatenate(
        [
            rng.choice(82115, 1300),
            rng.choice(several, 500),
            [graph.node(name) for name in SPECIAL],
        ]
    )
    special = [
        (place, 1800 + k) for k in range(len(SPECIAL)) for place in range(0, 1807, 13)
    ]
    return nodes, [
        *rng.integers(0, len(nodes), (20_000, 2)),
        *special,
        *(pair[::-1] for pair in special),
    ]


def pairs_of_verbs():
    """Return verbs, many of which are roots or have several hypernyms, and 21,000 pairs
    of them, more than 100 of two roots.
    """
    rng, graph = np.random.default_rng(5), VERBS.taxonomy
    count = np.diff(graph.starts)
    several = np.flatnonzero(count > 1)
    nodes = np.concatenate(
        [
            rng.choice(len(count), 1200),
            several,
            rng.choice(np.flatnonzero(count == 0), 200),
        ]
    )
    place = {int(node): k for k, node in enumerate(nodes)}
    near = [
        (k, place[p])
        for k, node in enumerate(nodes)
        for p in graph.parents_of(int(node))
        if p in place
    ]
    mixed = [
        (1200 + i, 1200 + j) for i in range(len(several)) for j in range(len(several))
    ]
    same = [(k, k) for k in range(0, len(nodes), 20)]
    of = [
        *rng.integers(0, len(nodes), (20_000, 2)),
        *near,
        *(pair[::-1] for pair in near),
        *mixed,
        *same,
    ]
    is_root = count[nodes] == 0
    assert sum(is_root[i] and is_root[j] and nodes[i] != nodes[j] for i, j in of) > 100
    return nodes, of


@pytest.mark.parametrize("kind", ["path", "wup", "lch"])
@pytest.mark.parametrize(
    ("graph", "pairs"),
    [(load(), pairs_of_nouns), (VERBS.taxonomy, pairs_of_verbs)],
    ids=["n", "v"],
)
def test_20000_random_pairs_equal_nltk_to_the_last_bit(
    nltk_wordnet, graph, pairs, kind
):
    nodes, of = pairs()
    synsets = [nltk_wordnet.synset(graph.names[node]) for node in nodes]
    found = measures.BY_TAXONOMY[kind](nodes, graph)
    assert [found[i, j] for i, j in of] == [
        getattr(synsets[i], f"{kind}_similarity")(synsets[j]) for i, j in of
    ]


def test_wups_choice_among_equally_deep_hypernyms_is_nltks_both_ways(nltk_wordnet):
    """Pairs of a noun with several parents and one of its own hypernyms: where the rule
    depends on which comes first.
    """
    graph, rng = load(), np.random.default_rng(3)
    nodes = [
        int(node)
        for node in rng.choice(
            np.flatnonzero(np.diff(graph.starts) > 1), 300, replace=False
        )
    ]
    nodes = list(
        dict.fromkeys(
            [*nodes, *(parent for node in nodes for parent in graph.parents_of(node))]
        )
    )
    found = wup_similarity(nodes)
    for node in nodes[:300]:
        for parent in graph.parents_of(node):
            i, j = nodes.index(node), nodes.index(parent)
            first, second = (
                nltk_wordnet.synset(graph.names[one]) for one in (node, parent)
            )
            assert (found[i, j], found[j, i]) == (
                first.wup_similarity(second),
                second.wup_similarity(first),
            )


def test_the_reference_matrix_of_cifar100_is_nltks(shared, nltk_wordnet):
    lines = (
        (shared / "data" / "labels" / "cifar100.tsv")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    published = {
        name: synset for _, name, synset in (line.split("\t") for line in lines)
    }
    names = load_preset("cifar100").names
    assert [
        found.synset for found in resolve(names, load_preset("cifar100").wnids)
    ] == [published[name] for name in names]
    synsets = [nltk_wordnet.synset(published[name]) for name in names]
    expected = [[one.path_similarity(other) for other in synsets] for one in synsets]
    assert dsi_cli.wordnet_csm(list(names)).to_numpy().tolist() == expected


def test_verbs_have_the_names_parents_and_glosses_of_nltk(nltk_wordnet):
    graph = VERBS.taxonomy
    assert len(graph.names) == 13_767
    for node in np.random.default_rng(2).choice(len(graph.names), 300, replace=False):
        synset = nltk_wordnet.synset(graph.names[node])
        assert synset.name() == graph.names[node]
        assert {graph.names[parent] for parent in graph.parents_of(int(node))} == {
            one.name() for one in synset.hypernyms()
        }
        assert (graph.depths[node], VERBS.definitions([node])) == (
            synset.max_depth(),
            [synset.definition()],
        )


@pytest.fixture
def corpora(shared, tmp_path, monkeypatch):
    """Return an NLTK_DATA whose folder ``corpora`` holds the shared WordNet as the
    folder ``wordnet99``, two lines changed.
    """
    import nltk.data

    folder = tmp_path / "corpora"
    with zipfile.ZipFile(
        shared / "wordnet" / "nltk_data" / "corpora" / "wordnet.zip"
    ) as archive:
        archive.extractall(folder)
    (folder / "wordnet").rename(folder / "wordnet99")
    verbs = folder / "wordnet99" / "data.verb"
    verbs.write_text(
        verbs.read_text().replace("| move fast by using", "| move very fast by using")
    )
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
    # see scripts/compile_wordnet.py
    assert set(np.unique(other.taxonomy.offsets - shipped.offsets)) <= {
        0,
        18,
    }
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
        for k, (a, b) in enumerate(
            zip(
                other.definitions(everything),
                VERBS.definitions(everything),
                strict=True,
            )
        )
        if a != b
    ]
    assert [shipped.names[k] for k in differing] == ["run.v.01"]
    (found,) = resolve(["runnen"], wordnet=other)
    assert found.definition.startswith("move very fast by using")
