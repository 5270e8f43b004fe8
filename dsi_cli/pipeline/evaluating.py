"""Running the user's model on labelled data as the source of a run's answers.

The data are opened, and decoded, once for all runs that see the same images; a model is built once a run, and the weights of one
checkpoint after another are put into it. Nothing of this, torch included, is loaded before an answer is needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import state as checkpoint_state
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import UnreadableError, UsageError
from dsi_cli.evaluation import recorded
from dsi_cli.evaluation.preprocess import Preprocessing, told
from dsi_cli.pipeline.labelling import Labelling
from dsi_cli.pipeline.options import Evaluation, Options
from dsi_cli.pipeline.reading import RunState
from dsi_cli.predictions.outcome import Answer

if TYPE_CHECKING:
    from dsi_cli.evaluation.predict import Batches, Evaluator, Split
    from dsi_cli.evaluation.samples import Samples
    from dsi_cli.evaluation.zero_shot import ZeroShot

Say = Callable[[str], None]


@dataclass
class Data:
    """The splits that were asked for, opened; decoded once for each way to prepare images."""

    evaluation: Evaluation
    scratch: Path
    say: Say
    """Takes what a person should know, in words."""
    progress: Callable[[str, int, int], None]
    samples: dict[str, Samples] = field(default_factory=dict)
    _ready: dict[tuple[str, Preprocessing], Ready] = field(default_factory=dict)

    def open(self) -> None:
        """Open the data of each split; `UsageError` where that cannot be done."""
        from dsi_cli.evaluation.datasets import open_samples

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
        from dsi_cli.evaluation.predict import Split

        key, samples = (split, prepared), self.samples[split]
        if key not in self._ready:
            self._ready[key] = self._made_ready(split, prepared)
        ready = self._ready[key]
        return Split(targets[ready.kept], ready.batches, ready.kept, [samples.paths[number] for number in ready.kept])

    def _made_ready(self, split: str, prepared: Preprocessing) -> Ready:
        from dsi_cli.evaluation.decoding import decode

        samples, transform, skip_bad = self.samples[split], prepared.transform(), self.evaluation.skip_bad_images
        self.scratch.mkdir(parents=True, exist_ok=True)
        in_memory, at_most = _room(self.evaluation.cache, self.scratch)
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
            return Ready(decoded.kept, _from_rows(decoded.images))
        self.say(f"{split}: more images than --cache holds: they are decoded anew for each checkpoint")
        kept = np.arange(len(samples))
        if skip_bad:
            bad = _bad(samples, transform)
            self._tell_of_bad(split, [(samples.place(number), why) for number, why in bad.items()])
            kept = np.setdiff1d(kept, np.array([*bad], dtype=np.int64))
        return Ready(kept, _anew(samples, transform, kept))

    def _tell_of_bad(self, split: str, bad: Sequence[tuple[str, str]]) -> None:
        if bad:
            place, why = bad[0]
            self.say(f"warning: {split}: {len(bad)} images cannot be decoded and are left out, first {place}: {why}")


@dataclass(frozen=True)
class Ready:
    """A split's images as a model takes them."""

    kept: NDArray[np.int64]
    """The samples that can be decoded."""
    batches: Batches


def _bad(samples: Samples, transform: Any) -> dict[int, str]:
    """Return the samples that cannot be decoded, and why: all are decoded once to know."""
    from dsi_cli.evaluation.streaming import stream

    found: dict[int, str] = {}
    for _ in stream(samples, transform, range(len(samples)), on_bad=found.__setitem__):
        pass
    return found


def _room(cache: int | None, scratch: Path) -> tuple[int, int]:
    """Return how many bytes of images may be in memory, and how many in a file."""
    in_memory, on_disk = free_memory() // 2, shutil.disk_usage(scratch).free // 2
    return (in_memory, on_disk) if cache is None else (min(cache, in_memory), min(cache, on_disk))


def free_memory() -> int:
    """Return the bytes of memory that are free, or could be made so; 2 GiB where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError):
        return 2 << 30


def _from_rows(images: NDArray[Any]) -> Batches:
    def batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            is_run = rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all())
            yield images[rows[0] : rows[-1] + 1] if is_run else images[rows]

    return batches


def _anew(samples: Samples, transform: Any, kept: NDArray[np.int64]) -> Batches:
    from contextlib import closing

    from dsi_cli.evaluation.streaming import stream

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


class Model:
    """The model of one run, built when it is first needed, filled with one checkpoint's weights at a time."""

    def __init__(self, state: RunState, one: Labelling, options: Options, say: Say) -> None:
        self.state, self.one, self.options, self.say = state, one, options, say
        first = state.usable[0]
        self._places = {found.shown: found for found in state.run.checkpoints}
        self.record = next((record for record in state.usable if record.path in self._places), first)
        found = self._places.get(self.record.path)
        self.facts = recorded.facts_of(found) if found is not None else {}
        asked = options.evaluation.model
        guessed = recorded.model_of(found, self.record.trainer, self.facts) if asked is None and found is not None else None
        self.spec = asked or guessed
        self.is_guessed = asked is None
        self.prepared: Preprocessing | None = None
        self._evaluator: Evaluator | None = None
        self._loaded: str | None = None
        self._head: str | None = None
        self._has_loaded = False
        self._zero_shot: ZeroShot | None = None
        self._model: Any = None

    @property
    def has_classifier(self) -> bool:
        """Whether the checkpoints have one, or a text tower serves as one; known once the model is built."""
        return self.record.head is not None or (self._zero_shot is not None and self._zero_shot.tokens is not None)

    @cached_property
    def described(self) -> dict[str, Any]:
        """What shapes the answers, without building the model."""
        asked = self.options.evaluation
        return {
            "model": self.spec,
            "code": _digest_of_code(self.spec or ""),
            "arguments": [[name, repr(value)] for name, value in asked.model_arguments],
            "asked": asdict(self._asked()),
            "told": asdict(told(self.facts)),
            "autocast": asked.autocast,
            "names": self.state.names if self.record.head is None else None,
        }

    def _asked(self) -> Preprocessing:
        asked = self.options.evaluation
        size = None if asked.image_size is None else (asked.image_size, asked.image_size)
        return Preprocessing(size, asked.crop_pct, None, asked.interpolation, asked.mean, asked.std, asked.channels)

    def build(self) -> Evaluator:
        """Return the model on its device; `UsageError` where it cannot be built."""
        if self._evaluator is not None:
            return self._evaluator
        from dsi_cli.evaluation import models, predict

        asked = self.options.evaluation
        if self.spec is None:
            raise UsageError(
                f"run {self.state.run.name!r}: its checkpoints do not say which model they are of: give --model {models.EXPECTED}"
            )
        found = self._places.get(self.record.path)
        tensors = checkpoint_state.shapes(found, self.options.choice, self.record.classes) if found is not None else {}
        known = self._asked().over(told(self.facts))
        channels = asked.channels or recorded.channels_of(tensors) or 3
        wanted = models.Wanted(self._rows(), channels, known.size, dict(asked.model_arguments), self.state.names)
        built = models.build(self.spec, wanted)
        self.prepared = known.over(built.usual).over(Preprocessing(channels=channels)).fitted()
        self._model, self._zero_shot = built.model, built.zero_shot
        self._tell(self.prepared)
        self._evaluator = predict.Evaluator(
            built.zero_shot or built.model,
            self.prepared.mean,
            self.prepared.std,
            predict.device_of(asked.device),
            asked.batch_size,
            asked.autocast,
        )
        return self._evaluator

    def _tell(self, prepared: Preprocessing) -> None:
        origin = " (recorded in its checkpoints)" if self.is_guessed else ""
        if self._zero_shot is not None:
            has = self._zero_shot.tokens is not None
            origin += (
                "; classifier: text embeddings of the class names" if has else "; no tokenizer beside it: features alone"
            )
        self.say(f"{self.state.run.name}: model {self.spec}{origin}; images: {prepared.described()}")
        if prepared.mean is None or prepared.std is None:
            self.say(
                "warning: no mean and std are known: images are scaled to [0, 1] and no further; give --mean and --std"
            )

    def _rows(self) -> int | None:
        """Return the rows of the classifier, those left out of the comparison included; None without one."""
        if self.record.classes is None:
            return None
        return self.record.classes + (0 if self.options.choice.keep_extra else self.record.extra_classes or 0)

    def kept(self) -> slice:
        """Return which columns of the outputs are compared."""
        rows = self._rows()
        return slice(0, self.record.classes) if rows is not None else slice(None)

    def load(self, record: Record) -> str | None:
        """Put a checkpoint's weights into the model; return the name of its classifier's module.

        Raises
        ------
        UnreadableError
            The file is gone, has changed since it was scanned, or its weights do not fit.
        UsageError
            The weights of the first one do not fit: the model is another.
        """
        if self._loaded == record.path:
            return self._head
        from dsi_cli.evaluation import loading

        self.build()
        found = self._places.get(record.path)
        if found is None:
            raise UnreadableError("the checkpoint is gone, so its model cannot be run")
        weights = checkpoint_state.read(found, self.options.choice, record.classes)
        try:
            self._loaded = None
            self._head = loading.load(self._model, weights)
        except UnreadableError as error:
            if not self._has_loaded:
                raise UsageError(f"{found.path.name}: {error}") from None
            raise
        if self._zero_shot is not None and (weight := self._zero_shot.embed_text()) is not None:
            self._head, self.state.text_weights[record.path] = "head", weight
        self._loaded, self._has_loaded = record.path, True
        return self._head


@dataclass
class Evaluated:
    """The answers of one run on one split by running its model; a `dsi_cli.pipeline.answers.Source`."""

    split: str
    data: Data
    model: Model
    targets: NDArray[np.int64]
    progress: Callable[[int], None]
    """Takes the number of images done."""
    _ready: Split | None = None

    @property
    def wants_templates(self) -> bool:
        """Whether features are asked for; without a classifier there is nothing else."""
        return self.model.options.evaluation.templates or not self.model.has_classifier

    @property
    def images(self) -> int:
        """How many images a checkpoint's answer costs."""
        return len(self.targets)

    def described(self, _record: Record) -> dict[str, Any] | None:
        """Return what shapes the answers, the same at each checkpoint."""
        return {"data": self.data.samples[self.split].id, "targets": self._digest, **self.model.described}

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.targets.tobytes()).hexdigest()[:16]

    def answer(self, record: Record) -> Answer:
        """Return what the network answers; errors as `Model.load` and `Evaluator.answer`."""
        head = self.model.load(record)
        evaluator = self.model.build()
        assert self.model.prepared is not None
        if self._ready is None:
            self._ready = self.data.split(self.split, self.targets, self.model.prepared)
        return evaluator.answer(
            self._ready,
            self.model.one.classes,
            head,
            has_classifier=self.model.has_classifier,
            templates=self.wants_templates,
            kept=self.model.kept(),
            seed=self.model.options.seed,
            progress=self.progress,
        )

    def says(self) -> dict[str, Any]:
        """Return what is recorded beside the answers."""
        prepared = self.model.prepared
        return {
            "source": self.data.samples[self.split].source,
            "model": self.model.spec,
            "preprocessing": asdict(prepared) if prepared is not None else None,
        }


def of_run(
    data: Data, state: RunState, one: Labelling, options: Options, progress: Callable[[int], None]
) -> tuple[dict[str, Evaluated], list[str]]:
    """Return the sources of one run, a split each, and warnings about the data's classes.

    Raises
    ------
    UsageError
        The data's classes are not those of the classifier.
    """
    from dsi_cli.evaluation.matching import match_classes

    model = Model(state, one, options, data.say)
    names, wnids = (one.labels.names, [r.wnid for r in one.resolutions]) if one.labels is not None else (None, None)
    found, warnings = {}, []
    for split, samples in data.samples.items():
        targets, told_of = match_classes(samples, one.classes, names, wnids)
        warnings += told_of
        found[split] = Evaluated(split, data, model, targets, progress)
    return found, warnings


def _digest_of_code(spec: str) -> str | None:
    """Return what changes when the file changes that a model comes from; None where it comes from a library."""
    kind, _, name = spec.partition(":")
    place = {"transformers": Path(name) / "config.json", "torchscript": Path(name)}.get(kind)
    if place is None and kind.endswith(".py"):
        place = Path(kind)
    if place is None or not place.is_file():
        return None
    return hashlib.sha256(place.read_bytes()).hexdigest()[:16]
