"""``dsi doctor``: versions, what is installed, what is missing."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import console
from dsi_cli.cli.analyze import Json
from dsi_cli.errors import DONE, NOTHING, OUTPUT

if TYPE_CHECKING:
    from dsi_cli.pipeline.installation import Installation, Package


def doctor(
    output: Annotated[Path | None, typer.Argument(help="An output folder: can it be written?")] = None,
    devices: Annotated[
        bool, typer.Option("--devices", help="Also what a model may be run on; imports torch, which takes seconds.")
    ] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what is missing, and how to install it.")] = False,
) -> int:
    """Print versions, what is installed, and what is missing.

    What it prints belongs into a report of a bug. Exit code 0 where dsi works, however little is installed beside it; 3 where it
    cannot (a package that everything needs is missing, WordNet's tables are damaged); 5 where the output folder cannot be written.

    Examples
    --------
    dsi doctor
    dsi doctor --devices   # is there a GPU that torch can use?
    dsi doctor dsi-out -q  # what is missing, can dsi-out be written?
    """
    from dsi_cli.pipeline import installation

    found = installation.inspect(output)
    seen = _devices() if devices else None
    if as_json:
        console.print_json({**asdict(found), "terminal": _terminal(), "devices": seen})
    else:
        if not quiet:
            _print(found, seen)
        for lack in found.lacks:
            console.print_sentence(f"missing: {lack.what}", 0, 2)
            print(console.shown(f"  {lack.remedy}"))  # unbroken, to be copied
    if any(lack.stops for lack in found.lacks):
        return NOTHING
    return OUTPUT if found.folder is not None and found.folder.reason is not None else DONE


def _devices() -> list[str]:
    from dsi_cli.evaluation.devices import devices

    try:
        return devices()
    except ImportError as error:
        return [f"none: torch cannot be imported ({error})"]


def _terminal() -> dict[str, Any]:
    return {
        "stdout": sys.stdout.isatty(),
        "stderr": sys.stderr.isatty(),
        "columns": get_terminal_size().columns,
        "encoding": sys.stdout.encoding,
        "term": os.environ.get("TERM"),
        "colour": sys.stdout.isatty() and "NO_COLOR" not in os.environ,
    }


def _print(found: Installation, devices: list[str] | None) -> None:
    for name, text in _facts(found, devices):
        console.print_sentence(f"{name:<9} {text}", 0, 10)
    if not found.packages:
        print("\ndsi runs from its source, not installed: what it needs is in pyproject.toml")
    for title, rows in (
        ("needed", [one for one in found.packages if one.extra is None]),
        ("extra", [one for one in found.packages if one.extra is not None]),
    ):
        if rows:
            print()
            console.print_columns([(title, False), ("version", False), ("wanted", False), ("for", False)], map(_row, rows))
    print()


def _facts(found: Installation, devices: list[str] | None) -> list[tuple[str, str]]:
    terminal = _terminal()
    colour = "colour" if terminal["colour"] else "no colour"
    where = f"{terminal['columns']} columns, {terminal['encoding']}, {colour}" if terminal["stdout"] else "none on stdout"
    films = f"GIF and WebP by Pillow {found.pillow}" if found.pillow else "no Pillow"
    facts = [
        ("dsi", f"{found.dsi}, in {found.location}"),
        ("Python", f"{found.python}, {found.executable}"),
        ("system", f"{found.platform}"),
        ("machine", f"{console.count(found.cores, 'core')}, {console.size(found.free_memory)} of memory free"),
        ("terminal", where),
        ("WordNet", found.wordnet or "3.0, as shipped"),
        ("films", f"{films}; MP4 by {found.ffmpeg or 'ffmpeg, which is missing'}"),
    ]
    if devices is not None:
        facts.append(("devices", ", ".join(devices)))
    if found.folder is not None:
        free = found.folder.free
        can = (
            f"can be written, {console.size(free)} free"
            if free is not None
            else f"cannot be written: {found.folder.reason}"
        )
        facts.append(("output", f"{found.folder.path} {can}"))
    return facts


def _row(one: Package) -> tuple[str, str, str, str]:
    name = one.name if one.extra is None else f"{one.extra}: {one.name}"
    version = one.version or "-"
    return name, version if one.is_allowed or one.version is None else f"{version} (!)", one.wanted, one.serves
