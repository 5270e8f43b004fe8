"""``dsi doctor``: versions, and what is missing with the command that installs it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dsi_cli.cli import console
from dsi_cli.cli.shared_options import Json
from dsi_cli.errors import DONE, NOTHING


def doctor(
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what is missing, and how to install it.")] = False,
) -> int:
    """Print versions, and which packages are missing.

    Please add what it prints to a bug report. The exit code is 0 if dsi works, even if optional packages are missing, and 3 if a
    package that everything needs is missing or the tables of WordNet are damaged.

    Examples
    --------
    dsi doctor
    dsi doctor -q  # only what is missing
    """
    from dsi_cli import diagnostics

    facts, packages = diagnostics.facts(), diagnostics.packages()
    missing = diagnostics.missing(packages)
    if as_json:
        console.print_json(
            {**facts, "packages": [asdict(one) for one in packages], "missing": [asdict(one) for one in missing]}
        )
    else:
        if not quiet:
            rows = list(facts.items()) + [(one.name, one.version) for one in packages if one.version is not None]
            width = max(len(name) for name, _ in rows) + 2
            for name, text in dict(rows).items():
                console.print_sentence(f"{name:<{width}}{text}", 0, width)
            print()
        for one in missing:
            console.print_sentence(f"missing: {one.what}", 0, 2)
            print(console.shown(f"  {one.remedy}"))  # a command stays on one line, so that it can be pasted
    return NOTHING if any(one.is_fatal for one in missing) else DONE
