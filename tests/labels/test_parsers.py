"""Whatever a label file holds, it is names or one reason why not."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsi_cli.labels import parsers

PIECES = st.sampled_from(
    [
        *"012,;:\t \n[]{}()'\"-_.#=&*",
        "10",
        "cat",
        "dog",
        "n01440764",
        "->",
        "name",
        "class_id",
        "label",
        "index",
        "id",
        "names:",
        "é",
        "1e5",
        "5_x",
    ]
)


@pytest.mark.parametrize("read", [parsers.read_lines, parsers.read_table, parsers.read_json, parsers.read_yaml])
@given(st.lists(PIECES, min_size=1, max_size=40).map("".join).filter(str.strip))
def test_any_text_gives_names_or_a_value_error(read, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = read(text)
        except ValueError:
            return
    assert found.names
    assert all(isinstance(name, str) for name in found.names)
    assert found.wnids is None or len(found.wnids) == len(found.names)
    assert found.superclasses is None or len(found.superclasses) == len(found.names)
