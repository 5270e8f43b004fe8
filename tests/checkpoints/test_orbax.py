"""Orbax: what it writes is read exactly; what is damaged, hostile or unfinished is refused, whatever a byte becomes."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import ocdbt_writer as write
import pytest
from bounded import scanned
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints import state
from dsi_cli.checkpoints.formats import Content, ocdbt
from dsi_cli.checkpoints.formats.orbax import open_folder
from dsi_cli.checkpoints.scan import Choice, require_file
from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError

KERNEL = np.arange(80, dtype=np.float32).reshape(8, 10)
ARRAY = write.array(KERNEL, (8, 10))
NAME = "params.head.kernel"


def opened(main: Path) -> tuple[Content, list[Source]]:
    sources: list[Source] = []
    with ExitStack() as stack:
        return open_folder(main, stack, sources), sources


def arrays(main: Path) -> dict[str, np.ndarray]:
    """Return every array of a checkpoint by its whole name."""
    content, _ = opened(main)
    return {name: content.read(tensor) for name, tensor in tensors(content.tree)}


def tensors(tree: dict[str, Any], lead: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from tensors(value, f"{lead}{name}.")
        elif isinstance(value, Tensor):
            yield lead + name, value


# What the real library wrote


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Return checkpoints that Orbax wrote in its several ways, and what is in each."""
    import jax
    import orbax.checkpoint as ocp

    jnp = jax.numpy
    key = jax.random.PRNGKey(0)
    wide = jax.random.normal(key, (64, 10))
    params = {"conv": {"kernel": jax.random.normal(key, (3, 3, 3, 64))}, "head": {"kernel": wide, "bias": jnp.zeros(10)}}
    params |= {"half": {"kernel": wide.astype(jnp.bfloat16)}, "odd": {"kernel": jax.random.normal(key, (7, 5))}}
    tree = {"params": params, "opt_state": [{"mu": jnp.ones((64, 10))}, None], "step": 7, "bool": jnp.ones((3,), bool)}
    folder = tmp_path_factory.mktemp("orbax")
    ways = {"ocdbt": {}, "folders": {"use_ocdbt": False}, "zarr3": {"use_zarr3": True}}
    for way, options in ways.items():
        for size in (None, 512):
            with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**options)) as to:
                saved = jax.tree.map(lambda _, size=size: ocp.SaveArgs(chunk_byte_size=size), tree)
                to.save(
                    folder / (way if size is None else f"{way}-chunks"), args=ocp.args.PyTreeSave(tree, save_args=saved)
                )
    with ocp.CheckpointManager(folder / "manager", item_names=("state", "about")) as to:
        to.save(3, args=ocp.args.Composite(state=ocp.args.StandardSave(tree), about=ocp.args.JsonSave({"a": 1})))
    with ocp.CheckpointManager(folder / "unnamed") as to:
        to.save(3, args=ocp.args.StandardSave(tree))
    names = {f"params.{layer}.{name}": value for layer, held in params.items() for name, value in held.items()}
    names |= {"opt_state.0.mu": tree["opt_state"][0]["mu"], "bool": tree["bool"]}
    return folder, {name: np.asarray(value.astype(float)) for name, value in names.items()}


@pytest.mark.parametrize("way", ["ocdbt", "ocdbt-chunks", "folders", "folders-chunks", "manager/3"])
def test_what_orbax_writes_is_read_exactly(way, written):
    folder, expected = written
    found = arrays(folder / way / "_CHECKPOINT_METADATA")
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert_array_equal(found[name], value, err_msg=name)
    assert opened(folder / way / "_CHECKPOINT_METADATA")[0].tree["step"] == 7


@pytest.mark.parametrize("mark", ["default/_METADATA", "default/manifest.ocdbt"])
def test_a_tree_without_a_name_is_found_in_its_folder(mark, written):
    content, _ = opened(written[0] / "unnamed" / "3" / mark)
    assert set(content.tree) == {"params", "opt_state", "step", "bool"}


def test_zarr_of_version_3_is_named(written):
    with pytest.raises(UnreadableError, match="Zarr of version 3 is not read"):
        opened(written[0] / "zarr3" / "_METADATA")


# Small stores


@pytest.mark.parametrize("chunks", [(8, 10), (3, 4), (16, 1), (1, 100)])
def test_chunks_are_put_together(chunks, tmp_path):
    main = write.store(tmp_path, write.leaf(write.array(KERNEL, chunks)))
    assert_array_equal(arrays(main)[NAME], KERNEL)


@pytest.mark.parametrize("size", [*range(4, 40), 1023, 4096, 70_001])
def test_the_checksum_is_what_its_definition_says(size):
    data = np.random.default_rng(size).bytes(size)
    assert ocdbt.crc32c(data) == write.crc32c(data)


def test_inner_nodes_lead_to_the_leaves(tmp_path):
    held = {f"params.layer_{n}.kernel": np.full((2, 3), n, dtype=np.float32) for n in range(12)}
    leaves = [write.part(write.NODE, write.leaf(write.array(value, (2, 3), name))) for name, value in held.items()]
    ends = np.cumsum([0, *map(len, leaves)]).tolist()
    firsts = sorted((f"{name}/.zarray", 0, ends[n], len(leaves[n])) for n, name in enumerate(held))
    main = write.store(tmp_path, *leaves, write.inner(1, firsts), height=1)
    found = arrays(main)
    assert list(found) == list(held)  # layer_2 before layer_10
    for name, value in held.items():
        assert_array_equal(found[name], value)


def test_only_what_is_asked_for_is_read(tmp_path):
    large = write.array(np.random.default_rng(0).random((500, 500)), (500, 500), "params.body.kernel")
    chunk = large.pop("params.body.kernel/0.0")
    held = {**large, "params.body.kernel/0.0": (1, 0, len(chunk)), **ARRAY}
    main = write.store(tmp_path, write.leaf(held, [write.DATA, "d/large"]))
    (tmp_path / "d/large").write_bytes(chunk)
    content, sources = opened(main)
    content.read(content.tree["params"]["head.kernel"])
    assert sum(source.asked for source in sources) < 3000
    assert content.read(content.tree["params"]["body.kernel"]).shape == (500, 500)
    assert sum(source.asked for source in sources) > len(chunk)


def test_a_chunk_that_a_store_leaves_out_is_zeros(tmp_path):
    held = {key: value for key, value in write.array(KERNEL, (4, 10)).items() if not key.endswith("/1.0")}
    expected = np.concatenate([KERNEL[:4], np.zeros((4, 10))])
    assert_array_equal(arrays(write.store(tmp_path, write.leaf(held)))[NAME], expected)
    other = write.array(KERNEL, (8, 10), fill_value=3.0)
    del other[f"{NAME}/0.0"]
    with pytest.raises(UnreadableError, match=r"stands for 3\.0"):
        arrays(write.store(tmp_path, write.leaf(other)))


def test_layers_at_the_top_are_one_state_dict(tmp_path):
    held = write.array(KERNEL, (8, 10), "head.kernel.value") | write.array(KERNEL, (8, 10), "dense.kernel.value")
    assert set(opened(write.store(tmp_path, write.leaf(dict(sorted(held.items())))))[0].tree) == {
        "dense.kernel",
        "head.kernel",
    }


def folders(folder: Path, held: dict[str, bytes]) -> Path:
    (folder / "_METADATA").write_text("{}")
    for key, value in held.items():
        (folder / key).parent.mkdir(exist_ok=True)
        (folder / key).write_bytes(value)
    return folder / "_METADATA"


def test_a_missing_file_of_a_folder_an_array_is_not_zeros(tmp_path):
    main = folders(tmp_path, write.array(KERNEL, (4, 10)))
    assert_array_equal(arrays(main)[NAME], KERNEL)
    (tmp_path / NAME / "1.0").unlink()
    with pytest.raises(PendingError, match=r"head\.kernel/1\.0' is not there"):
        arrays(main)


# What is still being written


@pytest.mark.parametrize(
    "name", ["5.orbax-checkpoint-tmp", "5.orbax-checkpoint-tmp-1700000000", "5/default.orbax-checkpoint-tmp-3"]
)
def test_a_folder_with_the_name_of_an_unfinished_one_is_pending(name, tmp_path):
    main = write.store(tmp_path / name, write.leaf(ARRAY))
    with pytest.raises(PendingError, match="still being written"):
        opened(main)
    if "/" in name:
        (tmp_path / "5/_CHECKPOINT_METADATA").write_text('{"commit_timestamp_nsecs": 5}')
        with pytest.raises(PendingError, match="still being written"):
            opened(tmp_path / "5/_CHECKPOINT_METADATA")


@pytest.mark.parametrize("said", ['{"commit_timestamp_nsecs": null}', "{}", '{"commit', ""])
def test_a_folder_that_was_not_committed_is_pending(said, tmp_path):
    write.store(tmp_path, write.leaf(ARRAY))
    (tmp_path / "_CHECKPOINT_METADATA").write_text(said)
    with pytest.raises(PendingError, match="still being written"):
        opened(tmp_path / "_CHECKPOINT_METADATA")
    (tmp_path / "commit_success.txt").write_text("")
    assert NAME in arrays(tmp_path / "_CHECKPOINT_METADATA")


def test_a_folder_without_a_store_yet_is_pending(tmp_path):
    (tmp_path / "_METADATA").write_text("{}")
    write.store(tmp_path / "ocdbt.process_0", write.leaf(ARRAY))
    with pytest.raises(PendingError, match=r"without arrays \(yet\)"):
        opened(tmp_path / "_METADATA")
    (tmp_path / "_METADATA").unlink()
    (tmp_path / "_CHECKPOINT_METADATA").write_text('{"commit_timestamp_nsecs": 5}')
    with pytest.raises(PendingError, match=r"without a tree of arrays \(yet\)"):
        opened(tmp_path / "_CHECKPOINT_METADATA")


def test_a_data_file_that_is_not_there_is_pending(tmp_path):
    main = write.store(tmp_path, write.leaf(ARRAY))
    (tmp_path / write.DATA).unlink()
    with pytest.raises(PendingError, match="is not there"):
        opened(main)


# Damage


def test_every_beginning_of_a_file_is_refused(tmp_path):
    main = write.store(tmp_path, write.leaf(ARRAY))
    for path in (main, tmp_path / write.DATA):
        whole = path.read_bytes()
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            with pytest.raises((PendingError, UnreadableError)):
                opened(main)
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def two_levels(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    chunk = ARRAY[f"{NAME}/0.0"]
    leaf = write.part(write.NODE, write.leaf({**ARRAY, f"{NAME}/0.0": (1, 0, len(chunk))}, [write.DATA, "d/chunk"]))
    write.store(folder, leaf, write.inner(1, [("p", 0, 0, len(leaf))]), height=1)
    (folder / "d/chunk").write_bytes(chunk)
    return folder


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["manifest.ocdbt", write.DATA, "d/chunk"]), place=st.integers(0), byte=st.integers(1, 255))
def test_a_changed_byte_is_an_error_or_another_value_of_a_chunk(two_levels, tmp_path, name, place, byte):
    shutil.copytree(two_levels, tmp_path, dirs_exist_ok=True)
    data = bytearray((tmp_path / name).read_bytes())
    data[place % len(data)] ^= byte
    (tmp_path / name).write_bytes(data)
    if name != "d/chunk":
        with pytest.raises((PendingError, UnreadableError)):
            arrays(tmp_path / "manifest.ocdbt")
        return
    with suppress(UnreadableError):  # a chunk of Zarr 2 has no checksum
        assert arrays(tmp_path / "manifest.ocdbt")[NAME].shape == KERNEL.shape


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4), level=st.booleans())
def test_bodies_with_right_checksums_but_other_bytes_are_read_or_refused(tmp_path, changes, level):
    leaf = write.part(write.NODE, write.leaf(ARRAY), packed=False)
    body = bytearray(write.inner(1, [("p", 0, 0, len(leaf))]) if level else write.leaf(ARRAY))
    for place, byte in changes:
        body[place % len(body)] = byte
    main = write.store(tmp_path, leaf, bytes(body), height=int(level))
    with suppress(PendingError, UnreadableError):
        arrays(main)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(
        ["shape", "chunks", "dtype", "order", "compressor", "filters", "fill_value", "dimension_separator"]
    ),
    value=st.recursive(st.none() | st.booleans() | st.integers(-2, 2**70) | st.text(max_size=5) | st.just("<f4"), st.lists),
)
def test_a_text_that_says_something_else_is_read_or_refused(tmp_path, key, value):
    main = write.store(tmp_path, write.leaf(write.array(KERNEL, (8, 10), **{key: value})))
    with suppress(UnreadableError):
        arrays(main)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"compressor": {"id": "blosc"}}, "packed with 'blosc'"),
        ({"filters": [{"id": "delta"}]}, "packed with 'filters'"),
        ({"order": "F"}, "packed with 'filters'"),
        ({"dtype": "int4"}, "'int4' are not read"),
        ({"dtype": ">f4"}, "'>f4' are not read"),
        ({"shape": [8, 10, 1]}, "cannot be"),
        ({"shape": [1 << 30, 1 << 17]}, "more than is stored"),
        ({"chunks": [1 << 40, 10]}, "more than is stored"),
        ({"chunks": [0, 10]}, "does not say what it should"),
        ({"chunks": [8, 9], "shape": [8, 9]}, "unpacks to more"),
        ({"chunks": [8, 11], "shape": [8, 11]}, "holds 320 bytes instead of 352"),
    ],
)
def test_arrays_that_are_not_read_are_named(said, reason, tmp_path):
    main = write.store(tmp_path, write.leaf(write.array(KERNEL, (8, 10), **said)))
    with pytest.raises(UnreadableError, match=reason):
        arrays(main)


# Hostility


@pytest.mark.parametrize(
    "name", ["../d/x", "/etc/passwd", "d/../../x", "d//x", "./d", "", "d/\0", "x" * 2000, "d/" + "y" * 300]
)
def test_files_elsewhere_are_refused(name, tmp_path):
    (tmp_path / "x").write_bytes(ARRAY[f"{NAME}/0.0"])
    held = {**ARRAY, f"{NAME}/0.0": (0, 0, 5)}
    with pytest.raises((UnreadableError, PendingError), match=r"cannot be in its folder|is not there|1024 are read"):
        arrays(write.store(tmp_path / "in", write.leaf(held, [name])))
    with pytest.raises((UnreadableError, PendingError), match=r"cannot be in its folder|is not there|1024 are read"):
        opened(write.store(tmp_path / "in", write.leaf(ARRAY), name=name))


@pytest.mark.parametrize("what", ["file", "folder"])
def test_links_are_followed_wherever_they_lead(what, tmp_path):
    """As in Hugging Face's cache, where every file is a link out of its folder."""
    main = write.store(tmp_path / "in", write.leaf(ARRAY))
    (tmp_path / "in/d").rename(tmp_path / "d")
    if what == "folder":
        (tmp_path / "in/d").symlink_to(tmp_path / "d")
    else:
        (tmp_path / "in/d").mkdir()
        (tmp_path / "in" / write.DATA).symlink_to(tmp_path / write.DATA)
    assert_array_equal(arrays(main)[NAME], KERNEL)


def test_links_in_a_folder_an_array_are_followed_and_pipes_refused(tmp_path):
    (tmp_path / "in").mkdir()
    main = folders(tmp_path / "in", ARRAY)
    chunk = tmp_path / "in" / NAME / "0.0"
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    assert_array_equal(arrays(main)[NAME], KERNEL)
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(UnreadableError, match="not a regular file"):
        arrays(main)
    chunk.unlink()
    chunk.symlink_to(chunk)
    with pytest.raises((UnreadableError, PendingError)):
        arrays(main)


def test_a_folder_that_is_linked_into_itself_ends(tmp_path):
    main = folders(tmp_path, ARRAY)
    (tmp_path / "circle").symlink_to(tmp_path)
    assert_array_equal(arrays(main)[NAME], KERNEL)


def test_a_node_that_is_its_own_child_is_refused(tmp_path):
    size = len(write.part(write.NODE, write.inner(1, [("p", 0, 0, 100)]), packed=False))
    node = write.part(write.NODE, write.inner(1, [("p", 0, 0, size)]), packed=False)
    assert len(node) == size
    with pytest.raises(UnreadableError, match="share a child"):
        opened(write.store(tmp_path, node, height=1))


def test_nodes_that_share_children_are_refused(tmp_path):
    nodes, size, at = [write.part(write.NODE, write.leaf(ARRAY))], 0, 0
    for height in range(1, 60):
        size, at = len(nodes[-1]), sum(map(len, nodes[:-1]))
        nodes.append(write.part(write.NODE, write.inner(height, [("p", 0, at, size), ("q", 0, at, size)])))
    with pytest.raises(UnreadableError, match="share a child"):
        opened(write.store(tmp_path, *nodes, height=59))


def bomb_of_keys() -> bytes:
    """Return a leaf of keys of which each shares a megabyte with the one before."""
    count, long = 200_000, 1_000_000
    shared = write.varints(*[long] * (count - 1))
    sizes = write.varints(long, *[0] * (count - 1))
    return b"\0\0" + write.varints(count) + shared + sizes + b"k" * long + bytes(2 * count)


BOMBS = {
    "keys": bomb_of_keys,
    "entries": lambda: b"\0\0" + write.varints(1 << 40) + b"\1" * 1000,
    "many": lambda: (
        b"\0\0" + write.varints(290_000) + bytes(289_999) + b"\5" * 290_000 + b"abcde" * 290_000 + bytes(580_000)
    ),
    "zeros": lambda: b"\0\0\1\1\0" + bytes(200_000_000),
    "files": lambda: b"\0" + write.varints(3_000_000) + bytes(9_000_000),
    "array": lambda: write.leaf(write.array(KERNEL, (8, 10), shape=[1 << 12, 1 << 12], chunks=[8, 1 << 12])),
    "chunk": lambda: write.leaf(write.array(np.zeros((4000, 4000), dtype=np.float32), (4000, 4000))),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_little_that_asks_for_much_takes_little(kind, tmp_path):
    # The reader's own checksum, as the definition's takes minutes for a large body.
    main = write.store(tmp_path, write.part(write.NODE, BOMBS[kind](), checksum=ocdbt.crc32c))
    tracemalloc.start()
    with suppress(UnreadableError, PendingError):
        arrays(main)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 200 << 20


def many(names: Iterator[str], **said: object) -> dict[str, tuple[int, int, int]]:
    """Return keys of arrays that all name one text and one chunk in a second file, made by `shared`."""
    text, chunk = shared(**said)
    return {
        key: place
        for name in names
        for key, place in ((f"{name}/.zarray", (1, 0, len(text))), (f"{name}/0.0", (1, len(text), len(chunk))))
    }


def shared(**said: object) -> tuple[bytes, bytes]:
    held = write.array(np.zeros((1400, 1400), dtype=np.float32), (1400, 1400), "x")
    text = json.loads(held["x/.zarray"]) | said
    return json.dumps(text).encode(), held["x/0.0"]


def letters(number: int, size: int) -> str:
    return f"{number:05d}" + "1a" * (size // 2)


SHARED = {
    "one-chunk": ((f"params.{name}.kernel" for name in ("head", *(f"block.conv{n}" for n in range(400)))), {}, None),
    "long-names": ((letters(n, 1000) for n in range(5000)), {}, "names of more than 1024 letters, or of 1500000 in all"),
    "names-of-60": ((letters(n, 52) for n in range(24_900)), {}, None),
    "longer-names": ((letters(n, 100_000) for n in range(40)), {}, "1024 are read"),
    "separator": ((f"{n}" for n in range(20)), {"dimension_separator": "x" * 60_000}, "are joined with 'xxxxxxxx'"),
    "wide-shapes": (
        (f"{n:05d}" for n in range(24_000)), {"shape": [(1 << 48) - 1] * 32, "chunks": [1] * 32}, "cannot be",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "names-of-60")) for kind in SHARED]
)
def test_many_names_for_the_same_bytes_stay_within_bounds(kind, tmp_path):
    names, said, message = SHARED[kind]
    held = dict(sorted(many(names, **said).items()))
    main = write.store(tmp_path, write.part(write.NODE, write.leaf(held, [write.DATA, "d/shared"]), checksum=ocdbt.crc32c))
    (tmp_path / "d/shared").write_bytes(b"".join(shared(**said)).ljust(9_000_000, b"\0"))
    _, reason = scanned(main)
    assert message is None or message in reason


def test_arrays_that_share_one_chunk_are_not_all_read(tmp_path):
    held = dict(sorted(many(f"params.{name}.kernel" for name in ("head", *(f"block.conv{n}" for n in range(39)))).items()))
    main = write.store(tmp_path, write.leaf(held, [write.DATA, "d/shared"]))
    (tmp_path / "d/shared").write_bytes(b"".join(shared()))
    with pytest.raises(UnreadableError, match=r"its tensors have 313600000 bytes, which is more than the file \(\d+\) can"):
        state.read(require_file(main), Choice())


def test_the_files_of_a_checkpoint_count_once_however_often_they_are_read(tmp_path):
    held = write.array(np.random.default_rng(0).random((500, 500)), (100, 500))
    apart = {key: value for key, value in held.items() if not key.endswith(".zarray")}
    at = np.cumsum([0, *map(len, apart.values())]).tolist()
    places = {key: (1, at[n], len(apart[key])) for n, key in enumerate(apart)}
    main = write.store(tmp_path, write.leaf(dict(sorted((held | places).items())), [write.DATA, "d/large"]))
    (tmp_path / "d/large").write_bytes(b"".join(apart.values()))
    content, sources = opened(main)
    content.read(content.tree["params"]["head.kernel"])
    assert sum(source.size for source in sources) == sum(
        path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()
    )
