"""``dsi suspects``: the classes, pairs and groups that deserve a look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from dsi_cli.cli import console
from dsi_cli.cli.options import Json, Output, Quiet, Run, option
from dsi_cli.errors import DONE, SUSPECT, require_choice
from dsi_cli.store.schema import SUSPECT_KINDS

if TYPE_CHECKING:
    import pandas as pd


def suspects(
    output: Output,
    kind: Annotated[
        list[str] | None,
        option("--kind", "KIND", "List only this kind. Repeatable.", SUSPECT_KINDS),
    ] = None,
    run: Run = None,
    fail_on: Annotated[
        list[str] | None,
        option(
            "--fail-on",
            "KIND",
            "Exit with code 6 if a suspect has this kind. Repeatable.",
            SUSPECT_KINDS,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List classes, pairs and groups that deserve a look.

    The kinds are wrong-label, duplicate, mislabelled-images, shortcut, wrong-sense and
    dead-class. Each suspect has its evidence and the next step, which -q leaves out.
    Runs with the same classes are judged together; --run lists the suspects whose
    strongest evidence is in this run.

    Examples
    --------
    dsi suspects dsi-out
    dsi suspects dsi-out --kind wrong-label --json
    dsi suspects dsi-out --fail-on duplicate --fail-on dead-class  # in CI
    """
    from dsi_cli.queries.records import records
    from dsi_cli.queries.suspect_texts import not_sought
    from dsi_cli.store.results import Results

    for name in (*(kind or ()), *(fail_on or ())):
        require_choice("kind", name, SUSPECT_KINDS, "no kind of suspect")
    results = Results(output, only=run)
    found = results.suspects()
    shown = found[found["kind"].isin(kind)] if kind else found
    if as_json:
        console.print_json(records(shown))
    else:
        _print(shown, len(found) - len(shown), quiet=quiet)
        for line in not_sought(results.path):
            console.print_sentence(f"{line}.")
    is_failure = found["kind"].isin(fail_on or ()).any()
    return SUSPECT if is_failure else DONE


def _print(shown: pd.DataFrame, others: int, *, quiet: bool) -> None:
    """Print each suspect with its evidence and the next step, and the number of
    ``others``, whose kinds were not asked for.
    """
    from dsi_cli.queries.records import records
    from dsi_cli.queries.suspect_texts import NO_SUSPECTS, RATE, described

    if len(shown):
        suspects = console.count(len(shown), "suspect")
        console.print_sentence(f"{suspects} {RATE}, the strongest first")
    elif not others:
        console.print_sentence(f"{NO_SUSPECTS.capitalize()}.")
    if others:
        of_others = console.count(others, "suspect")
        is_none = "" if len(shown) else "No suspect of this kind. "
        console.print_sentence(f"{is_none}{of_others} of other kinds not shown.")
    for row in described(records(shown)):
        print()
        console.print_styled((row["kind"], "bold"), (f"   {row['rate']}", "dim"))
        console.print_sentence(row["evidence"], indent=2)
        if not quiet:
            console.print_sentence(f"Next: {row['next_step']}", indent=2, hanging=4)
