"""Settings of earlier calls: which classes and classifier heads runs have is kept in later calls with the same output folder.

A call records its settings with the checkpoints table, for each run, and files by their absolute path. A later call takes from
there the settings that it is not given, so that a repeated call does not lose names, alignments and phases. Selections, such as
``--epochs``, are not kept.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.scan import HeadOptions
from dsi_cli.errors import UsageError
from dsi_cli.metrics import DEFAULT_REFERENCES
from dsi_cli.remote import download, local_names, urls

NONE = "none"
"""The value that removes a setting, as in ``--labels none``."""

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
"""The command-line option of each setting."""

MAPPED = frozenset({"labels", "pos", "wordnet"})
"""The settings that a mapping belongs to: a call that is given one of these does not keep the mapping."""
_COUNTS = ("res:", "lin:", "jcn:")
"""The prefixes of a reference that names a file of information content."""


@dataclass(frozen=True)
class Settings:
    """The settings that a call is given; a setting that it is not given is None, and one that it removes is `NONE`."""

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
        """Return these settings as arguments of `Options`."""
        texts = {name: _unless_none(getattr(self, name)) for name in ("labels", "mapping", "taxonomy", "wordnet", "head")}
        choice = HeadOptions(texts.pop("head"), bool(self.ema), bool(self.keep_extra))
        asked = frozenset(name for name in FLAGS if getattr(self, name) is not None)
        references = self.references or DEFAULT_REFERENCES
        return texts | {"references": references, "pos": self.pos or "noun", "choice": choice, "asked": asked}

    @property
    def predictions_file(self) -> str | None:
        """The file or folder of predictions; None without one."""
        return _unless_none(self.predictions)


def _unless_none(value: str | None) -> str | None:
    return None if value == NONE else value


def hold(options: Options, recorded: Mapping[str, Mapping[str, Any]], runs: Collection[str]) -> tuple[Options, list[str]]:
    """Return the options of a call with the settings that are kept from earlier calls, and a line about each of these.

    Parameters
    ----------
    options : ``asked`` names the settings that the call is given; if it is None, no setting is kept
    recorded : the settings of earlier calls, by run, see `record`
    runs : the names of the runs of this call

    Raises
    ------
    UsageError
        The runs have different settings, or a file that an earlier call was given is gone.
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


def joins(options: Options, recorded: Mapping[str, Mapping[str, Any]], runs: Collection[str]) -> bool:
    """Return whether labels are kept that an earlier call was given for other runs than these."""
    return "labels" in options.held and not any("labels" in recorded.get(run, {}) for run in runs)


def record(options: Options, *, has_labels: bool = True) -> dict[str, Any]:
    """Return the settings of a run as JSON, for later calls; files by their absolute path or URL.

    Parameters
    ----------
    has_labels : whether the run uses the labels of the options, rather than those next to its checkpoints
    """
    predictions = options.evaluation.predictions
    settings = {
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
        settings["predictions"] = [_lasting(predictions), options.evaluation.predictions_split]
    settings |= options.held
    if not has_labels:
        settings |= {"labels": None, "mapping": None}
    return {name: value for name, value in settings.items() if value is not None}


def _agreed(name: str, values: Mapping[str, Any]) -> Any:
    """Return the value of a setting that all runs with a record share; runs without labels or mapping do not count for these."""
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
    """Return options with the settings that are kept."""
    choice = replace(options.choice, **{name: held[name] for name in ("head", "ema", "keep_extra") if name in held})
    plain = {name: held[name] for name in ("labels", "mapping", "taxonomy", "references", "pos", "wordnet") if name in held}
    evaluation = options.evaluation
    if "predictions" in held:
        evaluation = replace(evaluation, predictions_before=tuple(held["predictions"]))
    return replace(options, choice=choice, evaluation=evaluation, **plain)


def _word(name: str) -> str:
    return {"mapping": "mapping", "references": "references", "keep_extra": "keep extra classes"}.get(name, name)


def _shown(value: Any) -> str:
    """Return a value for a message; an absolute path is shown relative to the working directory if that is shorter."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return min(text, os.path.relpath(text), key=len) if Path(text).is_absolute() else text


def _lasting(spec: str | None) -> str | None:
    """Return a value that later calls can use: the path of a file becomes absolute, and that of a fetched copy its URL."""
    if spec is None:
        return None
    before = next((kind for kind in _COUNTS if spec.startswith(kind)), "")
    path = Path(spec.removeprefix(before))
    if not _exists(path):
        return spec
    address = local_names.address(path)
    return before + (address if urls.scheme_of(address) else os.path.abspath(path))  # noqa: PTH100 (links are kept)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _here(name: str, value: Any) -> Any:
    """Return a recorded value as this call can use it: a URL is fetched, and a file must still exist."""
    if name == "references":
        return tuple(_here("reference", one) for one in value)
    if name == "predictions" or not isinstance(value, str):
        return value
    before = next((kind for kind in _COUNTS if value.startswith(kind)), "")
    rest = value.removeprefix(before)
    if urls.scheme_of(rest):
        return before + download.localize(rest, download.cache_folder())
    if Path(rest).is_absolute() and not _exists(Path(rest)):
        flag = FLAGS.get(name, "--reference")
        without = f", or {flag} {NONE} to go without" if name in ("labels", "mapping", "taxonomy") else ""
        raise UsageError(f"{rest}, the {flag} of the earlier call, is gone: give {flag} FILE{without}")
    return value
