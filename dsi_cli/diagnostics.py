"""Describe an installation of dsi and what is missing, without importing the packages.

Versions come from the metadata of the installed packages, ranges from dsi's own metadata.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files

from dsi_cli.engines import resources
from dsi_cli.errors import count
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
    "datasets": "test sets in Parquet, tar shards, or saved by Hugging Face's library",
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
"""The purpose of each extra."""


@dataclass(frozen=True)
class Package:
    """A package that dsi depends on."""

    name: str
    wanted: str
    """The range of versions, empty for any."""
    version: str | None
    """The installed version; None if the package is not installed."""
    is_allowed: bool
    """True if the package is installed in a version within the range."""
    extra: str | None
    """The extra that asks for the package; None for what every installation has."""


@dataclass(frozen=True)
class Missing:
    """Something that is missing or damaged, with the command that mends it."""

    what: str
    remedy: str
    is_fatal: bool
    """True if dsi cannot analyse anything because of it."""


def facts() -> dict[str, str]:
    """Return versions and the machine as dsi counts it, in words; what a report of a bug needs."""
    memory = resources.free_memory() / 1e9
    return {
        "dsi": f"{__version__}, in {files('dsi_cli')}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}",
        "system": platform.platform(),
        "machine": f"{count(resources.usable_cores(), 'core')}, {memory:.1f} GB of memory free",
        "WordNet": wordnet_damage() or "3.0, as shipped",
    }


def packages() -> list[Package]:
    """Return the packages that dsi's metadata ask for, extras last; none if dsi runs without having been installed."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
        extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for extra in (None, *extras):
        for one in wanted:
            is_of_extra = "extra" in str(one.marker)
            applies = one.marker is None or one.marker.evaluate({"extra": extra or ""})
            if applies and is_of_extra == (extra is not None):
                version = _version(one.name)
                is_allowed = version is not None and one.specifier.contains(version, prereleases=True)
                found.append(Package(one.name, str(one.specifier), version, is_allowed, extra))
    return found


def missing(packages: list[Package]) -> list[Missing]:
    """Return what is missing or damaged, what stops everything first."""
    lacks = []
    damage = wordnet_damage()
    if damage is not None:
        lacks.append(
            Missing(f"WordNet: {damage}", f'pip install --force-reinstall --no-deps "{DISTRIBUTION}"', is_fatal=True)
        )
    for one in packages:
        if one.extra is None and not one.is_allowed:
            what = f"{one.name} is missing" if one.version is None else f"{one.name} {one.version} is not {one.wanted}"
            purpose = f" ({SERVES[one.name]})" if one.name in SERVES else ""
            is_fatal = one.version is None and one.name not in SERVES
            lacks.append(Missing(what + purpose, f'pip install "{one.name}{one.wanted}"', is_fatal))
    for extra in dict.fromkeys(one.extra for one in packages if one.extra is not None and not one.is_allowed):
        purpose = f" ({EXTRAS[extra]})" if extra in EXTRAS else ""
        lacks.append(Missing(f"{extra}{purpose}", f'pip install "{DISTRIBUTION}[{extra}]"', is_fatal=False))
    if shutil.which("ffmpeg") is None:
        remedy = "install ffmpeg: apt install ffmpeg, brew install ffmpeg"
        lacks.append(Missing("ffmpeg (dsi plot OUT animation --format mp4)", remedy, is_fatal=False))
    return sorted(lacks, key=lambda one: not one.is_fatal)


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


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
