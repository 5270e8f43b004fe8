"""The similarity values of one epoch as a dict of floats, computed fast enough for
every epoch of a training.

The tracker computes only values without sampling: the cosine SAI with WordNet and the
IDM over mistakes, which have an exact chance level, and the WSI.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import isfinite, prod
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from dsi_cli.analysis.semantics import references, wordnet_matrix
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
from dsi_cli.metrics.alignment import Alignment, alignments
from dsi_cli.metrics.idm import Score, idm
from dsi_cli.metrics.wsi import max_wsi, mean_wsi, min_wsi
from dsi_cli.similarity import weight_similarity
from dsi_cli.wordnet.database.wordnet import load_wordnet

PREFIX = "dsi/"
_WSI = {"max": max_wsi, "min": min_wsi, "mean": mean_wsi}
Index = Alignment | Score
_log = logging.getLogger(__name__)


class Tracker:
    """A function that computes the SAI, WSI and IDM of a model at the end of an epoch,
    for any logger.

    Parameters
    ----------
    labels : a label file, the name of a preset, or the labels; needed for the SAI and
        WIDM with WordNet.
    head : the name of the classifier's weight; needed only if dsi cannot find it.
    pos, wordnet : the part of speech and the WordNet for the labels, as in
        `dsi_cli.analyze`.

    Attributes
    ----------
    classes : int or None
        The number of rows of the classifier; None before the first model.
    reasons : dict of str to str The reason why a quantity (``sai``, ``wsi``, ``nidm``,
        ``widm``), or a part of it, is missing in the last values.

    Raises
    ------
    UsageError
        The label file or preset cannot be read.

    Notes
    -----
    The keys are ``dsi/sai`` (cosine, NCSM with WordNet), ``dsi/nidm`` and ``dsi/widm``
    (over mistakes only). Each of them also has keys with ``_chance`` (the mean over
    random relabellings of the classes), ``_excess`` and ``_z``. The WSI has the keys
    ``dsi/wsi_max``, ``dsi/wsi_min`` and ``dsi/wsi_mean``. A missing value has no key,
    and no value is NaN.

    Examples
    --------
    >>> track = Tracker(labels=["cat", "dog", "car", "truck"])
    >>> values = track({"fc.weight": np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0.1, 1], [0, 0.2, 1]])})
    >>> round(values["dsi/sai"], 2), round(values["dsi/sai_chance"], 2), round(values["dsi/wsi_max"], 2)
    (0.95, 0.38, 0.99)
    """

    def __init__(
        self,
        labels: str | PathLike[str] | Sequence[str] | None = None,
        *,
        head: str | None = None,
        pos: str = "noun",
        wordnet: str | None = None,
    ) -> None:
        self._label_count: int | None = None
        self._no_reference_reason: str | None = (
            "there are no labels to compare with WordNet; give them with labels="
        )
        self._reference: NDArray[np.float32] | None = None
        if labels is not None:
            source = fspath(labels) if isinstance(labels, PathLike) else labels
            database = load_wordnet(pos, wordnet)
            resolved = wordnet_matrix.resolve_label_list(source, wordnet=database)
            reference = references.open_measure(
                DEFAULT_REFERENCES[0], None, database
            ).for_labels(resolved)
            self._label_count = resolved.classes
            self._no_reference_reason = reference.reason_missing
            if not self._no_reference_reason:
                self._reference = reference.dense
        self._head_name = head
        self._head: Layer | None = None
        self.classes: int | None = None
        self.reasons: dict[str, str] = {}
        self._logged: set[str] = set()
        self._has_warned = False

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
        if hasattr(model, "shape") and not hasattr(
            model, "state_dict"
        ):  # the weight itself
            self._head = None
            shape, name = tuple(model.shape), "the weight"
        else:
            self._head = self._find_head(_content(model))
            shape, name = self._head.tensor.shape, self._head.full_name
        if len(shape) < 2 or shape[0] < 2:
            message = (
                f"{name} has shape {shape}; similarity needs the weights of two classes"
                " or more"
            )
            raise UsageError(message, code="too-few-classes")
        if self._label_count not in (None, shape[0]):
            counts = (
                f"{self._label_count} labels for {shape[0]} classes ({name} has shape"
                f" {shape})"
            )
            fields = {"labels": self._label_count, "classes": shape[0]}
            raise UsageError(
                counts, hint="give one label per class", code="label-count", **fields
            )
        self.classes = shape[0]

    def weight(self, model: Any) -> NDArray[np.float32]:
        """Return the current weight ``(classes, features)`` of the classifier;
        parameters and errors as in `start`.
        """
        if self.classes is None:
            self.start(model)
        if self._head is None:
            return _array(model)
        content = _content(model)
        if (
            self._head.name not in content.tree
        ):  # the model has another wrapper than at the start
            self._head = self._find_head(content)
        return head_weight.head_rows(content, self._head)

    def _find_head(self, content: CheckpointContent) -> Layer:
        groups = trainers.state_dicts(content.tree)
        try:
            try:
                return choose_head(
                    groups,
                    trainers.RAW,
                    head_name=self._head_name,
                    classes=self._label_count,
                )
            except ClassCountError:
                # `start` reports both numbers.
                return choose_head(groups, trainers.RAW, head_name=self._head_name)
        except (NoHeadError, AmbiguousHeadError) as error:
            # In the command, the parameter is an option.
            raise UsageError(
                str(error).replace("--head ", "head="), code=error.code
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
        is_first = self.classes is None
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
        ncsm = confusion = None
        if counts is not None:
            with self._guarded("nidm", "widm", is_first=is_first):
                table: Any = counts() if callable(counts) else counts
                confusion = np.asarray(
                    table.cpu() if hasattr(table, "cpu") else table, dtype=np.int64
                )
        with threadpool_limits(
            limits=1, user_api="blas"
        ):  # a training uses the other cores, so more threads are slower
            with self._guarded("sai", "wsi", is_first=is_first):
                ncsm = weight_similarity(self.weight(model))
                wsi_values = {
                    f"{PREFIX}wsi_{name}": wsi(ncsm) for name, wsi in _WSI.items()
                }
                sai = None
                if self._reference is not None:
                    sai = alignments(
                        ncsm, self._reference, ["cosine"], permutations=0, draws=0
                    )["cosine"]
                values |= wsi_values | self._index_values(
                    "sai", sai, self._no_reference_reason
                )
            if confusion is not None:
                with self._guarded("nidm", "widm", is_first=is_first):
                    nidm, widm = (
                        (
                            None
                            if csm is None
                            else idm(confusion, csm, may_draw=False)["errors"]
                        )
                        for csm in (ncsm, self._reference)
                    )
                    idm_values = self._index_values(
                        "nidm", nidm, self.reasons.get("wsi")
                    )
                    values |= idm_values | self._index_values(
                        "widm", widm, self._no_reference_reason
                    )
        for reason in dict.fromkeys(self.reasons.values()):
            if reason not in self._logged:
                self._logged.add(reason)
                names = [
                    name
                    for name, other_reason in self.reasons.items()
                    if other_reason == reason
                ]
                _log.warning("values of %s are missing: %s", ", ".join(names), reason)
        return values

    def _index_values(
        self, quantity: str, index: Index | None, missing: str | None
    ) -> dict[str, float]:
        """Return a similarity index with its chance level; empty if either is missing.
        Null values have no key.
        """
        if index is None:
            self.reasons[quantity] = str(missing)
            return {}
        parts = {
            "": index.value,
            "_chance": index.null_mean,
            "_excess": index.excess,
            "_z": index.z,
        }
        values = {
            f"{PREFIX}{quantity}{part}": value
            for part, value in parts.items()
            if value is not None and isfinite(value)
        }
        if len(values) < len(parts):
            self.reasons[quantity] = (index.reason or "not finite").partition("; ")[0]
        return values if index.value is not None and index.null_mean is not None else {}

    @contextmanager
    def _guarded(self, *quantities: str, is_first: bool) -> Iterator[None]:
        """Record the reason if a measurement fails; raise a `UsageError` of the first
        call, which the caller can still correct.
        """
        try:
            yield
        except (
            Exception
        ) as error:  # no failure in dsi or in the user's data may end a training
            if is_first and isinstance(error, UsageError):
                raise
            reason = (
                str(error)
                if isinstance(error, DsiError)
                else f"{type(error).__name__}: {error}"
            )
            self.reasons |= dict.fromkeys(quantities, reason)
            self._logged.add(reason)
            if not self._has_warned:
                self._has_warned = True
                message = (
                    f"dsi leaves out {', '.join(quantities)} of this epoch: {reason}"
                )
                warnings.warn(
                    f"{message} (later failures: Tracker.reasons)", stacklevel=4
                )


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
        dtype, shape = (
            str(value.dtype).removeprefix("torch."),
            tuple(map(int, value.shape)),
        )
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
