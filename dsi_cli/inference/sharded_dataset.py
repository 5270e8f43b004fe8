"""Parquet, WebDataset and saved data sets, read with the ``datasets`` library of
Hugging Face.

The library copies the images of shards once into Arrow files in the user's cache, and
maps these files into memory. So samples can be read in any order and by any thread, and
memory is bounded. The library receives only local files, runs no code of a data set,
and needs no network. Single images are read again from the shards, without the library.

A Parquet file has an image column (``struct<bytes, path>`` or binary) and a label
column (integers or text). In a WebDataset tar, the files of a sample are adjacent and
have the same name up to the first dot. The label is in ``.cls``, ``.txt`` or ``.json``.
"""

from __future__ import annotations

import glob
import json
import logging
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import ImageOps

from dsi_cli.errors import UsageError, count, first_line
from dsi_cli.inference.dataset import (
    Samples,
    encode_labels,
    file_stamps,
    fingerprint,
    size_note,
)
from dsi_cli.inference.image_folder import IMAGE_SUFFIXES, open_bytes
from dsi_cli.remote import download

LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class", "cls")
"""The names of label columns in any case; CIFAR-100's ``coarse_label`` is deliberately
missing.
"""
# names of image columns that have priority if several columns could be the image
IMAGE_COLUMNS = (
    "image",
    "img",
)
TAR_IMAGES = tuple(suffix.removeprefix(".") for suffix in (*IMAGE_SUFFIXES, ".gif"))
TAR_LABELS = ("cls", "txt", "json")
JSON_KEYS = ("label", "class", "cls", "target")
MAX_UNUSED_DAYS = (
    30  # days after which a copy in the cache that no call has used is removed
)
_COMPRESSED = (".gz", ".bz2", ".xz", ".lz4", ".zst")
_BATCH, _BUFFER = 64, 2**20
"""The number of rows and bytes per read of a Parquet file; Arrow would read a row
group, which may be the whole file.
"""


def open_shards(shown: str, files: Sequence[Path], label: str | None = None) -> Samples:
    """Return the samples of Parquet files, of WebDataset tars, or of a folder from
    ``Dataset.save_to_disk``.

    The files are those of one split, in order, with the same columns. The label column
    is found by its name if it is None.

    Raise `UsageError` if the ``datasets`` library is missing, a file is damaged, or if
    an image or a label is not clear.
    """
    kind = files[0].suffix.lower().removeprefix(".")
    with _datasets_library(shown) as datasets:
        if kind == "tar":
            rows = _tar_rows(shown, files)
        else:
            rows = (_saved_rows if kind == "arrow" else _parquet_rows)(
                datasets, shown, files, label
            )
        image, label = rows.column_names[:2]
        images = rows.select_columns([image])
        labels: list[Any] = rows[label][:]
        feature = rows.features[label]
        if kind == "tar":
            places = [
                f"{tar}/{key}.{image}"
                for tar, key in zip(rows["__url__"], rows["__key__"], strict=True)
            ]
        elif kind == "arrow":
            places = [f"{shown}, sample {row}" for row in range(len(rows))]
        else:
            sizes = [pq.read_metadata(file).num_rows for file in files]
            places = [
                f"{file.absolute()}#{row}"
                for file, size in zip(files, sizes, strict=True)
                for row in range(size)
            ]
    if not places:
        raise UsageError(
            f"{shown}: expected a row for each image, found none",
            hint="name another split",
            code="empty-data-set",
        )
    wrong = next(
        (
            row
            for row, one in enumerate(labels)
            if isinstance(one, bool) or not isinstance(one, int | str)
        ),
        None,
    )
    if wrong is not None:
        message = (
            f"{places[wrong]}: expected a number or a name in {label!a}, found"
            f" {str(labels[wrong])[:40]!a}; correct "
        )
        message += "or remove it"
        raise UsageError(message, code="not-a-label")
    targets, names = encode_labels(
        labels, tuple(getattr(feature, "names", ())) or None, places.__getitem__
    )
    identity = ("tar",) if kind == "tar" else (kind, label)

    def decoded(sample: int) -> Any:
        opened = open_bytes(_bytes(images[sample][image]))
        # as the library's trainings see it
        return opened if kind == "tar" else ImageOps.exif_transpose(opened)

    return Samples(
        source=f"{kind} {shown} {size_note(targets, names)}",
        id=fingerprint(*identity, file_stamps(files)),
        names=names,
        targets=targets,
        paths=[None] * len(places) if kind == "arrow" else places,
        image=decoded,
        is_threadsafe=True,
        is_sorted=isinstance(labels[0], str),
    )


def row_bytes(file: Path, row: int) -> bytes:
    """Return the encoded image in a row of a Parquet file.

    Raise `UsageError` if the file is damaged or has changed, and `OSError` if the row
    has no image.
    """
    try:
        opened = pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        message = (
            f"{file}: expected a Parquet file, found none that can be read"
            f" ({first_line(error)})"
        )
        raise UsageError(
            message, hint="replace it", code="shard-not-readable"
        ) from None
    with opened:
        rows = opened.metadata.num_rows
        if row >= rows:
            message = (
                f"{file}: expected a row {row}, found {count(rows, 'row')}; the file"
                " has changed"
            )
            raise UsageError(message, code="shard-changed")
        group = 0
        while row >= (size := opened.metadata.row_group(group).num_rows):
            group, row = group + 1, row - size
        batches = opened.iter_batches(
            _BATCH,
            row_groups=[group],
            columns=[_image_column(str(file), opened.schema_arrow)],
        )
        batch = next(
            batch for number, batch in enumerate(batches) if number == row // _BATCH
        )
        return _bytes(batch.column(0)[row % _BATCH].as_py())


def member_bytes(tar: Path, name: str) -> bytes:
    """Return a member of a tar; raise `UsageError` if the tar is damaged or compressed,
    or has no such member.
    """
    if name not in _plain_members(tar):
        message = (
            f"{tar}: expected a member {name!a}, found none of that name; the file has"
            " changed"
        )
        raise UsageError(message, code="shard-changed")
    with tarfile.open(tar, "r:") as opened:
        member = opened.extractfile(name)
        assert member is not None
        return member.read()


@contextmanager
def _datasets_library(shown: str) -> Iterator[Any]:
    """Provide the library without its progress bars and log, and convert its errors to
    a `UsageError` of one line.
    """
    try:
        import datasets
    except ImportError:
        message = "this kind of data needs the package datasets"
        raise UsageError(
            message,
            hint="run pip install 'dsi-cli[datasets]'",
            code="missing-package",
            package="datasets",
        ) from None
    log = logging.getLogger("datasets")
    level, is_disabled = log.level, datasets.are_progress_bars_disabled()
    log.setLevel(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield datasets
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 (the library and Arrow raise many kinds of errors on damaged files)
        cause = error.__cause__ or error
        found = f"{type(cause).__name__}: {first_line(cause)}"
        message = (
            f"{shown}: expected shards that the datasets library can read, found"
            f" {found}; replace the files, or free "
        )
        message += f"space in {_cache_root()}"
        raise UsageError(message, code="shard-not-readable") from None
    finally:
        log.setLevel(level)
        if not is_disabled:
            datasets.enable_progress_bars()


def _bytes(cell: Any) -> bytes:
    data = cell["bytes"] if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        raise OSError("the row holds no image bytes")
    return data


def _cache_root() -> Path:
    return download.cache_folder() / "datasets"


def _cache(files: Sequence[Path]) -> str:
    """Return the folder for the copies of files, which changes when a file changes;
    remove unused copies.
    """
    folder = _cache_root() / fingerprint(
        [str(file.absolute()) for file in files], file_stamps(files)
    )
    folder.mkdir(parents=True, exist_ok=True)
    folder.touch()  # the time of the last use
    for other in _cache_root().iterdir():
        if folder.stat().st_mtime - other.stat().st_mtime > MAX_UNUSED_DAYS * 86_400:
            shutil.rmtree(other, ignore_errors=True)
    return str(folder)


def _parquet_rows(
    datasets: Any, shown: str, files: Sequence[Path], label: str | None
) -> Any:
    """Return the image and the label column; images are bytes, so that the library
    never opens a file by its path.
    """
    schema = pq.read_schema(files[0])
    image, label = (
        _image_column(shown, schema),
        _label_column(shown, schema.names, LABEL_COLUMNS, label),
    )
    known = datasets.Features.from_arrow_schema(
        pa.schema([schema.field(label)], schema.metadata)
    )

    def examples(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
        for file in files:
            with pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
                for batch in opened.iter_batches(_BATCH, columns=[image, label]):
                    cells, labels = (
                        batch.column(name).to_pylist() for name in (image, label)
                    )
                    for cell, one in zip(cells, labels, strict=True):
                        yield {
                            image: cell["bytes"] if isinstance(cell, dict) else cell,
                            label: one,
                        }

    features = datasets.Features({image: datasets.Value("large_binary"), **known})
    return datasets.Dataset.from_generator(
        examples,
        features,
        _cache(files),
        gen_kwargs={"files": [*files]},
        writer_batch_size=_BATCH,
    )


def _saved_rows(
    datasets: Any, shown: str, files: Sequence[Path], label: str | None
) -> Any:
    rows = datasets.load_from_disk(str(files[0].parent)).with_format(None)
    # a wrong offset in a file that is mapped into memory would end the process
    rows.data.validate(full=True)
    schema = rows.features.arrow_schema
    columns = [
        _image_column(shown, schema),
        _label_column(shown, schema.names, LABEL_COLUMNS, label),
    ]
    return rows.select_columns(columns).cast_column(
        columns[0], datasets.Image(decode=False)
    )


def _tar_rows(shown: str, files: Sequence[Path]) -> Any:
    """Return the image and the label column, the key and the tar of each sample."""
    from datasets.packaged_modules.webdataset.webdataset import WebDataset

    members = [name.lower() for file in files for name in _plain_members(file)]
    if not any(name.endswith(TAR_IMAGES) for name in members):
        message = (
            f"{shown}: expected images ({', '.join(TAR_IMAGES)}) in the tars, found"
            " none"
        )
        raise UsageError(message, hint="check the path", code="no-images")
    # The library's decoders accept only class numbers, and read other members with
    # torch.load, CBOR and more. The library would also use a file in the working folder
    # as the image of the same name. So everything except the labels stays bytes.
    changes: dict[str, Any] = {
        "DECODERS": {"cls": _label_in_cls, "txt": _label_in_txt, "json": _label_in_json}
    }
    changes |= {
        f"{kind}_EXTENSIONS": () for kind in ("IMAGE", "AUDIO", "VIDEO", "MESH")
    }
    builder = type("ImagesInTars", (WebDataset,), changes)(
        cache_dir=_cache(files),
        data_files={"test": [glob.escape(str(file.absolute())) for file in files]},
        writer_batch_size=_BATCH,
    )
    builder.download_and_prepare()
    rows = builder.as_dataset(split="test")
    images = [name for name in rows.column_names if name.lower() in TAR_IMAGES]
    if len(images) != 1:
        message = f"{shown}: expected one image per sample, found {', '.join(images)}"
        raise UsageError(
            message, hint="remove the others", code="image-column", columns=images
        )
    label = _label_column(
        shown,
        [name for name in TAR_LABELS if name in rows.column_names][:1],
        TAR_LABELS,
        None,
    )
    return rows.select_columns([images[0], label, "__key__", "__url__"])


def _plain_members(tar: Path) -> list[str]:
    """Return the names of the files in a tar; raise `UsageError` for compressed or
    sparse files, which could unpack to more.
    """
    try:
        with tarfile.open(tar, "r:") as opened:
            members = [member for member in opened if member.isreg()]
    except (tarfile.TarError, OSError) as error:
        message = (
            f"{tar}: expected an uncompressed tar, found none that can be read"
            f" ({error}); unpack or replace it"
        )
        raise UsageError(message, code="shard-not-readable") from None
    for member in members:
        if member.issparse() or member.name.lower().endswith(_COMPRESSED):
            message = (
                f"{tar}: expected plain files, found {member.name[:200]!a}, which is"
                " compressed; unpack it"
            )
            raise UsageError(message, code="compressed-member")
    names = [member.name for member in members]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        message = f"{tar}: expected each file once, found {twice[0][:200]!a} twice"
        raise UsageError(message, hint="remove one", code="repeated-member")
    return names


def _label_in_txt(data: bytes) -> str:
    label = data.decode().strip()
    if not label:
        raise ValueError("an empty label")
    return label


def _label_in_cls(data: bytes) -> int | str:
    label = _label_in_txt(data)
    return int(label) if label.removeprefix("-").isdecimal() else label


def _label_in_json(data: bytes) -> int | str:
    content = json.loads(data)
    label = (
        next((content[key] for key in JSON_KEYS if key in content), None)
        if isinstance(content, dict)
        else None
    )
    if isinstance(label, bool) or not isinstance(label, int | str):
        raise ValueError(f"no label in {JSON_KEYS} of a .json file")
    return label


def _image_column(shown: str, schema: pa.Schema) -> str:
    columns = [field.name for field in schema if _is_image(field.type)]
    candidates = [name for name in columns if name.lower() in IMAGE_COLUMNS] or columns
    if len(candidates) == 1:
        return str(candidates[0])
    found = (
        f"several ({', '.join(columns)})"
        if columns
        else f"none among {', '.join(schema.names)}"
    )
    message = (
        f"{shown}: expected one image column (struct<bytes, path> or binary), found"
        f" {found}"
    )
    raise UsageError(
        message, hint="name it 'image'", code="image-column", columns=columns
    )


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_image(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _label_column(
    shown: str, names: Sequence[str], known: Sequence[str], column: str | None
) -> str:
    """Return the name of the label column: the user's choice, or the only column with a
    known name.
    """
    candidates, expected = [column], repr(column)
    if column is None:
        candidates, expected = (
            [name for name in names if name.lower() in known],
            f"one of {', '.join(known)}",
        )
    if len(candidates) == 1 and candidates[0] in names:
        return str(candidates[0])
    remedy = "add it" if known is TAR_LABELS else "give --label-column"
    message = (
        f"{shown}: expected a label ({expected}), found {', '.join(names) or 'none'};"
        f" {remedy}"
    )
    raise UsageError(message, code="label-column", columns=list(names))
