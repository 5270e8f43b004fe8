"""The declaration of an option: a field of a frozen dataclass, whose metadata describe
the option.

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
    """The form of one option.

    Attributes
    ----------
    flags : the names on the command line, the long one first; ``--on/--off`` for a
        switch with two names; empty for the positional argument, and for an option of
        the Python API alone.
    metavar : the placeholder of the value in the help, such as ``FILE``; empty for a
        switch.
    help : the sentence in the help and in the documentation.
    parse : converts the text of the command line; None if the text is the value.
    text_default : the text of the default, if the option has a `parse`.
    choices : the values that the shell proposes, or a function that returns them.
    minimum : the smallest number that is allowed.
    is_kept : whether later calls with the same output folder use the value again; None
        then means "as before".
    url : how dsi handles a value that is a URL: `DOWNLOAD` or `CACHE`; None if the
        value is no file.
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

    @property
    def is_python_only(self) -> bool:
        """True if the command line does not have the option."""
        return not self.flags and not self.metavar


DOWNLOAD, CACHE = "download", "cache"
"""Ways to handle a URL: dsi makes a copy for the time of the process, or a copy in the
user's cache.
"""


def option(form: str, help: str, *, default: Any = None, **more: Any) -> Any:
    """Return a dataclass field that is an option of the command line and of Python.

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
    if default is None and not metavar:
        default = False
    return field(default=default, metadata={_KEY: Option(flags, metavar, help, **more)})


def keyword(help: str, *, default: Any = None, **more: Any) -> Any:
    """Return a dataclass field that is an option of the Python API alone; parameters as
    for `option`.
    """
    return field(default=default, metadata={_KEY: Option((), "", help, **more)})


class DeclaredOption(NamedTuple):
    """One option: a field of a group with its type, its default and its form."""

    field: str
    type: Any
    """The type of the field's value; None is not part of it."""
    default: Any
    option: Option

    @property
    def parameter(self) -> str:
        """The name of the command's parameter: the flag as an identifier, or the
        field's name without a flag.
        """
        if not self.option.flags:
            return self.field
        return self.option.flag.removeprefix("--").replace("-", "_")

    @property
    def title(self) -> str:
        """The name in messages: the flag, or the keyword in Python."""
        return self.option.flag if self.option.flags else self.field

    @property
    def is_repeatable(self) -> bool:
        """True if the option may be given several times. A tuple without a default is
        one text with several numbers, such as 0.485,0.456,0.406.
        """
        return get_origin(self.type) is tuple and self.default is not None

    def convert(self, value: Any) -> Any:
        """Return a value of Python code as one of the option's type; raise `UsageError`
        if it is of another type.

        A path becomes text, a number of NumPy one of Python, a text what the command
        line makes of it, and an iterable or a single value a tuple, if the option takes
        several.
        """
        if isinstance(value, str) and self.option.parse is not None:
            value = self.option.parse(value)
        value = _plain(value)
        if value is None:
            return None
        if get_origin(self.type) is not tuple:
            self._require(value, self.type)
            return value
        if isinstance(value, Mapping):
            value = value.items()
        elif isinstance(value, str) or not isinstance(value, Iterable):
            value = [value]
        parts = tuple(map(_plain, value))
        for part in parts:
            self._require(part, get_args(self.type)[0])
        return parts

    def _require(self, value: Any, kind: Any) -> None:
        """Raise `UsageError` if a value is not of a type."""
        allowed = (float, int) if kind is float else get_origin(kind) or kind
        is_wrong_flag = isinstance(value, bool) and kind is not bool
        if isinstance(value, allowed) and not is_wrong_flag:
            return
        is_plain = isinstance(value, str | float | int)
        shown = repr(value) if is_plain else type(value).__name__
        raise UsageError(
            f"{self.field} takes {_NOUNS.get(kind, 'pairs')}, not {shown}",
            code="wrong-type",
            field=self.field,
        )


_NOUNS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
}


def _plain(value: Any) -> Any:
    """Return a path as text, and a single number of NumPy as a number of Python."""
    if isinstance(value, PathLike):
        return fspath(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


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
