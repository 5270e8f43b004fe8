"""Predictions from a file, or from a folder with a file an epoch.

The suffix decides: ``.npy`` and ``.npz`` are arrays (``stacks``), ``.parquet``, ``.csv`` and ``.tsv`` are tables (``rows``), or a
confusion matrix as text (``wide``). In a folder the last number in a file's name is its epoch, and files without one are
not read.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from dsi_cli.errors import UsageError
from dsi_cli.predictions import rows, stacks, tables, wide
from dsi_cli.predictions.arrays import LARGEST
from dsi_cli.predictions.classes import Classes, Labels
from dsi_cli.predictions.outcome import Outcome
from dsi_cli.predictions.selection import of_run, placed
from dsi_cli.predictions.sheets import Answers, Matrix, Sheet, outcome
from dsi_cli.predictions.truth import AXES, read_targets, require, require_axis, require_sums
from dsi_cli.remote import copies
from dsi_cli.remote.places import Place

SUFFIXES = (".npy", ".npz", ".parquet", ".csv", ".tsv")
BESIDE = ("preds.npy", "targets.npy")
"""The files that are looked for beside checkpoints; both must be there."""

EXPECTED = f"a file with predictions ({', '.join(SUFFIXES)}), or a folder with one an epoch"
TARGETS = "a file with one target a sample"


@dataclass(frozen=True)
class Predictions:
    """What a file or a folder holds, as yet without knowing the run and its classes.

    Attributes
    ----------
    name, truth : str
        Those of the file, and of the file with targets, None without one.
    """

    name: str
    truth: str | None
    sheets: tuple[Sheet, ...] = field(repr=False)
    targets: Labels | None = field(repr=False)
    axis: str

    @property
    def is_in_order(self) -> bool:
        """Whether it does not say epochs, so that a run's are taken in order."""
        return self.sheets[0].epoch is None

    @property
    def source(self) -> str:
        """For a person: the file's name, what it holds, and where the truth comes from."""
        return self.described(self.sheets)

    def described(self, sheets: Sequence[Sheet], *, counted: bool = True) -> str:
        """Return the same of some of its sheets; ``counted``: with how many epochs that are."""
        parts = [_epochs(sheets)] * counted + [_contents(sheets, self.axis)]
        return f"{self.name} ({', '.join(parts)})" + _origin(sheets, self.truth)

    def sheets_of(self, epochs: Sequence[int], run: str | None = None) -> dict[int, Sheet]:
        """Return the sheet of each of a run's epochs that has one; arguments and errors as for `outcomes`."""
        return placed(of_run(self.sheets, run, self.name), epochs, self.name, run)

    def used(self, epochs: Sequence[int], wanted: Sequence[int], run: str | None = None) -> list[Sheet]:
        """Return the sheets of those epochs that are wanted; `UsageError` where there are none."""
        found = self.sheets_of(epochs, run)
        return [*placed([replace(sheet, epoch=epoch) for epoch, sheet in found.items()], wanted, self.name, run).values()]

    def others(self, epochs: Collection[int], run: str | None = None) -> list[int]:
        """Return the epochs that it says to have, and that are none of a run's."""
        return sorted({one.epoch for one in of_run(self.sheets, run, self.name) if one.epoch is not None} - {*epochs})

    def outcomes(
        self, epochs: Sequence[int], classes: int, names: Sequence[str] | None = None, run: str | None = None
    ) -> dict[int, Outcome]:
        """Return the outcomes of a run's epochs, in the run's order.

        Parameters
        ----------
        epochs : the run's distinct epochs, in order
        classes : how many the run's classifier has
        names : their names, in order, to look names up in; None where they are not known
        run : the run's name; where rows name their run, only the rows of this one count

        Returns
        -------
        dict of int to Outcome
            Epochs that the file lacks have none; those that the run lacks are ignored. Where the file does not say epochs, its
            rows are the run's epochs in order.

        Raises
        ------
        UsageError
            There are fewer or more rows than epochs, no epoch in common, no such run; a label is no class; the sizes differ;
            the truth looks as if it were on the other axis of the confusion matrices.
        """
        known = Classes(classes, None if names is None else tuple(names))
        place = f"{self.truth}, sample {{}}".format
        correct = None if self.targets is None else known.numbers(self.targets, "target", place)
        found: dict[int, tuple[Sheet, Outcome]] = {}
        for epoch, sheet in self.sheets_of(epochs, run).items():
            found[epoch] = (sheet, outcome(sheet, known, correct, self.truth))
            if correct is not None:
                require_sums(*found[epoch], correct, self.axis, str(self.truth))
        require_axis(found, self.axis)
        return {epoch: made for epoch, (_, made) in found.items()}


def read(path: str | Path, targets: str | Path | None = None, *, truth: str = "rows") -> Predictions:
    """Return the predictions in a file, or in a folder with a file an epoch.

    Parameters
    ----------
    path
        NPY, NPZ: see ``stacks``; Parquet, CSV, TSV: see ``rows`` and ``wide``. A folder with a ``targets.npy``, and a file without
        the truth next to one, needs no targets.
    targets
        A file with the truth of each sample: see ``truth.read_targets``. Where the predictions have it as well, they must agree.
    truth : "rows" or "columns"
        The axis of a confusion matrix that is the truth; for all else it does not count.

    Raises
    ------
    UsageError
        A path is missing, too large, or no plain file; the file is damaged or holds something else.
    """
    if truth not in AXES:
        raise UsageError(f"expected the truth on rows or columns, found {truth!a}; give one of the two")
    path = Path(path)
    if targets is None and _is_folder(path) and (path / BESIDE[1]).is_file():
        targets = path / BESIDE[1]
    return _read(path, None if targets is None else Path(targets), truth)


def require_one_run(predictions: Predictions, runs: Sequence[str]) -> None:
    """Refuse predictions that do not say which run they are of, where there are several.

    Raises
    ------
    UsageError
        There are several runs, and a row does not name its own.
    """
    if len(runs) > 1 and any(sheet.run is None for sheet in predictions.sheets):
        named = ", ".join(map(ascii, runs[:6])) + (", ..." if len(runs) > 6 else "")
        raise UsageError(
            f"{predictions.name} does not say which run its predictions are of, and there are {len(runs)}: {named}; analyse one "
            f"run at a time (dsi analyze FOLDER --predictions {predictions.name}), or give a table with a column 'run'"
        )


def find_beside(folder: str | Place) -> tuple[Path, Path] | None:
    """Return ``preds.npy`` and ``targets.npy`` in a folder, of a remote one copies; None unless both are there."""
    folder = Path(folder) if isinstance(folder, str) else folder
    predictions, targets = (folder / name for name in BESIDE)
    if not (predictions.is_file() and targets.is_file()):
        return None
    return _here(predictions), _here(targets)


def _here(place: Place) -> Path:
    """Return a file of this machine; `UsageError` where a remote one cannot be had."""
    if isinstance(place, Path):
        return place
    try:
        return copies.copied(place)
    except OSError as error:
        raise UsageError(f"{place}: expected {EXPECTED}, which could not be read ({error.strerror})") from None


def _read(path: Path, targets: Path | None, axis: str) -> Predictions:
    given = None
    if targets is not None:
        _require_file(targets, TARGETS)
        with _told(targets, TARGETS):
            given = read_targets(targets)
    with _told(path):
        sheets = _folder(path, given, axis) if _is_folder(path) else _file(path, given, axis)
    beside = path.parent / BESIDE[1]
    if targets is None and beside.is_file() and any(_lacks_truth(sheet) for sheet in sheets):
        return _read(path, beside, axis)
    truth = targets.name if targets is not None else None
    require(sheets, given, truth)
    return Predictions(path.name or str(path), truth, tuple(sheets), given, axis)


def _lacks_truth(sheet: Sheet) -> bool:
    return isinstance(sheet.content, Answers) and sheet.content.targets is None


def _file(path: Path, targets: Labels | None, axis: str) -> list[Sheet]:
    """Return what a file holds, a sheet an epoch (and run)."""
    _require_file(path, EXPECTED)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: expected {EXPECTED}, found the suffix {suffix!a}; name another file, or rename it")
    return stacks.sheets(path, targets, axis) if suffix in (".npy", ".npz") else _table(path, axis)


def _table(path: Path, axis: str) -> list[Sheet]:
    if path.suffix.lower() == ".parquet":
        return rows.sheets(tables.parquet(path), str(path), axis)
    header = tables.header(path)
    if "prediction" not in tables.known(header.cells, str(path)):
        return [wide.sheet(path, header, axis)]
    return rows.sheets(tables.text(path, header), str(path), axis)


def _folder(folder: Path, targets: Labels | None, axis: str) -> list[Sheet]:
    """Return what the files of a folder hold, one epoch each, in order of the epochs."""
    files = {path: numbers[-1] for path in sorted(folder.iterdir()) if (numbers := _numbers(path))}
    if not files:
        raise UsageError(
            f"{folder}: expected files ({', '.join(SUFFIXES)}) with the epoch as the last number in the name, found none; "
            "name one file with all epochs, or put the epoch into the names"
        )
    sheets = [sheet for path, epoch in files.items() for sheet in _of_epoch(_file(path, targets, axis), int(epoch), path)]
    return sorted(sheets, key=lambda sheet: (sheet.run or "", sheet.epoch or 0))


def _numbers(path: Path) -> list[str]:
    is_read = path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    return re.findall(r"[0-9]+", path.stem) if is_read else []


def _of_epoch(sheets: Sequence[Sheet], epoch: int, path: Path) -> list[Sheet]:
    own = sorted({sheet.epoch for sheet in sheets if sheet.epoch is not None})
    if own not in ([], [epoch]) or len({sheet.run for sheet in sheets}) < len(sheets):
        found = f"the epochs {', '.join(map(str, own[:6]))}" if own else f"{len(sheets)} rows"
        raise UsageError(
            f"{path}: expected the predictions of epoch {epoch} alone, as its name says, found {found}; "
            "name the file itself if it has all epochs, or rename it"
        )
    return [replace(sheet, epoch=epoch, where=str(path)) for sheet in sheets]


@contextmanager
def _told(path: Path, expected: str = EXPECTED) -> Iterator[None]:
    """Say in one line what the system, the memory or Arrow (which reads text unchecked) has against a path."""
    from pyarrow import ArrowException

    try:
        yield
    except (OSError, MemoryError, UnicodeDecodeError, ArrowException) as error:
        reason = getattr(error, "strerror", None) or (ascii(str(error))[1:-1][:120] or "not enough memory")
        raise UsageError(f"{path}: expected {expected}, which could not be read ({reason})") from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _require_file(path: Path, expected: str) -> None:
    try:
        state = path.stat()
    except FileNotFoundError:
        raise UsageError(f"{path}: expected {expected}, found nothing there; check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{str(path)[:200]!a}: expected {expected}, which could not be read ({reason})") from None
    if not stat.S_ISREG(state.st_mode):
        kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a pipe or device"
        raise UsageError(f"{path}: expected {expected}, found {kind}; name a plain file")
    if state.st_size > LARGEST:
        raise UsageError(f"{path}: expected {expected} of at most {LARGEST >> 30} GB, found more; split it by epoch")
    if not state.st_size:
        raise UsageError(f"{path}: expected {expected}, found an empty file; write it again")


def _epochs(sheets: Sequence[Sheet]) -> str:
    runs = len({sheet.run for sheet in sheets})
    return f"{len(sheets)} epoch" + "s" * (len(sheets) > 1) + (f" of {runs} runs" if runs > 1 else "")


def _contents(sheets: Sequence[Sheet], axis: str) -> str:
    sizes = [len(sheet.content.predictions) for sheet in sheets if isinstance(sheet.content, Answers)]
    if len(sizes) < len(sheets):
        is_square = any(isinstance(sheet.content, Matrix) for sheet in sheets)
        return "confusion counts" + (f"; {axis} are the truth" if is_square else "")
    least = f"{min(sizes):,} to " if min(sizes) < max(sizes) else ""
    return f"{least}{max(sizes):,} samples"


def _origin(sheets: Sequence[Sheet], truth: str | None) -> str:
    if truth is None:
        return ""
    has_answers = any(isinstance(sheet.content, Answers) for sheet in sheets)
    return f", truth from {truth}" if has_answers else f", checked against {truth}"
