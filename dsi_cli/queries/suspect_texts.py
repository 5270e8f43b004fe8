"""The suspects as rows with text, which terminal and report share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli.metrics.suspects import MIN_CLASSES, MIN_NAMES
from dsi_cli.queries import facts
from dsi_cli.similarity import MAX_DENSE_CLASSES
from dsi_cli.store import layout
from dsi_cli.store.schema import CLASSES, SUSPECTS
from dsi_cli.suspect_kinds import KINDS, ORDINARY, STRONG, SuspectKind, quoted

MAX_SHOWN = 3  # entries of a kind that have a place on the first screen
REASON_TO_LOOK = (
    "A suspect is a reason to look, not a verdict: natural look-alikes, such as a husky"
    " and a malamute, are rightly listed as possible duplicates."
)
NO_SUSPECTS = "no class, pair or group stands out from the others"
NOT_SOUGHT = {
    "no-head": "only dead classes are sought without a classifier head",
    "many-classes": (
        f"suspects are not sought above {MAX_DENSE_CLASSES:,} classes, because no matrix"
        " is stored"
    ),
    "few-classes": (
        f"only dead classes are sought below {MIN_CLASSES} classes, because the other"
        " classes are the chance level"
    ),
    "distrusted": (
        "suspects are not sought in the labels or predictions that other inputs"
        " contradict"
    ),
    "no-reference": "wrong names and senses are not sought without a reference",
    "no-predictions": "mislabelled images are not sought without test predictions",
    "no-training-predictions": (
        "training predictions (preds_train.npy, or --train with a model) would show"
        " mislabelled images far better, and name their files"
    ),
    "few-names": (
        "wrong names and senses are not sought if the reference has fewer than"
        f" {MIN_NAMES} of the classes"
    ),
    "within-chance": (
        "only dead classes are sought, because the agreement with the reference stays"
        " within chance"
    ),
}
"""The reasons why only some kinds of suspects are sought in a run, by code."""


class KindRows(NamedTuple):
    """The suspects of one kind, the strongest first, and whether all are ordinary."""

    kind: SuspectKind
    rows: Sequence[Mapping[str, Any]]

    @property
    def notable(self) -> list[Mapping[str, Any]]:
        """The rows that are not ordinary."""
        return [row for row in self.rows if row["grade"] != ORDINARY]

    @property
    def ordinary_line(self) -> str:
        """The sentence about a kind whose first suspect is ordinary, with this one."""
        classes = self.rows[0]["classes"]
        return f"{self.kind.ordinary} (first of this kind: {classes})"


def by_kind(rows: Iterable[Mapping[str, Any]]) -> list[KindRows]:
    """Return the suspects of each kind that has any, in the order of their ranks."""
    ranked = sorted(rows, key=lambda row: int(row["rank"]))
    found = []
    for kind in KINDS:
        of_kind = [row for row in ranked if row["kind"] == kind.name]
        if of_kind:
            found.append(KindRows(kind, of_kind))
    return found


def sentence(text: str) -> str:
    """Return a text with a capital letter and a full stop.

    >>> sentence("no name fits worse than usual")
    'No name fits worse than usual.'
    """
    return f"{text[:1].upper()}{text[1:]}."


def counted(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the number of strong suspects and of those that are worth a look.

    >>> counted([{"grade": "strong"}, {"grade": "ordinary"}])
    '1 strong, 0 worth a look'
    """
    strong = sum(row["grade"] == STRONG for row in rows)
    others = sum(row["grade"] not in (STRONG, ORDINARY) for row in rows)
    return f"{strong} strong, {others} worth a look"


def not_sought(out: Path) -> list[str]:
    """Return why some kinds of suspects are not sought in a results folder, a line for
    each reason with its runs.
    """
    runs_of: dict[str, list[str]] = {}
    reasons = layout.earlier_options(out, SUSPECTS).get("reasons", {})
    for run, codes in reasons.items():
        for code in codes:
            runs_of.setdefault(code, []).append(run)
    return [f"{', '.join(runs)}: {NOT_SOUGHT[code]}" for code, runs in runs_of.items()]


def suspects_or_none(out: Path) -> list[dict[str, Any]] | None:
    """Return the suspects of a results folder as `described` does; None if an older
    version of dsi wrote the results.
    """
    if not (out / SUSPECTS.path).is_file():
        return None
    return described(out, layout.read_table(out, SUSPECTS).to_pylist())


def described(out: Path, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of the table of suspects with the ``class_names`` of their members,
    and with these and the epoch since which they stand as texts, ``classes`` and
    ``since``.
    """
    names = {
        (one["run"], one["class_index"]): one["name"]
        for one in layout.read_table(out, CLASSES).to_pylist()
    }
    rows = list(rows)
    # Labels that other inputs contradict name no class.
    nameless = {
        run
        for run in {row["run"] for row in rows}
        if "labels" in facts.distrusted(facts.of_run(out, run))
    }
    found = []
    for row in rows:
        of_row = [names[row["run"], member] for member in row["members"]]
        classes = [
            f"class {member}" if name is None or row["run"] in nameless else name
            for member, name in zip(row["members"], of_row, strict=True)
        ]
        since = row["since_epoch"]
        text = "" if since is None else f"since epoch {since:.0f}"
        listed = ", ".join(quoted(classes))
        found.append({**row, "class_names": classes, "classes": listed, "since": text})
    return found
