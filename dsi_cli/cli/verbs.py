"""The table of verbs, and how a call of one begins and ends."""

from __future__ import annotations

import gc
import inspect
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from dsi_cli.cli import (
    analyze,
    compare,
    console,
    demo,
    doctor,
    elsewhere,
    export,
    labels,
    logs,
    mistakes,
    neighbors,
    plot,
    report,
    scan,
    usage,
    watch,
    wordnet,
)
from dsi_cli.errors import BUG, DONE, INTERRUPTED, OUTPUT, USAGE, DsiError

WIDEST = 110
"""Columns of a help text at most."""

app = typer.Typer(
    name="dsi",
    help="Deep Similarity Inspector: how a classifier's perception of similarity emerged, read out of its checkpoints.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
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
    ("doctor", doctor.doctor),
)
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A log of what is done on stderr, for bug reports.")]


class _Stopped(Exception):  # noqa: N818 (no error: a person or a pipe has enough)
    """Carries Ctrl-C or a closed pipe past Typer, which would end the process with codes of its own."""


def _as_command(verb: Callable[..., int]) -> Callable[..., int]:
    """Return a verb as Typer takes it: with ``--verbose``, and stopped past it."""

    @wraps(verb)
    def called(*args: Any, verbose: bool = False, **options: Any) -> int:
        try:
            with logs.on_stderr(verbose=verbose), elsewhere.brought(verb.__name__, options) as here:
                return verb(*args, **here)
        except (KeyboardInterrupt, BrokenPipeError) as stopped:
            raise _Stopped from stopped

    own = inspect.signature(verb, eval_str=True)
    added = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Verbose)
    called.__signature__ = own.replace(parameters=[*own.parameters.values(), added])  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in own.parameters.values()} | {"verbose": Verbose}
    return called


def described(verb: Callable[..., int]) -> tuple[str, list[str]]:
    """Return what a verb's docstring says, and the lines of its examples."""
    told, _, examples = (inspect.getdoc(verb) or "").partition("\n\nExamples\n--------\n")
    return told, examples.splitlines()


def _add(name: str, verb: Callable[..., int]) -> None:
    told, examples = described(verb)
    epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)]) if examples else None
    app.command(name, help=told, short_help=told.split("\n")[0].rstrip("."), epilog=epilog)(_as_command(verb))


for _name, _verb in VERBS:
    _add(_name, _verb)


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


COLLECTED_AT = 100_000
"""Objects after which Python looks for cycles of garbage: most of what a command makes stays until it ends."""


def run_safely(arguments: list[str]) -> int:
    """Return the exit code of a call; whatever goes wrong is one line on stderr, and with ``--json`` a document on stdout."""
    console.open_streams()
    gc.set_threshold(COLLECTED_AT)
    code, error = _run(arguments)
    if error is not None:
        console.error(error)
        if "--json" in arguments:
            console.print_json({"error": error, "exit_code": code})
    return code


def _run(arguments: list[str]) -> tuple[int, str | None]:
    """Return the exit code of a call, and what went wrong."""
    try:
        return _ended(arguments or ["--help"])
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
        return BUG, (
            f"this is a bug in dsi ({type(error).__name__}: {error}); please report it with what `dsi doctor` prints,"
            " and what the same command prints with --verbose"
        )


def _ended(arguments: list[str]) -> tuple[int, str | None]:
    """Return the exit code of a Typer call, and what was wrong with its usage."""
    command: Any = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="dsi", standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as ended:
        return int(ended.exit_code), None
    except _Stopped as stopped:
        raise stopped.__cause__ or KeyboardInterrupt from None
    except Exception as error:
        if not usage.is_wrong_usage(error):
            raise
        return USAGE, usage.line(error, arguments, command.commands)
    return code if isinstance(code, int) else DONE, None
