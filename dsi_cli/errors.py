"""Every error that dsi raises on purpose, in one tree with exit codes, and the parts
that messages share.

    DsiError                  1   (never raised itself)
    ├── UsageError            2   an option, path or label list that cannot be right
    ├── NothingToAnalyseError 3   the paths are fine but hold nothing usable
    │   └── UnreachableError  3   a server does not list its files
    ├── OutputError           5   the output could not be written or read back
    │   └── BusyError             another process writes to it now
    ├── EngineError           5   the machines that do the work are gone
    └── CheckpointError           the reason of one file; it never ends a run
        ├── PendingError          the file is still being written
        ├── UnreadableError       the file is damaged, hostile, or of an unknown kind
        ├── NoHeadError           the file has no classifier
        │   ├── BackboneError     the network has no classifier
        │   └── ClassCountError   no matrix has as many rows as there are classes
        ├── AmbiguousHeadError    several tensors could be the classifier
        └── NotFiniteError        the classifier has NaN or infinite weights

A message says what was expected and what was found, in one line, and a `hint` says what
to do. Each error also has a stable `code` and the values of its message as `fields`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

DONE = 0
BUG = 1
USAGE = 2
NOTHING = 3
PARTIAL = 4
OUTPUT = 5
SUSPECT = 6
INTERRUPTED = 130
TERMINATED = 143
"""The exit codes of the command; ``PARTIAL`` means done, but some checkpoints could not
be used, and ``SUSPECT`` that one has a kind or grade of ``--fail-on``.
"""


class DsiError(Exception):
    """Base of all errors that dsi raises on purpose.

    Parameters
    ----------
    message : one line: what was expected, and what was found.
    code : a stable name of the kind of error, such as ``unknown-run``; the class's own
        if None.
    hint : what to do, best as a command that can be pasted; None without advice.
    fields : the values that the message names.

    Attributes
    ----------
    code : the stable name; messages may be reworded, codes are not.
    fields : the values, by name.
    exit_code : of the command.

    Examples
    --------
    >>> str(UsageError("there is no file a.pt", hint="run dsi scan"))
    'there is no file a.pt; run dsi scan'
    """

    exit_code = BUG
    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        **fields: object,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint
        self.fields = fields

    def __str__(self) -> str:
        """Return the message and the hint in one line."""
        return self.message if self.hint is None else f"{self.message}; {self.hint}"


class UsageError(DsiError, ValueError):
    """The caller gave a value that is not allowed."""

    exit_code = USAGE
    code = "usage"


class NothingToAnalyseError(DsiError):
    """The paths exist, but nothing in them can be analysed."""

    exit_code = NOTHING
    code = "nothing-to-analyse"


class UnreachableError(NothingToAnalyseError):
    """A server cannot be reached, or refuses the request. It may accept it later."""

    code = "unreachable"


class OutputError(DsiError):
    """The output folder could not be written, or does not hold what was asked for."""

    exit_code = OUTPUT
    code = "output"


class BusyError(OutputError):
    """Another process writes to the output folder now."""

    code = "busy"


class EngineError(DsiError):
    """The machines that do the work are gone; finished work is kept."""

    exit_code = OUTPUT
    code = "engine"


class CheckpointError(DsiError):
    """One checkpoint cannot be used; the message is the reason that its row shows."""

    exit_code = NOTHING
    code = "checkpoint"


class PendingError(CheckpointError):
    """The file is incomplete, as a file that is still being written."""

    code = "pending"


class UnreadableError(CheckpointError):
    """The file is damaged, hostile, or of a kind that dsi does not read."""

    code = "unreadable"


class NoHeadError(CheckpointError):
    """The file is complete, but no tensor in it is a classifier's weight."""

    code = "no-head"


class BackboneError(NoHeadError):
    """The file contains the weights of a network without a classifier."""

    code = "backbone"


class ClassCountError(NoHeadError):
    """No matrix in the file has one row for each class."""

    code = "class-count"


class AmbiguousHeadError(CheckpointError):
    """Several tensors could be the classifier, and nothing decides between them."""

    code = "ambiguous-head"


class NotFiniteError(CheckpointError):
    """The classifier holds NaN or infinite weights."""

    code = "not-finite"


def wrong(
    where: object,
    expectation: str,
    found: object,
    hint: str | None = None,
    /,
    *,
    code: str,
    kind: type[DsiError] = UsageError,
    **fields: object,
) -> DsiError:
    """Return an error about a value that is not as expected.

    Parameters
    ----------
    where : the file, option or parameter with the value.
    expectation : what dsi expected there.
    found : what it found instead.
    hint : what to do, best as a command.
    code : the stable name of the error.
    kind : the class of the error.
    fields : the values that the message names; `where` and what was found, as
        ``reason``, are fields of each such error.

    Examples
    --------
    >>> str(wrong("--epochs", "first:last:step", "'a:b'", "give 0:200:5", code="epochs"))
    "--epochs: expected first:last:step, found 'a:b'; give 0:200:5"
    """
    message = f"{where}: expected {expectation}, found {found}"
    named = {"where": str(where), "reason": f"found {found}", **fields}
    return kind(message, code=code, hint=hint, **named)


def expected(known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the known names.

    >>> expected(["ncsm", "ccsm", "tncsm"]), expected(["test", "train"])
    ('expected one of ncsm, ccsm, tncsm', 'expected test or train')
    """
    names = list(known)
    choices = " or ".join(names) if len(names) <= 2 else f"one of {', '.join(names)}"
    return f"expected {choices}"


def require_choice(
    what: str, value: str, choices: Iterable[str], problem: str | None = None
) -> None:
    """Raise a `UsageError` with the code ``unknown-WHAT`` unless a value is one of the
    choices.

    The message begins with ``problem``, by default ``no WHAT``, and lists the choices.

    >>> require_choice("split", "tst", ["test", "train"])
    Traceback (most recent call last):
    dsi_cli.errors.UsageError: no split 'tst': expected test or train; try test
    """
    if value not in choices:
        names = list(choices)
        raise UsageError(
            f"{problem or f'no {what}'} {value!r}: {expected(names)}",
            hint=suggestion(value, names),
            code=f"unknown-{what}",
            **{what: value},
        )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name with the most similar spelling, or None if no name is
    similar.

    >>> nearest("Cosin", ["cosine", "ssim"]), nearest("sia", ["wsi", "sai"]), nearest("x", ["cosine", "ssim"])
    ('cosine', 'sai', None)
    """
    from difflib import get_close_matches

    as_written = {other.lower(): other for other in known}
    word = name.lower()
    near = get_close_matches(word, as_written)
    swapped = [other for other in near if sorted(other) == sorted(word)]
    return as_written[(swapped or near)[0]] if near else None


def suggestion(name: object, known: Iterable[str]) -> str | None:
    """Return the hint of an error about an unknown name: ``try NAME`` with the known
    name of `nearest`, or None.
    """
    near = nearest(str(name), known)
    return f"try {near}" if near else None


def listed(names: Sequence[str], most: int, more: str = " and {} more") -> str:
    """Return the first ``most`` names, and ``more`` with the number of the others if
    there are any.

    >>> listed(["a", "b", "c"], 2), listed(["a", "b", "c"], 2, ", ..."), listed(["a"], 2)
    ('a, b and 1 more', 'a, b, ...', 'a')
    """
    return ", ".join(names[:most]) + (
        more.format(len(names) - most) if len(names) > most else ""
    )


def quoted(text: str, most: int = 60) -> str:
    r"""Return a text in quotes, shortened to ``most`` characters; control and direction
    characters are escaped.

    >>> quoted("Bär"), quoted("a long name", 8), quoted("\u202e\n")
    ("'Bär'", "'a lon...'", "'\\u202e\\n'")
    """
    return repr(text if len(text) <= most else f"{text[: most - 3]}...")


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message, or else the name of its class;
    control characters are escaped.

    >>> first_line(ValueError("found a\tb\nin row 3")), first_line(ValueError())
    ('found a\\tb', 'ValueError')
    """
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return "".join(
        letter if letter.isprintable() else repr(letter)[1:-1] for letter in line[:200]
    )


def is_installed(package: str) -> bool:
    """Return whether a package can be imported; not if an import hook blocks it, nor
    for a data folder of that name.
    """
    from importlib.util import find_spec

    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def count(number: int, noun: str) -> str:
    """Return ``1 file``, ``2 files``.

    >>> count(1, "class"), count(2, "class"), count(0, "file")
    ('1 class', '2 classes', '0 files')
    """
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"
