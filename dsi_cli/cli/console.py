"""The output of all commands: results on stdout, everything else on stderr, and
progress bars on a terminal.

``--verbose`` turns on the log for bug reports on stderr, with the time of each line.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from shutil import get_terminal_size
from textwrap import fill
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from dsi_cli.cli import signals
from dsi_cli.cli.text import terminal_lines, terminal_text
from dsi_cli.errors import UsageError
from dsi_cli.errors import count as count
from dsi_cli.facts import ERROR
from dsi_cli.remote import urls
from dsi_cli.version import __version__

if TYPE_CHECKING:
    from rich.text import Text

    from dsi_cli.queries.facts import Message

_logger = logging.getLogger("dsi_cli")
MIN_WIDTH = 40  # smallest width to which a sentence is wrapped, in columns
# width from which a column of text is not made narrower, in columns
MIN_TEXT_WIDTH = 12
# width for which a screen is laid out if stdout is not a terminal, in columns
DEFAULT_WIDTH = 80
# width of a table in a file or a pipe, in columns, so that no line is wrapped
FILE_WIDTH = 10_000


@contextmanager
def log_on_stderr(*, verbose: bool) -> Iterator[None]:
    """Log on stderr until the block ends, if the log is turned on; an error is logged
    with its traceback.
    """
    if not verbose:
        yield
        return
    handler, before = logging.StreamHandler(), _logger.level
    handler.setFormatter(_Format(time.time()))
    _logger.addHandler(handler)
    _logger.setLevel(logging.DEBUG)
    _logger.debug(
        "dsi %s, Python %s, %s: %s",
        __version__,
        platform.python_version(),
        platform.platform(),
        sys.argv[1:],
    )
    try:
        yield
    except Exception:
        _logger.debug("ended by", exc_info=True)
        raise
    finally:
        _logger.setLevel(before)
        _logger.removeHandler(handler)


class _Format(logging.Formatter):
    """Formats a line as ``  1.234 s  checkpoints.discovery: message``."""

    def __init__(self, start_time: float) -> None:
        super().__init__("%(since)8.3f s  %(module_name)s: %(message)s")
        self.start_time = start_time

    def format(self, record: logging.LogRecord) -> str:
        record.since = record.created - self.start_time
        record.module_name = record.name.removeprefix("dsi_cli.")
        return terminal_lines(super().format(record))


def error(message: str, hint: str | None = None) -> None:
    """Print an error on stderr, and on a line of its own what to do."""
    _print_labelled("error", message)
    if hint:
        _print_labelled("hint", hint, is_command=True)


def print_message(message: Message, *, quiet: bool = False) -> None:
    """Print a fact on stderr, and on a line of its own what to do; with ``quiet``, only
    an error.
    """
    if quiet and message.severity != ERROR:
        return
    _print_labelled(message.severity, message.text)
    if quiet:
        return
    if message.hint:
        _print_labelled("hint", message.hint)
        note_command(message.command)
    elif message.command:
        _print_labelled("hint", message.command, is_command=True)


LABEL_STYLES = {"error": "1;31", "warning": "1;33", "note": "1", "hint": "1;36"}
"""The codes of the colours of the words that begin lines on stderr."""


def _print_labelled(label: str, text: str, *, is_command: bool = False) -> None:
    """Print a line that begins with a word, which has a colour on a terminal; a command
    is not wrapped, so that it can be pasted.
    """
    line = f"{label}: {terminal_text(text)}"
    if not is_command:
        line = _wrap(line, sys.stderr, 2)
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        line = f"\x1b[{LABEL_STYLES[label]}m{label}\x1b[0m" + line[len(label) :]
    print(line, file=sys.stderr)


def note(message: str, *, quiet: bool = False) -> None:
    """Print a note on stderr; on a terminal it is wrapped between words."""
    if not quiet:
        print(_wrap(terminal_text(message), sys.stderr, 4), file=sys.stderr)


def note_command(command: str, *, quiet: bool = False) -> None:
    """Print a command on stderr, on a separate line and without wrapping, so that it
    can be pasted.
    """
    if command and not quiet:
        print(f"  {terminal_text(command)}", file=sys.stderr)


def print_json(document: Any, *, is_line: bool = False) -> None:
    """Print a JSON document, or one of a stream as one line, which is flushed because
    the reader waits for it.
    """
    import json

    # the fields of errors can be objects, such as paths
    text = json.dumps(
        document, indent=None if is_line else 2, allow_nan=False, default=str
    )
    print(urls.show_urls(text), flush=is_line)


def print_sentence(text: str, *, indent: int = 0, hanging: int = 2) -> None:
    """Print a sentence on stdout; on a terminal it is wrapped between words, but not
    within ``4 to 17`` or ``95 %``.

    `indent` is the number of spaces before the first line, and `hanging` that before
    the other lines.
    """
    print(_wrap(" " * indent + terminal_text(text), sys.stdout, hanging))


def _wrap(line: str, stream: IO[str], hanging: int) -> str:
    """Return a line wrapped between words if the stream is a terminal, and else
    unchanged.
    """
    if not stream.isatty():
        return line
    width = max(MIN_WIDTH, get_terminal_size().columns)
    joined = re.sub(
        r"(?<!\d)\d+ (?:to \d+|%)", lambda match: match[0].replace(" ", "\0"), line
    )
    wrapped = fill(
        joined,
        width,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapped.replace("\0", " ")


def print_columns(
    titles: Sequence[str], rows: Iterable[Sequence[str | Text]], indent: int = 0
) -> None:
    """Print columns on stdout; in a file or a pipe their lines are not wrapped.

    In ``titles``, ``#`` precedes the title of a column of numbers, which are
    right-aligned and not wrapped, and ``|`` that of a column of drawings, which are
    left-aligned and not wrapped. A cell that is a `rich.text.Text` has a style, and its
    text must be that of `terminal_text`.
    """
    from rich.table import Table
    from rich.text import Text

    lines = [[Text(terminal_lines(title.lstrip("#|"))) for title in titles]]
    for row in rows:
        first, *rest = (
            Text(terminal_text(cell)) if isinstance(cell, str) else cell for cell in row
        )
        lines.append([Text(" " * indent) + first, *rest])
    table = Table(
        pad_edge=False,
        box=None,
        header_style="bold",
        show_header=any(titles),
        padding=(0, 2, 0, 0),
    )
    needed = 0
    for title, cells in zip(titles, zip(*lines, strict=True), strict=True):
        justify: Literal["right", "left"] = "right" if title.startswith("#") else "left"
        is_whole = title.startswith(("#", "|"))
        table.add_column(cells[0], justify=justify, no_wrap=is_whole, overflow="fold")
        longest = max(line.cell_len for cell in cells for line in cell.split())
        needed += 2 + (longest if is_whole else min(longest, MIN_TEXT_WIDTH))
    for texts in lines[1:]:
        table.add_row(*texts)
    # In a narrower terminal rich would leave out columns, but the terminal itself
    # breaks long lines.
    width = max(stdout_width(), needed) if sys.stdout.isatty() else FILE_WIDTH
    _print_with_rich(table, width)


def _print_with_rich(content: Any, width: int, *, soft_wrap: bool = False) -> None:
    """Print on stdout by rich, without blanks at the ends of lines."""
    from rich.console import Console

    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(content, soft_wrap=soft_wrap)
    for line in captured.get().removesuffix("\n").split("\n"):
        print(line.rstrip())


def print_styled(*parts: tuple[str, str]) -> None:
    """Print texts with their styles on one line of stdout; only a terminal shows
    styles, unless ``NO_COLOR`` is set.
    """
    from rich.text import Text

    line = Text.assemble(*((terminal_text(text), style) for text, style in parts))
    _print_with_rich(line, FILE_WIDTH, soft_wrap=True)


def print_title(title: str, legend: str) -> None:
    """Print the title of a section and what its numbers mean, after an empty line; on
    two lines in a narrow terminal.
    """
    is_wide = sys.stdout.isatty() and len(title) + 3 + len(legend) > stdout_width()
    print()
    if is_wide:
        print_styled((title, "bold"))
        print_styled(("  ", ""), (legend, "dim"))
    else:
        print_styled((title, "bold"), ("   ", ""), (legend, "dim"))


def stdout_width() -> int:
    """Return the number of columns of the terminal, or 80 if stdout is a file or a
    pipe.
    """
    if sys.stdout.isatty():
        return max(MIN_WIDTH, get_terminal_size().columns)
    return DEFAULT_WIDTH


class ProgressDisplay(NamedTuple):
    """The functions that show the progress of a long call."""

    update: Callable[[str, int, int], None]
    """Takes (stage, done, total) and draws a bar on stderr if stderr is a terminal."""
    say: Callable[[str], None]  # prints a note


@contextmanager
def progress(*, quiet: bool) -> Iterator[ProgressDisplay]:
    """Yield the functions that show the progress of a long call."""
    if (
        quiet or _logger.handlers or not sys.stderr.isatty()
    ):  # a bar would hide the lines of the log
        yield ProgressDisplay(
            lambda _stage, _done, _total: signals.check(),
            lambda text: note(text, quiet=quiet),
        )
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            signals.check()
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield ProgressDisplay(
            update,
            lambda text: bars.console.print(
                terminal_text(text), markup=False, highlight=False, soft_wrap=True
            ),
        )


def binary_stdout(hint: str) -> IO[bytes]:
    """Return stdout for bytes; raise `UsageError` if stdout is a terminal."""
    if sys.stdout.isatty():
        raise UsageError(
            f"stdout is a terminal, which cannot show Parquet or NPY: {hint}",
            code="stdout-is-terminal",
        )
    return sys.stdout.buffer
