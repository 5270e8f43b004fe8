"""The curves of a Lightning training, in whatever logger it has; for ``lightning.pytorch`` and ``pytorch_lightning`` alike.

Every process measures (they wait for each other anyway), process zero logs: so the values are in ``trainer.callback_metrics``
of process zero alone, and cannot steer a training of several processes.
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
        raise ImportError("LightningCallback needs the package lightning: pip install 'dsi-cli[lightning]'") from None


class LightningCallback(Callback):  # type: ignore[misc]
    """`Tracker`'s values at the end of each training epoch, by ``log_dict``.

    Parameters
    ----------
    labels, head : as for `Tracker`
    validation : bool
        Also NIDM and WIDM, from a pass of its own over the (first) validation loader: the module's ``forward`` gives logits for
        the first item of a batch, the second holds the targets.

    Raises
    ------
    UsageError
        As for `Tracker`; and when ``fit`` begins: no classifier, another number of labels, no validation loader.
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
        """Find the classifier, before anything is trained."""
        self.tracker.start(pl_module)
        if self.validation and not trainer.enable_validation:
            raise UsageError("validation=True needs a validation loader and a validation_step; this training has none")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure, and log on process zero."""
        counts = (lambda: self._counts(trainer, pl_module)) if self.validation else None
        values = self.tracker(pl_module, counts)
        if trainer.is_global_zero:
            # sync_dist does nothing beside rank_zero_only, but keeps Lightning from asking for it at each key
            pl_module.log_dict(values, rank_zero_only=True, sync_dist=True)

    def _counts(self, trainer: Any, pl_module: Any) -> torch.Tensor:
        classes = self.tracker.classes
        assert classes is not None
        precision, strategy = trainer.precision_plugin, trainer.strategy

        def answer(batch: Any) -> tuple[Any, torch.Tensor]:
            moved = strategy.batch_to_device(precision.convert_input(batch), dataloader_idx=0)
            inputs, targets = counting.split(moved)
            return pl_module(**inputs) if isinstance(inputs, dict) else pl_module(inputs), targets

        def count() -> torch.Tensor:
            with _validating(trainer), precision.val_step_context():
                return counting.confusion(pl_module, _Batches(trainer), classes, answer)

        def add(counts: torch.Tensor) -> Any:
            return strategy.reduce(counts.to(strategy.root_device), reduce_op="sum")

        return counting.pooled(count, classes, add)


class _Batches:
    """The validation batches that the trainer itself would run."""

    def __init__(self, trainer: Any) -> None:
        loaders, most = trainer.val_dataloaders, trainer.num_val_batches
        self._loader: Iterable[Any] = loaders[0] if isinstance(loaders, list | tuple) else loaders
        self._most = most[0] if isinstance(most, list | tuple) else most
        self.generator = getattr(self._loader, "generator", None)

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._loader), None if isinf(self._most) else int(self._most))


@contextmanager
def _validating(trainer: Any) -> Iterator[None]:
    """Let the user's hooks see a validation: many augment batches where ``trainer.training``."""
    trainer.validating = True
    try:
        yield
    finally:
        trainer.training = True
