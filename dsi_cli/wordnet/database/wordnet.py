"""The nouns or the verbs of one WordNet: the shipped version 3.0, or another version.
Tables are read on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np
import numpy.typing as npt

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database import lexicon, nltk_data, taxonomy
from dsi_cli.wordnet.database.lexicon import Lexicon
from dsi_cli.wordnet.database.taxonomy import (
    PARTS,
    Nodes,
    Tables,
    Taxonomy,
    check_nodes,
    read_table,
    to_numpy,
)

SHIPPED = "wordnet3.0"
_BYTE_COLUMNS = ("file", "instance", "parts", "derived")


@dataclass(frozen=True, eq=False)
class WordNet:
    """The nouns or the verbs of a WordNet."""

    name: str  # the name in references: ``wordnet3.0``, ``wordnet31``
    title: str  # the name in messages: ``WordNet 3.0``, ``wordnet31``
    part: str  # ``noun`` or ``verb``
    tables: Tables  # returns a table by name

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the shipped WordNet by name, because the other process has it, too."""
        if self.name == SHIPPED:
            return load_wordnet, (self.part,)
        return WordNet, (self.name, self.title, self.part, self.tables)

    @property
    def id(self) -> str:
        """The name for references: ``wordnet3.0``, ``wordnet3.0-verb``."""
        return self.name if self.part == "noun" else f"{self.name}-{self.part}"

    @property
    def is_usual(self) -> bool:
        """True for WordNet 3.0's nouns, which the ids of presets belong to."""
        return self.id == SHIPPED

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The synsets as a graph of hypernyms."""
        if self.name == SHIPPED:
            return taxonomy.load(self.part)
        return taxonomy.taxonomy_from_tables(self.tables, self.part)

    @cached_property
    def words(self) -> Lexicon:
        """The lemmas."""
        if self.name == SHIPPED:
            return lexicon.load(self.part)
        return lexicon.lexicon_from_tables(self.tables, self.part)

    @cached_property
    def kinds(self) -> dict[str, npt.NDArray[np.int64]]:
        """The properties of each node: lexicographer file, instance, parts, derived,
        size, words.
        """
        table = self.tables("kinds")
        columns = {
            name: to_numpy(table[name], np.dtype(np.uint8)).astype(np.int64)
            for name in _BYTE_COLUMNS
        }
        columns["size"] = to_numpy(table["size"], np.dtype(np.int32)).astype(np.int64)
        columns["words"] = np.bincount(
            self.words.synsets, minlength=len(columns["size"])
        )
        return columns

    @cached_property
    def _glosses(self) -> list[str]:
        return self.tables("glosses")["definition"].to_pylist()

    def definitions(self, nodes: Nodes) -> list[str]:
        """Return the nodes' glosses.

        >>> load_wordnet().definitions([load_wordnet().taxonomy.node("tench.n.01")])
        ['freshwater dace-like game fish of Europe and western Asia noted for ability to survive outside water']
        """
        return [self._glosses[node] for node in check_nodes(nodes, len(self._glosses))]


@cache
def load_wordnet(part: str = "noun", name: str | None = None) -> WordNet:
    """Return the nouns or the verbs of WordNet 3.0, or of another WordNet that is
    installed for NLTK.

    Raise `UsageError` if the part of speech is neither noun nor verb, or the WordNet is
    not installed or damaged.

    >>> verbs = load_wordnet("verb")
    >>> run = verbs.taxonomy.node("run.v.01")
    >>> verbs.id, verbs.taxonomy.wnid(run), verbs.definitions([run])[0][:30]
    ('wordnet3.0-verb', 'v01926311', "move fast by using one's feet,")
    """
    if part not in PARTS:
        message = (
            f"--pos takes {' or '.join(PARTS)}, which have a taxonomy; found {part!r}"
        )
        raise UsageError(message, code="unknown-part-of-speech", part=part)
    if name is None or name == SHIPPED:
        return WordNet(SHIPPED, "WordNet 3.0", part, partial(read_table, part))
    return WordNet(name, name, part, nltk_data.read_tables(name, part).__getitem__)


def same_synset_in(other: WordNet, wnid: str) -> str | None:
    """Return the id of a WordNet 3.0 noun in another WordNet, or None.

    The two synsets must have the same word and the same gloss, and only one synset may
    match.

    >>> same_synset_in(load_wordnet(), "n02084071")
    'n02084071'
    """
    shipped = load_wordnet()
    node = shipped.taxonomy.node(wnid)
    if node is None:
        return None
    lemma = shipped.taxonomy.names[node].rsplit(".", 2)[0]
    (gloss,) = shipped.definitions([node])
    senses = other.words.senses(lemma)
    matches = [
        sense
        for sense, text in zip(senses, other.definitions(senses), strict=True)
        if text == gloss
    ]
    return other.taxonomy.wnid(matches[0]) if len(matches) == 1 else None
