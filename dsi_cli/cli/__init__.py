"""The command line: one module per command, without logic; the only package that
imports Typer and rich.

``app``       the table of commands, how a call begins and ends, and errors of usage
``options``   the options of commands, and what the shell proposes for them
``console``   output, progress, and the log of ``--verbose``
``text``      text that a terminal can print
``urls``      options whose value is a URL
``signals``   Ctrl-C and SIGTERM
``arrow``     Arrow without pandas
"""

from __future__ import annotations

import gc
import os
import sys

from dsi_cli.errors import INTERRUPTED


def main() -> None:
    """Run the command; the process ends with the exit code that ``dsi_cli.errors``
    documents.
    """
    # Python collects garbage after this many new objects; most objects of a command
    # exist until it ends.
    gc.set_threshold(100_000)
    # Arrow's own memory pool keeps what it once needed: 50 MB more for 400 checkpoints.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # dsi compares one checkpoint per core. More threads would wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        # imported now, so that the threshold applies to its objects
        from dsi_cli.cli.app import main_with_exit_code

        code = main_with_exit_code(sys.argv[1:])
    except KeyboardInterrupt:  # before the command begins, or after it has ended
        print("error: interrupted", file=sys.stderr)
        code = INTERRUPTED
    gc.freeze()  # at the end of the process, Python would look at all objects
    sys.exit(code)
