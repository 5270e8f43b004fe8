"""Information content: how rarely a noun or verb, or anything below it, was met in a text. Files in NLTK's format.

The format (``ic-brown.dat`` and the like, of Pedersen's WordNet::Similarity): a first line that says the version; then a
line a synset, ``1740n 1915712 ROOT``: its offset with ``n`` or ``v``, its count, and ``ROOT`` if it is one. A synset's
information is minus the logarithm of its count over that of all roots together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dsi_cli.errors import UsageError
from dsi_cli.wordnet import net
from dsi_cli.wordnet.net import Net
from dsi_cli.wordnet.taxonomy import Rows, Taxonomy

UNKNOWN = 1e300
"""NLTK's information of a noun that was never counted, and its infinity."""

_LINE = re.compile(r"(?P<offset>\d{1,9})(?P<kind>[nv])\s+(?P<count>[0-9.eE+-]+)(?P<root>\s+ROOT)?\s*")


@dataclass(frozen=True, eq=False)
class Information:
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


def read(path: str | PathLike[str], of: Net | None = None) -> Information:
    """Return the counts of an information content file; of WordNet 3.0's nouns unless others are given.

    Raises
    ------
    UsageError
        The file cannot be read, is not of NLTK's format, or is of another version of WordNet.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    of = of or net.load()
    graph, total = of.taxonomy, 0.0
    counts = np.zeros(len(graph.offsets))
    for number, line in enumerate(lines[1:], start=2):
        found = _LINE.fullmatch(line)
        count = _number(found["count"]) if found else None
        if found is None or count is None:
            raise UsageError(
                f"{file}, line {number}: expected an information content file of NLTK, as '1740n 1915712 ROOT'"
            )
        if found["kind"] != graph.letter:
            continue
        total += count if found["root"] else 0.0
        node = graph.node(int(found["offset"]))
        if node is None:
            raise UsageError(
                f"{file}, line {number}: no {of.part} of {of.title} has that id; it is of another version of WordNet"
            )
        counts[node] = count
    if total <= 0 or counts.max() > total:
        raise UsageError(f"{file}: expected a line ROOT for {of.part}s with the largest count; information needs it")
    return Information(graph, counts, total)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
