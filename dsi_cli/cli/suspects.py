"""``dsi suspects``: the classes, pairs and groups that deserve a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from dsi_cli.cli import console
from dsi_cli.cli.options import Json, Output, Quiet, Run, option, switch
from dsi_cli.errors import DONE, SUSPECT, require_choice
from dsi_cli.suspect_kinds import KIND_NAMES, NOTABLE, ORDINARY

if TYPE_CHECKING:
    from dsi_cli.queries.suspect_texts import KindRows

FAILURES = (*KIND_NAMES, *NOTABLE)


def suspects(
    output: Output,
    kind: Annotated[
        list[str] | None,
        option("--kind", "KIND", "List only this kind. Repeatable.", KIND_NAMES),
    ] = None,
    most: Annotated[
        int, option("--most -n", "NUMBER", "Number of suspects of each kind.", min=1)
    ] = 3,
    every: Annotated[
        bool, switch("--all", "Also list ordinary suspects, which are no evidence.")
    ] = False,
    run: Run = None,
    fail_on: Annotated[
        list[str] | None,
        option(
            "--fail-on",
            "KIND|GRADE",
            "Exit with code 6 if a suspect has this kind, or this grade or a higher"
            " one. Ordinary suspects do not count. Repeatable.",
            FAILURES,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List classes, pairs and groups that deserve a look.

    There is a list for each question, such as which classes may be the same. Each
    suspect has its grade (strong, worth a look or ordinary), its evidence and the next
    step, which -q leaves out. Runs with the same classes are judged together; --run
    lists the suspects whose strongest evidence is in this run. --json has all suspects
    of the kinds, also the ordinary ones.

    Examples
    --------
    dsi suspects dsi-out
    dsi suspects dsi-out --kind duplicate -n 40 --all
    dsi suspects dsi-out --fail-on strong --fail-on dead-class  # in CI
    """
    from dsi_cli.queries.records import records
    from dsi_cli.queries.suspect_texts import by_kind, described, not_sought
    from dsi_cli.store.results import Results

    for name in kind or ():
        require_choice("kind", name, KIND_NAMES, "no kind of suspect")
    for name in fail_on or ():
        require_choice("kind", name, FAILURES, "no kind or grade of suspect")
    results = Results(output, only=run)
    found = results.suspects()
    shown = found[found["kind"].isin(kind)] if kind else found
    if as_json:
        console.print_json(records(shown))
    else:
        _print(
            by_kind(described(results.path, records(shown))),
            most,
            every=every,
            quiet=quiet,
        )
        for line in not_sought(results.path):
            console.print_sentence(f"{line}.")
    return SUSPECT if _fails(records(found), fail_on or ()) else DONE


def _fails(rows: Sequence[Mapping[str, Any]], fail_on: Sequence[str]) -> bool:
    """Return whether a suspect has a kind, or a grade or a higher one, of a list."""
    for row in rows:
        if row["grade"] == ORDINARY:
            continue
        lower = NOTABLE[NOTABLE.index(row["grade"]) :]
        if row["kind"] in fail_on or any(grade in fail_on for grade in lower):
            return True
    return False


def _print(kinds: Sequence[KindRows], most: int, *, every: bool, quiet: bool) -> None:
    """Print the suspects of each kind below its question."""
    from dsi_cli.queries.suspect_texts import NO_SUSPECTS, REASON_TO_LOOK, sentence

    if not kinds:
        console.print_sentence(sentence(NO_SUSPECTS))
        return
    console.print_sentence(REASON_TO_LOOK)
    for of_kind in kinds:
        print()
        console.print_styled(
            (of_kind.kind.question, "bold"), (f"   {of_kind.kind.name}", "dim")
        )
        listed = of_kind.rows if every else of_kind.notable
        if not listed:
            console.print_sentence(sentence(of_kind.ordinary_line), indent=2)
        for row in listed[:most]:
            _print_suspect(row, quiet=quiet)
        if len(listed) > most:
            more = f"{len(listed) - most} more: -n {len(listed)}"
            console.print_sentence(more, indent=2)


def _print_suspect(row: Mapping[str, Any], *, quiet: bool) -> None:
    """Print the classes, the grade, the evidence and the next step of a suspect."""
    since = f", {row['since']}" if row["since"] else ""
    console.print_styled(
        (f"  {row['rank']:>2}  ", "dim"),
        (row["classes"], ""),
        (f"   {row['grade']}{since}", "dim"),
    )
    console.print_sentence(row["evidence"], indent=6, hanging=6)
    if not quiet:
        console.print_sentence(f"Next: {row['next_step']}", indent=6, hanging=8)
