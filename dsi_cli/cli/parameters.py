"""Typer parameters from declared options (`dsi_cli.analysis.option_groups.groups`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer

from dsi_cli.analysis.option_groups.declaration import DeclaredOption, Option, declared_options
from dsi_cli.analysis.option_groups.groups import Sections
from dsi_cli.cli import completion

Command = Callable[..., int]
Group = TypeVar("Group")


def takes(sections: Sections) -> Callable[[Callable[[Mapping[str, Any]], int]], Command]:
    """Return a decorator that makes a command with the options of some sections out of a function.

    The function takes the values by the name of the field; see `read_values`.
    """
    parameters = [
        _parameter(declared, title)
        for title, groups in sections.items()
        for group in groups
        for declared in declared_options(group)
    ]

    def decorate(function: Callable[[Mapping[str, Any]], int]) -> Command:
        def command(**typed: Any) -> int:
            return function(read_values(sections, typed))

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def read_values(sections: Sections, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a command by the name of the field, from those by the name of the command's parameter.

    Raises
    ------
    UsageError
        A text cannot be converted.
    """
    values: dict[str, Any] = {}
    for group in chain.from_iterable(sections.values()):
        for declared in declared_options(group):
            value, parse = typed[declared.parameter], declared.option.parse
            if isinstance(value, list | tuple):
                value = tuple(value) or None
            if parse is not None and value is not None:
                value = parse(value)
            values[declared.field] = value
    return values


def typer_info(group: type, field: str, flag: str | None = None) -> Any:
    """Return Typer's description of one option of a group, for another command that has this option, too.

    Parameters
    ----------
    flag : the flag in the other command, if it differs
    """
    option = next(declared.option for declared in declared_options(group) if declared.field == field)
    return _typer_info(option if flag is None else option._replace(flags=(flag,)), None)


def instance(group: type[Group], values: Mapping[str, Any]) -> Group:
    """Return a group with those of the values that belong to it."""
    fields = (declared.field for declared in declared_options(group))
    return group(**{field: values[field] for field in fields if values.get(field) is not None})


def _parameter(declared: DeclaredOption, section: str) -> inspect.Parameter:
    """Return the parameter of the command for one option.

    Its type is that of the text on the command line: a list for a repeatable option, and text for an option with a parser. Its
    default is None if dsi has to see whether the option was given: for a repeatable option and for a kept setting.
    """
    option = declared.option
    # A tuple without a default is one text with several numbers, such as 0.485,0.456,0.406.
    is_repeatable = get_origin(declared.type) is tuple and declared.default is not None
    kind: Any = declared.type
    default = declared.default
    if is_repeatable:
        kind = list[str] if option.parse is not None else list[get_args(declared.type)[0]]  # type: ignore[misc]
    elif option.parse is not None:
        kind, default = str, option.text_default
    if not option.flags:
        default = inspect.Parameter.empty
    elif is_repeatable or option.is_kept or default is None:
        kind, default = kind | None, None
    return inspect.Parameter(
        declared.parameter,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, _typer_info(option, section)],
    )


def _typer_info(option: Option, section: str | None) -> Any:
    if not option.flags:
        return typer.Argument(help=option.help, metavar=option.metavar, rich_help_panel=section)
    return typer.Option(
        *option.flags,
        help=option.help,
        metavar=option.metavar or None,
        min=option.minimum,
        autocompletion=completion.complete_from(option.choices) if option.choices else None,
        rich_help_panel=section,
    )
