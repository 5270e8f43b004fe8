"""What a text says by itself, without words: a WordNet id, a synset name, or something that cannot be looked up at all."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dsi_cli.wordnet import lexicon, taxonomy

LONGEST_LABEL = 1000
"""Characters; WordNet's longest noun has 71, ImageNet's longest list of synonyms 180."""

HOW_TO_NAME = "a WordNet 3.0 id (n02084071), a synset name (dog.n.01) or an English noun"

_SYNSET_NAME = re.compile(r"(?P<lemma>\S.*)\.(?P<kind>[nvasr])\.(?P<sense>\d{1,3})")
_OTHER_ID = re.compile(r"[vasr]\d{8}")
_ID_AND_WORDS = re.compile(r"(n\d{8})[\s_:,;.\-]+\S.*")


@dataclass(frozen=True)
class Named:
    """What an id or a synset name means: a node; or why there is none."""

    how: str
    node: int | None = None
    reason: str | None = None


def by_name(text: str) -> Named | None:
    """Return the meaning of an id (alone or before words) or a synset name; None where the text has the form of neither."""
    key = text.strip().lower()
    before_words = _ID_AND_WORDS.fullmatch(key)
    if before_words:
        key = text = before_words[1]
    if taxonomy.is_wnid(key):
        node = taxonomy.load().node(key)
        if node is None:
            versions = "it may be from another version of WordNet, whose ids differ"
            return Named("unresolved", reason=f"{shown(text)} is not in WordNet 3.0; {versions}")
        return Named("wnid", node)
    name = _SYNSET_NAME.fullmatch(key)
    if _OTHER_ID.fullmatch(key) or (name and name["kind"] != "n"):
        return Named("unresolved", reason=f"{shown(text)} is no noun; only nouns have a common taxonomy")
    return _by_sense(text, name["lemma"], int(name["sense"])) if name else None


def _by_sense(text: str, lemma: str, sense: int) -> Named:
    known = lexicon.load().senses("_".join(lemma.split()))
    if 1 <= sense <= len(known):
        return Named("synset", known[sense - 1])
    senses = f"{len(known)} noun sense{'s' * (len(known) != 1)}"
    return Named("unresolved", reason=f"{shown(text)} is not in WordNet 3.0, which has {senses} of that word")


def unusable(label: str) -> str | None:
    """Return why a label cannot be looked up at all, or None."""
    if not label.strip():
        return f"the label is empty; expected {HOW_TO_NAME}"
    if len(label) > LONGEST_LABEL:
        return f"the label has {len(label)} characters; expected {HOW_TO_NAME}"
    if any(unicodedata.category(c) in ("Cc", "Cs") and not c.isspace() for c in label):
        return f"{shown(label)} holds a control character; expected {HOW_TO_NAME}"
    return None


def shown(label: str) -> str:
    """Return a label for a message: in ASCII, quoted, not too long."""
    return ascii(label if len(label) <= 60 else label[:57] + "...")
