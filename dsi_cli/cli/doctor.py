"""``dsi doctor``: the parts of an installation, each on a line, with the command that installs what is missing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from dsi_cli.cli import console
from dsi_cli.cli.shared_options import Json, switch
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, NOTHING


def doctor(
    as_json: Json = False,
    quiet: Annotated[bool, switch("--quiet -q", "Print only what is missing.")] = False,
) -> int:
    """Print versions, and which packages are missing.

    A line is marked ✓ if its part is ready, – if it is optional and missing, and ✗ if dsi does not work without it. The exit
    code is 3 if a required package is missing or the tables of WordNet are damaged.

    Examples
    --------
    dsi doctor
    dsi doctor -q  # only what is missing
    """
    from dsi_cli import diagnostics

    facts, packages = diagnostics.facts(), diagnostics.packages()
    parts = diagnostics.parts(packages)
    missing = sorted((part for part in parts if part.remedy is not None), key=lambda part: not part.is_fatal)
    if as_json:
        rows = [{"what": f"{part.name}: {part.text}", "remedy": part.remedy, "is_fatal": part.is_fatal} for part in missing]
        console.print_json({**facts, "packages": [asdict(package) for package in packages], "missing": rows})
    else:
        width = max(len(part.name) for part in parts) + 4
        for name in [] if quiet else ["dsi", "Python", "system", "machine"]:
            console.print_sentence(f"  {name:<{width - 2}}{facts[name]}", 0, width)
        for part in missing if quiet else parts:
            sign = "✓"
            if part.remedy is not None:
                sign = "✗" if part.is_fatal else "–"
            console.print_sentence(f"{sign} {part.name:<{width - 2}}{part.text}", 0, width)
            if part.remedy is not None:
                print(terminal_text(f"{'':<{width}}{part.remedy}"))  # a command stays on one line, so that it can be pasted
    return NOTHING if any(part.is_fatal for part in missing) else DONE
