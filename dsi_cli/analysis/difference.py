"""Read the two networks of ``dsi diff``, and others that show the usual variation
between epochs or repetitions.

Each side is a checkpoint, a folder of checkpoints or a results folder. The usual
variation is that between neighbouring epochs of the run of one side. It is unknown if
the run has no further checkpoint.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis import scan
from dsi_cli.analysis.classifiers.heads import HeadParameters, Heads
from dsi_cli.analysis.classifiers.run_checkpoints import (
    RunCheckpoints,
    check_class_count,
)
from dsi_cli.analysis.epoch_rows import Checkpoint, epoch_rows
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics import class_labels
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, scan_checkpoint
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.file_names import natural_key
from dsi_cli.checkpoints.records import OK, SKIPPED, Record
from dsi_cli.errors import CheckpointError, NothingToAnalyseError, UsageError
from dsi_cli.labels import files
from dsi_cli.labels.label_list import LabelList, name_key
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
        if urls.scheme_of(path) is not None:
            folder = None
        else:
            folder = Path(urls.local_path(path))
        if folder is not None and folder.is_dir() and layout.is_output(folder):
            sides.append(_read_results(folder, run, epoch))
        else:
            sides.append(
                _read_checkpoints(os.fspath(path), folder, run, epoch, labels, choice)
            )
    a, b = (side.network for side in sides)
    _require_same_classes(a, b)
    reason, z = _reason_no_angles(a, b)
    if group is None:
        variation = _variation_of_epochs(sides)
    else:
        variation = _variation_of_repetitions(sides[0], group)
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
    widths = first.weight.shape[1], second.weight.shape[1]
    if widths[0] != widths[1]:
        reason = (
            f"the heads have {widths[0]} and {widths[1]} features, so only"
            " similarities are compared"
        )
        return reason, None
    z = correlation_z(first.weight, second.weight)
    if np.array_equal(first.weight, second.weight) or z is None or z > MIN_Z:
        return None, z
    reason = (
        f"the vectors of the same class are uncorrelated (z {z:.1f}, chance is 0),"
        " as those of independently trained networks, so only similarities are"
        " compared"
    )
    return reason, z


def _variation_of_epochs(sides: Sequence[Side]) -> Variation | None:
    """Return the differences of neighbouring epochs that are next to the later
    network.
    """
    compared = {(side.network.path, side.network.epoch) for side in sides}
    by_series = sorted(
        (side for side in sides if len(side.series) > 1),
        key=lambda side: -side.network.epoch,
    )
    for side in by_series:
        steps = [
            pair
            for pair in pairwise(side.series)
            if {(one.path, one.epoch) for one in pair} != compared
        ]
        before = [pair for pair in steps if pair[1].epoch <= side.network.epoch]
        chosen = before[-MAX_STEPS:] or steps[:MAX_STEPS]
        # Files whose names differ in a number may also be independent networks, such as
        # seeds.
        reasons = [_reason_no_angles(one, other)[0] for one, other in chosen]
        if chosen and set(reasons) == {None}:
            span = f"{chosen[0][0].epoch}–{chosen[-1][1].epoch}"
            source = f"neighbouring checkpoints of epochs {span}"
            return Variation(source, _step(chosen), chosen, has_angles=True)
    return None


def _step(pairs: Sequence[tuple[Network, Network]]) -> str:
    """Return the name of one step between neighbouring checkpoints."""
    lengths = {after.epoch - before.epoch for before, after in pairs}
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


def _side(
    networks: Callable[[Item], Network], series: Sequence[Item], chosen: Item
) -> Side:
    """Return the network of an item of a series, and those next to it with an epoch and
    the same shape.
    """
    network = networks(chosen)
    around = _around(series, series.index(chosen))
    near = [network if item == chosen else networks(item) for item in around]
    shape = network.weight.shape
    near = [one for one in near if one.has_epoch and one.weight.shape == shape]
    return Side(network, near)


def _read_results(folder: Path, run: str | None, epoch: int | None) -> Side:
    results = Results(folder)
    name = results.run_name(run)
    epochs = results.epochs(name)
    if not epochs:
        raise NothingToAnalyseError(
            f"run {name!r} in {folder} has no usable checkpoint", code="nothing-usable"
        )
    chosen = _chosen_epoch(epochs, epoch, f"run {name!r} in {folder}")
    side = _side(partial(_stored_network, results, name), epochs, chosen)
    return side._replace(results=(results, name))


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
    row = results.fill_missing_epochs(rows).query("epoch == @epoch").iloc[-1]
    head = layout.head_path(results.path, run, epoch)
    if not head.is_file():
        message = (
            f"{results.path} has no classifier of run {run!r} at epoch {epoch}; if the"
            " network has one, analyse its checkpoints again with dsi analyze"
        )
        raise UsageError(message, code="no-head", run=run, epoch=epoch)
    weight = np.asarray(parquet.read_weight(head), dtype=np.float32)
    # The head of a later epoch may have more classes.
    classes = class_rows(results, run).iloc[: len(weight)]
    network = Network(
        title=run,
        path=row["path"],
        epoch=epoch,
        has_epoch=results.has_epochs(run),
        weight=weight,
        make_ncsm=partial(_stored_ncsm, results, run, epoch, len(weight)),
        dtype=row["dtype"] or "float32",
        order=tuple(taxonomy_order(classes).tolist()),
    )
    if network.has_epoch:
        network = replace(network, title=f"{run}, epoch {epoch}")
    if classes["name"].isna().any():
        return network
    groups = [group if isinstance(group, str) else None for group in classes["group"]]
    return replace(
        network,
        names=tuple(classes["name"]),
        readable_names=tuple(readable_names(classes)),
        groups=tuple(groups),
    )


def _stored_ncsm(
    results: Results, run: str, epoch: int, classes: int
) -> NDArray[np.float32]:
    """Return the NCSM of the classes of the head, without those of later heads."""
    whole: NDArray[np.float32] = results.csm("ncsm", epoch, run=run).to_numpy()
    return whole[:classes, :classes]


def _read_checkpoints(
    path: str,
    local: Path | None,
    run: str | None,
    epoch: int | None,
    labels: str | None,
    choice: HeadOptions,
) -> Side:
    """Return a checkpoint and the others of its run."""
    listed = None if labels is None else files.read_labels_or_preset(labels)
    parts, heads, target = _scan_with_siblings(path, local, choice, listed)
    is_single = target is not None
    if target is not None:
        part, records = _records_of_file(path, target, parts)
    else:
        part, records = _records_of_run(path, run, parts)
    chosen = records[-1]
    if len(records) > 1:
        at = _chosen_epoch([record.epoch_number for record in records], epoch, path)
        chosen = [record for record in records if record.epoch_number == at][-1]

    # Find the labels, and read the heads that are not in memory.
    file_of = {file.display_path: file for file in part.training.checkpoints}
    label_list, _ = class_labels.find_labels(
        part.training, listed, [file_of[chosen.path]], chosen.classes
    )
    check_class_count(replace(part, given=listed), choice)
    known = class_labels.without_labels(chosen.classes or 0)
    if label_list is not None:
        known = class_labels.resolve_labels(label_list)
    readable = [
        readable_name(entry.label, entry.wnid, entry.synset)
        for entry in known.resolutions
    ]

    def network(record: Record) -> Network:
        head = heads.get(record.path)
        weight = None if head is None else head.weight
        if weight is None:
            weight = scan_checkpoint(file_of[record.path], choice).weight
        assert weight is not None, f"{record.path} was usable when dsi scanned it"
        title = part.name
        if is_single:
            title = Path(record.path).name
        elif part.has_epochs:
            title += f", epoch {record.epoch}"
        return Network(
            title=title,
            path=record.path,
            epoch=record.epoch_number,
            has_epoch=record.epoch is not None,
            weight=weight,
            make_ncsm=partial(_ncsm_of_head, HeadParameters(weight), known),
            dtype=record.dtype or "float32",
            names=None if label_list is None else label_list.names,
            readable_names=tuple(readable),
            groups=known.groups,
            order=tuple(known.order.tolist()),
        )

    series = list(part.usable)
    if chosen not in series:
        series.append(chosen)
    return _side(network, series, chosen)


def _ncsm_of_head(head: HeadParameters, labels: ClassLabels) -> NDArray[np.float32]:
    """Return the NCSM in the rows of a checkpoint, which are made without
    references.
    """
    scratch = Path(tempfile.gettempdir())
    plan = RowsPlan.make(labels, (), Options(), scratch)
    return epoch_rows(plan, Checkpoint(head, ())).matrices["ncsm"]


def _scan_with_siblings(
    path: str, local: Path | None, choice: HeadOptions, listed: LabelList | None
) -> tuple[list[RunCheckpoints], Heads, str | None]:
    """Return the checkpoints of a path and their heads; of a single file also those
    next to it, and the path of the file.
    """
    named = scan.find_runs([path])
    targets = [file.display_path for training in named for file in training.checkpoints]
    if len(targets) != 1:
        return *scan.scan_resolved(named, choice, listed), None
    found = named if local is None else discover(_siblings(local))
    parts, heads = scan.scan_resolved(found, choice, listed)
    if any(part.training.question for part in parts):
        # The names of the files next to it do not show their epochs.
        parts, heads = scan.scan_resolved(named, choice, listed)
    return parts, heads, targets[0]


def _records_of_file(
    path: str, target: str, parts: Sequence[RunCheckpoints]
) -> tuple[RunCheckpoints, list[Record]]:
    """Return the checkpoint in a file, and its run."""
    for part in parts:
        records = [record for record in part.resolved if record.path == target]
        if records:
            break
    usable = [
        record
        for record in records
        if record.status in (OK, SKIPPED) and record.features is not None
    ]
    if not usable:
        reason = records[0].reason
        raise CheckpointError(f"{path}: {reason}", path=path, reason=reason)
    return part, usable


def _records_of_run(
    path: str, run: str | None, parts: Sequence[RunCheckpoints]
) -> tuple[RunCheckpoints, list[Record]]:
    """Return the usable checkpoints of a run in a folder, and the run."""
    names = [part.name for part in parts]
    chosen = names[0] if run is None and len(names) == 1 else run
    if chosen not in names:
        code = "ambiguous-run" if run is None else "unknown-run"
        message = f"{path} holds the runs {', '.join(names)}"
        raise UsageError(
            message, hint=f"add --run {names[0]}, or another one", code=code, runs=names
        )
    part = parts[names.index(chosen)]
    if not part.usable:
        reasons = [record.reason for record in part.resolved if record.reason]
        reason = reasons[0] if reasons else "all are incomplete"
        message = f"{path}: no checkpoint can be used: {reason}"
        raise NothingToAnalyseError(message, code="nothing-usable")
    return part, list(part.usable)


def _siblings(path: Path) -> list[Path]:
    """Return a checkpoint and those next to it whose names differ in digits only, such
    as ``epoch_1.pt`` and ``epoch_2.pt``.
    """
    pattern = re.compile(re.sub(r"\d+", r"\\d+", re.escape(path.name)))
    alike = [
        other
        for other in path.absolute().parent.iterdir()
        if pattern.fullmatch(other.name) and other.is_dir() == path.is_dir()
    ]
    alike.sort(key=lambda other: natural_key(other.name))
    names = [other.name for other in alike]
    if path.name not in names:
        return [path]
    return list(_around(alike, names.index(path.name)))


def _around(series: Sequence[Item], index: int) -> Sequence[Item]:
    return series[max(index - MAX_SIBLINGS, 0) : index + MAX_SIBLINGS + 1]
