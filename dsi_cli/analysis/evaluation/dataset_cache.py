"""Labelled data for all runs of a call: opened once, and decoded once for all models that prepare images in the same way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.options import Evaluation
from dsi_cli.engines.resources import free_memory
from dsi_cli.errors import count
from dsi_cli.inference.preprocess import Preprocessing

if TYPE_CHECKING:
    from dsi_cli.inference.dataset import Samples
    from dsi_cli.inference.evaluator import Batches, Split

Say = Callable[[str], None]


@dataclass
class DatasetCache:
    """The splits that the options name, decoded once for each way to prepare images."""

    evaluation: Evaluation
    scratch: Path
    say: Say
    """Takes messages for the user."""
    progress: Callable[[str, int, int], None]
    samples: dict[str, Samples] = field(default_factory=dict)
    shares: int = 1
    """The number of processes that share the memory of this machine."""
    _cached: dict[tuple[str, Preprocessing], CachedSplit] = field(default_factory=dict)

    def open(self) -> None:
        """Open the data of each split.

        Raises
        ------
        UsageError
            The data of a split cannot be opened.
        """
        from dsi_cli.inference.open_dataset import open_samples

        options = self.evaluation
        for split, spec in options.data.items():
            self.samples[split] = open_samples(
                spec,
                root=options.data_root,
                download=options.download,
                train=split == "train",
                labels=options.label_column,
            )

    @property
    def names(self) -> tuple[str, ...] | None:
        """The class names of the data, if all splits have the same."""
        names = {samples.names for samples in self.samples.values()}
        return names.pop() if len(names) == 1 else None

    def split(self, split: str, targets: NDArray[np.int64], prepared: Preprocessing) -> Split:
        """Return a split with its images as inputs of a model; they are decoded once unless they are too many to keep."""
        from dsi_cli.inference.evaluator import Split

        key, samples = (split, prepared), self.samples[split]
        if key not in self._cached:
            self._cached[key] = self._decode(split, prepared)
        cached = self._cached[key]
        return Split(targets[cached.kept], cached.batches, cached.kept, [samples.paths[index] for index in cached.kept])

    def _decode(self, split: str, prepared: Preprocessing) -> CachedSplit:
        from dsi_cli.inference.decode_cache import decode

        samples, transform, skip_bad = self.samples[split], prepared.transform(), self.evaluation.skip_bad_images
        self.scratch.mkdir(parents=True, exist_ok=True)
        in_memory, at_most = _byte_limits(self.evaluation.cache, self.scratch, self.shares)
        decoded = decode(
            samples,
            transform,
            scratch=self.scratch,
            in_memory_below=in_memory,
            at_most=at_most,
            skip_bad=skip_bad,
            progress=lambda done, total: self.progress(f"decoding {split} images", done, total),
            announce=lambda text: self.say(f"{split}: {text}"),
        )
        if decoded is not None:
            self._warn_of_bad(split, decoded.bad)
            return CachedSplit(decoded.kept, _batches_from_memory(decoded.images))
        self.say(f"{split}: --cache is too small for all images: they are decoded again for each checkpoint")
        kept = np.arange(len(samples))
        if skip_bad:
            bad = _bad_samples(samples, transform)
            self._warn_of_bad(split, [(samples.locate(index), reason) for index, reason in bad.items()])
            kept = np.setdiff1d(kept, np.array([*bad], dtype=np.int64))
        return CachedSplit(kept, _batches_decoded_again(samples, transform, kept))

    def _warn_of_bad(self, split: str, bad: Sequence[tuple[str, str]]) -> None:
        if bad:
            path, reason = bad[0]
            images = count(len(bad), "image")
            are = "is" if len(bad) == 1 else "are"
            self.say(f"warning: {split}: {images} cannot be decoded and {are} left out, first {path}: {reason}")


@dataclass(frozen=True)
class CachedSplit:
    """The images of a split, as inputs of a model."""

    kept: NDArray[np.int64]
    """The indices of the samples that can be decoded."""
    batches: Batches


def _bad_samples(samples: Samples, transform: Any) -> dict[int, str]:
    """Return the samples that cannot be decoded, with the reasons; all samples are decoded once."""
    from dsi_cli.inference.decode_cache import stream

    bad: dict[int, str] = {}
    for _ in stream(samples, transform, range(len(samples)), on_bad=bad.__setitem__):
        pass
    return bad


def _byte_limits(cache: int | None, scratch: Path, shares: int) -> tuple[int, int]:
    """Return how many bytes of images may be in memory, and how many in a file."""
    in_memory = free_memory() // 2 // shares
    on_disk = shutil.disk_usage(scratch).free // 2 // shares
    return (in_memory, on_disk) if cache is None else (min(cache, in_memory), min(cache, on_disk))


def _batches_from_memory(images: NDArray[Any]) -> Batches:
    def batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            is_slice = rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all())
            yield images[rows[0] : rows[-1] + 1] if is_slice else images[rows]

    return batches


def _batches_decoded_again(samples: Samples, transform: Any, kept: NDArray[np.int64]) -> Batches:
    from contextlib import closing

    from dsi_cli.inference.decode_cache import stream

    def batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
        with closing(stream(samples, transform, kept[order].tolist())) as rows:
            batch: list[NDArray[Any]] = []
            for _, row in rows:
                batch.append(row)
                if len(batch) == size:
                    yield np.stack(batch)
                    batch = []
            if batch:
                yield np.stack(batch)

    return batches
