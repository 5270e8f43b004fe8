"""Lists and index maps to names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsi_cli.labels.index_maps import IndexedNames, from_metadata, read_names


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({1: "cat", 2: "dog"}, IndexedNames(("cat", "dog"), first=1)),
        ({"2": "dog", "1": "cat"}, IndexedNames(("cat", "dog"), first=1)),
        ({"dog": "1", "cat": "0"}, IndexedNames(("cat", "dog"))),
        (
            {"1": ["n02084071", "dog"], "0": ["n02121620", "cat"]},
            IndexedNames(("cat", "dog"), ("n02121620", "n02084071")),
        ),
        (
            {"n02121620": "0", "n02084071": "1"},
            IndexedNames(("n02121620", "n02084071")),
        ),
        ({"0": 1, "1": 0}, IndexedNames(("1", "0"))),
        ({"0": "1", "1": "0"}, IndexedNames(("1", "0"))),
    ],
)
def test_read_names_returns_the_order_of_the_indices(value, expected):
    assert read_names(value) == expected


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], "an empty list"),
        ({}, "an object of 0 keys that is not an index map"),
        (7, "a value of the type int"),
        (["cat", 3], "a value of the type int as the name of class 1"),
        ([{"cat": 0}], "a value of the type dict as the name of class 0"),
        (["cat", " "], "found an empty name for class 1"),
        (["LABEL_0", "LABEL_1"], r"only placeholders \(LABEL_0"),
        ({"n02121620": "cat"}, "an object of 1 key that is not an index map"),
        ({"cat": 0, "dog": True}, "an object of 2 keys that is not an index map"),
        ({"0": "a", "00": "b"}, "found the class number 0 twice"),
        ({"0": "cat", "2": "dog"}, "from 0 to 2 for 2 names; they must be 0, 1, 2"),
        ({"cat": 2, "dog": 3}, "from 2 to 3 for 2 names"),
        ({"cat": -1, "dog": 0}, "from -1 to 0 for 2 names"),
        ({"cat": 0, "dog": 10**9}, "from 0 to 1000000000 for 2 names"),
    ],
)
def test_read_names_of_another_value_raises(value, found):
    with pytest.raises(ValueError, match=found):
        read_names(value)


MAP, REVERSE, LIST = {0: "cat", 1: "dog"}, {"cat": 0, "dog": 1}, ["cat", "dog"]


@pytest.mark.parametrize(
    ("metadata", "source"),
    [
        ({"id2label": MAP}, "id2label in the checkpoint's metadata"),
        ({"label2id": REVERSE}, "label2id in the checkpoint's metadata"),
        (
            {"classes": LIST, "state_dict": {"w": object()}},
            "classes in the checkpoint's metadata",
        ),
        ({"class_names": ("cat", "dog")}, "class_names in the checkpoint's metadata"),
        (
            {"class_to_idx": REVERSE, "idx_to_class": MAP},
            "class_to_idx in the checkpoint's metadata",
        ),
        (
            {"idx_to_class": {"0": "cat", "1": "dog"}},
            "idx_to_class in the checkpoint's metadata",
        ),
        (
            {"meta": {"CLASSES": ("cat", "dog")}},
            "CLASSES in meta of the checkpoint's metadata",
        ),
        (
            {"meta": {"dataset_meta": {"classes": LIST}}},
            "classes in meta.dataset_meta of the checkpoint's metadata",
        ),
        (
            {"args": {"class_to_idx": REVERSE}},
            "class_to_idx in args of the checkpoint's metadata",
        ),
        (
            {"hparams": {"config": {"id2label": MAP}}},
            "id2label in hparams.config of the checkpoint's metadata",
        ),
        ({"names": MAP}, "names in the checkpoint's metadata"),
        ({"model": {"names": MAP}}, "names in model of the checkpoint's metadata"),
        (
            {"classes": 2, "class_names": LIST},
            "class_names in the checkpoint's metadata",
        ),
        (
            {"classes": LIST, "args": {"classes": ["x", "y"]}},
            "classes in the checkpoint's metadata",
        ),
    ],
)
def test_from_metadata_finds_names(metadata, source):
    found = from_metadata(metadata)
    assert found is not None
    assert (found.names, found.wnids, found.source) == (("cat", "dog"), None, source)


@pytest.mark.parametrize(
    "metadata",
    [
        *(None, 7, [], {}),
        *(
            {"classes": value}
            for value in (
                10,
                "cat",
                [],
                ["cat", 1],
                ["cat", ""],
                {"cat", "dog"},
                object(),
            )
        ),
        {"class_to_idx": {"cat": 0, "dog": 2}},
        {"id2label": {0: "LABEL_0", 1: "LABEL_1"}},
        {"names": ["conv.weight", "conv.bias"]},
        {"classes": ["cat", "dog"], "id2label": {0: "dog", 1: "cat"}},
        {"a": {"b": {"c": {"classes": ["cat", "dog"]}}}},
        {1: {"classes": ["cat", "dog"]}},
    ],
)
def test_from_metadata_without_names_is_none(metadata):
    assert from_metadata(metadata) is None


KEYS = st.sampled_from(
    [
        "classes",
        "names",
        "id2label",
        "class_to_idx",
        "args",
        "meta",
        0,
        1,
        -1,
        "0",
        "1",
        None,
        1.5,
    ]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@given(ANYTHING)
@settings(max_examples=50, deadline=None)
def test_from_metadata_of_any_value_never_raises(metadata):
    found = from_metadata(metadata)
    assert found is None or all(isinstance(name, str) and name for name in found.names)
