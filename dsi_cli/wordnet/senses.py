"""From a label to the synset that it means, and how sure that is.

A label is a WordNet id (``n02084071``), a synset name (``dog.n.01``) or words (``dog``, ``T-shirt/top``, ``tench,
Tinca tinca``). An id given beside a label wins over the label. Words mean their first sense in WordNet's order, unless
they are synonyms, separated by commas, that share another sense (of ImageNet-1k's labels with synonyms, 384 of 492
mean their first sense, but 486 the shared one). All senses that a label could have are named, so that a person can
choose another. A label that means nothing is never guessed: it is ``unresolved``, with the reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dsi_cli.errors import UsageError
from dsi_cli.wordnet import lexicon, taxonomy

RESOLVED_BY = ("wnid", "synset", "preset", "synonyms", "first sense", "unresolved")
"""How a label was understood; the first three are certain."""

LONGEST_LABEL = 1000
"""Characters; WordNet's longest noun has 71, ImageNet's longest list of synonyms 180."""

SUGGESTIONS = 50
"""Unresolved labels that get nearest spellings, some 20 ms each; a list with more is no list of English nouns."""

HOW_TO_NAME = "a WordNet 3.0 id (n02084071), a synset name (dog.n.01) or an English noun"

_SYNSET_NAME = re.compile(r"(?P<lemma>\S.*)\.(?P<kind>[nvasr])\.(?P<sense>\d{1,3})")
_OTHER_ID = re.compile(r"[vasr]\d{8}")


@dataclass(frozen=True)
class Resolution:
    """What one label was understood to mean.

    Attributes
    ----------
    index : int
        Its place in the list.
    label : str
        As given.
    synset, wnid, definition : str or None
        Of WordNet 3.0; None where unresolved.
    resolved_by : str
        One of ``RESOLVED_BY``.
    confidence : float or None
        1.0 for ids, synset names and presets; None for words, which nobody has checked, and where unresolved.
    candidates : tuple of str
        All synsets that the label's words can mean, in sense order (of a list of synonyms, the first that is a noun);
        the synset itself where the label is an id or a synset name.
    reason : str or None
        Why it is unresolved, and what to do.
    """

    index: int
    label: str
    synset: str | None
    wnid: str | None
    definition: str | None
    resolved_by: str
    confidence: float | None
    candidates: tuple[str, ...]
    reason: str | None


@dataclass(frozen=True)
class _Meaning:
    how: str
    node: int | None = None
    candidates: tuple[int, ...] = ()
    reason: str | None = None


def resolve(
    labels: Sequence[str], wnids: Sequence[str | None] | None = None, preset: str | None = None
) -> list[Resolution]:
    """Return what each label means, one resolution a label, in their order.

    Parameters
    ----------
    labels
        WordNet ids, synset names or words, in any mixture.
    wnids
        Beside each label an id or synset name that wins over it, or None.
    preset
        Name of the preset that the ids come from, if they do: then these labels are ``resolved_by`` ``preset``, and one
        without an id stays unresolved.

    Raises
    ------
    UsageError
        There are not as many ids as labels.

    Examples
    --------
    >>> dog, unknown = resolve(["dogs", "n99999999"])
    >>> dog.synset, dog.wnid, dog.resolved_by, dog.candidates[:2]
    ('dog.n.01', 'n02084071', 'first sense', ('dog.n.01', 'frump.n.01'))
    >>> unknown.resolved_by, unknown.reason
    ('unresolved', "'n99999999' is not in WordNet 3.0; it may be from another version of WordNet, whose ids differ")
    """
    if wnids is not None and len(wnids) != len(labels):
        raise UsageError(f"expected an id (or none) for each of {len(labels)} labels, found {len(wnids)} ids")
    hints_left = SUGGESTIONS
    meanings = []
    for label, wnid in zip(labels, wnids or [None] * len(labels), strict=True):
        meaning = _given(label, wnid, preset) if wnid and wnid.strip() else _alone(label, preset)
        if meaning.how == "unresolved" and meaning.reason is None:
            meaning = _Meaning("unresolved", reason=_unknown(label, with_hints=hints_left > 0))
            hints_left -= 1
        meanings.append(meaning)
    return _resolutions(labels, meanings)


def _resolutions(labels: Sequence[str], meanings: Sequence[_Meaning]) -> list[Resolution]:
    graph = taxonomy.load()
    glosses = iter(taxonomy.definitions([meaning.node for meaning in meanings if meaning.node is not None]))
    found = []
    for index, (label, meaning) in enumerate(zip(labels, meanings, strict=True)):
        node = meaning.node
        found.append(
            Resolution(
                index=index,
                label=label,
                synset=None if node is None else graph.names[node],
                wnid=None if node is None else graph.wnid(node),
                definition=None if node is None else next(glosses),
                resolved_by=meaning.how,
                confidence=1.0 if meaning.how in ("wnid", "synset", "preset") else None,
                candidates=tuple(graph.names[candidate] for candidate in meaning.candidates),
                reason=meaning.reason,
            )
        )
    return found


def _given(label: str, wnid: str, preset: str | None) -> _Meaning:
    """Return the meaning of an id beside a label; the label's own words are its candidates."""
    named = _by_name(wnid)
    words = () if _unusable(label) or _by_name(label) else _by_words(label).candidates
    if named is None:
        return _Meaning("unresolved", None, words, f"{_shown(wnid)} is no id; expected {HOW_TO_NAME}")
    how = "preset" if preset and named.node is not None else named.how
    return _Meaning(how, named.node, words or named.candidates, named.reason)


def _alone(label: str, preset: str | None) -> _Meaning:
    """Return the meaning of a label without an id: a preset that has none for it found no synset, so words must not."""
    if preset:
        return _Meaning("unresolved", reason=f"{_shown(label)} has no synset in the preset {preset}: WordNet 3.0 lacks it")
    return _meaning(label)


def _meaning(label: str) -> _Meaning:
    """Return what a label means by itself; where its words are not found, unresolved and without a reason."""
    unusable = _unusable(label)
    if unusable:
        return _Meaning("unresolved", reason=unusable)
    return _by_name(label) or _by_words(label)


def _by_name(text: str) -> _Meaning | None:
    """Return the meaning of an id or a synset name; None where the text has the form of neither."""
    key = text.strip().lower()
    if taxonomy.is_wnid(key):
        node = taxonomy.load().node(key)
        if node is None:
            versions = "it may be from another version of WordNet, whose ids differ"
            return _Meaning("unresolved", reason=f"{_shown(text)} is not in WordNet 3.0; {versions}")
        return _Meaning("wnid", node, (node,))
    name = _SYNSET_NAME.fullmatch(key)
    if _OTHER_ID.fullmatch(key) or (name and name["kind"] != "n"):
        return _Meaning("unresolved", reason=f"{_shown(text)} is no noun; only nouns have a common taxonomy")
    return _by_sense(text, name["lemma"], int(name["sense"])) if name else None


def _by_sense(text: str, lemma: str, sense: int) -> _Meaning:
    known = lexicon.load().senses("_".join(lemma.split()))
    if 1 <= sense <= len(known):
        return _Meaning("synset", known[sense - 1], (known[sense - 1],))
    senses = f"{len(known)} noun sense{'s' * (len(known) != 1)}"
    return _Meaning("unresolved", reason=f"{_shown(text)} is not in WordNet 3.0, which has {senses} of that word")


def _by_words(label: str) -> _Meaning:
    """Return the sense that most of a label's synonyms share, else the first of the first part that is a noun."""
    whole = _senses(label)
    parts = [part.strip() for part in label.split(",")]
    synonyms = [whole] if whole else [senses for part in parts if (senses := _senses(part))]
    alternatives = (senses for part in parts for piece in part.split("/") if (senses := _senses(piece.strip())))
    first = synonyms[0] if synonyms else next(alternatives, ())
    if not first:
        return _Meaning("unresolved")
    shared = Counter(node for senses in synonyms for node in senses)
    node = max(first, key=lambda node: shared[node])  # the first of equals, so sense order decides
    return _Meaning("synonyms" if shared[node] > 1 else "first sense", node, first)


def _senses(words: str) -> tuple[int, ...]:
    """Return the senses of the first spelling that WordNet has, in sense order."""
    found = (senses for spelling in lexicon.spellings(words) if (senses := lexicon.senses(spelling)))
    return tuple(next(found, ()))


def _unusable(label: str) -> str | None:
    """Return why a label cannot be looked up at all, or None."""
    if not label.strip():
        return f"the label is empty; expected {HOW_TO_NAME}"
    if len(label) > LONGEST_LABEL:
        return f"the label has {len(label)} characters; expected {HOW_TO_NAME}"
    if any(unicodedata.category(c) in ("Cc", "Cs") and not c.isspace() for c in label):
        return f"{_shown(label)} holds a control character; expected {HOW_TO_NAME}"
    return None


def _unknown(label: str, *, with_hints: bool) -> str:
    reason = f"{_shown(label)} is no noun in WordNet 3.0"
    if not with_hints:
        return f"{reason}; expected {HOW_TO_NAME}"
    word = lexicon.spellings(label.split(",")[0])[0]
    last = re.split(r"[_\-/]", word)[-1]  # the head of an English compound: aquarium_fish is a fish
    hints = [*lexicon.nearest(word), *(lexicon.base_forms(last)[:1])]
    return f"{reason}; nearest: {', '.join(dict.fromkeys(hints))}" if hints else f"{reason}; expected {HOW_TO_NAME}"


def _shown(label: str) -> str:
    return ascii(label if len(label) <= 60 else label[:57] + "...")
