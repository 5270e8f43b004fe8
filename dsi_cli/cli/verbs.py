"""The table of verbs, and how a call of one begins and ends."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from dsi_cli.cli import (
    analyze,
    compare,
    console,
    demo,
    elsewhere,
    export,
    labels,
    mistakes,
    neighbors,
    plot,
    report,
    scan,
    watch,
    wordnet,
)
from dsi_cli.errors import BUG, DONE, INTERRUPTED, OUTPUT, USAGE, DsiError

app = typer.Typer(
    name="dsi",
    help="Deep Similarity Inspector: how a classifier's perception of similarity emerged, read out of its checkpoints.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    ("analyze", analyze.analyze),
    ("watch", watch.watch),
    ("scan", scan.scan),
    ("wordnet", wordnet.wordnet),
    ("labels", labels.labels),
    ("neighbors", neighbors.neighbors),
    ("mistakes", mistakes.mistakes),
    ("compare", compare.compare),
    ("plot", plot.plot),
    ("report", report.report),
    ("export", export.export),
    ("demo", demo.demo),
)


class _Stopped(Exception):  # noqa: N818 (no error: a person or a pipe has enough)
    """Carries Ctrl-C or a closed pipe past Typer, which would end the process with codes of its own."""


def _past_typer(verb: Callable[..., int]) -> Callable[..., int]:
    @wraps(verb)
    def called(*args: Any, **options: Any) -> int:
        try:
            with elsewhere.brought(verb.__name__, options) as here:
                return verb(*args, **here)
        except (KeyboardInterrupt, BrokenPipeError) as stopped:
            raise _Stopped from stopped

    return called


for _name, _verb in VERBS:
    app.command(_name)(_past_typer(_verb))


def _print_version(wanted: bool) -> None:
    if wanted:
        from dsi_cli import __version__

        print(f"dsi {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before the verb."""


def run_safely(arguments: list[str]) -> int:
    """Return the exit code of a call; whatever goes wrong is one line on stderr, and with ``--json`` a document on stdout.

    ``DSI_TRACEBACK=1`` shows where an unexpected error came from.
    """
    console.open_streams()
    code, error = _run(arguments)
    if error is not None:
        console.error(error)
        if "--json" in arguments:
            console.print_json({"error": error, "exit_code": code})
    return code


def _run(arguments: list[str]) -> tuple[int, str | None]:
    """Return the exit code of a call, and what went wrong."""
    try:
        return _ended(lambda: app(arguments or ["--help"], prog_name="dsi", standalone_mode=False))
    except DsiError as error:
        return error.exit_code, str(error)
    except KeyboardInterrupt:
        return INTERRUPTED, "interrupted: what was finished is kept; run the same command again to go on"
    except BrokenPipeError:
        # Whoever read our output has enough. Nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE, None
    except OSError as error:
        # Ours are OutputErrors by now: this one is stdout's (a full disk behind `>`).
        console.error(f"the output could not be written: {error.strerror or error}")
        return OUTPUT, None
    except Exception as error:  # noqa: BLE001 (the outermost place: a bug is reported, not shown as a traceback)
        if os.environ.get("DSI_TRACEBACK"):
            traceback.print_exc()
        return BUG, f"this is a bug in dsi ({type(error).__name__}: {error}); please report it, with DSI_TRACEBACK=1 set"


def _ended(call: object) -> tuple[int, str | None]:
    """Return the exit code of a Typer call, and what was wrong with its usage."""
    assert callable(call)
    try:
        code = call()
        sys.stdout.flush()
    except typer.Exit as ended:
        return int(ended.exit_code), None
    except _Stopped as stopped:
        raise stopped.__cause__ or KeyboardInterrupt from None
    except Exception as error:
        # Typer's own click, vendored or not, marks wrong usage by this method.
        if not hasattr(error, "format_message"):
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", None) or "dsi"
        return USAGE, f"{error.format_message().rstrip('.')}; {command} --help says more"
    return code if isinstance(code, int) else DONE, None
