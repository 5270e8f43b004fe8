"""The command line: one module a verb, no logic; the only place that knows rich and Typer.

``console``     what verbs share: output and progress
``verbs``       the table of verbs, and how a call begins and ends
``usage``       wrong usage in one line, with what was meant
``logs``        the log of ``--verbose``
``stopping``    Ctrl-C and SIGTERM
``completion``  what the shell proposes
"""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command; the process ends with the exit code that ``dsi_cli.errors`` documents."""
    # Python looks for garbage after as many objects; most of what a command makes stays until it ends.
    gc.set_threshold(100_000)
    from dsi_cli.cli.app import main_with_exit_code  # only now: what is imported stays as well

    sys.exit(main_with_exit_code(sys.argv[1:]))
