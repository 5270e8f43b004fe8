"""Curves for Keras' ``fit``, in its ``History`` and in the callbacks that follow, for
example ``CSVLogger``; with any backend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.callbacks.tracker import Tracker

try:
    from keras import callbacks, ops
except ModuleNotFoundError as error:
    if error.name != "keras":  # the backend is missing
        raise
    raise ImportError("KerasCallback needs keras; run pip install keras") from None


class KerasCallback(callbacks.Callback):  # type: ignore[misc]
    """A callback that adds the values of `Tracker` to the logs of each epoch. With
    labels, the tracker warns of strong suspects.

    Parameters
    ----------
    labels, head : as in `Tracker`; ``head`` is the path of a variable, such as
        ``sequential/dense/kernel``.
    validation : batches of (images, targets), for NIDM and WIDM from a separate pass.
        The targets are class indices ``(N,)`` or one-hot rows ``(N, C)``.

    Raises
    ------
    UsageError
        The errors of `Tracker`. When ``fit`` begins: no classifier, or a wrong number
        of labels.

    Examples
    --------
    ``model.fit(x, y, callbacks=[KerasCallback(labels="cifar10")])``

    After the training, these lines store what names mislabelled images:
    ``np.save("ckpts/preds_train.npy", model.predict(x).argmax(-1))`` and
    ``np.save("ckpts/targets_train.npy", y)``.
    """

    def __init__(
        self,
        labels: str | PathLike[str] | Sequence[str] | None = None,
        *,
        head: str | None = None,
        validation: Iterable[Any] | None = None,
    ) -> None:
        super().__init__()
        self.tracker = Tracker(labels, head=head)
        self.validation = validation

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 (Keras' name)
        """Find the classifier before the training."""
        self.tracker.start(self._weights())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 (Keras' name)
        """Compute the values, and add them to the logs."""
        counts = None if self.validation is None else self._counts
        values = self.tracker(self._weights(), counts)
        if logs is not None:
            logs.update(values)

    def _weights(self) -> dict[str, NDArray[Any]]:
        """Return the parameters by path, in the order of the layers."""
        return {
            variable.path: ops.convert_to_numpy(variable)
            for variable in self.model.weights
        }

    def _counts(self) -> NDArray[np.int64]:
        """Return the confusion counts ``(C, C)`` on the validation data."""
        classes = self.tracker.classes
        assert self.validation is not None
        assert classes is not None
        counts = np.zeros((classes, classes), dtype=np.int64)
        for images, targets in self.validation:
            outputs = self.model(images, training=False)
            predicted = ops.convert_to_numpy(outputs).argmax(axis=-1)
            true = ops.convert_to_numpy(targets)
            if true.ndim > 1:
                true = true.argmax(axis=-1)
            np.add.at(counts, (true.astype(np.intp), predicted), 1)
        return counts
