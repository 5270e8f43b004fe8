"""The cache of an output folder."""

import pyarrow as pa
import pytest

from dsi_cli.analysis.cache import HEADS, ROWS, Cache, key_of
from dsi_cli.errors import OutputError

KEY = key_of("a checkpoint", 1)
TABLE = pa.table(
    {
        "class_index": [0, 1],
        "similarity": [[1.0, 0.5], [0.5, 1.0]],
        "name": ["cat", None],
    }
)
ENTRY = {
    "curves": TABLE,
    "samples": {"test": [3, 4]},
    "empty": TABLE.slice(0, 0),
    "nothing": None,
}


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "out")


def test_cache_get_returns_what_was_put(cache):
    cache.put(ROWS, KEY, ENTRY)
    assert cache.get(ROWS, KEY) == ENTRY
    assert cache.get(ROWS, KEY, ["samples", "nothing", "other"]) == {
        "samples": {"test": [3, 4]},
        "nothing": None,
    }
    assert cache.has(ROWS, KEY)
    assert not cache.has(HEADS, KEY)


def test_cache_get_of_a_missing_entry_returns_none(cache):
    assert cache.get(ROWS, KEY) is None
    with pytest.raises(OutputError):
        cache.read(ROWS, KEY, ["curves"])


def test_cache_get_of_a_damaged_entry_removes_it(cache):
    cache.put(ROWS, KEY, ENTRY)
    (path,) = cache.folder.glob("*/*")
    whole = path.read_bytes()
    changed = [
        whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        for at in range(len(whole))
    ]
    cut = [whole[:at] for at in range(len(whole))]
    for damaged in (*changed, *cut, bytes(len(whole))):
        path.write_bytes(damaged)
        assert cache.get(ROWS, KEY) is None, damaged
        assert not path.exists()


def test_cache_prune_keeps_the_used_entries(cache):
    other = key_of("another checkpoint")
    for kind, key in ((ROWS, KEY), (ROWS, other), (HEADS, KEY)):
        cache.put(kind, key, {"value": 1})
    cache.prune({(ROWS, other)})
    assert [
        (kind, key)
        for kind in (ROWS, HEADS)
        for key in (KEY, other)
        if cache.has(kind, key)
    ] == [(ROWS, other)]


def test_key_of_other_parts_differs():
    assert (
        len(
            {
                key_of("a"),
                key_of("b"),
                key_of("a", None),
                key_of(["a"]),
                key_of({"a": 1}),
                key_of({"a": "1"}),
            }
        )
        == 6
    )
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
