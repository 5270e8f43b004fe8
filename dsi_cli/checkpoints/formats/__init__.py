"""The containers that are read: one module each, all giving a `CheckpointContent`: tensors with shapes, and a way to read one.

A file is recognised by its first bytes, a zip archive by the names of its entries, a folder that is one checkpoint by a file that
marks it; never by a suffix. To add one: a module here, and a line in `FORMATS`. Its function is ``open_content(source)`` for files,
``open_content(archive)`` for zip archives, and ``open_folder(mark, stack, sources)`` for folders.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.tensors import Tensor, decode, dequantise, span
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.locations import Place


@dataclass(frozen=True)
class CheckpointContent:
    """What a container holds: inert data whose leaves include `Tensor` records, and the way to read one of them."""

    tree: Any
    """Plain dicts, lists, scalars and stand-ins; may hold cycles."""
    read: Callable[[Tensor], NDArray[Any]]
    notes: list[str] = field(default_factory=list)
    """What a person should know though the file could be read (a wrong checksum)."""
    outputs: list[str] | None = None
    """The names of the weights whose layers compute the outputs of the model; None if the file does not tell."""


class Format(NamedTuple):
    """One container: a file, a zip archive or a folder."""

    name: str
    module: str
    title: str
    begins: Callable[[bytes], bool] | None = None
    """Whether a file with these first bytes (16, or fewer if it is shorter) may be one."""
    holds: Callable[[Collection[str]], bool] | None = None
    """Whether a zip archive with entries of these names is one."""
    marks: tuple[str, ...] = ()
    """Patterns of the names of the file that makes a folder one, the best first."""


_LATEST_IR_VERSION = 31
_ONNX_TAGS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42})
_ONNX_MESSAGES, _ONNX_NUMBER = frozenset({0x3A, 0x42}), 0x28
_MOST_KEYS = 1 << 14
_ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_INFLATED_HEAD = 64
"""Bytes of a gzip file that are inflated to see whether a checkpoint was compressed: a zip entry's header and name."""
_LARGEST_PICKLE = 512 << 20
"""Bytes of a pickle without a checkpoint's suffix that is read whole to see whether it holds weights."""
HDF5 = b"\x89HDF\r\n\x1a\n"
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def _is_legacy(head: bytes) -> bool:
    return head.startswith(_LEGACY)


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def _is_pickle(head: bytes) -> bool:
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and not head.startswith(_LEGACY[:4])


def _is_onnx(head: bytes) -> bool:
    """Whether these are the first fields of a model: a small version, then texts, numbers or the graph, in their order."""
    if len(head) < 4 or head[0] != 0x08 or not 1 <= head[1] <= _LATEST_IR_VERSION:
        return False
    at, last = 2, 0x08
    while at + 1 < len(head):
        tag, size = head[at], head[at + 1]
        if tag <= last or tag not in _ONNX_TAGS:
            return False
        if tag in _ONNX_MESSAGES:
            return size > 0
        size = 0 if tag == _ONNX_NUMBER else size
        if size > 0x7F or not all(0x20 <= byte < 0x7F for byte in head[at + 2 : at + 2 + size]):
            return False
        at, last = at + 2 + size, tag
    return True


def _is_msgpack(head: bytes) -> bool:
    """Whether these begin a mapping that is not empty, whose first key is a plain text, shorter than 256 bytes."""
    at = {0xDE: 3, 0xDF: 5}.get(head[0], 1) if head else 1
    is_map = 0x81 <= head[0] <= 0x8F if at == 1 and head else 0 < int.from_bytes(head[1:at], "big") < _MOST_KEYS
    key = head[at : at + 1]
    if not is_map or not key:
        return False
    begin, size = (at + 2, int.from_bytes(head[at + 1 : at + 2], "big")) if key == b"\xd9" else (at + 1, key[0] - 0xA0)
    text = head[begin : begin + size]
    return (key == b"\xd9" or 0xA1 <= key[0] <= 0xBF) and bool(text) and all(0x20 <= byte < 0x7F for byte in text)


def _ends(*names: str) -> Callable[[Collection[str]], bool]:
    """Return whether entries of these names are there, in whatever folder of the archive."""
    return lambda entries: all(any(entry.rpartition("/")[2] == name for entry in entries) for name in names)


def _is_npz(entries: Collection[str]) -> bool:
    return bool(entries) and all(entry.endswith(".npy") for entry in entries)


FORMATS = (
    Format("torch-export", "torch_export", "torch.export.save: .pt2", holds=_ends("archive_format")),
    Format("torch-export", "torch_export", "torch.export.save before 2.8", holds=_ends("serialized_state_dict.pt")),
    Format("torchscript", "torch_zip", "TorchScript: its parameters", holds=_ends("data.pkl", "constants.pkl")),
    Format("torch-zip", "torch_zip", "torch.save since PyTorch 1.6: a zip archive", holds=_ends("data.pkl")),
    Format("keras", "keras", "Keras 3: .keras", holds=_ends("model.weights.h5")),
    Format("npz", "npz", "numpy.savez: arrays by name", holds=_is_npz),
    Format(
        "torch-legacy",
        "torch_legacy",
        "torch.save before PyTorch 1.6: a row of pickles",
        begins=_is_legacy,
    ),
    Format("safetensors", "safetensors", "safetensors, one file", begins=_is_safetensors),
    Format("hdf5", "keras_h5", "Keras: .weights.h5, .h5", begins=lambda head: head.startswith(HDF5)),
    Format("onnx", "onnx", "ONNX: initialisers", begins=_is_onnx),
    Format("msgpack", "msgpack", "Flax: MessagePack of nested mappings of arrays", begins=_is_msgpack),
    Format("pickle", "plain_pickle", "pickle.dump of tensors or arrays", begins=_is_pickle),
    Format("safetensors-sharded", "sharded", "safetensors, shards under an index", marks=("*.safetensors.index.json",)),
    Format("torch-sharded", "sharded", "torch.save, shards under an index", marks=("*.bin.index.json",)),
    Format("torch-distributed", "torch_distributed", "torch.distributed.checkpoint: a folder", marks=(".metadata",)),
    Format(
        "deepspeed",
        "deepspeed",
        "DeepSpeed: a folder, ZeRO-3 put together from its ranks",
        marks=("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_model_states.pt"),
    ),
    Format(
        "orbax", "orbax", "Orbax: a folder of Zarr arrays", marks=("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt")
    ),
)
WHOLE_FOLDERS = tuple(mark for one in FORMATS for mark in one.marks if "*" not in mark)
"""The marks of folders of which nothing but one checkpoint is expected: they are not searched further."""
EXPECTED = "a checkpoint of torch, safetensors, Keras, Flax, ONNX or NumPy"
MAGICS = (_ZIP, _LEGACY, HDF5)


def is_checkpoint(source: RandomAccessFile) -> bool:
    """Return whether a file holds weights, judged by its contents alone: its name may be any.

    The first bytes are enough for most formats. A zip archive may be a document, so its entries are looked at. A pickle may
    be anything, so it counts only if it holds a weight; the same goes for an archive of NumPy arrays, which may be predictions.
    A gzip file counts if what was compressed begins like a checkpoint.

    Raises
    ------
    CheckpointError
        The file cannot be read, or breaks off.
    """
    head = source.head(16)
    if head.startswith(_GZIP):
        inflated = _inflated_head(source)
        return _of_bytes(inflated) is not None or (inflated.startswith(_ZIP) and b"data.pkl" in inflated)
    if head.startswith(_ZIP):
        from dsi_cli.checkpoints.formats.zip_archive import Archive

        names = Archive(source).sizes
        found = _of_entries(names)
        return found is not None and (found.name != "npz" or _has_weight(name.removesuffix(".npy") for name in names))
    found = _of_bytes(head)
    if found is None or found.name != "pickle":
        return found is not None
    if source.size > _LARGEST_PICKLE:
        return False
    from dsi_cli.checkpoints.trainers import state_dicts

    return any(_has_weight(group.tensors) for group in state_dicts(_opened(found).open_content(source).tree))


def _has_weight(names: Iterable[str]) -> bool:
    return any(name.rpartition(".")[2].rpartition("/")[2] in ("weight", "kernel") for name in names)


def _inflated_head(source: RandomAccessFile) -> bytes:
    """Return the first bytes of what a gzip file holds; none if it is damaged."""
    try:
        return zlib.decompressobj(31).decompress(source.head(_INFLATED_HEAD * 16), _INFLATED_HEAD)
    except zlib.error:
        return b""


def _of_bytes(head: bytes) -> Format | None:
    return next((one for one in FORMATS if one.begins is not None and one.begins(head)), None)


def _of_entries(names: Collection[str]) -> Format | None:
    return next((one for one in FORMATS if one.holds is not None and one.holds(names)), None)


def of_mark(name: str) -> Format | None:
    """Return the format of the folder that a file of this name marks, None where it marks none."""
    return next((one for one in FORMATS if any(fnmatchcase(name, mark) for mark in one.marks)), None)


def open_content(path: Place, stack: ExitStack) -> tuple[str, CheckpointContent, list[RandomAccessFile]]:
    """Return the format's name, the content, and the sources that were opened (closed by ``stack``).

    Raises
    ------
    UnreadableError
        Not a container that is read, or damaged.
    PendingError
        It breaks off in the way of a file that is still being written.
    """
    folder = of_mark(path.name)
    if folder is not None:
        sources: list[RandomAccessFile] = []
        return folder.name, _complete(_opened(folder).open_folder(path, stack, sources)), sources
    source = stack.enter_context(RandomAccessFile(path))
    name, content = open_source(source)
    return name, content, [source]


def open_source(source: RandomAccessFile) -> tuple[str, CheckpointContent]:
    """Return the format's name and the content of one file, which may stand inside another; errors as `open_content`."""
    head = source.head(16)
    if head.startswith(_ZIP):
        return _open_archive(source)
    found = _of_bytes(head)
    if found is None:
        if any(magic.startswith(head) for magic in MAGICS):
            raise PendingError("empty, or breaks off in its first bytes")
        if head.startswith(_GZIP):
            raise UnreadableError(f"gzip-compressed; run {_gunzip(source.path)}")
        raise UnreadableError(f"not a container that dsi reads: expected {EXPECTED}")
    return found.name, _complete(_opened(found).open_content(source))


def _gunzip(path: Place) -> str:
    """Return the command that decompresses a file; gunzip takes only names that end in .gz."""
    name = shlex.quote(str(path).encode("utf-8", "backslashreplace").decode("utf-8"))
    return f"gunzip {name}" if path.suffix == ".gz" else f"mv {name} {name}.gz && gunzip {name}.gz"


def _open_archive(source: RandomAccessFile) -> tuple[str, CheckpointContent]:
    from dsi_cli.checkpoints.formats.zip_archive import Archive

    archive = Archive(source)
    found = _of_entries(archive.sizes)
    if found is None:
        listed = ", ".join(list(archive.sizes)[:3]) or "none"
        raise UnreadableError(f"a zip archive, but no checkpoint that dsi reads: its entries are {listed[:200]}")
    return found.name, _complete(_opened(found).open_content(archive))


def _opened(format_: Format) -> Any:
    return import_module(f"dsi_cli.checkpoints.formats.{format_.module}")


def _complete(content: CheckpointContent) -> CheckpointContent:
    """Return content that also reads tensors whose bytes stand within a pickle, and quantised ones as the numbers they mean."""

    def stored(tensor: Tensor) -> NDArray[Any]:
        held = tensor.storage.data
        if tensor.storage.lacking is not None:
            raise UnreadableError(tensor.storage.lacking)
        if held is None:
            return content.read(tensor)
        start, size = span(tensor)
        if start + size > len(held):
            raise UnreadableError(f"an array has {len(held)} bytes, {start + size} are needed")
        return decode(tensor, held[start : start + size])

    def read(tensor: Tensor) -> NDArray[Any]:
        values = stored(tensor)
        return values if tensor.quantiser is None else dequantise(values, tensor.quantiser, stored)

    return replace(content, read=read)
