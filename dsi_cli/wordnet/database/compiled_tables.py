"""The tables of a WordNet's nouns or verbs, out of what NLTK reads: those of 3.0, which are shipped, and those of other versions.

The order of the hypernyms of a synset is that of WordNet's own files, since NLTK keeps them in sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsi_cli.wordnet.database.taxonomy import PARTS, Rows, Taxonomy, offsets_and_values, parent_edges

MAX_DEPTH = 90
"""The most edges from a root; distances are kept in bytes."""
_HYPERNYMS = ("@", "@i")
_PARTS = ("%p", "#p")
_SENSE_NUMBERS = {"noun": "1:", "verb": "2:"}
"""How the codes of senses begin in WordNet's counts."""


def compile_tables(reader: Any, part: str) -> dict[str, Any]:
    """Return the five tables of a part of speech, see `dsi_cli.wordnet.database.taxonomy.Tables`.

    Parameters
    ----------
    reader : a ``nltk.corpus.reader.wordnet.WordNetCorpusReader``
    part : ``noun`` or ``verb``

    Raises
    ------
    ValueError
        The hypernyms form a cycle, or are more than `MAX_DEPTH` deep.
    Exception
        Whatever NLTK raises for files that lack or are damaged; a `KeyError` if a synset points nowhere.
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
    found = []
    for synset in synsets:
        above = [offset for symbol in _HYPERNYMS for _, offset in synset._pointers.get(symbol, ())]
        line = lines[synset.offset()]
        found.append([row[offset] for offset in sorted(above, key=lambda offset: line.index(f" {offset:08d} "))])
    return found


def _taxonomy(parents: Any) -> Taxonomy:
    """Return the graph with the depths of its nodes, from the roots down."""
    starts, flat = offsets_and_values(pa.chunked_array([parents]))
    count = len(parents)
    depths = np.zeros(count, dtype=np.uint8)
    taxonomy = Taxonomy(np.arange(count, dtype=np.int32), (), depths, starts, flat)
    child, above = parent_edges(taxonomy, np.arange(count))
    for _ in range(MAX_DEPTH + 1):
        deeper = np.zeros_like(depths)
        np.maximum.at(deeper, child, depths[above] + np.uint8(1))
        if (deeper == depths).all():
            return taxonomy
        depths[:] = deeper
    raise ValueError(f"hypernyms form a cycle, or are more than {MAX_DEPTH} deep")


def _kinds(reader: Any, synsets: Sequence[Any], taxonomy: Taxonomy) -> Any:
    """Return what kind of thing each synset is: lexicographer file, instance, parts, derived words, and the synsets below it."""
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
    """Return how many synsets lie at and below each node, each once."""
    count = len(taxonomy.offsets)
    below: Rows = np.arange(count)
    above, pairs = below, [below * count + below]
    while above.size:
        edge, above = parent_edges(taxonomy, above)
        met = _each_once(below[edge] * count + above)
        below, above = np.divmod(met, count)
        pairs.append(met)
    return np.bincount(_each_once(np.concatenate(pairs)) % count, minlength=count)


def _each_once(numbers: Rows) -> Rows:
    """Return numbers from 0 on without repeats, rising; `numpy.unique` takes forty times as long for so many."""
    rising = np.sort(numbers)
    return rising[np.diff(rising, prepend=-1) > 0]


def _lemmas(reader: Any, part: str, row: dict[int, int]) -> Any:
    """Return each lemma's synsets in WordNet's sense order, with how often each sense was met in tagged text."""
    senses = {
        lemma: by_part[PARTS[part]] for lemma, by_part in reader._lemma_pos_offset_map.items() if PARTS[part] in by_part
    }
    tagged = _tagged(reader, part)
    names = sorted(senses)
    counts = [[tagged.get((lemma, k), 0) for k in range(1, len(senses[lemma]) + 1)] for lemma in names]
    return pa.table(
        {
            "lemma": pa.array(names, pa.string()),
            "synsets": pa.array([[row[offset] for offset in senses[lemma]] for lemma in names], pa.list_(pa.int32())),
            "counts": pa.array(counts, pa.list_(pa.int32())),
        }
    )


def _tagged(reader: Any, part: str) -> dict[tuple[str, int], int]:
    """Return how often each sense of a lemma, from 1, was met; a lemma's own ``count`` searches a file each time."""
    found: dict[tuple[str, int], int] = {}
    for name in ("cntlist.rev", "index.sense"):
        with reader.open(name) as file:
            for key, *_, sense, count in map(str.split, file):
                lemma, _, code = key.partition("%")
                if code.startswith(_SENSE_NUMBERS[part]):
                    found[lemma, int(sense)] = int(count)
        if found:
            break
    return found


def _exceptions(reader: Any, part: str) -> Any:
    """Return the irregular forms with their base forms."""
    with reader.open(f"{part}.exc") as file:
        rows = [words for words in map(str.split, file) if words]
    forms = pa.array([words[0] for words in rows], pa.string())
    return pa.table({"form": forms, "bases": pa.array([words[1:] for words in rows], pa.list_(pa.string()))})
