"""A line of the table, and the page that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

BEGIN = (
    "<!-- measured: begin (python -m benchmarks writes what stands between these"
    " lines) -->"
)
END = "<!-- measured: end -->"
_HEADER = (
    "| measured | ours | beside it | ratio | required | holds"
    " |\n|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """One measurement."""

    part: str
    what: str
    ours: str
    beside: str = ""
    """The other way, with its figure."""
    ratio: float | None = None
    """The other way's figure by ours; of the rows that say "times", ours by the
    other's.
    """
    required: str = ""
    holds: bool | None = None
    """True if the requirement holds; None without one, or if it could not be measured.
    """
    skipped: str = ""
    """Why it could not be measured."""

    def line(self) -> str:
        """Return the row in Markdown."""
        if self.skipped:
            return (
                f"| {self.what} | not measured: {self.skipped} | | |"
                f" {self.required} | |"
            )
        ratio = "" if self.ratio is None else f"{_rounded(self.ratio)}x"
        holds = {True: "yes", False: "**no**", None: ""}[self.holds]
        return (
            f"| {self.what} | {self.ours} | {self.beside} | {ratio} | {self.required} |"
            f" {holds} |"
        )


def skipped(part: str, what: str, reason: str, required: str = "") -> Row:
    """Return a row that says why there is no figure."""
    return Row(part, what, "", skipped=reason, required=required)


def seconds(value: float) -> str:
    """Return a time to read, with three figures: ``12.3 ms``, ``1.23 s``."""
    return (
        f"{value * 1e3:.3g} ms"
        if value < 0.9995
        else f"{value:.3g} s"
        if value < 1000
        else f"{value:,.0f} s"
    )


def megabytes(value: float) -> str:
    """Return a number of bytes in MB, with three figures."""
    return f"{value / 1e6:.3g} MB" if value < 9.995e8 else f"{value / 1e6:,.0f} MB"


def tables(rows: Iterable[Row], titles: Sequence[tuple[str, str]]) -> str:
    """Return the rows as one Markdown table a part, under the parts' titles."""
    kept = list(rows)
    found = []
    for part, title in titles:
        lines = [row.line() for row in kept if row.part == part]
        if lines:
            found.append("\n".join([f"### {title}\n", _HEADER, *lines]))
    return "\n\n".join(found)


def write(page: Path, text: str) -> None:
    """Put a text between the page's markers; a page without them, or none, gets them at
    its end.
    """
    old = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
    before, begins, rest = old.partition(BEGIN)
    after = rest.partition(END)[2] if begins else ""
    if not begins:
        before = old.rstrip("\n") + "\n\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        f"{before}{BEGIN}\n\n{text}\n\n{END}{after or chr(10)}", encoding="utf-8"
    )


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}"
