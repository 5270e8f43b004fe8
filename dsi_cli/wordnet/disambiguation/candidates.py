"""Find the synsets that a label's text could mean, with the evidence of its form.

A label is read in steps, and the first step that finds a noun counts. The first steps
are the unchanged text (ignoring case and separators) and the text without a number.
Then follow names separated by commas, parts separated by slashes or in brackets, and
the head of a compound. For verbs, the last step looks for the verb of an action
instead. Each step looks words up by their exact form, as plurals or inflected verbs, or
else in another spelling.

The words next to the match are its *context*: a bracket, a parent folder, or the
modifier of a compound. A sense is more probable if it is a hyponym of the context, or
if its gloss mentions the context. This module does not choose among the candidates.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile

from dsi_cli.wordnet.database import lexicon
from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet

EXACT, PLURAL, SPELLED, HEAD = "exact", "plural", "spelled", "head"
"""The ways to find a word: unchanged, as a plural (or an inflected verb), in another
spelling, as the head of a compound.
"""
SPELLING_VARIANTS = (
    *(
        ("our", "or"),
        ("re", "er"),
        ("ise", "ize"),
        ("isation", "ization"),
        ("yse", "yze"),
        ("ogue", "og"),
        ("ae", "e"),
    ),
    *(
        ("oe", "e"),
        ("grey", "gray"),
        ("tyre", "tire"),
        ("plough", "plow"),
        ("ll", "l"),
        ("ier", "yer"),
        ("ce", "se"),
    ),
    *(
        ("mme", "m"),
        ("ghu", "gu"),
        ("lium", "lum"),
        ("nium", "num"),
        ("py", "pa"),
        ("mou", "mu"),
    ),
)
"""British and American spellings, tried in both directions at every position of a word
that WordNet lacks.
"""
_BOTH_WAYS = (*SPELLING_VARIANTS, *((new, old) for old, new in SPELLING_VARIANTS))
MAX_RESPELLED_LENGTH = (
    60  # the maximum number of characters of a word that is tried in other spellings
)
MAX_LABEL_LENGTH = 300  # a longer label is a description, in which no word is looked up
# the maximum number of words at the end of a compound that are looked up together
MAX_HEAD_WORDS = 5
_PREPOSITIONS = frozenset(
    ("of", "with", "in", "on", "for", "from", "at", "to", "without", "by")
)
_FILLERS = frozenset(
    (
        "a",
        "an",
        "the",
        "and",
        "or",
        "other",
        "others",
        "misc",
        "unknown",
        "class",
        "label",
        "thing",
        "things",
    )
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BETWEEN_NAMES = re.compile(r"[;|]|,(?!(?<=\b\w,)\w\b|(?<=\d,)\d)")
"""Between two names; a comma between single characters or numbers, as in N,N-dimethyl,
belongs to a formula.
"""
_PHRASE = re.compile(r"(.+?[\s_]of)([\s_]+(?:an?|the))?[\s_]+(?=\S)", re.IGNORECASE)
"""The beginning of a prompt, such as *a photo of a*."""
_LETTER_FOLDER = re.compile(r"^/?[^\W\d_]/(?=.)")
_LEADING_NUMBER = re.compile(r"^\W*\d+[\s._:;,)\]\-]++(?=.*[^\W\d_])")
_TRAILING_NUMBER = re.compile(r"(?<=[^\W\d_])[\s._:;,|(\[\-]+\d+\W*$")
_BRACKET = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")
_NEGATED = re.compile(
    r"(?:non|not|no|without|except)(?:[\s_\-]+(?:an?|the))?[\s_\-]+([^\W_].*)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Candidate:
    """A synset that a label could mean."""

    node: int
    word: str  # the lemma that was looked up
    how: str  # one of ``EXACT``, ``PLURAL``, ``SPELLED``, ``HEAD``
    rank: int  # the index of the synset in the lemma's sense order
    senses: int  # the number of senses of the lemma
    names: int = 1  # the number of the label's names that can mean the synset


def candidate_of(node: int, wordnet: WordNet) -> Candidate:
    """Return a node as a candidate under its own name."""
    name, _, _ = wordnet.taxonomy.names[node].rsplit(".", 2)
    senses = wordnet.words.senses(name)
    return Candidate(node, name, EXACT, senses.index(node), len(senses))


@lru_cache(maxsize=65536)
def find_candidates(words: str, wordnet: WordNet) -> tuple[Candidate, ...]:
    """Return the senses of words with any separators, else in another spelling; plurals
    are included.
    """
    forms = dict.fromkeys(
        (*lexicon.spellings(words), *lexicon.lemmas_with_letters(words, wordnet.words))
    )
    candidates = _first_of_each_node(
        candidate for form in forms for candidate in _senses(form, EXACT, wordnet)
    )
    respelled = (
        _senses(form, SPELLED, wordnet)
        for form in _respelled("_".join(words.lower().split()), wordnet)
    )
    return candidates or next(filter(None, respelled), ())


def _first_of_each_node(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    first: dict[int, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.node, candidate)
    return tuple(first.values())


def _senses(form: str, how: str, wordnet: WordNet) -> tuple[Candidate, ...]:
    """Return the senses of all lemmas that a form can be an inflection of."""
    lemmas = lexicon.base_forms(form, wordnet.words)
    first, separator, rest = form.partition("_")
    if wordnet.part == "verb" and separator and not lemmas:
        # In a verb of several words the first is inflected (*picking_up*).
        lemmas = [f"{base}_{rest}" for base in lexicon.base_forms(first, wordnet.words)]
    candidates: list[Candidate] = []
    for lemma in lemmas:
        how_found = PLURAL if how == EXACT and lemma != form else how
        nodes = wordnet.words.senses(lemma)
        candidates += [
            Candidate(node, lemma, how_found, rank, len(nodes))
            for rank, node in enumerate(nodes)
        ]
    return _first_of_each_node(candidates)


def _respelled(form: str, wordnet: WordNet) -> Iterator[str]:
    """Yield a form with one part in British or American spelling, or with the singular
    of a word other than the last.
    """
    if len(form) > MAX_RESPELLED_LENGTH:
        return
    for old, new in _BOTH_WAYS:
        start = form.find(old)
        while start >= 0:
            yield form[:start] + new + form[start + len(old) :]
            start = form.find(old, start + 1)
    words = form.split("_")
    for k in range(len(words) - 1):
        word = words[k].removesuffix("'s")
        for base in (word, *lexicon.base_forms(word, wordnet.words)):
            if base != words[k]:
                yield "_".join([*words[:k], base, *words[k + 1 :]])


@dataclass(frozen=True)
class LabelCandidates:
    """The candidates of a label and the words next to them; empty if no part of the
    label is a noun.

    ``context`` has the parts of a compound or path. ``descriptions`` (the label's
    bracket and shared folders) and ``superclass`` describe the whole label.
    ``excluded`` has words that a bracket negates (``pin (non-jewelry)``).
    """

    candidates: tuple[Candidate, ...] = ()
    context: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    superclass: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


NO_CANDIDATES = LabelCandidates()


def read_label(label: str, wordnet: WordNet | None = None) -> LabelCandidates:
    """Return the candidates of a label from the first step that finds any, by default
    among WordNet 3.0's nouns.

    >>> [candidate.word for candidate in read_label("Black_Footed Albatrosses").candidates]
    ['black-footed_albatross']
    >>> read_label("aquarium_fish").candidates[0].how, read_label("aquarium_fish").context
    ('head', ('aquarium', 'fish'))
    >>> read_label("N,N-dimethylformamide").candidates, {one.word for one in read_label('"dog",C').candidates} >= {"dog"}
    ((), True)
    >>> reading = read_label("RidingHorse", load_wordnet("verb"))
    >>> reading.candidates[0].word, reading.context
    ('ride', ('Horse',))
    """
    if len(label) > MAX_LABEL_LENGTH:
        return NO_CANDIDATES
    readings = _readings(normalize_label(label), wordnet or load_wordnet())
    return next((reading for reading in readings if reading.candidates), NO_CANDIDATES)


def _readings(text: str, wordnet: WordNet) -> Iterator[LabelCandidates]:
    """Yield the candidates of a label by each step, which may be none."""
    # The unchanged text, unless it is a name and its kind in a bracket: a *grape
    # (fruit)* is no grapefruit.
    outside, inside = _BRACKET.sub("", text), " ".join(_BRACKET.findall(text))
    if not (
        inside
        and _kinds_of_head(
            find_candidates(outside, wordnet), find_candidates(inside, wordnet), wordnet
        )
    ):
        yield LabelCandidates(find_candidates(text, wordnet))
    # The text without its leading and trailing number (``001.ak47``, ``0 airplane``,
    # ``crane (2)``)
    bare = _TRAILING_NUMBER.sub("", _LEADING_NUMBER.sub("", text))
    if bare and bare != text:
        yield read_label(bare, wordnet)
    # Names separated by commas or semicolons, with the number of names that share each
    # sense
    names = [name.strip() for name in _BETWEEN_NAMES.split(text)]
    if len(names) > 1:
        found = [
            candidate
            for name in names
            if name
            for candidate in find_candidates(name, wordnet)
        ]
        number = Counter(candidate.node for candidate in found)
        yield LabelCandidates(
            tuple(
                replace(one, names=number[one.node])
                for one in _first_of_each_node(found)
            )
        )
    # Parts between slashes or in brackets
    yield from _read_parts(text, wordnet)
    # The head of a compound, or the verb of an action
    words = [word for word in re.split(r"[\s_\-]+", text) if word]
    yield (
        _read_head_noun(words, wordnet)
        if wordnet.part == "noun"
        else _read_head_verb(words, wordnet)
    )


def without_common_folders(labels: Sequence[str]) -> list[str]:
    """Return labels without the folders that all of them share, if these are several:
    they state where the data are.

    Also remove folders that sort all labels by their first letters, as in Places365.

    >>> without_common_folders(["/data/train/cat", "/data/train/dog", "/data/train/crane"])
    ['cat', 'dog', 'crane']
    >>> without_common_folders(["/a/alley", "/c/church/indoor", "/c/church/outdoor"])
    ['alley', 'church/indoor', 'church/outdoor']
    """
    if all(map(_LETTER_FOLDER.match, labels)):
        labels = [_LETTER_FOLDER.sub("", label) for label in labels]
    paths = [re.split(r"[/\\]", label) for label in labels]
    folders = zip(*(path[:-1] for path in paths), strict=False)
    common = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, folders))
    return (
        ["/".join(path[common:]) for path in paths]
        if common > 1 and len(labels) > 2
        else list(labels)
    )


def without_common_phrase(labels: Sequence[str]) -> list[str]:
    """Return labels without a beginning such as *a photo of a* if all of several labels
    have it, because it distinguishes none.

    >>> without_common_phrase(["a photo of a cat", "a photo of an owl", "A photo of mice"])
    ['cat', 'owl', 'mice']
    >>> without_common_phrase(["king of hearts", "king of spades", "king of clubs"])
    ['king of hearts', 'king of spades', 'king of clubs']
    """
    phrases = [match for label in labels if (match := _PHRASE.match(label))]
    is_common = (
        len(phrases) == len(labels) > 2
        and len({match[1].casefold() for match in phrases}) == 1
    )
    has_article = any(match[2] for match in phrases)
    return (
        [match.string[match.end() :] for match in phrases]
        if is_common and has_article
        else list(labels)
    )


def shared_folders(labels: Sequence[str]) -> tuple[frozenset[str], bool]:
    """Return the first parts of paths that several labels share (``animals``), and
    whether most labels are paths.

    >>> shared_folders(["animals/seal", "animals/crane"]), shared_folders(["church/indoor", "church/outdoor", "cave", "den"])
    ((frozenset({'animals'}), True), (frozenset({'church'}), False))
    """
    parts = [
        label.partition("/")[0].strip().lower()
        for label in labels
        if "/" in label.strip("/ ")
    ]
    return frozenset(
        part for part, count in Counter(parts).items() if count > 1
    ), 2 * len(parts) > len(labels)


def read_label_in_folder(
    label: str, folders: frozenset[str], wordnet: WordNet, *, has_groups: bool
) -> LabelCandidates:
    """Return the candidates of a label; a folder that other labels share is a
    description, not a name.

    If most labels are no paths, or the rest is no noun, the label is a compound instead
    (``church/indoor``, ``stadium/baseball``).
    """
    folder, _, rest = label.partition("/")
    if not rest or folder.strip().lower() not in folders:
        return read_label(label, wordnet)
    reading = read_label_in_folder(rest, folders, wordnet, has_groups=True)
    if has_groups and reading.candidates:
        return replace(reading, descriptions=(*reading.descriptions, folder.strip()))
    reading = read_label(label, wordnet)
    return replace(
        reading,
        candidates=tuple(
            replace(candidate, how=HEAD) for candidate in reading.candidates
        ),
    )


def normalize_label(label: str) -> str:
    """Return a label on one line with plain spaces, and with words in camel case
    separated.
    """
    text = " ".join(unicodedata.normalize("NFKC", label).split())
    return text if "." in text else _CAMEL.sub(" ", text)


def _read_parts(text: str, wordnet: WordNet) -> Iterator[LabelCandidates]:
    """Yield the senses of a text with a bracket, or of the parts between slashes; all
    other words are context.
    """
    inside = [word.strip() for word in _BRACKET.findall(text)]
    outside = " ".join(_BRACKET.sub(" ", text).split())
    # A negated bracket excludes senses.
    excluded = tuple(
        negated[1] for word in inside if (negated := _NEGATED.fullmatch(word))
    )
    if excluded and outside:
        other_brackets = " ".join(
            f"({word})" for word in inside if not _NEGATED.fullmatch(word)
        )
        yield replace(
            read_label(f"{outside} {other_brackets}".strip(), wordnet),
            excluded=excluded,
        )
    # Read the text outside the brackets, else the text in a bracket.
    elif inside:
        for words, descriptions in (
            (outside, inside),
            *((word, [outside]) for word in inside),
        ):
            if words and words != text:
                reading = read_label(words, wordnet)
                yield replace(
                    reading, descriptions=(*reading.descriptions, *descriptions)
                )
    else:
        yield _read_path(text, wordnet)


def _read_path(text: str, wordnet: WordNet) -> LabelCandidates:
    pieces = [
        piece for part in re.split(r"[/\\>]", text) if len(piece := part.strip()) > 1
    ]
    if pieces == [text]:
        return LabelCandidates()
    if len(pieces) < 2 and pieces != [text.strip("/ ")]:
        return read_label(pieces[0], wordnet) if pieces else LabelCandidates()
    # Prefer the parts that cannot mean a hypernym of another part (vehicle/car is a
    # car). The hypernyms of a part are without its own nodes, so each part can be
    # compared with the hypernyms of all parts.
    parts = [read_label(piece, wordnet).candidates for piece in pieces]
    nodes = [{candidate.node for candidate in part} for part in parts]
    hypernyms: set[int] = set()
    for part_nodes in nodes:
        hypernyms |= {
            other
            for node in part_nodes
            for other in hypernym_closure(wordnet.taxonomy, node)
        } - part_nodes
    specific = [
        part
        for part, part_nodes in zip(parts, nodes, strict=True)
        if not part_nodes & hypernyms
    ]
    return LabelCandidates(next(filter(None, (*specific, *parts)), ()), tuple(pieces))


def _read_head_noun(words: list[str], wordnet: WordNet) -> LabelCandidates:
    """Return the senses of a compound's head, and of its modifier if that is a kind of
    the head (a trout fish is a trout).
    """
    # The head is the longest suffix that is a noun. It ends before a preposition (a cup
    # of coffee is a cup).
    cut = next(
        (k for k, word in enumerate(words) if k and word.lower() in _PREPOSITIONS),
        len(words),
    )
    before, after = (
        words[:cut],
        tuple(word for word in words[cut + 1 :] if word.lower() not in _FILLERS),
    )
    first = 0 if after else 1
    for start in range(max(first, len(before) - MAX_HEAD_WORDS), len(before)):
        if before[start].lower() in _FILLERS:
            continue
        head_words, modifier = " ".join(before[start:]), tuple(before[:start])
        head = find_candidates(head_words, wordnet)
        if head:
            kinds = (
                _kinds_of_head(
                    find_candidates(" ".join(modifier), wordnet), head, wordnet
                )
                if modifier
                else ()
            )
            candidates = tuple(
                replace(candidate, how=HEAD) for candidate in (*kinds, *head)
            )
            return LabelCandidates(candidates, (*modifier, head_words, *after))
    return LabelCandidates()


def _kinds_of_head(
    modifier: tuple[Candidate, ...], head: tuple[Candidate, ...], wordnet: WordNet
) -> tuple[Candidate, ...]:
    """Return the senses of a modifier that are physical entities below a sense of the
    head, so both names can mean them.
    """
    head_nodes, entity = (
        {candidate.node for candidate in head},
        wordnet.taxonomy.node("physical_entity.n.01"),
    )
    hypernyms = {
        one: hypernym_closure(wordnet.taxonomy, one.node) - {one.node}
        for one in modifier
    }
    return tuple(
        replace(one, names=2)
        for one, above in hypernyms.items()
        if entity in above and head_nodes & above
    )


def _read_head_verb(words: list[str], wordnet: WordNet) -> LabelCandidates:
    """Return the senses of the verb of an action: its first gerund, else its first
    word, else its last word that is a verb.
    """
    # *Horse riding* is a riding, *brush hair* a brushing, *baseball pitch* a pitching.
    # The verb includes the following words if WordNet has them together (*picking up*);
    # all other words are context.
    ignored = _PREPOSITIONS | _FILLERS
    gerunds = [k for k, word in enumerate(words) if word.lower().endswith("ing")]
    for start in dict.fromkeys([*gerunds, 0, *range(len(words) - 1, 0, -1)]):
        for end in range(min(len(words), start + MAX_HEAD_WORDS), start, -1):
            verb = (
                ()
                if words[start].lower() in ignored
                else find_candidates(" ".join(words[start:end]), wordnet)
            )
            if verb:
                context = [
                    word
                    for word in (*words[:start], *words[end:])
                    if word.lower() not in ignored
                ]
                return LabelCandidates(
                    tuple(replace(candidate, how=HEAD) for candidate in verb),
                    tuple(context),
                )
    return LabelCandidates()
