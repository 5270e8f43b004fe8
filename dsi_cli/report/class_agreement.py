"""The agreement of single classes and groups of classes with the reference at the last measured epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsi_cli.queries.class_order import synset_words
from dsi_cli.report.curve_data import six_digits

if TYPE_CHECKING:
    from dsi_cli.store.results import Results


def class_agreement(results: Results, run: str) -> dict[str, Any] | None:
    """Return the agreement of each class and group with the main reference, lowest first; None if nothing was measured."""
    # Select the rows of the main reference at the last epoch with a value.
    rows = results.alignment_by_class
    rows = results.fill_missing_epochs(rows[rows["run"] == run])
    rows = rows[rows["reference"].isin(results.references(run)[:1])]
    if not rows["pearson"].notna().any():
        return None
    epoch = rows.loc[rows["pearson"].notna(), "epoch"].max()
    last = rows[rows["epoch"] == epoch].sort_values("pearson", kind="stable")
    last = last.drop_duplicates(["class_index", "group"], keep="last")

    # A row belongs either to a class or to a group; a group that is too small has no value.
    is_class = last["class_index"].notna()
    classes = last[is_class].to_dict("records")
    groups = last[~is_class & last["pearson"].notna()].to_dict("records")
    return {
        "epoch": int(epoch),
        "of": str(last["of"].iloc[0]),
        "classes": [[int(row["class_index"]), *six_digits((row["pearson"], row["z"]))] for row in classes],
        "groups": [
            [synset_words(str(row["group"])), *six_digits((row["pearson"], row["z"])), int(row["classes_used"])]
            for row in groups
        ],
        "small": int((~is_class).sum()) - len(groups),
    }
