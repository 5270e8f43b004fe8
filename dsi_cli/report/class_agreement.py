"""Which classes, and which groups of classes, agree with the reference, at the last epoch that was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsi_cli.queries.class_order import synset_words

if TYPE_CHECKING:
    from dsi_cli.store.results import Results


def class_agreement(run: Results, name: str) -> dict[str, Any] | None:
    """Return the alignment of each class and group, of several references with the main one, those that agree least first."""
    rows = run.alignment_by_class
    rows = run.with_places(rows[rows["run"] == name])
    rows = rows[rows["reference"].isin(run.references(name)[:1])]
    if not rows["pearson"].notna().any():
        return None
    epoch = rows.loc[rows["pearson"].notna(), "epoch"].max()
    last = rows[rows["epoch"] == epoch].sort_values("pearson", kind="stable")
    last = last.drop_duplicates(["class_index", "group"], keep="last")
    is_class = last["class_index"].notna()
    groups = last[~is_class & last["pearson"].notna()]
    return {
        "epoch": int(epoch),
        "of": str(last["of"].iloc[0]),
        "classes": [[int(row["class_index"]), *_numbers(row)] for row in last[is_class].to_dict("records")],
        "groups": [
            [synset_words(str(row["group"])), *_numbers(row), int(row["classes_used"])] for row in groups.to_dict("records")
        ],
        "small": int((~is_class).sum()) - len(groups),
    }


def _numbers(row: dict[str, Any]) -> list[float | None]:
    return [None if value != value or value is None else float(f"{value:.6g}") for value in (row["pearson"], row["z"])]
