"""Predictions from a file, from a folder with one file per epoch, or from a folder with
the predictions of each run.

NPY and NPZ files are arrays (`numpy_files`), Parquet and CSV files are tables with one
row per sample (`tables`). In a folder, the number after "epoch" or else the last number
in the name of a file is its epoch. Files without a number are not read.

Predictions are of test images, unless a table has a column ``split``, an NPZ file has
``train_predictions``, or the file is `TRAIN_FILE`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dsi_cli.errors import UsageError, count, listed, wrong
from dsi_cli.predictions import numpy_files, tables
from dsi_cli.predictions.arrays import FindTargets
from dsi_cli.predictions.epoch_predictions import (
    EncodedLabels,
    EpochPredictions,
    Ints,
    class_numbers,
    require_truth_axis,
)
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.remote import download
from dsi_cli.remote.locations import Place

ARRAYS, TABLES = (".npy", ".npz"), (".parquet", ".csv")
TRAIN_FILE = "preds_train.npy"
TARGETS_FILES = {"preds.npy": "targets.npy", TRAIN_FILE: "targets_train.npy"}
"""The name of the file with the targets of these files, which contain none."""
NEARBY_FILES = {
    "train": (TRAIN_FILE,),
    "test": (
        "preds.npy",
        "predictions.csv",
        "predictions.parquet",
        "predictions.npz",
    ),
}
"""The names of the files next to checkpoints that are read by the split of their
predictions, in the order of the search. Tables and NPZ files may contain both splits.
"""
NEARBY_NAMES = (*NEARBY_FILES["test"], *NEARBY_FILES["train"])
EXPECTED = (
    f"a file ({', '.join(ARRAYS + TABLES)}), or for predictions a folder with one file"
    " per epoch or run"
)


class TargetFile(NamedTuple):
    """The name of a file with targets, and the targets."""

    name: str
    labels: EncodedLabels


@dataclass(frozen=True)
class PredictionFile:
    """The predictions in a file or a folder. `of_run` returns those of one split, and
    their `results` applies them to the epochs and classes of a run.

    Attributes
    ----------
    names : the name of the file or folder by split.
    epochs : the predictions of each epoch, run and split, which all have a split.
    truths : the targets in other files by split, if the predictions lack them.
    axis : "rows" or "columns", the axis of a confusion matrix that is the truth.
    """

    names: Mapping[str, str]
    epochs: tuple[EpochPredictions, ...] = field(repr=False)
    truths: Mapping[str, TargetFile] = field(repr=False)
    axis: str

    @property
    def splits(self) -> set[str]:
        """The splits of the predictions: test, train or both."""
        return {str(part.split) for part in self.epochs}

    @property
    def may_be_last(self) -> bool:
        """True for training predictions, which may be those of the last epochs alone."""
        return self.splits == {"train"}

    @property
    def name(self) -> str:
        """The names of the files of its splits."""
        return " and ".join({self.names[split]: None for split in sorted(self.splits)})

    @property
    def truth(self) -> TargetFile | None:
        """The file with the targets of a single split; None if the predictions contain
        them.
        """
        (split,) = self.splits
        return self.truths.get(split)

    @property
    def run_names(self) -> list[str]:
        """The names of the runs in the file, in order."""
        return sorted({part.run for part in self.epochs if part.run is not None})

    @property
    def is_in_order(self) -> bool:
        """True if the file does not name epochs, so that its rows are the run's epochs
        in order.
        """
        return self.epochs[0].epoch is None

    def describe(self, results: Collection[EvaluationResult], epochs: str = "") -> str:
        """Return the name of the file, the contents of some results from it and the
        source of the targets, for messages. The text ``epochs`` comes before the contents.
        """
        sizes = set()
        for result in results:
            if result.predictions is not None:
                sizes.add(len(result.predictions))
        contents = f"confusion counts; {self.axis} are the truth"
        truth = "checked against"
        if sizes:
            numbers = [f"{size:,}" for size in sorted({min(sizes), max(sizes)})]
            contents = f"{' to '.join(numbers)} samples"
            truth = "truth from"
        if any(part.score_columns is not None for part in self.epochs):
            contents += "; arg max of the scores"
        description = f"{self.name} ({epochs}{contents})"
        if self.truth is not None:
            description += f", {truth} {self.truth.name}"
        return description

    def of_run(self, run: str, _folder: Place) -> dict[str, PredictionFile]:
        """Return the predictions of each split that has predictions of a run, perhaps
        among those of others.
        """
        found = {}
        for split in sorted(self.splits):
            parts = tuple(part for part in self.epochs if part.split == split)
            if any(part.run in (None, run) for part in parts):
                found[split] = replace(self, epochs=parts)
        return found

    def has_one_epoch(self, run: str | None) -> bool:
        """Return whether the file has the predictions of a single epoch of a run, and
        does not name the epoch.
        """
        return self.is_in_order and len(self._of_run(run)) == 1

    def last_epoch(self, epochs: Sequence[int], usable: Sequence[int], run: str) -> int:
        """Return the last one of a run's epochs, to which predictions of one epoch
        belong that `has_one_epoch` found.

        Raise `UsageError` if this epoch cannot be used, or if the targets are those of
        several epochs or trainings.
        """
        (part,) = self._of_run(run)
        remedy = "add a column 'epoch', or give an NPZ with `epochs`"
        if epochs[-1] not in usable:
            message = (
                f"{self.name} names no epoch, and the last one of run {run!r},"
                f" {epochs[-1]}, cannot be used; {remedy}"
            )
            raise UsageError(message, code="epoch-count", rows=1, epochs=len(epochs))
        times = 1 if part.targets is None else _repetitions(part.targets.codes)
        if times > 1:
            raise wrong(
                self.name,
                "the targets of one epoch",
                f"the same ones {times} times",
                f"{remedy}, or add a column 'run' if these are several trainings",
                code="repeated-targets",
                times=times,
            )
        return epochs[-1]

    def unused_epochs(
        self, epochs: Collection[int], run: str | None = None
    ) -> list[int]:
        """Return the epochs in the file that are not among the run's ``epochs``."""
        named = {part.epoch for part in self._of_run(run)}
        return sorted(epoch for epoch in named - {*epochs} if epoch is not None)

    def results(
        self,
        epochs: Sequence[int],
        classes: int,
        names: Sequence[str] | None = None,
        run: str | None = None,
    ) -> dict[int, EvaluationResult]:
        """Return the predictions for a run's epochs as class numbers, in the run's
        order.

        Raise `UsageError` if there are fewer or more rows than epochs, no common epoch,
        or no such run. Also raise it if a label is not a class, all epochs are one off,
        the sizes differ, or the truth seems to be on the other axis of the confusion
        matrices.

        Parameters
        ----------
        epochs : the run's distinct epochs, in order.
        classes : the number of classes of the run's classifier.
        names : the names of the classes in order, if known.
        run : the run's name; in a table with a column ``run``, only the rows of this
            run count.

        Returns
        -------
        dict of int to EvaluationResult
            Epochs that the file lacks are missing; epochs that the run lacks are
            ignored. If the file does not name epochs, its rows are the run's epochs in
            order. Fewer rows of training images are the last epochs. The description has
            the class number of each name in the file.
        """
        truth, truth_name = None, None
        if self.truth is not None:
            truth_name = self.truth.name
            locate = f"{truth_name}, sample {{}}".format
            truth = class_numbers(self.truth.labels, classes, names, "target", locate)
        results = {}
        for epoch, part in self._by_epoch(epochs, run).items():
            result = part.result(classes, names, truth, truth_name)
            targets = None if self.truth is None else self.truth.labels
            numbers = part.numbers_by_name(classes, names, targets)
            results[epoch] = replace(result, description={"numbers_by_name": numbers})
        require_truth_axis(results, self.name, self.axis)
        return results

    def _of_run(self, run: str | None) -> list[EpochPredictions]:
        """Return the predictions of a run; predictions that do not name a run belong to
        any run.
        """
        runs = self.run_names
        if run is None and len(runs) > 1:
            raise wrong(
                self.name,
                "the predictions of one run",
                _shorten_names(runs),
                "keep those of one",
                code="several-runs",
                runs=runs,
            )
        return [part for part in self.epochs if run is None or part.run in (None, run)]

    def _by_epoch(
        self, epochs: Sequence[int], run: str | None
    ) -> dict[int, EpochPredictions]:
        """Return predictions by the run's epochs, in the run's order; errors as for
        `results`.
        """
        parts = self._of_run(run)
        run_name = "the run" if run is None else f"run {run!r}"
        # Without epochs in the file, the rows are the run's epochs in order.
        if parts[0].epoch is None:
            if self.may_be_last:
                epochs = epochs[-len(parts) :]
            if len(parts) == len(epochs):
                return dict(zip(epochs, parts, strict=True))
            raise UsageError(
                f"{self.name} has {count(len(parts), 'row')}, {run_name} has"
                f" {count(len(epochs), 'epoch')}: give one row per epoch in the run's"
                " order, or give an NPZ with `epochs`",
                code="epoch-count",
                rows=len(parts),
                epochs=len(epochs),
            )
        by_epoch: dict[int, EpochPredictions] = {}
        for part in parts:
            assert part.epoch is not None
            other = by_epoch.setdefault(part.epoch, part)
            if other is not part:
                raise wrong(
                    self.name,
                    f"epoch {part.epoch} once",
                    f"it in {other.location} and {part.location}",
                    "keep one of them",
                    code="repeated-epoch",
                    epoch=part.epoch,
                )
        self._require_same_numbering(sorted(by_epoch), epochs, run_name)
        return {epoch: by_epoch[epoch] for epoch in epochs if epoch in by_epoch}

    def _require_same_numbering(
        self, numbers: Sequence[int], epochs: Sequence[int], run_name: str
    ) -> None:
        """Raise `UsageError` if no epoch of the file is one of the run's, or if all are
        one off.
        """
        found, own = shorten_epochs(numbers), shorten_epochs(epochs)
        if not set(numbers) & set(epochs):
            raise wrong(
                self.name,
                f"epochs of {run_name} ({own})",
                f"{found}, none in common",
                "number the epochs as the run does",
                code="no-common-epoch",
            )
        if len(numbers) < 2 or len(numbers) != len(epochs):
            return
        shifts = set(np.subtract(epochs, numbers).tolist())
        if shifts in ({1}, {-1}):
            raise UsageError(
                f"{self.name} numbers the epochs {found}, and {run_name} {own}, so dsi"
                " does not know which predictions belong to which checkpoint",
                hint=(
                    "give each epoch of the predictions the number of its checkpoint"
                    f" (dsi scan); if both count the same epochs, {numbers[0]} becomes"
                    f" {epochs[0]}"
                ),
                code="shifted-epochs",
            )


@dataclass(frozen=True)
class RunFolders:
    """A folder with a subfolder for each run, which has `NEARBY_FILES`.

    Attributes
    ----------
    folder : the folder, which may be the one of the checkpoints.
    subfolders : those of its subfolders that have predictions.
    targets, axis, split : the options ``targets``, ``truth`` and ``split`` of
        `read_predictions` for the files of all runs.
    """

    folder: Path
    subfolders: tuple[Path, ...]
    targets: str | Path | None
    axis: str
    split: str

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name or str(self.folder)

    @property
    def splits(self) -> set[str]:
        """The splits of the predictions, according to the names of the files."""
        splits = set()
        for subfolder in self.subfolders:
            for of_split in NEARBY_FILES:
                if nearby_names(subfolder, of_split):
                    splits.add("train" if of_split == "train" else self.split)
        return splits

    def find(self, run: str, folder: Place) -> Path | None:
        """Return the subfolder with the predictions of a run, or None.

        Its path below the folder includes the run's name, which no other run has, and
        is a part of the path of the run's checkpoints. In that path, a folder such as
        ``checkpoints`` may follow.
        """
        for subfolder in self.subfolders:
            path = f"/{subfolder.relative_to(self.folder).as_posix()}/"
            if f"/{run}/" in path and path in f"{'/'.join(folder.parts)}/":
                return subfolder
        return None

    def of_run(self, run: str, folder: Place) -> dict[str, PredictionFile]:
        """Return the predictions of a run by split, without any if it has none yet;
        raise `UsageError` as `read_predictions` does.
        """
        subfolder = self.find(run, folder)
        found = None
        if subfolder is not None:
            found = _read_nearby(subfolder, self.targets, self.axis, self.split)
        return {} if found is None else found.of_run(run, folder)


def read_predictions(
    path: str | Path,
    targets: str | Path | None = None,
    *,
    truth: str = "rows",
    split: str = "test",
) -> PredictionFile:
    """Return the predictions in a file, or in a folder with one file per epoch.

    Raise `UsageError` if a file is missing or damaged or has other contents, or the
    number of predictions and targets differ.

    Parameters
    ----------
    path : an NPY or NPZ file (`numpy_files`), a Parquet or CSV file (`tables`), or a
        folder of such files.
    targets : a file with the true class of each sample, in one of these formats or as a
        text with a class per line. If the predictions also have targets, the two must
        agree. Without any targets, a ``targets.npy`` in the same folder is read, and
        for training images ``targets_train.npy``. If there are predictions of both
        splits and all have targets, those of the file are of the test images.
    truth : "rows" or "columns", the axis of a confusion matrix that is the truth.
    split : the split of predictions whose split is not in the file or in its name.
    """
    path = Path(path)
    is_folder = os.path.isdir(path)  # noqa: PTH112 (any text is accepted)
    folder = path if is_folder else path.parent
    own_split = "train" if path.name == TRAIN_FILE else split

    @cache
    def find_targets(of_split: str) -> TargetFile | None:
        if targets is not None:
            return _read_targets(Path(targets), of_split)
        names = ["targets_train.npy"] if of_split == "train" else []
        if of_split == split:
            names.append("targets.npy")
        for name in names:
            if os.path.isfile(folder / name):  # noqa: PTH113 (any text is accepted)
                return _read_targets(folder / name, of_split)
        return None

    def find_own_targets() -> EncodedLabels | None:
        found = find_targets(own_split)
        return None if found is None else found.labels

    read = _read_folder if is_folder else _read_file
    epochs = []
    for part in read(path, truth, find_own_targets):
        epochs.append(replace(part, split=part.split or own_split))  # noqa: PERF401
    truths: dict[str, TargetFile] = {}
    splits = {str(part.split) for part in epochs}
    for of_split in sorted(splits):
        parts = [part for part in epochs if part.split == of_split]
        lacks_targets = any(
            part.predictions is not None and part.targets is None for part in parts
        )
        is_compared = targets is not None and (of_split == "test" or len(splits) == 1)
        if not lacks_targets and not is_compared:
            continue
        found = find_targets(of_split)
        if found is None:
            remedy = (
                "give them with --targets FILE, or name the columns of a table target"
                " and prediction"
            )
            if of_split == "train":
                remedy += ", or save targets_train.npy in the same folder"
            raise wrong(
                path,
                "a target for each prediction",
                "none",
                remedy,
                code="no-targets",
                split=of_split,
            )
        for part in parts:
            _require_same_samples(part, found)
        truths[of_split] = found
    names = dict.fromkeys(splits, path.name or str(path))
    return PredictionFile(names, tuple(epochs), truths, truth)


def _repetitions(targets: Ints) -> int:
    """Return how often targets repeat the same samples; targets that only count the
    classes (0, 1, 2, 0, 1, 2) do not.

    >>> _repetitions(np.array([0, 0, 1, 0, 0, 1])), _repetitions(np.array([0, 1, 2, 0, 1, 2]))
    (2, 1)
    """
    for samples in range(1, len(targets) // 2 + 1):
        if len(targets) % samples:
            continue
        if (targets == np.resize(targets[:samples], len(targets))).all():
            is_count = len(np.unique(targets)) == samples
            return 1 if is_count else len(targets) // samples
    return 1


def _read_targets(path: Path, split: str) -> TargetFile:
    _require_file(path, tables.TEXT)
    reader = numpy_files if path.suffix.lower() in ARRAYS else tables
    return TargetFile(path.name, reader.read_targets(path, split))


def _require_same_samples(part: EpochPredictions, truth: TargetFile) -> None:
    """Raise `UsageError` if predictions and targets differ in number or in the numbers
    of their samples, or have the same images in another order.
    """
    name, targets = truth
    if part.predictions is not None and len(part.predictions) != len(targets):
        remedy = "give both for the same samples"
        if part.epoch is None and part.rows is not None:
            remedy = "add a column 'epoch'"
        raise wrong(
            part.location,
            f"{len(targets):,} predictions, as {name} has targets",
            f"{len(part.predictions):,}",
            remedy,
            code="target-count",
            predictions=len(part.predictions),
            targets=len(targets),
        )
    own, other = part.samples, targets.samples
    if own is not None and other is not None and (own != other).any():
        column, remedy = "sample", "give both for the same samples"
    elif part.paths != targets.paths and Counter(part.paths) == Counter(targets.paths):
        column, remedy = "path", "add a column 'sample' to both"
    else:
        return
    raise wrong(
        part.location,
        f"the samples of {name} in its order",
        f"others in the column {column!r}",
        remedy,
        code="targets-contradict",
    )


def open_predictions(
    path: str | Path,
    targets: str | Path | None = None,
    *,
    truth: str = "rows",
    split: str = "test",
) -> PredictionFile | RunFolders:
    """Return the predictions in a file or a folder, also in a folder with a subfolder
    for each run.

    A folder without files that name their epoch may hold `NEARBY_FILES`, or subfolders
    that do. Errors and parameters are those of `read_predictions`.
    """
    try:
        return read_predictions(path, targets, truth=truth, split=split)
    except UsageError as error:
        if error.code != "no-epoch-files":
            raise
        folder = Path(path)
        found = _read_nearby(folder, targets, truth, split)
        if found is not None:
            return found
        places = []
        for level in ("*", "*/*", "*/*/*"):
            places += sorted(folder.glob(level))
        subfolders = tuple(
            place
            for place in places
            if any(nearby_names(place, of_split) for of_split in NEARBY_FILES)
        )
        if not subfolders:
            raise
        return RunFolders(folder, subfolders, targets, truth, split)


def _read_nearby(
    folder: Path, targets: str | Path | None, truth: str, split: str
) -> PredictionFile | None:
    """Return the predictions in the first of `NEARBY_FILES` of each split together;
    None if a folder has none. The parameters are those of `read_predictions`.
    """
    names: dict[str, str] = {}
    truths: dict[str, TargetFile] = {}
    epochs: list[EpochPredictions] = []
    for of_split in NEARBY_FILES:
        found = find_prediction_files(folder, of_split)
        if found is None:
            continue
        path, targets_nearby = found
        is_meant = of_split == "test" or not nearby_names(folder, "test")
        if targets is not None and is_meant:
            targets_nearby = Path(targets)
        file = read_predictions(path, targets_nearby, truth=truth, split=split)
        added = file.splits - names.keys()
        epochs += [part for part in file.epochs if part.split in added]
        for name in added:
            names[name] = file.name
            if name in file.truths:
                truths[name] = file.truths[name]
    return PredictionFile(names, tuple(epochs), truths, truth) if names else None


def require_runs(
    predictions: PredictionFile | RunFolders, runs: Mapping[str, Place]
) -> None:
    """Raise `UsageError` if no run has predictions, or if one of several runs may have
    them and the file does not say which.

    The runs are given by name, with their folders.
    """
    run = next(iter(runs), None)
    names = _shorten_names([*runs])
    if isinstance(predictions, RunFolders):
        if not any(predictions.find(run, folder) for run, folder in runs.items()):
            raise wrong(
                predictions.name,
                f"a subfolder with predictions ({', '.join(NEARBY_NAMES)}) for a run",
                f"none for {names}",
                "name the subfolders as the runs",
                code="unknown-run",
                run=run,
            )
        return
    found = {part.run for part in predictions.epochs}
    if not found & {None, *runs}:
        raise wrong(
            predictions.name,
            f"rows of {names}",
            f"only {_shorten_names(predictions.run_names)}",
            "correct the column 'run', or drop it if the file has one run",
            code="unknown-run",
            run=run,
        )
    if len(runs) > 1 and None in found:
        raise UsageError(
            (
                f"{predictions.name} does not name the run of its predictions, and"
                f" there are {len(runs)}: {names}"
            ),
            hint=(
                "analyse one run at a time (dsi analyze FOLDER --predictions"
                f" {predictions.name}), or give a table with a column 'run'"
            ),
            code="predictions-without-run",
            runs=[*runs],
        )


def nearby_names(folder: Place, split: str) -> list[str]:
    """Return those of the `NEARBY_FILES` of a split that a folder has, with the targets
    that they need.
    """
    names = []
    for name in NEARBY_FILES[split]:
        targets = TARGETS_FILES.get(name, name)
        if (folder / name).is_file() and (folder / targets).is_file():
            names.append(name)
    return names


def find_prediction_files(folder: Place, split: str) -> tuple[Path, Path | None] | None:
    """Return the first of the `NEARBY_FILES` of a split in a folder, with its targets
    if it needs them; remote files are downloaded.

    Return None if the folder has none.
    """
    names = nearby_names(folder, split)
    if not names:
        return None
    predictions = _local_file(folder / names[0])
    if names[0] not in TARGETS_FILES:
        return predictions, None
    return predictions, _local_file(folder / TARGETS_FILES[names[0]])


def _local_file(path: Place) -> Path:
    """Return the path of a file, which is downloaded if it is remote."""
    try:
        return download.local_file(path)
    except OSError as error:
        raise UsageError(
            f"{path}: expected {EXPECTED}, but the file could not be downloaded"
            f" ({error.strerror})",
            code="download-failed",
            reason=error.strerror,
        ) from None


def _read_file(
    path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    _require_file(path)
    reader = numpy_files if path.suffix.lower() in ARRAYS else tables
    return reader.read_epochs(path, axis, find_targets)


def _read_folder(
    folder: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    """Return the predictions in the files of a folder, one file per epoch, in the order
    of the epochs.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        message = (
            f"{folder}: expected a folder with one file per epoch, but it could not be"
            f" read ({error.strerror})"
        )
        raise UsageError(
            message, code="folder-not-readable", reason=error.strerror
        ) from None
    parts: list[EpochPredictions] = []
    for path in paths:
        epoch = _epoch_of_name(path)
        if epoch is not None:
            in_file = _read_file(path, axis, find_targets)
            _require_one_epoch(in_file, path, epoch)
            for part in in_file:
                parts.append(replace(part, epoch=epoch, location=str(path)))  # noqa: PERF401
    if not parts:
        files = ", ".join(ARRAYS + TABLES)
        raise wrong(
            folder,
            f"files ({files}) with the epoch as the last number in the name, or a"
            f" subfolder for each run with {' or '.join(NEARBY_FILES['test'][:2])}",
            "neither",
            "name one file with all epochs",
            code="no-epoch-files",
        )
    return sorted(parts, key=lambda part: (part.run or "", part.epoch or 0))


def _epoch_of_name(path: Path) -> int | None:
    """Return the epoch in the name of a file of predictions: the number after "epoch",
    or else the last number. Return None for other files.
    """
    numbers = re.findall(r"epoch[ _=.-]?([0-9]+)", path.stem.lower())
    numbers = numbers or re.findall(r"[0-9]+", path.stem)
    if not numbers or path.suffix.lower() not in ARRAYS + TABLES:
        return None
    if path.name.startswith(".") or not path.is_file():
        return None
    return int(numbers[-1])


def _require_one_epoch(
    parts: Sequence[EpochPredictions], path: Path, epoch: int
) -> None:
    """Raise `UsageError` if a file has other epochs than the one in its name."""
    epochs = {part.epoch for part in parts}
    runs = {(part.run, part.split) for part in parts}
    if epochs <= {None, epoch} and len(runs) == len(parts):
        return
    contents = f"{len(parts)} rows"
    numbers = sorted(number for number in epochs if number is not None)
    if numbers:
        contents = f"epochs {shorten_epochs(numbers)}"
    raise wrong(
        path,
        f"the predictions of epoch {epoch} alone, the number in its name",
        contents,
        "name the file itself if it has all epochs, or rename it",
        code="several-epochs-in-file",
        epoch=epoch,
    )


def _require_file(path: Path, *other_suffixes: str) -> None:
    if not os.path.isfile(path):  # noqa: PTH113 (any text is accepted)
        found = "a folder" if os.path.isdir(path) else "no such file"  # noqa: PTH112
        name = ascii(str(path)[:200])
        raise wrong(name, EXPECTED, found, "check the path", code="file-missing")
    if not os.access(path, os.R_OK):
        raise UsageError(
            f"{path}: the file may not be read",
            hint="allow it, or give another one",
            code="not-allowed",
        )
    if path.suffix.lower() not in (*ARRAYS, *TABLES, *other_suffixes):
        raise wrong(
            path,
            EXPECTED,
            f"the suffix {path.suffix!a}",
            "save a table with the columns target and prediction, or arrays with the"
            " names targets and predictions",
            code="unknown-suffix",
            suffix=path.suffix,
        )


def shorten_epochs(epochs: Sequence[int]) -> str:
    """Return epochs for a message, only the first ones if there are many.

    >>> shorten_epochs([0, 5])
    '0, 5'
    """
    return listed([str(epoch) for epoch in epochs], 6, ", ...")


def _shorten_names(names: Sequence[str]) -> str:
    return listed([ascii(name) for name in names], 6, ", ...")
