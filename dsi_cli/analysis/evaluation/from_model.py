"""Running the user's model on labelled data as the source of a run's answers.

A model is built once a run, and the weights of one checkpoint after another are put into it. Nothing of this, torch included, is
loaded before an answer is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.run_state import RunState
from dsi_cli.analysis.evaluation.dataset_cache import DatasetCache, Say
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import OF_DATA, ClassLabels
from dsi_cli.checkpoints import state_dict
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError, UnreadableError, UsageError
from dsi_cli.inference import recorded_config, user_code
from dsi_cli.inference.preprocess import Preprocessing, recorded_preprocessing
from dsi_cli.predictions.result import EvaluationResult

if TYPE_CHECKING:
    from dsi_cli.inference.evaluator import Evaluator, Split
    from dsi_cli.inference.zero_shot import ZeroShot

_LIBRARIES = ("timm", "torchvision")
_OF_FOLDER = (
    *("config.json", "preprocessor_config.json", "tokenizer_config.json"),
    *("tokenizer.json", "vocab.json", "merges.txt", "spiece.model"),
)
"""What shapes the answers of Hugging Face's folder: the network, its images, and the words of its text tower."""


class LoadedModel:
    """The model of one run, built when it is first needed, filled with one checkpoint's weights at a time."""

    def __init__(self, state: RunState, labels: ClassLabels, options: Options, say: Say) -> None:
        self.state, self.one, self.options, self.say = state, labels, options, say
        first = state.usable[0]
        self._places = {found.shown: found for found in state.run.checkpoints}
        self.record = next((record for record in state.usable if record.path in self._places), first)
        found = self._places.get(self.record.path)
        self.facts = recorded_config.recorded_facts(found) if found is not None else {}
        asked = options.evaluation.model
        guessed = (
            recorded_config.recorded_model(found, self.record.trainer, self.facts)
            if asked is None and found is not None
            else None
        )
        self.spec = asked or guessed
        self.is_guessed = asked is None
        self.prepared: Preprocessing | None = None
        self._evaluator: Evaluator | None = None
        self._loaded: str | None = None
        self._head: str | None = None
        self.has_fitted = False
        """Whether the weights of some checkpoint fitted, in this call or an earlier one: then another may be at fault."""
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
            "told": asdict(recorded_preprocessing(self.facts)),
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
        from dsi_cli.inference import evaluator, models

        asked = self.options.evaluation
        if self.spec is None:
            raise UsageError(
                f"run {self.state.run.name!r}: its checkpoints do not say which model they are of: give --model {models.EXPECTED}"
            )
        found = self._places.get(self.record.path)
        tensors = state_dict.shapes(found, self.options.choice, self.record.classes) if found is not None else {}
        known = recorded_preprocessing(self.facts)
        channels = asked.channels or recorded_config.input_channels(tensors) or 3
        size = self._asked().with_defaults(known).size
        wanted = models.ModelSpec(self._rows(), channels, size, dict(asked.model_arguments), self.state.names)
        built = models.build_model(self.spec, wanted)
        # Hugging Face's processor knows better than the config, which says what size the weights were begun with.
        first, second = (built.usual, known) if self.spec.startswith("transformers:") else (known, built.usual)
        usual = first.with_defaults(second).with_defaults(Preprocessing(channels=channels)).average_channels()
        self.prepared = self._asked().with_defaults(usual).validated()
        self._model, self._zero_shot = built.model, built.zero_shot
        self._tell(self.prepared)
        self._evaluator = evaluator.Evaluator(
            built.zero_shot or built.model,
            self.prepared.mean,
            self.prepared.std,
            evaluator.resolve_device(asked.device),
            asked.batch_size,
            asked.autocast,
        )
        return self._evaluator

    def _tell(self, prepared: Preprocessing) -> None:
        origin = " (recorded in its checkpoints)" if self.is_guessed else ""
        origin += " (runs the file's own code)" if str(self.spec).startswith("torchscript:") else ""
        if self._zero_shot is not None:
            has = self._zero_shot.tokens is not None
            origin += (
                "; classifier: text embeddings of the class names" if has else "; no tokenizer beside it: features alone"
            )
        self.say(f"{self.state.run.name}: model {self.spec}{origin}; images: {prepared.describe()}")
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
            Nor do those of the run's first, last and middle checkpoint fit: the model is another. No more are tried, since each
            is read whole.
        """
        if self._loaded == record.path:
            return self._head
        from dsi_cli.inference import load_weights

        self.build()
        found = self._places.get(record.path)
        if found is None:
            raise UnreadableError("the checkpoint is gone, so its model cannot be run")
        weights = state_dict.read(found, self.options.choice, record.classes)
        try:
            self._loaded = None
            self._head = load_weights.load_weights(self._model, weights)
        except UnreadableError as error:
            self.has_fitted = self.has_fitted or any(self._fits(one) for one in self._others(record))
            if not self.has_fitted:
                raise UsageError(
                    f"run {self.state.run.name!r}, {found.path.name}: {error}; no other that was tried fits either: give the "
                    "right model with --model"
                ) from None
            raise
        if self._zero_shot is not None and (weight := self._zero_shot.embed_text()) is not None:
            self._head, self.state.text_weights[record.path] = "head", weight
        self._loaded, self.has_fitted = record.path, True
        return self._head

    def _others(self, record: Record) -> list[Record]:
        """Return the first, the last and the middle checkpoint of the run, but not this one."""
        usable = self.state.usable
        places = dict.fromkeys((0, len(usable) - 1, len(usable) // 2))
        return [usable[place] for place in places if usable[place] is not record]

    def _fits(self, record: Record) -> bool:
        found = self._places.get(record.path)
        if found is None:
            return False
        from dsi_cli.inference import load_weights

        try:
            load_weights.load_weights(self._model, state_dict.read(found, self.options.choice, record.classes))
        except CheckpointError:
            return False
        return True


@dataclass
class ModelPredictions:
    """The answers of one run on one split by running its model; a `dsi_cli.analysis.evaluation.stored.PredictionSource`."""

    split: str
    data: DatasetCache
    model: LoadedModel
    targets: NDArray[np.int64]
    taken_for: str | None
    """What the labels are, where no name says which of the classifier's classes each is."""
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

    def lacks(self, _record: Record) -> None:
        """Return nothing: a model answers at each checkpoint."""

    @property
    def described_data(self) -> str:
        """The data in words, and what their labels are taken for."""
        return self.data.samples[self.split].source + (f"; {self.taken_for}" if self.taken_for else "")

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.targets.tobytes()).hexdigest()[:16]

    def answer(self, record: Record) -> EvaluationResult:
        """Return what the network answers; errors as `LoadedModel.load` and `Evaluator.evaluate`."""
        head = self.model.load(record)
        evaluator = self.model.build()
        assert self.model.prepared is not None
        if self._ready is None:
            self._ready = self.data.split(self.split, self.targets, self.model.prepared)
        return evaluator.evaluate(
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


def model_for_run(
    data: DatasetCache, state: RunState, labels: ClassLabels, options: Options, progress: Callable[[int], None]
) -> tuple[dict[str, ModelPredictions], list[str]]:
    """Return the sources of one run, a split each, and warnings about the data's classes.

    Raises
    ------
    UsageError
        The data's classes are not those of the classifier.
    """
    from dsi_cli.inference.class_matching import match_classes

    model = LoadedModel(state, labels, options, data.say)
    # Names that are the data's own say nothing of the classifier's order; without a classifier theirs is the order.
    has_order = labels.label_list is not None and (labels.label_list.source != OF_DATA or model.record.head is None)
    names, wnids = None, None
    if labels.label_list is not None and has_order:
        names, wnids = labels.label_list.names, [resolution.wnid for resolution in labels.resolutions]
    found, warnings = {}, []
    for split, samples in data.samples.items():
        targets, told_of = match_classes(samples, labels.classes, names, wnids)
        warnings += told_of
        taken_for = None
        if samples.names is None:
            taken_for = "labels are taken as class numbers"
        elif names is None and not samples.is_sorted:
            taken_for = "class names are taken to be in the classifier's order"
        found[split] = ModelPredictions(split, data, model, targets, taken_for, progress)
    return found, warnings


def _digest_of_code(spec: str) -> str | None:
    """Return what changes when the files change that a model comes from; None where it comes from a library."""
    files = [file for file in _code(spec) if file.is_file()]
    if not files:
        return None
    made = hashlib.sha256()
    for file in files:
        made.update(file.name.encode(errors="backslashreplace") + hashlib.sha256(file.read_bytes()).digest())
    return made.hexdigest()[:16]


def _code(spec: str) -> list[Path]:
    """Return the files that a model comes from, whether they are there or not; nothing is run."""
    kind, _, name = spec.partition(":")
    if kind == "transformers":
        return [Path(name) / file for file in _OF_FOLDER]
    if kind == "torchscript":
        return [Path(name)]
    if kind in _LIBRARIES or not user_code.is_function(spec):
        return []
    return user_code.code_files(spec)
