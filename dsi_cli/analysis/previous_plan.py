"""Record of a call for the next one, in ``OUT/.cache/plan.json``: the checkpoints of
each run, the entries made from them, and the settings that the call was given.

So deleted checkpoints stay in the results, and so do evaluations whose predictions are
not given again. A later call uses the labels, the mapping, the references and the other
settings (`dsi_cli.analysis.options.SETTINGS`) again, unless it is given others.
Selections, such as ``--epochs``, are not kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli.analysis.cache import EVALUATIONS, GEOMETRY, HEADS, ROWS
from dsi_cli.analysis.options import NONE, SETTINGS, Options
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import UsageError
from dsi_cli.facts import Fact
from dsi_cli.remote import urls
from dsi_cli.store import atomic_write, layout

FILE = "plan.json"
SETTINGS_OF_MAPPING = frozenset({"labels", "pos", "wordnet"})
"""The settings that a mapping belongs to: a call that is given one of these does not
keep the mapping.
"""
# the prefixes of a reference that names a file of information content
_COUNT_PREFIXES = ("res:", "lin:", "jcn:")


class SavedEvaluation(NamedTuple):
    """The evaluation of a checkpoint on a split in the cache."""

    key: str
    # the key of the predictions, or of data and model, without options that add to the
    # result
    source: str


@dataclass(frozen=True)
class PlannedCheckpoint:
    """A checkpoint with what was made from it."""

    record: Record  # as scanned, before epochs and duplicates are resolved
    head_key: str | None = None  # the key of its head
    evaluations: Mapping[str, SavedEvaluation] = field(default_factory=dict)
    """The last evaluation by split, even if the call that records it is given other
    predictions.
    """
    rows: str | None = None  # the key of its rows; None if it is not in the tables
    geometry: str | None = None  # the key of its rows in the geometry table


@dataclass(frozen=True)
class PlannedRun:
    """The checkpoints of a run, and the settings with which they were analysed."""

    folder: str = ""
    # the options that affect heads
    shaping: Mapping[str, Any] = field(default_factory=dict)
    # the class names that labelled data gave, if the checkpoints have no head
    names: tuple[str, ...] | None = None
    labels_id: str | None = None
    settings: Mapping[str, Any] | None = None  # None if no checkpoint was usable
    checkpoints: tuple[PlannedCheckpoint, ...] = ()
    noticed: Mapping[str, Sequence[Fact]] = field(default_factory=dict)
    """The facts about the predictions or the data of each split, when they were given."""

    @property
    def entries(self) -> set[tuple[str, str]]:
        """The entries of the cache that the run uses, by kind and key."""
        used = set()
        for checkpoint in self.checkpoints:
            for saved in checkpoint.evaluations.values():
                used.add((EVALUATIONS, saved.key))
            if checkpoint.head_key is not None:
                used.add((HEADS, checkpoint.head_key))
            if checkpoint.rows is not None:
                used.add((ROWS, checkpoint.rows))
            if checkpoint.geometry is not None:
                used.add((GEOMETRY, checkpoint.geometry))
        return used


def is_missing(out: Path) -> bool:
    """Return whether an output folder has results, and nothing about the call that made
    them.
    """
    return layout.is_output(out) and not (out / layout.CACHE / FILE).is_file()


def read(out: Path) -> dict[str, PlannedRun]:
    """Return the runs of the last call that finished; empty if there was none, or if
    another version of dsi wrote it.
    """
    try:
        document = json.loads((out / layout.CACHE / FILE).read_text(encoding="utf-8"))
        return {name: _run(values) for name, values in document.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write(out: Path, runs: Mapping[str, PlannedRun]) -> None:
    """Write the runs for the next call; raise `OutputError` if this fails."""
    path = out / layout.CACHE / FILE
    text = json.dumps(dict(runs), default=vars)
    atomic_write.write_atomically(path, text.encode(), layout.temporary_folder(out))


def _run(values: Mapping[str, Any]) -> PlannedRun:
    checkpoints = []
    for one in values["checkpoints"]:
        evaluations = {
            split: SavedEvaluation(*saved)
            for split, saved in one["evaluations"].items()
        }
        checkpoints.append(
            PlannedCheckpoint(
                Record(**one["record"]),
                one["head_key"],
                evaluations,
                one["rows"],
                one["geometry"],
            )
        )
    names = tuple(values["names"]) if values["names"] else None
    return PlannedRun(
        folder=values["folder"],
        shaping=values["shaping"],
        names=names,
        labels_id=values["labels_id"],
        settings=values["settings"],
        checkpoints=tuple(checkpoints),
        noticed={
            split: [Fact(**one) for one in facts]
            for split, facts in values["noticed"].items()
        },
    )


def settings_of(options: Options, splits: Collection[str]) -> dict[str, Any]:
    """Return the settings of a call as JSON for the next one; files by their absolute
    path or URL. The call was given predictions of these splits.
    """
    settings: dict[str, Any] = {}
    for name, declared in SETTINGS.items():
        if name == "predictions":
            continue
        value = getattr(options, name)
        if value is None or value == declared.default:
            continue
        if isinstance(value, tuple):
            value = list(map(_absolute, value))
        elif declared.option.url is not None:
            value = _absolute(value)
        settings[name] = value
    evaluation = options.evaluation
    if evaluation.predictions is not None:
        file = _absolute(evaluation.predictions)
        settings["predictions"] = [file, *sorted(splits)]
    elif evaluation.predictions_before is not None:
        settings["predictions"] = list(evaluation.predictions_before)
    return settings


def kept_settings(options: Options, runs: Mapping[str, PlannedRun]) -> dict[str, Any]:
    """Return the settings of the previous call that this call is not given; `runs` are
    the previous ones of the same folders.

    Raise `UsageError` if the runs have different settings.
    """
    kept: dict[str, Any] = {}
    if options.given is None:
        return kept
    for name in SETTINGS:
        is_other_mapping = name == "mapping" and SETTINGS_OF_MAPPING & options.given
        if name in options.given or is_other_mapping:
            continue
        value = _common_setting(name, runs)
        if value is not None:
            kept[name] = value
    # Predictions of an earlier call do not replace those that this call makes for the
    # same split.
    if "predictions" in kept:
        file, *splits = kept["predictions"]
        splits = [split for split in splits if split not in options.evaluation.data]
        kept["predictions"] = [file, *splits]
        if not splits:
            del kept["predictions"]
    return kept


def _common_setting(name: str, runs: Mapping[str, PlannedRun]) -> Any:
    """Return the value of a setting that all runs share. Runs without labels or mapping
    do not count for these.
    """
    values = {
        run: planned.settings.get(name)
        for run, planned in sorted(runs.items())
        if planned.settings is not None
    }
    if name in ("labels", "mapping"):
        values = {run: value for run, value in values.items() if value is not None}
    if not values:
        return None
    first = next(iter(values))
    for run, value in values.items():
        if value != values[first]:
            flag = SETTINGS[name].title
            message = (
                f"earlier calls gave the runs {first!r} and {run!r} different {flag}"
                f" ({shown(values[first])} and {shown(value)})"
            )
            raise UsageError(
                message,
                hint=f"give {flag} again, or analyse one run at a time",
                code="settings-differ",
                option=flag,
                runs=(first, run),
            )
    return values[first]


def kept_names(
    paths: Sequence[str | os.PathLike[str]], previous: Mapping[str, PlannedRun]
) -> str | None:
    """Return the pattern of names that the previous call was given for a folder among
    the paths, or for a folder of files among them; None if there is none.
    """
    folders = set()
    for path in paths:
        text = os.fspath(path)
        if urls.scheme_of(text) is None:
            text = os.path.abspath(urls.local_path(text))  # noqa: PTH100 (links are kept)
        folders |= {text.rstrip("/"), os.path.dirname(text)}  # noqa: PTH120 (or a URL)
    for run in previous.values():
        names = (run.settings or {}).get("names")
        if names is not None and run.folder in folders:
            return str(names)
    return None


def with_settings(options: Options, kept: Mapping[str, Any]) -> Options:
    """Return options with the settings of the previous call; raise `UsageError` if a
    file that the previous call was given no longer exists.
    """
    values = dict(kept)
    evaluation = options.evaluation
    if "predictions" in values:
        before = tuple(values.pop("predictions"))
        evaluation = replace(evaluation, predictions_before=before)
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
        if SETTINGS[name].option.url is not None:
            for text in values[name] if isinstance(value, list) else [value]:
                _require_file(name, text)
    return replace(options, evaluation=evaluation, **values)


def _require_file(name: str, value: str) -> None:
    """Raise `UsageError` if a setting is a file that no longer exists."""
    _, text = _split_prefix(value)
    path = Path(text)
    if not path.is_absolute() or path.exists():
        return
    flag = SETTINGS[name].title
    message = f"{text}, the {flag} of the earlier call, no longer exists"
    raise UsageError(
        message,
        hint=f"give {flag} FILE, or {flag} {NONE} to remove it",
        code="setting-gone",
        option=flag,
        path=text,
    )


def shown(value: Any) -> str:
    """Return a setting for a message; an absolute path is relative to the working
    directory if that is shorter.
    """
    if value is None:
        return NONE
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if Path(text).is_absolute():
        return min(text, os.path.relpath(text), key=len)
    return text


def _split_prefix(value: str) -> tuple[str, str]:
    """Return the ``res:`` of a reference such as ``res:FILE`` and its file; an empty
    prefix for other values.
    """
    for prefix in _COUNT_PREFIXES:
        if value.startswith(prefix):
            return prefix, value.removeprefix(prefix)
    return "", value


def _absolute(value: str) -> str:
    """Return a value that later calls can use: a file by its absolute path. URLs and
    the names of presets stay.
    """
    prefix, text = _split_prefix(value)
    if urls.scheme_of(text) is not None:
        return value
    path = urls.local_path(text)
    if not Path(path).exists():
        return value
    return prefix + os.path.abspath(path)  # noqa: PTH100 (links are kept)
