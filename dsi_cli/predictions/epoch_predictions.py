"""The predictions in a file for one epoch of one run, and the conversion of their
labels to class numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, wrong
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import confusion_counts

# the axes of a confusion matrix, either of which may be the truth
AXES = ("rows", "columns")
# the number of classes from which predictions are not balanced by chance
MIN_BALANCED_CLASSES = 10
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

    >>> roles = {"target": TARGET, "prediction": PREDICTION, "epoch": ("epoch",)}
    >>> names_by_role(["idx", "True Label", "y_preds"], roles)
    {'target': 'True Label', 'prediction': 'y_preds'}
    """
    by_key: dict[str, str] = {}
    for name in names:
        by_key.setdefault(_key(name), name)
    found = {}
    for role, other_names in roles.items():
        known = [by_key[_key(name)] for name in other_names if _key(name) in by_key]
        if role in names:
            found[role] = role
        elif known:
            found[role] = known[0]
    return found


def _key(name: str) -> str:
    """Return a name in lower case, without the plural and without ``label`` or
    ``class`` at its end.
    """
    words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return _NAME_END.sub("", words, count=1)


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
    """Return the class number of each label: the classes of these names, or else the
    numbers in the texts.

    Raise `UsageError` if a label is no class, or if some labels are names and others
    numbers: ``7`` may be the name of another class.

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
    for number, name in enumerate([] if names is None else names):
        by_name[name] = -1 if name in by_name else number
    numbers = labels.codes
    if labels.names is not None:
        used = np.unique(labels.codes).tolist()
        are_names = any(labels.names[code] in by_name for code in used)
        by_label = np.full(len(labels.names), -1, dtype=np.int32)
        for code in used:
            label = labels.names[code]
            by_label[code] = by_name.get(label, -1) if are_names else _number(label)
        numbers = by_label[labels.codes]
    outside = (numbers < 0) | (numbers >= classes)
    if not outside.any():
        return numbers
    first = int(np.argmax(outside))
    label = str(labels.codes[first])
    if labels.names is not None:
        label = ascii(labels.names[int(label)][:60])
    expected = f"0 to {classes - 1}"
    known = [ascii(name[:40]) for name, number in by_name.items() if number >= 0]
    if known:
        examples = ", ".join(known[:3])
        expected += f", or only names of exactly one class ({examples}, ...)"
    raise UsageError(
        (f"{locate(first)}: the {kind} {label} is not a class; expected {expected}"),
        hint=(
            "correct it, or give the classes that the predictions were made with"
            " (--labels)"
        ),
        code="unknown-class",
        values=kind,
        label=label,
    )


def numbers_by_name(
    texts: Sequence[str], classes: int, names: Sequence[str] | None, kind: str
) -> dict[str, int]:
    """Return the class number of each of the distinct texts among labels; parameters
    and errors as for `class_numbers`.

    >>> numbers_by_name(["dog", "cat"], 2, ["cat", "dog"], "target")
    {'dog': 1, 'cat': 0}
    """
    labels = EncodedLabels(np.arange(len(texts)), tuple(texts))
    numbers = class_numbers(labels, classes, names, kind, "label {}".format)
    return dict(zip(texts, numbers.tolist(), strict=True))


def _number(text: str) -> int:
    """Return the whole number in a text, or -1; pandas writes some integers as
    ``3.0``.
    """
    match = re.fullmatch(r"([0-9]{1,9})(\.0*)?", text.strip())
    return -1 if match is None else int(match[1])


@dataclass(frozen=True)
class EpochPredictions:
    """The predictions of one epoch: a label for each sample, or confusion counts.

    Attributes
    ----------
    location : the file and the part of it, for messages.
    epoch, run, split : the epoch, the run and the split (test or train) according to
        the file, or None.
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
    split: str | None = None

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
        if self.counts is not None:
            return self._result_of_counts(classes, names, truth, truth_name)
        assert self.predictions is not None
        if self.score_columns not in (None, classes):
            raise wrong(
                self.location,
                f"{classes} scores of each sample, as the classifier has classes",
                str(self.score_columns),
                "give the scores of this classifier",
                code="score-classes",
                found=self.score_columns,
                classes=classes,
            )
        predictions = class_numbers(
            self.predictions, classes, names, "prediction", self._locate
        )
        targets = truth
        if self.targets is not None:
            targets = class_numbers(
                self.targets, classes, names, "target", self._locate
            )
        assert targets is not None  # `files.read` refuses predictions without targets
        if truth is not None and (targets != truth).any():
            index = int(np.argmax(targets != truth))
            raise UsageError(
                (
                    f"{self._locate(index)}: the target is {targets[index]}, and"
                    f" {truth[index]} in {truth_name}"
                ),
                hint="give the targets of these samples in this order, or none",
                code="targets-contradict",
            )
        counts = confusion_counts(targets, predictions, classes)
        return EvaluationResult(
            counts, targets, predictions, self.scores, self.samples, self.paths
        )

    def numbers_by_name(
        self, classes: int, names: Sequence[str] | None, truth: EncodedLabels | None
    ) -> dict[str, dict[str, int]]:
        """Return the class number of each name among the targets and among the
        predictions; labels that are numbers have none.

        ``truth`` are the labels in the file with targets; other parameters as for
        `result`, which has checked the labels.
        """
        target, prediction = self.targets or truth, self.predictions
        if self.classes_of_counts is not None:
            target, prediction = self.classes_of_counts
        found = {}
        for kind, labels in (("target", target), ("prediction", prediction)):
            if labels is not None and labels.names is not None:
                used = np.unique(labels.codes).tolist()
                texts = [labels.names[code] for code in used]
                found[kind] = numbers_by_name(texts, classes, names, kind)
        return found

    def _result_of_counts(
        self,
        classes: int,
        names: Sequence[str] | None,
        truth: Ints | None,
        truth_name: str | None,
    ) -> EvaluationResult:
        counts = self._counts(classes, names)
        if not counts.any():
            raise wrong(
                self.location,
                "confusion counts",
                "only zeros",
                "give an epoch that has samples",
                code="counts-zero",
            )
        if truth is not None:
            samples = np.bincount(truth, minlength=classes)
            if (counts.sum(axis=1) != samples).any():
                raise wrong(
                    self.location,
                    f"as many samples of each class as the targets in {truth_name}"
                    " have",
                    "others",
                    "give --truth columns if the truth is on the columns, or the"
                    " targets of this test set, or none",
                    code="counts-contradict-targets",
                )
        return EvaluationResult(counts)

    def _counts(self, classes: int, names: Sequence[str] | None) -> NDArray[np.int64]:
        """Return the confusion counts in the order of the classes; classes that the
        labels of the file lack have none.
        """
        assert self.counts is not None
        if self.classes_of_counts is None:
            if len(self.counts) == classes:
                return self.counts
            raise wrong(
                self.location,
                f"confusion counts of {classes} classes, as the classifier has",
                str(len(self.counts)),
                "give the counts of all classes of this classifier (scikit-learn:"
                f" confusion_matrix(y_true, y_pred, labels=range({classes})))",
                code="counts-classes",
                found=len(self.counts),
                classes=classes,
            )
        indices = []
        for axis, labels in zip(AXES, self.classes_of_counts, strict=True):
            axis = axis.removesuffix("s")
            locate = f"{self.location}, {axis} {{}}".format
            numbers = class_numbers(labels, classes, names, "label", locate)
            if len(np.unique(numbers)) < len(numbers):
                raise wrong(
                    self.location,
                    "each class once",
                    f"one twice among the {axis}s",
                    "rename it",
                    code="repeated-class",
                    axis=axis,
                )
            indices.append(numbers)
        counts = np.zeros((classes, classes), dtype=np.int64)
        counts[np.ix_(*indices)] = self.counts
        return counts

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
    counts = [one.counts for one in results.values() if one.predictions is None]
    if not counts or (len(counts) == 1 and len(counts[0]) < MIN_BALANCED_CLASSES):
        return
    if _sums_differ(counts, 1) and not _sums_differ(counts, 0):
        other = AXES[1 - AXES.index(axis)]
        expected = "as many samples of each class"
        if len(counts) > 1:
            expected = "the same samples of each class at every epoch"
        raise wrong(
            name,
            expected,
            f"that they differ along the {axis} and are the same along the other axis,"
            " which seems to be the truth",
            f"give --truth {other}",
            code="truth-axis",
            axis=axis,
        )


def _sums_differ(counts: Sequence[NDArray[np.int64]], along: int) -> bool:
    """Return True if the sums of counts differ between epochs, or between the classes
    of one epoch.
    """
    sums = np.stack([matrix.sum(axis=along) for matrix in counts])
    reference = sums[0] if len(sums) > 1 else sums[0, 0]
    return bool((sums != reference).any())
