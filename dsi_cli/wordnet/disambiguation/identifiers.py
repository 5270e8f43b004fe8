"""Labels that are not words: WordNet ids, synset names, placeholders (``class_0``,
``0`` to ``99``), and unusable texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from dsi_cli.errors import count, quoted
from dsi_cli.wordnet.database.taxonomy import PARTS, is_wnid
from dsi_cli.wordnet.database.wordnet import SHIPPED, WordNet
from dsi_cli.wordnet.disambiguation.candidates import NO_CANDIDATES, LabelCandidates

MAX_LABEL_LENGTH = 1000
"""The maximum number of characters; WordNet's longest noun has 71, ImageNet's longest
list of synonyms 180.
"""
EXAMPLES = {"noun": ("n02084071", "dog.n.01"), "verb": ("v01926311", "run.v.01")}
"""An id of WordNet 3.0 and a synset name for each part of speech."""
_SYNSET_NAME = re.compile(r"(?P<lemma>\S.*)\.(?P<kind>[nvasr])\.(?P<sense>\d{1,3})")
_OTHER_ID = re.compile(r"[asr]\d{8}")
_ID_NEXT_TO_WORDS = re.compile(
    r"(?P<id>[nv]\d{8})[\s_:,;./(\[-]\s*\S.*|\S.*[\s_:,;./(\[-](?P<last>[nv]\d{8})[)\]]?"
)
_NLTK_SYNSET = re.compile(r"""synset\(["'](.+)["']\)""")
_NUMBER = r"[\s_:.#-]*\d{1,9}"
_GENERIC = re.compile(
    rf"(?:class|classe|klasse|label|lbl|category|cat|cls|target|index|idx|id|no|nr){_NUMBER}",
    re.IGNORECASE,
)
_WORDNET_ID = re.compile(r"[nvars]-?\d{8}", re.IGNORECASE)
_NUMBERED = re.compile(rf"(.{{0,99}}?){_NUMBER}", re.DOTALL)
_PART_NAMES = {letter: part for part, letter in PARTS.items()} | {
    "a": "adjective",
    "s": "adjective",
    "r": "adverb",
}


@dataclass(frozen=True)
class Meaning:
    """The first result for a label: a node, or a reason for having no node. Without
    both, a sense must be chosen.
    """

    how: str
    node: int | None = None
    reason: str | None = None
    words: LabelCandidates = NO_CANDIDATES  # the synsets of the label's words

    @property
    def is_open(self) -> bool:
        """True if a sense must be chosen."""
        return self.node is None and self.reason is None


def expected_label(wordnet: WordNet) -> str:
    """Return the description of a valid label for a message."""
    return f"{expected_id(wordnet)} or an English {wordnet.part}"


def expected_id(wordnet: WordNet) -> str:
    """Return the description of a valid id for a message."""
    wnid, name = EXAMPLES[wordnet.part]
    # The example is an id of WordNet 3.0; other versions have other ids.
    example = f" ({wnid})" if wordnet.name == SHIPPED else ""
    return f"a {wordnet.title} id{example}, a synset name ({name})"


def look_up_id(text: str, wordnet: WordNet) -> Meaning | None:
    """Return the node of a label that is an id (alone, or before or after words) or a
    synset name; None if it is neither.
    """
    key = text.strip().lower()
    if match := _ID_NEXT_TO_WORDS.fullmatch(key):
        key = text = match["id"] or match["last"]
    elif match := _NLTK_SYNSET.fullmatch(key):
        key = text = match[1]
    name = _SYNSET_NAME.fullmatch(key)
    is_id = is_wnid(key)
    letter = name["kind"] if name else key[:1]
    if (is_id or name or _OTHER_ID.fullmatch(key)) and letter != PARTS[wordnet.part]:
        other = _PART_NAMES[letter]
        reason = f"{quoted(text)} is no {wordnet.part} but a {other}; add --pos {other}"
        if other not in PARTS:
            reason = (
                f"{quoted(text)} is no {wordnet.part}; only nouns and verbs have a"
                " taxonomy"
            )
        return Meaning("unresolved", reason=reason)
    if is_id:
        node = wordnet.taxonomy.node(key)
        if node is not None:
            return Meaning("wnid", node)
        reason = "it may be from another version of WordNet, whose ids differ"
        return Meaning(
            "unresolved", reason=f"{quoted(text)} is not in {wordnet.title}; {reason}"
        )
    if not name:
        return None
    nodes = wordnet.words.senses("_".join(name["lemma"].split()))
    sense = int(name["sense"])
    if 1 <= sense <= len(nodes):
        return Meaning("synset", nodes[sense - 1])
    senses = count(len(nodes), f"{wordnet.part} sense")
    return Meaning(
        "unresolved",
        reason=(
            f"{quoted(text)} is not in {wordnet.title}, which has {senses} of that word"
        ),
    )


def reason_unusable(label: str, wordnet: WordNet) -> str | None:
    """Return the reason why a label cannot be looked up, or None."""
    if not label.strip():
        return f"the label is empty; expected {expected_label(wordnet)}"
    if len(label) > MAX_LABEL_LENGTH:
        return (
            f"the label has {len(label)} characters; expected {expected_label(wordnet)}"
        )
    if any(unicodedata.category(c) in ("Cc", "Cs") and not c.isspace() for c in label):
        return (
            f"{quoted(label)} contains a control character; expected"
            f" {expected_label(wordnet)}"
        )
    return None


def placeholders(labels: Sequence[str]) -> frozenset[int]:
    """Return the indices of the labels that are placeholders.

    Placeholders are generic words with a number (``label_7``), and numbers if more than
    half of the labels are numbers. If there are three or more labels that differ only
    in a number, all are placeholders. WordNet's ids (``n02121620``) are names.

    >>> sorted(placeholders(["cat", "label_7", "dog"])), sorted(placeholders(["0", "1", "2"]))
    ([1], [0, 1, 2])
    >>> sorted(placeholders(["7", "ace", "king"])), sorted(placeholders(["thing 1", "thing 2", "thing 3"]))
    ([], [0, 1, 2])
    """
    bare = [label.strip() for label in labels]
    generic = frozenset(
        index for index, label in enumerate(bare) if _GENERIC.fullmatch(label)
    )
    if any(map(_WORDNET_ID.fullmatch, bare)):
        return generic
    numbered = [
        match
        for label in bare
        if len(label) < 100 and (match := _NUMBERED.fullmatch(label))
    ]
    has_one_prefix = (
        len(numbered) == len(bare) > 2
        and len({match[1].casefold() for match in numbered}) == 1
    )
    if has_one_prefix and len(set(bare)) == len(bare):
        return frozenset(range(len(bare)))
    numbers = frozenset(
        index for index, label in enumerate(bare) if label.isascii() and label.isdigit()
    )
    return generic | numbers if 2 * len(numbers) > len(bare) else generic
