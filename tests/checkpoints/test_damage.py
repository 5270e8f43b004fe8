"""Files that are cut off: each is pending or unreadable. The fuzzer changes bytes
within the files of every format.
"""

from pathlib import Path

import pytest
from helpers.checkpoint_files import read_all

from dsi_cli.errors import PendingError, UnreadableError
from fuzz.makers import MAKERS

GROWING = (
    "torch-zip",
    "npz",
    "keras",
    "torch-legacy",
    "safetensors",
    "pickle",
    "hdf5",
    "msgpack",
)
"""The formats whose files look unfinished if they are cut off."""


@pytest.mark.parametrize("kind", GROWING)
def test_a_file_cut_anywhere_is_pending_or_unreadable(kind: str, tmp_path: Path):
    next(maker for maker in MAKERS if maker.format == kind).make(tmp_path)
    path, *_ = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    data = path.read_bytes()
    for cut in {
        *range(0, len(data), 1 + len(data) // 40),
        *range(20),
        len(data) // 2,
        len(data) - 8,
        len(data) - 1,
    }:
        path.write_bytes(data[:cut])
        expected = (
            PendingError
            if cut in (len(data) // 2, len(data) - 8)
            else (PendingError, UnreadableError)
        )
        with pytest.raises(expected):
            read_all(path)
