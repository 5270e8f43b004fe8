"""Parquet shards with an image column -> samples; the layout of Hugging Face ``datasets``.

The image column is a ``struct<bytes, path>`` or binary, the label column an integer or a text. Class names come from the
``huggingface`` key of the schema's metadata. Rows are read a batch at a time, never a whole file: a writer may have put all
of it into one row group.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsi_cli.errors import UsageError, count
from dsi_cli.evaluation.images import open_bytes
from dsi_cli.evaluation.rows import Rows
from dsi_cli.evaluation.samples import Samples, counted, fingerprint, numbered, stamps

LABELS = ("label", "labels", "fine_label", "target", "class", "cls")
"""Names of label columns, whatever their case; CIFAR-100's ``coarse_label`` is none on purpose."""
IMAGES = ("image", "img")
"""Names that decide where several columns could be the image."""


def open_parquet(shown: str, files: Sequence[Path], labels: str | None = None) -> Samples:
    """Return the samples of Parquet files, row by row.

    Parameters
    ----------
    shown
        The source as the user named it.
    files
        All of one split, in order, with the same columns.
    labels
        The label column; None to find it by its name.

    Raises
    ------
    UsageError
        A file is damaged or has no row; no or several columns could be the image or the label; a label is missing,
        negative, or without a name.
    """
    schemas = [_schema(file) for file in files]
    image, label = _image_column(files[0], schemas[0]), _label_column(files[0], schemas[0], labels)
    for file, schema in zip(files, schemas, strict=True):
        if not {image, label} <= set(schema.names):
            raise UsageError(
                f"{file}: expected the columns {image!a} and {label!a}, as in {files[0].name}, found {', '.join(schema.names)}"
            )
    rows = Rows(files, image)
    paths = [f"{file.absolute()}#{row}" for file, count in zip(files, rows.counts, strict=True) for row in range(count)]
    if not paths:
        raise UsageError(f"{shown}: expected a row for each image, found none; name another split")
    labelled = _labels(files, label)
    targets, names = numbered(labelled, _names(schemas[0], label), paths.__getitem__)
    return Samples(
        source=f"parquet {shown} {counted(len(paths), len(names) if names is not None else len(set(targets.tolist())))}",
        id=fingerprint("parquet", label, stamps(files)),
        names=names,
        targets=targets,
        paths=paths,
        image=lambda sample: _decoded(rows[sample]),
        is_threadsafe=True,
        is_sorted=isinstance(labelled[0], str),
        is_sequential=True,
    )


def row_bytes(file: Path, row: int) -> bytes:
    """Return the encoded image in a row of a file.

    Raises
    ------
    UsageError
        The file is damaged, has no image column, or not as many rows.
    OSError
        The row has no image.
    """
    rows = Rows([file], _image_column(file, _schema(file)))
    if row >= len(rows):
        raise UsageError(f"{file}: expected a row {row}, found {count(len(rows), 'row')}; the file has changed")
    return _bytes(rows[row])


def _decoded(cell: Any) -> Any:
    return open_bytes(_bytes(cell))


def _bytes(cell: Any) -> bytes:
    data = cell["bytes"] if isinstance(cell, dict) else cell
    if data is None:
        raise OSError("the row holds no image bytes")
    assert isinstance(data, bytes)
    return data


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"{file}: expected a Parquet file, found none that can be read ({_line(error)}); replace it"
        ) from None


def _image_column(file: Path, schema: pa.Schema) -> str:
    """Return the name of the one column that can be the image."""
    found = [field.name for field in schema if _is_image(field.type)]
    named = [name for name in found if name.lower() in IMAGES]
    if len(named or found) == 1:
        return str((named or found)[0])
    what = f"several ({', '.join(found)})" if found else f"none among {', '.join(schema.names)}"
    raise UsageError(f"{file}: expected one image column (struct<bytes, path> or binary), found {what}; name it 'image'")


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_image(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _label_column(file: Path, schema: pa.Schema, asked: str | None) -> str:
    """Return the name of the label column: the one asked for, or the one that is called so."""
    found = [name for name in schema.names if name.lower() in LABELS] if asked is None else [asked]
    if len(found) > 1:
        raise UsageError(f"{file}: expected one label column, found several: {', '.join(found)}; name the one to use")
    if not found or found[0] not in schema.names:
        wanted = f"{asked!a}" if asked is not None else f"one of {', '.join(LABELS)}"
        raise UsageError(
            f"{file}: expected a label column ({wanted}), found {', '.join(schema.names)}; name the column of labels"
        )
    kind = schema.field(found[0]).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UsageError(
            f"{file}: expected integers or names in the label column {found[0]!a}, found {kind}; name another column"
        )
    return found[0]


def _labels(files: Sequence[Path], column: str) -> list[int | str]:
    labels: list[int | str] = []
    for file in files:
        values = pq.read_table(file, columns=[column], partitioning=None).column(0).to_pylist()
        if None in values:
            raise UsageError(
                f"{file}#{values.index(None)}: expected a label in column {column!a}, found none; remove the row"
            )
        labels += values
    return labels


def _names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """Return the class names that the metadata give for a column of numbers; None where they give none."""
    try:
        known: Any = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        for key in ("info", "features", column, "names"):
            known = known.get(key, {}) if isinstance(known, dict) else {}
    except ValueError:
        return None
    if isinstance(known, dict):  # old writers: {"0": "cat", "1": "dog"}
        known = [known.get(str(number)) for number in range(len(known))]
    return tuple(known) if known and all(isinstance(name, str) for name in known) else None


def _line(error: Exception) -> str:
    return str(error).split("\n")[0]
