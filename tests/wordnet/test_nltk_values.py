"""Senses, forms, hypernyms and similarities against values that NLTK gave, to the last
bit.

``nltk_values.json`` holds the values. `tests/shared_data/test_wordnet.py` compares many
more with NLTK itself, and these too.
"""

import json
from math import log
from pathlib import Path

import numpy as np
import pytest

from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.similarity import measures

VALUES = json.loads(
    (Path(__file__).parent / "nltk_values.json").read_text(encoding="utf-8")
)
PARTS = ("noun", "verb")


def nodes_of(part):
    """Return the part's WordNet, and the nodes of the synsets in the file."""
    wordnet = load_wordnet(part)
    return wordnet, [wordnet.taxonomy.node(name) for name in VALUES["synsets"][part]]


@pytest.mark.parametrize("part", PARTS)
def test_synsets_have_nltks_depths_hypernyms_and_glosses(part):
    wordnet, nodes = nodes_of(part)
    graph = wordnet.taxonomy
    for node, (depth, above, definition) in zip(
        nodes, VALUES["synsets"][part].values(), strict=True
    ):
        assert graph.depths[node] == depth
        assert sorted(graph.names[parent] for parent in graph.parents_of(node)) == above
        assert wordnet.definitions([node]) == [definition]


@pytest.mark.parametrize("part", PARTS)
def test_senses_are_nltks_in_its_order(part):
    wordnet = load_wordnet(part)
    for word, expected in VALUES["senses"][part].items():
        nodes = [
            node
            for lemma in lexicon.base_forms(word, wordnet.words)
            for node in wordnet.words.senses(lemma)
        ]
        assert [
            wordnet.taxonomy.names[node] for node in dict.fromkeys(nodes)
        ] == expected, word


@pytest.mark.parametrize("part", PARTS)
def test_the_first_base_form_is_nltks(part):
    for form, expected in VALUES["forms"][part].items():
        assert (lexicon.base_forms(form, load_wordnet(part).words) or [None])[
            0
        ] == expected, form


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", ["path", "wup", "lch"])
def test_similarities_are_nltks(kind, part):
    wordnet, nodes = nodes_of(part)
    assert (
        measures.BY_TAXONOMY[kind](nodes, wordnet.taxonomy).tolist()
        == VALUES["similarities"][part][kind]
    )


@pytest.fixture
def counts(tmp_path):
    """Return the information content of a small text, read from a file in NLTK's
    format.
    """
    lines = [
        "wnver::small",
        f"1740n {VALUES['counts']['1740']!r} ROOT",
        "1740v 0.0 ROOT",
    ]
    lines += [
        f"{offset}n {count!r}"
        for offset, count in VALUES["counts"].items()
        if offset != "1740"
    ]
    (tmp_path / "ic-small.dat").write_text("\n".join(lines) + "\n")
    return measures.read_information_content(tmp_path / "ic-small.dat", load_wordnet())


@pytest.mark.parametrize("kind", ["res", "lin", "jcn"])
def test_similarities_by_information_are_nltks(kind, counts):
    """The value is NaN between two roots, where NLTK divides by zero."""
    _, nodes = nodes_of("noun")
    expected = [
        [np.nan if value is None else value for value in row]
        for row in VALUES["information"][kind]
    ]
    np.testing.assert_array_equal(
        measures.BY_INFORMATION[kind](nodes, counts), expected
    )


def test_information_is_minus_the_logarithm_of_the_share(counts):
    graph = load_wordnet().taxonomy
    dog, unicorn, entity = (
        graph.node(f"{word}.n.01") for word in ("dog", "unicorn", "entity")
    )
    expected = [-log(counts.counts[dog] / counts.total), measures.UNKNOWN, 0.0]
    assert counts.content(np.array([dog, unicorn, entity])).tolist() == expected
