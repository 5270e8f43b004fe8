"""Compile the nouns and the verbs of WordNet 3.0 into the package's data files.

Usage::

    python scripts/compile_wordnet.py SOURCE [TARGET]

SOURCE is a folder for ``NLTK_DATA`` (with ``corpora/wordnet.zip`` or
``corpora/wordnet/``); TARGET is ``dsi_cli/wordnet/data`` unless given, with a folder
for each part of speech. The tables are made by `dsi_cli.wordnet.database.nltk_data`
from what NLTK reads. Running it twice gives the same bytes with the same pyarrow.

Ids are those of the release, which NLTK downloads. The copy of WordNet 3.0 in Linux
distributions keeps one pointer, *suppression*, at another verb, so that the verbs
between the two are 18 bytes further on: see `released`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dsi_cli.wordnet.database import nltk_data
from dsi_cli.wordnet.database.taxonomy import PARTS

TARGET = Path(__file__).resolve().parents[1] / "dsi_cli" / "wordnet" / "data"
VERSION = "3.0"
MOVED, SHIFT = range(613036, 2422682), 18
"""The verbs that lie behind their place in the release, in the copy that is described
above, and by how many bytes.
"""
ENCODINGS = {
    "offset": "DELTA_BINARY_PACKED",
    "name": "DELTA_BYTE_ARRAY",
    "lemma": "DELTA_BYTE_ARRAY",
    "form": "DELTA_BYTE_ARRAY",
    "definition": "DELTA_LENGTH_BYTE_ARRAY",
}
"""A quarter smaller than dictionaries, and readable by pyarrow 15; columns not named
here are plain.
"""
COMPRESSION = ("brotli", 11)
"""A twentieth smaller than zstd's strongest, and read as fast."""


def nltk_wordnet(source: Path) -> Any:
    """Return NLTK's reader of the WordNet in ``source``; other versions than 3.0 are
    refused, their ids differ.
    """
    # before the import: newer NLTKs refuse any other place
    os.environ["NLTK_DATA"] = str(source)
    from nltk.corpus import wordnet

    if wordnet.get_version() != VERSION:
        raise SystemExit(
            f"expected WordNet {VERSION} in {source}, found {wordnet.get_version()}:"
            " its ids are others"
        )
    return wordnet


def released(offsets: list[int], part: str) -> list[int]:
    """Return rising offsets as they are in the release."""
    is_moved = part == "verb" and MOVED.start in offsets
    return [
        offset - SHIFT if is_moved and offset in MOVED else offset for offset in offsets
    ]


def write(table: pa.Table, path: Path) -> None:
    """Write one table as small as Parquet goes: it is shipped with every copy of the
    package.
    """
    pq.write_table(
        table.replace_schema_metadata({"wordnet": VERSION}),
        path,
        compression=COMPRESSION[0],
        compression_level=COMPRESSION[1],
        use_dictionary=False,
        column_encoding={
            name: ENCODINGS[name] for name in table.column_names if name in ENCODINGS
        },
        write_statistics=False,
        data_page_size=1 << 26,
    )


def tables(wordnet: Any, part: str) -> dict[str, pa.Table]:
    """Return the five tables of a part of speech by the names of their files."""
    found = nltk_data.compile_tables(wordnet, part)
    offsets = released(found["graph"]["offset"].to_pylist(), part)
    return found | {
        "graph": found["graph"].set_column(0, "offset", pa.array(offsets, pa.int32()))
    }


def compile_wordnet(source: Path, target: Path) -> None:
    """Write the tables of each part of speech and WordNet's licence into ``target``."""
    wordnet = nltk_wordnet(source)
    for part in PARTS:
        (target / part).mkdir(parents=True, exist_ok=True)
        for name, table in tables(wordnet, part).items():
            write(table, target / part / f"{name}.parquet")
    with wordnet.open("LICENSE") as licence:
        (target / "LICENSE").write_text(licence.read(), encoding="utf-8")


def main() -> None:
    """Read the command line and compile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", type=Path, help="folder to set NLTK_DATA to")
    parser.add_argument(
        "target",
        type=Path,
        nargs="?",
        default=TARGET,
        help="folder to write (default: the package's)",
    )
    options = parser.parse_args()
    compile_wordnet(options.source.resolve(), options.target)


if __name__ == "__main__":
    main()
