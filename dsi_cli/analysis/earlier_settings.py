"""Settings of earlier calls: which classes and classifier heads runs have is kept in
later calls with the same output folder.

A call records its settings with the checkpoints table, for each run, and files by their
absolute path. A later call takes from there the settings that it is not given, so that
a repeated call does not lose names, alignments and phases. Selections, such as
``--epochs``, are not kept. `dsi_cli.analysis.option_groups.groups` marks the settings
that are kept.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsi_cli.analysis.option_groups.declaration import declared_options
from dsi_cli.analysis.options import KEPT_SETTINGS, NONE, Options
from dsi_cli.errors import UsageError
from dsi_cli.remote import download, urls

SETTINGS_OF_MAPPING = frozenset({"labels", "pos", "wordnet"})
"""The settings that a mapping belongs to: a call that is given one of these does not
keep the mapping.
"""
# the prefixes of a reference that names a file of information content
_COUNT_PREFIXES = (
    "res:",
    "lin:",
    "jcn:",
)


def with_kept_settings(
    options: Options, recorded: Mapping[str, Mapping[str, Any]], runs: Collection[str]
) -> tuple[Options, list[str]]:
    """Return the options of a call with the settings that are kept from earlier calls,
    and a line about each of these.

    `recorded` has the settings of earlier calls by run, as `record` returns them.
    Settings that this call is given are not kept. Raise `UsageError` if the runs have
    different settings, or if a file that an earlier call was given no longer exists.
    """
    if options.given_settings is None:
        return options, []
    kept: dict[str, Any] = {}
    for name in KEPT_SETTINGS:
        if name in options.given_settings or (
            name == "mapping" and SETTINGS_OF_MAPPING & options.given_settings
        ):
            continue
        by_run = {
            run: recorded[run].get(name) for run in sorted(runs) if run in recorded
        }
        if name in (
            "labels",
            "mapping",
        ):  # runs without labels or mapping do not count for these
            by_run = {run: value for run, value in by_run.items() if value is not None}
        # All runs with a record must share the value.
        first_run, first_value = next(iter(by_run.items()), (None, None))
        for run, value in by_run.items():
            if value != first_value:
                flag = KEPT_SETTINGS[name]
                message = (
                    f"earlier calls gave the runs {first_run!r} and {run!r} different"
                    f" {flag} ({_display(first_value)} and {_display(value)})"
                )
                raise UsageError(
                    message,
                    hint=f"give {flag} again, or analyse one run at a time",
                    code="settings-differ",
                    option=flag,
                    runs=(first_run, run),
                )
        # Predictions of an earlier call do not replace those that this call makes for
        # the same split.
        if first_value is not None and not (
            name == "predictions" and first_value[1] in options.evaluation.data
        ):
            kept[name] = first_value
    lines = [
        f"{name.replace('_', ' ')} from the earlier call: {_display(value)}"
        for name, value in kept.items()
        if name != "predictions"  # the summary names these
    ]
    options = replace(options, kept_settings=kept)
    values = {name: _localize(name, value) for name, value in kept.items()}
    if "predictions" in values:
        before = tuple(values.pop("predictions"))
        options = replace(
            options, evaluation=replace(options.evaluation, predictions_before=before)
        )
    return replace(options, **values), lines


def uses_labels_of_other_runs(
    options: Options, recorded: Mapping[str, Mapping[str, Any]], runs: Collection[str]
) -> bool:
    """Return whether the call keeps labels that an earlier call was given for other
    runs than these.
    """
    return "labels" in options.kept_settings and not any(
        "labels" in recorded.get(run, {}) for run in runs
    )


def record(options: Options, *, has_labels: bool = True) -> dict[str, Any]:
    """Return the settings of a run as JSON, for later calls; files by their absolute
    path or URL.

    `has_labels` is False for a run with the labels next to its checkpoints instead of
    those of the options.
    """
    settings: dict[str, Any] = {}
    for declared in declared_options(Options):
        value = getattr(options, declared.field)
        if not declared.option.is_kept or value == declared.default:
            continue
        if declared.option.url is not None:  # the value may be a file, or several
            value = (
                [_absolute(text) for text in value]
                if isinstance(value, tuple)
                else _absolute(value)
            )
        settings[declared.field] = value
    evaluation = options.evaluation
    if evaluation.predictions is not None:
        settings["predictions"] = [
            _absolute(evaluation.predictions),
            evaluation.predictions_split,
        ]
    elif evaluation.predictions_before is not None:
        settings["predictions"] = evaluation.predictions_before
    settings |= options.kept_settings
    if not has_labels:
        settings.pop("labels", None)
        settings.pop("mapping", None)
    return {name: value for name, value in settings.items() if value is not None}


def _display(value: Any) -> str:
    """Return a value for a message; an absolute path is relative to the working
    directory if that is shorter.
    """
    if value is None:
        return NONE
    if isinstance(value, list):
        return ", ".join(map(_display, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return (
        min(text, os.path.relpath(text), key=len) if Path(text).is_absolute() else text
    )


def _split_prefix(reference: str) -> tuple[str, str]:
    """Return the ``res:`` of a reference such as ``res:FILE`` and its file; an empty
    prefix for other values.
    """
    prefix = next(
        (prefix for prefix in _COUNT_PREFIXES if reference.startswith(prefix)), ""
    )
    return prefix, reference.removeprefix(prefix)


def _absolute(value: str) -> str:
    """Return a value that later calls can use: the absolute path of a file, or the URL
    of a downloaded copy.
    """
    prefix, text = _split_prefix(value)
    path = Path(text)
    if not os.path.exists(path):  # noqa: PTH110 (any text is accepted)
        return value
    address = urls.address(path)
    return prefix + (address if urls.scheme_of(address) else os.path.abspath(path))  # noqa: PTH100 (links are kept)


def _localize(name: str, value: Any) -> Any:
    """Return a recorded value as this call can use it: dsi downloads a URL, and a file
    must still exist.
    """
    if name == "references":
        return tuple(_localize("reference", reference) for reference in value)
    if name == "predictions" or not isinstance(value, str):
        return value
    prefix, text = _split_prefix(value)
    if urls.scheme_of(text):
        return prefix + download.localize(text, download.cache_folder())
    if Path(text).is_absolute() and not os.path.exists(text):  # noqa: PTH110
        flag = KEPT_SETTINGS.get(name, "--reference")
        removal = (
            f", or {flag} {NONE} to remove it"
            if name in ("labels", "mapping", "taxonomy")
            else ""
        )
        message = f"{text}, the {flag} of the earlier call, no longer exists"
        raise UsageError(
            message,
            hint=f"give {flag} FILE{removal}",
            code="setting-gone",
            option=flag,
            path=text,
        )
    return value
