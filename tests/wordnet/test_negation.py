"""A bracket that says what a label is not."""

from __future__ import annotations

from dsi_cli.wordnet.database.taxonomy import load
from dsi_cli.wordnet.disambiguation.resolve import resolve

CLOSE = ["needle", "button", "brooch", "ring (jewelry)"]


def is_below(name, over):
    graph = load()
    nodes, top = {graph.node(name)}, graph.node(over)
    while nodes and top not in nodes:
        nodes = {parent for node in nodes for parent in graph.parents_of(node)}
    return top in nodes


def test_a_sense_below_what_is_excluded_does_not_win():
    plain, negated = resolve(["pin", *CLOSE])[0], resolve(["pin (non-jewelry)", *CLOSE])[0]
    assert plain.synset == "pin.n.01"
    assert is_below(plain.synset, "jewelry.n.01")
    assert not is_below(negated.synset, "jewelry.n.01")
    assert resolve(["bat (not an animal)", "cat", "dog", "mouse"])[0].synset != "bat.n.01"
    assert resolve(["crane (non bird)", "heron", "stork", "flamingo"])[0].synset != "crane.n.05"


def test_where_only_an_excluded_sense_is_left_the_label_is_uncertain():
    found = resolve(["brooch (non-jewelry)", "cat", "dog"])[0]
    assert found.is_uncertain
    assert "no sense fits its context (not 'jewelry')" in found.reason
