"""``torch.save`` since PyTorch 1.6: a zip archive with one pickle and one entry a storage.

``ROOT/data.pkl`` is the object, ``ROOT/data/KEY`` a storage, ``ROOT/byteorder`` says how numbers are stored. Only the
directory, the pickle and the bytes of the tensor asked for are read. A TorchScript archive is the same, with code beside it that
is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.formats.zip_archive import Archive
from dsi_cli.checkpoints.pickle.machine import read_pickle
from dsi_cli.checkpoints.pickle.objects import storage_of
from dsi_cli.checkpoints.tensors import Tensor, decode, span
from dsi_cli.errors import UnreadableError

LARGEST_PICKLE = 64 << 20


def open_content(archive: Archive) -> CheckpointContent:
    """Return the content of a torch zip archive; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    pickles = _pickles(archive.sizes)
    if len(pickles) != 1:
        raise UnreadableError(f"a zip archive, but not of torch.save: {len(pickles)} entries named data.pkl, expected one")
    root = pickles[0].removesuffix("data.pkl")
    tree, _ = read_pickle(archive.whole(pickles[0], LARGEST_PICKLE), persistent=storage_of)
    order = f"{root}byteorder"
    big_endian = order in archive.sizes and archive.whole(order, 16).strip() == b"big"

    def read(tensor: Tensor) -> NDArray[Any]:
        entry = f"{root}data/{tensor.storage.key}"
        if entry not in archive.sizes:
            raise UnreadableError(f"the archive has no storage {tensor.storage.key!r}")
        start, size = span(tensor)
        if start + size > archive.sizes[entry]:
            raise UnreadableError(
                f"storage {tensor.storage.key!r} has {archive.sizes[entry]} bytes, the tensor needs {start + size}"
            )
        return decode(tensor, archive.part(entry, start, size), big_endian=big_endian)

    return CheckpointContent(tree, read, archive.notes)


def _pickles(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.rpartition("/")[2] == "data.pkl"]
