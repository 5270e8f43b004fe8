"""A WordNet's nouns or verbs out of Princeton's files, as the tables that the package ships of WordNet 3.0.

``data.noun`` and ``index.noun`` must be there (or ``data.verb`` and ``index.verb``); ``noun.exc`` has irregular forms, and
``cntlist.rev`` or else ``index.sense`` how often each sense was met in tagged text. Names, glosses and orders are those of
NLTK. Source of the format: Princeton's wndb(5WN). What is wrong is a `ValueError` that names the file and the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsi_cli.wordnet.taxonomy import PARTS, Rows, Taxonomy, parents_of_all

Lines = Callable[[str], Sequence[str]]
"""Gives the lines of a file, empty for the licence's, none where there is no such file."""

DEEPEST = 90
"""Edges from the root; distances are kept in bytes."""

_EXAMPLE = re.compile(r'".*?"')
_SYNTAX = re.compile(r"\([^()]*\)$")
_SENSE_NUMBERS = {"noun": "1:", "verb": "2:"}


class _Synset(NamedTuple):
    offset: int
    file: int
    lemma: str
    pointers: list[tuple[str, int]]
    gloss: str


class _Entry(NamedTuple):
    lemma: str
    offsets: list[int]


def tables(lines: Lines, part: str) -> dict[str, Any]:
    """Return the five tables of a part of speech, see `dsi_cli.wordnet.taxonomy.Tables`.

    Raises
    ------
    ValueError
        A file lacks, a line is of another form or points nowhere, or the hypernyms form a cycle or are more than `DEEPEST` deep.
    """
    synsets = sorted(_each(lines, f"data.{part}", _synset))
    entries = sorted(_each(lines, f"index.{part}", _entry))
    row = {synset.offset: place for place, synset in enumerate(synsets)}
    try:
        graph = _graph(synsets, row, {entry.lemma: entry.offsets for entry in entries}, part)
        senses = [[row[offset] for offset in entry.offsets] for entry in entries]
    except (KeyError, ValueError) as error:
        raise ValueError(f"found in data.{part} or index.{part} something that points nowhere ({error})") from None
    taxonomy = _taxonomy(graph)
    exceptions = [words for words in map(str.split, lines(f"{part}.exc")) if words]
    tagged = _tagged(lines, part)
    counts = [[tagged.get((entry.lemma, k), 0) for k in range(1, len(entry.offsets) + 1)] for entry in entries]
    return {
        "graph": graph.append_column("depth", pa.array(taxonomy.depths, pa.uint8())),
        "glosses": pa.table({"definition": pa.array([synset.gloss for synset in synsets], pa.string())}),
        "kinds": _kinds(synsets, taxonomy),
        "lemmas": pa.table(
            {
                "lemma": pa.array([entry.lemma for entry in entries], pa.string()),
                "synsets": pa.array(senses, pa.list_(pa.int32())),
                "counts": pa.array(counts, pa.list_(pa.int32())),
            }
        ),
        "exceptions": pa.table(
            {
                "form": pa.array([words[0] for words in exceptions], pa.string()),
                "bases": pa.array([words[1:] for words in exceptions], pa.list_(pa.string())),
            }
        ),
    }


def _each(lines: Lines, file: str, record: Callable[[str], Any]) -> Iterator[Any]:
    """Yield a record for each line of a file that must be there."""
    count = 0
    for number, line in enumerate(lines(file), start=1):
        if line:
            try:
                yield record(line)
            except (ValueError, IndexError):
                raise ValueError(f"found {file} damaged in line {number}") from None
            count += 1
    if not count:
        raise ValueError(f"found no {file}")


def _synset(line: str) -> _Synset:
    columns, is_there, gloss = line.partition("|")
    if not is_there:
        raise ValueError
    words = columns.split()
    at = 4 + 2 * int(words[3], 16)  # offset, lexicographer file, type, number of words, then word and id of each
    pointers = [(words[at + 1 + 4 * k], int(words[at + 2 + 4 * k])) for k in range(int(words[at]))]
    definition = _EXAMPLE.sub("", gloss).strip().strip("; ")
    return _Synset(int(words[0]), int(words[1]), _SYNTAX.sub("", words[4]).lower(), pointers, definition)


def _entry(line: str) -> _Entry:
    words = line.split()
    count = int(words[2])
    if count < 1:
        raise ValueError
    return _Entry(words[0], [int(offset) for offset in words[-count:]])


def _graph(synsets: Sequence[_Synset], row: dict[int, int], senses: dict[str, list[int]], part: str) -> Any:
    names = [f"{one.lemma}.{PARTS[part]}.{senses[one.lemma].index(one.offset) + 1:02d}" for one in synsets]
    above = [[row[offset] for symbol, offset in one.pointers if symbol in ("@", "@i")] for one in synsets]
    return pa.table(
        {
            "offset": pa.array([one.offset for one in synsets], pa.int32()),
            "name": pa.array(names, pa.string()),
            "parents": pa.array(above, pa.list_(pa.int32())),
        }
    )


def _taxonomy(graph: Any) -> Taxonomy:
    """Return the graph with the depths of its nodes, from the roots down."""
    parents = graph["parents"].to_pylist()
    starts = np.cumsum([0, *map(len, parents)]).astype(np.int32)
    flat = np.array([node for nodes in parents for node in nodes], dtype=np.int32)
    depths = np.zeros(len(parents), dtype=np.uint8)
    taxonomy = Taxonomy(np.arange(len(parents), dtype=np.int32), (), depths, starts, flat)
    child, above = parents_of_all(taxonomy, np.arange(len(parents)))
    for _ in range(DEEPEST + 1):
        deeper = np.zeros_like(depths)
        np.maximum.at(deeper, child, depths[above] + np.uint8(1))
        if (deeper == depths).all():
            return taxonomy
        depths[:] = deeper
    raise ValueError(f"found hypernyms that form a cycle, or are more than {DEEPEST} deep")


def _kinds(synsets: Sequence[_Synset], taxonomy: Taxonomy) -> Any:
    symbols = [[symbol for symbol, _ in one.pointers] for one in synsets]
    return pa.table(
        {
            "file": pa.array([one.file for one in synsets], pa.uint8()),
            "instance": pa.array([int("@i" in some) for some in symbols], pa.uint8()),
            "parts": pa.array([min(some.count("%p") + some.count("#p"), 255) for some in symbols], pa.uint8()),
            "derived": pa.array([min(some.count("+"), 255) for some in symbols], pa.uint8()),
            "size": pa.array(_sizes(taxonomy), pa.int32()),
        }
    )


def _sizes(taxonomy: Taxonomy) -> npt.NDArray[np.int64]:
    """Return how many synsets lie at and below each node, each once."""
    count = len(taxonomy.offsets)
    below: Rows = np.arange(count)
    above, pairs = below, [below * count + below]
    while above.size:
        edge, above = parents_of_all(taxonomy, above)
        met = _each_once(below[edge] * count + above)
        below, above = np.divmod(met, count)
        pairs.append(met)
    return np.bincount(_each_once(np.concatenate(pairs)) % count, minlength=count)


def _each_once(numbers: Rows) -> Rows:
    """Return numbers from 0 on without repeats, rising; `numpy.unique` takes forty times as long for so many."""
    rising = np.sort(numbers)
    return rising[np.diff(rising, prepend=-1) > 0]


def _tagged(lines: Lines, part: str) -> dict[tuple[str, int], int]:
    """Return how often each sense of a lemma, from 1, was met."""
    found = {}
    for file, at in (("cntlist.rev", (1, 2)), ("index.sense", (2, 3))):
        for words in map(str.split, lines(file)):
            lemma, _, code = words[0].partition("%") if words else ("", "", "")
            if code.startswith(_SENSE_NUMBERS[part]):
                try:
                    found[lemma, int(words[at[0]])] = int(words[at[1]])
                except (ValueError, IndexError):
                    raise ValueError(f"found {file} damaged at {words[0]}") from None
        if found:
            break
    return found
