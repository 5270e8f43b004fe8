"""The options of commands as Typer's annotations, and the values that the shell
proposes for them.

Options of ``dsi analyze`` and ``dsi watch`` are made from their declarations
(`dsi_cli.analysis.option_groups.groups`). Options that other commands share are at the
end of this module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer

from dsi_cli.analysis.option_groups import groups
from dsi_cli.analysis.option_groups.declaration import (
    Choices,
    DeclaredOption,
    Option,
    declared_options,
)
from dsi_cli.errors import DsiError
from dsi_cli.store.schema import MATRIX_KINDS

Complete = Callable[..., list[str]]
"""Takes the beginning of a value, after Typer's context if it has such a parameter, and
returns the values that begin with it.
"""
Command = Callable[..., int]
Group = TypeVar("Group")
Output = Annotated[
    Path, typer.Argument(metavar="OUTPUT", help="Output folder of dsi analyze.")
]


def complete_from(names: Choices) -> Complete:
    """Return a function that completes names; a function that returns the names is
    called when the shell asks.
    """
    return lambda incomplete: _beginning(
        names() if callable(names) else names, incomplete
    )


def _complete_column(table: str, column: str) -> Complete:
    """Return a function that completes the texts in a column of the results folders on
    the line.
    """

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        from dsi_cli.store import parquet

        names: list[str | None] = []
        for out in _outputs(context):
            with suppress(DsiError, OSError, KeyError):  # the shell shows no message
                names += parquet.read(out / table).column(column).to_pylist()
        return _beginning(dict.fromkeys(filter(None, names)), incomplete)

    return complete


complete_runs = _complete_column("checkpoints.parquet", "run")
complete_classes = _complete_column("classes.parquet", "name")


def complete_epochs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the epochs that have a matrix, in the run on the line or in all runs."""
    from dsi_cli.store.layout import folder_name

    run = context.params.get("run")
    epochs = set()
    for out in _outputs(context):
        if isinstance(run, str):
            folder = out / "csms" / folder_name(run)
        else:
            folder = out / "csms"
        epochs |= {
            path.stem for path in folder.glob("**/*.parquet") if path.stem.isdecimal()
        }
    return _beginning(sorted(epochs, key=int), incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _outputs(context: typer.Context) -> list[Path]:
    typed: Any = (
        context.params.get("output") or context.params.get("outputs") or context.args
    )
    if not isinstance(typed, list | tuple):
        typed = [typed]
    return [Path(path) for path in typed]


def takes(
    sections: groups.Sections,
) -> Callable[[Callable[[Mapping[str, Any]], int]], Command]:
    """Return a decorator that makes a command with some sections of options out of a
    function of `read_values`.
    """
    parameters = [
        _parameter(declared, title)
        for title, members in sections.items()
        for declared in chain.from_iterable(map(declared_options, members))
        if not declared.option.is_python_only
    ]

    def decorate(function: Callable[[Mapping[str, Any]], int]) -> Command:
        def command(**typed: Any) -> int:
            return function(read_values(sections, typed))

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def _parameter(declared: DeclaredOption, section: str) -> inspect.Parameter:
    """Return an option as a parameter that has the type of the text on the command
    line.
    """
    option, kind, default = declared.option, declared.type, declared.default
    if declared.is_repeatable:
        item = get_args(kind)[0] if option.parse is None else str
        kind, default = list[item], None  # type: ignore[valid-type]
    elif option.parse is not None:
        kind, default = str, option.text_default
    if not option.flags:
        default = inspect.Parameter.empty
    elif option.is_kept or default is None:
        # dsi has to see whether the option was given
        kind, default = kind | None, None
    if declared.is_repeatable and option.flags:
        option = option._replace(help=f"{option.help} Repeatable.")
    return inspect.Parameter(
        declared.parameter,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, _typer_info(option, section)],
    )


def read_values(sections: groups.Sections, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command's values by the name of the field; raise `UsageError` if a text
    cannot be converted.
    """
    values: dict[str, Any] = {}
    for group in chain.from_iterable(sections.values()):
        for declared in declared_options(group):
            if declared.option.is_python_only:
                continue
            value, parse = typed[declared.parameter], declared.option.parse
            if isinstance(value, list | tuple):
                value = tuple(value) or None
            if parse is not None and value is not None:
                value = parse(value)
            values[declared.field] = value
    return values


def typer_info(group: type, field: str, flag: str | None = None) -> Any:
    """Return Typer's description of an option of a group, for another command, in which
    its flag may differ.
    """
    option = next(
        declared.option
        for declared in declared_options(group)
        if declared.field == field
    )
    return _typer_info(option if flag is None else option._replace(flags=(flag,)), None)


def instance(group: type[Group], values: Mapping[str, Any]) -> Group:
    """Return a group with those of the values that belong to it."""
    fields = (declared.field for declared in declared_options(group))
    return group(
        **{field: values[field] for field in fields if values.get(field) is not None}
    )


def _typer_info(option: Option, section: str | None) -> Any:
    if not option.flags:
        return typer.Argument(
            help=option.help, metavar=option.metavar, rich_help_panel=section
        )
    return typer.Option(
        *option.flags,
        help=option.help,
        metavar=option.metavar or None,
        min=option.minimum,
        autocompletion=complete_from(option.choices) if option.choices else None,
        rich_help_panel=section,
    )


def option(
    flags: str,
    metavar: str,
    help: str,
    choices: Sequence[str] | Complete | None = None,
    **form: Any,
) -> Any:
    """Return Typer's description of an option with a value; its names are separated by
    spaces.

    The choices are the values that the shell proposes, or one of the functions above;
    `form` goes to ``typer.Option``.
    """
    if isinstance(choices, Sequence):
        choices = complete_from(choices)
    return typer.Option(
        *flags.split(), metavar=metavar, help=help, autocompletion=choices, **form
    )


def switch(flags: str, help: str) -> Any:
    """Return Typer's description of an option without a value; its names are separated
    by spaces.
    """
    return typer.Option(*flags.split(), help=help)


# Options of dsi analyze.
Json = Annotated[bool, typer_info(groups.OutputOptions, "json")]
Quiet = Annotated[bool, typer_info(groups.OutputOptions, "quiet")]
LogTo = Annotated[list[str] | None, typer_info(groups.OutputOptions, "log_to")]
Head = Annotated[str | None, typer_info(groups.InputOptions, "head")]
Names = Annotated[str | None, typer_info(groups.InputOptions, "names")]
Revisions = Annotated[str | None, typer_info(groups.InputOptions, "revisions")]
Ema = Annotated[bool, typer_info(groups.InputOptions, "ema", flag="--ema")]
Labels = Annotated[str | None, typer_info(groups.LabelOptions, "labels")]
MapFile = Annotated[str | None, typer_info(groups.LabelOptions, "mapping")]
PartOfSpeech = Annotated[str, typer_info(groups.LabelOptions, "pos")]
TaxonomyFile = Annotated[str | None, typer_info(groups.ComparisonOptions, "taxonomy")]

# Options of other commands.
WordNetName = Annotated[
    str | None,
    option(
        "--wordnet", "NAME", "Another WordNet installed for NLTK, such as wordnet31."
    ),
]
LabelList = typer.Argument(
    metavar="LABELS",
    help="Label file (txt, csv, tsv, json, yaml) or a preset, for example imagenet1k.",
    autocompletion=complete_from(groups.preset_names),
)
Epoch = Annotated[
    int | None,
    option(
        "--epoch",
        "EPOCH",
        "The trainer's own number; by default the last one.",
        complete_epochs,
    ),
]
Kind = Annotated[
    str,
    option(
        "--kind",
        "KIND",
        "Matrix: ncsm, ncsm_centred, ccsm, tncsm, or scsm for the reference.",
        MATRIX_KINDS,
    ),
]
Html = Annotated[
    Path | None,
    option("--html", "FILE", "File of the page; by default in the folder of -o."),
]
Split = Annotated[
    str | None,
    option("--split", "SPLIT", "Split of the data: train or test.", ("test", "train")),
]
Run = Annotated[
    str | None,
    option("--run", "NAME", "Run to use, if the folder holds several.", complete_runs),
]
