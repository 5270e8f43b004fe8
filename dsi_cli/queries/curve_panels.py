"""The curves of figures and of the report, grouped in panels, with chance levels and
confidence intervals.

A panel is one pair of axes. `PANELS` of `dsi_cli.queries.quantities` lists the panels,
and `panels` fills them from the curves table of a results folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.metrics import DISTANCES
from dsi_cli.queries.epoch_sampling import evenly_spaced
from dsi_cli.queries.quantities import PANELS, SAI, PanelSpec, measures
from dsi_cli.store.results import Results

Values = NDArray[np.float64]


MAX_LEVELS = 6  # levels of the hierarchy that have a curve; the table has all


@dataclass(frozen=True, eq=False)
class Series:
    """One curve of one run with one point per epoch, in order; missing values are
    NaN.
    """

    run: str
    metric: str
    of: str | None
    split: str | None
    variant: str | None
    reference: str | None
    label: (
        str  # the label in a legend, such as SAI(NCSM, SCSM), NIDM of mistakes or max
    )
    epochs: NDArray[np.int64]
    value: Values
    chance: Values
    chance_std: Values
    low: Values
    high: Values
    excess: Values
    z: Values

    @property
    def excess_std(self) -> Values:
        """The standard deviation of a SAI's chance level on the scale of the excess."""
        return self.chance_std / (
            self.chance if self.variant in DISTANCES else 1 - self.chance
        )


@dataclass(frozen=True)
class Panel:
    """A pair of axes with its curves."""

    kind: PanelSpec
    measure: str
    series: list[Series] = field(default_factory=list)

    @property
    def axis(self) -> str:
        """The label of the vertical axis."""
        return self.kind.axis.format(measure=self.measure)

    @property
    def lower_is_closer(self) -> bool:
        """True if the values are distances."""
        return self.kind.name == SAI and self.measure in DISTANCES


def sai_measures(curves: pd.DataFrame) -> list[str]:
    """Return the measures of the SAI in a curves table, as in
    `dsi_cli.queries.quantities.measures`.
    """
    of_sai = curves.loc[curves["metric"] == SAI, "variant"].unique()
    return measures({"metric": SAI, "variant": name} for name in of_sai)


def panels(
    results: Results,
    names: Sequence[str] | None = None,
    measure: str | None = None,
    kinds: Iterable[PanelSpec] = PANELS,
) -> list[Panel]:
    """Return the panels that have at least one point, in the order of ``kinds``; curves
    of the main reference come first.

    The measure of the SAI is the variant of its kind, or else ``measure``, or else the
    first in the table.
    """
    kinds, curves = list(kinds), results.curves
    measure = measure or next(iter(sai_measures(curves)), "cosine")
    # Copying the whole table would take most of the time.
    is_drawn = curves["metric"].isin(
        [metric for kind in kinds for metric in kind.metrics]
    )
    curves = curves.loc[is_drawn, [*_KEYS, "epoch", "step", *_COLUMNS.values()]]
    drawn = series(
        curves,
        {
            str(name): count
            for name, count in results.classes["run"].value_counts().items()
        },
    )
    filled = [
        Panel(
            kind, kind.variants[0] if SAI in kind.metrics and kind.variants else measure
        )
        for kind in kinds
    ]
    for name in results.names if names is None else names:
        others = results.references(name)[1:]
        of_run = [curve for curve in drawn if curve.run == name]
        for panel in filled:
            panel.series.extend(
                sorted(
                    _of_panel(of_run, panel),
                    key=lambda curve: curve.reference in others,
                )
            )
    for panel in filled:
        panel.series[:] = _without_equal_accuracies(panel.series)
    return [panel for panel in filled if panel.series]


def series(curves: pd.DataFrame, classes: Mapping[str, int]) -> list[Series]:
    """Return the curves of a table by the last save of each epoch; accuracies have the
    chance level 1 / classes.
    """
    found: list[Series] = []
    for values, group in Results.last_saves(curves, *_KEYS).groupby(
        _KEYS, dropna=False, sort=False
    ):
        texts = cast("tuple[Any, ...]", values)
        key = {
            name: text if isinstance(text, str) else None
            for name, text in zip(_KEYS, texts, strict=True)
        }
        columns = {
            name: group[column].to_numpy(dtype=np.float64, na_value=np.nan)
            for name, column in _COLUMNS.items()
        }
        if key["metric"] in ("accuracy", "balanced_accuracy"):
            columns["chance"] = np.full(
                len(group), 1 / classes.get(str(key["run"]), np.nan)
            )
        epochs = group["epoch"].to_numpy(dtype=np.int64)
        found.append(Series(label=curve_label(key), epochs=epochs, **key, **columns))  # type: ignore[arg-type]
    return found


def _of_panel(curves: Iterable[Series], panel: Panel) -> list[Series]:
    """Return the curves of a panel that have a value; the paper's main curves come
    first.
    """
    kind = panel.kind
    variants = (panel.measure,) if SAI in kind.metrics else kind.variants
    found = []
    for curve in curves:
        is_of_kind = curve.metric in kind.metrics and (
            variants is None or curve.variant in variants
        )
        if is_of_kind and not np.isnan(getattr(curve, kind.column)).all():
            found.append(curve)
    if "level_accuracy" in kind.metrics:  # of many levels, some have a curve
        shown = evenly_spaced(
            sorted({int(curve.variant or 0) for curve in found}), MAX_LEVELS
        )
        found = [curve for curve in found if int(curve.variant or 0) in shown]
        return sorted(found, key=lambda curve: int(curve.variant or 0))
    return sorted(
        found,
        key=lambda curve: min(
            _ORDER.get(curve.of, len(_ORDER)), _ORDER.get(curve.variant, len(_ORDER))
        ),
    )


def _without_equal_accuracies(curves: Sequence[Series]) -> list[Series]:
    """Return curves without the balanced accuracy if it equals the accuracy in all
    runs, as for classes of equal size.
    """
    accuracies = {
        (curve.run, curve.split): curve
        for curve in curves
        if curve.metric == "accuracy"
    }
    others = [curve for curve in curves if curve.metric != "balanced_accuracy"]
    for curve in curves:
        if curve.metric == "balanced_accuracy":
            twin = accuracies.get((curve.run, curve.split))
            if twin is None or not _are_equal(twin, curve):
                return list(curves)
    return others


def _are_equal(first: Series, second: Series) -> bool:
    return np.array_equal(first.epochs, second.epochs) and np.allclose(
        first.value, second.value, rtol=0, atol=1e-6, equal_nan=True
    )


UNNAMED_REFERENCES = ("wordnet3.0-path", "wordnet3.0")
"""The references that labels omit: the default one, and the taxonomy of the severity.
"""
_MATRICES = (
    "ncsm,scsm",
    "tncsm-test,scsm",
    "tncsm-train,scsm",
    "ccsm-test,scsm",
    "ccsm-train,scsm",
    "ncsm,ccsm-test",
)
_ORDER: dict[str | None, int] = {
    name: rank for rank, name in enumerate((*_MATRICES, "max", "mean", "min"))
}
"""The rank of curves in the display order, by their matrices or variant; others come
last.
"""
_IDM_NAMES = {
    "ncsm": "NIDM",
    "scsm": "WIDM",
    "tncsm": "TNCSM's IDM",
    "ncsm_centred": "centred NIDM",
}
_METRIC_NAMES = {
    "accuracy_top5": "accuracy top-5",
    "hierarchical_f1": "hierarchical F1",
    "level_accuracy": "level",
    "nc2_norms": "unequal norms",
    "nc2_angles": "unequal angles",
}
# columns of the curves table that identify a curve
_KEYS = ["run", "metric", "of", "split", "variant", "reference"]
_COLUMNS = {"chance": "null_mean", "chance_std": "null_std"} | {
    name: name for name in ("value", "low", "high", "excess", "z")
}
"""The columns of the curves table by field of `Series`."""


def curve_label(key: dict[str, str | None]) -> str:
    """Return the label of a curve in a legend, from its metric, of, split, variant and
    reference.

    >>> curve_label({"metric": "sai", "of": "ncsm,ccsm-test", "split": None, "variant": "cosine", "reference": None})
    'SAI(NCSM, CCSM test)'
    >>> curve_label({"metric": "idm", "of": "scsm", "split": "test", "variant": "errors", "reference": "wordnet3.0-path"})
    'WIDM of mistakes, test'
    >>> curve_label({"metric": "sai", "of": "ncsm,scsm", "split": None, "variant": "cosine", "reference": "wordnet3.0-wup"})
    'SAI(NCSM, SCSM), wordnet3.0-wup'
    """
    of, split, reference = key["of"] or "", key["split"], key["reference"]
    if key["metric"] == SAI:
        matrices = (
            of.upper()
            .replace(",", ", ")
            .replace("-TEST", " test")
            .replace("-TRAIN", " train")
        )
        name, split = f"SAI({matrices})", None
    elif key["metric"] == "idm":
        name = (
            f"{_IDM_NAMES.get(of, of)} of"
            f" {'mistakes' if key['variant'] == 'errors' else 'all predictions'}"
        )
    elif key["metric"] == "wsi":
        name = f"{key['variant']}" + ("" if of == "ncsm" else f" of {of.upper()}")
    else:
        name = _METRIC_NAMES.get(
            str(key["metric"]), str(key["metric"]).replace("_", " ")
        )
        name += f" {key['variant']}" if key["metric"] == "level_accuracy" else ""
    if split:
        name += f", {split}"
    if (
        reference in (None, *UNNAMED_REFERENCES)
        or key["metric"] == "superclass_accuracy"
    ):
        return name
    return f"{name}, {reference}"
