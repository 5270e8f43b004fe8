"""A custom taxonomy: it is read from CSV and measured like WordNet; invalid files are
refused with the reason.
"""

import json

import numpy as np
import pytest
from helpers.errors import raises

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database.custom_taxonomy import ROOT, match_labels, read_taxonomy
from dsi_cli.wordnet.similarity.measures import lch_similarity, wup_similarity
from dsi_cli.wordnet.similarity.path_similarity import path_similarity

CLOTHES = "child,parent\nshirt,top\nPull-over,top\ntop,clothes\ntrouser,clothes\nsneaker,shoe\nshoe,clothes\n"
PARENTS_FIRST = "\n".join(
    ",".join(reversed(line.split(","))) for line in CLOTHES.splitlines()
)
COLUMNS = [
    CLOTHES.replace("child,parent", names)
    for names in ("node_id,Parent ID", "fine_label,coarse_label")
]


def read_text(tmp_path, text, name="tree.csv", encoding="utf-8"):
    (tmp_path / name).write_text(text, encoding=encoding)
    return read_taxonomy(tmp_path / name)


def similarities(tree, measure, *names):
    return measure([tree.names.index(name) for name in names], tree)


@pytest.mark.parametrize(
    "text",
    [
        CLOTHES,
        CLOTHES.replace(",", "\t"),
        CLOTHES.replace(",", ";"),
        PARENTS_FIRST,
        *COLUMNS,
    ],
)
def test_a_tree_is_read_with_its_depths(text, tmp_path):
    tree = read_text(tmp_path, text)
    assert tree.names == (
        "Pull-over",
        "clothes",
        "shirt",
        "shoe",
        "sneaker",
        "top",
        "trouser",
    )
    assert dict(zip(tree.names, tree.depths.tolist(), strict=True)) == {
        "clothes": 0,
        "top": 1,
        "shoe": 1,
        "trouser": 1,
        "shirt": 2,
        "Pull-over": 2,
        "sneaker": 2,
    }
    assert edges_of(tree)["shirt"] == {"top"}


def test_the_measures_are_those_of_the_tree(tmp_path):
    tree, of = read_text(tmp_path, CLOTHES), ("shirt", "Pull-over", "sneaker")
    assert similarities(tree, path_similarity, *of)[0].tolist() == [1, 1 / 3, 1 / 5]
    # Twice the depth in nodes of what both share, divided by the sum of both depths
    assert similarities(tree, wup_similarity, *of)[0].tolist() == pytest.approx(
        [1, 4 / 6, 2 / 6]
    )
    assert similarities(tree, lch_similarity, *of)[0].tolist() == pytest.approx(
        -np.log(np.array([1, 3, 5]) / 4)
    )


def test_a_node_may_have_several_parents_and_a_line_may_come_twice(tmp_path):
    text = "dog,canine\ndog,pet\ncanine,animal\npet,animal\n\ncat,pet\ndog,pet\n"
    tree = read_text(tmp_path, text)
    assert [
        tree.names[parent] for parent in tree.parents_of(tree.names.index("dog"))
    ] == ["canine", "pet"]
    assert similarities(tree, path_similarity, "dog", "cat")[0, 1] == pytest.approx(
        1 / 3
    )


def test_several_roots_are_put_under_one(tmp_path):
    tree = read_text(tmp_path, "cat,animal\noak,plant\n")
    assert ROOT in tree.names
    assert similarities(tree, path_similarity, "cat", "oak")[0, 1] == pytest.approx(
        1 / 5
    )
    assert similarities(tree, wup_similarity, "cat", "oak")[0, 1] == pytest.approx(
        2 / 6
    )


def test_labels_mean_nodes_of_their_name_exactly_or_of_no_other_in_another_case(
    tmp_path,
):
    tree = read_text(tmp_path, CLOTHES)
    found = match_labels(
        tree, ["shirt", " Shirt ", "pull_over", "PULL OVER", "boot", ""]
    )
    assert [None if node is None else tree.names[node] for node in found] == [
        "shirt",
        "shirt",
        "Pull-over",
        "Pull-over",
        None,
        None,
    ]
    tree = read_text(tmp_path, "class ring,gift category\nCrane,machine\ncrane,bird\n")
    found = match_labels(tree, ["Crane", "crane", "CRANE", "class ring"])
    assert [node is None for node in found] == [False, False, True, False]


@pytest.mark.parametrize(
    ("text", "code", "fields"),
    [
        ("a,b\nb,c\nc,a\nd,a\n", "taxonomy-cycle", {"cycle": ["a", "b", "c", "a"]}),
        ("a,a\n", "taxonomy-cycle", {"cycle": ["a", "a"]}),
        ("a,b\nc\n", "taxonomy-line", {"line": 2, "names": 1}),
        ("a,b,c\n", "taxonomy-line", {"line": 1, "names": 3}),
        ("a,\n", "taxonomy-line", {"line": 1, "names": 1}),
        ("", "taxonomy-empty", {}),
        ("child,parent\n", "taxonomy-empty", {}),
        (
            "".join(f"n{k},n{k + 1}\n" for k in range(120)),
            "taxonomy-too-deep",
            {"depth": 120},
        ),
        ("a\0,b\n", "taxonomy-not-text", {}),
    ],
)
def test_read_taxonomy_invalid_file_is_refused(tmp_path, text, code, fields):
    with raises(code, UsageError, **fields):
        read_text(tmp_path, text)


def test_read_taxonomy_unreadable_file_is_refused(tmp_path):
    with raises(
        "taxonomy-not-readable", UsageError, reason="No such file or directory"
    ):
        read_taxonomy(tmp_path / "nothing.csv")
    with raises("taxonomy-not-text", UsageError):
        read_text(tmp_path, "fougère,plante\n", encoding="latin-1")


EDGES = {
    "cat": {"pet"},
    "dog": {"pet", "guard"},
    "pet": {"animal"},
    "guard": {"animal"},
    "animal": set(),
}


def edges_of(tree):
    return {
        name: {tree.names[parent] for parent in tree.parents_of(node)}
        for node, name in enumerate(tree.names)
    }


@pytest.mark.parametrize(
    "document",
    [
        {"animal": {"pet": ["cat", "dog"], "guard": ["dog"]}},
        {"animal": [{"pet": {"cat": None, "dog": {}}}, {"guard": ["dog"]}]},
    ],
)
def test_read_taxonomy_json_tree_has_its_edges(tmp_path, document):
    assert edges_of(read_text(tmp_path, json.dumps(document), "tree.json")) == EDGES


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "taxonomy-not-json"),
        ("[" * 100_000, "taxonomy-not-json"),
        (
            "".join(f'{{"n{k}": ' for k in range(100)) + "null" + "}" * 100,
            "taxonomy-too-deep",
        ),
        ('{"cat": "animal"}', "taxonomy-not-a-tree"),
        ('[["cat", "pet"], ["dog", "pet"]]', "taxonomy-not-a-tree"),
        ('{"a": ["b"], "a": ["c"]}', "taxonomy-repeated-name"),
        (
            '{"animal": {"other": ["bee"]}, "plant": {"other": ["fern"]}}',
            "taxonomy-repeated-name",
        ),
        ('{"a": {"a": ["b"]}}', "taxonomy-repeated-name"),
        ('{"a": ["b"], "b": ["a"]}', "taxonomy-cycle"),
        *(
            ("{}", "taxonomy-empty"),
            ("[]", "taxonomy-empty"),
            ("null", "taxonomy-not-a-tree"),
        ),
    ],
)
def test_read_taxonomy_invalid_json_is_refused(tmp_path, text, code):
    with raises(code, UsageError):
        read_text(tmp_path, text, "tree.json")
