"""One epoch's similarity in a dict of floats, cheap enough to ask for at every epoch of a training.

Only what has an exact chance level is measured: cosine SAI with WordNet, IDM over mistakes, WSI. No sampling.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import isfinite
from os import PathLike, fspath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from dsi_cli.analysis.semantics import wordnet_matrix
from dsi_cli.callbacks import live
from dsi_cli.checkpoints import head_weight
from dsi_cli.checkpoints.head import Head
from dsi_cli.errors import DsiError, UsageError
from dsi_cli.metrics.alignment import Alignment, alignments
from dsi_cli.metrics.idm import IdmResult, idm
from dsi_cli.metrics.wsi import max_wsi, mean_wsi, min_wsi
from dsi_cli.similarity.weights import weight_similarity
from dsi_cli.wordnet.database.wordnet import load_wordnet

PREFIX = "dsi/"
_WSI = {"max": max_wsi, "min": min_wsi, "mean": mean_wsi}
_NO_LABELS = "no labels, and so nothing of WordNet: give them with labels="
Entry = Alignment | IdmResult
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Tracker:
    """A model at the end of an epoch -> its SAI, WSI and IDM, ready for any logger.

    Parameters
    ----------
    labels : a label file, a preset's name, or the labels themselves, for the SAI and WIDM with WordNet; None: without them
    head : the name of the classifier's weight, where it cannot be told
    pos, wordnet : what labels are looked up in, as for `dsi_cli.analyze`

    Attributes
    ----------
    classes : int or None
        Rows of the classifier, once a model was seen.
    reasons : dict of str to str
        Why a quantity (``sai``, ``wsi``, ``nidm``, ``widm``), or a part of it, is not among the last call's values.

    Raises
    ------
    UsageError
        The label file or preset cannot be read.

    Notes
    -----
    Keys are ``dsi/sai`` (cosine, NCSM with WordNet), ``dsi/nidm`` and ``dsi/widm`` (over mistakes alone), each beside
    its ``_chance`` (the mean over random relabellings of the classes), ``_excess`` and ``_z``; and ``dsi/wsi_max``,
    ``dsi/wsi_min``, ``dsi/wsi_mean``. What does not exist has no key; no value is ever NaN.

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
        given = fspath(labels) if isinstance(labels, PathLike) else labels
        named = None if given is None else wordnet_matrix.resolve_label_list(given, wordnet=load_wordnet(pos, wordnet))
        self._labels = None if named is None else named.classes
        self._no_reference = _NO_LABELS if named is None else named.reason_no_reference()
        self._semantic = None if named is None or self._no_reference else named.reference()
        self._wanted = head
        self._head: Head | None = None
        self.classes: int | None = None
        self.reasons: dict[str, str] = {}
        self._logged: set[str] = set()
        self._has_warned = False

    def start(self, model: Any) -> None:
        """Find the classifier and hold the labels against it; the first call does it where nobody has.

        Parameters
        ----------
        model : a module (wrapped or compiled as it may be), its state dict, or the weight ``(classes, features)``

        Raises
        ------
        UsageError
            No classifier is found, or several; or it has another number of classes than there are labels.
        """
        self._head = None if _is_weight(model) else live.find_head(live.content(model), self._wanted, self._labels)
        shape = tuple(model.shape) if self._head is None else self._head.tensor.shape
        name = self._head.full_name if self._head is not None else "the weight"
        if len(shape) < 2 or shape[0] < 2:
            raise UsageError(f"{name} has shape {shape}: similarity needs the weights of two classes or more")
        if self._labels not in (None, shape[0]):
            raise UsageError(
                f"{self._labels} labels for {shape[0]} classes ({name} has shape {shape}): one label a class is needed"
            )
        self.classes = shape[0]

    def weight(self, model: Any) -> NDArray[np.float32]:
        """Return the classifier's weight ``(classes, features)`` as it is now; parameters and errors as for `start`."""
        if self.classes is None:
            self.start(model)
        if self._head is None:
            return live.array(model)
        found = live.content(model)
        if self._head.name not in found.tree:  # another wrapper than at the start
            self._head = live.find_head(found, self._wanted, self._labels)
        return head_weight.head_rows(found, self._head)

    def __call__(
        self,
        model: Any,
        counts: NDArray[np.integer[Any]] | Callable[[], Any] | None = None,
        *,
        loader: Iterable[Any] | None = None,
    ) -> dict[str, float]:
        """Return this epoch's values by key.

        Parameters
        ----------
        model : as for `start`
        counts : (C, C) int, optional
            Confusion counts on validation data (rows are the truth, columns the prediction), or a function that
            returns them: NIDM and WIDM.
        loader : optional
            Batches of (images, targets) from which the counts are made instead, in one pass of the model.

        Raises
        ------
        UsageError
            As for `start`, and where counts or batches do not fit; at the first call alone. Later failures are in
            ``reasons``, and the first of them is a warning. Counts and a loader are given.
        """
        is_first = self.classes is None
        if is_first:
            self.start(model)
        if loader is not None:
            if counts is not None:
                raise UsageError("counts and a loader are two ways to the same: give one of them")
            counts = partial(_confusion, model, loader, self.classes)
        self.reasons = {}
        made = None if counts is None else self._guarded(("nidm", "widm"), partial(_array, counts), is_first)
        with threadpool_limits(limits=1, user_api="blas"):  # in a training the other cores are taken: waiting costs more
            ncsm = self._guarded(("sai", "wsi"), lambda: weight_similarity(self.weight(model)), is_first)
            found = {} if ncsm is None else self._guarded(("sai", "wsi"), lambda: self._of_weights(ncsm), is_first)
            values = found or {}
            if made is not None:
                found = self._guarded(("nidm", "widm"), lambda: self._of_mistakes(made, ncsm), is_first)
                values |= found or {}
        self._log_reasons()
        return values

    def _of_weights(self, ncsm: NDArray[np.float32]) -> dict[str, float]:
        values = {f"{PREFIX}wsi_{name}": of(ncsm) for name, of in _WSI.items()}
        return values | self._with_reference(
            "sai", lambda semantic: alignments(ncsm, semantic, ["cosine"], permutations=0, draws=0)["cosine"]
        )

    def _of_mistakes(self, counts: NDArray[np.int64], ncsm: NDArray[np.float32] | None) -> dict[str, float]:
        if ncsm is None:
            self.reasons["nidm"] = self.reasons["wsi"]
        values = {} if ncsm is None else self._beside_chance("nidm", idm(counts, ncsm)["errors"])
        return values | self._with_reference("widm", lambda semantic: idm(counts, semantic)["errors"])

    def _with_reference(self, quantity: str, measure: Callable[[NDArray[np.float32]], Entry]) -> dict[str, float]:
        if self._semantic is None:
            self.reasons[quantity] = str(self._no_reference)
            return {}
        return self._beside_chance(quantity, measure(self._semantic))

    def _beside_chance(self, quantity: str, entry: Entry) -> dict[str, float]:
        """Return a similarity index with its chance level, or not at all; what is null has no key."""
        parts = {"": entry.value, "_chance": entry.null_mean, "_excess": entry.excess, "_z": entry.z}
        known = {
            f"{PREFIX}{quantity}{part}": value for part, value in parts.items() if value is not None and isfinite(value)
        }
        if len(known) < len(parts):
            self.reasons[quantity] = (entry.reason or "not finite").partition("; ")[0]
        return known if entry.value is not None and entry.null_mean is not None else {}

    def _guarded(self, quantities: tuple[str, ...], measure: Callable[[], _T], is_first: bool) -> _T | None:
        """Return what is measured; None where it fails, with the reason, unless the caller can still mend it."""
        try:
            return measure()
        except Exception as error:  # no failure, of ours or of the user's data, may end a training
            if is_first and isinstance(error, UsageError):
                raise
            reason = str(error) if isinstance(error, DsiError) else f"{type(error).__name__}: {error}"
        self.reasons |= dict.fromkeys(quantities, reason)
        self._logged.add(reason)
        if not self._has_warned:
            self._has_warned = True
            left_out = f"dsi leaves out {', '.join(quantities)} of this epoch: {reason}"
            warnings.warn(f"{left_out} (later failures: Tracker.reasons)", stacklevel=3)
        return None

    def _log_reasons(self) -> None:
        for reason in dict.fromkeys(self.reasons.values()):
            if reason not in self._logged:
                self._logged.add(reason)
                names = [name for name, why in self.reasons.items() if why == reason]
                _log.warning("not all of %s: %s", ", ".join(names), reason)


def _is_weight(model: Any) -> bool:
    return hasattr(model, "shape") and not hasattr(model, "state_dict")


def _array(counts: Any) -> NDArray[np.int64]:
    found = counts() if callable(counts) else counts
    return np.asarray(found.cpu() if hasattr(found, "cpu") else found, dtype=np.int64)


def _confusion(model: Any, loader: Iterable[Any], classes: int | None) -> Any:
    from dsi_cli.callbacks.counting import confusion

    assert classes is not None
    if not hasattr(model, "modules"):
        raise UsageError(f"a pass over a loader needs the model itself, not a {type(model).__name__}")
    return confusion(model, loader, classes)
