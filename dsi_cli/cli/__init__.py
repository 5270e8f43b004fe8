"""The command line: one module per command, without logic; the only package that imports Typer and rich.

``app``             the table of commands, and how a call begins and ends
``parameters``      Typer parameters from the declared options of ``dsi analyze`` and ``dsi watch``
``shared_options``  options of ``dsi analyze`` that other commands have, too
``console``         output and progress
``urls``            options whose value is a URL
``usage_errors``    wrong usage in one line, with a suggestion
``logs``            the log of ``--verbose``
``signals``         Ctrl-C and SIGTERM
``completion``      what the shell proposes
"""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command; the process ends with the exit code that ``dsi_cli.errors`` documents."""
    # Python collects garbage after this many new objects; most objects of a command exist until it ends.
    gc.set_threshold(100_000)
    from dsi_cli.cli.app import main_with_exit_code  # imported now, so that the threshold applies to its objects

    sys.exit(main_with_exit_code(sys.argv[1:]))
