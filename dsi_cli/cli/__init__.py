"""The command line: one module a verb, no logic; the only place that knows rich and Typer.

``console``     what verbs share: output and progress
``verbs``       the table of verbs, and how a call begins and ends
``usage``       wrong usage in one line, with what was meant
``logs``        the log of ``--verbose``
``completion``  what the shell proposes
"""

from __future__ import annotations

import gc
import sys

gc.set_threshold(100_000)  # objects after which Python looks for garbage: most of what a command makes stays until it ends

from dsi_cli.cli.verbs import app, run_safely  # noqa: E402 (what is imported stays as well)

__all__ = ["app", "main"]


def main() -> None:
    """Run the command; the process ends with the exit code that ``dsi_cli.errors`` documents."""
    sys.exit(run_safely(sys.argv[1:]))
