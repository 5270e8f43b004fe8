"""The table of commands, how a call of a command begins and ends, and errors as one
line each.

A command's module is imported when the command is called or its help is printed. Errors
of usage come from click, or from the copy of click inside Typer.
"""

from __future__ import annotations

import errno
import inspect
import os
import signal
import sys
from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from dsi_cli.cli import console, signals, urls
from dsi_cli.errors import (
    BUG,
    DONE,
    INTERRUPTED,
    OUTPUT,
    TERMINATED,
    USAGE,
    DsiError,
    nearest,
)

MAX_HELP_WIDTH = 110  # width of a help text, in columns
SECTIONS = {
    "Analyse": {
        "analyze": "Compare classifiers with WordNet, and with their own mistakes",
        "watch": "Analyse each checkpoint as training writes it",
        "scan": "Show what dsi analyze would read",
    },
    "Look at results": {
        "suspects": "List classes, pairs and groups that deserve a look",
        "report": "Write one HTML file with all results",
        "plot": "Draw the figures of an analysis",
        "neighbors": "List the classes nearest to a class, or the closest pairs",
        "mistakes": "List the most confused pairs of classes and the worst mistakes",
        "compare": "Compare runs at equal accuracy, with 95 % confidence intervals",
        "diff": "Show what differs between two checkpoints with the same classes",
        "export": "Write a matrix or table to a file, or log curves to a tracker",
    },
    "Labels": {
        "labels": "Show the WordNet sense of each label, how sure dsi is, and why",
        "wordnet": "Write the WordNet similarities of a label list",
    },
    "Help": {
        "demo": "Analyse two real runs that ship with the package",
        "doctor": "Print versions, and which packages are missing",
    },
}
"""The commands by section of ``dsi --help``, with their purpose, with which their
docstrings begin. Each is a function in the module of the same name.
"""
COMMANDS = {
    name: purpose for section in SECTIONS.values() for name, purpose in section.items()
}
KEEP_WORK = ("analyze", "watch", "demo")  # commands that continue what was interrupted
PATH_ERRORS = (
    "ENAMETOOLONG",
    "ENOENT",
    "ENOTDIR",
    "EISDIR",
    "EACCES",
    "EPERM",
    "ELOOP",
    "EINVAL",
)
"""The names of the system's errors that mean a wrong path."""
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Print a log on stderr, for bug reports."),
]


class Failure(NamedTuple):
    """The end of a call that failed: what the terminal and ``--json`` show."""

    exit_code: int
    error: str
    code: str
    hint: str | None = None
    fields: Mapping[str, Any] = {}


def _wrong_usage(error: Any, arguments: Sequence[str]) -> Failure:
    """Return what is wrong with a call, from click's error."""
    name = arguments[0]
    command = f"dsi {name}" if name in COMMANDS else "dsi"
    help_hint = f"run {command} --help"
    if name not in COMMANDS and not name.startswith("-"):
        if os.path.exists(name):  # noqa: PTH110 (False for a name that is too long)
            message = f"{name} is a path, not a command"
            return Failure(USAGE, message, "path-as-command", f"run dsi analyze {name}")
        near = nearest(name, COMMANDS)
        hint = f"run dsi {near}" if near else help_hint
        return Failure(USAGE, f"dsi has no command {name!r}", "unknown-command", hint)
    if hasattr(error, "possibilities"):
        known = [option.lstrip("-") for option in error.possibilities or []]
        near = nearest(error.option_name.lstrip("-"), known)
        hint = f"use --{near}" if near else help_hint
        message = f"{command} has no option {error.option_name}"
        return Failure(USAGE, message, "unknown-option", hint)
    message = str(error.format_message()).rstrip(".")
    message = f"{message[:1].lower()}{message[1:]}"
    value = _wrong_value(error, arguments)
    if value is not None:
        message += f" (found {value!r})"
    return Failure(USAGE, message, "usage", help_hint)


def _wrong_value(error: Any, arguments: Sequence[str]) -> str | None:
    """Return the value that click could not read; None if the error is about no
    option.
    """
    flags = getattr(getattr(error, "param", None), "opts", [])
    for index, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in flags:
            return value if equals else "".join(arguments[index + 1 : index + 2])
    return None


class _Stopped(Exception):  # noqa: N818 (no error: the user or the reader of a pipe has ended the command)
    """Passes Ctrl-C or a closed pipe through Typer, which would end the process with
    exit codes that dsi does not document.
    """


def _with_signals(function: Callable[..., int]) -> Callable[..., int]:
    """Return a command's function for Typer: with ``--verbose``, local paths in place
    of URLs, and handlers of signals.
    """

    @wraps(function)
    def called(*args: Any, verbose: bool = False, **options: Any) -> int:
        try:
            with (
                signals.interrupted_by(signal.SIGINT),
                signals.interrupted_by(
                    signal.SIGTERM
                ),  # a batch system sends it before it ends a job
                console.log_on_stderr(verbose=verbose),
            ):
                local = urls.with_local_paths(function.__name__, options)
                return function(*args, **local)
        except (KeyboardInterrupt, BrokenPipeError) as stopped:
            raise _Stopped from stopped

    signature = inspect.signature(function, eval_str=True)
    added = inspect.Parameter(
        "verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Verbose
    )
    parameters = [*signature.parameters.values(), added]
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {
        parameter.name: parameter.annotation for parameter in parameters
    }
    return called


def command_function(name: str) -> Callable[..., int]:
    """Return the function of a command."""
    return getattr(import_module(f"dsi_cli.cli.{name}"), name)


def split_docstring(function: Callable[..., int]) -> tuple[str, list[str]]:
    """Return the description in a command's docstring, and the lines of its
    examples.
    """
    description, _, examples = (inspect.getdoc(function) or "").partition(
        "\n\nExamples\n--------\n"
    )
    return description, examples.splitlines()


@cache
def _command(name: str) -> Any:
    function = command_function(name)
    description, examples = split_docstring(function)
    if examples:
        epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)])
    else:
        epilog = None
    single = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    add = single.command(
        name,
        cls=_SectionedCommand,
        help=description,
        short_help=COMMANDS[name],
        epilog=epilog,
    )
    add(_with_signals(function))
    return typer.main.get_command(single)


class _SectionedCommand(TyperCommand):
    """A command whose help shows its options in sections: Typer's help panels, without
    the import of rich.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the usage, without the braces that some versions of Typer put around
        the name of an argument.
        """
        pieces = super().collect_usage_pieces(ctx)
        return [piece.replace("{", "").replace("}", "") for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section per help panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            name, text = record
            title = "Options"
            if parameter.param_type_name == "argument":
                # some versions of Typer add the type, as <list[str]>
                title, name = ("Arguments", name.partition(" <")[0])
            sections.setdefault(
                getattr(parameter, "rich_help_panel", None) or title, []
            ).append((name, text))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class _LazyCommands(UserDict[str, Any]):
    """Click's objects of all commands, each made when it is used."""

    def __getitem__(self, name: str) -> Any:
        return _command(name) if name in COMMANDS else super().__getitem__(name)


class _Group(TyperGroup):
    """The program ``dsi``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _LazyCommands(COMMANDS)

    def get_params(self, ctx: Any) -> Any:
        """Return the options of ``dsi``."""
        # --help and Typer's switches for completion have None as the default. To
        # convert None, Typer imports pydantic, which takes longer than all of dsi
        # --help.
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if getattr(parameter, "is_bool_flag", False) and parameter.default is None:
                parameter.default = False
        return parameters

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (click's)
        """Write the purpose of each command, without importing the commands."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(section.items()))


app = typer.Typer(
    name="dsi",
    cls=_Group,
    help=(
        "Deep Similarity Inspector: see which classes a classifier treats as similar,"
        " epoch by epoch, and whether WordNet agrees.\n\n"
        "Start with: dsi demo, and then dsi analyze ckpts/ --labels cifar100"
    ),
    options_metavar="",
    subcommand_metavar="COMMAND ...",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": MAX_HELP_WIDTH,
    },
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from dsi_cli import __version__

        print(f"dsi {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Take the options before the command."""


def main_with_exit_code(arguments: list[str]) -> int:
    """Return the exit code of a call; an error is a line on stderr, and with ``--json``
    a document on stdout.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the process was started with a closed stream
            descriptor = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(descriptor, "w", encoding="utf-8"))
    failure = run(arguments)
    if isinstance(failure, int):
        return failure
    console.error(failure.error, failure.hint)
    # stdout cannot take a document if it is what could not be written
    if "--json" in arguments and failure.code != "stream":
        console.print_json(failure._asdict(), is_line=arguments[0] == "watch")
    return failure.exit_code


def run(arguments: list[str]) -> int | Failure:
    """Return the exit code of a call, or how it failed."""
    command: Any = typer.main.get_command(app)
    try:
        code = command.main(
            arguments or ["--help"], prog_name="dsi", standalone_mode=False
        )
        sys.stdout.flush()
        if code == INTERRUPTED:  # Ctrl-C before the function of a command begins
            return _interrupted(arguments, INTERRUPTED)
        return code if isinstance(code, int) else DONE
    except typer.Exit as ended:
        return int(ended.exit_code)
    except DsiError as error:
        return Failure(
            error.exit_code, error.message, error.code, error.hint, error.fields
        )
    except (_Stopped, KeyboardInterrupt, BrokenPipeError) as stopped:
        cause = stopped.__cause__ or stopped
        if isinstance(cause, BrokenPipeError):
            # The reader of the output has closed the pipe. Python must not write to it
            # at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        is_terminated = isinstance(cause, signals.Terminated)
        return _interrupted(arguments, TERMINATED if is_terminated else INTERRUPTED)
    except OSError as error:  # no other module handles it
        return _failed_by_system(error)
    except ModuleNotFoundError as error:
        return _missing_package(error)
    except Exception as error:  # noqa: BLE001 (the outermost function: a bug is reported, not shown as a traceback)
        # only click's errors for wrong usage have this method
        if hasattr(error, "format_message"):
            return _wrong_usage(error, arguments)
        return _bug(error)


def _interrupted(arguments: Sequence[str], exit_code: int) -> Failure:
    hint = None
    if arguments and arguments[0] in KEEP_WORK:
        hint = "finished work is kept; run the same command again to continue"
    return Failure(exit_code, "interrupted", "interrupted", hint)


def _failed_by_system(error: OSError) -> Failure:
    reason = error.strerror or str(error)
    if error.filename is None:
        # most often a full disk behind `>`, so that stdout takes no more text
        message = (
            f"stdout, or a file that is open, could not be written or read: {reason}"
        )
        return Failure(OUTPUT, message, "stream")
    message = f"{os.fsdecode(error.filename)}: {reason}"
    if errno.errorcode.get(error.errno or 0, "") in PATH_ERRORS:
        return Failure(USAGE, message, "path", "check the path")
    return Failure(OUTPUT, message, "output")


def _missing_package(error: ModuleNotFoundError) -> Failure:
    """Return what a missing package is needed for. It is a bug if every command needs
    the package.
    """
    from dsi_cli.cli.doctor import NAMES, SERVES

    module = (error.name or "").partition(".")[0]
    package = NAMES.get(module, module)
    if package not in SERVES:
        return _bug(error)
    message = f"{package} is not installed, which dsi needs for {SERVES[package]}"
    return Failure(USAGE, message, "missing-package", f"run pip install {package}")


def _bug(error: Exception) -> Failure:
    message = f"this is a bug in dsi ({type(error).__name__}: {error})"
    hint = (
        "please report it with what dsi doctor --json prints, and what the same command"
        " prints with --verbose"
    )
    return Failure(BUG, message, "bug", hint)
