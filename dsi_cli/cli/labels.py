"""``dsi labels``: how each label of a list is understood, as a table to read."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dsi_cli.cli import console
from dsi_cli.cli.options import (
    Json,
    LabelList,
    MapFile,
    PartOfSpeech,
    Quiet,
    WordNetName,
    option,
    switch,
)
from dsi_cli.cli.text import shorten, terminal_text
from dsi_cli.errors import DONE, UsageError, listed, quoted
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    from dsi_cli.analysis.semantics.class_labels import ClassLabels
    from dsi_cli.wordnet.disambiguation.resolve import Resolution

WriteMap = Annotated[
    Path | None,
    option(
        "--write-map",
        "FILE",
        "Write a CSV file with the senses, to edit and give to --map.",
    ),
]
MAX_TABLE_ROWS = 2000
"""The largest number of rows of a table. More rows are printed as plain lines, because
measuring the columns takes minutes.
"""
MAX_LABEL_LENGTH = 40  # characters of a label in a table
MAX_SYNONYMS = 10  # groups of synonyms that are listed
MAX_LEAST_CERTAIN = 3  # labels of a warning


def labels(
    labels: Annotated[str | None, LabelList] = None,
    map_file: MapFile = None,
    write_map: WriteMap = None,
    uncertain: Annotated[
        bool, switch("--uncertain", "Show only the uncertain labels.")
    ] = False,
    pos: PartOfSpeech = "noun",
    wordnet: WordNetName = None,
    presets: Annotated[bool, switch("--presets", "List the presets instead.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show the WordNet sense of each label, how sure dsi is, and why.

    A question mark marks an uncertain label. Choose its sense in the file of
    --write-map.

    Examples
    --------
    dsi labels ckpts/classes.txt --uncertain
    dsi labels ckpts/classes.txt --write-map map.csv  # edit it, then --map
    dsi labels --presets
    """
    from dsi_cli.analysis.semantics import wordnet_matrix
    from dsi_cli.labels.presets import PRESETS
    from dsi_cli.wordnet.database.wordnet import load_wordnet
    from dsi_cli.wordnet.disambiguation.resolve import synonyms

    if presets:
        if labels is not None:
            message = "--presets lists the presets and takes no label list"
            raise UsageError(
                message,
                hint=f"leave out {labels[:60]!a}",
                code="options-conflict",
                labels=labels,
            )
        if as_json:
            console.print_json([asdict(preset) for preset in PRESETS])
            return DONE
        wide = max(len(preset.name) for preset in PRESETS)
        for preset in PRESETS:
            text = f"{preset.name:<{wide}}  {preset.classes:>6,}  {preset.title}"
            console.print_sentence(text, hanging=wide + 10)
        return DONE
    if labels is None:
        raise UsageError(
            "expected a label file or a preset; dsi labels --presets lists the presets",
            code="no-labels",
        )
    if write_map is not None:
        require_other(labels, None, write_map)
    resolved = wordnet_matrix.resolve_label_list(
        labels, map_file, load_wordnet(pos, wordnet)
    )
    require_unedited(resolved, write_map, map_file)
    if write_map is not None:
        wordnet_matrix.write_map(resolved, write_map)
    rows: Sequence[Resolution] = resolved.resolutions
    if uncertain:
        rows = resolved.to_check
    same = synonyms(resolved.resolutions)
    if as_json:
        source = {
            "wordnet": resolved.wordnet.name,
            "pos": resolved.wordnet.part,
            "synonyms": [
                {"synset": synset, "indices": [row.index for row in group]}
                for synset, group in same.items()
            ],
        }
        console.print_json(labels_document(resolved, rows, **source))
        return DONE
    print_rows(rows)
    if uncertain and not rows:
        print(f"No label of {resolved.classes:,} is uncertain.")
    print_synonyms(same, quiet=quiet)
    print_counts(
        resolved, labels_command(labels, map_file, pos, wordnet), write_map, quiet=quiet
    )
    return DONE


def print_synonyms(same: Mapping[str, Sequence[Resolution]], *, quiet: bool) -> None:
    """Print the labels whose best synset is the same, and what dsi did about them."""
    for synset, group in list(same.items())[:MAX_SYNONYMS]:
        names = " and ".join(quoted(row.label) for row in group)
        others = [row for row in group if row.synset != synset]
        done = "all keep it, so their similarity is 1"
        if others:
            senses = [f"{quoted(row.label)} gets {row.synset}" for row in others]
            done = f"{listed(senses, 3)} instead and is uncertain"
        console.note(f"synonyms: {names} mean {synset}; {done}", quiet=quiet)
    if len(same) > MAX_SYNONYMS:
        more = console.count(len(same) - MAX_SYNONYMS, "more group")
        console.note(f"synonyms: {more} (--json lists all)", quiet=quiet)


def labels_command(
    labels: str, map_file: str | None, pos: str, wordnet: str | None
) -> str:
    """Return the command ``dsi labels`` for a list with the same options, which can be
    pasted.

    >>> labels_command("my labels.txt", None, "verb", None)
    "dsi labels 'my labels.txt' --pos verb"
    """
    options = {
        "--map": map_file,
        "--pos": None if pos == "noun" else pos,
        "--wordnet": wordnet,
    }
    given = [
        part
        for name, value in options.items()
        if value is not None
        for part in (name, value)
    ]
    return shlex.join(["dsi", "labels", labels, *given])


def print_counts(
    labels: ClassLabels, command: str, write_map: Path | None, *, quiet: bool
) -> None:
    """Print how many labels have a sense and how many are uncertain, and how to correct
    these with `labels_command`.
    """
    assert labels.label_list is not None
    uncertain = len(labels.to_check)
    if labels.resolved == labels.classes:
        certain_text = "all are certain"
    else:
        certain_text = "the mapping leaves out the others"
    uncertain_text = f"{uncertain:,} uncertain (?)" if uncertain else certain_text
    known = (
        f"{labels.resolved} of {console.count(labels.classes, 'label')} in"
        f" {labels.lookup_source}"
    )
    console.note(
        f"{known}, from {labels.label_list.description}; {uncertain_text}", quiet=quiet
    )
    if uncertain and not labels.are_placeholders:
        least = [
            f"{quoted(row.label)} ({row.synset or 'no synset'})"
            for row in labels.to_check
        ]
        console.note(
            f"warning: the least certain: {listed(least, MAX_LEAST_CERTAIN)}",
            quiet=quiet,
        )
    if labels.label_list.duplicates:
        console.note(
            "warning: labels that occur twice:"
            f" {', '.join(labels.label_list.duplicates[:5])}",
            quiet=quiet,
        )
    if labels.are_placeholders:
        few = ", ".join(labels.placeholders[:2])
        console.note(
            f"The labels are placeholders ({few}, ...). Replace them by the class"
            " names.",
            quiet=quiet,
        )
        return
    if labels.are_all_uncertain:
        from dsi_cli.queries.facts import messages

        for message in messages(labels.facts("WordNet", None), []):
            console.print_message(message, quiet=quiet)
    if write_map is not None:
        advice = f"Edit the column synset or wnid, then add --map {write_map}."
        console.note(f"The senses are in {write_map}. {advice}", quiet=quiet)
    elif uncertain:
        console.note(
            "To choose their senses, edit the file that this command writes, then add"
            " --map map.csv:",
            quiet=quiet,
        )
        console.note_command(f"{command} --write-map map.csv", quiet=quiet)


def labels_document(
    labels: ClassLabels, rows: Sequence[Resolution], **values: object
) -> dict[str, object]:
    """Return a label list with the senses of some labels, and other values of a
    command, for JSON.
    """
    assert labels.label_list is not None
    senses = [asdict(row) | {"uncertain": row.is_uncertain} for row in rows]
    return {
        "labels_id": labels.label_list.id,
        "preset": labels.label_list.preset,
        **values,
        "labels": senses,
    }


def require_other(labels: str, out: Path | None, write_map: Path | None) -> None:
    """Raise `UsageError` if a file to write is the label list itself, or if the name of
    a mapping does not end in ``.csv``.
    """
    for target in (out, write_map):
        if (
            target is not None
            and target.exists()
            and Path(labels).exists()
            and target.samefile(labels)
        ):
            message = f"{target} is the label list itself"
            raise UsageError(
                message,
                hint="give another name to --write-map",
                code="overwrites-labels",
                path=str(target),
            )
    if write_map is not None:
        atomic_write.require_suffix(write_map, (".csv",), "--write-map writes CSV")


def require_unedited(
    labels: ClassLabels, write_map: Path | None, map_file: str | None
) -> None:
    """Raise `UsageError` if a mapping to write exists with other senses, which the user
    may have edited, and is not read.
    """
    from dsi_cli.analysis.semantics import wordnet_matrix

    if write_map is None or not write_map.is_file():
        return
    is_read = (
        map_file is not None
        and Path(map_file).exists()
        and write_map.samefile(map_file)
    )
    if not is_read and write_map.read_bytes() != wordnet_matrix.map_contents(labels):
        option = f"--map {shlex.quote(str(write_map))}"
        message = f"{write_map} exists with other senses"
        raise UsageError(
            message,
            hint=f"add {option} to keep them, or delete it",
            code="map-exists",
            path=str(write_map),
        )


def print_rows(rows: Sequence[Resolution]) -> None:
    """Print labels as a table with sense, confidence and definition, and for uncertain
    labels the reason.
    """
    cells = []
    for row in rows:
        # 0.849 is not shown as 0.85, which needs no checking
        integer = math.floor if row.is_uncertain else round
        if row.confidence is None:
            sure = ""
        else:
            sure = f"{integer(100 * row.confidence) / 100:.2f}"
        mark = "?" if row.is_uncertain else " "
        meaning = textwrap.shorten(row.definition or "", 70, placeholder="...")
        if row.synset is None:
            meaning = row.reason or ""
        elif row.is_uncertain:
            others = [name for name in row.candidates if name != row.synset][:3]
            meaning += f" [{row.reason}{'; or ' if others else ''}{', '.join(others)}]"
        cells.append(
            (
                mark,
                str(row.index),
                shorten(row.label, MAX_LABEL_LENGTH),
                row.synset or "-",
                sure,
                meaning,
            )
        )
    if len(rows) > MAX_TABLE_ROWS:
        print("\n".join(terminal_text("  ".join(texts)) for texts in cells))
    elif rows:
        console.print_columns(["", "#", "label", "synset", "#sure", "meaning"], cells)
