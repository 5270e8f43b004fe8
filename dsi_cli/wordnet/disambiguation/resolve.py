"""Find the synset that each label of a list means, and how certain that is.

A label is a WordNet id (``n02084071``), a synset name (``dog.n.01``) or words (``dog``, ``T-shirt/top``, ``tench, Tinca tinca``,
``001.Black_footed_Albatross``). Labels are looked up among the nouns of WordNet 3.0 unless another `WordNet` is given. The
user's own mapping comes first, then an id given next to the label, then the label's words. The candidates of words come from
`dsi_cli.wordnet.disambiguation.candidates`; `dsi_cli.wordnet.disambiguation.scoring` chooses among them for the whole list
at once. Each result has a confidence, the reason for the choice and all other candidates. A label without a synset is
``unresolved``, with the reason; similarly spelled words are suggested but never used. Placeholders such as ``class_7`` are
not looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dsi_cli.errors import UsageError
from dsi_cli.store.schema import UNCERTAIN
from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.disambiguation import scoring
from dsi_cli.wordnet.disambiguation.candidates import LabelCandidates, shared_folders, normalize_label, read_label_in_folder
from dsi_cli.wordnet.disambiguation.explanations import explain_choices
from dsi_cli.wordnet.disambiguation.features import candidate_table
from dsi_cli.wordnet.disambiguation.forms import HEAD, SPELLED, Candidate, candidate_of, find_candidates
from dsi_cli.wordnet.disambiguation.identifiers import MAX_LABEL_LENGTH, IdLookup, look_up_id, expected_label, quote_label, reason_unusable
from dsi_cli.wordnet.disambiguation.placeholders import placeholders

__all__ = ["CERTAIN", "LONGEST_LABEL", "RESOLVED_BY", "SUGGESTIONS", "UNCERTAIN", "Resolution", "resolve"]

RESOLVED_BY = (
    "wnid",
    "synset",
    "preset",
    "map",
    "synonyms",
    "only sense",
    "chosen sense",
    "spelling",
    "head noun",
    "head verb",
    "unresolved",
    "placeholder",
)
"""How a label was understood; the first four are certain, the last two without a synset."""

PLACEHOLDER = RESOLVED_BY[-1]

CERTAIN = RESOLVED_BY[:4]

MAX_SUGGESTIONS = 50
"""Unresolved labels that get nearest spellings, some 20 ms each; a list with more is no list of English nouns."""
FOREIGN_LIST_SHARE = 0.5
"""The share of unknown labels from which a list is of another kind than WordNet's nouns, such as car makes: then a word that
WordNet happens to have may mean anything, and every sense that was chosen for one is uncertain."""
MAX_PRESET_LABELS_READ = 4096
"""Labels of a preset whose other meanings are named; of longer lists, which are ids, that would take most of the time."""


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
        None where unresolved.
    resolved_by : str
        One of ``RESOLVED_BY``.
    confidence : float or None
        The chance in [0, 1] that this is what the label means; 1.0 for ids, synset names, presets and a person's own
        mapping; None where unresolved.
    candidates : tuple of str
        All synsets that the label's words can mean, the chosen first, then by falling chance; in sense order, or the
        synset itself, where an id decides. Of a misspelled label those of the nearest word.
    scores : tuple of float
        The chances of these; empty where nothing had to be chosen.
    reason : str or None
        Why this sense was preferred; or why the label is unresolved, and what to do. None where an id decides.
    """

    index: int
    label: str
    synset: str | None
    wnid: str | None
    definition: str | None
    resolved_by: str
    confidence: float | None
    candidates: tuple[str, ...]
    scores: tuple[float, ...]
    reason: str | None

    @property
    def is_uncertain(self) -> bool:
        """Whether a person should look at it: not resolved though wanted, or of less confidence than ``UNCERTAIN``."""
        if self.resolved_by in CERTAIN:
            return False
        return self.confidence is None or self.confidence < UNCERTAIN


@dataclass(frozen=True)
class _Meaning:
    """A node, a reason why there is none, or (where both are None) words whose sense is open."""

    how: str
    node: int | None
    reading: LabelCandidates
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        return self.node is None and self.reason is None


def resolve(
    labels: Sequence[str],
    wnids: Sequence[str | None] | None = None,
    preset: str | None = None,
    chosen: Mapping[int, str] | None = None,
    beside: Sequence[str | None] | None = None,
    wordnet: WordNet | None = None,
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
    chosen
        What a person chose for some labels, by index: an id or a synset name; an empty text leaves the label out.
    beside
        The superclass of each label, or None: it is evidence, as a parent folder is, and more.
    of
        What labels are looked up in; WordNet 3.0's nouns unless given.

    Raises
    ------
    UsageError
        There are not as many ids as labels.

    Examples
    --------
    >>> crane, _, unknown = resolve(["cranes", "heron", "n99999999"])
    >>> crane.synset, crane.wnid, crane.resolved_by, crane.candidates[:2]
    ('crane.n.05', 'n02012849', 'chosen sense', ('crane.n.05', 'crane.n.04'))
    >>> unknown.resolved_by, unknown.reason
    ('unresolved', "'n99999999' is not in WordNet 3.0; it may be from another version of WordNet, whose ids differ")
    >>> [one.synset for one in resolve(["crane", "excavator", "forklift", "dump truck", "pulley"])][0]
    'crane.n.04'
    >>> [one.synset for one in resolve(["ride_horse", "swimming", "ran"], wordnet=load_wordnet("verb"))]
    ['ride.v.01', 'swim.v.01', 'run.v.01']
    """
    wordnet = wordnet or load_wordnet()
    if wnids is not None and len(wnids) != len(labels):
        raise UsageError(f"expected an id (or none) for each of {len(labels)} labels, found {len(wnids)} ids")
    meanings, shared, nameless = [], shared_folders(labels), placeholders(labels)
    for index, (label, wnid) in enumerate(zip(labels, wnids or [None] * len(labels), strict=True)):
        if chosen is not None and index in chosen:
            meanings.append(_mapped(label, chosen[index], wordnet))
        elif wnid and wnid.strip():
            meanings.append(_given(label, wnid, preset, wordnet, reads=preset is None or len(labels) <= MAX_PRESET_LABELS_READ))
        elif index in nameless:
            meanings.append(
                _Meaning(PLACEHOLDER, None, LabelCandidates(), f"{quote_label(label)} is a placeholder: give the real class name")
            )
        else:
            meanings.append(_alone(label, preset, shared, wordnet, beside[index] if beside else None))
    if any(meaning.is_open for meaning in meanings):
        return _described(_chosen(labels, meanings, wordnet), wordnet)
    return _described(
        [_certain(index, *row, wordnet) for index, row in enumerate(zip(labels, meanings, strict=True))], wordnet
    )


def _given(label: str, wnid: str, preset: str | None, wordnet: WordNet, *, reads: bool = True) -> _Meaning:
    """Return the meaning of an id beside a label; the label's own words are its candidates, if they are read."""
    named = look_up_id(wnid, wordnet)
    if not reads or reason_unusable(label, wordnet) or look_up_id(label, wordnet):
        words = LabelCandidates()
    else:
        words = read_label_in_folder(label, frozenset(), wordnet)
    if any(one.how == HEAD for one in words.candidates):
        words = LabelCandidates()  # what a part of the label means is no alternative to an id
    if named is None:
        return _Meaning("unresolved", None, words, f"{quote_label(wnid)} is no id; expected {expected_label(wordnet)}")
    return _Meaning("preset" if preset and named.node is not None else named.how, named.node, words, named.reason)


def _mapped(label: str, key: str, wordnet: WordNet) -> _Meaning:
    """Return the meaning of a label that a person decided on."""
    if not key.strip():
        return _Meaning("map", None, LabelCandidates(), "left out by the mapping")
    meaning = _given(label, key, None, wordnet)
    return replace(meaning, how="map" if meaning.node is not None else "unresolved")


def _alone(label: str, preset: str | None, shared: frozenset[str], wordnet: WordNet, beside: str | None) -> _Meaning:
    """Return the meaning of a label without an id: a preset that has none for it found no synset, so words must not."""
    if preset:
        lacking = f"{quote_label(label)} has no synset in the preset {preset}: WordNet 3.0 lacks it"
        return _Meaning("unresolved", None, LabelCandidates(), lacking)
    reason = reason_unusable(label, wordnet)
    named = IdLookup("unresolved", reason=reason) if reason else look_up_id(label, wordnet)
    if named is not None:
        return _Meaning(named.how, named.node, LabelCandidates(), named.reason)
    reading = read_label_in_folder(label, shared, wordnet)
    return _Meaning("unresolved", None, replace(reading, superclass=(beside,) if beside else ()))


def _certain(index: int, label: str, meaning: _Meaning, wordnet: WordNet) -> Resolution:
    names = wordnet.taxonomy.names
    synset = None if meaning.node is None else names[meaning.node]
    others = tuple(names[one.node] for one in meaning.reading.candidates) or ((synset,) if synset else ())
    confidence = None if synset is None else 1.0
    return Resolution(index, label, synset, None, None, meaning.how, confidence, others, (), meaning.reason)


def _chosen(labels: Sequence[str], meanings: Sequence[_Meaning], wordnet: WordNet) -> Iterator[Resolution]:
    """Yield the resolutions, senses chosen where they are open; what is certain speaks for them as well."""
    readings = [one.reading if one.is_open else _fixed(one, wordnet) for one in meanings]
    weights = scoring.load_weights(wordnet.part)
    field = candidate_table(labels, readings, wordnet)
    choices = scoring.select_senses(field, labels, readings, weights)
    why = explain_choices(field, labels, readings, choices, weights)
    unknown = [index for index, one in enumerate(meanings) if one.is_open and not one.reading.candidates]
    is_strange = len(unknown) >= FOREIGN_LIST_SHARE * len(labels)
    hints = {index: _nearest(labels[index], wordnet) for index in unknown[:MAX_SUGGESTIONS]}
    proposed = _proposed(labels, readings, hints, wordnet)
    starts = field.label.searchsorted(range(field.count))
    for index, (label, meaning) in enumerate(zip(labels, meanings, strict=True)):
        if not meaning.is_open:
            yield _certain(index, label, meaning, wordnet)
        elif not meaning.reading.candidates:
            yield _unknown(index, label, hints.get(index, ()), proposed.get(index, ()), wordnet)
        else:
            choice, order = choices[index], choices[index].candidates
            names = tuple(wordnet.taxonomy.names[int(field.node[row])] for row in order)
            how = _how(meaning.reading.candidates[int(order[0] - starts[index])], meaning.reading, wordnet)
            scores = tuple(round(float(chance), 4) for chance in choice.chances)
            confidence, reason = round(choice.confidence, 4), why[index]
            if is_strange:
                reason += f"; {len(unknown)} of the {len(labels)} labels are unknown to {wordnet.title}:"
                reason += " this one may be a name, too"
                confidence = min(confidence, scoring.MAX_UNCERTAIN_CONFIDENCE)
            yield Resolution(index, label, names[0], None, None, how, confidence, names, scores, reason)


def _fixed(meaning: _Meaning, wordnet: WordNet) -> LabelCandidates:
    return LabelCandidates() if meaning.node is None else LabelCandidates((candidate_of(meaning.node, wordnet),))


def _how(one: Candidate, reading: LabelCandidates, wordnet: WordNet) -> str:
    if one.how in (HEAD, SPELLED):
        return f"head {wordnet.part}" if one.how == HEAD else "spelling"
    if one.names > 1:
        return "synonyms"
    return "only sense" if len(reading.candidates) == 1 else "chosen sense"


def _nearest(label: str, wordnet: WordNet) -> tuple[str, ...]:
    """Return the lemmas spelled almost like a label, else like the last of its words: the head of a compound."""
    words = normalize_label(label.split(",")[0]).lower().replace("-", " ").replace("_", " ").split()
    whole = lexicon.nearest_lemmas("_".join(words), words=wordnet.words)
    return whole or (lexicon.nearest_lemmas(words[-1], words=wordnet.words) if len(words) > 1 else ())


def _proposed(
    labels: Sequence[str], readings: Sequence[LabelCandidates], hints: Mapping[int, Sequence[str]], wordnet: WordNet
) -> dict[int, tuple[str, ...]]:
    """Return for labels with nearest spellings the synsets of these, the likeliest in this list first."""
    if not any(hints.values()):
        return {}
    filled = list(readings)
    for index, words in hints.items():
        filled[index] = LabelCandidates(find_candidates(words[0], wordnet) if words else ())
    field = candidate_table(labels, filled, wordnet)
    choices = scoring.select_senses(field, labels, filled, scoring.load_weights(wordnet.part))
    names = wordnet.taxonomy.names
    return {index: tuple(names[int(field.node[row])] for row in choices[index].candidates) for index in hints}


def _unknown(index: int, label: str, hints: Sequence[str], proposed: tuple[str, ...], wordnet: WordNet) -> Resolution:
    reason = f"{quote_label(label)} is no {wordnet.part} in {wordnet.title}"
    if proposed:
        reason += f"; nearest: {', '.join(hints)}; did you mean {proposed[0]}?"
    else:
        reason += f"; expected {expected_label(wordnet)}"
    return Resolution(index, label, None, None, None, "unresolved", None, proposed, (), reason)


def _described(resolutions: Iterator[Resolution] | Sequence[Resolution], wordnet: WordNet) -> list[Resolution]:
    """Return resolutions with the ids and definitions of their synsets."""
    graph = wordnet.taxonomy
    rows = list(resolutions)
    nodes = [node for one in rows if one.synset is not None and (node := graph.node(one.synset)) is not None]
    glosses = iter(zip(nodes, wordnet.definitions(nodes), strict=True))
    described = []
    for one in rows:
        node, gloss = next(glosses) if one.synset is not None else (None, None)
        described.append(replace(one, wnid=None if node is None else graph.wnid(node), definition=gloss))
    return described
