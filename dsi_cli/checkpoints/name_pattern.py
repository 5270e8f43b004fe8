"""The pattern of ``--names``, which states the epoch, the step and the run in the names
of checkpoints: ``m_{seed}_{epoch}.pt``.

Fields are in braces. ``{epoch}`` is a whole number, and ``{step}`` a number or a date
that begins with the year. Any other name is a part of the run's name. ``{}`` and ``*``
stand for anything. No field reaches over a ``/``. A pattern with ``/`` is compared with
the path in the given folder, and any other one with the name of the file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from dsi_cli.errors import UsageError

_FIELD = re.compile(r"\{(\w*)\}|\*")
_EXPRESSIONS = {
    "epoch": r"(?P<epoch>-?\d{1,9})",
    "step": r"(?P<step>\d{1,18}(?:[-_:.T+ ]\d{1,18})*)",
    "": r"[^/]*?",
}
"""Regular expressions of fields; any other field is a text without ``/``."""
_MAX_DIGITS = 18
EXAMPLE = "--names 'm_{seed}_{epoch}.pt'"


@dataclass(frozen=True)
class NamedMoment:
    """The run, epoch and step that a pattern finds in a name."""

    run: str  # the values of the fields that name the run: ``seed1_lr0.1``
    epoch: int | None
    step: int | None


@dataclass(frozen=True)
class NamePattern:
    """A pattern of names. Raise `UsageError` if it is malformed
    (``malformed-names``).
    """

    text: str

    def __post_init__(self) -> None:
        fields = self.fields
        rest = _FIELD.sub("", self.text)
        problem = None
        if "{" in rest or "}" in rest:
            problem = "has a brace without its partner, or a field that is not a word"
        elif rest == self.text:
            problem = "has no field such as {epoch}"
        elif len(set(fields)) < len(fields):
            problem = "has a field twice"
        if problem is not None:
            raise UsageError(
                f"{option_text(self.text)} {problem}",
                hint=f"write for example {EXAMPLE}",
                code="malformed-names",
                names=self.text,
            )

    @property
    def fields(self) -> list[str]:
        """The names of the fields, in their order."""
        return [match[1] for match in _FIELD.finditer(self.text) if match[1]]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        expression, end = "", 0
        for match in _FIELD.finditer(self.text):
            name = match[1] or ""
            expression += re.escape(self.text[end : match.start()])
            expression += _EXPRESSIONS.get(name, f"(?P<{name}>[^/]+?)")
            end = match.end()
        return re.compile(expression + re.escape(self.text[end:]))

    def read(self, paths: Sequence[str]) -> NamedMoment | None:
        """Return what the first fitting path says; None if none fits.

        ``paths`` are relative to the given folder.

        >>> NamePattern("m_{seed}_{epoch}.pt").read(["a/m_1_10.pt"])
        NamedMoment(run='seed1', epoch=10, step=None)
        >>> NamePattern("{run}/{step}.pt").read(["small/2026-12-01.pt"])
        NamedMoment(run='small', epoch=None, step=20261201)
        """
        for path in paths:
            name = path if "/" in self.text else PurePosixPath(path).name
            match = self._regex.fullmatch(name)
            if match is not None:
                return self._moment(match)
        return None

    def _moment(self, match: re.Match[str]) -> NamedMoment:
        words = []
        values = match.groupdict()
        for name in self.fields:
            if name not in ("epoch", "step"):
                label = "" if name == "run" or values[name][0].isalpha() else name
                words.append(f"{label}{values[name]}")
        epoch, step = values.get("epoch"), values.get("step")
        if step is not None:
            step = re.sub(r"\D", "", step)[:_MAX_DIGITS]
        return NamedMoment(
            "_".join(words),
            None if epoch is None else int(epoch),
            None if step is None else int(step),
        )


def option_text(pattern: str) -> str:
    """Return the option with a pattern as it is typed in a shell."""
    quoted = f"'{pattern}'" if "'" not in pattern else shlex.quote(pattern)
    return f"--names {quoted}"


def example_of(path: str) -> str:
    """Return a pattern that fits a name: the last number is the epoch.

    >>> example_of("m_1_10.pt"), example_of("best.pt")
    ('m_{run}_{epoch}.pt', '{run}.pt')
    """
    name = PurePosixPath(path)
    numbers = list(re.finditer(r"\d+", name.stem))
    text = name.stem
    for index, number in reversed(list(enumerate(numbers))):
        field = "{epoch}"
        if index < len(numbers) - 1:
            field = "{run}" if index == 0 else "{}"
        text = text[: number.start()] + field + text[number.end() :]
    return (text if numbers else "{run}") + name.suffix
