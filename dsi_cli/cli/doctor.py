"""``dsi doctor``: versions, and missing packages with the command that installs them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dsi_cli.cli import console
from dsi_cli.cli.shared_options import Json
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, NOTHING


def doctor(
    as_json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only missing packages, and how to install them.")
    ] = False,
) -> int:
    """Print versions, and which packages are missing.

    Please add the output to a bug report. The exit code is 0 if dsi works, even without optional packages. It is 3 if a required
    package is missing or the tables of WordNet are damaged.

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
            {
                **facts,
                "packages": [asdict(package) for package in packages],
                "missing": [asdict(problem) for problem in missing],
            }
        )
    else:
        if not quiet:
            rows = list(facts.items()) + [
                (package.name, package.version) for package in packages if package.version is not None
            ]
            width = max(len(name) for name, _ in rows) + 2
            for name, text in dict(rows).items():
                console.print_sentence(f"{name:<{width}}{text}", 0, width)
            print()
        for problem in missing:
            console.print_sentence(f"missing: {problem.what}", 0, 2)
            print(terminal_text(f"  {problem.remedy}"))  # a command stays on one line, so that it can be pasted
    return NOTHING if any(problem.is_fatal for problem in missing) else DONE
