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

from dsi_cli.errors import UsageError, count, listed
from dsi_cli.predictions import numpy_files, tables
from dsi_cli.predictions.epoch_predictions import (
    EncodedLabels,
    EpochPredictions,
    Ints,
    class_numbers,
    require_truth_axis,
)
from dsi_cli.predictions.numpy_files import FindTargets
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
        sizes = [
            len(result.predictions)
            for result in results
            if result.predictions is not None
        ]
        contents, truth = (
            f"confusion counts; {self.axis} are the truth",
            "checked against",
        )
        if sizes:
            contents = (
                f"{' to '.join(f'{size:,}' for size in sorted({min(sizes), max(sizes)}))}"
                " samples"
            )
            truth = "truth from"
        if any(part.score_columns is not None for part in self.epochs):
            contents += "; arg max of the scores"
        if with_count:
            contents = f"{count(len(results), 'epoch')}, {contents}"
        description = f"{self.name} ({contents})"
        return (
            description
            if self.truth_name is None
            else f"{description}, {truth} {self.truth_name}"
        )

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
            message = (
                f"{self.name}: expected the targets of one epoch, found the same ones"
                f" {times} times; {remedy}, or add a "
            )
            message += "column 'run' if these are several trainings"
            raise UsageError(message, code="repeated-targets", times=times)
        return epochs[-1]

    def unused_epochs(
        self, epochs: Collection[int], run: str | None = None
    ) -> list[int]:
        """Return the epochs in the file that are not among the run's ``epochs``."""
        return sorted(
            {part.epoch for part in self._of_run(run) if part.epoch is not None}
            - {*epochs}
        )

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
            order.
        """
        truth = None
        if self.targets is not None:
            truth = class_numbers(
                self.targets,
                classes,
                names,
                "target",
                lambda sample: f"{self.truth_name}, sample {sample}",
            )
        parts = self._by_epoch(epochs, run)
        results = {
            epoch: part.result(classes, names, truth, self.truth_name)
            for epoch, part in parts.items()
        }
        require_truth_axis(results, self.name, self.axis)
        return results

    def _of_run(self, run: str | None) -> list[EpochPredictions]:
        """Return the predictions of a run; predictions that do not name a run belong to
        any run.
        """
        runs = self.run_names
        if run is None and len(runs) > 1:
            message = (
                f"{self.name}: expected the predictions of one run, found"
                f" {_shorten_names(runs)}"
            )
            raise UsageError(
                message, hint="keep those of one", code="several-runs", runs=runs
            )
        return [part for part in self.epochs if run is None or part.run in (None, run)]

    def _by_epoch(
        self, epochs: Sequence[int], run: str | None
    ) -> dict[int, EpochPredictions]:
        """Return predictions by the run's epochs, in the run's order; errors as for
        `results`.
        """
        parts, run_name = (
            self._of_run(run),
            ("the run" if run is None else f"run {run!r}"),
        )
        # Without epochs in the file, the rows are the run's epochs in order.
        if parts[0].epoch is None:
            if len(parts) != len(epochs):
                message = (
                    f"{self.name} has {count(len(parts), 'row')}, {run_name} has"
                    f" {count(len(epochs), 'epoch')}: give one "
                )
                message += (
                    "row per epoch in the run's order, or give an NPZ with `epochs`"
                )
                raise UsageError(
                    message, code="epoch-count", rows=len(parts), epochs=len(epochs)
                )
            return dict(zip(epochs, parts, strict=True))
        by_epoch: dict[int, EpochPredictions] = {}
        for part in parts:
            assert part.epoch is not None
            if part.epoch in by_epoch:
                both = f"{by_epoch[part.epoch].location} and {part.location}"
                message = (
                    f"{self.name}: expected epoch {part.epoch} once, found it in {both}"
                )
                raise UsageError(
                    message,
                    hint="keep one of them",
                    code="repeated-epoch",
                    epoch=part.epoch,
                )
            by_epoch[part.epoch] = part
        common = {epoch: by_epoch[epoch] for epoch in epochs if epoch in by_epoch}
        if not common:
            message = (
                f"{self.name}: expected epochs of {run_name}"
                f" ({shorten_epochs(epochs)}), found "
            )
            message += (
                f"{shorten_epochs([*by_epoch])}, none in common; number the epochs as"
                " the run does"
            )
            raise UsageError(message, code="no-common-epoch")
        shifts = {
            epoch - other
            for epoch, other in zip(sorted(by_epoch), epochs, strict=False)
        }
        if 1 < len(by_epoch) == len(epochs) and shifts in ({1}, {-1}):
            message = (
                f"{self.name} numbers the epochs {shorten_epochs([*by_epoch])}, and"
                f" {run_name} {shorten_epochs(epochs)}; "
            )
            message += (
                "number them as the checkpoints are numbered (dsi scan), or leave out"
                " the epoch that the run lacks"
            )
            raise UsageError(message, code="shifted-epochs")
        return common


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
    epochs = (
        _read_folder(path, truth, find_targets)
        if is_folder
        else _read_file(path, truth, find_targets)
    )
    lacks_targets = any(
        part.predictions is not None and part.targets is None for part in epochs
    )
    if lacks_targets and not has_truth:
        message = (
            f"{path}: expected a target for each prediction, found none; give them with"
            " --targets, or the counts of a "
        )
        message += "confusion matrix as an array (C, C)"
        raise UsageError(message, code="no-targets")
    name = path.name or str(path)
    labels = find_targets() if lacks_targets or targets is not None else None
    if labels is None:
        return PredictionFile(name, None, tuple(epochs), None, truth)
    for part in epochs:
        if part.predictions is not None and len(part.predictions) != len(labels):
            is_table_without_epochs = part.epoch is None and part.rows is not None
            remedy = (
                "add a column 'epoch'"
                if is_table_without_epochs
                else "give both for the same samples"
            )
            message = (
                f"{part.location}: expected {len(labels):,} predictions, as"
                f" {truth_path.name} has targets, found "
            )
            message += f"{len(part.predictions):,}; {remedy}"
            raise UsageError(
                message,
                code="target-count",
                predictions=len(part.predictions),
                targets=len(labels),
            )
        _require_same_samples(part, labels, truth_path.name)
    return PredictionFile(name, truth_path.name, tuple(epochs), labels, truth)


def _repetitions(targets: Ints) -> int:
    """Return how often targets repeat the same samples; targets that only count the
    classes (0, 1, 2, 0, 1, 2) do not.

    >>> _repetitions(np.array([0, 0, 1, 0, 0, 1])), _repetitions(np.array([0, 1, 2, 0, 1, 2]))
    (2, 1)
    """
    for samples in range(1, len(targets) // 2 + 1):
        if (
            len(targets) % samples == 0
            and (targets == np.resize(targets[:samples], len(targets))).all()
        ):
            is_count = len(np.unique(targets)) == samples
            return 1 if is_count else len(targets) // samples
    return 1


def _read_targets(path: Path) -> EncodedLabels:
    _require_file(path, tables.TEXT)
    return (numpy_files if path.suffix.lower() in ARRAYS else tables).read_targets(path)


def _require_same_samples(
    part: EpochPredictions, targets: EncodedLabels, name: str
) -> None:
    """Raise `UsageError` if predictions and targets have the numbers of other samples,
    or the same images in another order.
    """
    column = None
    if (
        part.samples is not None
        and targets.samples is not None
        and (part.samples != targets.samples).any()
    ):
        column, remedy = "sample", "give both for the same samples"
    elif part.paths != targets.paths and Counter(part.paths) == Counter(targets.paths):
        column, remedy = "path", "add a column 'sample' to both"
    if column is not None:
        message = (
            f"{part.location}: expected the samples of {name} in its order, found"
            f" others in the column {column!r}; {remedy}"
        )
        raise UsageError(message, code="targets-contradict")


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
        places = [
            place
            for level in ("*", "*/*", "*/*/*")
            for place in sorted(folder.glob(level))
            if place.is_dir()
        ]
        subfolders = tuple(place for place in places if nearby_names(place))
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
    if isinstance(predictions, RunFolders):
        if not any(predictions.find(run, folder) for run, folder in runs.items()):
            message = (
                f"{predictions.name}: expected a subfolder with predictions"
                f" ({', '.join(NEARBY_FILES)}) for a run, found "
            )
            message += (
                f"none for {_shorten_names([*runs])}; name the subfolders as the runs"
            )
            raise UsageError(message, code="unknown-run", run=next(iter(runs), None))
        return
    named = predictions.run_names
    if named and not {None, *runs} & {part.run for part in predictions.epochs}:
        message = (
            f"{predictions.name}: expected rows of {_shorten_names([*runs])}, found"
            f" only {_shorten_names(named)}; correct "
        )
        message += "the column 'run', or drop it if the file has one run"
        raise UsageError(message, code="unknown-run", run=next(iter(runs), None))
    if len(runs) > 1 and any(part.run is None for part in predictions.epochs):
        message = (
            f"{predictions.name} does not name the run of its predictions, and there"
            f" are {len(runs)}: "
        )
        message += (
            f"{_shorten_names([*runs])}; analyse one run at a time (dsi analyze FOLDER"
            " --predictions "
        )
        message += f"{predictions.name}), or give a table with a column 'run'"
        raise UsageError(message, code="predictions-without-run", runs=[*runs])


def nearby_names(folder: Place) -> list[str]:
    """Return those of `NEARBY_FILES` that a folder has."""
    names = [name for name in NEARBY_FILES if (folder / name).is_file()]
    return [
        name
        for name in names
        if name != NEARBY_FILES[0] or (folder / TARGETS_FILE).is_file()
    ]


def find_prediction_files(folder: Place) -> tuple[Path, Path | None] | None:
    """Return the first of `NEARBY_FILES` in a folder, with ``targets.npy`` if it needs
    it; remote files are downloaded.

    Return None if the folder has none.
    """
    names = nearby_names(folder)
    if not names:
        return None
    paths: list[Path | None] = []
    for name in (names[0], TARGETS_FILE) if names[0] == NEARBY_FILES[0] else names[:1]:
        try:
            paths.append(download.local_file(folder / name))
        except OSError as error:
            message = (
                f"{folder / name}: expected {EXPECTED}, but the file could not be"
                f" downloaded ({error.strerror})"
            )
            raise UsageError(
                message, code="download-failed", reason=error.strerror
            ) from None
    predictions, targets = [*paths, None][:2]
    assert predictions is not None
    return predictions, targets


def _read_file(
    path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    _require_file(path)
    return (numpy_files if path.suffix.lower() in ARRAYS else tables).read_epochs(
        path, axis, find_targets
    )


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
        numbers = re.findall(r"epoch[ _=.-]?([0-9]+)", path.stem.lower()) or re.findall(
            r"[0-9]+", path.stem
        )
        if (
            not numbers
            or path.suffix.lower() not in ARRAYS + TABLES
            or path.name.startswith(".")
            or not path.is_file()
        ):
            continue
        in_file = _read_file(path, axis, find_targets)
        epoch = int(numbers[-1])
        if {part.epoch for part in in_file} - {None, epoch} or len(
            {part.run for part in in_file}
        ) < len(in_file):
            epochs = sorted({part.epoch for part in in_file if part.epoch is not None})
            contents = (
                f"epochs {shorten_epochs(epochs)}" if epochs else f"{len(in_file)} rows"
            )
            message = (
                f"{path}: expected the predictions of epoch {epoch} alone, the number"
                f" in its name, found {contents}; "
            )
            message += "name the file itself if it has all epochs, or rename it"
            raise UsageError(message, code="several-epochs-in-file", epoch=epoch)
        parts += [replace(part, epoch=epoch, location=str(path)) for part in in_file]
    if not parts:
        message = (
            f"{folder}: expected files ({', '.join(ARRAYS + TABLES)}) with the epoch as"
            " the last number in the name, or a "
        )
        message += (
            f"subfolder for each run with {' or '.join(NEARBY_FILES[:2])}, found"
            " neither; name one file with all epochs"
        )
        raise UsageError(message, code="no-epoch-files")
    return sorted(parts, key=lambda part: (part.run or "", part.epoch or 0))


def _require_file(path: Path, *other_suffixes: str) -> None:
    if not os.path.isfile(path):  # noqa: PTH113 (any text is accepted)
        found = "a folder" if os.path.isdir(path) else "no such file"  # noqa: PTH112
        message = f"{str(path)[:200]!a}: expected {EXPECTED}, found {found}"
        raise UsageError(message, hint="check the path", code="file-missing")
    if not os.access(path, os.R_OK):
        raise UsageError(
            f"{path}: the file may not be read",
            hint="allow it, or give another one",
            code="not-allowed",
        )
    if path.suffix.lower() not in (*ARRAYS, *TABLES, *other_suffixes):
        message = (
            f"{path}: expected {EXPECTED}, found the suffix {path.suffix!a}; save a"
            " table with the columns target "
        )
        message += "and prediction, or arrays with the names targets and predictions"
        raise UsageError(message, code="unknown-suffix", suffix=path.suffix)


def shorten_epochs(epochs: Sequence[int]) -> str:
    """Return epochs for a message, only the first ones if there are many.

    >>> shorten_epochs([0, 5])
    '0, 5'
    """
    return listed([str(epoch) for epoch in epochs], 6, ", ...")


def _shorten_names(names: Sequence[str]) -> str:
    return listed([ascii(name) for name in names], 6, ", ...")
