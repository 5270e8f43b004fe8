"""``dsi wordnet``: the reference matrix of a label list."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.analyze import Json, MapFile, PartOfSpeech, Quiet, TaxonomyFile, WordNetName
from dsi_cli.cli.labels import Interactive, WriteMap, asked, document, require_other
from dsi_cli.errors import DONE
from dsi_cli.metrics import DEFAULT_REFERENCES

if TYPE_CHECKING:
    from dsi_cli.pipeline.labelling import Labelling
    from dsi_cli.wordnet.senses import Resolution

LISTED = 100
"""Longer lists show only the labels that are not certain."""
_CERTAIN = ("wnid", "synset", "preset", "map")


def wordnet(
    labels: Annotated[
        str,
        typer.Argument(
            help="Label file (txt, csv, tsv, json) or preset, e.g. imagenet1k.", autocompletion=completion.presets
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="Parquet file; - for stdout. Default: LABELS.wordnet.parquet."),
    ] = None,
    map_file: MapFile = None,
    write_map: WriteMap = None,
    interactive: Interactive = False,
    neighbors: Annotated[
        int | None,
        typer.Option(
            "--neighbors", min=1, help="This many nearest labels of each, not the matrix. Above 4,096 labels: 10."
        ),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="The whole matrix, even of more than 4,096 labels.")] = False,
    measure: Annotated[
        str, typer.Option("--measure", help="path, wup, lch, res:FILE, lin:FILE or jcn:FILE (information content).")
    ] = DEFAULT_REFERENCES[0],
    taxonomy: TaxonomyFile = None,
    pos: PartOfSpeech = "noun",
    wordnet_name: WordNetName = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Build WordNet's similarity matrix of a label list.

    Says how each label was understood, and what else it could mean. Of more than 4,096 labels the nearest of each are given instead
    (ranks with ties at their mid-rank), unless the whole matrix is asked for: it is written by blocks of rows.

    Examples
    --------
    dsi wordnet cifar100 -o reference.parquet
    dsi wordnet ckpts/classes.txt --measure wup
    dsi wordnet cifar100 -o - | python -c "..."  # Parquet on stdout
    """
    from dsi_cli.pipeline import hierarchy, reference, references
    from dsi_cli.wordnet import net

    of = net.load(pos, wordnet_name)
    (opened,) = references.open_all([measure], hierarchy.open_tree(taxonomy), of)
    to_stdout = out == "-"
    stream = console.binary_stdout("add -o FILE.parquet, or pipe it on") if to_stdout else None
    one = reference.of(labels, map_file, of)
    if interactive:
        one = asked(one)
    neighbors = reference.neighbors_of(one, neighbors, whole=whole)
    path = Path(out or f"{Path(labels).stem}.wordnet.parquet")
    require_other(labels, path, write_map)
    if write_map is not None:
        reference.write_map(one, write_map)
    reference.write(reference.tables(one, neighbors, opened), stream or path, opened)
    if as_json and not to_stdout:
        assert one.labels is not None
        console.print_json(
            {
                "labels_id": one.labels_id,
                "preset": one.labels.preset,
                "reference": opened.name,
                "out": str(path),
                "neighbors": neighbors,
                "labels": [document(r) for r in one.resolutions],
            }
        )
        return DONE
    _say(one, quiet=quiet, on_stdout=not to_stdout)
    if stream is None:
        _say_where(one.classes, neighbors, path)
        if one.classes > reference.LARGEST_WHOLE and not whole:
            console.note(f"add --whole for the {_matrix(one.classes)}", quiet=quiet)
    return DONE


def _say_where(classes: int, neighbors: int | None, path: Path) -> None:
    what = _matrix(classes) if neighbors is None else f"the nearest {neighbors} of each of {classes} labels"
    print(f"{what}: {console.shown(str(path))}")


def _matrix(classes: int) -> str:
    return f"matrix ({classes} x {classes})"


def _say(one: Labelling, *, quiet: bool, on_stdout: bool) -> None:
    assert one.labels is not None
    said = [r for r in one.resolutions if len(one.resolutions) <= LISTED or r.resolved_by not in _CERTAIN]
    for line in _lines(said):
        if on_stdout:
            console.print_cut(line)
    if one.labels.preset and one.of.is_usual:
        console.note(f"these are the labels of the preset {one.labels.preset}: its mapping is used", quiet=quiet)
    console.note(
        f"{one.resolved} of {console.count(one.classes, 'label')} in {one.known_to}, from {one.labels.source}", quiet=quiet
    )
    if one.labels.duplicates:
        console.note(f"warning: labels that come twice: {', '.join(one.labels.duplicates[:5])}", quiet=quiet)
    unsure = sum(r.is_uncertain and r.synset is not None for r in one.resolutions)
    if unsure:
        console.note(
            f"warning: {unsure} are uncertain (?): see dsi labels --uncertain, correct them with --map", quiet=quiet
        )
    for r in one.unresolved[:LISTED]:
        console.note(f"warning: label {r.index} is left out: {r.reason}", quiet=quiet)


def _lines(resolutions: list[Resolution]) -> list[str]:
    wide = max((min(len(r.label), 32) for r in resolutions), default=0)
    out = []
    for r in resolutions:
        others = [candidate for candidate in r.candidates if candidate != r.synset]
        also = (
            f"  (or {', '.join(others[:3])}{', ...' if len(others) > 3 else ''})"
            if others and r.resolved_by not in _CERTAIN
            else ""
        )
        gloss = shorten(r.definition or "", 60, placeholder="...")
        sure = "    " if r.confidence is None else f"{r.confidence:.2f}"
        mark = "?" if r.is_uncertain else " "
        out.append(
            f"{r.index:>5}  {r.label[:32]:<{wide}}  {r.synset or 'unresolved':<24} {mark}{sure} {r.resolved_by:<12} {gloss}{also}"
        )
    return out
