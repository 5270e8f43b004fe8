"""What a text says by itself, without words: a WordNet id, a synset name, or something that cannot be looked up at all."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dsi_cli.wordnet.database import taxonomy, wordnet
from dsi_cli.wordnet.database.taxonomy import PARTS
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet

MAX_LABEL_LENGTH = 1000
"""Characters; WordNet's longest noun has 71, ImageNet's longest list of synonyms 180."""

EXAMPLES = {"noun": ("n02084071", "dog.n.01"), "verb": ("v01926311", "run.v.01")}
"""An id of WordNet 3.0 and a synset name, of each part of speech."""

_SYNSET_NAME = re.compile(r"(?P<lemma>\S.*)\.(?P<kind>[nvasr])\.(?P<sense>\d{1,3})")
_OTHER_ID = re.compile(r"[asr]\d{8}")
_ID_AND_WORDS = re.compile(r"([nv]\d{8})[\s_:,;.\-]+\S.*")
_WORDS = {letter: part for part, letter in PARTS.items()} | {"a": "adjective", "s": "adjective", "r": "adverb"}


@dataclass(frozen=True)
class IdLookup:
    """What an id or a synset name means: a node; or why there is none."""

    how: str
    node: int | None = None
    reason: str | None = None


def expected_label(of: WordNet) -> str:
    """Return what a label may be, for a message."""
    wnid, name = EXAMPLES[of.part]
    # Another version's ids are others, so none is shown as an example of it.
    return f"a {of.title} id{f' ({wnid})' if of.name == wordnet.SHIPPED else ''}, a synset name ({name}) or an English {of.part}"


def look_up_id(text: str, wordnet: WordNet | None = None) -> IdLookup | None:
    """Return the meaning of an id (alone or before words) or a synset name; None where the text has the form of neither.

    Parameters
    ----------
    of
        WordNet 3.0's nouns unless given.
    """
    wordnet = wordnet or load_wordnet()
    key = text.strip().lower()
    before_words = _ID_AND_WORDS.fullmatch(key)
    if before_words:
        key = text = before_words[1]
    name = _SYNSET_NAME.fullmatch(key)
    is_id = taxonomy.is_wnid(key)
    letter = name["kind"] if name else key[:1]
    if (is_id or name or _OTHER_ID.fullmatch(key)) and letter != PARTS[wordnet.part]:
        return IdLookup("unresolved", reason=_of_another_part(text, letter, wordnet))
    if is_id:
        node = wordnet.taxonomy.node(key)
        if node is None:
            versions = "it may be from another version of WordNet, whose ids differ"
            return IdLookup("unresolved", reason=f"{quote_label(text)} is not in {wordnet.title}; {versions}")
        return IdLookup("wnid", node)
    return _by_sense(text, name["lemma"], int(name["sense"]), wordnet) if name else None


def _of_another_part(text: str, letter: str, wordnet: WordNet) -> str:
    found = f"{quote_label(text)} is no {wordnet.part}"
    if _WORDS[letter] not in PARTS:
        return f"{found}; only nouns and verbs have a taxonomy"
    return f"{found} but one of WordNet's {_WORDS[letter]}s; {_WORDS[letter]}s are compared with --pos {_WORDS[letter]}"


def _by_sense(text: str, lemma: str, sense: int, wordnet: WordNet) -> IdLookup:
    known = wordnet.words.senses("_".join(lemma.split()))
    if 1 <= sense <= len(known):
        return IdLookup("synset", known[sense - 1])
    senses = f"{len(known)} {wordnet.part} sense{'s' * (len(known) != 1)}"
    return IdLookup("unresolved", reason=f"{quote_label(text)} is not in {wordnet.title}, which has {senses} of that word")


def reason_unusable(label: str, wordnet: WordNet) -> str | None:
    """Return why a label cannot be looked up at all, or None."""
    if not label.strip():
        return f"the label is empty; expected {expected_label(wordnet)}"
    if len(label) > MAX_LABEL_LENGTH:
        return f"the label has {len(label)} characters; expected {expected_label(wordnet)}"
    if any(unicodedata.category(c) in ("Cc", "Cs") and not c.isspace() for c in label):
        return f"{quote_label(label)} holds a control character; expected {expected_label(wordnet)}"
    return None


def quote_label(label: str) -> str:
    """Return a label for a message: in ASCII, quoted, not too long."""
    return ascii(label if len(label) <= 60 else label[:57] + "...")
