"""Samples -> rows, as they are asked for: decoded and transformed, in any order.

Threads decode (Pillow and zlib let go of the interpreter), a few runs of samples ahead of the one who reads; rows come in the
order asked for. A tensor from the user's own data set is taken as it is, for the model.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from dsi_cli.engines.machine import usable_cores
from dsi_cli.errors import UsageError
from dsi_cli.evaluation.images import reason
from dsi_cli.evaluation.samples import Samples

RUN = 16
"""Samples that a thread decodes in one go; two runs a thread are ahead."""

Row: TypeAlias = "NDArray[np.uint8] | NDArray[np.float32]"
Transform: TypeAlias = Callable[[Image], NDArray[np.uint8]]


def stream(
    samples: Samples,
    transform: Transform,
    order: Sequence[int],
    *,
    workers: int | None = None,
    on_bad: Callable[[int, str], None] | None = None,
) -> Generator[tuple[int, Row], None, None]:
    """Yield (sample number, decoded row) in a given order; run it to its end, or close it.

    Parameters
    ----------
    samples
        What to decode; by this thread alone where they are not thread-safe.
    transform
        A PIL image -> (channels, height, width) uint8. Tensors pass it by.
    order
        Sample numbers.
    workers
        Threads; None for one a usable core, below 2 for this thread alone.
    on_bad
        Called with a sample number and why it cannot be decoded, in place of an error.

    Raises
    ------
    UsageError
        Rows differ in shape or type, a tensor has another than three axes of floats or uint8, or a sample cannot be decoded.
    """
    # Pillow warns of odd metadata and of images of 90 megapixels. The filter stays in the process: `warnings.catch_warnings` is not
    # safe in threads, and two streams that are read in turns would put back each other's filters.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    first: tuple[int, Row] | None = None
    for sample, found in _results(samples, transform, order, _usable(workers) if samples.is_threadsafe else 1):
        if isinstance(found, str):
            if on_bad is None:
                raise UsageError(f"{samples.place(sample)} cannot be decoded: {found}: --skip-bad-images leaves it out")
            on_bad(sample, found)
            continue
        first = first or (sample, found)
        _require_alike(samples, first, (sample, found))
        yield sample, found


def _results(samples: Samples, transform: Transform, order: Sequence[int], workers: int) -> Iterator[tuple[int, Row | str]]:
    """Yield each sample's row, or why it has none, in order."""

    def run(numbers: Sequence[int]) -> list[tuple[int, Row | str]]:
        return [(number, _row(samples, number, transform)) for number in numbers]

    if workers < 2:
        yield from ((number, _row(samples, number, transform)) for number in order)
        return
    runs = (order[start : start + RUN] for start in range(0, len(order), RUN))
    pool = ThreadPoolExecutor(min(workers, -(-len(order) // RUN) or 1), thread_name_prefix="decode")
    try:
        ahead: deque[Future[list[tuple[int, Row | str]]]] = deque(
            pool.submit(run, one) for one in islice(runs, 2 * workers)
        )
        while ahead:
            done = ahead.popleft().result()
            ahead.extend(pool.submit(run, one) for one in islice(runs, 1))
            yield from done
    finally:
        pool.shutdown(cancel_futures=True)


def _row(samples: Samples, number: int, transform: Transform) -> Row | str:
    try:
        image = samples.image(number)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a decoder raises anything on damaged bytes, and so does a user's data)
        return reason(error)
    return transform(image) if isinstance(image, Image) else _array(samples.place(number), image)


def _array(place: str, tensor: Any) -> Row:
    """Return a tensor's values as uint8 or float32."""
    is_float = tensor.is_floating_point()
    array: NDArray[Any] = (tensor.float() if is_float else tensor).detach().cpu().numpy()
    if array.ndim != 3 or not (is_float or array.dtype == np.uint8):
        raise UsageError(
            f"{place}: expected a tensor of (channels, height, width), floats or uint8, found {array.dtype} of shape {array.shape}"
            "; return another, or a PIL image"
        )
    return array


def _require_alike(samples: Samples, first: tuple[int, Row], other: tuple[int, Row]) -> None:
    if first[1].shape == other[1].shape and first[1].dtype == other[1].dtype:
        return
    one, two = (f"{samples.place(sample)} is {row.dtype} of shape {row.shape}" for sample, row in (first, other))
    raise UsageError(
        f"expected images of one size (channels, height, width) after the transform, found that {one} and {two}; give --image-size"
    )


def _usable(workers: int | None) -> int:
    return usable_cores() if workers is None else workers
