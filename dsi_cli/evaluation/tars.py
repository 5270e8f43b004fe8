"""Tar shards -> samples; the layout of WebDataset.

Members belong together whose paths are alike up to the first dot of the file's name: ``a/0001.jpg`` with ``a/0001.cls``.
The label is in ``.cls`` (a number), ``.txt`` (a name) or ``.json``. A shard is indexed once; a member is read at its offset,
so that samples come in any order and from any thread. A compressed shard allows neither and is refused.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dsi_cli.errors import UsageError
from dsi_cli.evaluation.images import EXTENSIONS, open_bytes
from dsi_cli.evaluation.samples import Samples, counted, fingerprint, numbered, stamps

IMAGES = tuple(suffix.removeprefix(".") for suffix in (*EXTENSIONS, ".gif"))
JSON_KEYS = ("label", "class", "cls", "target")
EXPECTED = ".cls with a number, .txt with a name, or .json with " + ", ".join(JSON_KEYS)


@dataclass(frozen=True)
class Member:
    """A file in a shard: where its bytes lie."""

    shard: Path
    name: str
    offset: int
    size: int

    @property
    def place(self) -> str:
        """Return ``/folder/shard.tar/000123.jpg``."""
        return f"{self.shard}/{self.name}"

    def read(self) -> bytes:
        """Return its bytes; opens the shard anew, which makes it safe in threads."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass
class _Sample:
    image: Member | None = None
    labels: dict[str, Member] = field(default_factory=dict)
    """By extension."""


def open_tars(shown: str, files: Sequence[Path]) -> Samples:
    """Return the samples of tar shards, in the order of the shards and of their members.

    Parameters
    ----------
    shown
        The source as the user named it.
    files
        All of one split, in order.

    Raises
    ------
    UsageError
        A shard is damaged or compressed; there is no image; one has no label or no readable one; a key has two images.
    """
    samples = [sample for file in files for sample in _samples(file)]
    images = [sample.image for sample in samples if sample.image is not None]
    if not images:
        raise UsageError(f"{shown}: expected images ({', '.join(IMAGES)}) in the tar, found none; check the path")
    paths = [image.place for image in images]
    labels = [_label(sample) for sample in samples if sample.image is not None]
    targets, names = numbered(labels, None, paths.__getitem__)
    return Samples(
        source=f"tar {shown} {counted(len(images), len(set(labels)))}",
        id=fingerprint("tar", stamps(files)),
        names=names,
        targets=targets,
        paths=paths,
        image=lambda sample: open_bytes(images[sample].read()),
        is_threadsafe=True,
        is_sorted=names is not None,
    )


def members(shard: Path) -> Iterator[Member]:
    """Yield the files in a shard, in order.

    Raises
    ------
    UsageError
        It is damaged, compressed, or no tar.
    """
    shard = shard.absolute()
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                if member.isreg() and not member.issparse():
                    yield Member(shard, member.name, member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        raise UsageError(
            f"{shard}: expected an uncompressed tar, found none that can be read ({error}); unpack or replace it"
        ) from None


def _samples(shard: Path) -> list[_Sample]:
    """Return a shard's samples; members whose name begins with a dot (macOS's) are passed over."""
    found: dict[str, _Sample] = {}
    for member in members(shard):
        folder, _, name = member.name.rpartition("/")
        key, _, extension = name.partition(".")
        if key:
            _add(found.setdefault(f"{folder}/{key}", _Sample()), member, extension.lower())
    return list(found.values())


def _add(sample: _Sample, member: Member, extension: str) -> None:
    if extension in IMAGES:
        if sample.image is not None:
            raise UsageError(
                f"{member.place}: expected one image for each key, found {sample.image.name} as well; remove one"
            )
        sample.image = member
    else:
        sample.labels[extension] = member


def _label(sample: _Sample) -> int | str:
    """Return a sample's label, from the first kind of file that it has."""
    assert sample.image is not None
    for extension in ("cls", "txt", "json"):
        if extension in sample.labels:
            return _read_label(sample.labels[extension], extension)
    raise UsageError(f"{sample.image.place}: expected a label beside it ({EXPECTED}), found none; add it")


def _read_label(member: Member, extension: str) -> int | str:
    try:
        text = member.read().decode().strip()
        found = _json_label(text) if extension == "json" else text
    except ValueError:
        found = None
    if extension == "cls" and isinstance(found, str) and found.removeprefix("-").isdecimal():
        return int(found)
    if isinstance(found, bool) or not isinstance(found, int | str) or found == "":
        raise UsageError(f"{member.place}: expected a label ({EXPECTED}), found none; correct it")
    return found


def _json_label(text: str) -> object:
    """Return what the first of ``JSON_KEYS`` that is there holds."""
    content = json.loads(text)
    return next((content[key] for key in JSON_KEYS if key in content), None) if isinstance(content, dict) else None
