"""Files of every format, cut off or with changed bytes: each is read, or is one checkpoint error with a reason."""

import shutil
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from helpers.checkpoint_files import read_all

from dsi_cli.checkpoints.checkpoint_reader import require_file, scan_checkpoint
from dsi_cli.errors import CheckpointError, PendingError, UnreadableError
from fuzz.makers import MAKERS, Maker

GROWING = ("torch-zip", "npz", "keras", "torch-legacy", "safetensors", "pickle", "hdf5", "msgpack")
"""The formats whose files look unfinished if they are cut off."""
MARKERS = ("model.safetensors.index.json", "pytorch_model.bin.index.json", ".metadata", "manifest.ocdbt")
FIRST = {maker.format: maker for maker in reversed(MAKERS)}
"""The first maker of each format."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders that were written so far, by format."""
    return {"": tmp_path_factory.mktemp("written")}


def copied(maker: Maker, written: dict[str, Path], folder: Path) -> tuple[Path, list[Path]]:
    """Return a fresh copy of what a library writes: the file to open, and all files."""
    if maker.format not in written:
        written[maker.format] = written[""] / maker.format
        written[maker.format].mkdir()
        maker.make(written[maker.format])
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(written[maker.format], copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    main = next((path for path in files if path.name in MARKERS or path.name.endswith("_model_states.pt")), files[0])
    return next((path for path in files if path.suffix == ".safetensors" and len(files) == 3), main), files


@pytest.mark.parametrize("kind", GROWING)
def test_a_file_cut_anywhere_is_pending_or_unreadable(kind, written, tmp_path):
    path, _ = copied(FIRST[kind], written, tmp_path)
    data = path.read_bytes()
    for cut in sorted(
        {*range(0, len(data), 1 + len(data) // 40), *range(20), len(data) // 2, len(data) - 8, len(data) - 1}
    ):
        path.write_bytes(data[:cut])
        expected = PendingError if cut in (len(data) // 2, len(data) - 8) else (PendingError, UnreadableError)
        with pytest.raises(expected):
            read_all(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FIRST)
def test_changed_bytes_are_read_or_a_checkpoint_error(kind, written, tmp_path):
    dice = Random(kind)
    main, files = copied(FIRST[kind], written, tmp_path)
    for _ in range(40):
        path = dice.choice(files)
        data = path.read_bytes()
        changed = bytearray(data)
        meaningful = [place for place, byte in enumerate(data) if byte]
        for _ in range(dice.randint(1, 6)):
            changed[dice.choice(meaningful)] = dice.randrange(256)
        path.write_bytes(changed)
        with suppress(CheckpointError):
            read_all(main)
        record = scan_checkpoint(require_file(main)).record
        assert record.status in ("ok", "skipped", "failed", "pending")
        assert "cannot be read (" not in (record.reason or "")
        path.write_bytes(data)
