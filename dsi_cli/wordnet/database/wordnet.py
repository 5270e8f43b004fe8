"""One WordNet's nouns or verbs, all that is known of them read on first use: the shipped 3.0's, or those of another version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np
import numpy.typing as npt

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database import lexicon, nltk_data, taxonomy
from dsi_cli.wordnet.database.lexicon import Lexicon
from dsi_cli.wordnet.database.taxonomy import PARTS, Nodes, Tables, Taxonomy, check_nodes, to_numpy, read_table

SHIPPED = "wordnet3.0"
_SMALL = ("file", "instance", "parts", "derived")


@dataclass(frozen=True, eq=False)
class WordNet:
    """A part of speech of a WordNet.

    Attributes
    ----------
    name : str
        Of the WordNet, as a reference is called: ``wordnet3.0``, ``wordnet31``.
    title : str
        The same for a person to read: ``WordNet 3.0``, ``wordnet31``.
    part : str
        ``noun`` or ``verb``.
    tables : callable
        Gives its tables.
    """

    name: str
    title: str
    part: str
    tables: Tables

    def __reduce__(self) -> tuple[object, ...]:
        """Travel by name where the other end has the same: the shipped one."""
        return (
            (load_wordnet, (self.part,))
            if self.name == SHIPPED
            else (WordNet, (self.name, self.title, self.part, self.tables))
        )

    @property
    def id(self) -> str:
        """What references are called after: ``wordnet3.0``, ``wordnet3.0-verb``."""
        return self.name if self.part == "noun" else f"{self.name}-{self.part}"

    @property
    def is_usual(self) -> bool:
        """Whether these are WordNet 3.0's nouns, as presets' ids are."""
        return self.id == SHIPPED

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The synsets as a graph of hypernyms."""
        return taxonomy.load(self.part) if self.name == SHIPPED else taxonomy.taxonomy_from_tables(self.tables, self.part)

    @cached_property
    def words(self) -> Lexicon:
        """The lemmas."""
        return lexicon.load(self.part) if self.name == SHIPPED else lexicon.lexicon_from_tables(self.tables, self.part)

    @cached_property
    def kinds(self) -> dict[str, npt.NDArray[np.int64]]:
        """What is known of each node: lexicographer file, instance, parts, derived, size, words."""
        table = self.tables("kinds")
        known = {name: to_numpy(table[name], np.dtype(np.uint8)).astype(np.int64) for name in _SMALL}
        known["size"] = to_numpy(table["size"], np.dtype(np.int32)).astype(np.int64)
        known["words"] = np.bincount(self.words.synsets, minlength=len(known["size"]))
        return known

    @cached_property
    def _glosses(self) -> list[str]:
        glosses: list[str] = self.tables("glosses")["definition"].to_pylist()
        return glosses

    def definitions(self, nodes: Nodes) -> list[str]:
        """Return the nodes' glosses.

        Examples
        --------
        >>> load_wordnet().definitions([load_wordnet().taxonomy.node("tench.n.01")])
        ['freshwater dace-like game fish of Europe and western Asia noted for ability to survive outside water']
        """
        return [self._glosses[node] for node in check_nodes(nodes, len(self._glosses))]


@cache
def load_wordnet(part: str = "noun", name: str | None = None) -> WordNet:
    """Return the nouns or the verbs of WordNet 3.0, or of another WordNet that is installed for NLTK.

    Raises
    ------
    UsageError
        There is no such part of speech; or no such WordNet is installed, or its folder is damaged.

    Examples
    --------
    >>> verbs = load_wordnet("verb")
    >>> run = verbs.taxonomy.node("run.v.01")
    >>> verbs.id, verbs.taxonomy.wnid(run), verbs.definitions([run])[0][:30]
    ('wordnet3.0-verb', 'v01926311', "move fast by using one's feet,")
    """
    if part not in PARTS:
        raise UsageError(f"--pos takes {' or '.join(PARTS)}; {part!r} is neither: only these have a taxonomy")
    if name is None or name == SHIPPED:
        return WordNet(SHIPPED, "WordNet 3.0", part, partial(read_table, part))
    return WordNet(name, name, part, nltk_data.read_tables(name, part).__getitem__)


def same_synset_in(other: WordNet, wnid: str) -> str | None:
    """Return the id in another WordNet of a noun of 3.0: the synset with the same word and the same gloss; None if there is none.

    Examples
    --------
    >>> same_synset_in(load_wordnet(), "n02084071")
    'n02084071'
    """
    usual = load_wordnet()
    node = usual.taxonomy.node(wnid)
    if node is None:
        return None
    lemma, (gloss,) = usual.taxonomy.names[node].rsplit(".", 2)[0], usual.definitions([node])
    known = other.words.senses(lemma)
    found = [one for one, text in zip(known, other.definitions(known), strict=True) if text == gloss]
    return other.taxonomy.wnid(found[0]) if len(found) == 1 else None
