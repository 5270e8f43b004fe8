"""Labels that are not words: WordNet ids, synset names, and texts that cannot be looked up."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dsi_cli.errors import count
from dsi_cli.wordnet.database.taxonomy import PARTS, is_wnid
from dsi_cli.wordnet.database.wordnet import SHIPPED, WordNet, load_wordnet

MAX_LABEL_LENGTH = 1000
"""The maximum number of characters; WordNet's longest noun has 71, ImageNet's longest list of synonyms 180."""

EXAMPLES = {"noun": ("n02084071", "dog.n.01"), "verb": ("v01926311", "run.v.01")}
"""An id of WordNet 3.0 and a synset name for each part of speech."""

_SYNSET_NAME = re.compile(r"(?P<lemma>\S.*)\.(?P<kind>[nvasr])\.(?P<sense>\d{1,3})")
_OTHER_ID = re.compile(r"[asr]\d{8}")
_ID_AND_WORDS = re.compile(r"([nv]\d{8})[\s_:,;.\-]+\S.*")
_PART_NAMES = {letter: part for part, letter in PARTS.items()} | {"a": "adjective", "s": "adjective", "r": "adverb"}


@dataclass(frozen=True)
class IdLookup:
    """The node of an id or a synset name, or the reason why it has no node."""

    how: str
    node: int | None = None
    reason: str | None = None


def expected_label(wordnet: WordNet) -> str:
    """Return the description of a valid label for a message."""
    wnid, name = EXAMPLES[wordnet.part]
    # The example is an id of WordNet 3.0; other versions have other ids.
    example = f" ({wnid})" if wordnet.name == SHIPPED else ""
    return f"a {wordnet.title} id{example}, a synset name ({name}) or an English {wordnet.part}"


def look_up_id(text: str, wordnet: WordNet | None = None) -> IdLookup | None:
    """Return the node of an id (alone or before words) or a synset name; None if the text is neither.

    Parameters
    ----------
    text
        A label.
    wordnet
        The WordNet to look it up in, by default WordNet 3.0's nouns.
    """
    wordnet = wordnet or load_wordnet()
    key = text.strip().lower()
    id_and_words = _ID_AND_WORDS.fullmatch(key)
    if id_and_words:
        key = text = id_and_words[1]
    name = _SYNSET_NAME.fullmatch(key)
    is_id = is_wnid(key)
    letter = name["kind"] if name else key[:1]
    if (is_id or name or _OTHER_ID.fullmatch(key)) and letter != PARTS[wordnet.part]:
        return IdLookup("unresolved", reason=_reason_other_part(text, letter, wordnet))
    if is_id:
        node = wordnet.taxonomy.node(key)
        if node is not None:
            return IdLookup("wnid", node)
        reason = "it may be from another version of WordNet, whose ids differ"
        return IdLookup("unresolved", reason=f"{quote_label(text)} is not in {wordnet.title}; {reason}")
    if not name:
        return None
    nodes, sense = wordnet.words.senses("_".join(name["lemma"].split())), int(name["sense"])
    if 1 <= sense <= len(nodes):
        return IdLookup("synset", nodes[sense - 1])
    senses = count(len(nodes), f"{wordnet.part} sense")
    return IdLookup("unresolved", reason=f"{quote_label(text)} is not in {wordnet.title}, which has {senses} of that word")


def _reason_other_part(text: str, letter: str, wordnet: WordNet) -> str:
    reason, other = f"{quote_label(text)} is no {wordnet.part}", _PART_NAMES[letter]
    if other not in PARTS:
        return f"{reason}; only nouns and verbs have a taxonomy"
    return f"{reason} but a {other}; add --pos {other}"


def reason_unusable(label: str, wordnet: WordNet) -> str | None:
    """Return the reason why a label cannot be looked up, or None."""
    if not label.strip():
        return f"the label is empty; expected {expected_label(wordnet)}"
    if len(label) > MAX_LABEL_LENGTH:
        return f"the label has {len(label)} characters; expected {expected_label(wordnet)}"
    if any(unicodedata.category(c) in ("Cc", "Cs") and not c.isspace() for c in label):
        return f"{quote_label(label)} contains a control character; expected {expected_label(wordnet)}"
    return None


def quote_label(label: str) -> str:
    """Return a label for a message: in ASCII, quoted, and shortened to 60 characters."""
    return ascii(label if len(label) <= 60 else label[:57] + "...")
