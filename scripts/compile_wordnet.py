"""Compile the nouns and the verbs of WordNet 3.0 into the package's data files.

Usage::

    python scripts/compile_wordnet.py SOURCE [TARGET]

SOURCE is a folder as NLTK wants it in ``NLTK_DATA`` (with ``corpora/wordnet.zip`` or ``corpora/wordnet/``); TARGET
is ``dsi_cli/wordnet/data`` unless given, with a folder for each part of speech. Names and glosses come from NLTK's
synsets. The order of hypernyms, of senses and of exceptions is that of WordNet's own files (read through NLTK's reader
as well), since NLTK keeps a synset's pointers in sets. Running it twice gives the same bytes with the same pyarrow.

Ids are those of the release, which NLTK downloads. A copy of WordNet 3.0 that is also about (Linux distributions have it) keeps
one pointer, *suppression*, at another verb, so that the verbs between the two lie 18 bytes further on: see `released`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).resolve().parents[1] / "dsi_cli" / "wordnet" / "data"
VERSION = "3.0"
PARTS = {"noun": "n", "verb": "v"}
SENSE_NUMBERS = {"noun": "1:", "verb": "2:"}
"""How the codes of senses begin in WordNet's counts."""
MOVED, SHIFT = range(613036, 2422682), 18
"""The verbs that lie behind their place in the release, in the copy that is described above, and by how many bytes."""
ENCODINGS = {
    "offset": "DELTA_BINARY_PACKED",
    "name": "DELTA_BYTE_ARRAY",
    "lemma": "DELTA_BYTE_ARRAY",
    "form": "DELTA_BYTE_ARRAY",
    "definition": "DELTA_LENGTH_BYTE_ARRAY",
}
"""A quarter smaller than dictionaries, and readable by pyarrow 15; columns not named here are plain."""
COMPRESSION = ("brotli", 11)
"""A twentieth smaller than zstd's strongest, and read as fast."""


def nltk_wordnet(source: Path) -> Any:
    """Return NLTK's reader of the WordNet in ``source``; other versions than 3.0 are refused, their ids differ."""
    os.environ["NLTK_DATA"] = str(source)  # before the import: newer NLTKs refuse any other place
    from nltk.corpus import wordnet

    if wordnet.get_version() != VERSION:
        raise SystemExit(f"expected WordNet {VERSION} in {source}, found {wordnet.get_version()}: its ids are others")
    return wordnet


def data_lines(wordnet: Any, name: str) -> list[list[str]]:
    """Return the words of each line of one of WordNet's files, without the licence on top (lines that are indented)."""
    with wordnet.open(name) as file:
        return [line.split() for line in file.read().split("\n") if line and not line.startswith(" ")]


class Pointers(NamedTuple):
    """What ``data.noun`` or ``data.verb`` says of a synset: offsets of its hypernyms, and what kind of thing it is."""

    parents: list[int]
    """Hypernyms and instance hypernyms, in the file's order."""
    file: int
    """The lexicographer file."""
    instance: bool
    parts: int
    """Pointers to parts, and to what it is a part of."""
    derived: int
    """Pointers to words that are derived from it, or it from them."""


def pointers(wordnet: Any, part: str) -> dict[int, Pointers]:
    """Return the pointers of each synset, by offset."""
    found = {}
    for words in data_lines(wordnet, f"data.{part}"):
        at = 4 + 2 * int(words[3], 16)  # offset, lexicographer file, type, number of words, then word and id of each
        pairs = [(words[at + 1 + 4 * k], int(words[at + 2 + 4 * k])) for k in range(int(words[at]))]
        symbols = [symbol for symbol, _ in pairs]
        found[int(words[0])] = Pointers(
            parents=[offset for symbol, offset in pairs if symbol in ("@", "@i")],
            file=int(words[1]),
            instance="@i" in symbols,
            parts=symbols.count("%p") + symbols.count("#p"),
            derived=symbols.count("+"),
        )
    return found


def depths(parents_of: dict[int, list[int]]) -> dict[int, int]:
    """Return for each offset the number of edges of its longest way to a root."""
    known: dict[int, int] = {}

    def depth(offset: int) -> int:
        if offset not in known:
            known[offset] = max((depth(parent) + 1 for parent in parents_of[offset]), default=0)
        return known[offset]

    for offset in parents_of:
        depth(offset)
    return known


def sizes(parents_of: dict[int, list[int]]) -> dict[int, int]:
    """Return for each offset the number of synsets at and below it, each once."""
    count = dict.fromkeys(parents_of, 0)
    for offset in parents_of:
        above, fresh = {offset}, {offset}
        while fresh:
            fresh = {parent for child in fresh for parent in parents_of[child]} - above
            above |= fresh
        for ancestor in above:
            count[ancestor] += 1
    return count


def released(offsets: list[int], part: str) -> list[int]:
    """Return rising offsets as they are in the release."""
    is_moved = part == "verb" and MOVED.start in offsets
    return [offset - SHIFT if is_moved and offset in MOVED else offset for offset in offsets]


def synset_tables(wordnet: Any, part: str) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the graph (offset, name, depth, parents as row numbers), the glosses and the kinds, by rising offset."""
    synsets = sorted(wordnet.all_synsets(PARTS[part]), key=lambda synset: synset.offset())
    offsets = [synset.offset() for synset in synsets]
    row = {offset: index for index, offset in enumerate(offsets)}
    pointers_of = pointers(wordnet, part)
    parents_of = {offset: one.parents for offset, one in pointers_of.items()}
    depth_of, size_of = depths(parents_of), sizes(parents_of)
    graph = pa.table(
        {
            "offset": pa.array(released(offsets, part), pa.int32()),
            "name": pa.array([synset.name() for synset in synsets], pa.string()),
            "depth": pa.array([depth_of[offset] for offset in offsets], pa.uint8()),
            "parents": pa.array([[row[p] for p in parents_of[o]] for o in offsets], pa.list_(pa.int32())),
        }
    )
    kinds = pa.table(
        {
            "file": pa.array([pointers_of[offset].file for offset in offsets], pa.uint8()),
            "instance": pa.array([int(pointers_of[offset].instance) for offset in offsets], pa.uint8()),
            "parts": pa.array([min(pointers_of[offset].parts, 255) for offset in offsets], pa.uint8()),
            "derived": pa.array([min(pointers_of[offset].derived, 255) for offset in offsets], pa.uint8()),
            "size": pa.array([size_of[offset] for offset in offsets], pa.int32()),
        }
    )
    glosses = pa.table({"definition": pa.array([synset.definition() for synset in synsets], pa.string())})
    return graph, glosses, kinds


def lemma_table(wordnet: Any, part: str) -> pa.Table:
    """Return each lemma's synsets (rows of the graph) in WordNet's sense order, with how often each sense was tagged."""
    row = {offset: index for index, offset in enumerate(sorted(pointers(wordnet, part)))}
    tagged = {}
    for key, sense, count in data_lines(wordnet, "cntlist.rev"):
        lemma, code = key.split("%", 1)
        if code.startswith(SENSE_NUMBERS[part]):
            tagged[lemma, int(sense)] = int(count)
    entries = sorted((words[0], words[-int(words[2]) :]) for words in data_lines(wordnet, f"index.{part}"))
    counts = [[tagged.get((lemma, k), 0) for k in range(1, len(senses) + 1)] for lemma, senses in entries]
    return pa.table(
        {
            "lemma": pa.array([lemma for lemma, _ in entries], pa.string()),
            "synsets": pa.array([[row[int(offset)] for offset in senses] for _, senses in entries], pa.list_(pa.int32())),
            "counts": pa.array(counts, pa.list_(pa.int32())),
        }
    )


def exception_table(wordnet: Any, part: str) -> pa.Table:
    """Return WordNet's irregular forms: the form and its base forms, in the order of ``noun.exc`` or ``verb.exc``."""
    rows = data_lines(wordnet, f"{part}.exc")
    return pa.table(
        {
            "form": pa.array([words[0] for words in rows], pa.string()),
            "bases": pa.array([words[1:] for words in rows], pa.list_(pa.string())),
        }
    )


def write(table: pa.Table, path: Path) -> None:
    """Write one table as small as Parquet goes: it is shipped with every copy of the package."""
    pq.write_table(
        table.replace_schema_metadata({"wordnet": VERSION}),
        path,
        compression=COMPRESSION[0],
        compression_level=COMPRESSION[1],
        use_dictionary=False,
        column_encoding={name: ENCODINGS[name] for name in table.column_names if name in ENCODINGS},
        write_statistics=False,
        data_page_size=1 << 26,
    )


def tables(wordnet: Any, part: str) -> dict[str, pa.Table]:
    """Return the five tables of a part of speech by the names of their files."""
    graph, glosses, kinds = synset_tables(wordnet, part)
    lemmas, exceptions = lemma_table(wordnet, part), exception_table(wordnet, part)
    return {"graph": graph, "glosses": glosses, "kinds": kinds, "lemmas": lemmas, "exceptions": exceptions}


def compile_wordnet(source: Path, target: Path) -> None:
    """Write the tables of each part of speech and WordNet's licence into ``target``."""
    wordnet = nltk_wordnet(source)
    for part in PARTS:
        (target / part).mkdir(parents=True, exist_ok=True)
        for name, table in tables(wordnet, part).items():
            write(table, target / part / f"{name}.parquet")
    with wordnet.open("LICENSE") as licence:
        (target / "LICENSE").write_text(licence.read(), encoding="utf-8")


def digests(target: Path) -> str:
    """Return the SHA-256 of each table as ``sha256sum`` writes it: by these ``dsi doctor`` knows what was shipped."""
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in sorted(target.rglob("*.parquet"))}
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in found.items())


def main() -> None:
    """Read the command line and compile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", type=Path, help="folder to set NLTK_DATA to")
    parser.add_argument("target", type=Path, nargs="?", default=TARGET, help="folder to write (default: the package's)")
    options = parser.parse_args()
    compile_wordnet(options.source.resolve(), options.target)
    (options.target / "SHA256SUMS").write_text(digests(options.target), encoding="utf-8")


if __name__ == "__main__":
    main()
