"""The real files that are mutated.

There are two sources: the makers of `fuzz.makers`, and the corpus of trainers' files
(``zoo/corpus.tar.gz`` in the folder that the environment variable ``DSI_SHARED`` names)
if the variable is set. Both are kept in a scratch folder, so that a second run has the
very same files: some libraries write memory addresses into theirs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_MISSING = "missing.txt"
"""What the makers said of the libraries that are not there."""
LARGEST = 300_000
"""Bytes of a seed: a larger one adds no structure, and takes the time of a hundred
inputs.
"""
FOLDERS = {
    "dcp_plain": "torch-distributed",
    "deepspeed_zero0": "deepspeed",
    "deepspeed_zero2": "deepspeed",
    "deepspeed_zero3": "deepspeed",
    "orbax": "orbax",
    "hf_sharded": "safetensors-sharded",
    "hf_trainer_vit": "step-folder",
    "lora_adapter_only": "step-folder",
}
"""The corpus's cases in which a folder is one checkpoint, and their formats."""
KINDS = {
    "flax_msgpack": "msgpack",
    "keras_h5_weights": "hdf5",
    "keras_v3": "keras",
    "numpy_npz": "npz",
    "onnx_legacy": "onnx",
    "plain_pickle_dump": "pickle",
    "torch_export_pt2": "torch-export",
    "torchscript": "torchscript",
}
"""The corpus's cases whose format their first bytes do not tell."""
_BEGINNINGS = (
    (b"PK\x03\x04", "torch-zip"),
    (b"\x80\x02\x8a\nl\xfc\x9c", "torch-legacy"),
)


@dataclass(frozen=True)
class Seed:
    """One real checkpoint."""

    format: str
    name: str
    files: tuple[tuple[str, bytes], ...]
    """Relative path and contents."""
    is_folder: bool = False
    """Whether all files together are one checkpoint."""


def shared_corpus() -> Path | None:
    """Return the archive of trainers' files in the folder that ``DSI_SHARED`` names;
    None if the variable is not set.
    """
    folder = os.environ.get("DSI_SHARED")
    return Path(folder) / "zoo" / "corpus.tar.gz" if folder else None


def load(scratch: Path, corpus: Path | None = None) -> tuple[list[Seed], list[str]]:
    """Return the seeds in a fixed order, made if the scratch folder has none yet, and a
    line for each that is missing.

    Parameters
    ----------
    scratch : where they are kept
    corpus : the archive of trainers' files; None to do without
    """
    lines = _fill(scratch, corpus)
    found = [*_made(scratch / "made"), *_collected(scratch / "corpus")]
    return sorted(found, key=lambda seed: (seed.format, seed.name)), lines


def digest(seeds: Sequence[Seed]) -> str:
    """Return a short digest of all seeds: input i is the same wherever this is the
    same.
    """
    state = hashlib.sha256()
    for seed in seeds:
        for name, data in seed.files:
            state.update(f"{seed.format}/{seed.name}/{name}/{len(data)}\n".encode())
            state.update(data)
    return state.hexdigest()[:12]


def _fill(scratch: Path, corpus: Path | None) -> list[str]:
    if not (scratch / "made").exists():
        part = scratch / "made.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        command = [sys.executable, "-m", "fuzz.makers", str(part)]
        ended = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
        (part / _MISSING).write_text(ended.stdout, encoding="utf-8")
        part.rename(scratch / "made")
    lines = [
        line
        for line in (
            (scratch / "made" / _MISSING).read_text(encoding="utf-8").splitlines()
        )
        if line.startswith("no ")
    ]
    if not (scratch / "corpus").exists():
        if corpus is None:
            return [*lines, "no corpus of trainers' files: DSI_SHARED is not set"]
        if not corpus.is_file() or shutil.which("tar") is None:
            return [
                *lines,
                f"no corpus of trainers' files: it needs {corpus} and the tar command",
            ]
        part = scratch / "corpus.part"
        part.mkdir(exist_ok=True)
        subprocess.run(["tar", "-xzf", corpus, "-C", part], check=True)
        part.rename(scratch / "corpus")
    return lines


def _made(folder: Path) -> Iterator[Seed]:
    for place in sorted(folder.glob("*/*")):
        seed = _folder(place.parent.name, f"made/{place.name}", place)
        if seed.files:
            yield seed


def _collected(folder: Path) -> Iterator[Seed]:
    for case in sorted(folder.glob("*")):
        if case.name in FOLDERS:
            for place in sorted(path for path in case.glob("*") if path.is_dir()):
                yield _folder(FOLDERS[case.name], f"{case.name}/{place.name}", place)
            continue
        for path in sorted(case.rglob("*")):
            if (
                path.is_file()
                and not path.is_symlink()
                and path.stat().st_size <= LARGEST
            ):
                data = path.read_bytes()
                kind = KINDS.get(case.name, _kind(data))
                if kind is not None:
                    yield Seed(
                        kind, path.relative_to(folder).as_posix(), ((path.name, data),)
                    )


def _kind(data: bytes) -> str | None:
    """Return the format that a file's first bytes tell; None for what is no
    checkpoint.
    """
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return "safetensors"
    return next(
        (kind for beginning, kind in _BEGINNINGS if data.startswith(beginning)), None
    )


def _folder(kind: str, name: str, place: Path) -> Seed:
    """Return the checkpoint that a folder holds or is; files that are too large are
    left out.
    """
    paths = [
        path
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.stat().st_size <= LARGEST
    ]
    files = tuple(
        (path.relative_to(place).as_posix(), path.read_bytes()) for path in paths
    )
    return Seed(kind, name, files, is_folder=len(files) != 1 or "/" in files[0][0])
