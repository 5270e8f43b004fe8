"""Checkpoints of Flax and Orbax: what the libraries write is read exactly; what is
damaged, hostile or unfinished is refused.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import tensorstore
from helpers.checkpoint_files import formats_of
from helpers.errors import raises
from helpers.memory_limits import scanned
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.checkpoints.formats import CheckpointContent, OpenFiles, open_content
from dsi_cli.checkpoints.formats.jax import open_folder
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError


def packed(value: Any) -> msgpack.ExtType:
    """Return an array or a NumPy scalar as Flax stores it."""
    array = np.asarray(value)
    parts = msgpack.packb(
        (array.shape, array.dtype.name, array.tobytes()), use_bin_type=True
    )
    return msgpack.ExtType(3 if isinstance(value, np.generic) else 1, parts)


def by_hand(tree: Any) -> bytes:
    return msgpack.packb(tree, default=packed, strict_types=True)


def read_tree(path: Path) -> Any:
    """Return the tree with its tensors read."""

    def read(node: Any) -> Any:
        if isinstance(node, Tensor):
            return node.read()
        return (
            {key: read(value) for key, value in node.items()}
            if isinstance(node, dict)
            else node
        )

    with OpenFiles() as files:
        content = open_content(path, files)
        assert content.format == "msgpack"
        return read(content.tree)


def written(data: bytes, folder: Path) -> Path:
    path = folder / "x.msgpack"
    path.write_bytes(data)
    return path


KERNEL = np.arange(12, dtype=np.float32).reshape(4, 3)
TREE = {
    "step": np.int32(7),
    "params": {
        "conv": {"kernel": np.ones((3, 3, 2, 4), np.float32)},
        "head": {"bias": np.zeros(3, np.float32), "kernel": KERNEL},
    },
    "opt_state": {"0": {"count": np.array(9, np.int32)}, "1": {}},
}


def test_a_state_by_flax_is_read_as_flax_reads_it(tmp_path):
    import jax.numpy as jnp
    from flax import serialization

    tree = {
        **TREE,
        "half": jnp.linspace(-3, 3, 8).astype(jnp.bfloat16).reshape(2, 4),
        "eight": jnp.linspace(-3, 3, 8).astype(jnp.float8_e4m3fn),
        "tuple": (jnp.ones(2), 3, 2.5, "text", True, None),
        "complex": 1 + 2j,
        "truth": np.array([True, False]),
        "nothing": np.zeros((0, 3), np.float32),
    }
    data = serialization.to_bytes(tree)
    found, theirs = (
        read_tree(written(data, tmp_path)),
        serialization.msgpack_restore(data),
    )
    assert set(found) == set(theirs)
    assert (found["step"], type(found["step"]), found["opt_state"]) == (
        7,
        int,
        {"0.count": 9},
    )
    assert_array_equal(
        found["params"]["head.kernel"], theirs["params"]["head"]["kernel"]
    )
    assert_array_equal(
        found["params"]["conv.kernel"], theirs["params"]["conv"]["kernel"]
    )
    for name in ("half", "eight", "truth", "nothing"):
        assert_array_equal(
            found[name], np.asarray(theirs[name], np.float32), err_msg=name
        )
    assert_array_equal(found["tuple"].pop("0"), np.ones(2))
    assert found["tuple"] == {"1": 3, "2": 2.5, "3": "text", "4": True, "5": None}
    assert found["complex"] is None


@pytest.mark.parametrize(
    "dtype",
    [
        "float64",
        "float32",
        "float16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint64",
        "uint32",
        "uint16",
        "uint8",
        "bool",
    ],
)
def test_every_dtype_is_read_exactly(dtype, tmp_path):
    array = np.array([[0, 1, 2], [100, 7, 0]]).astype(dtype)
    tree = read_tree(
        written(
            by_hand(
                {"x": array, "scalar": array[1, 0], "without": np.array(array[1, 0])}
            ),
            tmp_path,
        )
    )
    assert_array_equal(tree["x"], array)
    assert (tree["scalar"], tree["without"]) == (array[1, 0], array[1, 0])


def array(parts: Any, kind: int = 1) -> bytes:
    return msgpack.packb(
        {
            "a": msgpack.ExtType(
                kind, parts if isinstance(parts, bytes) else msgpack.packb(parts)
            ),
            "z": 1,
        }
    )


LIES = {
    "text-beyond": (b"\x81\xa1a\xdb\xff\xff\xff\xff\xc0", PendingError, "cut-off"),
    "text-cut": (b"\x81\xa1a\xa9abc", PendingError, "cut-off"),
    "behind": (by_hand(TREE) + b"\0", UnreadableError, "trailing-bytes"),
    "long-key": (
        msgpack.packb({"a": 1, "k" * 5000: 1}),
        UnreadableError,
        "names-too-long",
    ),
    "deep-lists": (
        b"\x81\xa1a" + b"\x91" * 100_000 + b"\xc0",
        UnreadableError,
        "damaged",
    ),
    "much-text": (
        msgpack.packb({"a": ["x" * (1 << 20)] * 25}),
        UnreadableError,
        "damaged",
    ),
    "size": (array(((2,), "float32", bytes(4))), UnreadableError, "damaged"),
    "huge": (array(((2**63, 2**63), "float32", bytes(4))), UnreadableError, "damaged"),
    "many-dims": (
        array(((1,) * 50, "float32", bytes(4))),
        UnreadableError,
        "impossible-shape",
    ),
    "burn": (
        msgpack.packb({"metadata": {"v": 1}, "item": {"fc": 1}}),
        UnreadableError,
        "unread-format",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_state_is_refused(name, tmp_path):
    data, error, code = LIES[name]
    with raises(code, error):
        read_tree(written(data, tmp_path))


def test_states_are_recognised_and_others_are_not(tmp_path):
    wide = {f"layer_{place}": 1 for place in range(20)}
    for tree in (TREE, wide, {"params": {}}, {"k" * 40: {}}, {"target": {"x": 1}}):
        assert formats_of(by_hand(tree)[:16]) == ["msgpack"]
    assert formats_of(b"\xdf\0\0\0\2\xa6params\x80"[:16]) == ["msgpack"]
    others = [
        b"\x80",
        b"\x81",
        b"\x81\xa0",
        b"\x81\xa1\n",
        b"\x80\xa6params",
        b"\x80\x04\x95\x05\0\0\0\0\0\0\0}\x94.",
        b"\xde\xad be",
        b"\xdf\xff\xff\xff\xff\xa1a",
        b"\x89PNG\r\n\x1a\n\0\0\0\r",
        b"\x89HDF\r\n\x1a\n\0\0\0\0",
        b"\x93NUMPY\x01\0",
        "Þis is text".encode(),
        "Ž¡text".encode("cp1252")[:1] + b"text",
        b"\x81\xa5\0\0\0\0\0\0",
        bytes(16),
    ]
    assert {name for head in others for name in formats_of(head)} <= {"pickle", "hdf5"}
    assert (
        formats_of((0xA5A181).to_bytes(8, "little") + b'{"a":{}}')[0] == "safetensors"
    )
    # as flax.training.checkpoints calls it
    (tmp_path / "checkpoint_7").write_bytes(by_hand(TREE))
    assert len(discover([tmp_path])[0].checkpoints) == 1


ORBAX_KERNEL = np.arange(80, dtype=np.float32).reshape(8, 10)
NAME = "params.head.kernel"


def store(
    folder: Path, arrays: dict[str, np.ndarray], *, base: str = "ocdbt", **metadata: Any
) -> Path:
    """Write a tree of Zarr arrays by TensorStore, and return the file that marks it."""
    folder.mkdir(parents=True, exist_ok=True)
    root = {"driver": "file", "path": f"{folder}/"}
    for name, array in arrays.items():
        kvstore = (
            {"driver": "ocdbt", "base": root, "path": f"{name}/"}
            if base == "ocdbt"
            else root | {"path": f"{folder}/{name}/"}
        )
        spec = {"driver": "zarr", "kvstore": kvstore, "metadata": metadata}
        tensorstore.open(
            spec, create=True, dtype=array.dtype, shape=array.shape
        ).result().write(array).result()
    if base != "ocdbt":
        (folder / "_METADATA").write_text("{}")
    return folder / ("manifest.ocdbt" if base == "ocdbt" else "_METADATA")


def opened(main: Path) -> tuple[CheckpointContent, list[RandomAccessFile]]:
    with OpenFiles() as files:
        return open_folder(main, files), files.sources


def arrays(main: Path) -> dict[str, np.ndarray]:
    """Return every array of a checkpoint by its whole name."""
    content, _ = opened(main)
    return {name: tensor.read() for name, tensor in tensors(content.tree)}


def tensors(tree: dict[str, Any], lead: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from tensors(value, f"{lead}{name}.")
        elif isinstance(value, Tensor):
            yield lead + name, value


@pytest.fixture(scope="session")
def orbax_folders(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Return checkpoints that Orbax wrote in its several ways, and what is in each."""
    import jax
    import orbax.checkpoint as ocp

    jnp = jax.numpy
    key = jax.random.PRNGKey(0)
    wide = jax.random.normal(key, (64, 10))
    params = {
        "conv": {"kernel": jax.random.normal(key, (3, 3, 3, 64))},
        "head": {"kernel": wide, "bias": jnp.zeros(10)},
    }
    params |= {
        "half": {"kernel": wide.astype(jnp.bfloat16)},
        "odd": {"kernel": jax.random.normal(key, (7, 5))},
    }
    tree = {
        "params": params,
        "opt_state": [{"mu": jnp.ones((64, 10))}, None],
        "step": 7,
        "bool": jnp.ones((3,), bool),
    }
    folder = tmp_path_factory.mktemp("orbax")
    ways = {"ocdbt": {}, "folders": {"use_ocdbt": False}, "zarr3": {"use_zarr3": True}}
    for way, options in ways.items():
        for size in (None, 512):
            with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**options)) as to:
                saved = jax.tree.map(
                    lambda _, size=size: ocp.SaveArgs(chunk_byte_size=size), tree
                )
                to.save(
                    folder / (way if size is None else f"{way}-chunks"),
                    args=ocp.args.PyTreeSave(tree, save_args=saved),
                )
    with ocp.CheckpointManager(folder / "manager", item_names=("state", "about")) as to:
        to.save(
            3,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(tree), about=ocp.args.JsonSave({"a": 1})
            ),
        )
    with ocp.CheckpointManager(folder / "unnamed") as to:
        to.save(3, args=ocp.args.StandardSave(tree))
    names = {
        f"params.{layer}.{name}": value
        for layer, held in params.items()
        for name, value in held.items()
    }
    names |= {"opt_state.0.mu": tree["opt_state"][0]["mu"], "bool": tree["bool"]}
    return folder, {
        name: np.asarray(value.astype(float)) for name, value in names.items()
    }


@pytest.mark.parametrize(
    "way",
    [
        "ocdbt",
        "ocdbt-chunks",
        "folders",
        "folders-chunks",
        "zarr3",
        "zarr3-chunks",
        "manager/3",
    ],
)
def test_what_orbax_writes_is_read_exactly(way, orbax_folders):
    folder, expected = orbax_folders
    found = arrays(folder / way / "_CHECKPOINT_METADATA")
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert_array_equal(found[name], value, err_msg=name)
    assert opened(folder / way / "_CHECKPOINT_METADATA")[0].tree["step"] == 7


def test_a_missing_file_of_a_folder_an_array_is_not_zeros(tmp_path):
    main = store(tmp_path, {NAME: ORBAX_KERNEL}, base="folders", chunks=[4, 10])
    assert_array_equal(arrays(main)[NAME], ORBAX_KERNEL)
    (tmp_path / NAME / "1.0").unlink()
    with raises("missing-part", PendingError):
        arrays(main)


@pytest.mark.parametrize(
    "name",
    [
        "5.orbax-checkpoint-tmp",
        "5.orbax-checkpoint-tmp-1700000000",
        "5/default.orbax-checkpoint-tmp-3",
    ],
)
def test_a_folder_with_the_name_of_an_unfinished_one_is_pending(name, tmp_path):
    main = store(tmp_path / name, {NAME: ORBAX_KERNEL})
    with raises("uncommitted", PendingError):
        opened(main)
    if "/" in name:
        (tmp_path / "5/_CHECKPOINT_METADATA").write_text(
            '{"commit_timestamp_nsecs": 5}'
        )
        with raises("uncommitted", PendingError):
            opened(tmp_path / "5/_CHECKPOINT_METADATA")


@pytest.mark.parametrize(
    "said", ['{"commit_timestamp_nsecs": null}', "{}", '{"commit', ""]
)
def test_a_folder_that_was_not_committed_is_pending(said, tmp_path):
    store(tmp_path, {NAME: ORBAX_KERNEL})
    (tmp_path / "_CHECKPOINT_METADATA").write_text(said)
    with raises("uncommitted", PendingError):
        opened(tmp_path / "_CHECKPOINT_METADATA")
    (tmp_path / "commit_success.txt").write_text("")
    assert NAME in arrays(tmp_path / "_CHECKPOINT_METADATA")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"dtype": "int4"}, "unsupported-dtype"),
        ({"shape": [1 << 20, 1 << 17]}, "tensor-too-large"),
        ({"shape": [1 << 40, 1 << 40]}, "impossible-shape"),
        ({"shape": "x"}, "damaged-metadata"),
        ({"chunks": [0, 10]}, "damaged"),
        ({"compressor": {"id": "none of these"}}, "damaged"),
    ],
)
def test_arrays_that_are_not_read_are_named(said, code, tmp_path):
    main = store(tmp_path, {NAME: ORBAX_KERNEL}, base="folders")
    text = tmp_path / NAME / ".zarray"
    text.write_text(json.dumps(json.loads(text.read_text()) | said))
    with raises(code, UnreadableError):
        arrays(main)


def test_a_bomb_of_zeros_stays_within_bounds(tmp_path):
    main = store(
        tmp_path,
        {NAME: np.zeros((8000, 8000), np.float32)},
        base="folders",
        compressor={"id": "zlib", "level": 9},
    )
    assert "is more than a file of" in scanned(main)[1]


def replace_by_links(file_or_folder: str, folder: Path, target: Path) -> None:
    """Move a folder's contents, and put links to the files or to their folder in their
    place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(target)
    if file_or_folder == "folder":
        folder.symlink_to(target)
        return
    folder.mkdir()
    for file in target.iterdir():
        (folder / file.name).symlink_to(file)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_orbax_links_out_of_the_checkpoint_are_refused(what, tmp_path):
    main = store(tmp_path / "in", {NAME: np.random.default_rng(0).random((500, 500))})
    replace_by_links(what, tmp_path / "in/d", tmp_path / "private")
    with raises("outside-folder", UnreadableError):
        arrays(main)


def test_orbax_pipe_in_place_of_a_file_is_refused(tmp_path):
    main = store(tmp_path, {NAME: ORBAX_KERNEL}, base="folders")
    chunk = tmp_path / NAME / "0.0"
    chunk.unlink()
    os.mkfifo(chunk)
    with raises("not-a-regular-file", UnreadableError):
        arrays(main)
