"""Hundreds of checkpoints of ResNet-18 with Adam's state: a whole analysis, one more
checkpoint, a scan of a thousand.

The checkpoints take little disk. PyTorch writes one file, with zeros in all but the
classifier. Each checkpoint is a copy of it with another classifier and epoch, in which
blocks of zeros are holes. A program that reads a whole file still reads all its bytes,
and the sums of the archive's parts (CRC-32) are right.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import interpolated, timing
from benchmarks.heads import asked
from benchmarks.rows import Row, megabytes, seconds, skipped
from benchmarks.scratch import Setup

FEATURES = 512
FIRST_EPOCH = 256
"""Numbers from 256 to 65,535 take as many bytes in a pickle: copies differ in nothing
but the number.
"""
_EPOCH = b"\x05\x00\x00\x00epochq\x01M"
_HEAD = 7.5
_BLOCK = 4096
PART = "many"
LABELS = "cifar100"
CHECKPOINTS, SCANNED = 400, 1000
WHOLE, ONE_MORE, UNCHANGED, SCAN = 8.0, 2.0, 0.8, 8.0
"""The required seconds of each command."""
MOST_MEMORY, MOST_SHARE = 300e6, 0.005
"""The largest allowed memory in bytes, and share of the files' bytes."""
HEAD_OVER_LOAD, WHOLE_OVER_LOAD = 20.0, 11.0
_SAMPLE = 40
"""Checkpoints that ways are timed on that take too long for all."""
_VERB = """
from dsi_cli.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
"""


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    missing = [name for name in ("torch", "torchvision") if find_spec(name) is None]
    if missing:
        return [
            skipped(
                PART,
                "many checkpoints of ResNet-18",
                f"{' and '.join(missing)} not installed",
            )
        ]
    number = 2 if setup.quick else CHECKPOINTS
    run = write_sparse_run(setup.folder / f"resnet18-{number}", number + 1, LABELS)
    paths = sorted(run.glob("*.pth"))
    loads, mapped, ours = _head_times(setup, paths)
    rows = _whole_rows(setup, paths[:-1], loads, mapped)
    heads = Row(
        PART,
        "reading one head of these",
        seconds(ours),
        f"torch.load: {seconds(loads)}; with mmap=True: {seconds(mapped)}",
        loads / ours,
        f"at least {HEAD_OVER_LOAD:g}x",
        loads / ours >= HEAD_OVER_LOAD,
    )
    return [
        *rows,
        _bytes_row(paths[:-1]),
        heads,
        _scan_row(setup, paths),
    ]


def _head_times(setup: Setup, paths: list[Path]) -> tuple[float, float, float]:
    """Return the median seconds of `torch.load`, without and with ``mmap=True``, and of
    our reader, each of one checkpoint after another.
    """
    import torch

    from dsi_cli import read_head

    theirs, mapped, ours = (cycle(paths[:_SAMPLE]) for _ in range(3))

    def map_head() -> Any:
        state = torch.load(next(mapped), mmap=True)["state_dict"]
        return state["fc.weight"].clone()  # reads the bytes

    calls: dict[str, Callable[[], Any]] = {
        "torch": lambda: torch.load(next(theirs))["state_dict"]["fc.weight"],
        "mapped": map_head,
        "ours": lambda: read_head(next(ours)),
    }
    found = timing.turns(calls, setup.rounds(_SAMPLE))
    return found["torch"], found["mapped"], found["ours"]


def _whole_rows(
    setup: Setup, paths: list[Path], load: float, mapped: float
) -> list[Row]:
    """Return the rows of the whole command, of a call after one more checkpoint, and of
    a call without a new one.

    `load` and `mapped` are the seconds of `torch.load` for one checkpoint, without and
    with ``mmap=True``.
    """
    run = _linked(setup.folder / "many", paths)
    out = setup.folder / "out"
    command = ["analyze", str(run), "--labels", LABELS, "-o", str(out), "--json"]
    found, more, unchanged = [], [], []
    for _ in range(setup.rounds(3)):
        shutil.rmtree(out, ignore_errors=True)
        run = _linked(run, paths)
        found.append(timing.python(_VERB, *command))
        last = max(paths[0].parent.glob("*.pth"))
        os.link(last, run / last.name)
        more.append(timing.python(_VERB, *command))
        unchanged.append(timing.python(_VERB, *command))
    shutil.rmtree(out, ignore_errors=True)
    took, peak = (
        float(np.median([one.seconds for one in found])),
        timing.peak_of_all(_VERB, *command),
    )
    again, read = float(np.median([one.seconds for one in more])), _read(more[0].said)
    same = float(np.median([one.seconds for one in unchanged]))
    loading = load * len(paths)
    what = (
        f"`dsi analyze`, {len(paths)} checkpoints, WordNet, intervals and nulls,"
        " Parquet and report: whole command"
    )
    beside = (
        f"torch.load of each alone, from {min(_SAMPLE, len(paths))} of them:"
        f" {seconds(loading)}"
    )
    return [
        Row(
            PART,
            what,
            seconds(took),
            beside,
            loading / took,
            f"below {WHOLE:g} s",
            took < WHOLE,
        ),
        Row(
            PART,
            "the same beside torch.load alone",
            seconds(took),
            beside,
            loading / took,
            f"at least {WHOLE_OVER_LOAD:g}x",
            loading / took >= WHOLE_OVER_LOAD,
        ),
        Row(
            PART,
            "the same beside torch.load(mmap=True) of the heads alone",
            seconds(took),
            f"from {min(_SAMPLE, len(paths))} of them: {seconds(mapped * len(paths))}",
            mapped * len(paths) / took,
            "above 1x",
            mapped * len(paths) > took,
        ),
        Row(
            PART,
            "the same, peak memory of all its processes together",
            megabytes(peak),
            "",
            None,
            f"below {megabytes(MOST_MEMORY)}",
            peak < MOST_MEMORY,
        ),
        Row(
            PART,
            f"one checkpoint more: heads read: {read}",
            seconds(again),
            f"all anew: {seconds(took)}",
            took / again,
            f"below {ONE_MORE:g} s",
            again < ONE_MORE,
        ),
        Row(
            PART,
            "no new checkpoint in that folder",
            seconds(same),
            "",
            None,
            f"below {UNCHANGED:g} s",
            same < UNCHANGED,
        ),
    ]


def _read(said: str) -> int:
    return sum(run["read"] for run in json.loads(said)["runs"])


def _linked(folder: Path, paths: list[Path], number: int | None = None) -> Path:
    """Return a new folder with so many hard links to checkpoints, as many as there are
    if None.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for index, path in zip(range(number or len(paths)), cycle(paths), strict=False):
        os.link(path, folder / f"epoch_{FIRST_EPOCH + index:05d}.pth")
    return folder


def _bytes_row(paths: list[Path]) -> Row:
    read, size = sum(map(asked, paths)), sum(path.stat().st_size for path in paths)
    bandwidth = _bandwidth(paths)
    ours = f"{megabytes(read)}, {100 * read / size:.3g} % of {size / 1e9:,.1f} GB"
    beside = (
        f"floor: {seconds(read / bandwidth)} at the {bandwidth / 1e9:.2g} GB/s that"
        " plain reading of these files gives"
    )
    required = f"at most {100 * MOST_SHARE:g} %"
    return Row(
        PART,
        "bytes asked for",
        ours,
        beside,
        size / read,
        required,
        read <= MOST_SHARE * size,
    )


def _bandwidth(paths: list[Path]) -> float:
    """Return the bytes a second of reading files whole."""
    chosen = paths[:5]
    began = time.perf_counter()
    read = sum(len(path.read_bytes()) for path in chosen)
    return read / (time.perf_counter() - began)


def _scan_row(setup: Setup, paths: list[Path]) -> Row:
    number = 2 if setup.quick else SCANNED
    run = _linked(setup.folder / "scanned", paths, number)
    done = [timing.python(_VERB, "scan", str(run)) for _ in range(setup.rounds(3))]
    took, peak = (
        float(np.median([getattr(one, name) for one in done]))
        for name in ("seconds", "peak")
    )
    what = f"`dsi scan` of {number:,} files, whole command, and its peak memory"
    beside = f"links to {len(paths):,} checkpoints"
    return Row(
        PART,
        what,
        f"{seconds(took)}, {megabytes(peak)}",
        beside,
        None,
        f"below {SCAN:g} s",
        took < SCAN,
    )


def write_sparse_run(folder: Path, checkpoints: int, labels: str = "cifar100") -> Path:
    """Write a run of so many checkpoints ``epoch_NNNNN.pth``; one that is there already
    stays. Return the folder.
    """
    paths = [
        folder / f"epoch_{FIRST_EPOCH + number:05d}.pth"
        for number in range(checkpoints)
    ]
    if all(path.exists() for path in paths):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    weights = list(interpolated.heads(labels, checkpoints, FEATURES))
    template = folder / "template"
    _save(template, len(weights[0]))
    whole, pickle, head = bytearray(template.read_bytes()), *_parts(template)
    at = whole.index(_EPOCH) + len(_EPOCH)
    template.unlink()
    for number, (path, weight) in enumerate(zip(paths, weights, strict=True)):
        whole[at : at + 2] = struct.pack("<H", FIRST_EPOCH + number)
        pickle.set(whole, bytes(pickle.of(whole)))
        head.set(whole, weight.astype("<f4").tobytes())
        _write_sparse(path, whole)
    return folder


def _save(path: Path, classes: int) -> None:
    import torch
    from torchvision.models import resnet18

    model = resnet18(num_classes=classes)
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()
        model.fc.weight.fill_(_HEAD)
    state = {
        "epoch": FIRST_EPOCH,
        "arch": "resnet18",
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, path)


class _Part:
    """A file of the archive, stored as it is: where its bytes lie, and the places of
    their sum.
    """

    def __init__(self, whole: bytes, info: zipfile.ZipInfo, entry: int) -> None:
        name, extra = struct.unpack_from("<HH", whole, info.header_offset + 26)
        self.begins = info.header_offset + 30 + name + extra
        self.ends = self.begins + info.file_size
        self._sums = [info.header_offset + 14, entry + 16]
        if info.flag_bits & 8:
            self._sums[0] = self.ends + 4

    def of(self, whole: bytearray) -> bytearray:
        return whole[self.begins : self.ends]

    def set(self, whole: bytearray, data: bytes) -> None:
        assert len(data) == self.ends - self.begins
        whole[self.begins : self.ends] = data
        for place in self._sums:
            struct.pack_into("<I", whole, place, zlib.crc32(data))


def _parts(path: Path) -> tuple[_Part, _Part]:
    """Return the pickle and the classifier's storage of an archive that `_save`
    wrote.
    """
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entry, found = archive.start_dir, {}
        for info in archive.infolist():
            part = _Part(whole, info, entry)
            entry += 46 + len(info.filename) + len(info.extra) + len(info.comment)
            is_head = whole[part.begins : part.begins + 4] == struct.pack("<f", _HEAD)
            found["head" if is_head else info.filename.partition("/")[2]] = part
    return found["data.pkl"], found["head"]


def _write_sparse(path: Path, whole: bytearray) -> None:
    """Write a file's blocks but for those of zeros, which become holes."""
    zeros, view = bytes(_BLOCK), memoryview(whole)
    with path.open("wb") as file:
        file.truncate(len(whole))
        for at in range(0, len(whole), _BLOCK):
            block = view[at : at + _BLOCK]
            if block != zeros[: len(block)]:
                file.seek(at)
                file.write(block)
