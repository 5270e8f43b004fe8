"""The curves that figures and the report draw, panel by panel: each a series of points with its chance level and interval.

A panel is one pair of axes. `PANELS` says which there are and which curves each holds; `panels` fills them from an output's
curves table, and leaves out what a run does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import DISTANCES, MEASURES

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

Values = NDArray[np.float64]


class PanelSpec(NamedTuple):
    """What a panel shows."""

    name: str
    """To type and to name a file by."""
    title: str
    axis: str
    """What the vertical axis measures; ``{measure}`` stands for the SAI's measure."""
    metrics: tuple[str, ...]
    variants: tuple[str, ...] | None = None
    """None for all; the SAI's is the measure."""
    column: str = "value"
    """Of the curves table: value or excess."""


PANELS = (
    PanelSpec("sai", "Similarity alignment index", "SAI ({measure})", ("sai",)),
    PanelSpec("excess", "Alignment above chance", "SAI excess: 0 chance, 1 identity", ("sai",), column="excess"),
    PanelSpec("wsi", "Weights similarity index", "WSI: cosine similarity", ("wsi",)),
    PanelSpec("idm", "How near answers fall to the truth", "IDM", ("idm",), ("all",)),
    PanelSpec("idm_errors", "How near mistakes fall to the truth", "IDM of mistakes alone", ("idm",), ("errors",)),
    PanelSpec(
        "accuracy", "Accuracy", "accuracy", ("accuracy", "accuracy_top5", "balanced_accuracy", "superclass_accuracy")
    ),
    PanelSpec("loss", "Loss", "loss", ("loss",)),
    PanelSpec("learning_rate", "Learning rate", "learning rate", ("learning_rate",)),
    PanelSpec("mistakes", "Number of mistakes", "mistakes", ("mistakes",)),
    PanelSpec("severity", "Severity of mistakes", "height of the lowest common hypernym, lower is nearer", ("severity",)),
    PanelSpec("reliability", "Reliability of the confusion matrix", "split-half reliability", ("reliability",)),
    PanelSpec("mean_row", "Length of the mean weight row", "relative to a row's mean length", ("mean_row",)),
)


@dataclass(frozen=True, eq=False)
class Series:
    """One curve of one run, a point an epoch (an epoch's last save), in order; NaN where the table has none."""

    run: str
    metric: str
    of: str | None
    split: str | None
    variant: str | None
    reference: str | None
    label: str
    """What a legend calls it: SAI(NCSM, SCSM), NIDM, max."""
    epochs: NDArray[np.int64]
    value: Values
    chance: Values
    chance_std: Values
    low: Values
    high: Values
    excess: Values
    z: Values
    ceiling: Values

    @property
    def excess_std(self) -> Values:
        """The chance level's deviation on the scale of the excess, of a SAI."""
        return self.chance_std / (self.chance if self.variant in DISTANCES else 1 - self.chance)


@dataclass(frozen=True)
class Panel:
    """A pair of axes with its curves."""

    kind: PanelSpec
    measure: str
    series: list[Series] = field(default_factory=list)

    @property
    def axis(self) -> str:
        """What the vertical axis measures."""
        return self.kind.axis.format(measure=self.measure)

    @property
    def lower_is_closer(self) -> bool:
        """Whether the values are a SAI's distances."""
        return self.kind.name == "sai" and self.measure in DISTANCES


def measures_of(curves: pd.DataFrame) -> list[str]:
    """Return the SAI's measures that a curves table has, in the order of `dsi_cli.metrics.MEASURES`."""
    there = set(curves.loc[curves["metric"] == "sai", "variant"])
    return [measure.name for measure in MEASURES if measure.name in there]


def panels(
    run: Results, names: Sequence[str] | None = None, measure: str | None = None, kinds: Iterable[PanelSpec] = PANELS
) -> list[Panel]:
    """Return the panels that have at least one point, in the order of ``kinds``; in each, curves of the main reference first.

    Parameters
    ----------
    run : the output
    names : runs in it; all if None
    measure : of the SAI; the first that the table has if None
    """
    wanted = run.names if names is None else list(names)
    curves = run.fill_missing_epochs(run.curves)
    measure = measure or next(iter(measures_of(curves)), "cosine")
    found = []
    for kind in kinds:
        panel = Panel(kind, measure)
        for name in wanted:
            others = run.references(name)[1:]
            classes = int((run.classes["run"] == name).sum())
            found_here = series(curves[curves["run"] == name], kind, measure, classes)
            panel.series.extend(sorted(found_here, key=lambda one: one.reference in others))
        if panel.series:
            found.append(panel)
    return found


def series(curves: pd.DataFrame, kind: PanelSpec, measure: str, classes: int = 0) -> list[Series]:
    """Return one run's curves of a panel, those without any value left out.

    Parameters
    ----------
    classes : how many the run has, for the chance level of accuracies, 1 / ``classes``; 0 for none
    """
    rows = curves[curves["metric"].isin(kind.metrics)]
    variants = (measure,) if "sai" in kind.metrics else kind.variants
    if variants is not None:
        rows = rows[rows["variant"].isin(variants)]
    keys = ["run", "metric", "of", "split", "variant", "reference"]
    found: list[tuple[int, int, Series]] = []
    for key, group in rows.groupby(keys, dropna=False, sort=False):
        if group[kind.column].notna().any():
            found.append(_one(dict(zip(keys, cast("tuple[str | None, ...]", key), strict=True)), group, len(found)))
    ordered = [one for _, _, one in sorted(found, key=lambda ranked: ranked[:2])]
    guessed = ("accuracy", "balanced_accuracy") if classes else ()
    return [replace(one, chance=np.full(len(one.epochs), 1 / classes)) if one.metric in guessed else one for one in ordered]


_OF = ("ncsm,scsm", "tncsm-test,scsm", "tncsm-train,scsm", "ccsm-test,scsm", "ccsm-train,scsm", "ncsm,ccsm-test")
_VARIANTS = ("max", "mean", "min")
_NAMES = {"ncsm": "NIDM", "scsm": "WIDM", "tncsm": "TNCSM's IDM", "ncsm_centred": "centred NIDM"}


def _one(key: dict[str, str | None], group: pd.DataFrame, place: int) -> tuple[int, int, Series]:
    """Return a series behind what it is sorted by: the paper's main curves first, others as they come."""
    key = {name: text if isinstance(text, str) else None for name, text in key.items()}
    last = group.sort_values(["epoch", "step"], na_position="first").drop_duplicates("epoch", keep="last")
    columns = {
        name: last[column].to_numpy(dtype=np.float64, na_value=np.nan)
        for name, column in (
            ("value", "value"),
            ("chance", "null_mean"),
            ("chance_std", "null_std"),
            ("low", "low"),
            ("high", "high"),
            ("excess", "excess"),
            ("z", "z"),
            ("ceiling", "ceiling"),
        )
    }
    order = (*_OF, *_VARIANTS)
    rank = next((order.index(text) for text in (key["of"], key["variant"]) if text in order), len(order))
    epochs = last["epoch"].to_numpy(dtype=np.int64)
    return rank, place, Series(label=label(key), epochs=epochs, **key, **columns)  # type: ignore[arg-type]


def label(key: dict[str, str | None]) -> str:
    """Return what a legend calls a curve, from its metric, of, split, variant and reference.

    >>> label({"metric": "sai", "of": "ncsm,ccsm-test", "split": None, "variant": "cosine", "reference": None})
    'SAI(NCSM, CCSM test)'
    >>> label({"metric": "idm", "of": "scsm", "split": "test", "variant": "errors", "reference": "wordnet3.0-path"})
    'WIDM, test'
    >>> label({"metric": "sai", "of": "ncsm,scsm", "split": None, "variant": "cosine", "reference": "wordnet3.0-wup"})
    'SAI(NCSM, SCSM), wordnet3.0-wup'
    """
    name, reference = _unreferenced(key), key["reference"]
    is_usual = reference in (None, *UNSAID) or key["metric"] == "superclass_accuracy"
    return name if is_usual else f"{name}, {reference}"


UNSAID = ("wordnet3.0-path", "wordnet3.0")
"""The references that a name need not hold: the usual one, and the taxonomy of severity."""


def _unreferenced(key: dict[str, str | None]) -> str:
    of, split = key["of"] or "", key["split"]
    if key["metric"] == "sai":
        return f"SAI({', '.join(part.upper().replace('-TEST', ' test').replace('-TRAIN', ' train') for part in of.split(','))})"
    if key["metric"] == "idm":
        name = _NAMES.get(of, of)
    elif key["metric"] == "wsi":
        name = f"{key['variant']}" + ("" if of == "ncsm" else f" of {of.upper()}")
    else:
        name = str(key["metric"]).replace("_", " ").replace("top5", "top-5")
    return f"{name}, {split}" if split else name
