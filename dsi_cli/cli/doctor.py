"""``dsi doctor``: the parts of an installation, each on a line, with the command that installs what is missing.

The facts are read from the metadata of the installed packages, and the ranges of versions from dsi's own metadata.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.resources import files
from typing import Annotated

from dsi_cli import engines
from dsi_cli.cli import console
from dsi_cli.cli.options import Json, switch
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, NOTHING, count
from dsi_cli.version import __version__

DISTRIBUTION = "dsi-cli"
DIGESTS = "SHA256SUMS"  # file with the digests of WordNet's tables, in the format of ``sha256sum``
SERVES = {
    "matplotlib": "dsi plot, dsi compare -o, dsi mistakes --sheet",
    "nltk": "--wordnet, --reference res:FILE, lin:FILE and jcn:FILE",
    "pillow": "--test, --train, dsi plot, dsi mistakes --sheet",
    "timm": "--model timm:NAME",
    "torch": "--test, --train, dsi_cli.callbacks",
    "torchvision": "--test, --train",
}
"""Dependencies that the analysis of checkpoints does not need, with the commands and options that do."""
NAMES = {"PIL": "pillow"}  # package of each module that has another name
EXTRAS = {
    "all": "all extras",
    "datasets": "test sets in Parquet, tar shards, or saved by Hugging Face's library",
    "hub": "repositories of the Hugging Face hub, and --revisions",
    "jax": "checkpoints of Flax and Orbax",
    "keras": "checkpoints of Keras, and HDF5 files",
    "lightning": "a callback for Lightning",
    "mlflow": "runs in MLflow as inputs, and --log-to mlflow",
    "onnx": "ONNX models",
    "ray": "--engine ray: a cluster",
    "remote": "folders on S3, Google Cloud and the Hugging Face hub",
    "tensorboard": "--log-to tensorboard, and curves from event files",
    "transformers": "--model transformers:FOLDER, and a callback for its Trainer",
    "wandb": "runs in Weights & Biases as inputs, and --log-to wandb",
}
"""The purpose of each extra."""


@dataclass(frozen=True)
class Package:
    """A package that dsi depends on."""

    name: str
    wanted: str  # the range of versions, empty for any
    version: str | None  # the installed version; None if the package is not installed
    is_allowed: bool  # True if the package is installed in a version within the range
    extra: str | None  # the extra that asks for the package; None for what every installation has

    @property
    def text(self) -> str:
        """The name with the installed version, or what is wrong with it."""
        if self.version is None:
            return f"{self.name} is not installed"
        return f"{self.name} {self.version}" + ("" if self.is_allowed else f" is not {self.wanted}")


@dataclass(frozen=True)
class Part:
    """A part of an installation that works as a whole or not at all."""

    name: str
    text: str  # the versions of its packages, or what is missing and for what dsi uses it
    remedy: str | None = None  # the command that installs what is missing; None if nothing is
    is_fatal: bool = False  # True if dsi cannot analyse anything without it


def facts() -> dict[str, str]:
    """Return versions and the machine as dsi counts it, in words; what a report of a bug needs."""
    memory = engines.free_memory() / 1e9
    return {
        "dsi": f"{__version__}, in {files('dsi_cli')}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}",
        "system": platform.platform(),
        "machine": f"{count(engines.usable_cores(), 'core')}, {memory:.1f} GB of memory free",
    }


def packages() -> list[Package]:
    """Return the packages that dsi's metadata ask for, extras last; none if dsi runs without having been installed."""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
        extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for extra in (None, *extras):
        for requirement in requirements:
            is_of_extra = "extra" in str(requirement.marker)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": extra or ""})
            if applies and is_of_extra == (extra is not None):
                version = next((copy.version for copy in metadata.distributions(name=requirement.name)), None)
                is_allowed = version is not None and requirement.specifier.contains(version, prereleases=True)
                found.append(Package(requirement.name, str(requirement.specifier), version, is_allowed, extra))
    return found


def parts(packages: list[Package]) -> list[Part]:
    """Return the parts of the installation: WordNet, the required packages, each optional one, each extra, and ffmpeg."""
    damage = wordnet_damage()
    reinstall = None if damage is None else f'pip install --force-reinstall --no-deps "{DISTRIBUTION}"'
    found = [Part("WordNet", damage or "3.0, as shipped", reinstall, is_fatal=damage is not None)]
    core = [package for package in packages if package.extra is None]
    ready = [package.text for package in core if package.is_allowed and package.name not in SERVES]
    if ready:
        found.append(Part("required", ", ".join(ready)))
    found += [_core_part(package) for package in core if package.name in SERVES or not package.is_allowed]
    # The extra "all" asks for what the others ask for.
    extras = dict.fromkeys(package.extra for package in packages if package.extra not in (None, "all"))
    found += [_extra_part(str(extra), [package for package in packages if package.extra == extra]) for extra in extras]
    if shutil.which("ffmpeg") is not None:
        found.append(Part("ffmpeg", "installed"))
    else:
        purpose = "dsi plot OUT animation --format mp4"
        found.append(Part("ffmpeg", f"not installed ({purpose})", "apt install ffmpeg, or brew install ffmpeg"))
    return found


def _core_part(package: Package) -> Part:
    if package.is_allowed:
        return Part(package.name, str(package.version))
    text = "not installed" if package.version is None else f"{package.version} is not {package.wanted}"
    purpose = f" ({SERVES[package.name]})" if package.name in SERVES else ""
    is_fatal = package.version is None and package.name not in SERVES
    return Part(package.name, text + purpose, f'pip install "{package.name}{package.wanted}"', is_fatal)


def _extra_part(extra: str, packages: list[Package]) -> Part:
    lacks = [package for package in packages if not package.is_allowed]
    text = ", ".join(package.text for package in lacks or packages)
    if not lacks:
        return Part(extra, text)
    purpose = f" ({EXTRAS[extra]})" if extra in EXTRAS else ""
    return Part(extra, text + purpose, f'pip install "{DISTRIBUTION}[{extra}]"')


def wordnet_damage() -> str | None:
    """Return what is wrong with WordNet's tables, or None if each file is the one that was shipped."""
    folder = files("dsi_cli.wordnet") / "data"
    try:
        for line in (folder / DIGESTS).read_text(encoding="utf-8").splitlines():
            digest, name = line.split()
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                return f"{name} is not the file that was shipped"
    except (OSError, ValueError) as error:
        return f"its files cannot be read ({error})"
    return None


def doctor(
    as_json: Json = False, quiet: Annotated[bool, switch("--quiet -q", "Print only what is missing.")] = False
) -> int:
    """Print versions, and which packages are missing.

    A line is marked ✓ if its part is ready, – if it is optional and missing, and ✗ if dsi does not work without it. The exit
    code is 3 if a required package is missing or the tables of WordNet are damaged.

    Examples
    --------
    dsi doctor
    dsi doctor -q  # only what is missing
    """
    machine, dependencies = facts(), packages()
    found = parts(dependencies)
    missing = sorted((part for part in found if part.remedy is not None), key=lambda part: not part.is_fatal)
    if as_json:
        rows = [{"what": f"{part.name}: {part.text}", "remedy": part.remedy, "is_fatal": part.is_fatal} for part in missing]
        machine |= {"WordNet": found[0].text}
        console.print_json({**machine, "packages": [asdict(package) for package in dependencies], "missing": rows})
    else:
        width = max(len(part.name) for part in found) + 4
        for name in [] if quiet else ["dsi", "Python", "system", "machine"]:
            console.print_sentence(f"  {name:<{width - 2}}{machine[name]}", hanging=width)
        for part in missing if quiet else found:
            sign = "✓"
            if part.remedy is not None:
                sign = "✗" if part.is_fatal else "–"
            console.print_sentence(f"{sign} {part.name:<{width - 2}}{part.text}", hanging=width)
            if part.remedy is not None:
                print(terminal_text(f"{'':<{width}}{part.remedy}"))  # a command stays on one line, so that it can be pasted
    return NOTHING if any(part.is_fatal for part in missing) else DONE
