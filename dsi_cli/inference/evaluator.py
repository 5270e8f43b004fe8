"""A model on decoded images: what it answers, in one pass, whatever is wanted of it.

With templates the samples are taken class by class, so that the features of one class alone are in memory; a network in
evaluation mode gives each sample the same answer in any company. Features are what the classifier's module takes in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dsi_cli.errors import UnreadableError, UsageError
from dsi_cli.inference.features import Features, tensor_of
from dsi_cli.inference.precision import full_precision
from dsi_cli.metrics import typicality
from dsi_cli.predictions.result import EvaluationResult, FeatureTemplates, Predictions
from dsi_cli.similarity.confusion import confusion_counts

_log = logging.getLogger(__name__)

BATCH_BYTES = 32 << 20
"""Of one batch of float32 images, where the batch size is not given."""
LARGEST_BATCH = 512
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
Batches = Callable[[NDArray[np.int64], int], Iterator[NDArray[Any]]]
"""(the order of samples, batch size) -> arrays ``(b, channels, height, width)``."""


@dataclass(frozen=True)
class Split:
    """A labelled split, ready for any number of checkpoints."""

    targets: NDArray[np.int64]
    """``(N,)``, the classifier's class numbers."""
    batches: Batches
    samples: NDArray[np.int64]
    """``(N,)``, each one's number in the data."""
    paths: list[str | None]


@dataclass
class Evaluator:
    """A model on a device; its weights may change between calls."""

    model: torch.nn.Module
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    device: str = "cpu"
    batch_size: int | None = None
    """None: what `BATCH_BYTES` hold; halved where the memory is not enough, and kept so."""
    autocast: bool = False
    _fitting: int = field(default=LARGEST_BATCH, init=False)

    def __post_init__(self) -> None:
        """Put the model where it runs; convolutions are fastest with channels last."""
        has_convolutions = any(parameter.dim() == 4 for parameter in self.model.parameters())
        self._layout = torch.channels_last if has_convolutions else torch.contiguous_format
        self.model.to(self.device)
        if has_convolutions and not isinstance(self.model, torch.jit.ScriptModule):
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.eval()
        shape = (1, -1, 1, 1)
        self._mean = None if self.mean is None else torch.tensor(self.mean, device=self.device).view(shape)
        self._std = None if self.std is None else torch.tensor(self.std, device=self.device).view(shape)

    def answer(
        self,
        split: Split,
        classes: int,
        head: str | None,
        *,
        has_classifier: bool = True,
        templates: bool = False,
        kept: slice = slice(None),
        seed: int = 0,
        progress: Callable[[int], None] = lambda _: None,
    ) -> EvaluationResult:
        """Return what the model answers on a split.

        Parameters
        ----------
        classes : the classes that are compared: columns of its outputs
        head : name of the module that is the classifier
        has_classifier : if not, the model's outputs are features
        templates : whether features are wanted
        kept : which columns these are (no rows for background)
        seed : of the typicality's chance level
        progress : called with the number of samples done

        Raises
        ------
        UnreadableError
            The outputs are NaN or infinite, or not ``(batch, classes)``.
        UsageError
            The features cannot be had, or one sample alone is too much for the memory.
        """
        _log.debug("%d samples on %s, torch %s", len(split.targets), self.device, torch.__version__)
        order = np.argsort(split.targets, kind="stable") if templates else np.arange(len(split.targets))
        accumulator = _Accumulator(split, classes, seed, has_classifier=has_classifier)
        with Features(self.model, head if templates and has_classifier else None) as features:
            for rows, outputs in self._passes(split, order):
                logits = self._logits(outputs, (len(rows), classes), kept) if has_classifier else None
                accumulator.take(rows, logits, features.of(None if has_classifier else outputs, len(rows)))
                progress(len(rows))
        return accumulator.answer()

    def _passes(self, split: Split, order: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        """Yield the sample numbers of each batch and the model's outputs; batches shrink where the memory is not enough."""
        done = 0
        while done < len(order):
            size = self._size(split, order)
            for images in split.batches(order[done:], size):
                rows = order[done : done + len(images)]
                outputs = self._forward(images)
                if outputs is None:
                    break  # again, with smaller batches
                yield rows, outputs
                done += len(rows)

    def _size(self, split: Split, order: NDArray[np.int64]) -> int:
        if self.batch_size is None:
            one = next(iter(split.batches(order[:1], 1)))
            self.batch_size = int(max(1, min(LARGEST_BATCH, BATCH_BYTES // (one[0].size * 4))))
        return min(self.batch_size, self._fitting)

    def _forward(self, images: NDArray[Any]) -> torch.Tensor | None:
        """Return the model's outputs; None where the memory was not enough, after halving the batch."""
        try:
            with (
                torch.inference_mode(),
                full_precision(),
                torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.autocast),
            ):
                return tensor_of(self.model(self._input(images)))
        except UsageError:
            raise
        except (RuntimeError, MemoryError) as error:
            is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
            if not (is_memory or any(words in str(error).lower() for words in _OUT_OF_MEMORY)):
                raise UsageError(f"the model cannot take these images: {first_line(error)}") from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 (the user's code may raise anything)
            raise UsageError(f"the model cannot take these images: {type(error).__name__}: {first_line(error)}") from None
        if len(images) == 1:
            raise UsageError("one image alone is too much for the memory: try --device cpu or a smaller --image-size")
        self._fitting = len(images) // 2
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        return None

    def _input(self, images: NDArray[Any]) -> torch.Tensor:
        """Return a batch as the model takes it; the same steps as torchvision's ToTensor and Normalize, to the last bit."""
        tensor = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, non_blocking=True)
        if images.dtype == np.uint8:
            tensor = tensor.to(torch.float32).div_(255)
            if self._mean is not None:
                tensor.sub_(self._mean)
            if self._std is not None:
                tensor.div_(self._std)
        return tensor.contiguous(memory_format=self._layout)

    def _logits(self, outputs: torch.Tensor, expected: tuple[int, int], kept: slice) -> NDArray[np.float32]:
        if outputs.dim() != 2 or outputs[:, kept].shape != expected:
            shape = tuple(outputs.shape)
            raise UnreadableError(f"the model's outputs have shape {shape}; expected {expected}: images, classes")
        logits: NDArray[np.float32] = outputs[:, kept].float().cpu().numpy()
        if not np.isfinite(logits).all():
            raise UnreadableError("the model's outputs are NaN or infinite")
        return logits


class _Accumulator:
    """The predictions of all batches; features are reduced class by class, so that one class alone is in memory."""

    def __init__(self, split: Split, classes: int, seed: int, *, has_classifier: bool) -> None:
        self.split, self.classes, self.seed, self.has_classifier = split, classes, seed, has_classifier
        count = len(split.targets)
        self.predictions = np.full(count, -1, dtype=np.int64)
        self.scores = np.zeros(count, dtype=np.float32)
        self.loss, self.top5 = 0.0, 0
        self.sums: dict[int, NDArray[np.float64]] = {}
        self.rows: list[dict[str, Any]] = []
        self.histograms = np.zeros((2, typicality.BINS), dtype=np.int64)
        self._class: int | None = None
        self._held: list[NDArray[np.float64]] = []
        self._right: list[NDArray[np.bool_]] = []

    def take(
        self, rows: NDArray[np.int64], logits: NDArray[np.float32] | None, features: NDArray[np.float64] | None
    ) -> None:
        """Take one batch."""
        targets = self.split.targets[rows]
        if logits is not None:
            self._take_logits(rows, targets, logits)
        if features is None:
            return
        is_right = self.predictions[rows] == targets
        for number in np.unique(targets):
            mine = targets == number
            if number != self._class:
                self._close()
                self._class = int(number)
            self._held.append(features[mine])
            self._right.append(is_right[mine])

    def _take_logits(self, rows: NDArray[np.int64], targets: NDArray[np.int64], logits: NDArray[np.float32]) -> None:
        wide = logits.astype(np.float64)
        largest = wide.max(axis=1)
        self.predictions[rows] = logits.argmax(axis=1)
        log_sum = largest + np.log(np.exp(wide - largest[:, None]).sum(axis=1))
        self.scores[rows] = np.exp(largest - log_sum)
        of_truth = wide[np.arange(len(rows)), targets]
        self.loss += float((log_sum - of_truth).sum())
        self.top5 += int(((wide > of_truth[:, None]).sum(axis=1) < 5).sum())

    def _close(self) -> None:
        """Reduce the features of the class that is complete."""
        if self._class is None:
            return
        features, is_right = np.concatenate(self._held), np.concatenate(self._right)
        self.sums[self._class] = features.sum(axis=0)
        if self.has_classifier:
            found = typicality.class_typicality(features, is_right, (self.seed, self._class))
            for flag, group in ((True, found.right), (False, found.wrong)):
                self.rows.append({"class_index": self._class, "correct": flag, **vars(group)})
                self.histograms[int(flag)] += typicality.cosine_histogram(found.cosines[is_right == flag])
        self._held, self._right, self._class = [], [], None

    def answer(self) -> EvaluationResult:
        """Return what the network gives on the whole split."""
        self._close()
        if not self.has_classifier:
            return EvaluationResult(templates=self._templates())
        targets, split = self.split.targets, self.split
        counts = confusion_counts(targets, self.predictions, self.classes)
        outcome = Predictions(counts, targets, self.predictions, self.scores, split.samples, split.paths)
        top5 = self.top5 if self.classes > 5 else None
        return EvaluationResult(outcome, self.loss / len(targets), top5, self._templates())

    def _templates(self) -> FeatureTemplates | None:
        if not self.sums:
            return None
        sums = np.zeros((self.classes, len(next(iter(self.sums.values())))))
        for number, total in self.sums.items():
            sums[number] = total
        numbers = np.bincount(self.split.targets, minlength=self.classes)
        return FeatureTemplates(sums, numbers, self.rows, self.histograms.tolist())


def device_of(asked: str) -> str:
    """Return the device that ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` means here.

    Raises
    ------
    UsageError
        There is no such device.
    """
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=asked)
    except Exception as error:  # noqa: BLE001 (each back end says in its own way that it is not there)
        raise UsageError(f"--device {asked} is not there: {first_line(error)}; try auto or cpu") from None
    return asked


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip().splitlines() or ["no message"])[0][:300]
