"""What an analysis may be asked for, and which tables each option shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dsi_cli.checkpoints.scan import HeadOptions
from dsi_cli.engines import EngineOptions
from dsi_cli.errors import UsageError, expected
from dsi_cli.metrics import DEFAULT_MEASURES, DEFAULT_REFERENCES, MEASURES, WSI_QUANTILE

REFERENCE = "wordnet3.0-path"
SPLITS = ("train", "test")
TRUTH = ("rows", "columns")


_LARGEST_PIXEL = 255


def _require_unit_range(option: str, values: tuple[float, ...] | None, what: str) -> None:
    """Refuse means or deviations of pixels from 0 to 255: images are normalised as values in [0, 1]."""
    if values is None or not any(1 < value <= _LARGEST_PIXEL for value in values):
        return
    given = ",".join(f"{value:g}" for value in values)
    meant = ",".join(f"{value / _LARGEST_PIXEL:.4g}" for value in values)
    raise UsageError(f"--{option} {given}: give {what} in [0, 1]: {meant}")


@dataclass(frozen=True)
class Evaluation:
    """How the answers on labelled data come to be: given in a file, or by running the model."""

    predictions: str | None = None
    """A file or folder of predictions made elsewhere."""
    targets: str | None = None
    """The truth, where that file lacks it."""
    truth: str = "rows"
    """The axis of a confusion matrix that is the truth: ``rows`` or ``columns``."""
    predictions_split: str = "test"
    predictions_before: tuple[str, str] | None = None
    """The predictions of an earlier call, and their split: what it left counts, and not what lies beside the checkpoints."""
    test: str | None = None
    """The data of the test split: a folder of class folders, Parquet, a tar, torchvision's name, ``module:function``."""
    train: str | None = None
    data_root: str | None = None
    """Where torchvision's datasets lie."""
    download: bool = False
    label_column: str | None = None
    """Of Parquet data, where it cannot be told."""
    model: str | None = None
    """``timm:NAME`` and so on; None: what the checkpoints' trainer recorded."""
    model_arguments: tuple[tuple[str, Any], ...] = ()
    templates: bool = False
    """Also the TNCSM and typicality, from features."""
    image_size: int | None = None
    crop_pct: float | None = None
    interpolation: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: int | None = None
    skip_bad_images: bool = False
    device: str = "auto"
    batch_size: int | None = None
    autocast: bool = False
    """bfloat16 where the device gains by it; predictions near a tie may change."""
    cache: int | None = None
    """Bytes that decoded images may take; 0: decode for each checkpoint anew; None: half of what is free."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for what cannot be right."""
        for name, value, known in (("truth", self.truth, TRUTH), ("predictions-split", self.predictions_split, SPLITS)):
            if value not in known:
                raise UsageError(f"--{name} {value!r}: {expected(value, known)}")
        if self.predictions is not None and self.data.get(self.predictions_split) is not None:
            raise UsageError(
                f"both --predictions and --{self.predictions_split} are given: which is the {self.predictions_split} split?"
            )
        if self.targets is not None and self.predictions is None:
            raise UsageError("--targets stands beside --predictions, which is not given")
        for option, values, what in (("mean", self.mean, "means"), ("std", self.std, "deviations")):
            _require_unit_range(option, values, what)
        if not self.data:
            self._require_no_data_needed()
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"--batch-size takes 1 or more, or auto; {self.batch_size} is not")

    def _require_no_data_needed(self) -> None:
        for name in ("model", "templates", "download", "data_root"):
            if getattr(self, name):
                raise UsageError(f"--{name.replace('_', '-')} needs data: give --test DATA or --train DATA")

    @property
    def data(self) -> dict[str, str]:
        """The data of each split that is to be evaluated."""
        return {split: spec for split in SPLITS if (spec := getattr(self, split)) is not None}


@dataclass(frozen=True)
class Options:
    """The options of `dsi_cli.analysis.analyze.analyze`, checked."""

    labels: str | None = None
    """A file or the name of a preset."""
    mapping: str | None = None
    """A file that says what classes mean; it comes before everything else."""
    epochs: str | None = None
    """``first:last:step``, both ends included where they exist; any part may be left out."""
    choice: HeadOptions = field(default_factory=HeadOptions)
    centred: bool = False
    """Also the NCSM without the mean weight row."""
    references: tuple[str, ...] = DEFAULT_REFERENCES
    """As ``--reference`` takes them, see `dsi_cli.analysis.semantics.references`; the first is the main one."""
    taxonomy: str | None = None
    """A CSV file of child and parent in place of WordNet, for ``path``, ``wup`` and ``lch``, groups, order and severity."""
    pos: str = "noun"
    """The part of speech that labels are looked up among: ``noun`` or ``verb``."""
    wordnet: str | None = None
    """The name of a WordNet that is installed for NLTK, in place of 3.0."""
    measures: tuple[str, ...] = DEFAULT_MEASURES
    quantiles: tuple[float, ...] = (WSI_QUANTILE,)
    """Of the max and min WSI."""
    permutations: int | None = None
    draws: int | None = None
    seed: int = 0
    memory: int | None = None
    """The bytes that comparing matrices may take; None: half of what is free. With too few, some values are null."""
    log: str | None = None
    """The training log of all runs; None for what lies beside each of them."""
    evaluation: Evaluation = field(default_factory=Evaluation)
    engine: EngineOptions = field(default_factory=EngineOptions)
    """What does the work; it shapes nothing."""
    asked: frozenset[str] | None = None
    """The names of the settings given in this call. Other settings are taken from earlier calls; None: they are not.

    See `dsi_cli.analysis.earlier_settings`.
    """
    held: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The settings that are kept from an earlier call, as that call recorded them."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for what cannot be right, before anything is read; what is asked twice counts once."""
        object.__setattr__(self, "measures", tuple(dict.fromkeys(self.measures)))
        object.__setattr__(self, "quantiles", tuple(dict.fromkeys(self.quantiles)))
        object.__setattr__(self, "references", tuple(dict.fromkeys(self.references)))
        if not self.references:
            raise UsageError("no reference: leave --reference out for WordNet's path similarity")
        known = [measure.name for measure in MEASURES]
        for name in self.measures:
            if name not in known:
                raise UsageError(f"unknown measure {name!r}: {expected(name, known)}")
        for quantile in self.quantiles:
            if not 0 < quantile < 1:
                raise UsageError(f"a WSI quantile lies between 0 and 1; {quantile} does not")
        for name, count in (("permutations", self.permutations), ("draws", self.draws)):
            if count is not None and not 0 <= count <= 1_000_000:
                raise UsageError(f"--{name} takes 0 to 1,000,000; {count} is not in that range")
        epoch_filter(self.epochs)

    @property
    def shaping_matrices(self) -> dict[str, Any]:
        """The options that shape the matrices."""
        return asdict(self.choice)

    @property
    def shaping_curves(self) -> dict[str, Any]:
        """The options that shape the curves, those of the matrices included, but for the references (their files count)."""
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
            "hierarchy": "height in the taxonomy that the classes span; superclasses of the data set, else groups of classes",
            "interval": "95 %, of the excess, jackknife over classes",
            "ssim": "Gaussian window, sigma 1.5, 11x11, K1 0.01, K2 0.03, population covariance, display order",
        }


def epoch_filter(text: str | None) -> range | None:
    """Return the epochs that ``first:last:step`` means, or None for all; ``last`` is included.

    >>> list(epoch_filter("0:20:5")), list(epoch_filter("7")), list(epoch_filter(":2"))
    ([0, 5, 10, 15, 20], [7], [0, 1, 2])

    Raises
    ------
    UsageError
        The text has another form.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{0,9})(?:(:)(\d{0,9}))?(?::(\d{0,9}))?", text.strip())
    if found is None or not text.strip():
        raise UsageError(f"--epochs wants first:last:step, for example 0:200:5; {text!r} is not of that form")
    first, is_range, last, step = found.groups()
    start = int(first or 0)
    end = int(last) if last else (10**9 if is_range else start)
    if step is not None and int(step or 1) == 0:
        raise UsageError(f"--epochs {text}: a step of 0 never ends")
    return range(start, end + 1, int(step or 1))
