"""``dsi labels``: how each label of a list is understood, as a table to read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.analyze import Json, MapFile, PartOfSpeech, Quiet, WordNetName
from dsi_cli.errors import DONE, UsageError
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    from dsi_cli.analysis.semantics.class_labels import ClassLabels
    from dsi_cli.wordnet.database.wordnet import WordNet
    from dsi_cli.wordnet.disambiguation.resolve import Resolution

Interactive = Annotated[
    bool, typer.Option("--interactive", "-i", help="Ask about the uncertain labels, one by one, on a terminal.")
]
WriteMap = Annotated[
    Path | None, typer.Option("--write-map", help="CSV of how each label was understood: edit it, then give it to --map.")
]
LONGEST_TABLE = 2000
"""Rows; what is longer comes as plain lines, since measuring columns takes minutes."""
LONGEST_SHOWN = 40
"""Characters of a label."""
SHOWN = 9
"""Alternatives that are shown of a label."""


def labels(
    labels: Annotated[
        str | None,
        typer.Argument(
            help="Label file (txt, csv, tsv, json, yaml) or preset, e.g. imagenet1k.", autocompletion=completion.presets
        ),
    ] = None,
    map_file: MapFile = None,
    write_map: WriteMap = None,
    interactive: Interactive = False,
    uncertain: Annotated[bool, typer.Option("--uncertain", help="Only the labels that want a look.")] = False,
    pos: PartOfSpeech = "noun",
    wordnet: WordNetName = None,
    presets: Annotated[bool, typer.Option("--presets", help="The label lists that ship with dsi, instead.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show what the labels of a list are understood to mean, how sure that is, and why.

    A question mark says that a label wants a look: choose among its alternatives with --interactive, or in the file of --write-map.

    Examples
    --------
    dsi labels ckpts/classes.txt --uncertain
    dsi labels ckpts/classes.txt --write-map map.csv  # edit it, then --map
    dsi labels ckpts/classes.txt --write-map map.csv -i  # the same by questions
    dsi labels --presets
    """
    from dsi_cli.analysis.semantics import wordnet_matrix
    from dsi_cli.wordnet.database.wordnet import load_wordnet

    if presets or labels is None:
        return _presets(wanted=presets, given=labels, as_json=as_json)
    if write_map is not None:
        require_other(labels, None, write_map)
    one = wordnet_matrix.resolve_label_list(labels, map_file, load_wordnet(pos, wordnet))
    if interactive:
        one = asked(one, write_map)
    if write_map is not None:
        wordnet_matrix.write_map(one, write_map)
    rows = [row for row in one.resolutions if row.is_uncertain or not uncertain]
    if as_json:
        assert one.label_list is not None
        looked_up = {
            "labels_id": one.labels_id,
            "preset": one.label_list.preset,
            "wordnet": one.wordnet.name,
            "pos": one.wordnet.part,
        }
        console.print_json({**looked_up, "labels": [document(row) for row in rows]})
        return DONE
    print_rows(rows)
    tell(one, again(labels, map_file, pos, wordnet), write_map, quiet=quiet)
    return DONE


def again(labels: str, map_file: str | None, pos: str, wordnet: str | None) -> str:
    """Return the call of ``dsi labels`` for the same list, looked up in the same way, to be pasted.

    >>> again("my labels.txt", None, "verb", None)
    "dsi labels 'my labels.txt' --pos verb"
    """
    options = {"--map": map_file, "--pos": None if pos == "noun" else pos, "--wordnet": wordnet}
    given = [part for name, value in options.items() if value is not None for part in (name, value)]
    return shlex.join(["dsi", "labels", labels, *given])


def tell(labels: ClassLabels, command: str, write_map: Path | None, *, quiet: bool) -> None:
    """Say how many labels are known and how many want a look, and what to do about these; ``command`` as of `again`."""
    assert labels.label_list is not None
    unsure = sum(row.is_uncertain for row in labels.resolutions)
    want = f"{unsure:,} {'wants' if unsure == 1 else 'want'} a look (?)" if unsure else "none wants a look"
    known = f"{labels.resolved} of {console.count(labels.classes, 'label')} in {labels.lookup_source}"
    console.note(f"{known}, from {labels.label_list.described}; {want}", quiet=quiet)
    if labels.label_list.duplicates:
        console.note(f"warning: labels that come twice: {', '.join(labels.label_list.duplicates[:5])}", quiet=quiet)
    if labels.are_placeholders:
        few = ", ".join(labels.placeholders[:2])
        console.note(f"the labels are placeholders ({few}, ...): replace them by the real class names", quiet=quiet)
        return
    if why := labels.reason_all_uncertain():
        console.note(why, quiet=quiet)
    if unsure and write_map is None:
        console.note("to choose what they mean, edit the file that this writes, then give it to --map:", quiet=quiet)
        console.note_command(f"{command} --write-map map.csv", quiet=quiet)


def document(row: Resolution) -> dict[str, object]:
    """Return a resolution for JSON."""
    return asdict(row) | {"uncertain": row.is_uncertain}


def require_other(labels: str, out: Path | None, write_map: Path | None) -> None:
    """Raise `UsageError` for a file to write that is the label list itself, or a mapping whose name does not say CSV."""
    for target in (out, write_map):
        if target is not None and target.exists() and Path(labels).exists() and target.samefile(labels):
            raise UsageError(f"{target} is the label list itself: it would be overwritten")
    if write_map is not None:
        atomic_write.require_suffix(write_map, (".csv",), "--write-map writes CSV")


def print_rows(rows: Sequence[Resolution]) -> None:
    """Print labels as a table: what each is understood to mean, how sure that is, and of the uncertain ones why."""
    from rich.table import Table
    from rich.text import Text

    if len(rows) > LONGEST_TABLE:
        for row in rows:
            print(console.shown("  ".join(_cells(row))))
        return
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for name, right, fold in (
        ("", False, False),
        ("", True, False),
        ("label", False, True),
        ("synset", False, True),
        ("sure", True, False),
        ("meaning", False, True),
    ):
        table.add_column(name, justify="right" if right else "left", overflow="fold" if fold else "crop", no_wrap=not fold)
    for row in rows:
        table.add_row(*(Text(console.shown(cell)) for cell in _cells(row)))
    console.print_table(table)


def _cells(row: Resolution) -> tuple[str, ...]:
    label = row.label if len(row.label) <= LONGEST_SHOWN else f"{row.label[: LONGEST_SHOWN - 3]}..."
    sure = "" if row.confidence is None else f"{row.confidence:.2f}"
    return "?" if row.is_uncertain else " ", str(row.index), label, row.synset or "-", sure, _meaning(row)


def _meaning(row: Resolution) -> str:
    if row.synset is None:
        return row.reason or ""
    gloss = shorten(row.definition or "", 70, placeholder="...")
    if not row.is_uncertain:
        return gloss
    others = [name for name in row.candidates if name != row.synset][:3]
    return f"{gloss} [{row.reason}{'; or ' + ', '.join(others) if others else ''}]"


def asked(labels: ClassLabels, write_map: Path | None) -> ClassLabels:
    """Return the labelling after a person was asked about what is uncertain; ``write_map`` is where the answers go.

    Ctrl-C writes those that were given.

    Raises
    ------
    UsageError
        Nobody is there to ask: stdin or stderr is no terminal.
    """
    from dsi_cli.analysis.semantics import class_labels, wordnet_matrix
    from dsi_cli.wordnet.disambiguation.identifiers import by_name

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "--interactive asks on a terminal, and this is none: edit the file of --write-map, then --map FILE"
        )
    assert labels.label_list is not None
    unsure = [row for row in labels.resolutions if row.is_uncertain]
    chosen = {row.index: row.wnid or "" for row in labels.resolutions if row.resolved_by == "map"}
    console.note(f"{console.count(len(unsure), 'label')} to ask about: a number, an id or a synset name;")
    console.note("Enter keeps the first, - leaves the label out, q ends the questions")
    if write_map is None:
        console.note("the answers are shown and not kept: Ctrl-C, and add --write-map FILE, to have them for --map")
    try:
        for number, row in enumerate(unsure, start=1):
            _offer(row, f"{number}/{len(unsure)}", labels.wordnet)
            while (answer := _answer(row)) is not None and answer and by_name(answer, labels.wordnet) is None:
                console.note(f"  {answer!a} is neither a number above nor an id or synset name")
            if answer is None:
                break
            chosen[row.index] = answer
    except KeyboardInterrupt:
        if write_map is not None:
            wordnet_matrix.write_map(
                class_labels.resolve_labels(labels.label_list, chosen, labels.wordnet, labels.taxonomy), write_map
            )
            console.note(f"\n{write_map} holds the answers so far: to go on with them, add --map {write_map}")
        raise
    return class_labels.resolve_labels(labels.label_list, chosen, labels.wordnet, labels.taxonomy)


def _offer(row: Resolution, place: str, wordnet: WordNet) -> None:
    graph = wordnet.taxonomy
    console.note(f"\n{place}  {row.label}".replace("\n", ""))
    if row.synset is None:
        console.note(f"  {row.reason}")
    names = row.candidates[:SHOWN]
    glosses = wordnet.definitions([node for name in names if (node := graph.node(name)) is not None])
    for number, (name, gloss) in enumerate(zip(names, glosses, strict=True), start=1):
        chance = f"{row.scores[number - 1]:.2f}" if row.scores else "    "
        console.note(f"  {number}  {chance}  {name}: {shorten(gloss, 90, placeholder='...')}")


def _answer(row: Resolution) -> str | None:
    """Return the id or synset name that was chosen, nothing to leave the label out, None to end."""
    print("  > ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    text = line.strip()
    if not line or text == "q":
        return None
    if text in ("", "-"):
        return "" if text == "-" or row.synset is None else row.synset
    if text.isascii() and text.isdecimal() and 1 <= int(text[:3]) <= min(len(row.candidates), SHOWN):
        return row.candidates[int(text) - 1]
    return text


def _presets(*, wanted: bool, given: str | None, as_json: bool) -> int:
    from dsi_cli.labels.presets import PRESETS

    if not wanted:
        raise UsageError("expected a label file or a preset; dsi labels --presets lists the presets")
    if given is not None:
        raise UsageError(f"--presets lists the presets and takes no label list; leave out {given[:60]!a}")
    if as_json:
        console.print_json([asdict(preset) for preset in PRESETS])
        return DONE
    wide = max(len(preset.name) for preset in PRESETS)
    for preset in PRESETS:
        console.print_sentence(
            f"{preset.name:<{wide}}  {preset.classes:>6,}  {preset.title}; {preset.source}", 0, wide + 10
        )
    return DONE
