"""Decode the images of a split: once into memory, or again for each checkpoint if they
need more memory than is free.

Threads decode a few tasks ahead of the reader, because Pillow and zlib release the
interpreter lock. Tensors of a custom data set are not transformed.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from dsi_cli.engines import usable_cores
from dsi_cli.engines.local import run_in_order
from dsi_cli.errors import UsageError, wrong
from dsi_cli.inference.dataset import Samples
from dsi_cli.inference.image_folder import reason_not_decoded

SAMPLES_PER_PROGRESS = 64  # number of samples between two calls of ``progress``
# number of samples that a thread decodes in one task; two tasks per thread are queued
SAMPLES_PER_TASK = 16

Pixels: TypeAlias = "NDArray[np.uint8] | NDArray[np.float32]"
Transform: TypeAlias = Callable[[Image], Pixels]


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """The images of a split as inputs of a model.

    Attributes
    ----------
    samples : the split.
    transform : the function from an image to ``(channels, height, width)``.
    kept : ``(n,)``, the numbers of the samples that can be decoded.
    bad : location and reason of each sample that cannot be decoded.
    pixels : ``(n, channels, height, width)``, uint8, or float32 if the images are
        normalised; None if they are decoded again for each use.
    """

    samples: Samples
    transform: Transform
    kept: NDArray[np.int64]
    bad: list[tuple[str, str]]
    pixels: Pixels | None

    def batches(self, order: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
        """Yield the images with these indices in ``kept``, ``size`` at a time."""
        if self.pixels is not None:
            for start in range(0, len(order), size):
                yield self.pixels[order[start : start + size]]
            return
        numbers = self.kept[order].tolist()
        with contextlib.closing(stream(self.samples, self.transform, numbers)) as rows:
            while batch := list(itertools.islice(rows, size)):
                yield np.stack([pixels for _, pixels in batch])


def decode(
    samples: Samples,
    transform: Transform,
    *,
    memory: int,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> DecodedImages:
    """Return the images of a split; they are kept if all need at most ``memory`` bytes.

    Raise `UsageError` if samples cannot be decoded and ``skip_bad`` is false, or if no
    sample can be decoded.
    """
    pixels: Pixels | None = None
    kept: list[int] = []
    bad: list[tuple[str, str]] = []

    def report() -> None:
        done = len(kept) + len(bad)
        if done % SAMPLES_PER_PROGRESS == 0 or done == len(samples):
            progress(done, len(samples))

    def leave_out(sample: int, reason: str) -> None:
        bad.append((samples.locate(sample), reason))
        report()

    order = range(len(samples))
    with contextlib.closing(stream(samples, transform, order, leave_out)) as rows:
        for sample, row in rows:
            if not kept and row.nbytes * len(samples) <= memory:
                pixels = np.empty((len(samples), *row.shape), dtype=row.dtype)
            if pixels is not None:
                pixels[len(kept)] = row
            kept.append(sample)
            report()
    if bad and not (skip_bad and kept):
        remedy = "replace them"
        if kept and not skip_bad:
            remedy += ", or give skip_bad_images=True in Python to leave them out"
        path, reason = bad[0]
        message = (
            f"{len(bad):,} of {len(samples):,} images cannot be decoded, such as"
            f" {path} ({reason}); {remedy}"
        )
        raise UsageError(message, code="bad-images", bad=len(bad), samples=len(samples))
    if pixels is not None:
        pixels = pixels[: len(kept)]
    return DecodedImages(
        samples, transform, np.array(kept, dtype=np.int64), bad, pixels
    )


def stream(
    samples: Samples,
    transform: Transform,
    order: Sequence[int],
    on_bad: Callable[[int, str], None] | None = None,
) -> Generator[tuple[int, Pixels], None, None]:
    """Yield (sample number, decoded image) in a given order; the caller must exhaust or
    close the generator.

    Raise `UsageError` if images differ in shape or type, a tensor is not an image, or a
    sample cannot be decoded.

    Parameters
    ----------
    samples : the samples to decode; if they are not thread-safe, only the calling
        thread decodes.
    transform : a function from a PIL image to (channels, height, width); it is not
        applied to tensors.
    on_bad : a function that is called with the number of a sample that cannot be
        decoded, and the reason, instead of an error.
    """
    # Pillow warns about odd metadata and about images above 90 megapixels. The filter
    # stays in the process: `warnings.catch_warnings` is not thread-safe, and
    # alternating streams would restore each other's filters.
    warnings.filterwarnings("ignore", module=r"PIL\.")

    def decode_task(numbers: Sequence[int]) -> list[tuple[int, Pixels | str]]:
        return [
            (number, _decode_sample(samples, number, transform)) for number in numbers
        ]

    tasks = (
        order[start : start + SAMPLES_PER_TASK]
        for start in range(0, len(order), SAMPLES_PER_TASK)
    )
    cores = usable_cores()
    if samples.is_threadsafe and cores > 1:
        results: Iterator[list[tuple[int, Pixels | str]]] = run_in_order(
            decode_task, tasks, cores
        )
    else:
        results = map(decode_task, tasks)
    first: tuple[int, Pixels] | None = None
    for sample, row in itertools.chain.from_iterable(results):
        if isinstance(row, str):
            if on_bad is None:
                raise UsageError(
                    f"{samples.locate(sample)} cannot be decoded ({row})",
                    hint="give skip_bad_images=True in Python to leave it out",
                    code="bad-image",
                    sample=sample,
                    reason=row,
                )
            on_bad(sample, row)
            continue
        if first is None:
            first = (sample, row)
        _require_same_size(samples, first, (sample, row))
        yield sample, row


def _require_same_size(
    samples: Samples, first: tuple[int, Pixels], second: tuple[int, Pixels]
) -> None:
    """Raise `UsageError` if two decoded samples differ in shape or type."""
    (_, a), (_, b) = first, second
    if a.shape == b.shape and a.dtype == b.dtype:
        return
    found = " and ".join(
        f"{samples.locate(number)} is {pixels.dtype} of shape {pixels.shape}"
        for number, pixels in (first, second)
    )
    message = (
        "expected images of one size (channels, height, width) after the transform,"
        f" found that {found}"
    )
    raise UsageError(message, hint="give --image-size", code="image-sizes")


def _decode_sample(samples: Samples, number: int, transform: Transform) -> Pixels | str:
    """Return a decoded sample, or the reason why it cannot be decoded; tensors become
    uint8 or float32.
    """
    try:
        image = samples.image(number)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (decoders may raise anything)
        return reason_not_decoded(error)
    if isinstance(image, Image):
        return transform(image)
    is_float = image.is_floating_point()
    if is_float:
        image = image.float()
    array: NDArray[Any] = image.detach().cpu().numpy()
    if array.ndim != 3 or not (is_float or array.dtype == np.uint8):
        raise wrong(
            samples.locate(number),
            "a tensor of (channels, height, width), floats or uint8",
            f"{array.dtype} of shape {array.shape}; return another, or a PIL image",
            code="not-an-image-tensor",
            shape=array.shape,
        )
    return array
