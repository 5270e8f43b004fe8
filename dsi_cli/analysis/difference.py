"""Read the two networks of ``dsi diff``, and others that show the usual variation
between epochs or repetitions.

Each side is a checkpoint, a folder of checkpoints or a results folder. The usual
variation is that between neighbouring epochs of the run of one side. It is unknown if
the run has no further checkpoint.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from dsi_cli.analysis import scan
from dsi_cli.analysis.classifiers.run_checkpoints import (
    RunCheckpoints,
    check_class_count,
)
from dsi_cli.analysis.semantics import class_labels, label_files
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, scan_checkpoint
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.epochs import natural_key
from dsi_cli.checkpoints.records import OK, SKIPPED, Record
from dsi_cli.errors import CheckpointError, NothingToAnalyseError, UsageError
from dsi_cli.labels.label_list import name_key
from dsi_cli.metrics.head_geometry import correlation_z
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries.comparison.repetitions import group_runs
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.queries.difference import Difference, Network, Variation, compare
from dsi_cli.queries.run_classes import (
    class_rows,
    readable_name,
    readable_names,
    taxonomy_order,
)
from dsi_cli.remote import urls
from dsi_cli.similarity import MAX_DENSE_CLASSES
from dsi_cli.store import layout, parquet
from dsi_cli.store.results import Results

Item = TypeVar("Item")
# the largest number of steps between neighbouring epochs that show the usual variation
MAX_STEPS = 5
# the number of files of a series before and after a checkpoint that are read for the
# usual variation
MAX_SIBLINGS = 6


class Side(NamedTuple):
    """One side of the comparison."""

    network: Network
    series: list[Network]
    """The networks of its run in the order of their epochs, including this one; empty
    if they have no epochs.
    """
    results: tuple[Results, str] | None = None
    """The results folder and the name of the run, if the side is a results folder."""


def diff(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str] | None = None,
    *,
    runs: Sequence[str] = (),
    epochs: Sequence[int] = (),
    labels: str | None = None,
    choice: HeadOptions | None = None,
    group: str | None = None,
) -> Difference:
    """Return the differences between two networks; for the parameters and errors see
    `dsi_cli.api.diff`.
    """
    if second is None and max(len(runs), len(epochs)) < 2:
        message = "there is one path"
        raise UsageError(
            message,
            hint="add a second one, or name two of its epochs with --epoch",
            code="one-side",
            path=str(first),
        )
    for flag, values in (("--run", runs), ("--epoch", epochs)):
        if len(values) > 2:
            message = f"{flag} is given {len(values)} times"
            raise UsageError(
                message,
                hint="give it once or twice",
                code="too-many-values",
                option=flag,
            )
    # A run or an epoch that is given once is that of both sides. The default is the
    # only run and the last epoch.
    choice = choice or HeadOptions()
    sides = []
    for index, path in enumerate((first, first if second is None else second)):
        run = runs[min(index, len(runs) - 1)] if runs else None
        epoch = epochs[min(index, len(epochs) - 1)] if epochs else None
        folder = (
            None if urls.scheme_of(path) is not None else Path(urls.local_path(path))
        )
        if folder is not None and folder.is_dir() and layout.is_output(folder):
            sides.append(_read_results(folder, run, epoch))
        else:
            sides.append(
                _read_checkpoints(os.fspath(path), folder, run, epoch, labels, choice)
            )
    a, b = (side.network for side in sides)
    _require_same_classes(a, b)
    reason, z = _reason_no_angles(a, b)
    variation = (
        _variation_of_epochs(sides)
        if group is None
        else _variation_of_repetitions(sides[0], group)
    )
    found = compare(a, b, variation, reason, z)
    if any(side.results for side in sides) and (
        labels is not None or choice != HeadOptions()
    ):
        found.notes.append(
            "--labels, --head and --ema have no effect on a results folder, which has"
            " those of its analysis"
        )
    return found


def _require_same_classes(first: Network, second: Network) -> None:
    if first.classes != second.classes:
        a, b = (
            (first.title, second.title)
            if first.title != second.title
            else (first.path, second.path)
        )
        message = (
            f"{a} has {first.classes} classes and {b} has {second.classes}, but dsi"
            " diff compares networks with the same classes"
        )
        raise UsageError(
            message,
            hint="analyse both, and run dsi compare",
            code="different-classes",
            first=first.classes,
            second=second.classes,
        )
    if first.classes < 3:
        message = (
            f"{first.title} has {first.classes} classes; similarities of classes need 3"
            " or more"
        )
        raise UsageError(message, code="too-few-classes", classes=first.classes)
    if first.classes > MAX_DENSE_CLASSES:
        message = (
            f"{first.title} has {first.classes:,} classes; dsi diff compares all pairs"
            f" of up to {MAX_DENSE_CLASSES:,} classes"
        )
        raise UsageError(message, code="too-many-classes", classes=first.classes)
    if first.names is None or second.names is None:
        return
    other = [
        (a, b)
        for a, b in zip(first.names, second.names, strict=True)
        if a != b and name_key(a) != name_key(b)
    ]
    if other:
        message = (
            f"{len(other)} of {first.classes} classes have other names in"
            f" {second.title}, such as {other[0][1]!r} for {other[0][0]!r}; if the"
            " classes are the same, add --labels FILE"
        )
        raise UsageError(
            message, code="different-labels", number=len(other), example=other[0]
        )


def _reason_no_angles(
    first: Network, second: Network
) -> tuple[str | None, float | None]:
    """Return why class vectors cannot be compared (None if they can), and their
    correlation.
    """
    if first.weight is None or second.weight is None:
        unknown = first if first.weight is None else second
        return (
            (
                f"the class vectors of {unknown.title} are not stored; analyse its"
                " checkpoints again"
            ),
            None,
        )
    widths = first.weight.shape[1], second.weight.shape[1]
    if widths[0] != widths[1]:
        return (
            (
                f"the heads have {widths[0]} and {widths[1]} features, so only"
                " similarities are compared"
            ),
            None,
        )
    z = correlation_z(first.weight, second.weight)
    if np.array_equal(first.weight, second.weight) or z is None or z > MIN_Z:
        return None, z
    return (
        (
            f"the vectors of the same class are uncorrelated (z {z:.1f}, chance is 0),"
            " as those of independently trained networks, so only similarities are"
            " compared"
        ),
        z,
    )


def _variation_of_epochs(sides: Sequence[Side]) -> Variation | None:
    """Return the differences of neighbouring epochs that are next to the later
    network.
    """
    compared = {(side.network.path, side.network.epoch) for side in sides}
    by_series = sorted(
        (side for side in sides if len(side.series) > 1),
        key=lambda side: -(side.network.epoch or 0),
    )
    for side in by_series:
        steps = [
            pair
            for pair in pairwise(side.series)
            if {(one.path, one.epoch) for one in pair} != compared
        ]
        before = [
            pair for pair in steps if (pair[1].epoch or 0) <= (side.network.epoch or 0)
        ]
        chosen = before[-MAX_STEPS:] or steps[:MAX_STEPS]
        # Files whose names differ in a number may also be independent networks, such as
        # seeds.
        if chosen and all(
            one.weight is None or _reason_no_angles(one, other)[0] is None
            for one, other in chosen
        ):
            span = f"{chosen[0][0].epoch}–{chosen[-1][1].epoch}"
            has_angles = all(
                network.weight is not None for pair in chosen for network in pair
            )
            return Variation(
                f"neighbouring checkpoints of epochs {span}",
                _step(chosen),
                chosen,
                has_angles,
            )
    return None


def _step(pairs: Sequence[tuple[Network, Network]]) -> str:
    """Return the name of one step between neighbouring checkpoints."""
    lengths = {(after.epoch or 0) - (before.epoch or 0) for before, after in pairs}
    if lengths == {1}:
        return "one usual epoch"
    if len(lengths) == 1:
        return f"one usual step of {lengths.pop()} epochs"
    return "one usual step between checkpoints"


def _variation_of_repetitions(side: Side, pattern: str) -> Variation:
    """Return the differences between repetitions of the first network's training in its
    results folder.
    """
    if side.results is None:
        message = (
            "--group needs a results folder with the repetitions, and"
            f" {side.network.path} is not one"
        )
        raise UsageError(message, code="no-repetitions", path=side.network.path)
    results, run = side.results
    runs = [ComparedRun(name, name, results) for name in results.names]
    (repetitions,) = (
        group
        for group in group_runs(runs, pattern, least=1)
        if run in [one.name for one in group.runs]
    )
    networks = []
    for one in repetitions.runs:
        epochs = results.epochs(one.name)
        epoch = side.network.epoch if side.network.epoch in epochs else max(epochs)
        networks.append(_stored_network(results, one.name, epoch))
    pairs = [(a, b) for a, b in combinations(networks, 2) if a.classes == b.classes]
    if not pairs:
        message = (
            f"--group {pattern!r} finds no other repetition of {run} among the runs"
            f" {', '.join(results.names)}"
        )
        raise UsageError(message, code="no-repetitions", group=pattern)
    source = f"{len(networks)} repetitions of {repetitions.name}"
    return Variation(source, "the usual difference", pairs, has_angles=False)


def _read_results(folder: Path, run: str | None, epoch: int | None) -> Side:
    results = Results(folder)
    name = results.run_name(run)
    epochs = results.epochs(name)
    if not epochs:
        raise NothingToAnalyseError(
            f"run {name!r} in {folder} has no usable checkpoint", code="nothing-usable"
        )
    chosen = _chosen_epoch(epochs, epoch, f"run {name!r} in {folder}")
    network = _stored_network(results, name, chosen)
    series = [
        _stored_network(results, name, one)
        for one in _around(epochs, epochs.index(chosen))
    ]
    series = [
        one
        for one in series
        if one.epoch is not None and one.classes == network.classes
    ]
    return Side(network, series, (results, name))


def _chosen_epoch(epochs: Sequence[int], epoch: int | None, where: str) -> int:
    if epoch is None:
        return max(epochs)
    if epoch not in epochs:
        message = (
            f"no epoch {epoch} in {where}: its epochs are {', '.join(map(str, epochs))}"
        )
        raise UsageError(message, code="unknown-epoch", epoch=epoch)
    return epoch


def _stored_network(results: Results, run: str, epoch: int) -> Network:
    rows = results.usable_checkpoints(run)
    rows = rows[rows["epoch"].fillna(0) == epoch]
    classes = class_rows(results, run)
    head, weight, similarity = layout.head_path(results.path, run, epoch), None, None
    if head.is_file():
        weight = np.asarray(parquet.read_weight(head), dtype=np.float32)
        # the head of a later epoch may have more classes
        classes = classes.iloc[: len(weight)]
    else:
        similarity = results.csm("ncsm", epoch, run=run).to_numpy()
    network = Network(
        title=run,
        path=rows["path"].iloc[-1],
        weight=weight,
        similarity=similarity,
        dtype=rows["dtype"].iloc[-1] or "float32",
        order=tuple(taxonomy_order(classes).tolist()),
    )
    if results.has_epochs(run):
        network = replace(network, title=f"{run}, epoch {epoch}", epoch=epoch)
    if not classes["name"].isna().any():
        groups = tuple(
            group if isinstance(group, str) else None for group in classes["group"]
        )
        network = replace(
            network,
            names=tuple(classes["name"]),
            readable_names=tuple(readable_names(classes)),
            groups=groups,
        )
    return network


def _read_checkpoints(
    path: str,
    local: Path | None,
    run: str | None,
    epoch: int | None,
    labels: str | None,
    choice: HeadOptions,
) -> Side:
    """Return a checkpoint and the others of its run."""
    named = scan.find_runs([path])
    listed = None if labels is None else label_files.read_labels_option(labels)
    targets = [file.display_path for training in named for file in training.checkpoints]
    is_single = len(targets) == 1
    if is_single and local is not None:
        named = discover(_siblings(local))
    parts, heads = scan.scan_resolved(named, choice, listed)
    part, record = (
        _single(path, targets[0], epoch, parts)
        if is_single
        else _of_run(path, run, epoch, parts)
    )

    # Find the labels, and read the heads that are not in memory.
    file_of = {file.display_path: file for file in part.training.checkpoints}
    label_list, _ = class_labels.find_labels(
        part.training, listed, [file_of[record.path]], record.classes, part.names
    )
    if label_list is not None and listed is not None:
        check_class_count(part, choice, label_list)
    known, names = class_labels.without_labels(record.classes or 0), None
    if label_list is not None:
        known, names = class_labels.resolve_labels(label_list), label_list.names

    def network(one: Record) -> Network:
        head = heads.get(one.path)
        weight = (
            scan_checkpoint(file_of[one.path], choice).weight
            if head is None
            else head.weight
        )
        return Network(
            title=(
                Path(one.path).name if is_single else f"{part.name}, epoch {one.epoch}"
            ),
            path=one.path,
            epoch=one.epoch,
            weight=weight,
            dtype=one.dtype or "float32",
            names=names,
            readable_names=tuple(
                readable_name(entry.label, entry.wnid, entry.synset)
                for entry in known.resolutions
            ),
            groups=known.groups,
            order=tuple(known.order.tolist()),
        )

    shape = record.classes, record.features
    series = [
        one
        for one in part.usable
        if one.epoch is not None and (one.classes, one.features) == shape
    ]
    place = next(
        (index for index, one in enumerate(series) if one.path == record.path),
        len(series),
    )
    return Side(network(record), [network(one) for one in _around(series, place)])


def _single(
    path: str, target: str, epoch: int | None, parts: Sequence[RunCheckpoints]
) -> tuple[RunCheckpoints, Record]:
    """Return the checkpoint of a path, which may be one of several epochs in a file,
    and its run.
    """
    for part in parts:
        if records := [
            one
            for one in part.resolved
            if one.path == target or one.path.startswith(f"{target}[")
        ]:
            break
    usable = [
        record
        for record in records
        if record.status in (OK, SKIPPED) and record.features is not None
    ]
    if not usable:
        raise CheckpointError(
            f"{path}: {records[0].reason}", path=path, reason=records[0].reason
        )
    if len(usable) > 1:
        chosen = _chosen_epoch([record.epoch or 0 for record in usable], epoch, path)
        usable = [record for record in usable if record.epoch == chosen]
    return part, usable[-1]


def _of_run(
    path: str, run: str | None, epoch: int | None, parts: list[RunCheckpoints]
) -> tuple[RunCheckpoints, Record]:
    """Return the checkpoint of an epoch in a folder, and its run."""
    names = [part.name for part in parts]
    if (run is not None and run not in names) or (run is None and len(names) > 1):
        message = f"{path} holds the runs {', '.join(names)}"
        raise UsageError(
            message,
            hint=f"add --run {names[0]}, or another one",
            code="ambiguous-run" if run is None else "unknown-run",
            runs=names,
        )
    part = parts[0] if run is None else parts[names.index(run)]
    epochs = [record.epoch for record in part.usable if record.epoch is not None]
    if not part.usable:
        reason = next(
            (record.reason for record in part.resolved if record.reason),
            "all are incomplete",
        )
        raise NothingToAnalyseError(
            f"{path}: no checkpoint can be used: {reason}", code="nothing-usable"
        )
    if not epochs:
        message = f"{path} holds {len(part.usable)} checkpoints without an epoch"
        raise UsageError(
            message,
            hint="give the path of one of them",
            code="not-one-checkpoint",
            path=path,
            count=len(part.usable),
        )
    chosen = _chosen_epoch(epochs, epoch, path)
    return part, [one for one in part.usable if one.epoch == chosen][-1]


def _siblings(path: Path) -> list[Path]:
    """Return a checkpoint and those next to it whose names differ in digits only, such
    as ``epoch_1.pt`` and ``epoch_2.pt``.
    """
    pattern = re.compile(re.sub(r"\d+", r"\\d+", re.escape(path.name)))
    alike = [
        other
        for other in path.absolute().parent.iterdir()
        if pattern.fullmatch(other.name)
    ]
    alike = sorted(
        (other for other in alike if other.is_dir() == path.is_dir()),
        key=lambda other: natural_key(other.name),
    )
    names = [other.name for other in alike]
    return (
        list(_around(alike, names.index(path.name))) if path.name in names else [path]
    )


def _around(series: Sequence[Item], index: int) -> Sequence[Item]:
    return series[max(index - MAX_SIBLINGS, 0) : index + MAX_SIBLINGS + 1]
