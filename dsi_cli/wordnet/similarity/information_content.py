"""Information content: how rarely a noun or verb, or anything below it, was met in a text. Files in NLTK's format.

The format (``ic-brown.dat`` and the like, of Pedersen's WordNet::Similarity): a first line that says the version; then a
line a synset, ``1740n 1915712 ROOT``: its offset with ``n`` or ``v``, its count, and ``ROOT`` if it is one. A synset's
information is minus the logarithm of its count over that of all roots together.
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
"""NLTK's information of a noun that was never counted, and its infinity."""


@dataclass(frozen=True, eq=False)
class InformationContent:
    """The counts of a file.

    Attributes
    ----------
    taxonomy : Taxonomy
        Whose nodes were counted.
    counts : (M,) float64
        Of its nodes; 0 where one was never counted.
    total : float
        Of the roots together.
    """

    taxonomy: Taxonomy
    counts: npt.NDArray[np.float64]
    total: float

    def content(self, nodes: Rows) -> npt.NDArray[np.float64]:
        """Return the information of nodes, 0 or more, `UNKNOWN` for those never counted: NLTK's ``information_content``."""
        counts = (float(count) for count in self.counts[nodes])
        return np.array([UNKNOWN if count == 0 else -log(count / self.total) for count in counts], dtype=np.float64)


def read_information_content(path: str | PathLike[str], wordnet: WordNet | None = None) -> InformationContent:
    """Return the counts of an information content file; of WordNet 3.0's nouns unless others are given.

    Raises
    ------
    UsageError
        The file cannot be read, is not of NLTK's format, or is of another version of WordNet.
    """
    file = Path(path)
    wordnet = wordnet or load_wordnet()
    graph = wordnet.taxonomy
    try:
        counted = dict(_nltk_counts(file)[graph.letter])
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    except (ValueError, IndexError) as error:
        raise UsageError(
            f"{file}: expected an information content file of NLTK, as '1740n 1915712 ROOT' ({error})"
        ) from None
    if not all(0 <= count < float("inf") for count in counted.values()):
        raise UsageError(f"{file}: expected an information content file of NLTK, whose counts are 0 or more")
    total = counted.pop(0, 0.0)
    counts = np.zeros(len(graph.offsets))
    for offset, count in counted.items():
        node = graph.node(offset)
        if node is None:
            raise UsageError(
                f"{file}: no {wordnet.part} of {wordnet.title} has the id {graph.letter}{offset:08d};"
                " the file belongs to another version of WordNet"
            )
        counts[node] = count
    if total <= 0 or counts.max() > total:
        raise UsageError(f"{file}: expected a line ROOT for {wordnet.part}s with the largest count; information needs it")
    return InformationContent(graph, counts, total)


def _nltk_counts(file: Path) -> dict[str, dict[int, float]]:
    """Return the counts by part of speech and offset, as NLTK reads them; 0 stands for all roots together."""
    from nltk.corpus.reader.wordnet import WordNetICCorpusReader

    class Reader(WordNetICCorpusReader):  # type: ignore[misc]
        """The reader for a file anywhere; NLTK opens those in its own folders alone."""

        def __init__(self) -> None:
            pass

        def open(self, path: Path) -> IO[str]:
            return path.open(encoding="utf-8")

    counts: dict[str, dict[int, float]] = Reader().ic(file)
    return counts
