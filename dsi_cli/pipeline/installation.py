"""What an installation of dsi consists of, and what it lacks; imports none of the packages that it names.

Versions are those of the installed packages' metadata, ranges those of dsi's own.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files
from pathlib import Path

from dsi_cli.engines import machine
from dsi_cli.version import __version__

DISTRIBUTION = "dsi-cli"
DIGESTS = "SHA256SUMS"
"""Beside WordNet's tables, as ``sha256sum`` writes it."""
SERVES = {
    "matplotlib": "dsi plot, dsi compare -o, dsi mistakes --sheet",
    "nltk": "--wordnet, --reference res:FILE, lin:FILE and jcn:FILE",
    "pillow": "--test, --train, dsi plot, dsi mistakes --sheet",
    "timm": "--model timm:NAME",
    "torch": "--test, --train, dsi_cli.callbacks",
    "torchvision": "--test, --train",
}
"""Dependencies without which checkpoints are analysed all the same, and what they are for."""
NAMES = {"PIL": "pillow"}
"""Packages by the module that is imported, where that has another name."""
EXTRAS = {
    "all": "everything that is listed here",
    "jax": "checkpoints of Flax and Orbax",
    "keras": "checkpoints of Keras, and HDF5 files",
    "lightning": "a callback for Lightning",
    "mlflow": "--log-to mlflow",
    "onnx": "ONNX models",
    "ray": "--engine ray: a cluster",
    "remote": "folders on S3, Google Cloud and the Hugging Face hub",
    "tensorboard": "--log-to tensorboard, and curves from event files",
    "transformers": "--model transformers:FOLDER, and a callback for its Trainer",
    "wandb": "--log-to wandb",
}
"""What each extra is for."""


@dataclass(frozen=True)
class Package:
    """A package that dsi asks for."""

    name: str
    wanted: str
    """The range of versions, empty for any."""
    version: str | None
    """The installed one, None without."""
    is_allowed: bool
    """Whether it is there, and in the range."""
    extra: str | None
    """The extra that it belongs to; None for what every installation has."""
    serves: str


@dataclass(frozen=True)
class Lack:
    """Something that is missing or wrong."""

    what: str
    remedy: str
    stops: bool
    """Whether dsi cannot analyse anything because of it."""


@dataclass(frozen=True)
class Folder:
    """An output folder, or where it would be made."""

    path: str
    reason: str | None
    """Why nothing can be written there; None if it can."""
    free: int | None
    """Bytes; None where the reason says why not."""


@dataclass(frozen=True)
class Installation:
    """Versions, the machine as dsi counts it, and what is missing."""

    dsi: str
    location: str
    python: str
    executable: str
    platform: str
    cores: int
    free_memory: int
    """Bytes."""
    packages: tuple[Package, ...]
    wordnet: str | None
    """What is wrong with WordNet's tables; None where they are as they were shipped."""
    ffmpeg: str | None
    """Where it lies."""
    pillow: str | None
    """Its version."""
    folder: Folder | None
    lacks: tuple[Lack, ...]


def inspect(out: Path | None = None) -> Installation:
    """Return what this installation consists of and lacks.

    Parameters
    ----------
    out : an output folder to check, there already or not
    """
    found = tuple(packages())
    damage, folder = wordnet_damage(), None if out is None else folder_of(out)
    ffmpeg = shutil.which("ffmpeg")
    return Installation(
        dsi=__version__,
        location=str(files("dsi_cli")),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        executable=sys.executable,
        platform=platform.platform(),
        cores=machine.usable_cores(),
        free_memory=machine.free_memory(),
        packages=found,
        wordnet=damage,
        ffmpeg=ffmpeg,
        pillow=_version("pillow"),
        folder=folder,
        lacks=tuple(_lacks(found, damage, ffmpeg, folder)),
    )


def packages() -> Iterator[Package]:
    """Yield what dsi's metadata ask for, extras last; nothing where dsi runs without having been installed."""
    from packaging.requirements import Requirement

    try:
        asked = metadata.requires(DISTRIBUTION) or []
        extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return
    wanted = [Requirement(text) for text in asked]
    for extra in (None, *extras):
        for one in wanted:
            is_asked = one.marker is None or one.marker.evaluate({"extra": extra or ""})
            if is_asked and (extra is not None) == ("extra" in str(one.marker)):
                version = _version(one.name)
                is_allowed = version is not None and one.specifier.contains(version, prereleases=True)
                serves = SERVES.get(one.name, "") if extra is None else EXTRAS.get(extra, "")
                yield Package(one.name, str(one.specifier), version, is_allowed, extra, serves)


def wordnet_damage() -> str | None:
    """Return what is wrong with WordNet's tables, None where each is what was shipped."""
    folder = files("dsi_cli.wordnet") / "data"
    try:
        for line in (folder / DIGESTS).read_text(encoding="utf-8").splitlines():
            digest, name = line.split()
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                return f"{name} is not the file that was shipped"
    except (OSError, ValueError) as error:
        return f"its files cannot be read ({error})"
    return None


def folder_of(out: Path) -> Folder:
    """Return whether a folder can be written, or made; a file without a name is written there for a moment."""
    there = next((place for place in (out, *out.absolute().parents) if place.exists()), Path("/"))
    if not there.is_dir():
        return Folder(str(out), f"{there} is a file", None)
    try:
        with tempfile.TemporaryFile(dir=there):
            return Folder(str(out), None, shutil.disk_usage(there).free)
    except OSError as error:
        return Folder(str(out), f"{there}: {error.strerror or error}", None)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _lacks(found: tuple[Package, ...], damage: str | None, ffmpeg: str | None, folder: Folder | None) -> Iterator[Lack]:
    """Yield what is missing, what stops everything first."""
    if damage is not None:
        yield Lack(f"WordNet: {damage}", f'pip install --force-reinstall --no-deps "{DISTRIBUTION}"', stops=True)
    if folder is not None and folder.reason is not None:
        yield Lack(f"output: {folder.reason}", "choose another folder with -o", stops=False)
    for one in sorted((p for p in found if p.extra is None and not p.is_allowed), key=lambda p: p.name in SERVES):
        what = f"{one.name} is missing" if one.version is None else f"{one.name} {one.version} is not {one.wanted}"
        purpose = f" ({one.serves})" if one.serves else ""
        yield Lack(what + purpose, f'pip install "{one.name}{one.wanted}"', one.version is None and one.name not in SERVES)
    for extra in dict.fromkeys(one.extra for one in found if one.extra is not None):
        lacking = [one.name for one in found if one.extra == extra and not one.is_allowed]
        if lacking:
            purpose = f" ({EXTRAS[extra]})" if extra in EXTRAS else ""
            yield Lack(f"{extra}{purpose}", f'pip install "{DISTRIBUTION}[{extra}]"', stops=False)
    if ffmpeg is None:
        yield Lack("MP4 films (--format mp4)", "install ffmpeg: apt install ffmpeg, brew install ffmpeg", stops=False)
