"""The options of an analysis, checked: `Options`, and `Evaluation` for predictions on
labelled data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dsi_cli.analysis.option_groups import groups
from dsi_cli.analysis.option_groups.declaration import declared_options
from dsi_cli.analysis.option_groups.text_values import epoch_filter
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
    explains them. A field holds a converted value: `cache` is a number of bytes, `mean`
    and `std` are tuples of numbers, and `batch_size` is None for ``auto``.

    Raises
    ------
    UsageError
        An option has a value that is not allowed, or two options contradict each other.
    """

    predictions_before: tuple[str, str] | None = None
    """The file and the split of the predictions of an earlier call. dsi keeps its
    evaluation results and ignores files of predictions next to the checkpoints.
    """

    def __post_init__(self) -> None:
        for declared in declared_options(Evaluation):
            object.__setattr__(
                self, declared.field, declared.convert(getattr(self, declared.field))
            )
        require_choice("value", self.truth, groups.TRUTH, "--truth")
        require_choice(
            "value", self.predictions_split, groups.SPLITS, "--predictions-split"
        )
        has_predictions = self.predictions not in (None, NONE)
        split = self.predictions_split
        if has_predictions and split in self.data:
            message = f"--predictions and --{split} both give the {split} split"
            raise UsageError(
                message, hint="leave one of them out", code="two-sources", split=split
            )
        if self.targets is not None and not has_predictions:
            raise UsageError(
                "--targets needs --predictions FILE", code="targets-without-predictions"
            )
        # Images are normalised as values in [0, 1].
        for option, values, noun in (
            ("--mean", self.mean, "means"),
            ("--std", self.std, "deviations"),
        ):
            if any(1 < value <= MAX_PIXEL_VALUE for value in values or ()):
                given = ",".join(f"{value:g}" for value in values or ())
                scaled = ",".join(
                    f"{value / MAX_PIXEL_VALUE:.4g}" for value in values or ()
                )
                message = f"{option} takes {noun} in [0, 1], and {given} are not"
                raise UsageError(
                    message,
                    hint=f"write {option} {scaled}",
                    code="not-in-unit-range",
                    option=option,
                )
        for name in ("model", "templates", "download", "data_root"):
            if getattr(self, name) and not self.data:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{flag} needs data",
                    hint="add --test DATA or --train DATA",
                    code="no-data",
                    option=flag,
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
        return {
            split: data
            for split in groups.SPLITS
            if (data := getattr(self, split)) is not None
        }


@dataclass(frozen=True)
class Options(
    groups.MemoryOptions,
    groups.ComparisonOptions,
    groups.LabelOptions,
    groups.InputOptions,
):
    """The options of `dsi_cli.analysis.analyze.analyze`.

    The command reference explains each option. A field holds a converted value:
    `memory` is a number of bytes.

    Raises
    ------
    UsageError
        An option has a value that is not allowed.
    """

    seed: int = 0
    """The seed of permutations and bootstrap draws."""
    evaluation: Evaluation = field(default_factory=Evaluation)
    engine: EngineOptions = field(default_factory=EngineOptions)
    """The engine that runs the jobs; it changes no value in any table."""
    given_settings: frozenset[str] | None = None
    """The names of the kept settings that this call is given. The others come from
    earlier calls; if None, no setting is kept.

    See `dsi_cli.analysis.earlier_settings`.
    """
    kept_settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The settings that come from an earlier call, as that call recorded them."""

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
            require_choice("measure", name, MEASURES, "unknown measure")
        for quantile in self.quantiles:
            if not 0 < quantile < 1:
                message = (
                    f"--wsi-quantile takes a number between 0 and 1; {quantile} is not"
                )
                raise UsageError(message, code="not-a-quantile", value=quantile)
        for option, number in (
            ("--permutations", self.permutations),
            ("--draws", self.draws),
        ):
            if number is not None and not 0 <= number <= MAX_REPETITIONS:
                message = (
                    f"{option} takes 0 to {MAX_REPETITIONS:,}; {number} is not in that"
                    " range"
                )
                raise UsageError(
                    message, code="out-of-range", option=option, value=number
                )
        epoch_filter(self.epochs)

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
            "centred": self.centred,
            "pos": self.pos,
            "wordnet": self.wordnet,
            "measures": list(self.measures),
            "quantiles": list(self.quantiles),
            "permutations": self.permutations,
            "draws": self.draws,
            "seed": self.seed,
            "geometry": "ranks and NC2 of the raw and the centred class vectors",
            "hierarchy": (
                "height in the taxonomy that the classes span; superclasses of the data"
                " set, else groups of classes"
            ),
            "hierarchical_scores": "sets without the root; levels on the longest path",
            "interval": "95 %, of the excess, jackknife over classes",
            "ssim": (
                "Gaussian window, sigma 1.5, 11x11, K1 0.01, K2 0.03, population"
                " covariance, display order"
            ),
        }


KEPT_SETTINGS = {
    declared.field: declared.option.flag
    for declared in (*declared_options(Options), *declared_options(Evaluation))
    if declared.option.is_kept
}
"""The settings that later calls with the same output folder use again, each with its
flag.
"""


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
    given: dict[str, Any] = {}
    for declared in declared_options(Options):
        value = values.get(declared.field)
        if (
            declared.field == "labels"
            and isinstance(value, Iterable)
            and not isinstance(value, str)
        ):
            names = list(value)
            message = (
                f"labels must be a file or a preset, not {count(len(names), 'name')}"
            )
            raise UsageError(
                message,
                hint="write these to a file",
                code="labels-list",
                count=len(names),
            )
        if value is not None:
            given[declared.field] = declared.convert(value)
    given_settings = KEPT_SETTINGS.keys() & given.keys()
    if evaluation.predictions is not None:
        given_settings |= {"predictions"}
    # "none" and an empty list of references count as given, so that no earlier value is
    # used. They stand for the default.
    for name, value in list(given.items()):
        if (value in (NONE, (NONE,)) and name in KEPT_SETTINGS) or (
            value == () and name == "references"
        ):
            del given[name]
    return Options(
        **given,
        evaluation=(
            replace(evaluation, predictions=None)
            if evaluation.predictions == NONE
            else evaluation
        ),
        engine=EngineOptions(
            values["engine"], values["address"], values["gpus_per_task"]
        ),
        given_settings=frozenset(given_settings),
    )
