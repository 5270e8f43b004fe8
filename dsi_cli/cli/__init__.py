"""The command line: one module a verb, no logic; the only place that knows rich and Typer.

``console``     what verbs share: output and progress
``verbs``       the table of verbs, and how a call begins and ends
``usage``       wrong usage in one line, with what was meant
``logs``        the log of ``--verbose``
``completion``  what the shell proposes
"""

from __future__ import annotations

import sys

from dsi_cli.cli.verbs import app, run_safely

__all__ = ["app", "main"]


def main() -> None:
    """Run the command; the process ends with the exit code that ``dsi_cli.errors`` documents."""
    sys.exit(run_safely(sys.argv[1:]))
