"""``dsi wordnet``: the reference matrix of a label list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.analyze import Json, MapFile, PartOfSpeech, Quiet, TaxonomyFile, WordNetName
from dsi_cli.cli.labels import Interactive, WriteMap, again, asked, document, print_rows, require_other, tell
from dsi_cli.errors import DONE, UsageError
from dsi_cli.metrics import DEFAULT_REFERENCES

if TYPE_CHECKING:
    from dsi_cli.analysis.semantics.references import ReferenceSource

LISTED = 100
"""Longer lists show only the labels that want a look."""


def wordnet(
    labels: Annotated[
        str,
        typer.Argument(
            help="Label file (txt, csv, tsv, json, yaml) or preset, e.g. imagenet1k.", autocompletion=completion.presets
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", help="File (.parquet, .csv, .npy); - for Parquet on stdout. Default: LABELS.wordnet.parquet."
        ),
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

    Says how each label was understood, as dsi labels does. Of more than 4,096 labels the nearest of each are given instead
    (ranks with ties at their mid-rank), unless the whole matrix is asked for: it is written by blocks of rows.

    Examples
    --------
    dsi wordnet cifar100 -o reference.parquet
    dsi wordnet ckpts/classes.txt --measure wup -o wup.csv
    dsi wordnet cifar100 -o - | python -c "..."  # Parquet on stdout
    """
    from dsi_cli.analysis.semantics import hierarchy, references, wordnet_matrix
    from dsi_cli.queries import export
    from dsi_cli.wordnet.database.wordnet import load_wordnet

    of = load_wordnet(pos, wordnet_name)
    (opened,) = references.open_references([measure], hierarchy.open_tree(taxonomy), of)
    to_stdout = out == "-"
    stream = console.binary_stdout("add -o FILE.parquet, or pipe it on") if to_stdout else None
    path = Path(out or f"{Path(labels).stem}.wordnet.parquet")
    require_other(labels, path, write_map)
    chosen = "parquet" if to_stdout else export.export_format(str(path), None)
    one = wordnet_matrix.resolve_label_list(labels, map_file, of)
    if interactive:
        one = asked(one, write_map)
    neighbors = wordnet_matrix.neighbors_of(one, neighbors, whole=whole)
    _require_fit(one.classes, chosen, is_matrix=neighbors is None)
    if write_map is not None:
        wordnet_matrix.write_map(one, write_map)
    blocks = wordnet_matrix.reference_tables(one, neighbors, opened)
    with console.progress(quiet=quiet) as bars:
        rows = _counted(blocks, one.classes, bars.update)
        _write(rows, stream or path, chosen, opened)
    if as_json and not to_stdout:
        assert one.label_list is not None
        console.print_json(
            {
                "labels_id": one.labels_id,
                "preset": one.label_list.preset,
                "reference": opened.name,
                "out": str(path),
                "neighbors": neighbors,
                "labels": [document(r) for r in one.resolutions],
            }
        )
        return DONE
    if not to_stdout:
        print_rows([row for row in one.resolutions if row.is_uncertain or one.classes <= LISTED])
    tell(one, again(labels, map_file, pos, wordnet_name), write_map, quiet=quiet)
    if to_stdout:
        for row in one.unresolved[:LISTED]:
            console.note(f"warning: label {row.index} is left out: {row.reason}", quiet=quiet)
    else:
        _say_where(one.classes, neighbors, path)
        if one.classes > wordnet_matrix.MAX_DENSE_CLASSES and not whole:
            console.note(f"add --whole for the {_matrix(one.classes)}", quiet=quiet)
    return DONE


def _require_fit(classes: int, chosen: str, *, is_matrix: bool) -> None:
    """Raise `UsageError` for what cannot be written in a format, before it is computed."""
    from dsi_cli.analysis.semantics import wordnet_matrix
    from dsi_cli.queries import export

    export.require_matrix(chosen, is_matrix=is_matrix)
    if is_matrix and chosen != "parquet" and classes > wordnet_matrix.MAX_DENSE_CLASSES:
        raise UsageError(
            f"a matrix of {classes:,} labels is written block by block, and only as Parquet: end the name after -o in .parquet"
        )


def _write(rows: Iterator[Any], place: Path | IO[bytes], chosen: str, opened: ReferenceSource) -> None:
    """Write the blocks of a table to a file in a format, or as Parquet to stdout."""
    from dsi_cli.analysis.semantics import wordnet_matrix
    from dsi_cli.queries import export

    if isinstance(place, Path) and chosen != "parquet":
        frame = wordnet_matrix.frame(rows)
        export.write_file(frame, place, chosen, is_matrix=frame.index.name == "class")
    else:
        wordnet_matrix.write(rows, place, opened)


def _counted(blocks: Iterator[Any], classes: int, update: Callable[[str, int, int], None]) -> Iterator[Any]:
    """Yield blocks of a table, and tell how many classes were written."""
    for block in blocks:
        yield block
        update("writing classes", block["class_index"][-1].as_py() + 1, classes)


def _say_where(classes: int, neighbors: int | None, path: Path) -> None:
    nearest = f"the nearest {neighbors} of each of {console.count(classes, 'label')}"
    what = _matrix(classes) if neighbors is None else nearest
    print(f"{what}: {console.shown(str(path))}")


def _matrix(classes: int) -> str:
    return f"matrix ({classes} x {classes})"
