"""Run the user's model on labelled data, as a source of evaluation results.

The data are opened once for all runs of a call, and decoded once for all models that
prepare images in the same way. A model is built once per run and filled with the
weights of one checkpoint after another. Neither the model nor torch is loaded before a
result is needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.analysis.semantics.class_labels import DATASET_CLASS_NAMES, ClassLabels
from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.checkpoints.records import Record
from dsi_cli.engines import free_memory
from dsi_cli.errors import UnreadableError, UsageError, count
from dsi_cli.facts import Fact
from dsi_cli.inference import preprocess, user_code
from dsi_cli.inference.preprocess import Preprocessing, recorded_preprocessing
from dsi_cli.predictions.result import EvaluationResult

if TYPE_CHECKING:
    from dsi_cli.inference.dataset import Samples
    from dsi_cli.inference.decoding import DecodedImages
    from dsi_cli.inference.evaluator import Evaluator, Split
    from dsi_cli.inference.models import ZeroShot

Notify = Callable[[str], None]
_LIBRARIES = ("timm", "torchvision")
_HUGGING_FACE_FILES = (
    *("config.json", "preprocessor_config.json", "tokenizer_config.json"),
    *("tokenizer.json", "vocab.json", "merges.txt", "spiece.model"),
)
"""The files in a Hugging Face folder that affect predictions: network, image processor
and tokenizer.
"""


@dataclass
class DatasetCache:
    """The splits that the options name, decoded once for each way to prepare images."""

    evaluation: Evaluation
    notify: Notify  # takes messages for the user
    progress: Callable[[str, int, int], None]
    shares: int = 1  # the number of processes that share the memory of this machine
    samples: dict[str, Samples] = field(default_factory=dict, init=False)
    _decoded: dict[tuple[str, Preprocessing], DecodedImages] = field(
        default_factory=dict, init=False
    )

    def __post_init__(self) -> None:
        """Open the data of each split; raise `UsageError` if this fails."""
        from dsi_cli.inference.open_dataset import open_samples

        options = self.evaluation
        for split, spec in options.data.items():
            self.samples[split] = open_samples(
                spec,
                root=options.data_root,
                download=options.download,
                train=split == "train",
            )

    @property
    def names(self) -> tuple[str, ...] | None:
        """The class names of the data, if all splits have the same."""
        names = {samples.names for samples in self.samples.values()}
        return names.pop() if len(names) == 1 else None

    def split(
        self, split: str, targets: NDArray[np.int64], prepared: Preprocessing
    ) -> Split:
        """Return a split with its images as inputs of a model; they are decoded once
        unless they are too many to keep.
        """
        from dsi_cli.inference.evaluator import Split

        if (split, prepared) not in self._decoded:
            self._decoded[split, prepared] = self._decode(split, prepared)
        images = self._decoded[split, prepared]
        paths = self.samples[split].paths
        kept = images.kept
        return Split(
            targets[kept], images.batches, kept, [paths[number] for number in kept]
        )

    def _decode(self, split: str, prepared: Preprocessing) -> DecodedImages:
        """Return the images of a split, in memory if they need at most half of what is
        free.
        """
        from dsi_cli.inference.decoding import decode

        images = decode(
            self.samples[split],
            prepared.transform(),
            memory=free_memory() // 2 // self.shares,
            skip_bad=self.evaluation.skip_bad_images,
            progress=partial(self.progress, f"decoding {split} images"),
        )
        if images.pixels is None:
            self.notify(
                f"{split}: the decoded images do not fit in memory, so dsi decodes them"
                " again for each checkpoint"
            )
        if images.bad:
            path, reason = images.bad[0]
            number = count(len(images.bad), "image")
            self.notify(
                f"warning: {split}: dsi leaves out {number} that cannot be decoded,"
                f" such as {path} ({reason})"
            )
        return images


class LoadedModel:
    """The model of one run, built when it is first needed, with the weights of one
    checkpoint at a time.

    Attributes
    ----------
    record : the first checkpoint of the run whose file exists.
    spec : the model, as for ``--model``; None if neither the user nor the checkpoint
        names it.
    prepared : how images are prepared, once the model is built.
    has_fitted : whether the weights of some checkpoint fitted the model, so that others
        may be wrong.
    text_weight : the text embeddings of the loaded checkpoint, which serve as its head;
        None without a text tower.
    """

    def __init__(
        self,
        run: RunCheckpoints,
        labels: ClassLabels,
        options: Options,
        data: DatasetCache,
    ) -> None:
        self.run = run
        self.labels = labels
        self.options = options
        self.notify = data.notify
        self._files = {file.display_path: file for file in run.training.checkpoints}
        self.record = next(
            (record for record in run.usable if record.path in self._files),
            run.usable[0],
        )
        file = self._files.get(self.record.path)
        self.facts = preprocess.recorded_facts(file) if file is not None else {}
        self.spec = options.evaluation.model
        if self.spec is None and file is not None:
            self.spec = preprocess.recorded_model(file, self.record.trainer, self.facts)
        self.prepared = Preprocessing()
        self._first_image = partial(next(iter(data.samples.values())).image, 0)
        self._takes_tensors = all(
            samples.returns_tensors for samples in data.samples.values()
        )
        self.has_fitted = False
        self.text_weight: NDArray[np.float32] | None = None
        self._evaluator: Evaluator | None = None
        self._model: Any = None
        self._zero_shot: ZeroShot | None = None
        self._loaded: str | None = None
        self._head: str | None = None

    @property
    def has_classifier(self) -> bool:
        """True if the network has a head, or a text tower in place of one; known once
        the model is built.
        """
        return self.record.head is not None or (
            self._zero_shot is not None and self._zero_shot.tokens is not None
        )

    @property
    def columns(self) -> int | None:
        """The number of rows of the model's head, with those that are not compared;
        None without a head.
        """
        if self.record.classes is None or self.options.choice.keep_extra:
            return self.record.classes
        return self.record.classes + (self.record.extra_classes or 0)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """The values that determine the predictions, known without building the
        model.
        """
        # Find the files that define the model; there are none if a library defines it.
        # Nothing is executed.
        spec = self.spec or ""
        kind, _, name = spec.partition(":")
        files: list[Path] = []
        if kind == "transformers":
            files = [Path(name) / file for file in _HUGGING_FACE_FILES]
        elif kind not in _LIBRARIES and user_code.is_function(spec):
            files = user_code.code_files(spec)
        files = [file for file in files if file.is_file()]
        code = hashlib.sha256()
        for file in files:
            code.update(
                file.name.encode(errors="backslashreplace")
                + hashlib.sha256(file.read_bytes()).digest()
            )
        return {
            "model": self.spec,
            "code": code.hexdigest()[:16] if files else None,
            "arguments": [
                [name, repr(value)] for name, value in self._model_arguments().items()
            ],
            "asked": asdict(self._requested_preprocessing()),
            "told": asdict(recorded_preprocessing(self.facts)),
            "autocast": self.options.evaluation.autocast,
            "names": self.run.names if self.record.head is None else None,
        }

    def _requested_preprocessing(self) -> Preprocessing:
        options = self.options.evaluation
        if options.image_size is None:
            size = None
        else:
            size = (options.image_size, options.image_size)
        names = ("crop_pct", "interpolation", "mean", "std", "channels")
        return Preprocessing(size, **{name: getattr(options, name) for name in names})

    def _build(self) -> Evaluator:
        """Return the model on its device, and tell the user about it; raise
        `UsageError` if it cannot be built.
        """
        from dsi_cli.inference import evaluator, models

        options = self.options.evaluation
        record = self.record
        choice = self.options.choice
        if self.spec is None:
            message = (
                f"the checkpoints of run {self.run.name!r} do not name their model"
            )
            raise UsageError(
                message,
                hint=f"add --model with {models.EXPECTED}",
                code="unknown-model",
                run=self.run.name,
            )
        channels = options.channels
        if channels is None and record.path in self._files:
            tensors = checkpoint_reader.state_dict_tensors(
                self._files[record.path], choice, record.classes
            )
            channels = preprocess.input_channels(tensors)
        channels = channels or 3
        recorded = recorded_preprocessing(self.facts)
        size = self._requested_preprocessing().with_defaults(recorded).size
        spec = models.ModelSpec(
            self.columns, channels, size, self._model_arguments(), self.run.names
        )
        built = models.build_model(self.spec, spec)
        self._model, self._zero_shot = built.model, built.zero_shot

        # The processor of a Hugging Face model knows more than its config, whose image
        # size is that of the initial weights.
        first, second = (
            (built.usual, recorded)
            if self.spec.startswith("transformers:")
            else (recorded, built.usual)
        )
        usual = (
            first.with_defaults(second)
            .with_defaults(Preprocessing(channels=channels))
            .average_channels()
        )
        requested = self._requested_preprocessing()
        if requested != Preprocessing():
            usual = replace(usual, processor=None)
        self.prepared = requested.with_defaults(usual).validated()

        # Tell the user which model runs, and how images are prepared.
        origin = " (recorded in its checkpoints)" if options.model is None else ""
        if self._zero_shot is not None and self._zero_shot.tokens is not None:
            origin += "; classifier: text embeddings of the class names"
        elif self._zero_shot is not None:
            origin += "; without a tokenizer next to it: features only"
        if self._takes_tensors:
            images = "tensors of the data set, without changes"
        else:
            images = self.prepared.describe()
        self.notify(f"{self.run.name}: model {self.spec}{origin}; images: {images}")
        ignored = [
            name
            for name, value in asdict(self._requested_preprocessing()).items()
            if value is not None
        ]
        if self._takes_tensors and ignored:
            self.notify(
                f"warning: {', '.join(ignored)} of the options do not apply to tensors"
                " of the data set"
            )
        if not self._takes_tensors:
            self._warn_of_preparation(
                has_usual_size=size is None and self.spec.startswith(_LIBRARIES)
            )
        if models.uses_batch_statistics(built.model):
            self.notify(
                "warning: the model normalises by the values of a batch, so its"
                " predictions depend on the batches"
            )
        mean, std = self.prepared.mean, self.prepared.std
        network = built.zero_shot or built.model
        device = evaluator.resolve_device(options.device)
        return evaluator.Evaluator(
            network, mean, std, device, options.batch_size, options.autocast
        )

    def _model_arguments(self) -> dict[str, Any]:
        """Return the user's arguments for the model's function, and the pooling that
        timm recorded.
        """
        arguments = dict(self.options.evaluation.model_arguments)
        pool = self.facts.get("gp") or self.facts.get("global_pool")
        if (
            self.spec is not None
            and self.spec.startswith("timm:")
            and isinstance(pool, str)
        ):
            arguments.setdefault("global_pool", pool)
        return arguments

    def _warn_of_preparation(self, *, has_usual_size: bool) -> None:
        """Warn if something about it is unknown, or if images are smaller than the
        library's usual size, which is used.
        """
        unknown = [
            name for name in ("mean", "std") if getattr(self.prepared, name) is None
        ]
        if unknown and self.prepared.processor is None:
            names, options = (
                " and ".join(f"{dashes}{name}" for name in unknown)
                for dashes in ("", "--")
            )
            self.notify(
                f"warning: images are scaled to [0, 1] without the unknown {names}; add"
                f" {options}"
            )
        if not has_usual_size:
            return
        with suppress(Exception):  # images that cannot be decoded are reported later
            image: Any = self._first_image()
            if max(image.size) < min(self.prepared.size or (0,)):
                given, usual = (
                    "x".join(map(str, size))
                    for size in (image.size, self.prepared.size or ())
                )
                self.notify(
                    f"warning: images of {given} are enlarged to {usual}, which is"
                    f" usual for {self.spec}; if it was trained on smaller ones, add"
                    f" --image-size, for example --image-size {max(image.size)}"
                )

    def load(self, record: Record) -> tuple[Evaluator, str | None]:
        """Return the model with the weights of a checkpoint, and the name of its head's
        module.

        Raises
        ------
        UnreadableError
            The file is gone, has changed since it was scanned, or its weights do not
            fit the model.
        UsageError
            The model is not known, or cannot be built. Or no weights have fitted it
            yet, so it is a wrong one.
        """
        from dsi_cli.inference import models

        if self._evaluator is None:
            self._evaluator = self._build()
        if self._loaded == record.path:
            return self._evaluator, self._head
        weights = self._read_weights(record)
        self._loaded = None
        try:
            self._head = models.load_weights(self._model, weights)
        except UnreadableError as error:
            if self.has_fitted:
                raise
            name = self._files[record.path].path.name
            raise UsageError(
                f"run {self.run.name!r}, {name}: {error}",
                hint="give the right model with --model",
                code="wrong-model",
                run=self.run.name,
            ) from None
        if self._zero_shot is not None:
            self.text_weight = self._zero_shot.embed_text()
            self._head = "head" if self.text_weight is not None else None
        self._loaded, self.has_fitted = record.path, True
        return self._evaluator, self._head

    def _read_weights(self, record: Record) -> Any:
        if record.path not in self._files:
            raise UnreadableError(
                "the checkpoint is gone, so its model cannot be run",
                code="checkpoint-gone",
            )
        return checkpoint_reader.read_state_dict(
            self._files[record.path], self.options.choice, record.classes
        )


@dataclass
class ModelPredictions:
    """The predictions of a run's model on one split, as a source of evaluation results
    (`split_evaluations.PredictionSource`).
    """

    split: str
    data: DatasetCache
    model: LoadedModel
    targets: NDArray[np.int64]
    # an assumption about the labels, if no name says which class each is
    label_assumption: str | None
    # the number that each class name of the data got from the labels; None without
    class_numbers: dict[str, int] | None
    progress: Callable[[int], None]  # takes the number of images done
    equal_samples: NDArray[np.int64] | None = None
    """The number of images of each class that both splits have; None unless this split
    has more of a class.
    """
    _cached_split: Split | None = None

    @property
    def needs_templates(self) -> bool:
        """True if ``--templates`` is given; without a head there is nothing else."""
        return self.model.options.evaluation.templates or not self.model.has_classifier

    @property
    def images(self) -> int:
        """The number of images of the split."""
        return len(self.targets)

    def provenance(self, _record: Record) -> dict[str, Any] | None:
        """Return what determines the predictions; it is the same for each
        checkpoint.
        """
        return {
            "data": self.data.samples[self.split].id,
            "targets": self._digest,
            **self.model.provenance,
        }

    def reason_missing(self, _record: Record) -> None:
        """Return None: a model has predictions for each checkpoint."""

    @property
    def description(self) -> str:
        """A description of the data, with the assumption about its labels."""
        return self.data.samples[self.split].source + (
            f"; {self.label_assumption}" if self.label_assumption else ""
        )

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.targets.tobytes()).hexdigest()[:16]

    def evaluate(self, record: Record) -> EvaluationResult:
        """Return the predictions of a checkpoint; errors as for `LoadedModel.load` and
        `Evaluator.evaluate`.
        """
        evaluator, head = self.model.load(record)
        if self._cached_split is None:
            self._cached_split = self.data.split(
                self.split, self.targets, self.model.prepared
            )
        result = evaluator.evaluate(
            self._cached_split,
            self.model.labels.classes,
            head,
            has_classifier=self.model.has_classifier,
            templates=self.needs_templates,
            equal_samples=self.equal_samples,
            columns=self.model.columns,
            class_columns=slice(self.model.record.classes),
            seed=self.model.options.seed,
            progress=self.progress,
        )
        description = {
            "source": self.data.samples[self.split].source,
            "model": self.model.spec,
            "preprocessing": asdict(self.model.prepared),
            "class_numbers": self.class_numbers,
            "origin": json.dumps(self.provenance(record), sort_keys=True),
        }
        return replace(
            result, description=description, text_weight=self.model.text_weight
        )


def model_for_run(
    data: DatasetCache,
    run: RunCheckpoints,
    labels: ClassLabels,
    options: Options,
    progress: Callable[[int], None],
) -> tuple[dict[str, ModelPredictions], dict[str, list[Fact]]]:
    """Return the sources of one run, one per split, and warnings about the classes of
    the data of each split.

    Raise `UsageError` if the classes of the data are not those of the head, or if the
    head grows during the run.
    """
    from dsi_cli.inference.class_matching import match_classes

    if run.common_classes != run.classes:
        message = (
            f"the head of run {run.name!r} grows from {run.common_classes} to"
            f" {run.classes} classes, and a model is run with one number of classes"
        )
        raise UsageError(
            message,
            hint=(
                "leave out --test and --train, or give them with the checkpoints of one"
                " number alone"
            ),
            code="growing-head",
            run=run.name,
            classes=(run.common_classes, run.classes),
        )
    model = LoadedModel(run, labels, options, data)
    # Names from the data itself do not give the order of the head's rows. Without a
    # head, their order is used.
    names, wnids, listed = None, None, labels.label_list
    if listed is not None and (
        listed.source != DATASET_CLASS_NAMES or model.record.head is None
    ):
        names = listed.names
        wnids = [resolution.wnid for resolution in labels.resolutions]
    sources, facts = {}, {}
    for split, samples in data.samples.items():
        targets, facts[split] = match_classes(samples, labels.classes, names, wnids)
        label_assumption = None
        if samples.names is None:
            label_assumption = "labels are taken as class numbers"
        elif names is None and not samples.is_sorted:
            label_assumption = "class names are taken to be in the classifier's order"
        class_numbers = None
        if names is not None and samples.names is not None:
            numbers, first = np.unique(targets, return_index=True)
            own_names = (samples.names[index] for index in samples.targets[first])
            class_numbers = dict(zip(own_names, numbers.tolist(), strict=True))
        sources[split] = ModelPredictions(
            split, data, model, targets, label_assumption, class_numbers, progress
        )
    if len(sources) > 1 and options.evaluation.templates:
        counts = {
            split: np.bincount(source.targets, minlength=labels.classes)
            for split, source in sources.items()
        }
        equal = np.min(list(counts.values()), axis=0)
        for split, source in sources.items():
            source.equal_samples = equal if (counts[split] > equal).any() else None
    return sources, facts
