"""Wrong usage in one line: what was found, what is meant, where more stands. Read from click's errors, Typer's own click or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsi_cli.errors import nearest


def is_wrong_usage(error: Exception) -> bool:
    """Return whether an error is click's word on wrong usage: these alone have this method."""
    return hasattr(error, "format_message")


def usage_line(error: Any, arguments: Sequence[str], commands: Mapping[str, Any]) -> str:
    """Return what is wrong with a call.

    Parameters
    ----------
    error : click's
    arguments : of the call
    commands : click's command of each verb
    """
    word = next((one for one in arguments if not one.startswith("-")), "")
    verb = word if word in commands else None
    if hasattr(error, "option_name") and hasattr(error, "possibilities"):
        is_before = any(one.startswith(error.option_name) for one in arguments[: arguments.index(word) if word else None])
        return _no_option(error.option_name, verb, commands, is_before=is_before)
    if verb is None:
        return _no_verb(word, commands)
    told = str(error.format_message()).rstrip(".").partition(", unable to")[0]
    found = _found(error, arguments)
    if found is not None and found not in told:
        told += f"; found {found!r}"
    return f"{told[:1].lower()}{told[1:]}; {f'dsi {verb}' if verb else 'dsi'} --help says more"


def _no_option(name: str, verb: str | None, commands: Mapping[str, Any], *, is_before: bool) -> str:
    owners = [one for one, command in commands.items() if name in _options(command)]
    if verb is None or (is_before and verb in owners):
        meant = f": it stands after the verb, dsi {verb or owners[0]} ... {name}" if owners else ""
        return f"no option {name} before the verb{meant}; dsi --help lists the verbs"
    long = [one.removeprefix("--") for one in _options(commands[verb]) if one.startswith("--")]
    near = nearest(name.removeprefix("--"), long) if name.startswith("--") else None
    hint = f": did you mean --{near}?" if near else ";"
    if owners:
        hint = f": it is one of {', '.join(f'dsi {one}' for one in owners)};"
    return f"dsi {verb} has no option {name}{hint} dsi {verb} --help lists all"


def _no_verb(word: str, commands: Mapping[str, Any]) -> str:
    near = nearest(word, commands)
    if near is None and word and Path(word).exists():
        return f"expected a verb, found the path {word}: did you mean dsi analyze {word}? dsi --help lists the verbs"
    return f"no verb {word!r}{f': did you mean {near}?' if near else ';'} dsi --help lists the verbs"


def _options(command: Any) -> list[str]:
    return [name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("-")]


def _found(error: Any, arguments: Sequence[str]) -> str | None:
    """Return what stands where click could not read an option's value."""
    names = getattr(getattr(error, "param", None), "opts", [])
    for at, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in names and (equals or at + 1 < len(arguments)):
            return value if equals else arguments[at + 1]
    return None
