"""The predictions in a file for one epoch of one run, and the conversion of their
labels to class numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import confusion_counts

# the axes of a confusion matrix, either of which may be the truth
AXES = (
    "rows",
    "columns",
)
MIN_BALANCED_CLASSES = (
    10  # the number of classes from which predictions are not balanced by chance
)
Ints = NDArray[np.integer[Any]]
TARGET = (
    "target",
    "y_true",
    "y_test",
    "true",
    "truth",
    "ground_truth",
    "actual",
    "label",
)
PREDICTION = ("prediction", "y_pred", "pred", "predicted")
"""The names of the true class and the predicted class in tables and NPZ files, the most
certain first.
"""
_NAME_END = re.compile(r"(_label|_class)?(es|s)?$")


def names_by_role(
    names: Collection[str], roles: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Return for each role the first of its names that a file has: the role itself, or
    a name in any case and in the plural.

    >>> names_by_role(["idx", "True Label", "y_preds"], {"target": TARGET, "prediction": PREDICTION, "epoch": ("epoch",)})
    {'target': 'True Label', 'prediction': 'y_preds'}
    """
    by_key: dict[str, str] = {}
    for name in names:
        by_key.setdefault(_key(name), name)
    found = {}
    for role, other_names in roles.items():
        known = [by_key[_key(name)] for name in other_names if _key(name) in by_key]
        if role in names or known:
            found[role] = role if role in names else known[0]
    return found


def _key(name: str) -> str:
    """Return a name in lower case, without the plural and without ``label`` or
    ``class`` at its end.
    """
    return _NAME_END.sub(
        "", re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"), count=1
    )


@dataclass(frozen=True)
class EncodedLabels:
    """The labels of samples.

    Attributes
    ----------
    codes : ``(N,)``, the class numbers; with ``names``, the position of each label in
        ``names``.
    names : the distinct labels, if they are names.
    samples, paths : ``(N,)``, the numbers and images of the samples of a table with
        targets, if it has them.
    """

    codes: Ints
    names: tuple[str, ...] | None = None
    samples: NDArray[np.int64] | None = None
    paths: Sequence[str | None] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> EncodedLabels:
        return EncodedLabels(self.codes[index], self.names)


def class_numbers(
    labels: EncodedLabels,
    classes: int,
    names: Sequence[str] | None,
    kind: str,
    locate: Callable[[int], str],
) -> Ints:
    """Return the class number of each label: the class of this name if there is exactly
    one, else the number in the text.

    Raise `UsageError` if a label is neither the number nor the name of exactly one
    class, or if a label that is only a number comes with one that is the name of a
    class of another number.

    Parameters
    ----------
    labels : (N,).
    classes : the number of classes of the classifier.
    names : their names, if they are known.
    kind : "target" or "prediction", for the message.
    locate : returns the location of a sample for the message, from its index.
    """
    # A name of several classes stands for none of them.
    by_name: dict[str, int] = {}
    for number, name in enumerate(() if names is None else names):
        by_name[name] = -1 if name in by_name else number
    numbers = labels.codes
    if labels.names is not None:
        number_of_name = []
        for name in labels.names:
            number = by_name.get(name, -1)
            if name not in by_name:
                with suppress(ValueError):
                    value = float(name)
                    number = (
                        int(value)
                        if value.is_integer() and 0 <= value < classes
                        else -1
                    )
            number_of_name.append(number)
        _require_one_kind(labels, number_of_name, by_name, classes, kind, locate)
        numbers = np.array(number_of_name, dtype=np.int32)[labels.codes]
    wrong = (numbers < 0) | (numbers >= classes)
    if wrong.any():
        first = int(np.argmax(wrong))
        code = int(labels.codes[first])
        label = str(code) if labels.names is None else ascii(labels.names[code][:60])
        known = [ascii(name[:40]) for name, number in by_name.items() if number >= 0]
        or_name = (
            f", or the name of exactly one class ({', '.join(known[:3])}, ...)"
            if known
            else ""
        )
        message = (
            f"{locate(first)}: the {kind} {label} is not a class; expected 0 to"
            f" {classes - 1}{or_name}; correct it, "
        )
        message += "or give the classes that the predictions were made with (--labels)"
        raise UsageError(message, code="unknown-class", values=kind, label=label)
    return numbers


def _require_one_kind(
    labels: EncodedLabels,
    numbers: Sequence[int],
    by_name: Mapping[str, int],
    classes: int,
    kind: str,
    locate: Callable[[int], str],
) -> None:
    """Raise `UsageError` if labels are numbers from 0 and the classes are called 1 to
    10, for example.
    """
    used = [
        (code, (labels.names or ())[code], numbers[code])
        for code in np.unique(labels.codes).tolist()
    ]
    unnamed = [
        code for code, name, number in used if name not in by_name and number >= 0
    ]
    named = [
        name
        for _, name, number in used
        if name in by_name and name.isdecimal() and int(name) != number >= 0
    ]
    if unnamed and any(int(name) < classes for name in named):
        label = ascii((labels.names or ())[unnamed[0]][:60])
        place = locate(int(np.argmax(labels.codes == unnamed[0])))
        message = (
            f"{place}: the {kind} {label} is the number of a class and no name, but"
            f" {named[0]!a} is the name of class {by_name[named[0]]}"
        )
        raise UsageError(
            message,
            hint="write only names, or save integers in an NPY, NPZ or Parquet file",
            code="unknown-class",
            values=kind,
            label=label,
        )


@dataclass(frozen=True)
class EpochPredictions:
    """The predictions of one epoch: a label for each sample, or confusion counts.

    Attributes
    ----------
    location : the file and the part of it, for messages.
    epoch, run : the epoch and the run according to the file, or None.
    predictions, targets : ``(N,)``, the labels in the order of the sample numbers, if
        these are known; the file may lack the targets.
    scores, samples, paths : ``(N,)``, the fields of `EvaluationResult` with the same
        names.
    rows : ``(N,)``, the table row of each sample, for messages.
    counts : ``(C, C)``, confusion counts, where rows are the truth. A file has either
        counts or predictions.
    classes_of_counts : the class labels of the rows and of the columns of ``counts``,
        if the file has them.
    score_columns : the number of scores of each sample whose arg max is the prediction;
        None if the file has predictions.
    """

    location: str
    epoch: int | None = None
    run: str | None = None
    predictions: EncodedLabels | None = None
    targets: EncodedLabels | None = None
    scores: NDArray[np.floating[Any]] | None = None
    samples: NDArray[np.int64] | None = None
    paths: Sequence[str | None] | None = None
    rows: NDArray[np.intp] | None = None
    counts: NDArray[np.int64] | None = None
    classes_of_counts: tuple[EncodedLabels, EncodedLabels] | None = None
    score_columns: int | None = None

    def result(
        self,
        classes: int,
        names: Sequence[str] | None,
        truth: Ints | None,
        truth_name: str | None,
    ) -> EvaluationResult:
        """Return the predictions as class numbers.

        Raise `UsageError` if a label is not a class, or if counts do not fit the
        classes or the truth.

        Parameters
        ----------
        classes : the number of classes of the run's classifier.
        names : their names, if they are known.
        truth : (N,) int, the class numbers in the file with targets, or None.
        truth_name : the name of that file.
        """
        counts: Any = self._counts(classes, names)
        if counts is not None:
            if not counts.any():
                message = (
                    f"{self.location}: expected confusion counts, found only zeros"
                )
                raise UsageError(
                    message, hint="give an epoch that has samples", code="counts-zero"
                )
            if (
                truth is not None
                and (counts.sum(axis=1) != np.bincount(truth, minlength=classes)).any()
            ):
                message = (
                    f"{self.location}: expected as many samples of each class as the"
                    f" targets in {truth_name} have, "
                )
                message += (
                    "found others; give --truth columns if the truth is on the columns,"
                    " or the targets of this test "
                )
                message += "set, or none"
                raise UsageError(message, code="counts-contradict-targets")
            return EvaluationResult(counts)
        assert self.predictions is not None
        if self.score_columns not in (None, classes):
            message = (
                f"{self.location}: expected {classes} scores of each sample, as the"
                " classifier has classes, found "
            )
            message += f"{self.score_columns}; give the scores of this classifier"
            raise UsageError(
                message, code="score-classes", found=self.score_columns, classes=classes
            )
        predictions = class_numbers(
            self.predictions, classes, names, "prediction", self._locate
        )
        targets = truth
        if self.targets is not None:
            targets = class_numbers(
                self.targets, classes, names, "target", self._locate
            )
            if truth is not None and (targets != truth).any():
                index = int(np.argmax(targets != truth))
                message = (
                    f"{self._locate(index)}: the target is {targets[index]}, and"
                    f" {truth[index]} in {truth_name}; "
                )
                message += "give the targets of these samples in this order, or none"
                raise UsageError(message, code="targets-contradict")
        assert targets is not None  # `files.read` refuses predictions without targets
        counts = confusion_counts(targets, predictions, classes)
        return EvaluationResult(
            counts, targets, predictions, self.scores, self.samples, self.paths
        )

    def _counts(
        self, classes: int, names: Sequence[str] | None
    ) -> NDArray[np.int64] | None:
        """Return the confusion counts in the order of the classes; classes that the
        labels of the file lack have none.
        """
        if self.counts is None:
            return None
        if self.classes_of_counts is not None:
            indices = []
            for axis, labels in zip(
                ("row", "column"), self.classes_of_counts, strict=True
            ):
                place = f"{self.location}, {axis}"
                numbers = class_numbers(
                    labels, classes, names, "label", f"{place} {{}}".format
                )
                if len({*numbers.tolist()}) < len(numbers):
                    message = (
                        f"{self.location}: expected each class once, found one twice"
                        f" among the {axis}s"
                    )
                    raise UsageError(
                        message, hint="rename it", code="repeated-class", axis=axis
                    )
                indices.append(numbers)
            counts = np.zeros((classes, classes), dtype=np.int64)
            counts[np.ix_(*indices)] = self.counts
            return counts
        if len(self.counts) != classes:
            message = (
                f"{self.location}: expected confusion counts of {classes} classes, as"
                " the classifier has, found "
            )
            message += (
                f"{len(self.counts)}; give the counts of all classes of this classifier"
                " (scikit-learn: "
            )
            message += f"confusion_matrix(y_true, y_pred, labels=range({classes})))"
            raise UsageError(
                message, code="counts-classes", found=len(self.counts), classes=classes
            )
        return self.counts

    def _locate(self, sample: int) -> str:
        if self.rows is None:
            return f"{self.location}, sample {sample}"
        return f"{self.location}, row {int(self.rows[sample]) + 1}"


def require_truth_axis(
    results: Mapping[int, EvaluationResult], name: str, axis: str
) -> None:
    """Raise `UsageError` if the truth of confusion counts of several epochs is probably
    on the other axis.

    In one test set, each class has the same number of samples at every epoch. If the
    sums along the truth differ between epochs, and those along the other axis do not,
    then the other axis is probably the truth. The same holds for the classes of one
    epoch, because many test sets are balanced, and predictions of several classes
    hardly ever.
    """
    counts = [
        result.counts for result in results.values() if result.predictions is None
    ]
    if len(counts) == 1 and len(counts[0]) < MIN_BALANCED_CLASSES:
        return
    differs = []
    for along in (1, 0):
        sums = [matrix.sum(axis=along) for matrix in counts]
        differs.append(
            any((one != (sums[0] if len(sums) > 1 else one[0])).any() for one in sums)
        )
    if differs == [True, False]:
        other = AXES[1 - AXES.index(axis)]
        expected = (
            "the same samples of each class at every epoch"
            if len(counts) > 1
            else "as many samples of each class"
        )
        message = (
            f"{name}: expected {expected}, found that they differ along the {axis} and"
            " are the same along the other "
        )
        message += f"axis, which seems to be the truth; give --truth {other}"
        raise UsageError(message, code="truth-axis", axis=axis)
