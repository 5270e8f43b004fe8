"""``dsi wordnet``: the reference matrix of a label list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dsi_cli.cli import console
from dsi_cli.cli import labels as label_lists
from dsi_cli.cli.options import (
    Json,
    LabelList,
    MapFile,
    PartOfSpeech,
    Quiet,
    TaxonomyFile,
    WordNetName,
    option,
    switch,
)
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, UsageError, listed, quoted
from dsi_cli.metrics import DEFAULT_REFERENCES

if TYPE_CHECKING:
    from dsi_cli.analysis.semantics.class_labels import ClassLabels
    from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy

# labels without a sense that dsi lists if the matrix goes to stdout
MAX_LISTED_LABELS = 100


def wordnet(
    labels: Annotated[str, LabelList],
    out: Annotated[
        str | None,
        option(
            "--out -o",
            "FILE",
            "File (.parquet, .csv, .npy); - for Parquet on stdout. Default:"
            " LABELS.wordnet.parquet.",
        ),
    ] = None,
    map_file: MapFile = None,
    write_map: label_lists.WriteMap = None,
    neighbors: Annotated[
        int | None,
        option(
            "--neighbors",
            "NUMBER",
            "Write the nearest labels of each label instead of the matrix. Above 4,096"
            " labels: 10.",
            min=1,
        ),
    ] = None,
    whole: Annotated[
        bool, switch("--whole", "Write the whole matrix above 4,096 labels.")
    ] = False,
    measure: Annotated[
        str,
        option(
            "--measure",
            "NAME",
            "path, wup, lch, res:FILE, lin:FILE or jcn:FILE (information content).",
        ),
    ] = DEFAULT_REFERENCES[0],
    taxonomy: TaxonomyFile = None,
    pos: PartOfSpeech = "noun",
    wordnet_name: WordNetName = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write the WordNet similarities of a label list.

    dsi prints the uncertain labels; dsi labels shows all.

    Examples
    --------
    dsi wordnet cifar100 -o reference.parquet
    dsi wordnet ckpts/classes.txt --measure wup -o wup.csv
    dsi wordnet cifar100 -o - | python -c "..."  # Parquet on stdout
    """
    from dsi_cli.analysis.semantics import hierarchy, references, wordnet_matrix
    from dsi_cli.queries import export
    from dsi_cli.wordnet.database.wordnet import load_wordnet

    database = load_wordnet(pos, wordnet_name)
    custom = hierarchy.open_taxonomy(taxonomy)
    reference = references.open_measure(measure, custom, database)
    to_stdout = out == "-"
    if to_stdout and as_json:
        message = "-o - writes the matrix to stdout, so --json cannot print there"
        raise UsageError(
            message,
            hint="leave out one of them",
            code="options-conflict",
            options=("--out", "--json"),
        )
    if to_stdout:
        stream = console.binary_stdout("add -o FILE.parquet, or pipe it on")
    else:
        stream = None
    path = Path(out or f"{Path(labels).stem}.wordnet.parquet")
    label_lists.require_other(labels, path, write_map)
    file_format = "parquet" if to_stdout else export.export_format(str(path), None)
    resolved = wordnet_matrix.resolve_label_list(labels, map_file, database)
    label_lists.require_unedited(resolved, write_map, map_file)
    neighbors = wordnet_matrix.choose_neighbors(resolved, neighbors, whole=whole)
    export.require_matrix(file_format, is_matrix=neighbors is None)
    if neighbors is None and file_format != "parquet":
        _require_dense(resolved.classes, file_format)
    if write_map is not None:
        wordnet_matrix.write_map(resolved, write_map)
    blocks = wordnet_matrix.reference_tables(resolved, neighbors, reference)
    with console.progress(quiet=quiet) as bars:
        rows = _with_progress(blocks, resolved.classes, bars.update)
        if file_format == "parquet":
            wordnet_matrix.write_blocks(rows, stream or path, reference)
        else:
            export.write_file(
                wordnet_matrix.to_frame(rows),
                path,
                file_format,
                is_matrix=neighbors is None,
            )
    if as_json:
        values = {"reference": reference.name, "out": str(path), "neighbors": neighbors}
        console.print_json(
            label_lists.labels_document(resolved, resolved.resolutions, **values)
        )
        return DONE
    if custom is not None:
        _print_known(resolved, custom, quiet=quiet)
    else:
        label_lists.print_rows([] if to_stdout else resolved.to_check)
        command = label_lists.labels_command(labels, map_file, pos, wordnet_name)
        label_lists.print_counts(resolved, command, write_map, quiet=quiet)
    if to_stdout:
        for row in resolved.unresolved[:MAX_LISTED_LABELS]:
            console.note(
                f"warning: label {row.index} is left out: {row.reason}", quiet=quiet
            )
    else:
        matrix = f"matrix ({resolved.classes} x {resolved.classes})"
        nearest = (
            f"the nearest {neighbors} of each of"
            f" {console.count(resolved.classes, 'label')}"
        )
        print(f"{matrix if neighbors is None else nearest}: {terminal_text(str(path))}")
        if resolved.classes > wordnet_matrix.MAX_DENSE_CLASSES and not whole:
            console.note(f"add --whole for the {matrix}", quiet=quiet)
    return DONE


def _print_known(labels: ClassLabels, custom: CustomTaxonomy, *, quiet: bool) -> None:
    """Print how many labels a custom taxonomy has, and which it lacks."""
    known = custom.class_nodes(labels.label_list)
    unknown = [
        quoted(row.label) for row in labels.resolutions if row.index not in known
    ]
    lacks = f"; unknown: {listed(unknown, 5)}" if unknown else ""
    console.note(
        f"{len(known)} of {console.count(labels.classes, 'label')} in"
        f" {custom.source}{lacks}",
        quiet=quiet,
    )


def _require_dense(classes: int, file_format: str) -> None:
    from dsi_cli.analysis.semantics import wordnet_matrix

    if classes > wordnet_matrix.MAX_DENSE_CLASSES:
        message = f"a matrix of {classes:,} labels is written only as Parquet"
        raise UsageError(
            message,
            hint="end the name after -o in .parquet",
            code="matrix-too-large",
            classes=classes,
            format=file_format,
        )


def _with_progress(
    blocks: Iterator[Any], classes: int, update: Callable[[str, int, int], None]
) -> Iterator[Any]:
    """Yield the blocks of a table, and report how many classes are written."""
    for block in blocks:
        yield block
        update("writing classes", block["class_index"][-1].as_py() + 1, classes)
