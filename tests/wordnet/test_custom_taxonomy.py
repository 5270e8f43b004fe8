"""A custom taxonomy: it is read from CSV and measured like WordNet; invalid files are refused with the reason."""

from fractions import Fraction

import numpy as np
import pytest
from helpers.errors import raises

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database import custom_taxonomy
from dsi_cli.wordnet.similarity.measures import lch_similarity, wup_similarity
from dsi_cli.wordnet.similarity.path_similarity import path_similarity

CLOTHES = "child,parent\nshirt,top\nPull-over,top\ntop,clothes\ntrouser,clothes\nsneaker,shoe\nshoe,clothes\n"


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "tree.csv"
    path.write_bytes(text.encode(encoding))
    return path


def similarities(tree, measure, *names):
    return measure([tree.names.index(name) for name in names], tree)


def test_a_tree_is_read_with_its_depths(tmp_path):
    tree = custom_taxonomy.read_taxonomy(written(tmp_path, CLOTHES))
    assert tree.names == ("Pull-over", "clothes", "shirt", "shoe", "sneaker", "top", "trouser")
    assert dict(zip(tree.names, tree.depths.tolist(), strict=True)) == {
        "clothes": 0, "top": 1, "shoe": 1, "trouser": 1, "shirt": 2, "Pull-over": 2, "sneaker": 2,
    }  # fmt: skip
    assert [tree.names[parent] for parent in tree.parents_of(tree.names.index("shirt"))] == ["top"]


def test_the_measures_are_those_of_the_tree(tmp_path):
    tree = custom_taxonomy.read_taxonomy(written(tmp_path, CLOTHES))
    of = ("shirt", "Pull-over", "sneaker")
    assert similarities(tree, path_similarity, *of)[0].tolist() == [1, 1 / 3, 1 / 5]
    wup = [Fraction(1), Fraction(4, 6), Fraction(2, 6)]  # twice the depth in nodes of what both share, over both depths
    assert similarities(tree, wup_similarity, *of)[0].tolist() == pytest.approx([float(one) for one in wup])
    assert similarities(tree, lch_similarity, *of)[0].tolist() == pytest.approx(-np.log(np.array([1, 3, 5]) / 4))


def test_a_node_may_have_several_parents_and_a_line_may_come_twice(tmp_path):
    tree = custom_taxonomy.read_taxonomy(
        written(tmp_path, "dog,canine\ndog,pet\ncanine,animal\npet,animal\n\ncat,pet\ndog,pet\n")
    )
    dog = tree.names.index("dog")
    assert [tree.names[parent] for parent in tree.parents_of(dog)] == ["canine", "pet"]
    assert similarities(tree, path_similarity, "dog", "cat")[0, 1] == pytest.approx(1 / 3)


def test_several_roots_are_put_under_one(tmp_path):
    tree = custom_taxonomy.read_taxonomy(written(tmp_path, "cat,animal\noak,plant\n"))
    assert custom_taxonomy.ROOT in tree.names
    assert similarities(tree, path_similarity, "cat", "oak")[0, 1] == pytest.approx(1 / 5)
    assert similarities(tree, wup_similarity, "cat", "oak")[0, 1] == pytest.approx(2 / 6)


def test_labels_mean_nodes_of_their_name(tmp_path):
    tree = custom_taxonomy.read_taxonomy(written(tmp_path, CLOTHES))
    found = custom_taxonomy.match_labels(tree, ["shirt", " Shirt ", "pull_over", "PULL OVER", "boot", ""])
    assert [None if node is None else tree.names[node] for node in found] == [
        "shirt", "shirt", "Pull-over", "Pull-over", None, None,
    ]  # fmt: skip


def test_names_that_differ_in_case_alone_are_told_apart_exactly_or_not_at_all(tmp_path):
    tree = custom_taxonomy.read_taxonomy(written(tmp_path, "Crane,machine\ncrane,bird\n"))
    assert [node is None for node in custom_taxonomy.match_labels(tree, ["Crane", "crane", "CRANE"])] == [
        False,
        False,
        True,
    ]


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
        ("".join(f"n{k},n{k + 1}\n" for k in range(120)), "taxonomy-too-deep", {"depth": 120}),
        ("a\0,b\n", "taxonomy-not-text", {}),
    ],
)
def test_read_taxonomy_invalid_file_is_refused(tmp_path, text, code, fields):
    with raises(code, UsageError, **fields):
        custom_taxonomy.read_taxonomy(written(tmp_path, text))


def test_read_taxonomy_unreadable_file_is_refused(tmp_path):
    with raises("taxonomy-not-readable", UsageError, reason="No such file or directory"):
        custom_taxonomy.read_taxonomy(tmp_path / "nothing.csv")
    with raises("taxonomy-not-text", UsageError):
        custom_taxonomy.read_taxonomy(written(tmp_path, "fougère,plante\n", "latin-1"))
