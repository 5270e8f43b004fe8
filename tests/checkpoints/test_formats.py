"""Containers: what the real libraries write is read exactly, what is damaged is
refused, little is asked for.
"""

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoint_files import read_all, repacked
from helpers.errors import raises
from numpy.testing import assert_array_equal
from safetensors.torch import save_file

from dsi_cli.checkpoints.checkpoint_reader import require_file, scan_checkpoint
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.checkpoints.formats import OpenFiles, is_checkpoint, open_content
from dsi_cli.checkpoints.tensors import Storage, Tensor, span
from dsi_cli.checkpoints.trainers import state_dicts
from dsi_cli.errors import PendingError, UnreadableError

FLOATS = [
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
]
OTHERS = ["int64", "int32", "int16", "int8", "uint8", "bool"]
UNSIGNED = ["uint64", "uint32", "uint16"]


WRITERS = {
    "torch-zip": torch.save,
    "torch-legacy": lambda tree, path: torch.save(
        tree, path, _use_new_zipfile_serialization=False
    ),
    "safetensors": lambda tree, path: save_file(
        {name: one.contiguous() for name, one in tree.items()}, path
    ),
    "pickle": lambda tree, path: path.write_bytes(pickle.dumps(tree)),
}


def expected(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as torch itself turns it to NumPy; bfloat16 and the 8-bit floats
    by way of float32.
    """
    as_it_is = tensor.dtype.is_floating_point and tensor.dtype not in (
        torch.float64,
        torch.float32,
        torch.float16,
    )
    return (tensor.float() if as_it_is else tensor).detach().numpy()


def sample(dtype: str) -> torch.Tensor:
    """Return all codes of an 8-bit float; numbers of every size for the others."""
    kind = getattr(torch, dtype)
    if dtype.startswith("float8"):
        return (
            torch.arange(256, dtype=torch.int16)
            .to(torch.uint8)
            .view(kind)
            .reshape(16, 16)
        )
    values = torch.tensor([[0, 1, 2, 3], [4, 100, 5, 90]])
    if kind.is_floating_point:
        values = torch.tensor(
            [[0.0, -0.0, 1.5, -3.25], [1e-7, 65504, float("inf"), float("nan")]],
            dtype=torch.float64,
        )
    return values.to(kind)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (kind, dtype)
        for kind in WRITERS
        for dtype in FLOATS + OTHERS + UNSIGNED
        if not (
            kind == "safetensors" and dtype.endswith("fnuz")
        )  # safetensors has no such type
    ],
)
def test_every_dtype_is_read_exactly(kind, dtype, tmp_path):
    if kind != "safetensors" and dtype in ("uint64", "uint32", "uint16"):
        pytest.importorskip("torch", minversion="2.3")
    tensor = sample(dtype)
    WRITERS[kind]({"a": torch.ones(3), "x": tensor}, tmp_path / "x")
    found = read_all(tmp_path / "x")["x"]
    assert_array_equal(found, expected(tensor))
    # bool as 0 and 1
    assert found.dtype == expected(tensor).dtype or found.dtype == np.uint8


@pytest.mark.parametrize(
    "kind", ["torch-zip", 2, 3, 4, 5]
)  # numbers: a legacy file with that protocol of its pickles
def test_tensors_with_strides_and_offsets_are_read_exactly(kind, tmp_path):
    flat = torch.arange(1000, dtype=torch.float32)
    tree = {
        "offset": flat[100:160].view(6, 10),
        "transposed": flat[200:260].view(6, 10).t(),
        "stepped": flat.view(10, 100)[::3, 5::7],
        "column": flat.view(10, 100)[:, 3:4],
        "whole": flat,
        "scalar": flat[7],
        "empty": flat[:0].view(0, 4),
        "overlapping": flat.as_strided((4, 5), (2, 1), 11),
        "channels-last": (
            torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
        ),
    }
    options = (
        {}
        if kind == "torch-zip"
        else {"_use_new_zipfile_serialization": False, "pickle_protocol": kind}
    )
    torch.save(tree, tmp_path / "x", **options)
    found = read_all(tmp_path / "x")
    assert list(found) == list(tree)
    for name, tensor in tree.items():
        assert_array_equal(found[name], tensor.numpy(), err_msg=name)


@pytest.mark.parametrize("kind", ["torch-zip", "torch-legacy", "pickle"])
def test_tied_weights_are_equal(kind, tmp_path):
    tied, other = (
        (np.ones((4, 3)), np.zeros((4, 3)))
        if kind == "pickle"
        else (torch.ones(4, 3), torch.ones(4, 3))
    )
    WRITERS[kind](
        {"fc": tied, "classifier": tied, "other": other}, tmp_path / "model.pkl"
    )
    with OpenFiles() as files:
        (found,) = state_dicts(open_content(tmp_path / "model.pkl", files).tree)
    assert found.tensors["fc"] == found.tensors["classifier"] != found.tensors["other"]


def test_safetensors_are_sorted_by_name_and_keep_metadata(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file(
        {"b": torch.arange(2), "a": torch.zeros(4), "none": torch.zeros(0, 3)},
        path,
        metadata={"epoch": "3"},
    )
    with OpenFiles() as files:
        content = open_content(path, files)
        assert content.format == "safetensors"
        assert content.tree["__metadata__"] == {"epoch": "3"}
        assert list(content.tree) == ["__metadata__", "a", "b", "none"]
        assert content.tree["none"].read().shape == (0, 3)


def write_shards(folder: Path, weight_map: dict[str, str] | None = None) -> Path:
    save_file({"a.weight": torch.ones(2, 3)}, folder / "m-1.safetensors")
    save_file(
        {"fc.weight": torch.full((4, 3), 2.0), "fc.bias": torch.zeros(4)},
        folder / "m-2.safetensors",
    )
    names = {
        "a.weight": "m-1.safetensors",
        "fc.weight": "m-2.safetensors",
        "fc.bias": "m-2.safetensors",
    }
    index = folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps(
            {"metadata": {}, "weight_map": names if weight_map is None else weight_map}
        )
    )
    return index


def test_shards_are_read_as_one(tmp_path):
    found = read_all(write_shards(tmp_path))
    assert_array_equal(found["fc.weight"], np.full((4, 3), 2.0))
    assert_array_equal(found["a.weight"], np.ones((2, 3)))


@pytest.mark.parametrize(
    ("name", "code", "error"),
    [
        *(
            (name, "outside-folder", UnreadableError)
            for name in ("../m-1.safetensors", "/etc/passwd", "sub/m.safetensors")
        ),
        ("m-9.safetensors", "missing-part", PendingError),
    ],
)
def test_open_content_of_a_shard_outside_the_folder_or_missing_raises_the_code(
    name, code, error, tmp_path
):
    with raises(code, error, name=name):
        read_all(write_shards(tmp_path, {"a.weight": name}))


def test_open_content_of_a_shard_that_is_a_link_out_of_the_folder_raises(tmp_path):
    index = write_shards(tmp_path)
    (tmp_path / "inside.bin").write_bytes((tmp_path / "m-1.safetensors").read_bytes())
    (tmp_path / "m-1.safetensors").unlink()
    (tmp_path / "m-1.safetensors").symlink_to("inside.bin")
    assert_array_equal(read_all(index)["a.weight"], np.ones((2, 3)))
    folder = tmp_path / "model"
    folder.mkdir()
    index = write_shards(folder)
    (folder / "m-1.safetensors").unlink()
    (folder / "m-1.safetensors").symlink_to("../inside.bin")
    with raises("outside-folder", UnreadableError, name="m-1.safetensors"):
        read_all(index)


@pytest.mark.parametrize(
    ("target", "code"), [("model", None), ("other", "outside-folder")]
)
def test_open_content_in_the_cache_of_hugging_face_follows_links_within_one_model(
    target, code, tmp_path
):
    model = tmp_path / "models--org--model"
    snapshot, blobs = (
        model / "snapshots" / "0123abcd",
        tmp_path / f"models--org--{target}" / "blobs",
    )
    snapshot.mkdir(parents=True)
    blobs.mkdir(parents=True)
    write_shards(blobs)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(
            Path(os.path.relpath(blobs, snapshot)) / file.name
        )
    index = snapshot / "model.safetensors.index.json"
    if code is None:
        assert_array_equal(read_all(index)["a.weight"], np.ones((2, 3)))
    else:
        with raises(code, UnreadableError):
            read_all(index)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "damaged-json"),
        ("[]", "no-weight-map"),
        ('{"weight_map": {"a": 3}}', "no-weight-map"),
    ],
)
def test_open_content_of_a_damaged_index_raises_the_code(text, code, tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with raises(code, UnreadableError):
        read_all(index)


@pytest.fixture
def saved(state_dict, tmp_path) -> Path:
    torch.save(state_dict, tmp_path / "x.pt")
    return tmp_path / "x.pt"


def test_other_compression_is_refused(saved, tmp_path):
    with raises("unknown-compression", UnreadableError):
        read_all(repacked(saved, tmp_path / "new.pt", compression=zipfile.ZIP_BZIP2))


def test_big_endian_archives_are_read(tmp_path):
    values = torch.arange(12, dtype=torch.float32).view(3, 4)
    half = values.to(torch.bfloat16)
    path = tmp_path / "x.pt"
    torch.save({"x": values, "h": half}, path)
    swapped = {"byteorder": b"big", "data/0": values.numpy().astype(">f4").tobytes()}
    swapped["data/1"] = half.view(torch.int16).numpy().astype(">i2").tobytes()
    found = read_all(repacked(path, tmp_path / "new.pt", swapped))
    assert_array_equal(found["x"], values.numpy())
    assert_array_equal(found["h"], values.numpy())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"data/1": None}, "missing-storage"),
        ({"data/1": b"\0" * 20}, "size-mismatch"),
        ({"data.pkl": None}, "unknown-archive"),
        ({"data.pkl": b"\xff"}, "unknown-opcode"),
        ({"data.pkl": b""}, "pickle-exhausted"),
        ({"byteorder": b"b" * 100}, "entry-too-large"),
    ],
)
def test_open_content_of_a_damaged_archive_raises_the_code(
    change, code, saved, tmp_path
):
    with raises(code, UnreadableError):
        read_all(repacked(saved, tmp_path / "new.pt", change))


def test_an_encrypted_archive_is_refused(saved):
    data = bytearray(saved.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"x/data/1"))
    data[at + 8] |= 1
    saved.write_bytes(data)
    with raises("encrypted-archive", UnreadableError):
        read_all(saved)


def test_a_wrong_checksum_is_noted_but_read(saved, state_dict):
    data = bytearray(saved.read_bytes())
    at = data.index(state_dict["fc.weight"].numpy().tobytes())
    data[at] ^= 1
    saved.write_bytes(data)
    found = scan_checkpoint(require_file(saved))
    assert found.record.status == "ok"
    assert (
        found.record.reason
        == "the checksum of 'x/data/1' is wrong: the file may be damaged"
    )


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        *(
            ((2, 2), (2, 1), 1),
            ((2, 2), (2, -1), 0),
            ((-2, 2), (2, 1), 0),
            ((2, 2), (2,), 0),
            ((2, 2), (2, 1), None),
        ),
        *(((1,) * 40, (1,) * 40, 0), ((1 << 70, 1), (1, 1), 0), ((2, "2"), (2, 1), 0)),
    ],
)
def test_impossible_tensors_are_refused(shape, strides, offset):
    with raises("impossible-tensor", UnreadableError):
        span(Tensor("float32", shape, strides, offset, Storage("0", "float32", 4)))


@pytest.mark.parametrize("content", [b"", b"PK\x03"])
def test_a_file_without_its_first_bytes_is_pending(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with raises("empty-file", PendingError):
        read_all(tmp_path / "x.pt")


HEADERS = {
    "no-object": (b"{3", "damaged-json"),
    "overlap": (
        {"a": ["F32", [2], [0, 8]], "b": ["F32", [2], [4, 12]]},
        "damaged-header",
    ),
    "hole": (
        {"a": ["F32", [2], [0, 8]], "b": ["F32", [1], [12, 16]]},
        "damaged-header",
    ),
    "shape": ({"a": ["F32", [3], [0, 16]]}, "damaged-header"),
    "backwards": ({"a": ["F32", [0], [8, 0]]}, "damaged-header"),
    "negative": ({"a": ["F32", [-1, -2], [0, 8]]}, "damaged-header"),
    "huge": ({"a": ["F32", [1 << 70, 0], [0, 0]]}, "damaged-header"),
    "many": ({"a": ["F32", [1] * 100, [0, 4]]}, "damaged-header"),
    "bool": ({"a": ["F32", [True], [0, 4]]}, "damaged-header"),
    "text": ({"a": ["F32", "2", [0, 8]]}, "damaged-header"),
    "dtype": ({"a": ["F7", [2], [0, 16]]}, "unsupported-dtype"),
    "trailing": ({"a": ["F32", [1], [0, 4]]}, "damaged-header"),
    "beyond": ({"a": ["F32", [8], [0, 32]]}, "cut-off"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_lying_safetensors_header_is_refused(name, tmp_path):
    entries, code = HEADERS[name]
    header = entries
    if isinstance(entries, dict):
        keys = ("dtype", "shape", "data_offsets")
        header = json.dumps(
            {key: dict(zip(keys, entry, strict=True)) for key, entry in entries.items()}
        ).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with raises(code):
        read_all(path)


LEGACY = [
    0x1950A86A20F9469CFC6C,
    1001,
    {"protocol_version": 1001, "little_endian": True},
]


@pytest.mark.parametrize("storages", [["7"], {"7": 1}, [7]])
def test_open_content_of_a_legacy_file_with_a_wrong_list_raises_damaged_storage(
    storages, tmp_path
):
    path = tmp_path / "x.pt"
    path.write_bytes(
        b"".join(pickle.dumps(part, 2) for part in [*LEGACY, {"a": 1}, storages])
    )
    with raises("damaged-storage", UnreadableError):
        read_all(path)


def test_formats_are_recognised_by_their_contents(tmp_path):
    for kind in WRITERS:
        path = tmp_path / kind
        WRITERS[kind](
            {"conv.weight": torch.randn(2, 2, 3, 3), "fc.weight": torch.randn(3, 4)},
            path,
        )
        with RandomAccessFile(path) as source:
            assert is_checkpoint(source)
        with OpenFiles() as files:
            assert open_content(path, files).format == kind
    for text in (
        b"",
        b"<!DOCTYPE html>.",
        pickle.dumps({"loss": [1.0, 0.5], "accuracy": np.ones(3)}),
    ):
        path = tmp_path / "other"
        path.write_bytes(text)
        with RandomAccessFile(path) as source:
            assert not is_checkpoint(source)


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "pickle"])
def test_little_of_a_large_file_is_asked_for(kind, tmp_path):
    path = tmp_path / "x"
    WRITERS[kind](
        {
            "body.weight": torch.zeros(5_000_000),
            "fc.weight": torch.ones(10, 64),
            "tail": torch.zeros(1000),
        },
        path,
    )
    with OpenFiles() as files:
        content, (source,) = open_content(path, files), files.sources
        assert_array_equal(content.tree["fc.weight"].read(), np.ones((10, 64)))
        assert source.size > 20_000_000
        assert source.bytes_read < (1_100_000 if kind == "torch-legacy" else 140_000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_random_access_file_that_becomes_a_pipe_before_it_is_opened_is_refused(
    tmp_path, monkeypatch
):
    path = tmp_path / "epoch_1.pt"
    path.write_bytes(b"a file")
    look = Path.stat

    def stat(self, **options):
        info = look(self, **options)
        if self == path:
            path.unlink()
            os.mkfifo(path)
        return info

    monkeypatch.setattr(Path, "stat", stat)
    # Without O_NONBLOCK, this would wait for a writer forever.
    with raises("not-a-regular-file", UnreadableError):
        RandomAccessFile(path)
