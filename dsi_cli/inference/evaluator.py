"""Evaluate a model on decoded images in one pass: predictions, loss and templates.

For templates, the samples are processed class by class, so that only the features of
one class are in memory. The order does not matter, because a network in evaluation mode
processes samples independently. Features are the inputs of the classifier module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from dsi_cli.errors import UnreadableError, UsageError, first_line
from dsi_cli.metrics import neural_collapse, typicality
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import MAX_DENSE_CLASSES, confusion_counts, template_similarity

_log = logging.getLogger(__name__)
# maximum size of a batch of float32 images if the user does not give the batch size
BATCH_BYTES = 32 << 20
MAX_KEPT_BYTES = 128 << 20
"""The maximum size of the features that are kept for neural collapse; of more samples,
every second, third, ... is kept.
"""
MAX_BATCH_SIZE = 512
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
Ints: TypeAlias = NDArray[np.int64]
Batches = Callable[[Ints, int], Iterator[NDArray[Any]]]
"""A function from (the order of samples, batch size) to an iterator of arrays ``(b,
channels, height, width)``.
"""


def tensor_of(
    outputs: Any, widths: Collection[int] = (), from_head: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the logits or the features from the outputs of a model.

    The logits among several outputs, such as features or the logits of another head,
    are those of the classifier module if they are known, or else the first of one of
    the widths.
    """
    for name in ("logits", "pooler_output", "image_embeds", "last_hidden_state"):
        if isinstance(outputs, Mapping):
            tensor = outputs.get(name)
        else:
            tensor = getattr(outputs, name, None)
        if isinstance(tensor, torch.Tensor):
            return tensor[:, 0] if name == "last_hidden_state" else tensor
    if isinstance(outputs, tuple | list) and outputs:
        tensors = [
            one for one in outputs if isinstance(one, torch.Tensor) and one.dim() == 2
        ]
        tensors = [one for one in tensors if one is from_head] or [
            one for one in tensors if one.shape[1] in widths
        ]
        outputs = (tensors or outputs)[0]
    if not isinstance(outputs, torch.Tensor):
        kind = type(outputs).__name__
        message = f"the model returns a {kind}; expected a tensor of (batch, classes)"
        raise UsageError(message, code="not-a-tensor", type=kind)
    return outputs


@contextmanager
def record_head(
    model: torch.nn.Module, head: str | None
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield a mapping that receives the ``input`` and the ``output`` of the classifier
    module when the model runs.

    It stays empty without a head.
    """
    recorded: dict[str, torch.Tensor] = {}
    module = dict(model.named_modules()).get(head) if head else None
    if module is None:
        yield recorded
        return

    def record(
        _module: torch.nn.Module,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
        output: Any,
    ) -> None:
        recorded.update(
            input=arguments[0] if arguments else next(iter(named.values())),
            output=output,
        )

    hook = module.register_forward_hook(record, with_kwargs=True)
    try:
        yield recorded
    finally:
        hook.remove()


def feature_array(tensor: torch.Tensor, rows: int) -> NDArray[np.float64]:
    """Return features ``(rows, d)`` as a finite array; those of feature maps are their
    means over the positions.
    """
    if tensor.dim() == 4:
        tensor = tensor.mean((2, 3))
    if tensor.dim() != 2 or len(tensor) != rows:
        shape = tuple(tensor.shape)
        message = (
            f"the features have shape {shape}; expected (batch, width), one row per"
            " sample"
        )
        raise UsageError(message, code="feature-shape", shape=shape)
    features: NDArray[np.float64] = tensor.cpu().double().numpy()
    if not np.isfinite(features).all():
        raise UnreadableError(
            "the model's features are NaN or infinite", code="features-not-finite"
        )
    return features


@dataclass(frozen=True)
class Split:
    """A labelled split, ready for any number of checkpoints."""

    targets: Ints  # ``(N,)``, the classifier's class numbers
    batches: Batches
    samples: Ints  # ``(N,)``, the number of each sample in the data
    paths: list[str | None]


@dataclass
class Evaluator:
    """A model on a device; its weights may change between calls."""

    model: torch.nn.Module
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    device: str = "cpu"
    batch_size: int | None = None
    """None for batches of at most `BATCH_BYTES`."""
    autocast: bool = False

    def __post_init__(self) -> None:
        """Move the model to its device."""
        self.model.to(self.device)
        self.model.eval()
        mean = torch.tensor(self.mean or (0.0,), device=self.device)
        std = torch.tensor(self.std or (1.0,), device=self.device)
        self._mean, self._std = mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)

    def evaluate(
        self,
        split: Split,
        classes: int,
        head: str | None,
        *,
        has_classifier: bool = True,
        templates: bool = False,
        equal_samples: Ints | None = None,
        columns: int | None = None,
        class_columns: slice = slice(None),
        seed: int = 0,
        progress: Callable[[int], None] = lambda _: None,
    ) -> EvaluationResult:
        """Return the evaluation result of the model on a split.

        Raise `UnreadableError` if the outputs are NaN or infinite, or not ``(batch,
        classes)``. Raise `UsageError` if the features are not accessible, or a single
        sample is too large for the memory.

        Parameters
        ----------
        classes : the number of classes, which are columns of the outputs.
        head : the name of the classifier module.
        has_classifier : False if the model's outputs are features.
        equal_samples : the number of samples of each class for second templates, which
            are chosen at random by ``seed``.
        columns : the number of rows of the head, which may have more than the classes;
            None for the number of classes.
        class_columns : the columns of the classes among that many outputs, without rows
            for the background.
        seed : the seed for the chance level of typicality.
        """
        _log.debug(
            "%d samples on %s, torch %s",
            len(split.targets),
            self.device,
            torch.__version__,
        )
        order = np.arange(len(split.targets))
        if templates:
            order = np.argsort(split.targets, kind="stable")
        accumulator = _Accumulator(
            split, classes, seed, equal_samples, has_classifier=has_classifier
        )
        needs_features = templates and has_classifier and head is not None
        widths = {classes, columns or classes} if has_classifier else set()
        with record_head(self.model, head if has_classifier else None) as recorded:
            for rows, outputs in self._outputs_of_batches(
                split, order, widths, recorded
            ):
                logits = features = None
                if has_classifier:
                    _require_shape(outputs, len(rows), widths)
                    # A model may leave out the rows for the background by itself.
                    if outputs.shape[1] != classes:
                        outputs = outputs[:, class_columns]
                    logits = outputs.float().cpu().numpy()
                    if not np.isfinite(logits).all():
                        raise UnreadableError(
                            "the model's outputs are NaN or infinite",
                            code="outputs-not-finite",
                        )
                else:
                    features = feature_array(outputs, len(rows))
                if needs_features:
                    if not recorded:
                        message = (
                            f"the model does not call its classifier {head}: its"
                            " features are not accessible"
                        )
                        raise UsageError(message, code="head-not-called", head=head)
                    features = feature_array(recorded["input"], len(rows))
                accumulator.add(rows, logits, features)
                progress(len(rows))
        vectors = self._class_vectors(head, class_columns) if templates else None
        return accumulator.result(vectors)

    def _class_vectors(
        self, head: str | None, class_columns: slice
    ) -> NDArray[np.float32] | None:
        """Return the rows of the classifier module, or None if it is not a linear
        layer.
        """
        if head is None:
            return None
        weight = getattr(self.model.get_submodule(head), "weight", None)
        if not isinstance(weight, torch.Tensor) or weight.dim() < 2:
            return None
        if weight[0].numel() != weight.shape[1]:
            return None
        rows = weight.detach().float().cpu().numpy().reshape(len(weight), -1)
        return rows[class_columns]

    def _outputs_of_batches(
        self,
        split: Split,
        order: Ints,
        widths: Collection[int],
        recorded: dict[str, torch.Tensor],
    ) -> Iterator[tuple[Ints, torch.Tensor]]:
        """Yield the sample numbers and the outputs of each batch.

        ``recorded`` receives the input and the output of the head in each batch
        (`record_head`).
        """
        if self.batch_size is None:
            first = next(iter(split.batches(order[:1], 1)))
            fitting = BATCH_BYTES // (first[0].size * 4)
            self.batch_size = int(max(1, min(MAX_BATCH_SIZE, fitting)))
        done = 0
        for images in split.batches(order, self.batch_size):
            rows = order[done : done + len(images)]
            yield rows, self._forward(images, widths, recorded)
            done += len(rows)

    def _forward(
        self,
        images: NDArray[Any],
        widths: Collection[int],
        recorded: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """Return the model's outputs; raise `UsageError` if the memory is not sufficient
        (``out-of-memory``).
        """
        autocast = torch.autocast(
            torch.device(self.device).type, torch.bfloat16, enabled=self.autocast
        )
        try:
            with torch.inference_mode(), full_precision(), autocast:
                tensor = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
                if images.dtype == np.uint8:
                    # The values equal those of torchvision's ToTensor and Normalize.
                    tensor = tensor.to(torch.float32).div_(255)
                    tensor = tensor.sub_(self._mean).div_(self._std)
                recorded.clear()
                outputs = self.model(tensor)
                return tensor_of(outputs, widths, recorded.get("output"))
        except UsageError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 (the user's code may raise anything)
            if _is_out_of_memory(error):
                raise UsageError(
                    f"a batch of {len(images)} images is too large for the memory",
                    hint=f"add --batch-size {max(1, len(images) // 4)}, or --device cpu",
                    code="out-of-memory",
                ) from None
            message = (
                f"the model cannot process these images: {type(error).__name__}:"
                f" {first_line(error)}"
            )
            raise UsageError(
                message, hint="check --model and --image-size", code="model-failed"
            ) from None


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of a model means that its batch was too large."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text for words in _OUT_OF_MEMORY
    )


def _require_shape(outputs: torch.Tensor, rows: int, widths: Collection[int]) -> None:
    """Raise `UnreadableError` unless outputs are ``(rows, one of the widths)``."""
    shape = tuple(outputs.shape)
    if len(shape) == 2 and shape[0] == rows and shape[1] in widths:
        return
    expected = (rows, max(widths))
    message = (
        f"the model's outputs have shape {shape}; expected {expected} for images and"
        " classes"
    )
    raise UnreadableError(message, code="output-shape", shape=shape, expected=expected)


class _Accumulator:
    """The predictions of all batches; features are reduced class by class, so that only
    one class is in memory.
    """

    def __init__(
        self,
        split: Split,
        classes: int,
        seed: int,
        equal_samples: Ints | None,
        *,
        has_classifier: bool,
    ) -> None:
        self.split = split
        self.classes = classes
        self.seed = seed
        self.has_classifier = has_classifier
        self.equal_samples = equal_samples
        self.predictions = np.full(len(split.targets), -1, dtype=np.int64)
        self.scores = np.zeros(len(split.targets), dtype=np.float32)
        self.loss, self.top5 = 0.0, 0
        # The samples and features of classes that may be incomplete
        self._batches: dict[int, list[tuple[Ints, NDArray[np.float64]]]] = {}
        # The values of the classes that are complete
        self._sums = self._equal_sums = np.empty((0, 0))
        self._typicality: list[dict[str, Any]] = []
        self._histograms = np.zeros((2, typicality.BINS), dtype=np.int64)
        self._kept_features: list[NDArray[np.float32]] = []
        self._kept_samples: list[Ints] = []

    def add(
        self,
        rows: Ints,
        logits: NDArray[np.float32] | None,
        features: NDArray[np.float64] | None,
    ) -> None:
        """Add one batch of B samples, given by their numbers in the split; in the order
        of their classes if there are features.

        Logits are ``(B, classes)``, or None without a classifier. Features ``(B, d)``
        are the inputs of the classifier, or None without templates.
        """
        targets = self.split.targets[rows]
        if logits is not None:
            wide = logits.astype(np.float64)
            if (wide >= 0).all() and np.allclose(
                wide.sum(axis=1), 1, atol=1e-4
            ):  # the network ends with a softmax
                wide = np.log(np.maximum(wide, np.finfo(np.float32).tiny))
            largest = wide.max(axis=1)
            self.predictions[rows] = logits.argmax(axis=1)
            log_sum = largest + np.log(np.exp(wide - largest[:, None]).sum(axis=1))
            self.scores[rows] = np.exp(largest - log_sum)
            target_logits = wide[np.arange(len(rows)), targets]
            self.loss += float((log_sum - target_logits).sum())
            self.top5 += int(((wide > target_logits[:, None]).sum(axis=1) < 5).sum())
        if features is not None:
            for number in np.unique(targets).tolist():
                is_member = targets == number
                self._batches.setdefault(number, []).append(
                    (rows[is_member], features[is_member])
                )
            # Samples are in the order of their classes, so only the last class is
            # incomplete.
            for number in list(self._batches)[:-1]:
                self._finish_class(number)

    def _finish_class(self, number: int) -> None:
        """Reduce the features of a class, which is complete."""
        samples, features = map(
            np.concatenate, zip(*self._batches.pop(number), strict=True)
        )
        if not self._sums.size:
            self._sums, self._equal_sums = np.zeros(
                (2, self.classes, features.shape[1])
            )
        self._sums[number] = features.sum(axis=0)
        if self.equal_samples is not None:
            order = np.random.default_rng((self.seed, number)).permutation(
                len(features)
            )
            self._equal_sums[number] = features[
                order[: self.equal_samples[number]]
            ].sum(axis=0)
        if self.has_classifier:
            is_right = self.predictions[samples] == number
            result = typicality.class_typicality(
                features, is_right, (self.seed, number)
            )
            for flag, group in ((True, result.right), (False, result.wrong)):
                self._typicality.append(
                    {"class_index": number, "correct": flag, **vars(group)}
                )
                self._histograms[int(flag)] += typicality.cosine_histogram(
                    result.cosines[is_right == flag]
                )
        # Neural collapse needs all means first, so some features of each class are
        # kept.
        size = (
            features.shape[1] * np.dtype(np.float32).itemsize * len(self.split.targets)
        )
        every = -(-size // MAX_KEPT_BYTES)
        self._kept_features.append(features[::every].astype(np.float32))
        self._kept_samples.append(samples[::every])

    def result(self, weight: NDArray[np.float32] | None = None) -> EvaluationResult:
        """Return the evaluation result on the whole split; ``weight`` are the rows of
        the classifier, if they are known.
        """
        for number in list(self._batches):
            self._finish_class(number)
        split, result = self.split, EvaluationResult()
        if self.has_classifier:
            result = EvaluationResult(
                confusion_counts(split.targets, self.predictions, self.classes),
                split.targets,
                self.predictions,
                self.scores,
                split.samples,
                split.paths,
                loss=self.loss / len(split.targets),
                top5=self.top5 if self.classes > 5 else None,
            )
        if not self._sums.size:
            return result
        # Add the values of features. Without a classifier, neural collapse has only NC1
        # and NC2.
        features = np.concatenate(self._kept_features)
        samples = np.concatenate(self._kept_samples)
        predictions = self.predictions[samples] if self.has_classifier else None
        collapse = neural_collapse.collapse_values(
            features, split.targets[samples], predictions, weight, self.seed
        )
        result = replace(
            result,
            typicality=self._typicality,
            histograms=self._histograms.tolist(),
            collapse=collapse,
        )
        if self.classes > MAX_DENSE_CLASSES:
            return result
        numbers = np.bincount(split.targets, minlength=self.classes)
        equal = self.equal_samples
        result = replace(
            result, tncsm=template_similarity(self._sums, numbers), equal_samples=equal
        )
        if equal is not None and (equal > 0).sum() > 1:
            result = replace(
                result, equal_tncsm=template_similarity(self._equal_sums, equal)
            )
        return result


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 convolutions and matrix products without TF32, which keeps only
    10 bits of a factor.

    By default, torch uses TF32 for convolutions on GPUs, which changes predictions near
    a tie.
    """
    earlier: list[tuple[Any, str, Any]] = []
    for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):
        try:
            earlier.append((backend, "allow_tf32", backend.allow_tf32))
        except (
            RuntimeError
        ):  # torch refuses to read the old name after the new one was set
            earlier.append((backend, "fp32_precision", backend.fp32_precision))
    try:
        for backend, name, _ in earlier:
            setattr(backend, name, False if name == "allow_tf32" else "ieee")
        yield
    finally:
        for backend, name, value in earlier:
            setattr(backend, name, value)


def resolve_device(device: str) -> str:
    """Return the device for ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; raise
    `UsageError` if it is not available.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except Exception as error:  # noqa: BLE001 (each back end raises other exceptions)
        message = f"--device {device} is not available: {first_line(error)}"
        raise UsageError(
            message, hint="try auto or cpu", code="unknown-device", device=device
        ) from None
    return device
