"""The classifier out of a large checkpoint: `dsi_cli.read_head` compared with torch and
safetensors.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import timing
from benchmarks.rows import Row, megabytes, seconds, skipped
from benchmarks.scratch import Large, Setup, large
from dsi_cli.errors import PARTIAL

PART = "heads"
LONGEST_SCAN = 10.0
MOST_SHARE, OVER_LOAD, OVER_MMAP = 0.005, 40.0, 2.5
_LOAD = "torch.load"
_MMAP = "torch.load(mmap=True, weights_only=True)"
_SAFE = "safetensors.safe_open"
_WAYS = {
    "read_head": ("from dsi_cli import read_head", "read_head(path)"),
    _LOAD: ("import torch", "torch.load(path)['state_dict']['head.weight'].numpy()"),
    _MMAP: (
        "import torch",
        (
            "torch.load(path, mmap=True,"
            " weights_only=True)['state_dict']['head.weight'].numpy().copy()"
        ),
    ),
    _SAFE: (
        "from safetensors import safe_open",
        "safe_open(path, 'np').get_tensor('head.weight')",
    ),
}
"""Each way's import, and the expression that is timed."""
_PROGRAM = """
import sys, time
{imports}
def read(path): return {read}
if len(sys.argv) > 2: read(sys.argv[2])
began = time.perf_counter()
read(sys.argv[1])
print(time.perf_counter() - began)
"""


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    missing = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if missing:
        return [
            skipped(
                PART,
                "the head of a large checkpoint",
                f"{' and '.join(missing)} is not installed",
            )
        ]
    files = large(setup)
    rows = [
        *_bytes_rows(files),
        *_first_rows(setup, files),
        *_again_rows(setup, files),
        *_process_rows(setup, files),
    ]
    return rows if setup.quick else [*rows, _corpus_row(setup)]


def _corpus_row(setup: Setup) -> Row:
    """Return how long `dsi scan` takes for the corpus of real trainers' files, if
    ``DSI_SHARED`` names its folder.
    """
    what = "`dsi scan` of a corpus of real trainers' files"
    if setup.shared is None:
        return skipped(PART, what, "DSI_SHARED is not set")
    folder = setup.folder / "corpus"
    folder.mkdir(exist_ok=True)
    subprocess.run(
        ["tar", "-xzf", setup.shared / "zoo" / "corpus.tar.gz", "-C", folder],
        check=True,
    )
    command = timing.dsi("scan", str(folder))
    took = timing.turns(
        {"scan": lambda: timing.run(command, {0, PARTIAL})},
        setup.rounds(3),
        warm_up=True,
    )["scan"]
    files = sum(path.is_file() for path in folder.rglob("*"))
    return Row(
        PART,
        what,
        seconds(took),
        f"{files:,} files of all kinds",
        None,
        f"below {LONGEST_SCAN:g} s",
        took < LONGEST_SCAN,
    )


def asked(path: Path) -> int:
    """Return the bytes that reading the head asks for."""
    from dsi_cli.checkpoints import head_choice, trainers
    from dsi_cli.checkpoints.formats import OpenFiles, open_content

    with OpenFiles() as files:
        content, sources = open_content(path, files), files.sources
        groups = trainers.state_dicts(content.tree)
        head_choice.choose_head(groups, trainers.RAW).tensor.read()
        return sum(source.bytes_read for source in sources)


def _bytes_rows(files: Large) -> list[Row]:
    rows = []
    for name, path in zip(Large._fields, files, strict=True):
        size, read = path.stat().st_size, asked(path)
        ours = f"{megabytes(read)}, {100 * read / size:.3g} % of the file"
        what = f"bytes asked for, {name} file of {megabytes(size)}"
        rows.append(
            Row(
                PART,
                what,
                ours,
                f"torch.load: {megabytes(size)}",
                size / read,
                "at most 0.5 %",
                read <= MOST_SHARE * size,
            )
        )
    return rows


def _first_rows(setup: Setup, files: Large) -> list[Row]:
    """Return the seconds of the first large file in a process that has read a small
    one; a loop reuses torch's memory.
    """
    small = large(setup._replace(quick=True))
    rows = []
    ways = (("zip", _LOAD, OVER_LOAD), ("zip", _MMAP, None), ("legacy", _LOAD, None))
    for container, other, required in ways[: 1 if setup.quick else None]:
        paths = (str(getattr(files, container)), str(getattr(small, container)))
        ours, theirs = _alternating(setup.rounds(9), "read_head", other, paths)
        took = [median(float(one.said) for one in found) for found in (ours, theirs)]
        ratio = took[1] / took[0]
        needed = (
            (f"at least {required:g}x", ratio >= required) if required else ("", None)
        )
        what = f"the head, {container}, first large file of a warm process"
        rows.append(
            Row(
                PART,
                what,
                seconds(took[0]),
                f"{other}: {seconds(took[1])}",
                ratio,
                *needed,
            )
        )
    return rows


def _again_rows(setup: Setup, files: Large) -> list[Row]:
    """Return the seconds in a loop over one file, in one process."""
    ways = (
        ("zip", _MMAP, 31, OVER_MMAP),
        ("zip", _LOAD, 9, None),
        ("safetensors", _SAFE, 31, None),
    )
    rows = []
    for container, other, rounds, required in ways:
        path = getattr(files, container)
        calls = {"ours": _reader("read_head", path), "other": _reader(other, path)}
        if not np.array_equal(calls["ours"](), calls["other"]()):
            raise AssertionError(f"{other} reads another head than read_head")
        found = timing.turns(calls, setup.rounds(rounds))
        what = f"the head, {container}, the same file again and again"
        beside = f"{other}: {seconds(found['other'])}"
        ratio = found["other"] / found["ours"]
        needed = (
            (f"at least {required:g}x", ratio >= required)
            if required and not setup.quick
            else ("", None)
        )
        rows.append(Row(PART, what, seconds(found["ours"]), beside, ratio, *needed))
    return rows


def _process_rows(setup: Setup, files: Large) -> list[Row]:
    """Return the seconds and the peak memory of whole processes that read one head."""
    rows = []
    ways = (("safetensors", _SAFE), ("zip", _MMAP), ("zip", _LOAD))
    for container, other in ways[: 1 if setup.quick else None]:
        ours, theirs = _alternating(
            setup.rounds(3), "read_head", other, (str(getattr(files, container)),)
        )
        mine, its = (
            (median(one.seconds for one in found), median(one.peak for one in found))
            for found in (ours, theirs)
        )
        what = f"the head, {container}, a process of its own: seconds, peak memory"
        beside = f"{other}: {seconds(its[0])}, {megabytes(its[1])}"
        rows.append(
            Row(
                PART,
                what,
                f"{seconds(mine[0])}, {megabytes(mine[1])}",
                beside,
                its[0] / mine[0],
            )
        )
    return rows


def _alternating(
    rounds: int, first: str, second: str, paths: tuple[str, ...]
) -> tuple[list[timing.Process], list[timing.Process]]:
    """Return the processes of two ways, which take turns."""
    programs = [
        _PROGRAM.format(imports=_WAYS[way][0], read=_WAYS[way][1])
        for way in (first, second)
    ]
    found = [
        [timing.python(program, *paths) for program in programs] for _ in range(rounds)
    ]
    return [ours for ours, _ in found], [theirs for _, theirs in found]


def _reader(way: str, path: Path) -> Callable[[], Any]:
    """Return a way of reading a file as a function of nothing."""
    imports, read = _WAYS[way]
    names: dict[str, Any] = {"path": str(path)}
    exec(imports, names)
    return lambda: eval(read, names)
