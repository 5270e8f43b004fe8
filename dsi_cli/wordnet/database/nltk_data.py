"""The tables of a WordNet's nouns or verbs, compiled from NLTK's reader. Nothing is
downloaded.

The tables of version 3.0 are shipped; other versions that are installed for NLTK are
compiled when they are needed. The hypernyms of a synset are in the order of WordNet's
files; NLTK stores them in sets, which have no order.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsi_cli.errors import UsageError, first_line
from dsi_cli.wordnet.database.taxonomy import MAX_DEPTH, PARTS

_NAME = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
# a pointer from a synset to a hypernym or instance hypernym, in WordNet's files
_HYPERNYM = re.compile(r" @i? (\d{8}) ")
# the first characters of the sense codes in WordNet's count files
_SENSE_NUMBERS = {"noun": "1:", "verb": "2:"}


def installed_names() -> list[str]:
    """Return the names of the WordNets in NLTK's folders, sorted."""
    import nltk.data

    paths = [
        path
        for folder in nltk.data.path
        for path in Path(folder, "corpora").glob("wordnet*")
    ]
    names = {
        path.name.removesuffix(".zip")
        for path in paths
        if path.suffix == ".zip" or path.is_dir()
    }
    return sorted(names - {"wordnet_ic"})


def read_tables(name: str, part: str) -> dict[str, Any]:
    """Return the tables of the nouns or verbs of an installed WordNet
    (`dsi_cli.wordnet.database.taxonomy.Tables`).

    This takes about 10 s.

    Raise `UsageError` if no WordNet of that name is installed, or its files are
    damaged. The message lists the installed ones and the command to install one.
    """
    if not _NAME.fullmatch(name) or name not in installed_names():
        installed = ", ".join(installed_names()) or "none"
        message = (
            "--wordnet takes a WordNet that is installed for NLTK, found"
            f" {name[:60]!a}; installed: {installed}"
        )
        message += " (python -m nltk.downloader wordnet31, for example, installs one)"
        raise UsageError(
            message, code="wordnet-not-installed", name=name, installed=installed
        )
    try:
        reader = open_reader(name)
        try:
            return compile_tables(reader, part)
        finally:
            for file in reader._data_file_map.values():  # NLTK leaves them open
                file.close()
    except Exception as error:
        # NLTK has no exception class for damaged files: its parser raises whatever it
        # meets.
        reason = first_line(error)
        command = f"python -m nltk.downloader --force {name}"
        message = (
            f"the WordNet {name!r} cannot be read ({reason}): {command} installs it"
            " again"
        )
        raise UsageError(
            message, code="wordnet-damaged", name=name, reason=reason
        ) from error


def open_reader(name: str) -> Any:
    """Return NLTK's reader of an installed WordNet."""
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        """NLTK's reader without the mapping to WordNet 3.0, which takes seconds and
        requires 3.0 to be installed.
        """

        def map_wn(self, version: str = "wordnet") -> None:  # noqa: ARG002 (NLTK passes it)
            return None

    loader = LazyCorpusLoader(name, Reader, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about languages other than English
        loader.ensure_loaded()
    return loader


def compile_tables(reader: Any, part: str) -> dict[str, Any]:
    """Return the five tables (`dsi_cli.wordnet.database.taxonomy.Tables`) of the nouns
    or verbs of NLTK's reader.

    Raise `ValueError` if the hypernyms form a cycle, or are more than `MAX_DEPTH` deep.
    NLTK raises various exceptions for missing or damaged files, such as `KeyError` if a
    pointer has no target.
    """
    synsets = sorted(
        reader.all_synsets(PARTS[part]), key=lambda synset: synset.offset()
    )
    row = {synset.offset(): k for k, synset in enumerate(synsets)}

    # The rows of each synset's hypernyms and instance hypernyms, in the order of
    # WordNet's files
    with reader.open(f"data.{part}") as file:
        pointers = {
            int(line[:8]): line.partition("|")[0] for line in file if line[:8].isdigit()
        }
    parents = [
        [row[int(hypernym)] for hypernym in _HYPERNYM.findall(pointers[offset])]
        for offset in row
    ]
    depths, sizes = _depths_and_sizes(parents)
    graph = {
        "offset": pa.array(list(row), pa.int32()),
        "name": pa.array([synset.name() for synset in synsets], pa.string()),
        "depth": pa.array(depths, pa.uint8()),
        "parents": pa.array(parents, pa.list_(pa.int32())),
    }

    # The properties of each synset: lexicographer file, instance, parts, derived words,
    # number of hyponyms with itself
    files = {name: number for number, name in enumerate(reader._lexnames)}
    derived = [
        sum(
            len(others)
            for (_, symbol), others in synset._lemma_pointers.items()
            if symbol == "+"
        )
        for synset in synsets
    ]
    parts = [
        sum(len(synset._pointers.get(symbol, ())) for symbol in ("%p", "#p"))
        for synset in synsets
    ]
    kinds = {
        "file": pa.array([files[synset.lexname()] for synset in synsets], pa.uint8()),
        "instance": pa.array(
            [int("@i" in synset._pointers) for synset in synsets], pa.uint8()
        ),
        "parts": pa.array(np.minimum(parts, 255), pa.uint8()),
        "derived": pa.array(np.minimum(derived, 255), pa.uint8()),
        "size": pa.array(sizes, pa.int32()),
    }

    # The irregular forms
    with reader.open(f"{part}.exc") as file:
        rows = [words for words in map(str.split, file) if words]
    exceptions = {
        "form": pa.array([words[0] for words in rows], pa.string()),
        "bases": pa.array([words[1:] for words in rows], pa.list_(pa.string())),
    }
    return {
        "graph": pa.table(graph),
        "glosses": pa.table(
            {
                "definition": pa.array(
                    [synset.definition() for synset in synsets], pa.string()
                )
            }
        ),
        "kinds": pa.table(kinds),
        "lemmas": _lemmas(reader, part, row),
        "exceptions": pa.table(exceptions),
    }


def _depths_and_sizes(parents: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Return the depth of each synset, and the number of its hyponyms with itself, from
    the rows of its hypernyms.
    """
    depths: dict[int, int] = {}
    closures: dict[int, set[int]] = {}
    sizes: Counter[int] = Counter()
    for node in TopologicalSorter(dict(enumerate(parents))).static_order():
        depths[node] = max((depths[parent] + 1 for parent in parents[node]), default=0)
        closures[node] = {node}.union(*(closures[parent] for parent in parents[node]))
        sizes.update(closures[node])
    if max(depths.values(), default=0) > MAX_DEPTH:
        raise ValueError(f"hypernyms are more than {MAX_DEPTH} deep")
    return [depths[node] for node in range(len(parents))], [
        sizes[node] for node in range(len(parents))
    ]


def _lemmas(reader: Any, part: str, row: dict[int, int]) -> Any:
    """Return each lemma's synsets in WordNet's sense order, with the count of each
    sense in tagged text.
    """
    senses = {
        lemma: by_part[PARTS[part]]
        for lemma, by_part in reader._lemma_pos_offset_map.items()
        if PARTS[part] in by_part
    }
    # NLTK's ``count`` would search a file for each sense.
    tagged: dict[tuple[str, int], int] = {}
    for name in ("cntlist.rev", "index.sense"):
        with reader.open(name) as file:
            for key, *_, sense, count in map(str.split, file):
                lemma, _, code = key.partition("%")
                if code.startswith(_SENSE_NUMBERS[part]):
                    tagged[lemma, int(sense)] = int(count)
        if tagged:
            break
    names = sorted(senses)
    counts = [
        [tagged.get((lemma, k), 0) for k in range(1, len(senses[lemma]) + 1)]
        for lemma in names
    ]
    return pa.table(
        {
            "lemma": pa.array(names, pa.string()),
            "synsets": pa.array(
                [[row[offset] for offset in senses[lemma]] for lemma in names],
                pa.list_(pa.int32()),
            ),
            "counts": pa.array(counts, pa.list_(pa.int32())),
        }
    )
