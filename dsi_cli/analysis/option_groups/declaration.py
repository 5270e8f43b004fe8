"""The declaration of an option: a field of a frozen dataclass, whose metadata describe
the option of the command line.

The command line, the Python API and the documentation read these declarations. The
module imports nothing that is slow to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, fields
from os import PathLike, fspath
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from dsi_cli.errors import UsageError

_KEY = "option"
Choices = Sequence[str] | Callable[[], Iterable[str]]


class Option(NamedTuple):
    """The form of one option on the command line.

    Attributes
    ----------
    flags : the names, the long one first; ``--on/--off`` for a switch with two names;
        empty for the positional argument.
    metavar : the placeholder of the value in the help, such as ``FILE``; empty for a
        switch.
    help : the sentence in the help and in the documentation.
    parse : converts the text of the command line; None if the text is the value.
    text_default : the text of the default, if the option has a `parse`.
    choices : the values that the shell proposes, or a function that returns them.
    minimum : the smallest number that is allowed.
    is_kept : whether later calls with the same output folder use the value again; None
        then means "as before".
    url : how dsi handles a value that is a URL: `DOWNLOAD`, `CACHE` or `AS_IT_IS`; None
        if a URL is not allowed.
    is_terminal_only : whether the option has no meaning in Python.
    """

    flags: tuple[str, ...]
    metavar: str
    help: str
    parse: Callable[[Any], Any] | None = None
    text_default: str | None = None
    choices: Choices = ()
    minimum: int | None = None
    is_kept: bool = False
    url: str | None = None
    is_terminal_only: bool = False

    @property
    def flag(self) -> str:
        """The name in messages, such as ``--ema``."""
        return self.flags[0].partition("/")[0]


DOWNLOAD, CACHE, AS_IT_IS = "download", "cache", "as it is"
"""Ways to handle a URL: dsi makes a copy for the time of the call, or a copy in the
user's cache, or no copy.
"""


def option(form: str, help: str, *, default: Any = None, **more: Any) -> Any:
    """Return a dataclass field that is an option.

    Parameters
    ----------
    form : the flags and the placeholder, such as ``--labels -l FILE``. Without a
        placeholder, the option is a switch.
    default : the value without the option; if it is not given, None, or False for a
        switch.
    help, more : the attributes of `Option` with these names.
    """
    flags = tuple(word for word in form.split() if word.startswith("-"))
    metavar = " ".join(word for word in form.split() if not word.startswith("-"))
    default = False if default is None and not metavar else default
    return field(default=default, metadata={_KEY: Option(flags, metavar, help, **more)})


class DeclaredOption(NamedTuple):
    """One option: a field of a group with its type, its default and its form on the
    command line.
    """

    field: str
    type: Any
    """The type of the field's value; None is not part of it."""
    default: Any
    option: Option

    @property
    def parameter(self) -> str:
        """The name of the command's parameter: the flag as an identifier, or the
        field's name for the positional argument.
        """
        return (
            self.option.flag.removeprefix("--").replace("-", "_")
            if self.option.flags
            else self.field
        )

    def convert(self, value: Any) -> Any:
        """Return a value of Python code as one of the option's type; raise `UsageError`
        if it is of another type.

        A path becomes text, a number of NumPy one of Python, a text what the command
        line makes of it, and an iterable or a single value a tuple, if the option takes
        several.
        """
        value = (
            self.option.parse(value)
            if isinstance(value, str) and self.option.parse
            else _plain(value)
        )
        if value is None:
            return None
        takes_several = get_origin(self.type) is tuple
        kind = get_args(self.type)[0] if takes_several else self.type
        if takes_several:
            one = isinstance(value, str) or not isinstance(value, Iterable)
            value = (
                (value,)
                if one
                else tuple(
                    map(_plain, value.items() if isinstance(value, Mapping) else value)
                )
            )
        allowed = (float, int) if kind is float else get_origin(kind) or kind
        for part in value if takes_several else (value,):
            if not isinstance(part, allowed) or (
                isinstance(part, bool) and kind is not bool
            ):
                form = (
                    f"{_NOUNS.get(kind, 'a pair')} ({self.option.metavar})"
                    if self.option.metavar
                    else "True or False"
                )
                shown = (
                    repr(part)
                    if isinstance(part, str | float | int)
                    else type(part).__name__
                )
                raise UsageError(
                    f"{self.field} takes {form}, not {shown}",
                    code="wrong-type",
                    field=self.field,
                )
        return value


_NOUNS = {str: "a text", int: "a whole number", float: "a number"}


def _plain(value: Any) -> Any:
    """Return a path as text, and a single number of NumPy as a number of Python."""
    if isinstance(value, PathLike):
        return fspath(value)
    return (
        value.item()
        if getattr(value, "ndim", None) == 0 and hasattr(value, "item")
        else value
    )


def declared_options(group: Any) -> tuple[DeclaredOption, ...]:
    """Return the options among the fields of a dataclass, in their order; the fields
    that it inherits count, too.
    """
    types = get_type_hints(group)
    declared = []
    for entry in fields(group):
        if _KEY in entry.metadata:
            kind = types[entry.name]
            if type(None) in get_args(kind):  # the type is ``X | None``
                kind = get_args(kind)[0]
            declared.append(
                DeclaredOption(entry.name, kind, entry.default, entry.metadata[_KEY])
            )
    return tuple(declared)
