"""Predictions from a file, from a folder with one file per epoch, or from a folder with
the predictions of each run.

NPY and NPZ files are arrays (`numpy_files`), Parquet and CSV files are tables with one
row per sample (`tables`). In a folder, the number after "epoch" or else the last number
in the name of a file is its epoch. Files without a number are not read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

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
TARGETS_FILE = "targets.npy"
NEARBY_FILES = (
    "preds.npy",
    "predictions.csv",
    "predictions.parquet",
    "predictions.npz",
)
"""The names of the files next to checkpoints that are read, in the order of the search;
``preds.npy`` needs `TARGETS_FILE`.
"""
EXPECTED = (
    f"a file ({', '.join(ARRAYS + TABLES)}), or for predictions a folder with one file"
    " per epoch or run"
)


@dataclass(frozen=True)
class PredictionFile:
    """The predictions in a file or a folder; `results` applies them to the epochs and
    classes of a run.

    Attributes
    ----------
    name : the name of the file or folder.
    truth_name : the name of the file with targets; None if the predictions contain the
        targets.
    epochs : the predictions of each epoch and run.
    targets : the targets in the file ``truth_name``.
    axis : "rows" or "columns", the axis of a confusion matrix that is the truth.
    """

    name: str
    truth_name: str | None
    epochs: tuple[EpochPredictions, ...] = field(repr=False)
    targets: EncodedLabels | None = field(repr=False)
    axis: str

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

    def describe(
        self, results: Collection[EvaluationResult], *, with_count: bool = True
    ) -> str:
        """Return the name of the file, the contents of some results from it and the
        source of the targets, for messages.
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
        if with_count:
            contents = f"{count(len(results), 'epoch')}, {contents}"
        description = f"{self.name} ({contents})"
        if self.truth_name is not None:
            description += f", {truth} {self.truth_name}"
        return description

    def of_run(self, run: str, _folder: Place) -> PredictionFile | None:
        """Return the file if it has predictions of a run, perhaps among those of
        others, else None.
        """
        return self if any(part.run in (None, run) for part in self.epochs) else None

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
            order. The description has the class number of each name in the file.
        """
        truth = None
        if self.targets is not None:
            locate = f"{self.truth_name}, sample {{}}".format
            truth = class_numbers(self.targets, classes, names, "target", locate)
        results = {}
        for epoch, part in self._by_epoch(epochs, run).items():
            result = part.result(classes, names, truth, self.truth_name)
            numbers = part.numbers_by_name(classes, names, self.targets)
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
                f"{self.name} numbers the epochs {found}, and {run_name} {own}; number"
                " them as the checkpoints are numbered (dsi scan), or leave out the"
                " epoch that the run lacks",
                code="shifted-epochs",
            )


@dataclass(frozen=True)
class RunFolders:
    """A folder with a subfolder for each run, which has one of `NEARBY_FILES`.

    Attributes
    ----------
    folder : the folder, which may be the one of the checkpoints.
    subfolders : those of its subfolders that have predictions.
    targets, axis : the options ``targets`` and ``truth`` of `read_predictions` for the
        files of all runs.
    """

    folder: Path
    subfolders: tuple[Path, ...]
    targets: str | Path | None
    axis: str

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name or str(self.folder)

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

    def of_run(self, run: str, folder: Place) -> PredictionFile | None:
        """Return the predictions of a run, or None if it has none yet; raise
        `UsageError` as `read_predictions` does.
        """
        subfolder = self.find(run, folder)
        found = None if subfolder is None else find_prediction_files(subfolder)
        if found is None:
            return None
        return read_predictions(found[0], self.targets or found[1], truth=self.axis)


def read_predictions(
    path: str | Path, targets: str | Path | None = None, *, truth: str = "rows"
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
        agree. Without any targets, a ``targets.npy`` in the same folder is read.
    truth : "rows" or "columns", the axis of a confusion matrix that is the truth.
    """
    path = Path(path)
    is_folder = os.path.isdir(path)  # noqa: PTH112 (any text is accepted)
    folder = path if is_folder else path.parent
    truth_path = folder / TARGETS_FILE if targets is None else Path(targets)
    has_truth = targets is not None or os.path.isfile(truth_path)  # noqa: PTH113
    find_targets = cache(lambda: _read_targets(truth_path) if has_truth else None)
    read = _read_folder if is_folder else _read_file
    epochs = read(path, truth, find_targets)
    lacks_targets = any(
        part.predictions is not None and part.targets is None for part in epochs
    )
    if lacks_targets and not has_truth:
        raise wrong(
            path,
            "a target for each prediction",
            "none",
            "give them with --targets FILE, or name the columns of a table target and"
            " prediction",
            code="no-targets",
        )
    name = path.name or str(path)
    labels = find_targets() if lacks_targets or targets is not None else None
    if labels is None:
        return PredictionFile(name, None, tuple(epochs), None, truth)
    for part in epochs:
        _require_same_samples(part, labels, truth_path.name)
    return PredictionFile(name, truth_path.name, tuple(epochs), labels, truth)


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


def _read_targets(path: Path) -> EncodedLabels:
    _require_file(path, tables.TEXT)
    reader = numpy_files if path.suffix.lower() in ARRAYS else tables
    return reader.read_targets(path)


def _require_same_samples(
    part: EpochPredictions, targets: EncodedLabels, name: str
) -> None:
    """Raise `UsageError` if predictions and targets differ in number or in the numbers
    of their samples, or have the same images in another order.
    """
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
    path: str | Path, targets: str | Path | None = None, *, truth: str = "rows"
) -> PredictionFile | RunFolders:
    """Return the predictions in a file or a folder, also in a folder with a subfolder
    for each run.

    A folder without files that name their epoch may hold one of `NEARBY_FILES`, or
    subfolders that do. Errors and parameters are those of `read_predictions`.
    """
    try:
        return read_predictions(path, targets, truth=truth)
    except UsageError as error:
        if error.code != "no-epoch-files":
            raise
        folder = Path(path)
        found = find_prediction_files(folder)
        if found is not None:
            return read_predictions(found[0], targets or found[1], truth=truth)
        places = []
        for level in ("*", "*/*", "*/*/*"):
            places += sorted(folder.glob(level))
        subfolders = tuple(
            place for place in places if place.is_dir() and nearby_names(place)
        )
        if not subfolders:
            raise
        return RunFolders(folder, subfolders, targets, truth)


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
                f"a subfolder with predictions ({', '.join(NEARBY_FILES)}) for a run",
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


def nearby_names(folder: Place) -> list[str]:
    """Return those of `NEARBY_FILES` that a folder has."""
    names = [name for name in NEARBY_FILES if (folder / name).is_file()]
    if not (folder / TARGETS_FILE).is_file():
        names = [name for name in names if name != NEARBY_FILES[0]]
    return names


def find_prediction_files(folder: Place) -> tuple[Path, Path | None] | None:
    """Return the first of `NEARBY_FILES` in a folder, with ``targets.npy`` if it needs
    it; remote files are downloaded.

    Return None if the folder has none.
    """
    names = nearby_names(folder)
    if not names:
        return None
    predictions = _local_file(folder / names[0])
    if names[0] != NEARBY_FILES[0]:
        return predictions, None
    return predictions, _local_file(folder / TARGETS_FILE)


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
            f" subfolder for each run with {' or '.join(NEARBY_FILES[:2])}",
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
    runs = {part.run for part in parts}
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
