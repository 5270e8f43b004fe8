"""``dsi doctor``: what an installation has, and what is missing with the command that
installs it.

The facts are read from the metadata of the installed packages, and the ranges of
versions from dsi's own metadata.
"""

from __future__ import annotations

import platform
import sys
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


def packages() -> list[dict[str, Any]]:
    """Return the packages that dsi's metadata ask for, extras last; none if dsi runs
    without having been installed. The extra "all" is left out, because it asks for what
    the others ask for.

    Each has its ``name``, the ``wanted`` range of versions (empty for any), the
    installed ``version`` or None, ``is_allowed`` (a version within the range is
    installed), and the ``extra`` that asks for it or None.
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
                found.append(_package(requirement) | {"extra": extra})
    return found


def _package(requirement: Any) -> dict[str, Any]:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        version = None
    wanted = requirement.specifier
    is_allowed = version is not None and wanted.contains(version, prereleases=True)
    return {
        "name": requirement.name,
        "wanted": str(wanted),
        "version": version,
        "is_allowed": is_allowed,
    }


def lacks(dependencies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is missing or too old: a package of every installation, or an extra,
    whose packages are installed together.

    Each has its ``name``, the ``problem`` in words, the ``remedy`` (the command that
    installs it), and ``is_fatal`` (dsi cannot analyse anything without it).
    """
    members: dict[str, list[dict[str, Any]]] = {}
    for package in dependencies:
        if not package["is_allowed"]:
            name = package["extra"] or package["name"]
            members.setdefault(name, []).append(package)
    found = []
    for name, missing in members.items():
        problem = ", ".join(map(_problem, missing))
        purpose = SERVES.get(name) or EXTRAS.get(name)
        if purpose:
            problem += f" ({purpose})"
        first = missing[0]
        is_extra = first["extra"] is not None
        wanted = f"{DISTRIBUTION}[{name}]" if is_extra else f"{name}{first['wanted']}"
        lack = {"name": name, "problem": problem, "remedy": f'pip install "{wanted}"'}
        is_needed = not is_extra and name not in SERVES
        found.append(lack | {"is_fatal": is_needed and first["version"] is None})
    return found


def _problem(package: dict[str, Any]) -> str:
    if package["version"] is None:
        return f"{package['name']} is not installed"
    return f"{package['name']} {package['version']} is not {package['wanted']}"


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
    code = NOTHING if any(lack["is_fatal"] for lack in missing) else DONE
    if as_json:
        console.print_json(machine | {"packages": dependencies, "missing": missing})
        return code
    if not quiet:
        for name, fact in machine.items():
            console.print_sentence(f"  {name:<10}{fact}", hanging=12)
        ready = {package["name"] for package in dependencies if package["is_allowed"]}
        packages_ready = count(len(ready), "package")
        console.print_sentence(f"✓ {packages_ready} ready; --json has their versions")
    for lack in missing:
        console.print_sentence(f"{'✗' if lack['is_fatal'] else '–'} {lack['problem']}")
        # a command stays on one line, so that it can be pasted
        print(f"    {lack['remedy']}")
    return code
