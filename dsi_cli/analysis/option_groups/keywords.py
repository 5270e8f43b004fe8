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
from dsi_cli.analysis.option_groups.declaration import declared_options

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
    None,
    "The predictions on labelled data: from a file, or from data and a model.",
)
_PLACE = "    **options : the options of ``dsi analyze``, and those of Python alone."
"""The line of the docstring that the keywords replace."""


class AnalyzeOptions(TypedDict, total=False):
    """The keywords of `dsi_cli.analyze`."""

    labels: _Path | None
    mapping: _Path | None
    pos: str | None
    wordnet: str | None
    references: Iterable[_Path] | _Path | None
    taxonomy: _Path | None
    classes: _Path | None
    clusters: _Path | None
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


def _described() -> Iterator[tuple[str, Any, str]]:
    """Yield the name, the default and the help text of each keyword. The default of a
    setting that is kept is None, which means "as before".
    """
    for group in _GROUPS:
        for declared in declared_options(group):
            option = declared.option
            if declared.field != "out" and not option.is_terminal_only:
                default = None if option.is_kept else declared.default
                yield declared.field, default, option.help


def documented(function: Function) -> Function:
    """Return a function whose docstring and signature list the keywords of
    `dsi_cli.analyze` in place of ``**options``.
    """
    parameters = list(inspect.signature(function).parameters.values())[:-1]
    lines = []
    for name, default, description in [*_described(), _EVALUATION]:
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        )
        lines += textwrap.wrap(
            f"{name} : {description}",
            84,
            initial_indent="    ",
            subsequent_indent=" " * 8,
        )
    text = function.__doc__ or ""  # None with python -OO
    function.__doc__ = text.replace(_PLACE, "\n".join(lines))
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function
