"""Curves for a Hugging Face ``Trainer``, in its ``log_history`` and in all its
reporters.

The callback needs the trainer, because only ``Trainer.log`` writes to ``log_history``
and to all reporters.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import torch

from dsi_cli.callbacks import counting
from dsi_cli.callbacks.tracker import Tracker
from dsi_cli.errors import UsageError
from dsi_cli.labels import index_maps

try:
    from transformers import TrainerCallback
except ImportError:
    raise ImportError(
        "HuggingFaceCallback needs transformers; run pip install"
        " 'dsi-cli[transformers]'"
    ) from None


class HuggingFaceCallback(TrainerCallback):  # type: ignore[misc]
    """A callback that logs the values of `Tracker` at the end of each epoch with
    ``trainer.log``. With labels, the tracker warns of strong suspects.

    Parameters
    ----------
    trainer : the ``Trainer`` to which the callback is added.
    labels, head : as in `Tracker`; without labels, the names in the model's
        ``config.id2label``, if any.
    validation : bool Whether to compute NIDM and WIDM, from a separate pass over the
        (first) evaluation data by ``trainer.prediction_step``.

    Raises
    ------
    UsageError
        The errors of `Tracker`. When ``train`` begins: no classifier, a wrong number of
        labels, or no evaluation data.

    Examples
    --------
    ``trainer.add_callback(HuggingFaceCallback(trainer, labels="cifar100",
    validation=True))``

    After the training, these lines store what names mislabelled images. The images of
    ``found = trainer.predict(train_data)`` are without augmentation:
    ``np.save("out/preds_train.npy", found.predictions.argmax(-1))`` and
    ``np.save("out/targets_train.npy", found.label_ids)``.
    """

    def __init__(
        self,
        trainer: Any,
        labels: str | PathLike[str] | Sequence[str] | None = None,
        *,
        head: str | None = None,
        validation: bool = False,
    ) -> None:
        self.trainer = trainer
        if labels is None:
            # The model's config may have class names.
            to_dict = getattr(getattr(trainer.model, "config", None), "to_dict", None)
            found = None if to_dict is None else index_maps.from_metadata(to_dict())
            labels = None if found is None else found.names
        self.tracker = Tracker(labels, head=head)
        self.validation = validation
        self._loader: Any = None

    def on_train_begin(
        self, _args: Any, _state: Any, _control: Any, model: Any = None, **_rest: Any
    ) -> None:
        """Find the classifier before the training."""
        self.tracker.start(model)
        if self.validation and self.trainer.eval_dataset is None:
            message = (
                "validation=True needs the Trainer's eval_dataset; this one has none"
            )
            raise UsageError(message, code="no-validation-data")

    def on_epoch_end(
        self, _args: Any, _state: Any, control: Any, model: Any = None, **_rest: Any
    ) -> None:
        """Compute and log the values in every process, as the trainer does."""
        counts = (lambda: self._counts(model)) if self.validation else None
        values = self.tracker(model, counts)
        # logging resets the flag, and then the trainer would not log its loss
        should_log = control.should_log
        if values:
            self.trainer.log(values)
        control.should_log = should_log

    def _counts(self, model: torch.nn.Module) -> torch.Tensor:
        classes, trainer = self.tracker.classes, self.trainer
        assert classes is not None

        def run_batch(batch: Any) -> tuple[Any, torch.Tensor]:
            _, logits, targets = trainer.prediction_step(
                model, batch, prediction_loss_only=False
            )
            return logits, targets

        def count() -> torch.Tensor:
            if self._loader is None:
                data = trainer.eval_dataset
                self._loader = trainer.get_eval_dataloader(
                    next(iter(data)) if isinstance(data, dict) else None
                )
            return counting.confusion(model, self._loader, classes, run_batch)

        def add(counts: torch.Tensor) -> Any:
            return trainer.accelerator.reduce(
                counts.to(trainer.args.device), reduction="sum"
            )

        return counting.pooled(count, classes, add)
