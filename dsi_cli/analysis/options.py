"""The options of an analysis, checked: `Options`, and `Evaluation` for predictions on
labelled data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from dsi_cli import plugins
from dsi_cli.analysis.option_groups import groups
from dsi_cli.analysis.option_groups.declaration import CACHE, declared_options
from dsi_cli.analysis.option_groups.text_values import epoch_filter
from dsi_cli.checkpoints import name_pattern
from dsi_cli.engines import EngineOptions
from dsi_cli.errors import UsageError, count, require_choice
from dsi_cli.metrics import MEASURES

if TYPE_CHECKING:
    from dsi_cli.checkpoints.checkpoint_reader import HeadOptions

REFERENCE = "wordnet3.0-path"
"""The id of the reference that dsi uses by default."""
NONE = "none"
"""The value that removes a kept setting, as in ``--labels none``."""
MAX_PIXEL_VALUE = 255
MAX_REPETITIONS = 1_000_000
"""The largest number of permutations and of bootstrap draws."""


@dataclass(frozen=True)
class Evaluation(
    groups.InferenceOptions, groups.ModelOptions, groups.PredictionOptions
):
    """The source of predictions on labelled data: a file, or a model that dsi runs on
    test data.

    Each field is an option of ``dsi analyze``: ``Evaluation(test="CIFAR100",
    data_root="data")`` for ``--test CIFAR100 --data-root data``. The command reference
    explains them. A field holds a converted value: `mean` and `std` are tuples of
    numbers, and `batch_size` is None for ``auto``.

    Raises
    ------
    UsageError
        An option has a value that is not allowed, or two options contradict each other.

    Examples
    --------
    >>> Evaluation(test="CIFAR100", data_root="data", mean="0.5,0.5,0.5").mean
    (0.5, 0.5, 0.5)
    """

    predictions_before: tuple[str, ...] | None = None
    """The file and the splits of the predictions of an earlier call. dsi keeps its
    evaluation results and ignores files of predictions next to the checkpoints.
    """

    def __post_init__(self) -> None:
        for declared in declared_options(Evaluation):
            value = declared.convert(getattr(self, declared.field))
            object.__setattr__(self, declared.field, value)
        require_choice("value", self.truth, groups.TRUTH, "--truth")
        require_choice(
            "value", self.predictions_split, groups.SPLITS, "predictions_split"
        )
        has_predictions = self.predictions not in (None, NONE)
        if self.targets is not None and not has_predictions:
            raise UsageError(
                "--targets needs --predictions FILE", code="targets-without-predictions"
            )
        _require_unit_range("--mean", "means", self.mean)
        _require_unit_range("--std", "deviations", self.std)
        for declared in declared_options(groups.ModelOptions):
            is_about_data = declared.field in ("test", "train")
            is_given = getattr(self, declared.field) != declared.default
            if is_given and not is_about_data and not self.data:
                raise UsageError(
                    f"{declared.title} needs data",
                    hint="add --test DATA or --train DATA",
                    code="no-data",
                    option=declared.title,
                )
        if self.batch_size is not None and self.batch_size < 1:
            message = (
                f"--batch-size takes 1 or more, or auto; {self.batch_size} is not"
                " allowed"
            )
            raise UsageError(message, code="not-a-batch-size", value=self.batch_size)

    @property
    def data(self) -> dict[str, str]:
        """The data of each split that dsi runs the model on."""
        data = {split: getattr(self, split) for split in groups.SPLITS}
        return {split: value for split, value in data.items() if value is not None}


def _require_unit_range(
    option: str, noun: str, values: tuple[float, ...] | None
) -> None:
    """Raise `UsageError` if values are those of pixels from 0 to 255. Images are
    normalised as values in [0, 1].
    """
    values = values or ()
    if not any(1 < value <= MAX_PIXEL_VALUE for value in values):
        return
    given = ",".join(f"{value:g}" for value in values)
    scaled = ",".join(f"{value / MAX_PIXEL_VALUE:.4g}" for value in values)
    message = f"{option} takes {noun} in [0, 1], and {given} are not"
    raise UsageError(
        message,
        hint=f"write {option} {scaled}",
        code="not-in-unit-range",
        option=option,
    )


@dataclass(frozen=True)
class Options(
    groups.MemoryOptions,
    groups.ComparisonOptions,
    groups.LabelOptions,
    groups.InputOptions,
):
    """The options of `dsi_cli.analysis.analyze.analyze`.

    The command reference explains each option.

    Raises
    ------
    UsageError
        An option has a value that is not allowed.

    Examples
    --------
    >>> Options(references=("path", "wup", "path")).references
    ('path', 'wup')
    """

    seed: int = 0
    """The seed of permutations and bootstrap draws."""
    evaluation: Evaluation = field(default_factory=Evaluation)
    engine: EngineOptions = field(default_factory=EngineOptions)
    """The engine that runs the jobs; it changes no value in any table."""
    given: frozenset[str] | None = None
    """The names of the settings that this call is given. The others are those of the
    previous call (`dsi_cli.analysis.previous_plan`), or the default ones if None.
    """

    def __post_init__(self) -> None:
        # A value that is given twice counts once.
        for name in ("measures", "quantiles", "references"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))
        if not self.references:
            raise UsageError(
                "no reference",
                hint="leave --reference out for WordNet's path similarity",
                code="no-reference",
            )
        for name in self.measures:
            plugins.require_choice(
                plugins.MEASURES, "measure", name, MEASURES, "unknown measure"
            )
        for quantile in self.quantiles:
            if not 0 < quantile < 1:
                message = f"quantiles takes numbers between 0 and 1; {quantile} is not"
                raise UsageError(message, code="not-a-quantile", value=quantile)
        for option in ("permutations", "draws"):
            number = getattr(self, option)
            if number is not None and not 0 <= number <= MAX_REPETITIONS:
                message = (
                    f"{option} takes 0 to {MAX_REPETITIONS:,}; {number} is not in that"
                    " range"
                )
                raise UsageError(
                    message, code="out-of-range", option=option, value=number
                )
        epoch_filter(self.epochs)
        if self.names is not None:
            name_pattern.NamePattern(self.names)

    @property
    def choice(self) -> HeadOptions:
        """The options for finding the classifier head in a checkpoint."""
        from dsi_cli.checkpoints.checkpoint_reader import HeadOptions

        return HeadOptions(self.head, self.ema, self.keep_extra_classes)

    @property
    def shaping_matrices(self) -> dict[str, Any]:
        """The options that change the matrices."""
        return asdict(self.choice)

    @property
    def shaping_curves(self) -> dict[str, Any]:
        """The options that change the curves. The references are left out, because the
        digests of their files count.
        """
        return {
            **self.shaping_matrices,
            "classes": self.classes,
            "clusters": self.clusters,
            "centred": self.centred,
            "pos": self.pos,
            "wordnet": self.wordnet,
            "measures": [_measure_id(name) for name in self.measures],
            "quantiles": list(self.quantiles),
            "permutations": self.permutations,
            "draws": self.draws or 0,
            "seed": self.seed,
            "geometry": "ranks and NC2 of the raw and the centred class vectors",
            "hierarchy": (
                "height in the taxonomy that the classes span; superclasses of the data"
                " set, else groups of classes"
            ),
            "hierarchical_scores": "sets without the root; levels on the longest path",
            "interval": "95 %, of the excess, jackknife over classes or clusters",
            "ssim": (
                "Gaussian window, sigma 1.5, 11x11, K1 0.01, K2 0.03, population"
                " covariance, display order"
            ),
        }


SETTINGS = {
    declared.field: declared
    for declared in (*declared_options(Options), *declared_options(Evaluation))
    if declared.option.is_kept
}
"""The options that later calls with the same output folder use again, by field."""


def make_options(
    values: Mapping[str, Any], evaluation: Evaluation | None = None
) -> Options:
    """Return the options of a call of ``dsi analyze``, ``dsi watch`` or
    `dsi_cli.analyze`.

    The values are by the name of the field, None if an option is not given. Paths and
    iterables are converted. The ``predictions`` of the evaluation may be ``"none"``.
    """
    evaluation = Evaluation() if evaluation is None else evaluation
    if not isinstance(evaluation, Evaluation):
        message = (
            "evaluation takes dsi_cli.Evaluation(predictions=FILE), for example, not"
            f" {type(evaluation).__name__}"
        )
        raise UsageError(message, code="wrong-type", field="evaluation")
    labels = values.get("labels")
    if isinstance(labels, Iterable) and not isinstance(labels, str):
        number = len(list(labels))
        message = f"labels must be a file or a preset, not {count(number, 'name')}"
        raise UsageError(
            message, hint="write these to a file", code="labels-list", count=number
        )
    converted = {
        declared.field: declared.convert(values.get(declared.field))
        for declared in declared_options(Options)
    }
    given = {name for name, value in converted.items() if value is not None}
    if evaluation.predictions is not None:
        given.add("predictions")
    if evaluation.predictions == NONE:
        evaluation = replace(evaluation, predictions=None)
    # "none" and an empty list of references stand for the default. They are given, so
    # that no earlier value is used.
    used = {
        name: converted[name]
        for name in given & converted.keys()
        if not (name in SETTINGS and converted[name] in (NONE, (NONE,), ()))
    }
    engine = {
        declared.field: values[declared.field]
        for declared in declared_options(groups.EngineChoice)
        if values.get(declared.field) is not None
    }
    return Options(
        **used,
        evaluation=evaluation,
        engine=EngineOptions(engine.pop("engine", EngineOptions.name), **engine),
        given=frozenset(given & SETTINGS.keys()),
    )


Group = TypeVar("Group", Options, Evaluation)


def with_local_files(options: Options) -> Options:
    """Return options in which the paths of copies replace URLs; errors as
    `dsi_cli.remote.download.localize`.
    """
    evaluation = _with_local_files(options.evaluation)
    return replace(_with_local_files(options), evaluation=evaluation)


def _with_local_files(group: Group) -> Group:
    from dsi_cli.remote import download

    local: dict[str, Any] = {}
    for declared in declared_options(type(group)):
        value = getattr(group, declared.field)
        if value is None or declared.option.url is None:
            continue
        folder = download.copies_folder()
        if declared.option.url == CACHE:
            folder = download.cache_folder()
        if isinstance(value, tuple):
            parts = [download.localize(text, folder) for text in value]
            local[declared.field] = tuple(parts)
        else:
            local[declared.field] = download.localize(value, folder)
    return replace(group, **local)


def _measure_id(name: str) -> str:
    """Return the name of a measure, with the version of its package for a plug-in."""
    if name in MEASURES:
        return name
    return plugins.load(plugins.MEASURES)[name].id
