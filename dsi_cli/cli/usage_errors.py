"""Wrong usage in one line, with a suggestion. The errors come from click, or from the copy of click inside Typer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsi_cli.errors import nearest


def is_wrong_usage(error: Exception) -> bool:
    """Return whether an error is click's error for wrong usage: only these have this method."""
    return hasattr(error, "format_message")


def usage_line(error: Any, arguments: Sequence[str], commands: Mapping[str, Any]) -> str:
    """Return what is wrong with a call.

    Parameters
    ----------
    error : click's error
    arguments : the arguments of the call
    commands : click's command objects by name
    """
    word = next((argument for argument in arguments if not argument.startswith("-")), "")
    name = word if word in commands else None
    # Only the error for an unknown option has these two attributes.
    if hasattr(error, "option_name") and hasattr(error, "possibilities"):
        before = arguments[: arguments.index(word)] if word else arguments
        is_before = any(argument.startswith(error.option_name) for argument in before)
        return _unknown_option(error.option_name, name, commands, is_before=is_before)
    if name is None:
        near = nearest(word, commands)
        if near is None and word and Path(word).exists():
            return f"{word} is a path, not a command; run dsi analyze {word}"
        hint = f"{near}, or dsi " if near else ""
        return f"there is no command {word!r}; run dsi {hint}--help"
    message = str(error.format_message()).rstrip(".").partition(", unable to")[0]
    value = _wrong_value(error, arguments)
    if value is not None and value not in message:
        message += f"; found {value!r}"
    return f"{message[:1].lower()}{message[1:]}; run dsi {name} --help"


def _unknown_option(flag: str, name: str | None, commands: Mapping[str, Any], *, is_before: bool) -> str:
    owners = [owner for owner, command in commands.items() if flag in _flags(command)]
    if name is None or (is_before and name in owners):
        hint = f"write dsi {name or owners[0]} ... {flag}" if owners else "run dsi --help"
        return f"there is no option {flag} before the command; {hint}"
    hint = ""
    if owners:
        hint = f"it is an option of {', '.join(f'dsi {owner}' for owner in owners)}; "
    elif flag.startswith("--"):
        known = [option.removeprefix("--") for option in _flags(commands[name]) if option.startswith("--")]
        near = nearest(flag.removeprefix("--"), known)
        hint = f"use --{near}, or " if near else ""
    return f"dsi {name} has no option {flag}; {hint}run dsi {name} --help"


def _flags(command: Any) -> list[str]:
    return [
        flag
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("-")
    ]


def _wrong_value(error: Any, arguments: Sequence[str]) -> str | None:
    """Return the value of the option that click could not read; None if the error is about no option."""
    flags = getattr(getattr(error, "param", None), "opts", [])
    for index, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in flags and equals:
            return value
        if flag in flags and index + 1 < len(arguments):
            return arguments[index + 1]
    return None
