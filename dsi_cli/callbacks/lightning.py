"""Curves for a Lightning training, in all its loggers; for ``lightning.pytorch`` and
``pytorch_lightning``.

Every process computes the values, because the processes wait for each other, but only
process zero logs them. The values are therefore only in the
``trainer.callback_metrics`` of process zero, and cannot control a training with several
processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from math import isinf
from os import PathLike
from typing import Any

import torch

from dsi_cli.callbacks import counting
from dsi_cli.callbacks.tracker import Tracker
from dsi_cli.errors import UsageError

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError:
        raise ImportError(
            "LightningCallback needs the package lightning; run pip install"
            " 'dsi-cli[lightning]'"
        ) from None


class LightningCallback(Callback):  # type: ignore[misc]
    """A callback that logs the values of `Tracker` at the end of each training epoch
    with ``log_dict``. With labels, the tracker warns of strong suspects.

    Parameters
    ----------
    labels, head : as in `Tracker`.
    validation : bool Whether to compute NIDM and WIDM, from a separate pass over the
        (first) validation loader. The module's ``forward`` returns logits for the first
        item of a batch; the second item holds the targets.

    Raises
    ------
    UsageError
        The errors of `Tracker`. When ``fit`` begins: no classifier, a wrong number of
        labels, or no validation loader.

    Notes
    -----
    The notes of `Tracker` say how to store predictions on the training images, which
    name mislabelled images.
    """

    def __init__(
        self,
        labels: str | PathLike[str] | Sequence[str] | None = None,
        *,
        head: str | None = None,
        validation: bool = False,
    ) -> None:
        self.tracker = Tracker(labels, head=head)
        self.validation = validation

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Find the classifier before the training."""
        self.tracker.start(pl_module)
        if self.validation and not trainer.enable_validation:
            message = (
                "validation=True needs a validation loader and a validation_step; this"
                " training has none"
            )
            raise UsageError(message, code="no-validation-data")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Compute the values, and log them on process zero."""
        counts = (lambda: self._counts(trainer, pl_module)) if self.validation else None
        values = self.tracker(pl_module, counts)
        if trainer.is_global_zero:
            # With rank_zero_only, sync_dist has no effect, but it stops Lightning from
            # recommending it for each key.
            pl_module.log_dict(values, rank_zero_only=True, sync_dist=True)

    def _counts(self, trainer: Any, pl_module: Any) -> torch.Tensor:
        classes = self.tracker.classes
        assert classes is not None
        precision, strategy = trainer.precision_plugin, trainer.strategy

        def run_batch(batch: Any) -> tuple[Any, torch.Tensor]:
            moved = strategy.batch_to_device(
                precision.convert_input(batch), dataloader_idx=0
            )
            inputs, targets = counting.split(moved)
            return (
                pl_module(**inputs) if isinstance(inputs, dict) else pl_module(inputs)
            ), targets

        def count() -> torch.Tensor:
            with _validating(trainer), precision.val_step_context():
                return counting.confusion(
                    pl_module, _Batches(trainer), classes, run_batch
                )

        def add(counts: torch.Tensor) -> Any:
            return strategy.reduce(counts.to(strategy.root_device), reduce_op="sum")

        return counting.pooled(count, classes, add)


class _Batches:
    """The validation batches that the trainer would run."""

    def __init__(self, trainer: Any) -> None:
        loaders, limits = trainer.val_dataloaders, trainer.num_val_batches
        self._loader: Iterable[Any] = (
            loaders[0] if isinstance(loaders, list | tuple) else loaders
        )
        self._limit = limits[0] if isinstance(limits, list | tuple) else limits
        self.generator = getattr(self._loader, "generator", None)

    def __iter__(self) -> Iterator[Any]:
        return islice(
            iter(self._loader), None if isinf(self._limit) else int(self._limit)
        )


@contextmanager
def _validating(trainer: Any) -> Iterator[None]:
    """Mark the pass as a validation, because many hooks of users augment batches if
    ``trainer.training`` is set.
    """
    trainer.validating = True
    try:
        yield
    finally:
        trainer.training = True
