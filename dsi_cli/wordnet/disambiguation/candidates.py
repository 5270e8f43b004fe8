"""From a label's text to the synsets that it could mean, each with the evidence of its form.

A label is read in steps, and the first step that finds a noun counts: the text as it stands (any case and joints);
its names, separated by commas; its parts, separated by slashes or in brackets; another spelling; the head of a compound.
Among verbs the same, but for the head. What stands beside the words that were found (a bracket, a parent folder, the modifier
of a compound) is the *context*: a sense below a sense of the context, or whose gloss names it, is likelier. Nothing is chosen
here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.disambiguation.forms import HEAD, Candidate, find_candidates, merge_candidates

MAX_HEAD_WORDS = 5
"""Words at the end of a compound that are looked up together."""

_PREPOSITIONS = frozenset(("of", "with", "in", "on", "for", "from", "at", "to", "without", "by"))
_FILLERS = frozenset(
    ("a", "an", "the", "and", "or", "other", "others", "misc", "unknown", "class", "label", "thing", "things")
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NUMBER_BEFORE = re.compile(r"^\W*\d+[\s._:;,)\]\-]+(?=.*[^\W\d_])")
_NUMBER_BEHIND = re.compile(r"(?<=[^\W\d_])[\s._:;,(\[\-]+\d+\W*$")
_BRACKET = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
_NEGATED = re.compile(r"(?:non|not|no|without|except)(?:[\s_\-]+(?:an?|the))?[\s_\-]+(\w.*)", re.IGNORECASE)


@dataclass(frozen=True)
class LabelCandidates:
    """What a label's text gives: candidates (none where no part is a noun), and the words that stand beside them.

    ``context`` holds the parts of a compound or path, ``beside`` the label's bracket and the folders that it shares, and
    ``superclass`` that of the list: the last two say what the label is about. ``excluded`` holds what a bracket says that the
    label is not (``pin (non-jewelry)``).
    """

    candidates: tuple[Candidate, ...] = ()
    context: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    superclass: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def read_label(label: str, wordnet: WordNet | None = None) -> LabelCandidates:
    """Return the candidates of a label, of the first step that finds any; among WordNet 3.0's nouns unless others are given.

    Examples
    --------
    >>> [candidate.word for candidate in read("Black_Footed Albatrosses").candidates]
    ['black-footed_albatross']
    >>> read("aquarium_fish").candidates[0].how, read("aquarium_fish").context
    ('head', ('aquarium', 'fish'))
    >>> reading = read("RidingHorse", load_wordnet("verb"))
    >>> reading.candidates[0].word, reading.context
    ('ride', ('Horse',))
    """
    text, wordnet = normalize_label(label), wordnet or load_wordnet()
    steps = (_whole, _names, _parts, _numbered, _head_of if wordnet.part == "noun" else _verb_of)
    return next((found for step in steps if (found := step(text, wordnet)).candidates), LabelCandidates())


def shared_folders(labels: Sequence[str]) -> frozenset[str]:
    """Return the leading parts of paths that several labels share, such as ``animals`` of ``animals/seal``."""
    leading = Counter(label.partition("/")[0].strip().lower() for label in labels if "/" in label.strip("/ "))
    return frozenset(part for part, count in leading.items() if count > 1)


def read_label_in_folder(label: str, shared: frozenset[str], wordnet: WordNet | None = None) -> LabelCandidates:
    """Return the candidates of a label; a folder that others share is context, not a name."""
    before, _, behind = label.partition("/")
    if not behind or before.strip().lower() not in shared:
        return read_label(label, wordnet)
    reading = read_label_in_folder(behind, shared, wordnet)
    return replace(reading, beside=(*reading.beside, before.strip()))


def normalize_label(label: str) -> str:
    """Return a label in one line with plain spaces, words that run together in camel case apart."""
    text = " ".join(unicodedata.normalize("NFKC", label).split())
    return text if "." in text else _CAMEL.sub(" ", text)


def _whole(text: str, wordnet: WordNet) -> LabelCandidates:
    return LabelCandidates(find_candidates(text, wordnet))


def _names(text: str, wordnet: WordNet) -> LabelCandidates:
    """Return the senses of names separated by commas or semicolons, those shared by most names marked so."""
    parts = [part.strip() for part in re.split(r"[,;|]", text)]
    if len(parts) < 2:
        return LabelCandidates()
    return LabelCandidates(merge_candidates([find_candidates(part, wordnet) for part in parts if part]))


def _parts(text: str, wordnet: WordNet) -> LabelCandidates:
    """Return the senses of a text beside a bracket, or of the parts between slashes; all other words are context."""
    inside = [word.strip() for word in _BRACKET.findall(text)]
    outside = " ".join(_BRACKET.sub(" ", text).split())
    excluded = tuple(negated[1] for word in inside if (negated := _NEGATED.fullmatch(word)))
    if excluded and outside:
        kept = " ".join(f"({word})" for word in inside if not _NEGATED.fullmatch(word))
        return replace(read_label(f"{outside} {kept}".strip(), wordnet), excluded=excluded)
    if inside:
        for words, context in ((outside, inside), *((word, [outside]) for word in inside)):
            reading = read_label(words, wordnet) if words and words != text else LabelCandidates()
            if reading.candidates:
                return replace(reading, beside=(*reading.beside, *context))
        return LabelCandidates()
    pieces = [piece for part in re.split(r"[/\\>]", text) if len(piece := part.strip()) > 1]
    if len(pieces) < 2 and pieces != [text.strip("/ ")]:
        return read_label(pieces[0], wordnet) if pieces and pieces[0] != text else LabelCandidates()
    readings = [read_label(piece, wordnet).candidates for piece in pieces] if pieces != [text] else []
    return LabelCandidates(next((one for one in _without_parents(readings, wordnet) if one), ()), tuple(pieces))


def _without_parents(parts: list[tuple[Candidate, ...]], wordnet: WordNet) -> list[tuple[Candidate, ...]]:
    """Return the parts of a path without those that can mean a hypernym of another (vehicle/car is a car)."""
    nodes = [{one.node for one in part} for part in parts]
    higher = [{over for node in some for over in hypernym_closure(wordnet.taxonomy, node)} - some for some in nodes]
    low = [k for k, some in enumerate(nodes) if not any(some & over for j, over in enumerate(higher) if j != k)]
    return [parts[k] for k in low] if any(nodes[k] for k in low) else parts


def _numbered(text: str, wordnet: WordNet) -> LabelCandidates:
    """Return the senses of a text without a number before or behind it (``001.ak47``, ``0 airplane``)."""
    bare = _NUMBER_BEHIND.sub("", _NUMBER_BEFORE.sub("", text))
    return read_label(bare, wordnet) if bare and bare != text else LabelCandidates()


def _head_of(text: str, wordnet: WordNet) -> LabelCandidates:
    """Return the senses of a compound's head, and of its modifier where that is a kind of it (a trout fish is a trout).

    The head is the longest end that is a noun; before a preposition where there is one (a cup of coffee is a cup).
    """
    words = [word for word in re.split(r"[\s_\-]+", text) if word]
    cut = next((k for k, word in enumerate(words) if k and word.lower() in _PREPOSITIONS), len(words))
    before, behind = words[:cut], tuple(word for word in words[cut + 1 :] if word.lower() not in _FILLERS)
    for start in range(max(0 if behind else 1, len(before) - MAX_HEAD_WORDS), len(before)):
        head = () if before[start].lower() in _FILLERS else find_candidates(" ".join(before[start:]), wordnet)
        if head:
            modifier = tuple(before[:start])
            kinds = _kinds_of(find_candidates(" ".join(modifier), wordnet), head, wordnet) if modifier else ()
            some = tuple(replace(one, how=HEAD) for one in (*kinds, *head))
            return LabelCandidates(some, (*modifier, " ".join(before[start:]), *behind))
    return LabelCandidates()


def _kinds_of(words: tuple[Candidate, ...], head: tuple[Candidate, ...], wordnet: WordNet) -> tuple[Candidate, ...]:
    """Return the senses of a modifier that are things below a sense of the head: both names can mean them."""
    heads, thing = {candidate.node for candidate in head}, wordnet.taxonomy.node("physical_entity.n.01")
    over = {one.node: hypernym_closure(wordnet.taxonomy, one.node) - {one.node} for one in words}
    return tuple(replace(one, names=2) for one in words if thing in over[one.node] and heads & over[one.node])


def _verb_of(text: str, wordnet: WordNet) -> LabelCandidates:
    """Return the senses of the verb of an action: its first gerund, else its first word, else its last word that is a verb.

    With the words behind it as far as WordNet has these together (*picking up*); all others are context. *Horse riding* is a
    riding, *brush hair* a brushing, *baseball pitch* a pitching.
    """
    words, weak = [word for word in re.split(r"[\s_\-]+", text) if word], _PREPOSITIONS | _FILLERS
    gerunds = [k for k, word in enumerate(words) if word.lower().endswith("ing")]
    for start in dict.fromkeys([*gerunds, 0, *range(len(words) - 1, 0, -1)]):
        for end in range(min(len(words), start + MAX_HEAD_WORDS), start, -1):
            verb = () if words[start].lower() in weak else find_candidates(" ".join(words[start:end]), wordnet)
            if verb:
                beside = [word for word in (*words[:start], *words[end:]) if word.lower() not in weak]
                return LabelCandidates(tuple(replace(one, how=HEAD) for one in verb), tuple(beside))
    return LabelCandidates()
