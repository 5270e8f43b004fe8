"""Plug-ins: formats, measures, references and trackers that other packages add to dsi.

A package names what it adds as an entry point of one of the groups below. dsi imports
plug-ins only if a name or a file is none of its own. A plug-in is code that the user
has installed. No checkpoint can name one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from dsi_cli import errors

FORMATS = "dsi.formats"
MEASURES = "dsi.measures"
REFERENCES = "dsi.references"
TRACKERS = "dsi.trackers"
_log = logging.getLogger(__name__)


class Plugin(NamedTuple):
    """An object that a package adds to dsi under one name."""

    name: str
    group: str
    version: str  # the version of the package
    content: Any  # the object that the entry point names

    @property
    def id(self) -> str:
        """The name with the version, on which results depend."""
        return f"{self.name} {self.version}"

    def call(self, form: Callable[[Any], Any], *arguments: Any) -> Any:
        """Return the result of the plug-in, converted by ``form``; raise `UsageError`
        if one of them fails.
        """
        try:
            return form(self.content(*arguments))
        except Exception as error:
            message = (
                f"the plug-in {self.name} of {self.group} failed:"
                f" {type(error).__name__}: {error}"
            )
            raise errors.UsageError(
                message,
                hint="uninstall its package, or tell its author",
                code="plugin-failed",
                plugin=self.name,
            ) from error


def _require_form(group: str, content: Any) -> None:
    """Raise `TypeError` if an object is no plug-in of a group."""
    if group == FORMATS:
        is_valid = isinstance(content.MAGIC, bytes) and callable(content.read)
        expected = "MAGIC with bytes and a function read"
    else:
        is_valid, expected = callable(content), "a function"
    if not is_valid:
        raise TypeError(f"it is not {expected}")


@cache
def load(group: str) -> dict[str, Plugin]:
    """Return the plug-ins of a group by name; one that cannot be imported, or is no
    plug-in of the group, is left out and logged as a warning.
    """
    from importlib.metadata import entry_points  # takes 20 ms, which most calls spare

    found: dict[str, Plugin] = {}
    for entry in entry_points(group=group):
        try:
            content = entry.load()
            _require_form(group, content)
        except Exception as error:  # noqa: BLE001 (any code may run here)
            _log.warning(
                "warning: dsi leaves out the plug-in %s of %s: %s",
                entry.name,
                group,
                error,
            )
            continue
        version = "" if entry.dist is None else entry.dist.version
        found[entry.name] = Plugin(entry.name, group, version, content)
    return found


def require_choice(
    group: str, what: str, value: str, choices: Sequence[str], problem: str
) -> None:
    """Raise the `UsageError` of `errors.require_choice` unless a value is one of the
    choices or the name of a plug-in.
    """
    if value not in choices:
        errors.require_choice(what, value, [*choices, *load(group)], problem)
