"""What verbs share: results on stdout, all else on stderr, progress where somebody watches."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from shutil import get_terminal_size
from textwrap import fill
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from dsi_cli.cli import logs, signals
from dsi_cli.errors import UsageError
from dsi_cli.errors import count as count
from dsi_cli.remote import local_names

if TYPE_CHECKING:
    from rich.table import Table


NARROWEST = 40
"""Columns to which a sentence is broken at least."""
WIDEST = 10_000
"""Columns of a table that goes to a file or a pipe: no line of it is broken."""
_uploads: ContextVar[tuple[Callable[[], None], ...]] = ContextVar("uploads", default=())
"""What uploads the work done so far, while there is an output on a server."""


def open_streams() -> None:
    """Give the process streams to write to where it was started with closed ones."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def error(message: str) -> None:
    """Print one line that says what went wrong; a terminal shows it broken between words."""
    print(_broken(f"dsi: {shown(message)}", sys.stderr, 5), file=sys.stderr)


def note(message: str, *, quiet: bool = False) -> None:
    """Print a line that is not a result."""
    if not quiet:
        print(_broken(shown(message), sys.stderr, 4), file=sys.stderr)


def note_command(command: str, *, quiet: bool = False) -> None:
    """Print a command that is no result, on a line of its own and unbroken, so that it can be pasted as it is."""
    if not quiet:
        print(f"  {shown(command)}", file=sys.stderr)


def shown(text: str) -> str:
    r"""Return text that a terminal can print on one line: control and direction characters escaped.

    >>> shown("epoch_4\nnew\x1b[31m")
    'epoch_4\\nnew\\x1b[31m'
    """
    safe = "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else c.encode("unicode_escape").decode()
        for c in local_names.show_urls(text)
    )
    encoding = sys.stdout.encoding or "utf-8"
    return safe.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def uploading(upload: Callable[[], None]) -> Iterator[None]:
    """Let `settle` call a function that uploads the work done so far."""
    token = _uploads.set((*_uploads.get(), upload))
    try:
        yield
    finally:
        _uploads.reset(token)


def settle() -> None:
    """Upload the work done so far, before it is told as done; errors as the upload's."""
    for upload in _uploads.get():
        upload()


def print_json(document: Any) -> None:
    """Print the one JSON document of ``--json``."""
    settle()
    import json

    print(local_names.show_urls(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False)))


def print_json_line(document: Any) -> None:
    """Print one JSON document of a stream, a line each, at once: whoever reads them waits for it."""
    settle()
    import json

    print(local_names.show_urls(json.dumps(document, ensure_ascii=True, allow_nan=False)), flush=True)


def print_sentence(text: str, indent: int = 2, hanging: int = 4) -> None:
    """Print a sentence on stdout, set in; on a terminal broken between words, but not within ``4 to 17``, else one line."""
    print(_broken(" " * indent + shown(text), sys.stdout, hanging))


def _broken(line: str, stream: IO[str], hanging: int) -> str:
    """Return a line as it stands on a terminal: broken between words; unchanged where the stream is none."""
    if not stream.isatty():
        return line
    width = max(NARROWEST, get_terminal_size().columns)
    held = re.sub(r"\d+ to \d+", lambda found: found[0].replace(" ", "\0"), line)
    broken = fill(held, width, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False)
    return broken.replace("\0", " ")


def print_table(table: Table) -> None:
    """Print a table on stdout; wide enough for all of it where stdout is no terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDEST
    Console(width=width, highlight=False, soft_wrap=False).print(table)


def print_columns(titles: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> None:
    """Print plain columns on stdout, each under its title; those marked True hold numbers, which stand at the right, unbroken."""
    from rich.table import Table
    from rich.text import Text

    table = Table(pad_edge=False, box=None, header_style="bold")
    for title, is_number in titles:
        table.add_column(title, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    print_table(table)


class ProgressDisplay(NamedTuple):
    """How a long call is told of while it goes on."""

    update: Callable[[str, int, int], None]
    """Takes (stage, done, total); draws a bar on stderr, where that is a terminal."""
    say: Callable[[str], None]
    """Takes a line that is not a result."""


@contextmanager
def progress(*, quiet: bool) -> Iterator[ProgressDisplay]:
    """Yield how to tell of a long call while it goes on."""
    if quiet or logs.is_on() or not sys.stderr.isatty():
        yield ProgressDisplay(lambda _stage, _done, _total: signals.check(), lambda text: note(text, quiet=quiet))
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
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
            update, lambda text: bars.console.print(shown(text), markup=False, highlight=False, soft_wrap=True)
        )


def binary_stdout(hint: str) -> IO[bytes]:
    """Return stdout for bytes.

    Raises
    ------
    UsageError
        It is a terminal.
    """
    if sys.stdout.isatty():
        raise UsageError(f"stdout is a terminal, which cannot show Parquet or NPY: {hint}")
    return sys.stdout.buffer


def size(number: int) -> str:
    """Return bytes for a person.

    >>> size(999), size(1_353_237)
    ('999 B', '1.4 MB')
    """
    value, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"
