"""Labelled data for all runs of a call: opened once, and decoded once for all that see the same images."""

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
    """The splits that were asked for, opened; decoded once for each way to prepare images."""

    evaluation: Evaluation
    scratch: Path
    say: Say
    """Takes what a person should know, in words."""
    progress: Callable[[str, int, int], None]
    samples: dict[str, Samples] = field(default_factory=dict)
    shares: int = 1
    """Processes that keep images on this machine at once."""
    _ready: dict[tuple[str, Preprocessing], CachedSplit] = field(default_factory=dict)

    def open(self) -> None:
        """Open the data of each split; `UsageError` where that cannot be done."""
        from dsi_cli.inference.open_dataset import open_samples

        asked = self.evaluation
        for split, spec in asked.data.items():
            self.samples[split] = open_samples(
                spec,
                root=asked.data_root,
                download=asked.download,
                train=split == "train",
                labels=asked.label_column,
            )

    @property
    def names(self) -> tuple[str, ...] | None:
        """The data's own class names, where all splits have the same."""
        found = {one.names for one in self.samples.values()}
        return found.pop() if len(found) == 1 else None

    def split(self, split: str, targets: NDArray[np.int64], prepared: Preprocessing) -> Split:
        """Return a split ready for the model: decoded, unless it is too large to keep."""
        from dsi_cli.inference.evaluator import Split

        key, samples = (split, prepared), self.samples[split]
        if key not in self._ready:
            self._ready[key] = self._made_ready(split, prepared)
        ready = self._ready[key]
        return Split(targets[ready.kept], ready.batches, ready.kept, [samples.paths[number] for number in ready.kept])

    def _made_ready(self, split: str, prepared: Preprocessing) -> CachedSplit:
        from dsi_cli.inference.decode_cache import decode

        samples, transform, skip_bad = self.samples[split], prepared.transform(), self.evaluation.skip_bad_images
        self.scratch.mkdir(parents=True, exist_ok=True)
        in_memory, at_most = _room(self.evaluation.cache, self.scratch, self.shares)
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
            self._tell_of_bad(split, decoded.bad)
            return CachedSplit(decoded.kept, _from_rows(decoded.images))
        self.say(f"{split}: more images than --cache holds: they are decoded anew for each checkpoint")
        kept = np.arange(len(samples))
        if skip_bad:
            bad = _bad(samples, transform)
            self._tell_of_bad(split, [(samples.locate(number), why) for number, why in bad.items()])
            kept = np.setdiff1d(kept, np.array([*bad], dtype=np.int64))
        return CachedSplit(kept, _anew(samples, transform, kept))

    def _tell_of_bad(self, split: str, bad: Sequence[tuple[str, str]]) -> None:
        if bad:
            place, why = bad[0]
            are = "is" if len(bad) == 1 else "are"
            images = count(len(bad), "image")
            self.say(f"warning: {split}: {images} cannot be decoded and {are} left out, first {place}: {why}")


@dataclass(frozen=True)
class CachedSplit:
    """A split's images as a model takes them."""

    kept: NDArray[np.int64]
    """The samples that can be decoded."""
    batches: Batches


def _bad(samples: Samples, transform: Any) -> dict[int, str]:
    """Return the samples that cannot be decoded, and why: all are decoded once to know."""
    from dsi_cli.inference.decode_cache import stream

    found: dict[int, str] = {}
    for _ in stream(samples, transform, range(len(samples)), on_bad=found.__setitem__):
        pass
    return found


def _room(cache: int | None, scratch: Path, shares: int) -> tuple[int, int]:
    """Return how many bytes of images may be in memory, and how many in a file."""
    in_memory, on_disk = free_memory() // 2 // shares, shutil.disk_usage(scratch).free // 2 // shares
    return (in_memory, on_disk) if cache is None else (min(cache, in_memory), min(cache, on_disk))


def _from_rows(images: NDArray[Any]) -> Batches:
    def batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            is_run = rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all())
            yield images[rows[0] : rows[-1] + 1] if is_run else images[rows]

    return batches


def _anew(samples: Samples, transform: Any, kept: NDArray[np.int64]) -> Batches:
    from contextlib import closing

    from dsi_cli.inference.decode_cache import stream

    def batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
        with closing(stream(samples, transform, kept[order].tolist())) as rows:
            held: list[NDArray[Any]] = []
            for _, row in rows:
                held.append(row)
                if len(held) == size:
                    yield np.stack(held)
                    held = []
            if held:
                yield np.stack(held)

    return batches
