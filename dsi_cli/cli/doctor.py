"""``dsi doctor``: what an installation has, and what is missing with the command that
installs it.

The facts are read from the metadata of the installed packages, and the ranges of
versions from dsi's own metadata.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.resources import files
from typing import Annotated, Any

from dsi_cli import engines
from dsi_cli.cli import console
from dsi_cli.cli.options import Json, switch
from dsi_cli.errors import DONE, NOTHING, count
from dsi_cli.version import __version__

DISTRIBUTION = "dsi-cli"
SERVES = {
    "matplotlib": "dsi plot, dsi compare -o, dsi mistakes --sheet",
    "nltk": "--wordnet, --reference res:FILE, lin:FILE and jcn:FILE",
    "pillow": "--test, --train, dsi plot, dsi mistakes --sheet",
    "timm": "--model timm:NAME",
    "torch": "--test, --train, dsi_cli.callbacks",
    "torchvision": "--test, --train",
}
"""Dependencies that the analysis of checkpoints does not need, with the commands and
options that do.
"""
NAMES = {"PIL": "pillow"}  # package of each module that has another name
EXTRAS = {
    "all": "all extras",
    "hub": "repositories of the Hugging Face hub, and --revisions",
    "jax": "checkpoints of Flax and Orbax",
    "keras": "checkpoints of Keras, and HDF5 files",
    "lightning": "a callback for Lightning",
    "mlflow": "--log-to mlflow",
    "onnx": "ONNX models",
    "ray": "--engine ray: a cluster",
    "remote": "folders on S3, Google Cloud and the Hugging Face hub",
    "rsa": "results.to_rsatoolbox()",
    "tensorboard": "--log-to tensorboard, and curves from event files",
    "trackio": "--log-to trackio",
    "transformers": "--model transformers:FOLDER, and a callback for its Trainer",
    "wandb": "--log-to wandb",
}
"""The purpose of each extra."""


@dataclass(frozen=True)
class Package:
    """A package that dsi depends on."""

    name: str
    wanted: str  # the range of versions, empty for any
    version: str | None  # the installed version; None if the package is not installed
    is_allowed: bool  # True if the package is installed in a version within the range
    # the extra that asks for the package; None for what every installation has
    extra: str | None

    @property
    def problem(self) -> str:
        """The problem with the package, in words."""
        if self.version is None:
            return f"{self.name} is not installed"
        return f"{self.name} {self.version} is not {self.wanted}"

    @property
    def is_fatal(self) -> bool:
        """True if dsi cannot analyse anything without the package."""
        is_missing = self.extra is None and self.version is None
        return is_missing and self.name not in SERVES


def facts() -> dict[str, str]:
    """Return versions and the machine in words; what a report of a bug needs."""
    return {
        "dsi": f"{__version__}, in {files('dsi_cli')}",
        "Python": (
            f"{platform.python_implementation()} {platform.python_version()},"
            f" {sys.executable}"
        ),
        "system": platform.platform(),
        "machine": count(engines.usable_cores(), "core"),
        "WordNet": "3.0, in the package",
    }


def packages() -> list[Package]:
    """Return the packages that dsi's metadata ask for, extras last; none if dsi runs
    without having been installed. The extra "all" is left out, because it asks for what
    the others ask for.
    """
    from packaging.requirements import Requirement

    try:
        requirements = [
            Requirement(text) for text in metadata.requires(DISTRIBUTION) or []
        ]
        extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for extra in (None, *extras):
        for requirement in requirements:
            marker = requirement.marker
            is_of_extra = "extra" in str(marker)
            if extra == "all" or is_of_extra != (extra is not None):
                continue
            if marker is None or marker.evaluate({"extra": extra or ""}):
                found.append(_package(requirement, extra))
    return found


def _package(requirement: Any, extra: str | None) -> Package:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        version = None
    is_allowed = version is not None and requirement.specifier.contains(
        version, prereleases=True
    )
    wanted = str(requirement.specifier)
    return Package(requirement.name, wanted, version, is_allowed, extra)


@dataclass(frozen=True)
class Lack:
    """A package of every installation, or an extra, that is missing or too old."""

    name: str
    problem: str
    remedy: str  # the command that installs it
    is_fatal: bool  # True if dsi cannot analyse anything without it


def lacks(dependencies: list[Package]) -> list[Lack]:
    """Return what is missing; the packages of an extra are installed together."""
    members: dict[str, list[Package]] = {}
    for package in dependencies:
        if not package.is_allowed:
            members.setdefault(package.extra or package.name, []).append(package)
    found = []
    for name, missing in members.items():
        problem = ", ".join(package.problem for package in missing)
        purpose = SERVES.get(name) or EXTRAS.get(name)
        if purpose:
            problem += f" ({purpose})"
        wanted = f"{DISTRIBUTION}[{name}]"
        if missing[0].extra is None:
            wanted = f"{name}{missing[0].wanted}"
        is_fatal = any(package.is_fatal for package in missing)
        found.append(Lack(name, problem, f'pip install "{wanted}"', is_fatal))
    return found


def doctor(
    as_json: Json = False,
    quiet: Annotated[bool, switch("--quiet -q", "Print only what is missing.")] = False,
) -> int:
    """Print versions, and which packages are missing.

    A line is marked ✓ if its packages are ready, – if one is optional and missing, and
    ✗ if dsi does not work without it. The exit code is 3 if a required package is
    missing.

    Examples
    --------
    dsi doctor
    dsi doctor -q  # only what is missing
    """
    machine, dependencies = facts(), packages()
    missing = lacks(dependencies)
    code = NOTHING if any(lack.is_fatal for lack in missing) else DONE
    if as_json:
        document = {
            **machine,
            "packages": [asdict(package) for package in dependencies],
            "missing": [asdict(lack) for lack in missing],
        }
        console.print_json(document)
        return code
    if not quiet:
        for name, fact in machine.items():
            console.print_sentence(f"  {name:<10}{fact}", hanging=12)
        ready = {package.name for package in dependencies if package.is_allowed}
        packages_ready = count(len(ready), "package")
        console.print_sentence(f"✓ {packages_ready} ready; --json has their versions")
    for lack in missing:
        console.print_sentence(f"{'✗' if lack.is_fatal else '–'} {lack.problem}")
        # a command stays on one line, so that it can be pasted
        print(f"    {lack.remedy}")
    return code
