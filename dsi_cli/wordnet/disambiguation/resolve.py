"""Find the synset that each label of a list means, with a confidence.

A label is a WordNet id (``n02084071``), a synset name (``dog.n.01``) or words (``dog``,
``T-shirt/top``, ``tench, Tinca tinca``, ``001.Black_footed_Albatross``). Labels are
looked up among the nouns of WordNet 3.0 unless another `WordNet` is given. The user's
own mapping comes first, then an id given next to the label, then the label's words. The
candidates of words come from `dsi_cli.wordnet.disambiguation.candidates`;
`dsi_cli.wordnet.disambiguation.scoring` chooses among them for the whole list at once.
Each result has a confidence, the reason for the choice and all other candidates. A
label without a synset is ``unresolved``, with the reason; similarly spelled words are
suggested but never used. Placeholders such as ``class_7`` are not looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dsi_cli.errors import UsageError, quoted
from dsi_cli.store.schema import UNCERTAIN
from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet
from dsi_cli.wordnet.disambiguation import scoring
from dsi_cli.wordnet.disambiguation.candidates import (
    HEAD,
    SPELLED,
    Candidate,
    LabelCandidates,
    candidate_of,
    find_candidates,
    normalize_label,
    read_label,
    read_label_in_folder,
    shared_folders,
    without_common_folders,
    without_common_phrase,
)
from dsi_cli.wordnet.disambiguation.features import candidate_table
from dsi_cli.wordnet.disambiguation.identifiers import (
    Meaning,
    expected_label,
    look_up_id,
    placeholders,
    reason_unusable,
)

RESOLVED_BY = (
    *(
        "wnid",
        "synset",
        "preset",
        "map",
        "synonyms",
        "only sense",
        "chosen sense",
        "spelling",
    ),
    *("head noun", "head verb", "unresolved", "placeholder"),
)
"""The method by which a label was resolved; the first four are certain, the last two
mark labels without a synset.
"""
CERTAIN, PLACEHOLDER = RESOLVED_BY[:4], RESOLVED_BY[-1]
# the maximum number of unresolved labels with similar spellings, which take about 20 ms
# each
MAX_SUGGESTIONS = 50
FOREIGN_SHARE, FOREIGN_SHARE_OF_FEW, FEW_LABELS = 0.25, 0.5, 3
"""The share of unknown labels from which a list is foreign, also if fewer than three
labels are unknown. See `is_foreign`.
"""
# the maximum number of letters of a label that may be a code, such as that of a
# language
MAX_CODE_LENGTH = 3
MAX_PRESET_LABELS_READ = 4096
"""The maximum length of a preset for which the other meanings of labels are looked up,
because this takes most of the time.
"""


@dataclass(frozen=True)
class Resolution:
    """The synset of one label.

    ``candidates`` are all synsets of the label's words, the chosen one first, then by
    decreasing probability. For an id, they are in sense order, or only the synset
    itself. For a misspelled label, they are the synsets of the nearest word.
    """

    index: int  # the index of the label in the list
    label: str
    # the name of the synset; like id and gloss, None if the label is unresolved
    synset: str | None = None
    wnid: str | None = None
    definition: str | None = None
    resolved_by: str = "unresolved"  # one of ``RESOLVED_BY``
    confidence: float | None = None
    """The probability in [0, 1] that this is the synset; 1.0 for those of ``CERTAIN``,
    None if unresolved.
    """
    candidates: tuple[str, ...] = ()
    scores: tuple[
        float, ...
    ] = ()  # the probabilities of the candidates; empty if there was no choice
    reason: str | None = None
    """The reason for this sense, or why the label is unresolved and what to do. None
    for ids.
    """

    @property
    def is_uncertain(self) -> bool:
        """True if the user should check the label: it is unresolved, or its confidence
        is less than ``UNCERTAIN``.
        """
        if self.resolved_by in CERTAIN:
            return False
        return self.confidence is None or self.confidence < UNCERTAIN


def resolve(
    labels: Sequence[str],
    wnids: Sequence[str | None] | None = None,
    preset: str | None = None,
    chosen: Mapping[int, str] | None = None,
    superclasses: Sequence[str | None] | None = None,
    wordnet: WordNet | None = None,
) -> list[Resolution]:
    """Return the synset of each label, one resolution per label in the same order.

    Raise `UsageError` if the numbers of ids and labels differ.

    Parameters
    ----------
    labels : WordNet ids, synset names or words, in any mixture.
    wnids : an id or synset name for each label, which has priority over the label, or
        None.
    preset : the name of the preset that the ids come from, if any. Then these labels
        are ``resolved_by`` ``preset``, and labels without an id stay unresolved.
    chosen : the user's choice for some labels by index: an id or a synset name, or an
        empty text to leave the label out.
    superclasses : the superclass of each label, or None. It is evidence for a sense,
        stronger than a parent folder.
    wordnet : the WordNet to look labels up in, by default WordNet 3.0's nouns.

    Examples
    --------
    >>> crane, _, unknown = resolve(["cranes", "heron", "n99999999"])
    >>> crane.synset, crane.wnid, crane.resolved_by, crane.candidates[:2]
    ('crane.n.05', 'n02012849', 'chosen sense', ('crane.n.05', 'crane.n.04'))
    >>> unknown.resolved_by, unknown.reason
    ('unresolved', "'n99999999' is not in WordNet 3.0; it may be from another version of WordNet, whose ids differ")
    >>> [row.synset for row in resolve(["crane", "excavator", "forklift", "dump truck", "pulley"])][0]
    'crane.n.04'
    >>> [row.synset for row in resolve(["ride_horse", "swimming", "ran"], wordnet=load_wordnet("verb"))]
    ['ride.v.01', 'swim.v.01', 'run.v.01']
    """
    wordnet = wordnet or load_wordnet()
    if wnids is not None and len(wnids) != len(labels):
        message = (
            f"expected an id (or none) for each of {len(labels)} labels, found"
            f" {len(wnids)} ids"
        )
        raise UsageError(message, code="id-count", labels=len(labels), ids=len(wnids))
    names = without_common_phrase(without_common_folders(labels))
    folders, nameless = shared_folders(names), placeholders(names)
    reads_words = preset is None or len(labels) <= MAX_PRESET_LABELS_READ
    meanings = []
    for index, (label, wnid) in enumerate(
        zip(names, wnids or [None] * len(labels), strict=True)
    ):
        if chosen is not None and index in chosen:
            meaning = Meaning("map", reason="left out by the mapping")
            if chosen[index].strip():
                meaning = _by_wnid(label, chosen[index], None, wordnet)
                meaning = replace(
                    meaning, how="map" if meaning.node is not None else "unresolved"
                )
        elif wnid and wnid.strip():
            meaning = _by_wnid(label, wnid, preset, wordnet, reads_words=reads_words)
        elif index in nameless:
            reason = f"{quoted(label)} is a placeholder; give the real class name"
            meaning = Meaning(PLACEHOLDER, reason=reason)
        elif preset:
            # The author of the preset found no synset, so the words must not find one.
            reason = (
                f"{quoted(label)} has no synset in the preset {preset}: WordNet 3.0"
                " lacks it"
            )
            meaning = Meaning("unresolved", reason=reason)
        else:
            superclass = superclasses[index] if superclasses else None
            meaning = _by_words(label, folders, superclass, wordnet)
        meanings.append(meaning)
    if any(meaning.is_open for meaning in meanings):
        return list(_choose_senses(labels, meanings, wordnet))
    return [
        _certain(index, labels[index], meaning, wordnet)
        for index, meaning in enumerate(meanings)
    ]


def resolve_part(
    found: Sequence[Resolution], preset: str, by_words: Sequence[Resolution]
) -> list[Resolution]:
    """Return the resolutions of a small part of a preset's labels by the preset, given
    their resolutions without it.

    The names may be those of another list. So the preset's sense of a label is
    uncertain if the words certainly have another one: a *mouse* among ten animals is
    not COCO's device.
    """
    result = []
    for one, other in zip(found, by_words, strict=True):
        if (
            one.synset is None
            or one.resolved_by != "preset"
            or other.is_uncertain
            or other.synset == one.synset
        ):
            result.append(one)
            continue
        reason = (
            f"the sense in the preset {preset}, rather than {other.synset}: that one"
            " fits the other labels better"
        )
        sense = replace(
            one,
            resolved_by="chosen sense",
            confidence=scoring.MAX_UNCERTAIN_CONFIDENCE,
            reason=reason,
        )
        result.append(
            replace(
                sense, candidates=tuple(dict.fromkeys((one.synset, *other.candidates)))
            )
        )
    return result


def synonyms(found: Sequence[Resolution]) -> dict[str, list[Resolution]]:
    """Return the labels that are synonyms, by the synset that is the most probable one
    of several labels.

    Labels may share an id, or the head of a compound. Otherwise `resolve` gives the
    synset to the label that it fits best, and the next probable sense to the other.

    >>> synonyms(resolve(["car", "automobile", "dog"])).keys()
    dict_keys(['car.n.01'])
    """
    groups: dict[str, list[Resolution]] = {}
    for resolution in found:
        best = resolution.synset
        if resolution.scores:
            most = resolution.scores.index(max(resolution.scores))
            best = resolution.candidates[most]
        if best is not None and resolution.synset is not None:
            groups.setdefault(best, []).append(resolution)
    return {synset: group for synset, group in groups.items() if len(group) > 1}


def is_foreign(unknown: int, lacking: int, labels: int) -> bool:
    """Return whether a list with ``unknown`` words is probably one of names, codes, or
    words in another language.

    The same holds if most labels are ``lacking`` a synset for any reason, for example
    because they are numbers. Every chosen sense of such a list is uncertain: a *Jaguar*
    may be a car, and a *Gift* poison.
    """
    return (
        2 * lacking > labels
        or unknown
        >= (FOREIGN_SHARE_OF_FEW if unknown < FEW_LABELS else FOREIGN_SHARE) * labels
    )


def _by_wnid(
    label: str,
    wnid: str,
    preset: str | None,
    wordnet: WordNet,
    *,
    reads_words: bool = True,
) -> Meaning:
    """Return the meaning of an id next to a label; the synsets of the label's words are
    its candidates.
    """
    words = LabelCandidates()
    if (
        reads_words
        and not reason_unusable(label, wordnet)
        and not look_up_id(label, wordnet)
    ):
        words = read_label(label, wordnet)
    if any(candidate.how == HEAD for candidate in words.candidates):
        # the meaning of a part of the label is no alternative to an id
        words = LabelCandidates()
    match = look_up_id(wnid, wordnet)
    if match is None:
        reason = f"{quoted(wnid)} is not an id; expected {expected_label(wordnet)}"
        return Meaning("unresolved", reason=reason, words=words)
    return replace(
        match,
        how="preset" if preset and match.node is not None else match.how,
        words=words,
    )


def _by_words(
    label: str,
    folders: tuple[frozenset[str], bool],
    superclass: str | None,
    wordnet: WordNet,
) -> Meaning:
    """Return the meaning of a label without an id; it is open if the label has
    candidates to choose from.
    """
    reason = reason_unusable(label, wordnet)
    if reason:
        return Meaning("unresolved", reason=reason)
    match = look_up_id(label, wordnet)
    if match is not None:
        return match
    words = read_label_in_folder(label, folders[0], wordnet, has_groups=folders[1])
    # A number (of a cluster, or CIFAR-100's coarse label) is no context.
    context = (superclass,) if superclass and not superclass.isdecimal() else ()
    return Meaning("unresolved", words=replace(words, superclass=context))


def _certain(index: int, label: str, meaning: Meaning, wordnet: WordNet) -> Resolution:
    """Return the resolution of a label with a node or without any, for which there was
    no choice.
    """
    names = wordnet.taxonomy.names
    candidates = tuple(names[candidate.node] for candidate in meaning.words.candidates)
    resolution = Resolution(
        index,
        label,
        resolved_by=meaning.how,
        candidates=candidates,
        reason=meaning.reason,
    )
    if meaning.node is None:
        return resolution
    resolution = replace(
        resolution, confidence=1.0, candidates=candidates or (names[meaning.node],)
    )
    return _with_synset(resolution, meaning.node, wordnet)


def _with_synset(resolution: Resolution, node: int, wordnet: WordNet) -> Resolution:
    """Return the resolution with the name, the id and the gloss of a node."""
    taxonomy, (definition,) = wordnet.taxonomy, wordnet.definitions([node])
    return replace(
        resolution,
        synset=taxonomy.names[node],
        wnid=taxonomy.wnid(node),
        definition=definition,
    )


def _choose_senses(
    labels: Sequence[str], meanings: Sequence[Meaning], wordnet: WordNet
) -> Iterator[Resolution]:
    """Yield the resolutions of a list in which senses are open; certain synsets are
    evidence for the open ones.
    """
    readings = []
    for meaning in meanings:
        if meaning.is_open:
            readings.append(meaning.words)
        elif meaning.node is None:
            readings.append(LabelCandidates())
        else:
            readings.append(LabelCandidates((candidate_of(meaning.node, wordnet),)))
    # Choose and explain the senses of the whole list at once.
    names, weights = wordnet.taxonomy.names, scoring.load_weights(wordnet.part)
    table = candidate_table(labels, readings, wordnet)
    choices = scoring.select_senses(table, weights)
    explanations = scoring.explain_choices(table, choices, weights)
    unknown = [
        index
        for index, meaning in enumerate(meanings)
        if meaning.is_open and not meaning.words.candidates
    ]
    suggestions = {
        index: _suggest(labels[index], wordnet) for index in unknown[:MAX_SUGGESTIONS]
    }
    # In a list of codes (*fr*, *pt*), two unknown labels are enough.
    are_codes = 2 * sum(len(label) <= MAX_CODE_LENGTH for label in labels) > len(labels)
    lacking = sum(map(_lacks_synset, meanings))
    has_foreign_words = is_foreign(len(unknown), lacking, len(labels)) or (
        are_codes and len(unknown) > 1
    )
    for index, (label, meaning) in enumerate(zip(labels, meanings, strict=True)):
        if not meaning.is_open:
            yield _certain(index, label, meaning, wordnet)
        elif not meaning.words.candidates:
            lemmas, synsets = suggestions.get(index, ((), ()))
            reason = f"{quoted(label)} is no {wordnet.part} in {wordnet.title}"
            if synsets:
                reason += f"; nearest: {', '.join(lemmas)}; try {synsets[0]}"
            else:
                reason += f"; expected {expected_label(wordnet)}"
            yield Resolution(index, label, candidates=synsets, reason=reason)
        else:
            choice = choices[index]
            picked = table.senses[choice.candidates[0]]
            confidence, reason = round(choice.confidence, 4), explanations[index]
            if has_foreign_words:
                reason += (
                    f"; {lacking} of the {len(labels)} labels are unknown to"
                    f" {wordnet.title}:"
                )
                reason += " this one may be a name or a word of another language"
                confidence = min(confidence, scoring.MAX_UNCERTAIN_CONFIDENCE)
            resolution = Resolution(
                index,
                label,
                resolved_by=_resolved_by(picked, len(choice.candidates), wordnet),
                confidence=confidence,
                candidates=tuple(names[table.node[row]] for row in choice.candidates),
                scores=tuple(round(float(chance), 4) for chance in choice.chances),
                reason=reason,
            )
            yield _with_synset(resolution, picked.node, wordnet)


def _lacks_synset(meaning: Meaning) -> bool:
    """Return whether a label has no synset, unless the user left it out."""
    has_candidates = meaning.is_open and bool(meaning.words.candidates)
    return meaning.node is None and meaning.how != "map" and not has_candidates


def _suggest(label: str, wordnet: WordNet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lemmas whose spelling is similar to that of a label, if any, and the
    synsets of the first of them.
    """
    words = (
        normalize_label(label.split(",")[0])
        .lower()
        .replace("-", " ")
        .replace("_", " ")
        .split()
    )
    # The last word is the head of a compound.
    lemmas = lexicon.nearest_lemmas("_".join(words), wordnet.words)
    if not lemmas and len(words) > 1:
        lemmas = lexicon.nearest_lemmas(words[-1], wordnet.words)
    candidates = find_candidates(lemmas[0], wordnet) if lemmas else ()
    return lemmas, tuple(
        wordnet.taxonomy.names[candidate.node] for candidate in candidates
    )


def _resolved_by(picked: Candidate, candidates: int, wordnet: WordNet) -> str:
    if picked.how == HEAD:
        return f"head {wordnet.part}"
    if picked.how == SPELLED:
        return "spelling"
    if picked.names > 1:
        return "synonyms"
    return "only sense" if candidates == 1 else "chosen sense"
