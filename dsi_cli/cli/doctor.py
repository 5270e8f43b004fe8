"""``dsi doctor``: the parts of an installation, each on a line, with the command that
installs what is missing.

The facts are read from the metadata of the installed packages, and the ranges of
versions from dsi's own metadata.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.resources import files
from typing import Annotated, NamedTuple

from dsi_cli import engines
from dsi_cli.cli import console
from dsi_cli.cli.options import Json, switch
from dsi_cli.cli.text import terminal_text
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
    # the extra that asks for the package; None for what every installation has
    extra: str | None

    @property
    def text(self) -> str:
        """The name with the installed version, or what is wrong with it."""
        if self.version is None:
            return f"{self.name} is not installed"
        return f"{self.name} {self.version}" + (
            "" if self.is_allowed else f" is not {self.wanted}"
        )


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
    without having been installed.
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
            is_of_extra = "extra" in str(requirement.marker)
            applies = requirement.marker is None or requirement.marker.evaluate(
                {"extra": extra or ""}
            )
            if applies and is_of_extra == (extra is not None):
                version = next(
                    (
                        copy.version
                        for copy in metadata.distributions(name=requirement.name)
                    ),
                    None,
                )
                is_allowed = version is not None and requirement.specifier.contains(
                    version, prereleases=True
                )
                found.append(
                    Package(
                        requirement.name,
                        str(requirement.specifier),
                        version,
                        is_allowed,
                        extra,
                    )
                )
    return found


class Part(NamedTuple):
    """A package of every installation, or an extra."""

    name: str
    text: (
        str  # the versions of its packages, or what is missing and for what dsi uses it
    )
    remedy: str | None  # the command that installs what is missing; None if nothing is
    is_fatal: bool  # True if dsi cannot analyse anything without it


def parts(packages: list[Package]) -> Iterator[Part]:
    """Yield the parts of the installation. The extra "all" is left out, because it asks
    for what the others ask for.
    """
    members: dict[str, list[Package]] = {}
    for package in packages:
        if package.extra != "all":
            members.setdefault(package.extra or package.name, []).append(package)
    for name, of_part in members.items():
        lacks = [package for package in of_part if not package.is_allowed]
        text = ", ".join(
            package.text.removeprefix(f"{name} ") for package in lacks or of_part
        )
        if not lacks:
            yield Part(name, text, None, is_fatal=False)
            continue
        purpose = SERVES.get(name) or EXTRAS.get(name)
        is_core = lacks[0].extra is None
        remedy = (
            f'pip install "{name}{lacks[0].wanted}"'
            if is_core
            else f'pip install "{DISTRIBUTION}[{name}]"'
        )
        is_fatal = is_core and lacks[0].version is None and name not in SERVES
        yield Part(name, text + (f" ({purpose})" if purpose else ""), remedy, is_fatal)


def doctor(
    as_json: Json = False,
    quiet: Annotated[bool, switch("--quiet -q", "Print only what is missing.")] = False,
) -> int:
    """Print versions, and which packages are missing.

    A line is marked ✓ if its part is ready, – if it is optional and missing, and ✗ if
    dsi does not work without it. The exit code is 3 if a required package is missing.

    Examples
    --------
    dsi doctor
    dsi doctor -q  # only what is missing
    """
    machine, dependencies = facts(), packages()
    found = list(parts(dependencies))
    missing = [part for part in found if part.remedy is not None]
    if as_json:
        rows = [
            {
                "what": f"{part.name}: {part.text}",
                "remedy": part.remedy,
                "is_fatal": part.is_fatal,
            }
            for part in missing
        ]
        console.print_json(
            {
                **machine,
                "packages": [asdict(package) for package in dependencies],
                "missing": rows,
            }
        )
    else:
        width = (
            max(len(name) for name in (*machine, *(part.name for part in found))) + 4
        )
        for name, fact in [] if quiet else machine.items():
            console.print_sentence(f"  {name:<{width - 2}}{fact}", hanging=width)
        for part in missing if quiet else found:
            sign = "✓"
            if part.remedy is not None:
                sign = "✗" if part.is_fatal else "–"
            console.print_sentence(
                f"{sign} {part.name:<{width - 2}}{part.text}", hanging=width
            )
            if part.remedy is not None:
                # a command stays on one line, so that it can be pasted
                print(terminal_text(f"{'':<{width}}{part.remedy}"))
    return NOTHING if any(part.is_fatal for part in missing) else DONE
