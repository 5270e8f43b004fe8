"""Names of classes whose labels are WordNet ids, and the classes that a text names."""

import pandas as pd
import pytest
from helpers.errors import raises

from dsi_cli.queries.run_classes import class_index_by_name, readable_names

NAMES = ["tabby (n02123045)", "ship", "tiger cat (n02123159)"]


def test_readable_names_wnid_label_follows_a_word():
    classes = pd.DataFrame(
        {
            "name": ["n02123159", "dog", None, "n00000001"],
            "wnid": ["n02123159", "n02084071", None, None],
            "synset": ["tiger_cat.n.02", "dog.n.01", None, None],
        }
    )
    cat, dog, missing, unknown = readable_names(classes)
    assert (cat, dog, unknown) == ("tiger cat (n02123159)", "dog", "n00000001")
    assert pd.isna(missing)


@pytest.mark.parametrize("text", ["tiger cat (n02123159)", "tiger cat", "Tiger Cat", "n02123159"])
def test_class_index_by_name_word_or_wnid_finds_the_class(text):
    assert class_index_by_name(text, NAMES) == 2


def test_class_index_by_name_wnid_of_two_classes_is_ambiguous():
    with raises("ambiguous-class", name="n02123045", count=2):
        class_index_by_name("n02123045", ["tabby (n02123045) (class 0)", "ship", "tabby (n02123045) (class 2)"])
