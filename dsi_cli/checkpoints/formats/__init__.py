"""The container formats, one module each. Every module returns a `CheckpointContent`:
tensors with shapes, which can be read.

dsi recognises a file by its first bytes, and a zip archive by the names of its entries.
It recognises a folder that is one checkpoint by a marker file. It never uses the
suffix.

To add a format, add a module to this package and a line to `FORMATS`. The module
defines ``open_content(source)`` for files, ``open_content(archive)`` for zip archives,
or ``open_folder(marker, files)`` for folders.
"""

from __future__ import annotations

import re
import shlex
import zlib
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, NamedTuple

from dsi_cli import plugins
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.errors import PendingError, UnreadableError, count
from dsi_cli.remote.locations import Place


@dataclass(frozen=True)
class CheckpointContent:
    """The contents of a container."""

    tree: Any
    """Plain dicts, lists, scalars, inert objects and `Tensor` records, which are read
    as long as the file is open.

    The tree may hold cycles.
    """
    # warnings about a file that could be read, such as a wrong checksum
    notes: list[str] = field(default_factory=list)
    outputs: list[str] | None = None
    """The names of the weights whose layers compute the outputs of the model; None if
    the file does not state them.
    """
    format: str = ""  # the name in `FORMATS`


class OpenFiles(ExitStack):
    """The open files of one checkpoint, ``sources``, which are closed at the end of the
    context.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[RandomAccessFile] = []

    def open(self, path: Place) -> RandomAccessFile:
        """Open one more file."""
        self.sources.append(self.enter_context(RandomAccessFile(path)))
        return self.sources[-1]


class Format(NamedTuple):
    """One container: a file, a zip archive or a folder."""

    name: str
    module: str  # the module of this package that reads it
    matches_head: Callable[[bytes], bool] | None = None
    """A function that returns whether a file with these first bytes (at most 16) may
    have this format.
    """
    matches_entries: Callable[[Collection[str]], bool] | None = None
    """A function that returns whether a zip archive with these entry names has this
    format.
    """
    markers: tuple[str, ...] = ()
    """Patterns for the name of the file that marks a folder of this format, in order of
    preference.
    """


_MAX_IR_VERSION = 31
_ONNX_TAGS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42})
_ONNX_MESSAGES, _ONNX_NUMBER = frozenset({0x3A, 0x42}), 0x28
_MSGPACK = re.compile(
    rb"([\x81-\x8f]|\xde(?!\0\0)[\0-\x3f].|\xdf\0\0(?!\0\0)[\0-\x3f].)(\xd9(?P<size>.)|(?P<tag>[\xa1-\xbf]))",
    re.DOTALL,
)
"""A mapping whose first key is a text. The number of keys, below 16,384, and the length
of the text are in a byte or follow it.
"""
_ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_HTML_PAGE = (
    "an HTML page, as of a failed download or a folder of a web server; give the"
    " checkpoint itself"
)
_OTHER_CONTENTS = {
    b"\xfd7zXZ\0": "xz-compressed; run unxz {}",
    b"BZh": "bzip2-compressed; run bunzip2 {}",
    b"\x28\xb5\x2f\xfd": "zstd-compressed; run unzstd {}",
    b"version https://": (
        "a pointer of Git LFS instead of the checkpoint; run git lfs pull"
    ),
    b"<!DOCTYPE html": _HTML_PAGE,
    b"<!DOCTYPE HTML": _HTML_PAGE,
    b"<!doctype html": _HTML_PAGE,
    b"<html": _HTML_PAGE,
}
"""Messages on what is wrong with a file, and what to do, by its first bytes."""
_TAR, _TAR_OFFSET = b"ustar", 257
_OTHER_FORMATS = {
    ".caffemodel": "Caffe",
    ".data-00000-of-00001": "TensorFlow",
    ".engine": "TensorRT",
    ".eqx": "Equinox",
    ".gguf": "GGUF",
    ".index": "TensorFlow",
    ".joblib": "joblib",
    ".mlmodel": "Core ML",
    ".npy": "numpy.save, without a name",
    ".params": "MXNet",
    ".pb": "TensorFlow",
    ".tflite": "TensorFlow Lite",
    ".ubj": "XGBoost",
}
"""Formats that dsi does not read, by the suffix of the file."""
UNREAD_SUFFIXES = frozenset(
    {*_OTHER_FORMATS, ".bz2", ".gz", ".nemo", ".tgz", ".xz", ".zip", ".zst"}
)
"""Suffixes of files that may contain weights in a form that dsi does not read; its
message says how to convert them.
"""
# the number of bytes inflated from a gzip file, enough for the header and name of a zip
# entry
_INFLATED_HEAD_BYTES = 64
_MAX_PICKLE_BYTES = 512 << 20
"""The maximum size of a pickle without a checkpoint's suffix that is read completely in
search of weights.
"""
HDF5 = b"\x89HDF\r\n\x1a\n"
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# such as with ``pickle_protocol=4``
_ANY_LEGACY = re.compile(rb"\x80([\x02\x03]|[\x04\x05]\x95\r\0{7})\x8a\nl\xfc\x9c")
# the begin of a pickle, except those that begin like `_LEGACY`
_PICKLE = re.compile(rb"\x80[\x02-\x05](?!\x8a\n)")
_WEIGHT = re.compile(r"(^|[._/])(weights?|kernel|w)(_?\d+|_[a-z]+)?$", re.IGNORECASE)
"""The name of an array that is a weight: ``fc.weight``, ``W1``, ``w_out``."""


def _is_onnx(head: bytes) -> bool:
    """Return whether the bytes are the first fields of a model: a small version, then
    texts, numbers or the graph, in order.
    """
    if len(head) < 4 or head[0] != 0x08 or not 1 <= head[1] <= _MAX_IR_VERSION:
        return False
    position, previous_tag = 2, 0x08
    while position + 1 < len(head):
        tag, size = head[position], head[position + 1]
        if tag <= previous_tag or tag not in _ONNX_TAGS:
            return False
        if tag in _ONNX_MESSAGES:
            return size > 0
        if tag == _ONNX_NUMBER:
            size = 0
        if size > 0x7F or not _is_ascii_text(head[position + 2 : position + 2 + size]):
            return False
        position, previous_tag = position + 2 + size, tag
    return True


def _is_ascii_text(data: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in data)


def _is_msgpack(head: bytes) -> bool:
    """Return whether the bytes begin a mapping that is not empty and whose first key is
    ASCII text of less than 256 bytes.
    """
    match = _MSGPACK.match(head)
    if match is None:
        return False
    size = match["size"][0] if match["size"] else match["tag"][0] - 0xA0
    text = head[match.end() : match.end() + size]
    return bool(text) and _is_ascii_text(text)


def _has_files(*names: str) -> Callable[[Collection[str]], bool]:
    """Return a function that tests whether an archive has files with these names, in
    any of its folders.
    """
    return lambda entries: all(
        any(entry.rpartition("/")[2] == name for entry in entries) for name in names
    )


FORMATS = (
    Format("torch-export", "torch_save", matches_entries=_has_files("archive_format")),
    Format(
        "torch-export",
        "torch_save",
        matches_entries=_has_files("serialized_state_dict.pt"),
    ),  # before PyTorch 2.8
    Format(
        "torchscript",
        "torch_save",
        matches_entries=_has_files("data.pkl", "constants.pkl"),
    ),
    Format("torch-zip", "torch_save", matches_entries=_has_files("data.pkl")),
    Format("keras", "keras", matches_entries=_has_files("model.weights.h5")),
    Format(
        "npz",
        "npz",
        matches_entries=lambda entries: {name[-4:] for name in entries} == {".npy"},
    ),
    Format(
        "torch-legacy",
        "torch_save",
        matches_head=lambda head: bool(_ANY_LEGACY.match(head)),
    ),
    # The first eight bytes are the length of a JSON object, which is less than 2 ** 32.
    Format(
        "safetensors",
        "safetensors",
        matches_head=lambda head: head[4:9] == b"\0\0\0\0{",
    ),
    Format("hdf5", "keras", matches_head=lambda head: head.startswith(HDF5)),
    Format("onnx", "onnx", matches_head=_is_onnx),
    Format("msgpack", "jax", matches_head=_is_msgpack),
    Format(
        "pickle",
        "plain_pickle",
        matches_head=lambda head: _PICKLE.match(head) is not None,
    ),
    Format("safetensors-sharded", "safetensors", markers=("*.safetensors.index.json",)),
    Format("torch-sharded", "safetensors", markers=("*.bin.index.json",)),
    Format("torch-distributed", "torch_distributed", markers=(".metadata",)),
    Format(
        "deepspeed",
        "deepspeed",
        markers=(
            "mp_rank_00_model_states.pt",
            "zero_pp_rank_0_mp_rank_00_model_states.pt",
        ),
    ),
    Format(
        "orbax", "jax", markers=("_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt")
    ),
)
WHOLE_FOLDERS = tuple(
    marker for format_ in FORMATS for marker in format_.markers if "*" not in marker
)
"""The marker files of folders that hold exactly one checkpoint and are not searched
further.
"""
EXPECTED = "a checkpoint of torch, safetensors, Keras, Flax, ONNX or NumPy"


def is_checkpoint(source: RandomAccessFile) -> bool:
    """Return whether a file holds weights, judged only by its contents and not by its
    name.

    The first bytes are enough for most formats. For a zip archive, which may be a
    document, the names of the entries decide. A pickle or an archive of NumPy arrays
    counts only if it holds a weight. A gzip file counts if its decompressed bytes begin
    like a checkpoint.

    Raise `CheckpointError` if the file cannot be read, or breaks off.
    """
    head = source.head(16)
    if head.startswith(_GZIP):
        inflated = b""
        with suppress(zlib.error):
            compressed = source.head(_INFLATED_HEAD_BYTES * 16)
            inflated = zlib.decompressobj(31).decompress(
                compressed, _INFLATED_HEAD_BYTES
            )
        return _format_of_head(inflated) is not None or (
            inflated.startswith(_ZIP) and b"data.pkl" in inflated
        )
    format_, container = _recognise(source)
    if format_ is None or format_.name not in ("npz", "pickle"):
        return format_ is not None
    if format_.name == "npz" and "arr_0.npy" not in container.sizes:
        return _has_weight(name.removesuffix(".npy") for name in container.sizes)
    if source.size > _MAX_PICKLE_BYTES:
        return False
    from dsi_cli.checkpoints.trainers import state_dicts

    return any(
        _has_weight(group.tensors)
        for group in state_dicts(_import_reader(format_).open_content(container).tree)
    )


def _has_weight(names: Iterable[str]) -> bool:
    return any(map(_WEIGHT.search, names))


def _format_of_head(head: bytes) -> Format | None:
    return next(
        (item for item in FORMATS if item.matches_head and item.matches_head(head)),
        None,
    )


def plugin_format(head: bytes) -> Format | None:
    """Return the format of a plug-in whose files begin with these bytes, or None."""
    for plugin in plugins.load(plugins.FORMATS).values():
        if head.startswith(plugin.content.MAGIC):
            return Format(plugin.name, "plugin")
    return None


def _recognise(source: RandomAccessFile) -> tuple[Format | None, Any]:
    """Return the format of a file, or None if it has none, and the file or the zip
    archive in it.
    """
    head = source.head(16)
    if not head.startswith(_ZIP):
        return _format_of_head(head) or plugin_format(head), source
    from dsi_cli.checkpoints.formats.zip_archive import Archive

    archive = Archive(source)
    return (
        next(
            (
                item
                for item in FORMATS
                if item.matches_entries and item.matches_entries(archive.sizes)
            ),
            None,
        ),
        archive,
    )


def open_content(path: Place, files: OpenFiles) -> CheckpointContent:
    """Return the content of a checkpoint, whose files stay open as long as ``files``.

    Raise `UnreadableError` if the file is damaged or its format is not supported, and
    `PendingError` if it breaks off like a file that is still being written.
    """
    format_ = next(
        (
            item
            for item in FORMATS
            if any(fnmatchcase(path.name, marker) for marker in item.markers)
        ),
        None,
    )
    if format_ is not None:
        content: CheckpointContent = _import_reader(format_).open_folder(path, files)
        return replace(content, format=format_.name)
    return open_source(files.open(path))


def open_source(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of one file, which may be stored inside another; errors as
    `open_content`.
    """
    format_, container = _recognise(source)
    if format_ is not None:
        content: CheckpointContent = _import_reader(format_).open_content(container)
        return replace(content, format=format_.name)
    if container is not source:
        listed = ", ".join(list(container.sizes)[:3]) or "none"
        message = (
            "a zip archive, but not a checkpoint that dsi reads: its entries are"
            f" {listed[:200]}"
        )
        raise UnreadableError(message, code="unknown-archive")
    head = source.head(16)
    if any(magic.startswith(head) for magic in (_ZIP, _LEGACY, HDF5)):
        raise PendingError(
            "the file is empty, or breaks off in its first bytes", code="empty-file"
        )
    name = shlex.quote(
        str(source.path).encode("utf-8", "backslashreplace").decode("utf-8")
    )
    if head.startswith(_GZIP):
        # gunzip requires a name that ends in .gz.
        if source.path.suffix == ".gz":
            command = f"gunzip {name}"
        else:
            command = f"mv {name} {name}.gz && gunzip {name}.gz"
        raise UnreadableError(f"gzip-compressed; run {command}", code="gzip-compressed")
    for magic, problem in _OTHER_CONTENTS.items():
        if head.startswith(magic):
            raise UnreadableError(problem.format(name), code="other-content")
    if source.head(_TAR_OFFSET + len(_TAR))[_TAR_OFFSET:] == _TAR:
        raise UnreadableError(
            f"a tar archive; run tar -xf {name}", code="unknown-archive"
        )
    other = _OTHER_FORMATS.get(source.path.suffix.lower())
    if other is not None:
        raise unread_format(other)
    raise UnreadableError(
        f"a file of {count(source.size, 'byte')}, but not {EXPECTED}",
        code="unknown-container",
    )


def unread_format(title: str) -> UnreadableError:
    """Return the error for a format that dsi recognises, but does not read."""
    message = (
        f"a format that dsi does not read ({title}); load it and save its weights by"
        " name, for example with"
    )
    message += " numpy.savez('epoch_1.npz', **{'fc.weight': weight})"
    return UnreadableError(message, code="unread-format", format=title)


def _import_reader(format_: Format) -> Any:
    return import_module(f"dsi_cli.checkpoints.formats.{format_.module}")
