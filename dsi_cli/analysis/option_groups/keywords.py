"""The keywords of `dsi_cli.analyze`: their types for type checkers, and their part of
its docstring, which is made from the declarations.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from dsi_cli.analysis.option_groups import groups
from dsi_cli.analysis.option_groups.declaration import DeclaredOption, declared_options

if TYPE_CHECKING:
    from dsi_cli.analysis.options import Evaluation

Function = TypeVar("Function", bound=Callable[..., Any])
_Path = str | PathLike[str]
_GROUPS: tuple[type, ...] = (
    groups.LabelOptions,
    groups.ComparisonOptions,
    groups.InputOptions,
    groups.MemoryOptions,
    groups.EngineChoice,
    groups.OutputOptions,
)
_EVALUATION = (
    "evaluation",
    "The predictions on labelled data: from a file, or from data and a model.",
)
_POSITION = "{options}"  # the line of the docstring that the keywords replace


class AnalyzeOptions(TypedDict, total=False):
    """The keywords of `dsi_cli.analyze`."""

    labels: _Path | None
    mapping: _Path | None
    pos: str | None
    wordnet: str | None
    references: Iterable[_Path] | _Path | None
    taxonomy: _Path | None
    centred: bool
    measures: Iterable[str] | str
    quantiles: Iterable[float] | float
    permutations: int | None
    draws: int | None
    revisions: str | None
    epochs: str | None
    names: str | None
    head: str | None
    ema: bool | None
    keep_extra_classes: bool | None
    log: _Path | None
    memory: int | str | None
    engine: str
    address: str | None
    gpus_per_task: float
    report: bool
    log_to: Iterable[str] | str | None
    evaluation: Evaluation | None


def keywords() -> Iterator[DeclaredOption]:
    """Yield the declared options that are keywords of `dsi_cli.analyze`."""
    for group in _GROUPS:
        for declared in declared_options(group):
            if declared.field != "out" and not declared.option.is_terminal_only:
                yield declared


def documented(function: Function) -> Function:
    """Return a function whose docstring and signature list the keywords of
    `dsi_cli.analyze`, in place of a line with ``{options}`` and of ``**options``.
    """
    texts = {declared.field: declared.option.help for declared in keywords()}
    texts |= [_EVALUATION]
    *parameters, _ = inspect.signature(function).parameters.values()
    lines = []
    for name, text in texts.items():
        kept = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        parameters.append(kept)
        lines += textwrap.wrap(
            f"{name} : {text}", 84, initial_indent="    ", subsequent_indent=" " * 8
        )
    function.__doc__ = (function.__doc__ or "").replace(
        f"    {_POSITION}", "\n".join(lines)
    )
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function
