"""What a call said about the classes and the classifier heads of runs: it holds in later calls until another is said.

A call records it with the checkpoints table, run by run, files by their absolute path. What a later call does not say is taken from
there, so that a repeated call does not lose names, alignments and phases. Selections, such as ``--epochs``, hold for one call.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsi_cli.checkpoints.scan import Choice
from dsi_cli.errors import UsageError
from dsi_cli.metrics import DEFAULT_REFERENCES
from dsi_cli.pipeline.options import Options
from dsi_cli.remote import copies, urls

NONE = "none"
"""What removes what an earlier call said, such as ``--labels none``."""

FLAGS = {
    "labels": "--labels",
    "mapping": "--map",
    "taxonomy": "--taxonomy",
    "references": "--reference",
    "pos": "--pos",
    "wordnet": "--wordnet",
    "head": "--head",
    "ema": "--ema",
    "keep_extra": "--keep-extra-classes",
    "predictions": "--predictions",
}
"""The option of the command line for each of the things that hold."""

MAPPED = frozenset({"labels", "pos", "wordnet"})
"""What a mapping is of: another of these needs another mapping."""
_COUNTS = ("res:", "lin:", "jcn:")
"""What stands before a file of information content in a reference."""


@dataclass(frozen=True)
class Said:
    """What a call says about classes and heads; None for what it does not say, and `NONE` to remove it."""

    labels: str | None = None
    mapping: str | None = None
    taxonomy: str | None = None
    references: tuple[str, ...] | None = None
    pos: str | None = None
    wordnet: str | None = None
    head: str | None = None
    ema: bool | None = None
    keep_extra: bool | None = None
    predictions: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the arguments of `Options` that say the same."""
        texts = {name: _unless_none(getattr(self, name)) for name in ("labels", "mapping", "taxonomy", "wordnet", "head")}
        choice = Choice(texts.pop("head"), bool(self.ema), bool(self.keep_extra))
        asked = frozenset(name for name in FLAGS if getattr(self, name) is not None)
        references = self.references or DEFAULT_REFERENCES
        return texts | {"references": references, "pos": self.pos or "noun", "choice": choice, "asked": asked}

    @property
    def predictions_file(self) -> str | None:
        """The file or folder of predictions, None where there is none."""
        return _unless_none(self.predictions)


def _unless_none(value: str | None) -> str | None:
    return None if value == NONE else value


def hold(options: Options, recorded: Mapping[str, Mapping[str, Any]], runs: Collection[str]) -> tuple[Options, list[str]]:
    """Return the options of a call with what holds from earlier calls, and a line for each thing that does.

    Parameters
    ----------
    options : ``asked`` says which of them the call gives; None: all, so that nothing holds
    recorded : what earlier calls said, by run; see `record`
    runs : the names of the runs of this call

    Raises
    ------
    UsageError
        Earlier calls said different things about two of the runs, or a file that one named is gone.
    """
    if options.asked is None:
        return options, []
    dropped = {"mapping"} if MAPPED & options.asked else set()
    held: dict[str, Any] = {}
    for name in FLAGS.keys() - options.asked - dropped:
        value = _agreed(name, {run: recorded[run].get(name) for run in sorted(runs) if run in recorded})
        if value is not None and not (name == "predictions" and value[1] in options.evaluation.data):
            held[name] = value
    named = [name for name in FLAGS if name in held and name != "predictions"]  # the summary names those
    lines = [f"{_word(name)} from the earlier call: {_shown(held[name])}" for name in named]
    return _with(replace(options, held=held), {name: _here(name, value) for name, value in held.items()}), lines


def record(options: Options, *, has_labels: bool = True) -> dict[str, Any]:
    """Return what a call says about a run, as JSON, for later calls; files by their absolute path or URL.

    Parameters
    ----------
    has_labels : whether the run has the labels of the options, and not a list of its own
    """
    predictions = options.evaluation.predictions
    said = {
        "labels": _lasting(options.labels),
        "mapping": _lasting(options.mapping),
        "taxonomy": _lasting(options.taxonomy),
        "references": [_lasting(one) for one in options.references] if options.references != DEFAULT_REFERENCES else None,
        "pos": options.pos if options.pos != "noun" else None,
        "wordnet": options.wordnet,
        "head": options.choice.head,
        "ema": options.choice.ema or None,
        "keep_extra": options.choice.keep_extra or None,
        "predictions": options.evaluation.predictions_before,
    }
    if predictions is not None:
        said["predictions"] = [_lasting(predictions), options.evaluation.predictions_split]
    said |= options.held
    if not has_labels:
        said |= {"labels": None, "mapping": None}
    return {name: value for name, value in said.items() if value is not None}


def _agreed(name: str, values: Mapping[str, Any]) -> Any:
    """Return what earlier calls said of all runs that they know; labels and mappings hold for the runs that they were given for."""
    if name in ("labels", "mapping"):
        values = {run: value for run, value in values.items() if value is not None}
    if not values:
        return None
    (first, value), *others = values.items()
    for run, other in others:
        if other != value:
            both = f"{_shown(value) if value is not None else NONE} and {_shown(other) if other is not None else NONE}"
            raise UsageError(
                f"earlier calls gave the runs {first!r} and {run!r} different {FLAGS[name]} ({both}): give {FLAGS[name]} again, "
                "or analyse one run at a time"
            )
    return value


def _with(options: Options, held: Mapping[str, Any]) -> Options:
    """Return options with what holds in place of what a call does not say."""
    choice = replace(options.choice, **{name: held[name] for name in ("head", "ema", "keep_extra") if name in held})
    plain = {name: held[name] for name in ("labels", "mapping", "taxonomy", "references", "pos", "wordnet") if name in held}
    evaluation = options.evaluation
    if "predictions" in held:
        evaluation = replace(evaluation, predictions_before=tuple(held["predictions"]))
    return replace(options, choice=choice, evaluation=evaluation, **plain)


def _word(name: str) -> str:
    return {"mapping": "mapping", "references": "references", "keep_extra": "keep extra classes"}.get(name, name)


def _shown(value: Any) -> str:
    """Return a value for a person; paths as seen from here, where that is shorter."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return min(text, os.path.relpath(text), key=len) if Path(text).is_absolute() else text


def _lasting(spec: str | None) -> str | None:
    """Return an option's value with a file in it by its absolute path, or by its URL; what names no file as it is."""
    if spec is None:
        return None
    before = next((kind for kind in _COUNTS if spec.startswith(kind)), "")
    path = Path(spec.removeprefix(before))
    if not _exists(path):
        return spec
    address = copies.address(path)
    return before + (address if urls.scheme_of(address) else os.path.abspath(path))  # noqa: PTH100 (links are kept)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _here(name: str, value: Any) -> Any:
    """Return a recorded value as an option has it: what is behind a URL is fetched, and a file must still be there."""
    if name == "references":
        return tuple(_here("reference", one) for one in value)
    if name == "predictions" or not isinstance(value, str):
        return value
    before = next((kind for kind in _COUNTS if value.startswith(kind)), "")
    rest = value.removeprefix(before)
    if urls.scheme_of(rest):
        return before + copies.here(rest, copies.cache())
    if Path(rest).is_absolute() and not _exists(Path(rest)):
        flag = FLAGS.get(name, "--reference")
        without = f", or {flag} {NONE} to go without" if name in ("labels", "mapping", "taxonomy") else ""
        raise UsageError(f"{rest}, the {flag} of the earlier call, is gone: give {flag} FILE{without}")
    return value
