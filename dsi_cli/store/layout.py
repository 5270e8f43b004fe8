"""The layout of a results folder: where each table is, and which files an earlier call
left.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store import parquet
from dsi_cli.store.schema import (
    CHECKPOINTS,
    CLASSES,
    CSMS,
    CURVES,
    EXTRA_CURVES,
    FACTS,
    GEOMETRY,
    HEADS,
    NEIGHBORS,
    REFERENCES,
    TABLES,
    Table,
)

DEFAULT = "dsi-out"
REPORT = "report.html"
EVENTS = (  # the prefix of event files of dsi, which are not logs of a training
    "events.out.tfevents.0.dsi."
)
WEIGHT = (  # folder of a run's classifier heads, like the kind of a matrix for matrices
    "weight"
)
LOCK = ".lock"
_UNSAFE = re.compile(
    r"[=%\\:*?\"<>|\x00-\x1f\x7f]"
    r"|(?<![^/])[._]"  # a hidden folder
    r"|[. ](?![^/])"  # Windows drops these at the end
    # The first letter of a device of Windows: CON, PRN, AUX, NUL, COM1, LPT1
    r"|(?<![^/])[acnlp](?=(?:(?<=c)on|(?<=p)rn|(?<=a)ux|(?<=n)ul|(?:(?<=c)om|(?<=l)pt)[0-9¹²³])"
    r" *(?:[./]|\Z))",
    re.IGNORECASE,
)
"""The characters in a run's name that some system or reader refuses in the name of a
folder.
"""
_MAX_NAME_BYTES, _KEPT_BYTES = 240, 200
"""The maximum size of a folder's name, and the size of what a checksum follows if it is
longer; most systems have 255 bytes.
"""
INCOMPLETE = ".tmp"  # folder of incomplete files
CACHE = ".cache"  # folder of `dsi_cli.analysis.cache`
OUR_NAMES = frozenset(
    {LOCK, INCOMPLETE, CACHE, REPORT, *(table.path for table in TABLES)}
)
"""The names in a results folder; a folder with other names and without tables belongs
to something else.
"""


ALWAYS = (CHECKPOINTS, CLASSES, CURVES, EXTRA_CURVES, GEOMETRY, FACTS)
"""The tables that a results folder has even if they have no rows."""


def csm_path(
    out: Path,
    run: str,
    kind: str,
    split: str | None,
    epoch: int,
    step: int | None = None,
) -> Path:
    """Return the path of a matrix; ``step`` is set only for an earlier save of an epoch
    with several saves.
    """
    return split_path(out, CSMS, run, f"{kind}-{split}" if split else kind, epoch, step)


def neighbors_path(
    out: Path, run: str, kind: str, epoch: int, step: int | None = None
) -> Path:
    """Return the path of the nearest classes, which replace a matrix that is too large;
    ``step`` as in `csm_path`.
    """
    return split_path(out, NEIGHBORS, run, kind, epoch, step)


def head_path(out: Path, run: str, epoch: int, step: int | None = None) -> Path:
    """Return the path of the classifier head from which dsi computes parts of a large
    matrix; ``step`` as in `csm_path`.
    """
    return split_path(out, HEADS, run, WEIGHT, epoch, step)


def split_path(
    out: Path,
    table: Table,
    run: str,
    split: str,
    epoch: int,
    step: int | None = None,
) -> Path:
    """Return the path of the confusion counts or the predictions of a split; ``step``
    as in `csm_path`.
    """
    name = f"{epoch}.parquet" if step is None else f"{epoch}-{step}.parquet"
    return out / table.path / folder_name(run) / split / name


def stored_epochs(folder: Path) -> list[int]:
    """Return the epochs that have a file in a folder of matrices, counts or
    predictions, in order; not those of earlier steps.
    """
    return sorted(
        int(path.stem) for path in folder.glob("*.parquet") if path.stem.isdecimal()
    )


def reference_path(out: Path, reference: str, labels_id: str) -> Path:
    """Return the path of a reference matrix."""
    return out / REFERENCES.path / f"{reference}-{labels_id}.parquet"


def references_of(out: Path, run: str) -> list[str]:
    """Return the names of the references with which a run was compared, the main one
    first.
    """
    return reference_names(curve_options(out, run))


def curve_options(out: Path, run: str) -> dict[str, Any]:
    """Return the options of the analysis that affected a run's curves."""
    return earlier_options(out, CURVES).get("shaping", {}).get(run, {})


def reference_names(shaping: Mapping[str, Any]) -> list[str]:
    """Return the names of the references in the options that affected a run's curves,
    the main one first.
    """
    return [str(options["reference"]) for options in shaping.get("references", [])]


def folder_name(run: str) -> str:
    """Return a run's name as a relative path that every system and every Parquet reader
    accepts.

    Characters that Windows refuses, the signs of ``key=value``, and the first sign of a
    hidden folder or of a device's name are written as ``%`` and their number. A
    checksum replaces the end of a long part.

    >>> folder_name("sweep/lr=0.1"), folder_name(".hidden"), folder_name("a:b?"), folder_name("NUL")
    ('sweep/lr%3D0.1', '%2Ehidden', 'a%3Ab%3F', '%4EUL')
    """
    escaped = _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", run)
    return "/".join(_short_name(part) for part in escaped.split("/") if part)


def _short_name(name: str) -> str:
    data = name.encode("utf-8", "surrogatepass")
    if len(data) <= _MAX_NAME_BYTES:
        return name
    return f"{data[:_KEPT_BYTES].decode('utf-8', 'ignore')}~{hashlib.sha256(data).hexdigest()[:16]}"


@lru_cache(maxsize=4096)
def folder_key(run: str) -> str:
    """Return a text that is equal for two runs whose folders are the same one on some
    system.

    macOS and Windows ignore the case of names, and macOS also the form in which Unicode
    stores accents.

    >>> folder_key("Net") == folder_key("net"), folder_key("net") == folder_key("net2")
    (True, False)
    """
    return unicodedata.normalize(
        "NFD", unicodedata.normalize("NFD", folder_name(run)).casefold()
    )


def unique_run(name: str, *taken: Collection[str]) -> str:
    """Return a run's name, with a number if its folder would be that of another run;
    ``taken`` are collections of their keys.

    >>> unique_run("net", {folder_key("Net")}), unique_run("net", {folder_key("cnn")})
    ('net-2', 'net')
    """
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(
        unique
        for unique in names
        if not any(folder_key(unique) in keys for keys in taken)
    )


def temporary_folder(out: Path) -> Path:
    """Return the folder for incomplete files."""
    return out / INCOMPLETE


def is_output(out: Path) -> bool:
    """Return whether a folder holds tables of dsi."""
    return (out / CHECKPOINTS.path).is_file()


def require_output(out: Path) -> None:
    """Raise `UsageError` if a folder does not exist, or holds no tables."""
    if not out.is_dir():
        message = f"there is no results folder {out}"
        raise UsageError(
            message,
            hint=f"run dsi analyze CHECKPOINTS -o {out} first",
            code="no-output",
            path=str(out),
        )
    if not is_output(out):
        problem = f"{out} is not a results folder, because it has no {CHECKPOINTS.path}"
        hint = "give the folder that dsi analyze wrote"
        if (out / CACHE).is_dir():
            problem = f"the analysis into {out} was interrupted, or it still runs"
            hint = f"run dsi analyze CHECKPOINTS -o {out} again, which goes on with it"
        raise UsageError(problem, hint=hint, code="not-an-output", path=str(out))


def require_usable(out: object, names: Collection[str], *, is_file: bool) -> None:
    """Raise `UsageError` if an output path is a file, or if the folder with these names
    belongs to something else.
    """
    if is_file:
        raise UsageError(
            f"the output {out} is a file",
            hint="give -o a folder",
            code="output-is-a-file",
            path=str(out),
        )
    if CHECKPOINTS.path not in names and not OUR_NAMES.issuperset(names):
        message = f"the output folder {out} holds other files"
        raise UsageError(
            message,
            hint="choose an empty or new one with -o",
            code="foreign-folder",
            path=str(out),
        )


def read_table(out: Path, table: Table, run: str | None = None) -> pa.Table:
    """Return a table, or a run's rows; empty if the folder lacks the table. Raise
    `OutputError` if it cannot be read.
    """
    path = out / table.path
    return parquet.read(path, run) if path.is_file() else parquet.from_rows(table, [])


def earlier_rows(out: Path, table: Table) -> list[dict[str, Any]]:
    """Return the rows of an earlier call; empty if there was none, or if its table is
    damaged and must be rebuilt.
    """
    with suppress(OutputError):
        return read_table(out, table).to_pylist()
    return []


def earlier_options(out: Path, table: Table) -> dict[str, Any]:
    """Return the options that affected the table of an earlier call."""
    return parquet.options_of(out / table.path)


def write_runs(
    out: Path,
    table: Table,
    runs: Collection[str],
    rows: pa.Table,
    options: Mapping[str, Any] | None = None,
) -> bool:
    """Write the rows of these runs, and the earlier rows of all other runs, sorted by
    run; return whether a file changed.

    A damaged table has no earlier rows. A table without rows is removed, except for
    those that every results folder has.
    """
    # 10 MB of memory, which commands that only read do not need
    import pyarrow.compute as pc

    others = parquet.from_rows(table, [])
    with suppress(OutputError):
        earlier = read_table(out, table)
        is_replaced = pc.is_in(earlier["run"], pa.array(runs, pa.string()))
        earlier = earlier.filter(pc.invert(is_replaced))
        # Another program may have written the same values with other types.
        every = pa.concat_tables([others, earlier], promote_options="permissive")
        others = every.select(rows.column_names).cast(rows.schema)
    whole = pa.concat_tables([rows, others]).sort_by("run")
    path = out / table.path
    if not len(whole) and table not in ALWAYS:
        existed = path.is_file()
        remove([path])
        return existed
    parquet.write_blocks(
        parquet.by_run(whole), path, options or {}, temporary_folder(out)
    )
    return True


def set_aside(out: Path) -> Path:
    """Move the results in an output folder to a new folder next to it, and return that
    folder; figures and other files stay.
    """
    numbers = (out.with_name(f"{out.name}-before-{number}") for number in count(1))
    folder = next(path for path in numbers if not path.exists())
    folder.mkdir()
    for name in OUR_NAMES - {LOCK, INCOMPLETE, CACHE}:
        if (out / name).exists():
            (out / name).replace(folder / name)
    return folder


def remove(files: Iterable[Path]) -> None:
    """Remove files that no record refers to any longer."""
    for file in files:
        file.unlink(missing_ok=True)
