"""Orbax: what it writes is read exactly; what is damaged, hostile or unfinished is refused."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
from helpers.errors import raises
from helpers.memory_limits import scanned
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.jax import open_folder
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError

KERNEL = np.arange(80, dtype=np.float32).reshape(8, 10)
NAME = "params.head.kernel"


def store(folder: Path, arrays: dict[str, np.ndarray], *, base: str = "ocdbt", **metadata: Any) -> Path:
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
        tensorstore.open(spec, create=True, dtype=array.dtype, shape=array.shape).result().write(array).result()
    if base != "ocdbt":
        (folder / "_METADATA").write_text("{}")
    return folder / ("manifest.ocdbt" if base == "ocdbt" else "_METADATA")


def opened(main: Path) -> tuple[CheckpointContent, list[RandomAccessFile]]:
    sources: list[RandomAccessFile] = []
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


@pytest.mark.parametrize(
    "way", ["ocdbt", "ocdbt-chunks", "folders", "folders-chunks", "zarr3", "zarr3-chunks", "manager/3"]
)
def test_what_orbax_writes_is_read_exactly(way, written):
    folder, expected = written
    found = arrays(folder / way / "_CHECKPOINT_METADATA")
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert_array_equal(found[name], value, err_msg=name)
    assert opened(folder / way / "_CHECKPOINT_METADATA")[0].tree["step"] == 7


# Small stores


def test_a_missing_file_of_a_folder_an_array_is_not_zeros(tmp_path):
    main = store(tmp_path, {NAME: KERNEL}, base="folders", chunks=[4, 10])
    assert_array_equal(arrays(main)[NAME], KERNEL)
    (tmp_path / NAME / "1.0").unlink()
    with raises("missing-part", PendingError):
        arrays(main)


# What is still being written


@pytest.mark.parametrize(
    "name", ["5.orbax-checkpoint-tmp", "5.orbax-checkpoint-tmp-1700000000", "5/default.orbax-checkpoint-tmp-3"]
)
def test_a_folder_with_the_name_of_an_unfinished_one_is_pending(name, tmp_path):
    main = store(tmp_path / name, {NAME: KERNEL})
    with raises("uncommitted", PendingError):
        opened(main)
    if "/" in name:
        (tmp_path / "5/_CHECKPOINT_METADATA").write_text('{"commit_timestamp_nsecs": 5}')
        with raises("uncommitted", PendingError):
            opened(tmp_path / "5/_CHECKPOINT_METADATA")


@pytest.mark.parametrize("said", ['{"commit_timestamp_nsecs": null}', "{}", '{"commit', ""])
def test_a_folder_that_was_not_committed_is_pending(said, tmp_path):
    store(tmp_path, {NAME: KERNEL})
    (tmp_path / "_CHECKPOINT_METADATA").write_text(said)
    with raises("uncommitted", PendingError):
        opened(tmp_path / "_CHECKPOINT_METADATA")
    (tmp_path / "commit_success.txt").write_text("")
    assert NAME in arrays(tmp_path / "_CHECKPOINT_METADATA")


def test_a_data_file_that_is_not_there_is_pending(tmp_path):
    main = store(tmp_path, {NAME: np.random.default_rng(0).random((500, 500))})
    for file in (tmp_path / "d").iterdir():
        file.unlink()
    with raises("missing-part", PendingError):
        arrays(main)


# Damage and hostility


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
    main = store(tmp_path, {NAME: KERNEL}, base="folders")
    text = tmp_path / NAME / ".zarray"
    text.write_text(json.dumps(json.loads(text.read_text()) | said))
    with raises(code, UnreadableError):
        arrays(main)


def test_a_bomb_of_zeros_stays_within_bounds(tmp_path):
    main = store(
        tmp_path, {NAME: np.zeros((8000, 8000), np.float32)}, base="folders", compressor={"id": "zlib", "level": 9}
    )
    assert "is more than a file of" in scanned(main)[1]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_links_are_followed_wherever_they_lead(what, tmp_path):
    """As in Hugging Face's cache, where every file is a link out of its folder."""
    main = store(tmp_path / "in", {NAME: np.random.default_rng(0).random((500, 500))})
    (tmp_path / "in/d").rename(tmp_path / "d")
    if what == "folder":
        (tmp_path / "in/d").symlink_to(tmp_path / "d")
    else:
        (tmp_path / "in/d").mkdir()
        for file in (tmp_path / "d").iterdir():
            (tmp_path / "in/d" / file.name).symlink_to(file)
    assert arrays(main)[NAME].shape == (500, 500)


def test_orbax_pipe_in_place_of_a_file_is_refused(tmp_path):
    main = store(tmp_path, {NAME: KERNEL}, base="folders")
    chunk = tmp_path / NAME / "0.0"
    chunk.unlink()
    os.mkfifo(chunk)
    with raises("not-a-regular-file", UnreadableError):
        arrays(main)
