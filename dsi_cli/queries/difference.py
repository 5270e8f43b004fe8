"""The differences between two networks with the same classes: tables per class, pair
and group, and what they say in sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import count
from dsi_cli.metrics import head_geometry
from dsi_cli.metrics.head_geometry import Float64s, angles
from dsi_cli.store import parquet
from dsi_cli.store.schema import DIFF_CLASSES, DIFF_GROUPS, DIFF_TABLES

# pairs in the table; of more pairs, it has those that changed most
MAX_PAIRS = 1_000_000
MAX_NAMED = 5  # moved classes that the headline names


@dataclass(frozen=True, eq=False)
class Network:
    """One of the two networks, or one of the networks that show the usual variation."""

    title: str
    path: str
    weight: NDArray[np.float32]  # the head ``(C, d)``
    make_ncsm: Callable[[], NDArray[np.float32]]
    """Returns the stored NCSM ``(C, C)``, or that of the rows of a checkpoint."""
    epoch: int = 0
    has_epoch: bool = False  # False if no epoch is known
    dtype: str = "float32"
    names: tuple[str, ...] | None = None  # the labels; None without any
    readable_names: tuple[
        str, ...
    ] = ()  # the labels with a word before each WordNet id
    groups: tuple[str | None, ...] = ()
    order: tuple[int, ...] = ()  # the classes in display order

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.weight)

    @cached_property
    def ncsm(self) -> Float64s:
        """The float32 values of the NCSM ``(C, C)``, as float64."""
        return self.make_ncsm().astype(np.float64)


@dataclass(frozen=True, eq=False)
class Variation:
    """The usual differences: between neighbouring epochs of one run, or between
    repetitions of one training.
    """

    source: str  # a description of the compared checkpoints, for sentences
    step: str  # one of these differences, for sentences, such as "one usual epoch"
    pairs: list[tuple[Network, Network]]
    has_angles: bool  # False for repetitions, whose class vectors have no common axes


@dataclass(frozen=True, eq=False)
class Difference:
    """The differences between two networks; the tables are described in
    ``dsi_cli.store.schema``.
    """

    first: Network
    second: Network
    names: list[str]
    reason_no_angles: str | None
    correlation_z: float | None
    """The correlation of the two vectors of each class, in standard deviations above
    chance; None if they cannot be compared.
    """
    variation: str | None  # the source of the usual variation; None if it is unknown
    step: str | None  # one usual difference, for sentences; None if it is unknown
    classes: pd.DataFrame
    pairs: pd.DataFrame
    groups: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return (
            f"Difference({self.first.title!r}, {self.second.title!r}: {self.headline})"
        )

    @property
    def moved(self) -> pd.DataFrame:
        """The classes that changed by more than rounding, the most changed first."""
        return self.classes[self.classes["beyond_rounding"]].sort_values(
            ["angle", "change", "similarity_change"],
            ascending=False,
            kind="stable",
            na_position="first",
        )

    @property
    def moved_pairs(self) -> pd.DataFrame:
        """The pairs that changed by more than rounding, the most changed first."""
        return self.pairs[self.pairs["beyond_rounding"]]

    def save_tables(self, folder: Path) -> list[Path]:
        """Write the three tables into a folder, and return their paths; raise
        `OutputError` if that fails.
        """
        paths = []
        for table, frame in zip(
            DIFF_TABLES, (self.classes, self.pairs, self.groups), strict=True
        ):
            path = folder / table.path
            parquet.write(parquet.from_frame(table, frame), path, self.summary, folder)
            paths.append(path)
        return paths

    @property
    def summary(self) -> dict[str, Any]:
        """The main numbers, for JSON."""
        numbers: dict[str, Any] = {
            "classes": len(self.names),
            "moved_beyond_rounding": len(self.moved),
            "nothing_moved": self.moved.empty,
            "pairs_beyond_rounding": int(self.pairs["beyond_rounding"].sum()),
            "angles_compared": self.reason_no_angles is None,
            "reason_no_angles": self.reason_no_angles,
            "correlation_z": self.correlation_z,
            "variation": self.variation,
        }
        for column in (
            "angle",
            "angle_variation",
            "norm_change",
            "similarity_change",
            "similarity_variation",
        ):
            values = self.classes[column].dropna()
            numbers[f"median_{column}"] = (
                float(values.median()) if len(values) else None
            )
        if self.variation is None:
            beyond = None
        else:
            beyond = int(self.classes["beyond_variation"].fillna(False).sum())
        return numbers | {"moved_beyond_variation": beyond}

    @property
    def headline(self) -> str:
        """The finding in one or two sentences: the median, compared with a usual
        difference, and what rounding explains.
        """
        total, moved = count(len(self.names), "class"), self.moved
        if moved.empty:
            if self.reason_no_angles is None and not self.classes["change"].any():
                return f"The two heads are the same: no weight of {total} differs."
            dtypes = " and ".join(dict.fromkeys((self.first.dtype, self.second.dtype)))
            return (
                f"Nothing moved beyond rounding: {dtypes} explain every difference of"
                f" {total}."
            )
        if len(moved) == len(self.names):
            rounding = f"All {total}"
        else:
            rounding = f"{len(moved):,} of {total}"
        rounding += (
            " moved beyond rounding"
            if self.reason_no_angles is None
            else " differ by more than rounding"
        )
        if len(moved) <= MAX_NAMED:
            rounding += f": {', '.join(moved['name'])}"
        column, title, unit = "angle", "angle", "°"
        # The vectors of repetitions have no angles that the angles between two epochs
        # could be compared with.
        has_usual = (
            self.variation is None or self.classes["angle_variation"].notna().any()
        )
        if self.reason_no_angles is not None or not has_usual:
            column, title, unit = "similarity_change", "change of a similarity", ""
        median = moved[column].median()
        usual = moved[f"{column.partition('_')[0]}_variation"].median()
        if np.isnan(median):
            return f"{rounding}."
        which = "" if len(moved) == len(self.names) else " of those that moved"
        text = f"The median {title}{which} is {median:.3g}{unit}"
        if self.step is not None and not np.isnan(usual):
            text += (
                f", {_times(median, usual)} {self.step} ({usual:.3g}{unit} between"
                f" {self.variation})"
            )
        return f"{text}. {rounding}."


def _times(value: float, usual: float) -> str:
    """Return how a value compares with the usual one, as words before a noun.

    >>> _times(2.5, 3.9), _times(3.9, 3.9), _times(5.85, 3.9), _times(58, 3.9), _times(1, 0)
    ('less than', 'about as much as', '1.5 times', '15 times', 'more than')
    """
    if value > usual == 0:
        return "more than"
    if value < 0.95 * usual:
        return "less than"
    if value < 1.05 * usual or usual == 0:
        return "about as much as"
    return f"{value / usual:{'.1f' if value < 10 * usual else ',.0f'}} times"


def compare(
    first: Network,
    second: Network,
    variation: Variation | None,
    reason_no_angles: str | None,
    z: float | None,
) -> Difference:
    """Return the differences of two networks with the same classes, next to the usual
    ones if these are known.

    `reason_no_angles` is the reason why class vectors cannot be compared, None if they
    can, and `z` is their correlation.
    """
    labelled = first if first.names is not None else second
    names = list(labelled.readable_names or map(str, range(first.classes)))
    before, after = first.ncsm, second.ncsm
    change = after - before
    rounding = _rounding(first, second, reason_no_angles)
    bound = rounding.relative[:, None] + rounding.relative
    bound += 2 * head_geometry.COSINE_ROUNDING
    beyond = np.abs(change) > bound
    exceeded = rounding.exceeded
    if exceeded is None:
        exceeded = np.any(beyond, axis=1)
    usual: list[Float64s] = []
    if variation is not None:
        usual = [after.ncsm - before.ncsm for before, after in variation.pairs]

    groups = list(labelled.groups) or [None] * len(names)
    rows = pd.DataFrame(
        {"class_index": np.arange(len(names)), "name": names, "group": groups}
    )
    # Quantities that cannot be compared stay NaN.
    rows = rows.reindex(columns=[column.name for column in DIFF_CLASSES.columns])
    if reason_no_angles is None:
        _add_vectors(rows, first.weight, second.weight, rounding.angle)
    rows["similarity_change"] = _mean_change(change)
    near, then = head_geometry.nearest(before), head_geometry.nearest(after)
    rows["gained"] = _names_only_in(then, near, after, names)
    rows["lost"] = _names_only_in(near, then, before, names)
    rows["beyond_rounding"] = exceeded
    if variation is not None:
        has_angles = variation.has_angles and reason_no_angles is None
        _add_variation(rows, variation, usual, has_angles=has_angles)

    # One row per pair, the most changed first.
    row, column = np.triu_indices(len(names), 1)
    order = np.argsort(-np.abs(change[row, column]), kind="stable")[:MAX_PAIRS]
    row, column = row[order], column[order]
    by_index = np.array(names, dtype=object)
    pairs = pd.DataFrame({"first_index": row, "second_index": column})
    pairs["first_name"], pairs["second_name"] = by_index[row], by_index[column]
    pairs["similarity_first"] = before[row, column]
    pairs["similarity_second"] = after[row, column]
    pairs["similarity_change"] = change[row, column]
    pairs["rounding"] = bound[row, column]
    pairs["beyond_rounding"] = beyond[row, column] & (exceeded[row] | exceeded[column])
    pairs["variation"] = np.nan
    if usual:
        squares = [step[row, column] ** 2 for step in usual]
        pairs["variation"] = np.sqrt(np.mean(squares, axis=0))
    notes = []
    if len(row) == MAX_PAIRS < len(names) * (len(names) - 1) // 2:
        number = f"{MAX_PAIRS:,} pairs"
        notes.append(f"the table of pairs has the {number} that changed most")
    return Difference(
        first=first,
        second=second,
        names=names,
        reason_no_angles=reason_no_angles,
        correlation_z=z,
        variation=None if variation is None else variation.source,
        step=None if variation is None else variation.step,
        classes=rows,
        pairs=pairs,
        groups=_group_rows(rows, change, usual),
        notes=notes,
    )


def _add_vectors(
    rows: pd.DataFrame,
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    rounding: Float64s,
) -> None:
    """Add the changes of the class vectors."""
    rows["change"] = head_geometry.relative_change(first, second)
    rows["angle"] = angles(first, second)
    rows["angle_rounding"] = rounding
    lengths = np.linalg.norm(first.astype(np.float64), axis=1)
    rows["norm_first"] = lengths
    rows["norm_second"] = np.linalg.norm(second.astype(np.float64), axis=1)
    change = rows["norm_second"] / np.where(lengths > 0, lengths, np.nan) - 1
    rows["norm_change"] = change
    rows["zeroed"] = ((first != 0) & (second == 0)).sum(axis=1)


def _mean_change(change: Float64s) -> Float64s:
    """Return the mean size of each class's changes of similarity."""
    others = ~np.eye(len(change), dtype=bool)
    mean: Float64s = np.abs(change).mean(axis=1, where=others)
    return mean


def _add_variation(
    rows: pd.DataFrame, variation: Variation, usual: list[Float64s], *, has_angles: bool
) -> None:
    """Add the usual changes, and whether a class moved more than 95 % of them."""
    usual_change = np.stack([_mean_change(step) for step in usual])
    rows["similarity_variation"] = np.median(usual_change, axis=0)
    value, limit = rows["similarity_change"], float(np.quantile(usual_change, 0.95))
    if has_angles:
        usual_angle = pd.DataFrame(
            [angles(a.weight, b.weight) for a, b in variation.pairs]
        )
        rows["angle_variation"] = usual_angle.median()
        value, limit = rows["angle"], float(np.quantile(usual_angle.stack(), 0.95))
    rows["beyond_variation"] = (value.isna() | (value > limit)).astype("boolean")


def _rounding(
    first: Network, second: Network, reason_no_angles: str | None
) -> head_geometry.Rounding:
    """Return what rounding to the dtypes of two networks can explain; angles are NaN if
    there is a reason against them.
    """
    if reason_no_angles is None:
        return head_geometry.rounding(
            first.weight, second.weight, (first.dtype, second.dtype)
        )
    unit = sum(
        head_geometry.PRECISIONS.get(network.dtype, (0.0, 0.0))[0]
        for network in (first, second)
    )
    return head_geometry.Rounding(
        None, np.full(first.classes, np.nan), np.full(first.classes, unit)
    )


def _names_only_in(
    own: NDArray[np.intp],
    other: NDArray[np.intp],
    similarity: Float64s,
    names: list[str],
) -> list[list[str]]:
    """Return the names of each class's neighbours that the other network lacks; a zero
    vector has no neighbours.
    """
    has_direction = (similarity != 0).sum(axis=1) > 1
    names_by_class: list[list[str]] = [[] for _ in names]
    for index in np.flatnonzero(has_direction):
        names_by_class[index] = [
            names[neighbor] for neighbor in own[index] if neighbor not in other[index]
        ]
    return names_by_class


def _group_rows(
    rows: pd.DataFrame, change: Float64s, usual: list[Float64s]
) -> pd.DataFrame:
    """Return one row per group of two classes or more: changes within the group, and
    between it and the other classes.
    """
    means = ["angle", "angle_variation", "norm_change"]
    found = []
    for name, members in rows.dropna(subset=["group"]).groupby("group"):
        inside = members["class_index"].to_numpy()
        if len(inside) < 2:
            continue
        # The means are over each pair of classes in the group once.
        row, column = inside[np.array(np.triu_indices(len(inside), 1))]
        steps = [step[row, column].mean() ** 2 for step in usual]
        others = np.setdiff1d(rows["class_index"], inside)
        to_others = change[np.ix_(inside, others)]
        group = {"group": name, "classes": len(inside)} | members[
            means
        ].mean().to_dict()
        group["within_change"] = change[row, column].mean()
        group["within_variation"] = np.sqrt(np.mean(steps)) if steps else np.nan
        group["between_change"] = to_others.mean() if len(others) else np.nan
        group["moved"] = int(members["beyond_rounding"].sum())
        found.append(group)
    columns = [column.name for column in DIFF_GROUPS.columns]
    table = pd.DataFrame(found, columns=columns)
    by_change = table["within_change"].abs().sort_values(ascending=False, kind="stable")
    return table.loc[by_change.index].reset_index(drop=True)
