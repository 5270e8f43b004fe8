"""The table of verbs, and how a call of one begins and ends. A verb is imported when it is called, or its help asked for."""

from __future__ import annotations

import errno
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dsi_cli.cli import console, logs, signals, urls, usage_errors
from dsi_cli.errors import BUG, DONE, INTERRUPTED, OUTPUT, TERMINATED, USAGE, DsiError

WIDEST = 110
"""Columns of a help text at most."""

VERBS = {
    "analyze": "Compare the classifiers of checkpoints with WordNet, and with their own mistakes",
    "watch": "Do as dsi analyze while training still writes, each checkpoint once it is whole",
    "scan": "Show what would be analysed, a line per file",
    "wordnet": "Build WordNet's similarity matrix of a label list",
    "labels": "Show what the labels of a list are understood to mean, how sure that is, and why",
    "neighbors": "List the classes most similar to a class, or the closest pairs, beside what WordNet says of them",
    "mistakes": "List the most telling mistakes of an epoch",
    "compare": "Put runs side by side: how alike they see the classes, what differs at equal accuracy, and which to prefer",
    "plot": "Draw the figures of an analysis",
    "report": "Write one HTML file that shows all of an output: curves, matrices, neighbours, mistakes, classes",
    "export": "Write one matrix or table as Parquet, CSV or NPY; or log the curves to a tracker",
    "demo": "Analyse two real runs that ship with the package",
    "doctor": "Print versions, and what is missing",
}
"""What each does: the function of its name, in the module of its name, whose docstring begins with the same words."""
_OF_PATH = (
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.EINVAL,
)
"""Errors of the system by which a path is wrong."""
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A log of what is done on stderr, for bug reports.")]


class _Stopped(Exception):  # noqa: N818 (no error: a person or a pipe has enough)
    """Carries Ctrl-C or a closed pipe past Typer, which would end the process with codes of its own."""


def _as_command(verb: Callable[..., int]) -> Callable[..., int]:
    """Return a verb as Typer takes it: with ``--verbose``, and stopped past it."""

    @wraps(verb)
    def called(*args: Any, verbose: bool = False, **options: Any) -> int:
        try:
            with (
                signals.by(signal.SIGINT),
                signals.by(signal.SIGTERM),  # a batch system sends it before it ends a job
                logs.on_stderr(verbose=verbose),
                urls.with_local_paths(verb.__name__, options) as here,
            ):
                return verb(*args, **here)
        except (KeyboardInterrupt, BrokenPipeError) as stopped:
            raise _Stopped from stopped

    own = inspect.signature(verb, eval_str=True)
    added = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Verbose)
    called.__signature__ = own.replace(parameters=[*own.parameters.values(), added])  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in own.parameters.values()} | {"verbose": Verbose}
    return called


def function_of(name: str) -> Callable[..., int]:
    """Return the function that is a verb."""
    function: Callable[..., int] = getattr(import_module(f"dsi_cli.cli.{name}"), name)
    return function


def described(verb: Callable[..., int]) -> tuple[str, list[str]]:
    """Return what a verb's docstring says, and the lines of its examples."""
    told, _, examples = (inspect.getdoc(verb) or "").partition("\n\nExamples\n--------\n")
    return told, examples.splitlines()


@cache
def _command(name: str) -> Any:
    """Return a verb as click's command."""
    told, examples = described(function_of(name))
    epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)]) if examples else None
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name, cls=_SectionedCommand, help=told, short_help=VERBS[name], epilog=epilog)(
        _as_command(function_of(name))
    )
    return typer.main.get_command(alone)


class _SectionedCommand(TyperCommand):
    """A command whose help shows its options in sections: Typer's help panels, without the import of rich."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_argument = parameter.param_type_name == "argument"
                title = getattr(parameter, "rich_help_panel", None) or ("Arguments" if is_argument else "Options")
                name, text = record
                if is_argument:
                    name = name.partition(" <")[0]  # some versions of Typer add the type, such as <list[str]>
                sections.setdefault(title, []).append((name, text))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class _Commands(Mapping[str, Any]):
    """Click's command of each verb, made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class _Group(TyperGroup):
    """``dsi`` itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _Commands()

    def get_params(self, ctx: Any) -> Any:
        # --help and Typer's switches for completion have None as the default. To convert None, Typer imports pydantic, which
        # takes longer than all of dsi --help.
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if getattr(parameter, "is_bool_flag", False) and parameter.default is None:
                parameter.default = False
        return parameters

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (click's)
        """Write what each verb does, without one of them imported."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


app = typer.Typer(
    name="dsi",
    cls=_Group,
    help="Deep Similarity Inspector: how a classifier's perception of similarity emerged, read out of its checkpoints.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
)


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


def main_with_exit_code(arguments: list[str]) -> int:
    """Return the exit code of a call; whatever goes wrong is one line on stderr, and with ``--json`` a document on stdout."""
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
        return _ended(arguments or ["--help"])
    except DsiError as error:
        return error.exit_code, str(error)
    except KeyboardInterrupt as stopped:
        code = TERMINATED if isinstance(stopped, signals.Terminated) else INTERRUPTED
        return code, "interrupted: what was finished is kept; run the same command again to go on"
    except BrokenPipeError:
        # Whoever read our output has enough. Nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE, None
    except OSError as error:
        return _of_system(error)
    except ModuleNotFoundError as error:
        return _of_package(error)
    except Exception as error:  # noqa: BLE001 (the outermost place: a bug is reported, not shown as a traceback)
        return BUG, _bug(error)


def _of_package(error: ModuleNotFoundError) -> tuple[int, str]:
    """Return the exit code and the message for a package that is missing; one that every command needs is a bug."""
    from dsi_cli.diagnostics import NAMES, SERVES

    module = (error.name or "").partition(".")[0]
    package = NAMES.get(module, module)
    if package not in SERVES:
        return BUG, _bug(error)
    return USAGE, f"{package} is not installed, which serves {SERVES[package]}: pip install {package}"


def _bug(error: Exception) -> str:
    return (
        f"this is a bug in dsi ({type(error).__name__}: {error}); please report it with what `dsi doctor` prints,"
        " and what the same command prints with --verbose"
    )


def _of_system(error: OSError) -> tuple[int, str | None]:
    """Return the exit code and the message for an error of the system that no module took for one of its own."""
    reason = error.strerror or str(error)
    if error.filename is None:  # most often a full disk behind `>`, so that nothing more can be printed on stdout
        console.error(f"stdout, or a file that is open, could not be written or read: {reason}")
        return OUTPUT, None
    if error.errno in _OF_PATH:
        return USAGE, f"{os.fsdecode(error.filename)}: {reason}; check the path"
    return OUTPUT, f"{os.fsdecode(error.filename)}: {reason}"


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
        if not usage_errors.is_wrong_usage(error):
            raise
        return USAGE, usage_errors.usage_line(error, arguments, command.commands)
    return code if isinstance(code, int) else DONE, None
