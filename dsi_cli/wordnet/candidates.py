"""From a label's text to the synsets that it could mean, each with the evidence of its form.

A label is read in steps, and the first step that finds a noun counts: the text as it stands (any case and joints);
its names, separated by commas; its parts, separated by slashes or in brackets; another spelling; the head of a compound.
What stands beside the words that were found (a bracket, a parent folder, the modifier of a compound) is the *context*:
a sense below a sense of the context, or whose gloss names it, is likelier. Nothing is chosen here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from dsi_cli.wordnet import lexicon, taxonomy

EXACT, PLURAL, SPELLED, HEAD = "exact", "plural", "spelled", "head"
"""How a word was found: as it stands, as a plural, in another spelling, as the head of a compound."""

VARIANTS = (
    ("our", "or"),
    ("re", "er"),
    ("ise", "ize"),
    ("isation", "ization"),
    ("yse", "yze"),
    ("ogue", "og"),
    ("ae", "e"),
    ("oe", "e"),
    ("grey", "gray"),
    ("tyre", "tire"),
    ("plough", "plow"),
    ("ll", "l"),
    ("ier", "yer"),
    ("ce", "se"),
    ("mme", "m"),
    ("ghu", "gu"),
    ("lium", "lum"),
    ("nium", "num"),
    ("py", "pa"),
    ("mou", "mu"),
)
"""British and American spellings, tried in both directions at every place of a word that WordNet does not have."""

_BOTH_WAYS = (*VARIANTS, *((new, old) for old, new in VARIANTS))

LONGEST_HEAD = 5
"""Words at the end of a compound that are looked up together."""

LONGEST_WORD = 60
"""Characters of a word that other spellings are tried of."""

_PREPOSITIONS = frozenset(("of", "with", "in", "on", "for", "from", "at", "to", "without", "by"))
_FILLERS = frozenset(("a", "an", "the", "and", "or", "other", "others", "misc", "unknown", "class", "label"))
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NUMBER_BEFORE = re.compile(r"^\W*\d+[\s._:;,)\]\-]+(?=.*[^\W\d_])")
_NUMBER_BEHIND = re.compile(r"(?<=[^\W\d_])[\s._:;,(\[\-]+\d+\W*$")
_BRACKET = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")


@dataclass(frozen=True)
class Candidate:
    """A synset that a label could mean.

    Attributes
    ----------
    node : int
    word : str
        The lemma under which it stands.
    how : str
        One of ``EXACT``, ``PLURAL``, ``SPELLED``, ``HEAD``.
    rank : int
        Its place in the lemma's sense order, from 0.
    senses : int
        How many senses that lemma has.
    names : int
        How many of the label's names can mean it.
    """

    node: int
    word: str
    how: str
    rank: int
    senses: int
    names: int = 1


@dataclass(frozen=True)
class Reading:
    """What a label's text gives: candidates (none where no part is a noun), and the words beside those that were found."""

    candidates: tuple[Candidate, ...] = ()
    context: tuple[str, ...] = ()


def read(label: str) -> Reading:
    """Return the candidates of a label, of the first step that finds any.

    Examples
    --------
    >>> [candidate.word for candidate in read("Black_Footed Albatrosses").candidates]
    ['black-footed_albatross']
    >>> read("aquarium_fish").candidates[0].how, read("aquarium_fish").context
    ('head', ('aquarium', 'fish'))
    """
    text = plain(label)
    steps = (_whole, _names, _parts, _numbered, _head_of)
    return next((found for step in steps if (found := step(text)).candidates), Reading())


def folders(labels: Sequence[str]) -> frozenset[str]:
    """Return the leading parts of paths that several labels share, such as ``animals`` of ``animals/seal``."""
    leading = Counter(label.partition("/")[0].strip().lower() for label in labels if "/" in label.strip("/ "))
    return frozenset(part for part, count in leading.items() if count > 1)


def read_in(label: str, shared: frozenset[str]) -> Reading:
    """Return the candidates of a label; a folder that others share is context, not a name."""
    before, _, behind = label.partition("/")
    if not behind or before.strip().lower() not in shared:
        return read(label)
    reading = read_in(behind, shared)
    return replace(reading, context=(*reading.context, before.strip()))


def candidate_of(node: int) -> Candidate:
    """Return a node as a candidate under its own name, as what is certain takes part in a choice."""
    name, _, _ = taxonomy.load().names[node].rsplit(".", 2)
    senses = lexicon.load().senses(name)
    return Candidate(node, name, EXACT, senses.index(node), len(senses))


def plain(label: str) -> str:
    """Return a label in one line with plain spaces, words that run together in camel case apart."""
    text = " ".join(unicodedata.normalize("NFKC", label).split())
    return text if "." in text else _CAMEL.sub(" ", text)


def _whole(text: str) -> Reading:
    return Reading(found(text))


def _names(text: str) -> Reading:
    """Return the senses of names separated by commas or semicolons, those shared by most names marked so."""
    parts = [part.strip() for part in re.split(r"[,;|]", text)]
    if len(parts) < 2:
        return Reading()
    return Reading(_together([found(part) for part in parts if part]))


def _parts(text: str) -> Reading:
    """Return the senses of a text beside a bracket, or of the parts between slashes; all other words are context."""
    inside = [word.strip() for word in _BRACKET.findall(text)]
    outside = " ".join(_BRACKET.sub(" ", text).split())
    if inside:
        for words, context in ((outside, inside), *((word, [outside]) for word in inside)):
            reading = read(words) if words and words != text else Reading()
            if reading.candidates:
                return Reading(reading.candidates, (*reading.context, *context))
        return Reading()
    pieces = [piece for part in re.split(r"[/\\>]", text) if len(piece := part.strip()) > 1]
    if len(pieces) < 2 and pieces != [text.strip("/ ")]:
        return read(pieces[0]) if pieces and pieces[0] != text else Reading()
    readings = [read(piece).candidates for piece in pieces] if pieces != [text] else []
    return Reading(next((one for one in _without_parents(readings) if one), ()), tuple(pieces))


def _without_parents(parts: list[tuple[Candidate, ...]]) -> list[tuple[Candidate, ...]]:
    """Return the parts of a path without those that can mean a hypernym of another (vehicle/car is a car)."""
    nodes = [{one.node for one in part} for part in parts]
    above = [{over for node in some for over in lexicon.above(node)} - some for some in nodes]
    low = [k for k, some in enumerate(nodes) if not any(some & over for j, over in enumerate(above) if j != k)]
    return [parts[k] for k in low] if any(nodes[k] for k in low) else parts


def _numbered(text: str) -> Reading:
    """Return the senses of a text without a number before or behind it (``001.ak47``, ``0 airplane``)."""
    bare = _NUMBER_BEHIND.sub("", _NUMBER_BEFORE.sub("", text))
    return read(bare) if bare and bare != text else Reading()


def _head_of(text: str) -> Reading:
    """Return the senses of a compound's head, and of its modifier where that is a kind of it (a trout fish is a trout).

    The head is the longest end that is a noun; before a preposition where there is one (a cup of coffee is a cup).
    """
    words = [word for word in re.split(r"[\s_\-]+", text) if word]
    cut = next((k for k, word in enumerate(words) if k and word.lower() in _PREPOSITIONS), len(words))
    before, behind = words[:cut], tuple(word for word in words[cut + 1 :] if word.lower() not in _FILLERS)
    for start in range(max(0 if behind else 1, len(before) - LONGEST_HEAD), len(before)):
        head = () if before[start].lower() in _FILLERS else found(" ".join(before[start:]))
        if head:
            modifier = tuple(before[:start])
            kinds = _kinds_of(found(" ".join(modifier)), head) if modifier else ()
            some = tuple(replace(one, how=HEAD) for one in (*kinds, *head))
            return Reading(some, (*modifier, " ".join(before[start:]), *behind))
    return Reading()


def _kinds_of(words: tuple[Candidate, ...], head: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Return the senses of a modifier that are things below a sense of the head: both names can mean them."""
    heads, thing = {candidate.node for candidate in head}, taxonomy.load().node("physical_entity.n.01")
    above = {one.node: lexicon.above(one.node) - {one.node} for one in words}
    return tuple(replace(one, names=2) for one in words if thing in above[one.node] and heads & above[one.node])


def _together(parts: list[tuple[Candidate, ...]]) -> tuple[Candidate, ...]:
    """Return the candidates of several names, each synset once, with the number of names that can mean it."""
    best: dict[int, Candidate] = {}
    count: dict[int, int] = {}
    for candidates in parts:
        for one in candidates:
            count[one.node] = count.get(one.node, 0) + 1
            best.setdefault(one.node, one)
    return tuple(replace(one, names=count[one.node]) for one in best.values())


@lru_cache(maxsize=65536)
def found(words: str) -> tuple[Candidate, ...]:
    """Return the senses of words as they stand, else with other joints, else in another spelling; a plural's as well."""
    for forms in (lexicon.spellings(words), lexicon.joined(words)):
        candidates = _union(_senses(form, EXACT) for form in forms)
        if candidates:
            return candidates
    for form in _respelled("_".join(words.lower().split())):
        candidates = _senses(form, SPELLED)
        if candidates:
            return candidates
    return ()


def _union(parts: Iterable[tuple[Candidate, ...]]) -> tuple[Candidate, ...]:
    best: dict[int, Candidate] = {}
    for one in (one for part in parts for one in part):
        best.setdefault(one.node, one)
    return tuple(best.values())


def _senses(form: str, how: str) -> tuple[Candidate, ...]:
    best: dict[int, Candidate] = {}
    for lemma in lexicon.base_forms(form):
        nodes = lexicon.load().senses(lemma)
        for rank, node in enumerate(nodes):
            best.setdefault(
                node, Candidate(node, lemma, PLURAL if how == EXACT and lemma != form else how, rank, len(nodes))
            )
    return tuple(best.values())


def _respelled(form: str) -> Iterator[str]:
    """Yield a form with one part in the other of two spellings, or with the plural of another word than its last."""
    if len(form) > LONGEST_WORD:
        return
    for old, new in _BOTH_WAYS:
        at = form.find(old)
        while at >= 0:
            yield form[:at] + new + form[at + len(old) :]
            at = form.find(old, at + 1)
    words = form.split("_")
    for k in range(len(words) - 1):
        word = words[k].removesuffix("'s")
        for base in (word, *lexicon.base_forms(word)):
            if base != words[k]:
                yield "_".join([*words[:k], base, *words[k + 1 :]])
