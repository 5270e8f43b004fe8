"""Predictions from a file, or from a folder with one file per epoch.

NPY and NPZ files are arrays (`numpy_files`), Parquet and CSV files are tables with one row per sample (`tables`). In a folder, the
last number in the name of a file is its epoch, and files without a number are not read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dsi_cli.errors import UsageError
from dsi_cli.predictions import numpy_files, tables
from dsi_cli.predictions.classes import ClassIndex, EncodedLabels
from dsi_cli.predictions.epoch_predictions import AXES, EpochPredictions, require_truth_axis
from dsi_cli.predictions.result import Predictions
from dsi_cli.remote import download
from dsi_cli.remote.locations import Place

ARRAYS, TABLES = (".npy", ".npz"), (".parquet", ".csv")
PREDICTION_FILE_NAMES = ("preds.npy", "targets.npy")
"""The files that are looked for next to checkpoints; both must be there."""
EXPECTED = f"a file ({', '.join(ARRAYS + TABLES)}), or for predictions a folder with one file per epoch"


@dataclass(frozen=True)
class PredictionFile:
    """What a file or a folder holds. The epochs and classes of a run come in with `outcomes`.

    Attributes
    ----------
    name, truth_name : str
        The name of the file, and of the file with targets, which is None if the predictions hold the truth.
    """

    name: str
    truth_name: str | None
    epochs: tuple[EpochPredictions, ...] = field(repr=False)
    targets: EncodedLabels | None = field(repr=False)
    axis: str

    @property
    def is_in_order(self) -> bool:
        """Whether there are no epochs in the file, so that a run's epochs are taken in order."""
        return self.epochs[0].epoch is None

    @property
    def source(self) -> str:
        """The name of the file, what it holds, and where the truth comes from, in words."""
        return self.described(self.epochs)

    def described(self, epochs: Sequence[EpochPredictions], *, counted: bool = True) -> str:
        """Return the same for some of the epochs; ``counted`` is whether to add their number."""
        sizes = [len(one.predictions) for one in epochs if one.predictions is not None]
        if sizes:
            contents = f"{min(sizes):,} to {max(sizes):,} samples" if min(sizes) < max(sizes) else f"{max(sizes):,} samples"
            truth = f", truth from {self.truth_name}" if self.truth_name is not None else ""
        else:
            contents = f"confusion counts; {self.axis} are the truth"
            truth = f", checked against {self.truth_name}" if self.truth_name is not None else ""
        if counted:
            runs = len({one.run for one in epochs})
            number = f"{len(epochs)} epoch" + "s" * (len(epochs) > 1) + (f" of {runs} runs" if runs > 1 else "")
            contents = f"{number}, {contents}"
        return f"{self.name} ({contents}){truth}"

    def used(self, epochs: Sequence[int], wanted: Sequence[int], run: str | None = None) -> list[EpochPredictions]:
        """Return the predictions of those epochs that are wanted; `UsageError` if there are none."""
        found = [replace(one, epoch=epoch) for epoch, one in self._by_epoch(self._of_run(run), epochs, run).items()]
        return [*self._by_epoch(found, wanted, run).values()]

    def others(self, epochs: Collection[int], run: str | None = None) -> list[int]:
        """Return the epochs in the file that the run does not have."""
        return sorted({one.epoch for one in self._of_run(run) if one.epoch is not None} - {*epochs})

    def outcomes(
        self, epochs: Sequence[int], classes: int, names: Sequence[str] | None = None, run: str | None = None
    ) -> dict[int, Predictions]:
        """Return the outcomes of a run's epochs, in the run's order.

        Parameters
        ----------
        epochs : the run's distinct epochs, in order
        classes : the number of classes of the run's classifier
        names : their names in order, if they are known
        run : the run's name; of a table with a column ``run``, only the rows of this run count

        Returns
        -------
        dict of int to Predictions
            Epochs that the file lacks are missing; those that the run lacks are ignored. If there are no epochs in the file, its
            rows are the run's epochs in order.

        Raises
        ------
        UsageError
            There are fewer or more rows than epochs, no epoch in common, no such run; a label is not a class; the sizes differ;
            the truth seems to be on the other axis of the confusion matrices.
        """
        known = ClassIndex(classes, None if names is None else tuple(names))
        truth = None
        if self.targets is not None:
            truth = known.numbers(self.targets, "target", lambda sample: f"{self.truth_name}, sample {sample}")
        chosen = self._by_epoch(self._of_run(run), epochs, run)
        found = {epoch: one.outcome(known, truth, self.truth_name) for epoch, one in chosen.items()}
        require_truth_axis(found, self.name, self.axis)
        return found

    def _of_run(self, run: str | None) -> list[EpochPredictions]:
        """Return the predictions of a run; those without a run belong to any."""
        runs = sorted({one.run for one in self.epochs if one.run is not None})
        if run is None and len(runs) > 1:
            raise UsageError(
                f"{self.name}: expected the predictions of one run, found {_few(runs)}; keep the rows of one run"
            )
        found = [one for one in self.epochs if run is None or one.run in (None, run)]
        if not found:
            raise UsageError(
                f"{self.name}: expected rows of the run {run!a}, found only {_few(runs)}; correct the column 'run', or drop it"
            )
        return found

    def _by_epoch(
        self, found: Sequence[EpochPredictions], epochs: Sequence[int], run: str | None
    ) -> dict[int, EpochPredictions]:
        """Return predictions by the run's epochs, in the run's order; errors as for `outcomes`."""
        called = "the run" if run is None else f"run {run!r}"
        if found[0].epoch is None:
            if len(found) != len(epochs):
                is_table = found[0].rows is not None
                what = "no epochs" if is_table else f"{len(found)} row" + "s" * (len(found) > 1)
                remedy = (
                    "add a column 'epoch'"
                    if is_table
                    else "give one row per epoch in the run's order, or give an NPZ with `epochs`"
                )
                raise UsageError(
                    f"{self.name} has {what}, {called} has {len(epochs)} epoch{'s' * (len(epochs) != 1)}: {remedy}"
                )
            return dict(zip(epochs, found, strict=True))
        by_epoch: dict[int, EpochPredictions] = {}
        for one in found:
            assert one.epoch is not None
            if one.epoch in by_epoch:
                both = f"{by_epoch[one.epoch].where} and {one.where}"
                raise UsageError(f"{self.name}: expected epoch {one.epoch} once, found it in {both}; keep one of them")
            by_epoch[one.epoch] = one
        chosen = {epoch: by_epoch[epoch] for epoch in epochs if epoch in by_epoch}
        if not chosen:
            raise UsageError(
                f"{self.name}: expected epochs of {called} ({shorten_epochs(epochs)}), found {shorten_epochs([*by_epoch])}, "
                "none in common; number the epochs as the run does"
            )
        return chosen


def read_predictions(path: str | Path, targets: str | Path | None = None, *, truth: str = "rows") -> PredictionFile:
    """Return the predictions in a file, or in a folder with one file per epoch.

    Parameters
    ----------
    path
        NPY or NPZ: see `numpy_files`; Parquet or CSV: see `tables`; or a folder of such files.
    targets
        A file with the truth of each sample, of the same kinds. If the predictions have targets, too, the two must agree.
        If neither is there, a ``targets.npy`` in the same folder is read.
    truth : "rows" or "columns"
        The axis of a confusion matrix that is the truth.

    Raises
    ------
    UsageError
        A file is missing, damaged, or holds something else; predictions have no targets, or another number of them.
    """
    if truth not in AXES:
        raise UsageError(f"expected the truth on rows or columns, found {truth!a}; give one of the two")
    path = Path(path)
    epochs = _read_folder(path, truth) if _is(path, "folder") else _read_file(path, truth)
    lacks_targets = any(one.lacks_targets for one in epochs)
    beside = (path if _is(path, "folder") else path.parent) / PREDICTION_FILE_NAMES[1]
    if targets is None and lacks_targets and _is(beside, "file"):
        targets = beside
    if targets is None:
        if lacks_targets:
            raise UsageError(
                f"{path}: expected a target for each prediction, found none; give them with --targets, or confusion matrices as "
                "an array (epochs, C, C)"
            )
        return PredictionFile(path.name or str(path), None, tuple(epochs), None, truth)
    targets = Path(targets)
    labels = _read_targets(targets)
    for one in epochs:
        if one.predictions is not None and len(one.predictions) != len(labels):
            remedy = (
                "add a column 'epoch'" if one.epoch is None and one.rows is not None else "give both for the same samples"
            )
            raise UsageError(
                f"{one.where}: expected {len(labels):,} predictions, as {targets.name} has targets, found "
                f"{len(one.predictions):,}; {remedy}"
            )
    return PredictionFile(path.name or str(path), targets.name, tuple(epochs), labels, truth)


def require_one_run(predictions: PredictionFile, runs: Sequence[str]) -> None:
    """Refuse predictions that do not name their run if there are several.

    Raises
    ------
    UsageError
        There are several runs, and a part of the file does not name its run.
    """
    if len(runs) > 1 and any(one.run is None for one in predictions.epochs):
        raise UsageError(
            f"{predictions.name} does not say which run its predictions are of, and there are {len(runs)}: {_few(runs)}; "
            f"analyse one run at a time (dsi analyze FOLDER --predictions {predictions.name}), or give a table with a column 'run'"
        )


def find_prediction_files(folder: str | Place) -> tuple[Path, Path] | None:
    """Return ``preds.npy`` and ``targets.npy`` in a folder, copies if it is remote; None unless both are there."""
    folder = Path(folder) if isinstance(folder, str) else folder
    predictions, targets = (folder / name for name in PREDICTION_FILE_NAMES)
    if not (predictions.is_file() and targets.is_file()):
        return None
    return _here(predictions), _here(targets)


def _here(path: Place) -> Path:
    """Return a file on this machine; `UsageError` if a remote one cannot be fetched."""
    if isinstance(path, Path):
        return path
    try:
        return download.copied(path)
    except OSError as error:
        raise UsageError(f"{path}: expected {EXPECTED}, which could not be read ({error.strerror})") from None


def _read_file(path: Path, axis: str) -> list[EpochPredictions]:
    _require_file(path)
    return numpy_files.read_epochs(path, axis) if path.suffix.lower() in ARRAYS else tables.read_epochs(path)


def _read_targets(path: Path) -> EncodedLabels:
    _require_file(path)
    return numpy_files.read_targets(path) if path.suffix.lower() in ARRAYS else tables.read_targets(path)


def _read_folder(folder: Path, axis: str) -> list[EpochPredictions]:
    """Return what the files of a folder hold, each for one epoch, in the order of the epochs."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"{folder}: expected a folder with one file per epoch, which could not be read ({error.strerror})"
        ) from None
    found = []
    for path in paths:
        numbers = re.findall(r"[0-9]+", path.stem)
        if not numbers or path.suffix.lower() not in ARRAYS + TABLES or path.name.startswith(".") or not path.is_file():
            continue
        epochs = _read_file(path, axis)
        epoch = int(numbers[-1])
        if {one.epoch for one in epochs} - {None, epoch} or len({one.run for one in epochs}) < len(epochs):
            own = sorted({one.epoch for one in epochs if one.epoch is not None})
            what = f"epochs {shorten_epochs(own)}" if own else f"{len(epochs)} rows"
            raise UsageError(
                f"{path}: expected the predictions of epoch {epoch} alone, the number in its name, found {what}; "
                "name the file itself if it has all epochs, or rename it"
            )
        found += [replace(one, epoch=epoch, where=str(path)) for one in epochs]
    if not found:
        raise UsageError(
            f"{folder}: expected files ({', '.join(ARRAYS + TABLES)}) with the epoch as the last number in the name, found none; "
            "name one file with all epochs, or put the epoch into the names"
        )
    return sorted(found, key=lambda one: (one.run or "", one.epoch or 0))


def _is(path: Path, kind: str) -> bool:
    """Return whether a path is a ``file`` or a ``folder``; a path that the system refuses is neither."""
    try:
        return path.is_dir() if kind == "folder" else path.is_file()
    except (OSError, ValueError):
        return False


def _require_file(path: Path) -> None:
    if not _is(path, "file"):
        raise UsageError(f"{str(path)[:200]!a}: expected {EXPECTED}, found no such file; check the path")
    if path.suffix.lower() not in ARRAYS + TABLES:
        raise UsageError(f"{path}: expected {EXPECTED}, found the suffix {path.suffix!a}; save the file as one of these")


def shorten_epochs(epochs: Sequence[int]) -> str:
    """Return epochs for a message, the first of many.

    Examples
    --------
    >>> few([0, 5])
    '0, 5'
    """
    return ", ".join(map(str, epochs[:6])) + (", ..." if len(epochs) > 6 else "")


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(ascii, names[:6])) + (", ..." if len(names) > 6 else "")
