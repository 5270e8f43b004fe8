"""Names of classes that a person reads or types, and the orders in which they are
shown.
"""

import numpy as np
import pandas as pd
import pytest
from helpers.analysed_runs import Analysed
from helpers.errors import raises
from scipy.cluster.hierarchy import leaves_list

from dsi_cli.queries import run_classes
from dsi_cli.queries.run_classes import class_index_by_name, readable_names

NAMES = [
    "tabby (n02123045)",
    "ship",
    "tiger cat (n02123159)",
    "great white shark, man-eater (class 3)",
]


def test_readable_names_wnid_label_follows_a_word():
    names, ids = (
        ["n02123159", "dog", None, "n00000001"],
        [
            "n02123159",
            "n02084071",
            None,
            None,
        ],
    )
    classes = pd.DataFrame(
        {
            "name": names,
            "wnid": ids,
            "synset": ["tiger_cat.n.02", "dog.n.01", None, None],
        }
    )
    cat, dog, missing, unknown = readable_names(classes)
    assert (cat, dog, unknown) == ("tiger cat (n02123159)", "dog", "n00000001")
    assert pd.isna(missing)


@pytest.mark.parametrize(
    "text",
    ["tiger cat (n02123159)", "tiger cat", "Tiger Cat", "n02123159", "Man-eater"],
)
def test_class_index_by_name_word_or_wnid_finds_the_class(text):
    assert class_index_by_name(text, NAMES) == (3 if text == "Man-eater" else 2)


def test_class_index_by_name_suggests_a_similar_name_and_refuses_an_ambiguous_one():
    for name, similar in (("oaktree", "oak_tree"), (3, "")):
        with raises("unknown-class", name=str(name), similar=similar):
            class_index_by_name(name, ["oak_tree", "wolf"])
    with raises("ambiguous-class", name="n02123045", count=2):
        class_index_by_name(
            "n02123045",
            ["tabby (n02123045) (class 0)", "ship", "tabby (n02123045) (class 2)"],
        )


def test_taxonomy_is_the_tables_display_order(analysed: Analysed):
    classes = analysed.run.classes.query("run == 'cifar100-cnn'").sample(
        frac=1, random_state=0
    )
    order = run_classes.taxonomy_order(classes)
    assert [
        classes.set_index("class_index")["display_order"][index] for index in order
    ] == list(range(100))


def test_a_cluster_holds_together_in_the_order_of_its_leaves():
    generator = np.random.default_rng(0)
    member = np.array([0, 1, 2] * 4)
    values = np.where(
        member[:, None] == member[None, :], 0.9, 0.1
    ) + 0.01 * generator.random((12, 12))
    order = run_classes.cluster_order(values)
    assert (sorted(order), np.count_nonzero(np.diff(member[order]))) == (
        list(range(12)),
        2,
    )
    np.testing.assert_array_equal(order, leaves_list(run_classes.clustering(values)))


def test_a_class_that_a_matrix_lacks_and_an_asymmetric_one_do_no_harm():
    values = np.random.default_rng(1).random((6, 6))
    values[2] = np.nan
    assert sorted(run_classes.cluster_order(values)) == list(range(6))
    assert run_classes.cluster_order(values[:1, :1]).tolist() == [0]
