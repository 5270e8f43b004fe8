"""Compile the tables of a WordNet's nouns or verbs from NLTK's reader. The tables of version 3.0 are shipped.

The hypernyms of a synset are in the order of WordNet's files; NLTK stores them in sets, which have no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsi_cli.wordnet.database.taxonomy import PARTS, Rows, Taxonomy, offsets_and_values, parent_edges

MAX_DEPTH = 90
"""The maximum number of edges from a root, because distances are stored as bytes."""
_HYPERNYMS = ("@", "@i")
_PARTS = ("%p", "#p")
_SENSE_NUMBERS = {"noun": "1:", "verb": "2:"}
"""The first characters of the sense codes in WordNet's count files."""


def compile_tables(reader: Any, part: str) -> dict[str, Any]:
    """Return the five tables of a part of speech (`dsi_cli.wordnet.database.taxonomy.Tables`).

    Parameters
    ----------
    reader : a ``nltk.corpus.reader.wordnet.WordNetCorpusReader``
    part : ``noun`` or ``verb``

    Raises
    ------
    ValueError
        The hypernyms form a cycle, or are more than `MAX_DEPTH` deep.
    Exception
        NLTK raises various exceptions for missing or damaged files, such as `KeyError` if a pointer has no target.
    """
    synsets = sorted(reader.all_synsets(PARTS[part]), key=lambda synset: synset.offset())
    row = {synset.offset(): k for k, synset in enumerate(synsets)}
    parents = pa.array(_parents(reader, part, synsets, row), pa.list_(pa.int32()))
    taxonomy = _taxonomy(parents)
    graph = {
        "offset": pa.array(list(row), pa.int32()),
        "name": pa.array([synset.name() for synset in synsets], pa.string()),
        "depth": pa.array(taxonomy.depths, pa.uint8()),
        "parents": parents,
    }
    glosses = {"definition": pa.array([synset.definition() for synset in synsets], pa.string())}
    return {
        "graph": pa.table(graph),
        "glosses": pa.table(glosses),
        "kinds": _kinds(reader, synsets, taxonomy),
        "lemmas": _lemmas(reader, part, row),
        "exceptions": _exceptions(reader, part),
    }


def _parents(reader: Any, part: str, synsets: Sequence[Any], row: dict[int, int]) -> list[list[int]]:
    """Return the rows of each synset's hypernyms and instance hypernyms, in the order of WordNet's files."""
    with reader.open(f"data.{part}") as file:
        lines = {int(line[:8]): line for line in file if line[:8].isdigit()}
    parents = []
    for synset in synsets:
        offsets = [offset for symbol in _HYPERNYMS for _, offset in synset._pointers.get(symbol, ())]
        line = lines[synset.offset()]
        parents.append([row[offset] for offset in sorted(offsets, key=lambda offset: line.index(f" {offset:08d} "))])
    return parents


def _taxonomy(parents: Any) -> Taxonomy:
    """Return the graph with the depths of its nodes, which are computed from the roots down."""
    starts, flat = offsets_and_values(pa.chunked_array([parents]))
    count = len(parents)
    depths = np.zeros(count, dtype=np.uint8)
    taxonomy = Taxonomy(np.arange(count, dtype=np.int32), (), depths, starts, flat)
    child, parent = parent_edges(taxonomy, np.arange(count))
    for _ in range(MAX_DEPTH + 1):
        deeper = np.zeros_like(depths)
        np.maximum.at(deeper, child, depths[parent] + np.uint8(1))
        if (deeper == depths).all():
            return taxonomy
        depths[:] = deeper
    raise ValueError(f"hypernyms form a cycle, or are more than {MAX_DEPTH} deep")


def _kinds(reader: Any, synsets: Sequence[Any], taxonomy: Taxonomy) -> Any:
    """Return the properties of each synset: lexicographer file, instance, parts, derived words, number of hyponyms."""
    files = {name: number for number, name in enumerate(reader._lexnames)}
    derived = [
        sum(len(others) for (_, symbol), others in synset._lemma_pointers.items() if symbol == "+") for synset in synsets
    ]
    parts = [sum(len(synset._pointers.get(symbol, ())) for symbol in _PARTS) for synset in synsets]
    return pa.table(
        {
            "file": pa.array([files[synset.lexname()] for synset in synsets], pa.uint8()),
            "instance": pa.array([int("@i" in synset._pointers) for synset in synsets], pa.uint8()),
            "parts": pa.array(np.minimum(parts, 255), pa.uint8()),
            "derived": pa.array(np.minimum(derived, 255), pa.uint8()),
            "size": pa.array(_sizes(taxonomy), pa.int32()),
        }
    )


def _sizes(taxonomy: Taxonomy) -> npt.NDArray[np.int64]:
    """Return the number of distinct hyponyms of each node, including itself."""
    count = len(taxonomy.offsets)
    # A pair (hyponym, hypernym) is encoded as one number.
    hyponym: Rows = np.arange(count)
    hypernym, pairs = hyponym, [hyponym * count + hyponym]
    while hypernym.size:
        edge, hypernym = parent_edges(taxonomy, hypernym)
        codes = _sorted_unique(hyponym[edge] * count + hypernym)
        hyponym, hypernym = np.divmod(codes, count)
        pairs.append(codes)
    return np.bincount(_sorted_unique(np.concatenate(pairs)) % count, minlength=count)


def _sorted_unique(numbers: Rows) -> Rows:
    """Return sorted non-negative numbers without repeats; `numpy.unique` takes forty times as long here."""
    rising = np.sort(numbers)
    return rising[np.diff(rising, prepend=-1) > 0]


def _lemmas(reader: Any, part: str, row: dict[int, int]) -> Any:
    """Return each lemma's synsets in WordNet's sense order, with the count of each sense in tagged text."""
    senses = {
        lemma: by_part[PARTS[part]] for lemma, by_part in reader._lemma_pos_offset_map.items() if PARTS[part] in by_part
    }
    tagged = _sense_counts(reader, part)
    names = sorted(senses)
    counts = [[tagged.get((lemma, k), 0) for k in range(1, len(senses[lemma]) + 1)] for lemma in names]
    return pa.table(
        {
            "lemma": pa.array(names, pa.string()),
            "synsets": pa.array([[row[offset] for offset in senses[lemma]] for lemma in names], pa.list_(pa.int32())),
            "counts": pa.array(counts, pa.list_(pa.int32())),
        }
    )


def _sense_counts(reader: Any, part: str) -> dict[tuple[str, int], int]:
    """Return the count of each sense (lemma, number from 1) in tagged text; NLTK's ``count`` searches a file each time."""
    counts: dict[tuple[str, int], int] = {}
    for name in ("cntlist.rev", "index.sense"):
        with reader.open(name) as file:
            for key, *_, sense, count in map(str.split, file):
                lemma, _, code = key.partition("%")
                if code.startswith(_SENSE_NUMBERS[part]):
                    counts[lemma, int(sense)] = int(count)
        if counts:
            break
    return counts


def _exceptions(reader: Any, part: str) -> Any:
    with reader.open(f"{part}.exc") as file:
        rows = [words for words in map(str.split, file) if words]
    forms = pa.array([words[0] for words in rows], pa.string())
    return pa.table({"form": forms, "bases": pa.array([words[1:] for words in rows], pa.list_(pa.string()))})
