"""The main quantities of one epoch as a dict of floats, computed fast enough for every
epoch of a training.

The rows are those of the tables, from `dsi_cli.analysis.epoch_rows`. Nothing is drawn
at random.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from dsi_cli.analysis.classifiers.heads import HeadParameters
from dsi_cli.analysis.epoch_rows import Checkpoint, epoch_rows
from dsi_cli.analysis.lasting_suspects import Finding
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics import class_labels, references, wordnet_matrix
from dsi_cli.callbacks.suspects import MAX_CLASSES, SuspectSearch
from dsi_cli.checkpoints import head_weight, trainers
from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.head_choice import choose_head
from dsi_cli.checkpoints.layers import Layer
from dsi_cli.checkpoints.tensors import FLOATS, NUMPY_DTYPES, Storage, contiguous
from dsi_cli.errors import (
    AmbiguousHeadError,
    ClassCountError,
    DsiError,
    NoHeadError,
    UsageError,
)
from dsi_cli.metrics import DEFAULT_REFERENCES
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.tracking import points
from dsi_cli.wordnet.database.wordnet import load_wordnet

# Measures without random draws; the agreement is Pearson's correlation.
OPTIONS = Options(measures=("pearson",), permutations=0, draws=0)
OF_COUNTS = ("widm", "nidm", "accuracy")
_log = logging.getLogger(__name__)


class Tracker:
    """A function that computes the main quantities of a model at the end of an epoch,
    for any logger.

    Parameters
    ----------
    labels : a label file, the name of a preset, or the labels; needed for the agreement
        and the WIDM with WordNet.
    head : the name of the classifier's weight; needed only if dsi cannot find it.
    pos, wordnet : the part of speech and the WordNet for the labels, as in
        `dsi_cli.analyze`.
    all_curves : bool, whether the values also contain every row of the curves tables,
        under its full name (docs/integrations.md).

    Attributes
    ----------
    classes : int or None
        The number of rows of the classifier; None before the first model.
    reasons : dict of str to str The reason why a quantity (``agreement``, ``widm``,
        ``nidm``, ``max_wsi``, ``accuracy``) is missing in the last values.
    suspects : list of Finding
        The ``kind`` and the ``classes`` of each suspect that was strong in two
        successive epochs.

    Raises
    ------
    UsageError
        The label file or preset cannot be read.

    Notes
    -----
    The keys are ``dsi/agreement`` (the excess of Pearson's correlation with WordNet: 0
    at chance, 1 for equal matrices), ``dsi/widm`` and ``dsi/nidm`` (over mistakes only),
    ``dsi/max_wsi`` and ``dsi/accuracy``. The first three also have keys with
    ``_chance`` (the chance level), ``_low`` and ``_high`` (the 95 % confidence
    interval). A missing value has no key, and no value is NaN.

    With labels, a suspect that is strong in two successive epochs is logged once, as a
    warning, from the sixth epoch on. Its evidence is the mean of the weights' similarity
    and of the counts over the last three epochs. Above 256 classes, dsi seeks suspects
    in every fifth epoch, and above 1,024 classes in none, because a search takes seconds.

    For `dsi_cli.analyze` to name mislabelled images, store the predictions of the last
    epochs on the training images. Make them in evaluation mode, without augmentation and
    in a fixed order: ``np.save("ckpts/preds_train.npy", predictions[-3:])`` and
    ``np.save("ckpts/targets_train.npy", targets)``.

    Examples
    --------
    >>> track = Tracker(labels=["cat", "dog", "car", "truck"])
    >>> values = track({"fc.weight": np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0.1, 1], [0, 0.2, 1]])})
    >>> round(values["dsi/agreement"], 2), values["dsi/agreement_chance"], round(values["dsi/max_wsi"], 2)
    (0.92, 0.0, 0.99)
    """

    def __init__(
        self,
        labels: str | PathLike[str] | Sequence[str] | None = None,
        *,
        head: str | None = None,
        pos: str = "noun",
        wordnet: str | None = None,
        all_curves: bool = False,
    ) -> None:
        database = load_wordnet(pos, wordnet)
        self._source = references.open_measure(DEFAULT_REFERENCES[0], None, database)
        self._labels: class_labels.ClassLabels | None = None
        if labels is not None:
            source = fspath(labels) if isinstance(labels, PathLike) else labels
            self._labels = wordnet_matrix.resolve_label_list(source, wordnet=database)
        self._head_name = head
        self._all_curves = all_curves
        self._plan: RowsPlan | None = None
        self._search: SuspectSearch | None = None
        self.reasons: dict[str, str] = {}
        self.suspects: list[Finding] = []
        self._logged: set[str] = set()
        self._has_warned = False

    @property
    def classes(self) -> int | None:
        """The number of rows of the classifier; None before the first model."""
        return None if self._plan is None else self._plan.labels.classes

    def start(self, model: Any) -> None:
        """Find the classifier and compare it with the labels; the first call does this
        if `start` was not called.

        Parameters
        ----------
        model : a module (also if wrapped or compiled), its state dict, or the weight
            ``(classes, features)``.

        Raises
        ------
        UsageError
            No classifier was found, or several candidates were; or the number of
            classes differs from the number of labels.
        """
        if _is_weight(model):
            shape, name = tuple(model.shape), "the weight"
        else:
            head = self._find_head(_content(model))
            shape, name = head.tensor.shape, head.full_name
        if len(shape) < 2 or shape[0] < 2:
            message = (
                f"{name} has shape {shape}; similarity needs the weights of two classes"
                " or more"
            )
            raise UsageError(message, code="too-few-classes")
        labels = self._labels or class_labels.without_labels(shape[0])
        if labels.classes != shape[0]:
            message = (
                f"{labels.classes} labels for {shape[0]} classes ({name} has shape"
                f" {shape})"
            )
            raise UsageError(
                message,
                hint="give one label per class",
                code="label-count",
                labels=labels.classes,
                classes=shape[0],
            )
        scratch = Path(tempfile.gettempdir())
        self._plan = RowsPlan.make(labels, [self._source], OPTIONS, scratch)
        if labels.label_list is not None and labels.classes <= MAX_CLASSES:
            reference = self._plan.references[0].dense
            self._search = SuspectSearch(labels.label_list.names, reference)

    def _weight(self, model: Any) -> NDArray[np.float32]:
        """Return the current weight ``(classes, features)`` of the classifier."""
        if _is_weight(model):
            return _array(model)
        content = _content(model)
        return head_weight.head_rows(self._find_head(content))

    def _find_head(self, content: CheckpointContent) -> Layer:
        groups = trainers.state_dicts(content.tree)
        classes = None if self._labels is None else self._labels.classes
        try:
            try:
                return choose_head(
                    groups, trainers.RAW, head_name=self._head_name, classes=classes
                )
            except ClassCountError:
                # `start` reports both numbers.
                return choose_head(groups, trainers.RAW, head_name=self._head_name)
        except (NoHeadError, AmbiguousHeadError) as error:
            # The hint of the error is for the command line.
            hint = None
            if "example" in error.fields:
                hint = f"choose one, for example with head={error.fields['example']!r}"
            raise UsageError(
                error.message, hint=hint, code=error.code, **error.fields
            ) from None

    def __call__(
        self,
        model: Any,
        counts: NDArray[np.integer[Any]] | Callable[[], Any] | None = None,
        *,
        loader: Iterable[Any] | None = None,
    ) -> dict[str, float]:
        """Return the values of this epoch by key.

        Parameters
        ----------
        model : as in `start`.
        counts : (C, C) int, optional Confusion counts on validation data (rows are the
            true classes, columns the predictions) for NIDM and WIDM, or a function that
            returns the counts.
        loader : optional Batches of (images, targets), from which one pass of the model
            computes the counts.

        Raises
        ------
        UsageError
            The errors of `start`, or unsuitable counts or batches, but only at the
            first call. Later failures are in ``reasons``, and the first of them causes
            a warning. Also if both counts and a loader are given.
        """
        is_first = self._plan is None
        if is_first:
            self.start(model)
        if loader is not None:
            if counts is not None:
                raise UsageError(
                    "counts and a loader are both given",
                    hint="leave one of them out",
                    code="counts-and-loader",
                )
            counts = partial(_count, model, loader, self.classes or 0)
        self.reasons = {}
        values: dict[str, float] = {}
        evaluations: list[EvaluationResult] = []
        if counts is not None:
            with self._guarded(*OF_COUNTS, is_first=is_first):
                evaluations.append(self._evaluation(counts))
        names = [quantity.name for quantity in points.LOGGED]
        # A training uses the other cores, so more threads are slower.
        with threadpool_limits(limits=1, user_api="blas"):
            with self._guarded(*names, is_first=is_first):
                head = HeadParameters(self._weight(model))
                values = self._values(head, evaluations)
            if values:
                with self._guarded("suspects", is_first=is_first):
                    self._seek_suspects(head, evaluations)
        for name, reason in self.reasons.items():
            if reason not in self._logged:
                self._logged.add(reason)
                _log.warning("%s is missing: %s", name, reason)
        return values

    def _values(
        self, head: HeadParameters, evaluations: Sequence[EvaluationResult]
    ) -> dict[str, float]:
        """Return the values of a head and its evaluations, and record why others are
        missing.
        """
        assert self._plan is not None
        rows = epoch_rows(self._plan, Checkpoint(head, evaluations)).curves
        values: dict[str, float] = {}
        for quantity in points.LOGGED:
            for row in points.quantity_rows(quantity, rows):
                values |= points.values_of(quantity, row)
                if row["value"] is None:
                    self.reasons[quantity.name] = str(row["reason"])
        if self._all_curves:
            for row in rows:
                values |= points.named_values(row)
        return values

    def _seek_suspects(
        self, head: HeadParameters, evaluations: Sequence[EvaluationResult]
    ) -> None:
        """Log the suspects that are now strong for the second time in a row."""
        if self._search is None:
            return
        counts = evaluations[0].counts if evaluations else None
        for finding in self._search.add(head.weight, counts):
            self.suspects.append(finding)
            _log.warning("epoch %d: %s", self._search.epochs, finding)

    def _evaluation(
        self, counts: NDArray[np.integer[Any]] | Callable[[], Any]
    ) -> EvaluationResult:
        """Return the evaluation result with these counts; raise `UsageError` if they
        are not those of all classes.
        """
        table: Any = counts() if callable(counts) else counts
        table = np.asarray(table.cpu() if hasattr(table, "cpu") else table)
        shape = (self.classes, self.classes)
        if table.shape != shape or table.min() < 0 or not table.any():
            message = (
                f"expected the numbers of samples {shape} by true and predicted class;"
                f" the counts have shape {table.shape} and sum {table.sum()}"
            )
            raise UsageError(message, code="invalid-counts")
        return EvaluationResult(table.astype(np.int64), split="test")

    @contextmanager
    def _guarded(self, *quantities: str, is_first: bool) -> Iterator[None]:
        """Record the reason if a measurement fails; raise a `UsageError` of the first
        call, which the caller can still correct.
        """
        try:
            yield
        except Exception as error:  # no failure may end a training
            if is_first and isinstance(error, UsageError):
                raise
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, DsiError):
                reason = str(error)
            self.reasons |= dict.fromkeys(quantities, reason)
            self._logged.add(reason)
            if not self._has_warned:
                self._has_warned = True
                message = (
                    f"dsi leaves out {', '.join(quantities)} of this epoch: {reason}"
                    " (later failures: Tracker.reasons)"
                )
                warnings.warn(message, stacklevel=4)


def _is_weight(model: Any) -> bool:
    return hasattr(model, "shape") and not hasattr(model, "state_dict")


def _content(model: Any) -> CheckpointContent:
    """Return the weights of a module or of a state dict like the content of a file,
    without copying them.
    """
    state = model.state_dict() if hasattr(model, "state_dict") else model
    if not isinstance(state, Mapping):
        message = (
            "expected a model, its state dict or a weight (classes, features), not a"
            f" {type(model).__name__}"
        )
        raise UsageError(message, code="not-a-model")
    arrays = {
        name: value
        for name, value in state.items()
        if hasattr(value, "shape") and hasattr(value, "dtype")
    }
    tensors = {}
    for name, value in arrays.items():
        dtype = str(value.dtype).removeprefix("torch.")
        shape = tuple(map(int, value.shape))
        if dtype in FLOATS:
            dtype = "float32"  # as which the values are read
        storage = Storage(
            str(name), dtype, prod(shape), partial(_read_bytes, value, dtype)
        )
        tensors[str(name)] = contiguous(dtype, shape, storage)
    return CheckpointContent(tensors)


def _read_bytes(value: Any, dtype: str, start: int, size: int) -> memoryview:
    values = _array(value).astype(NUMPY_DTYPES[dtype], copy=False)
    return values.reshape(-1).view(np.uint8).data[start : start + size]


def _array(value: Any) -> NDArray[np.float32]:
    """Return a float32 copy of an array, or of a tensor on any device."""
    if not hasattr(value, "detach"):
        return np.array(value, dtype=np.float32)
    value = value.detach()
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()  # collects a sharded tensor from all processes
    return value.float().cpu().numpy().copy()


def _count(model: Any, loader: Iterable[Any], classes: int) -> Any:
    from dsi_cli.callbacks.counting import confusion

    if not hasattr(model, "modules"):
        raise UsageError(
            "a pass over a loader needs the model itself, not a"
            f" {type(model).__name__}",
            code="not-a-model",
        )
    return confusion(model, loader, classes)
