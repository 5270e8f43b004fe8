"""``torch.save`` since PyTorch 1.6: a zip archive with one pickle and one entry per storage.

``ROOT/data.pkl`` is the object, ``ROOT/data/KEY`` is a storage, and ``ROOT/byteorder`` states the order of bytes. dsi reads only
the directory, the pickle and the bytes of the requested tensor. A TorchScript archive additionally holds code, which dsi ignores.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.checkpoints.pickle.machine import read_pickle
from dsi_cli.checkpoints.pickle.objects import storage_of
from dsi_cli.checkpoints.tensors import Tensor, decode, span
from dsi_cli.errors import UnreadableError

MAX_PICKLE_BYTES = 64 << 20


def open_content(archive: Archive) -> CheckpointContent:
    """Return the content of a torch zip archive; errors as `formats.open_content`."""
    pickles = [name for name in archive.sizes if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        message = f"a zip archive, but not of torch.save: {len(pickles)} entries named data.pkl, expected one"
        raise UnreadableError(message, code="several-pickles")
    root = pickles[0].removesuffix("data.pkl")
    tree, _ = read_pickle(archive.read_entry(pickles[0], MAX_PICKLE_BYTES), persistent_load=storage_of)
    byte_order = f"{root}byteorder"
    big_endian = byte_order in archive.sizes and archive.read_entry(byte_order, 16).strip() == b"big"

    def read(tensor: Tensor) -> NDArray[Any]:
        entry = f"{root}data/{tensor.storage.key}"
        if entry not in archive.sizes:
            raise UnreadableError(f"the archive has no storage {tensor.storage.key!r}", code="missing-storage")
        start, size = span(tensor)
        if start + size > archive.sizes[entry]:
            raise UnreadableError(
                f"storage {tensor.storage.key!r} has {archive.sizes[entry]} bytes, the tensor needs {start + size}",
                code="size-mismatch",
            )
        return decode(tensor, archive.read_range(entry, start, size), big_endian=big_endian)

    return CheckpointContent(tree, read, archive.notes)
