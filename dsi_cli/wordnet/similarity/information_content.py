"""Information content: the rarity of a noun or verb and its hyponyms in a text corpus, read from files in NLTK's format.

The format is that of Pedersen's WordNet::Similarity (``ic-brown.dat``). The first line states the version. Each other line
describes one synset, such as ``1740n 1915712 ROOT``: its offset with ``n`` or ``v``, its count, and ``ROOT`` for roots. The
information content of a synset is minus the logarithm of its share of the counts of all roots.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database.taxonomy import Rows, Taxonomy
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet

UNKNOWN = 1e300
"""NLTK's information content of a synset with count 0, and its value for infinity."""


@dataclass(frozen=True, eq=False)
class InformationContent:
    """The counts of an information content file.

    ``counts (M,)`` has the count of each node of ``taxonomy``, 0 or more. ``total`` is the sum of the counts of all roots.
    """

    taxonomy: Taxonomy
    counts: npt.NDArray[np.float64]
    total: float

    def content(self, nodes: Rows) -> npt.NDArray[np.float64]:
        """Return the information content of nodes, 0 or more, and `UNKNOWN` for count 0 (NLTK's ``information_content``)."""
        counts = self.counts[nodes].tolist()
        return np.array([UNKNOWN if count == 0 else -log(count / self.total) for count in counts], dtype=np.float64)


def read_information_content(path: str | PathLike[str], wordnet: WordNet | None = None) -> InformationContent:
    """Return the counts of an information content file, by default those of WordNet 3.0's nouns.

    Raises
    ------
    UsageError
        The file cannot be read, is not in NLTK's format, or belongs to another version of WordNet.
    """
    file = Path(path)
    wordnet = wordnet or load_wordnet()
    graph = wordnet.taxonomy
    try:
        counted = dict(_nltk_counts(file)[graph.letter])
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{file} cannot be read: {reason}", code="ic-not-readable", reason=reason) from None
    except (ValueError, IndexError) as error:
        message = f"{file}: expected an information content file of NLTK, with lines such as '1740n 1915712 ROOT' ({error})"
        raise UsageError(message, code="ic-format") from None
    if not all(0 <= count < float("inf") for count in counted.values()):
        message = f"{file}: expected an information content file of NLTK, whose counts are 0 or more"
        raise UsageError(message, code="ic-count")
    total = counted.pop(0, 0.0)
    counts = np.zeros(len(graph.offsets))
    for offset, count in counted.items():
        node = graph.node(offset)
        if node is None:
            raise UsageError(
                f"{file}: no {wordnet.part} of {wordnet.title} has the id {graph.letter}{offset:08d};"
                " the file belongs to another version of WordNet",
                code="ic-other-wordnet",
                offset=offset,
            )
        counts[node] = count
    if total <= 0 or counts.max() > total:
        message = f"{file}: expected a line ROOT for {wordnet.part}s with the largest count; add it, or use another file"
        raise UsageError(message, code="ic-no-root", total=total)
    return InformationContent(graph, counts, total)


def _nltk_counts(file: Path) -> dict[str, dict[int, float]]:
    from nltk.corpus.reader.wordnet import WordNetICCorpusReader

    class Reader(WordNetICCorpusReader):  # type: ignore[misc]
        """NLTK's reader for a file at any path; NLTK opens only files in its own folders."""

        def __init__(self) -> None:
            pass

        def open(self, path: Path) -> IO[str]:
            return path.open(encoding="utf-8")

    counts: dict[str, dict[int, float]] = Reader().ic(file)
    return counts
