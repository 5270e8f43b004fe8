"""Labelled data for all runs of a call: opened once, and decoded once for all models that prepare images in the same way."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.options import Evaluation
from dsi_cli.engines import free_memory
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
    _cached: dict[tuple[str, Preprocessing], tuple[NDArray[np.int64], Batches]] = field(default_factory=dict)

    def open(self) -> None:
        """Open the data of each split; raise `UsageError` if this fails."""
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
        kept, batches = self._cached[key]
        return Split(targets[kept], batches, kept, [samples.paths[index] for index in kept])

    def _decode(self, split: str, prepared: Preprocessing) -> tuple[NDArray[np.int64], Batches]:
        """Return the indices of the samples that can be decoded, and their images as inputs of a model."""
        from dsi_cli.inference.decode_cache import decode, stream

        samples, transform, skip_bad = self.samples[split], prepared.transform(), self.evaluation.skip_bad_images
        self.scratch.mkdir(parents=True, exist_ok=True)
        in_memory = free_memory() // 2 // self.shares
        on_disk = shutil.disk_usage(self.scratch).free // 2 // self.shares
        cache = self.evaluation.cache
        decoded = decode(
            samples,
            transform,
            scratch=self.scratch,
            in_memory_below=in_memory if cache is None else min(cache, in_memory),
            at_most=on_disk if cache is None else min(cache, on_disk),
            skip_bad=skip_bad,
            progress=lambda done, total: self.progress(f"decoding {split} images", done, total),
            announce=lambda text: self.say(f"{split}: {text}"),
        )
        if decoded is not None:
            self._warn_of_bad(split, decoded.bad)
            return decoded.kept, _batches_from_memory(decoded.images)
        self.say(f"{split}: --cache is too small for all images, so dsi decodes them again for each checkpoint")
        kept = np.arange(len(samples))
        if skip_bad:
            bad: dict[int, str] = {}
            deque(stream(samples, transform, range(len(samples)), on_bad=bad.__setitem__), maxlen=0)
            self._warn_of_bad(split, [(samples.locate(index), reason) for index, reason in bad.items()])
            kept = np.setdiff1d(kept, np.array([*bad], dtype=np.int64))

        def batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
            with closing(stream(samples, transform, kept[order].tolist())) as rows:
                while batch := [row for _, row in islice(rows, size)]:
                    yield np.stack(batch)

        return kept, batches

    def _warn_of_bad(self, split: str, bad: Sequence[tuple[str, str]]) -> None:
        if bad:
            path, reason = bad[0]
            images = count(len(bad), "image")
            self.say(f"warning: {split}: dsi leaves out {images} that cannot be decoded, such as {path} ({reason})")


def _batches_from_memory(images: NDArray[Any]) -> Batches:
    def batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            is_slice = rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all())
            yield images[rows[0] : rows[-1] + 1] if is_slice else images[rows]

    return batches
