"""Class names out of checkpoint metadata, of any shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsi_cli.labels.index_maps import from_metadata

MAP, REVERSE, LIST = {0: "cat", 1: "dog"}, {"cat": 0, "dog": 1}, ["cat", "dog"]


@pytest.mark.parametrize(
    ("metadata", "source"),
    [
        ({"id2label": MAP}, "id2label in the checkpoint's metadata"),
        ({"label2id": REVERSE}, "label2id in the checkpoint's metadata"),
        ({"classes": LIST, "state_dict": {"w": object()}}, "classes in the checkpoint's metadata"),
        ({"class_names": ("cat", "dog")}, "class_names in the checkpoint's metadata"),
        ({"class_to_idx": REVERSE, "idx_to_class": MAP}, "class_to_idx in the checkpoint's metadata"),
        ({"idx_to_class": {"0": "cat", "1": "dog"}}, "idx_to_class in the checkpoint's metadata"),
        ({"meta": {"CLASSES": ("cat", "dog")}}, "CLASSES in meta of the checkpoint's metadata"),
        ({"meta": {"dataset_meta": {"classes": LIST}}}, "classes in meta.dataset_meta of the checkpoint's metadata"),
        ({"args": {"class_to_idx": REVERSE}}, "class_to_idx in args of the checkpoint's metadata"),
        (
            {"hyper_parameters": {"config": {"id2label": MAP}}},
            "id2label in hyper_parameters.config of the checkpoint's metadata",
        ),
        ({"names": MAP}, "names in the checkpoint's metadata"),
        ({"model": {"names": MAP}}, "names in model of the checkpoint's metadata"),
        ({"classes": 2, "class_names": LIST}, "class_names in the checkpoint's metadata"),
        ({"classes": LIST, "args": {"classes": ["x", "y"]}}, "classes in the checkpoint's metadata"),
    ],
)
def test_from_metadata_finds_names(metadata, source):
    found = from_metadata(metadata)
    assert found is not None
    assert (found.names, found.wnids, found.source) == (("cat", "dog"), None, source)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        7,
        [],
        {},
        {"classes": 10},
        {"classes": "cat"},
        {"classes": []},
        {"classes": ["cat", 1]},
        {"classes": ["cat", ""]},
        {"classes": {"cat", "dog"}},
        {"class_to_idx": {"cat": 0, "dog": 2}},
        {"id2label": {0: "LABEL_0", 1: "LABEL_1"}},
        {"names": ["conv.weight", "conv.bias"]},
        {"classes": ["cat", "dog"], "id2label": {0: "dog", 1: "cat"}},
        {"a": {"b": {"c": {"classes": ["cat", "dog"]}}}},
        {1: {"classes": ["cat", "dog"]}},
        {"classes": object()},
    ],
)
def test_from_metadata_without_names_is_none(metadata):
    assert from_metadata(metadata) is None


KEYS = st.sampled_from(["classes", "names", "id2label", "class_to_idx", "args", "meta", 0, 1, -1, "0", "1", None, 1.5])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(ANYTHING)
def test_from_metadata_of_any_value_never_raises(metadata):
    found = from_metadata(metadata)
    assert found is None or all(isinstance(name, str) and name for name in found.names)
