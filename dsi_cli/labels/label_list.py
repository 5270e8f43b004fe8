"""The record of a label list, and the comparison of two lists by their names or WordNet
ids.

The index of a name is the index of the class's row in the classifier. The WordNet id of
a name was chosen by the user or by the author of a preset.

Two lists are the same whatever the spelling and order of their names. The *key* of a
name has only its letters and digits, without accents and case: ``T-shirt/top`` and ``t
shirt top`` have the same key. Marks in front of all names of a list (``001.``,
``n01440764_``, Places365's ``/a/``) are ignored. Every class must be matched exactly
once.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

LEADING_MARKS = (
    re.compile(r"\A[nv]\d{8}[\s_-]+"),
    re.compile(r"\A\d{1,20}[\s._:-]+"),
    re.compile(r"\A/[a-z]/"),
)
"""Marks that are ignored if they are in front of all names."""
_ID = re.compile(r"[nv]\d{8}")
Aliases = Mapping[str, Sequence[str]]  # other names of each class
Ids = Sequence[str | None]  # the WordNet id or synset name of each class, or None


@dataclass(frozen=True)
class LabelList:
    """Class names in the classifier's order."""

    # one name per class; a name may be repeated (ImageNet-1k has two cranes)
    names: tuple[str, ...]
    # the WordNet id or synset name of each class; None if the list has no ids
    wnids: tuple[str | None, ...] | None
    source: str  # the source of the list, for messages
    preset: str | None = None  # the preset with the same classes
    # the superclass of each class; None if the list has no superclasses
    superclasses: tuple[str | None, ...] | None = None
    # the preset that contains all classes and others; the ids are then the preset's
    subset_of: str | None = None
    # True if the classes of the preset are in another order
    is_reordered: bool = field(default=False, compare=False)
    # the file of the list, if any
    path: str | None = field(default=None, compare=False)

    @property
    def description(self) -> str:
        """The source with the preset that the list equals or is a part of, for
        messages.

        >>> LabelList(("cat", "dog"), None, "classes.txt", subset_of="cifar10").description
        'classes.txt (classes of the preset cifar10)'
        """
        if self.subset_of is not None:
            return f"{self.source} (classes of the preset {self.subset_of})"
        if self.preset is None or self.source == f"the preset {self.preset}":
            return self.source
        order = " in another order" if self.is_reordered else ""
        return f"{self.source} (the preset {self.preset}{order})"

    @cached_property
    def id(self) -> str:
        """The ``labels_id`` of tables: 12 hex digits that depend only on the names and
        ids.

        >>> cats = LabelList(("cat", "dog"), None, "typed in")
        >>> cats.id, cats.id == LabelList(("cat", "dog"), None, "classes.txt").id
        ('80811080eb38', True)
        """
        # JSON preserves the boundaries of names, and escapes lone surrogates, which
        # UTF-8 lacks.
        content = json.dumps([self.names, self.wnids]).encode("ascii")
        return hashlib.sha256(content).hexdigest()[:12]

    def of_first(self, classes: int | None) -> LabelList:
        """Return the labels of the first classes, which are no preset."""
        return LabelList(
            self.names[:classes],
            self.wnids and self.wnids[:classes],
            self.source,
            superclasses=self.superclasses and self.superclasses[:classes],
            path=self.path,
        )

    @property
    def duplicates(self) -> tuple[str, ...]:
        """The names of several classes, in order and without repeats.

        >>> LabelList(("crane", "dog", "crane"), None, "typed in").duplicates
        ('crane',)
        """
        numbers = Counter(self.names)
        return tuple(name for name, number in numbers.items() if number > 1)


def match_order(
    names: Sequence[str], wnids: Ids | None, known: LabelList, aliases: Aliases
) -> tuple[int, ...] | None:
    """Return the index of each class in a known list of the same length; None if the
    lists are not the same.

    Parameters
    ----------
    names : names, or WordNet ids.
    wnids : ids that belong to the names, or None; if the names match but the ids
        differ, the lists are not the same.
    known : the known list.
    aliases : other names of the known classes.

    Examples
    --------
    >>> pets = LabelList(("cat", "dog", "T-shirt/top"), None, "made up")
    >>> match_order(["2_Dog", "1_Cat", "3_t shirt top"], None, pets, {})
    (1, 0, 2)
    >>> match_order(["cat", "dog", "skirt"], None, pets, {}) is None
    True
    """
    known_ids = known.names if are_ids(known.names) else known.wnids
    if are_ids(names):
        return _match_ids(names, known_ids)
    # Names in the known order may be ambiguous: ImageNet-1k has two cranes.
    if _are_in_order(names, known, aliases):
        order: tuple[int, ...] | None = tuple(range(len(names)))
    else:
        order = match_part(names, class_indices(known, aliases))
    if order is None:
        return _match_ids(wnids, known_ids)
    if wnids is None or known.wnids is None:
        return order
    expected = [known.wnids[index] for index in order]
    return order if list(wnids) == expected else None


def _are_in_order(names: Sequence[str], known: LabelList, aliases: Aliases) -> bool:
    """Return True if each name is a name of the known class of the same index."""
    levels = _key_levels(known.names, aliases)
    for index, name in enumerate(without_leading_marks(names)):
        key = name_key(name)
        if not any(key in level[index] for level in levels):
            return False
    return True


def match_part(
    names: Sequence[str], indices: Sequence[Mapping[str, int]]
) -> tuple[int, ...] | None:
    """Return the index of each name in a longer list, whose keys (`class_indices`) are
    given.

    Return None if a name is unknown or ambiguous, or two names are one class.

    >>> pets = LabelList(("cat", "dog", "T-shirt/top"), None, "made up")
    >>> match_part(["2_Dog", "1_Cat"], class_indices(pets, {}))
    (1, 0)
    """
    found: list[int | None] = []
    for name in without_leading_marks(names):
        key = name_key(name)
        matches = [level[key] for level in indices if key in level]
        found.append(matches[0] if matches else None)
    return _distinct(found)


def class_indices(known: LabelList, aliases: Aliases) -> list[dict[str, int]]:
    """Return the class of each unambiguous key, for the whole names, the first
    synonyms, and all synonyms and aliases.
    """
    indices = []
    for level in _key_levels(known.names, aliases):
        numbers = Counter(key for keys in level for key in keys)
        class_of_key = {}
        for index, keys in enumerate(level):
            for key in keys:
                if numbers[key] == 1:
                    class_of_key[key] = index
        indices.append(class_of_key)
    return indices


def are_ids(names: Sequence[str]) -> bool:
    """Return True if all names are WordNet ids."""
    return all(_ID.fullmatch(name) for name in names)


def leading_ids(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the WordNet ids in front of all names, as in ``n02085620-Chihuahua``; None
    if a name has no id.

    >>> leading_ids(["n02085620-Chihuahua", "n02085782-Japanese_spaniel"])
    ('n02085620', 'n02085782')
    """
    if not names or not all(LEADING_MARKS[0].match(name) for name in names):
        return None
    return tuple(name[:9] for name in names)


def without_leading_marks(names: Sequence[str]) -> Sequence[str]:
    """Return names without the mark that is in front of each of them."""
    for mark in LEADING_MARKS:
        if all(mark.match(name) for name in names):
            return [mark.sub("", name, count=1) for name in names]
    return names


def name_key(name: str) -> str:
    """Return only the letters and digits of a name, without accents and case; the name
    itself if it has none.

    >>> name_key("Crème_brûlée"), name_key("?")
    ('cremebrulee', '?')
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKD", name)
    letters = [letter for letter in name.casefold() if letter.isalnum()]
    return "".join(letters) or name


def _key_levels(known: Sequence[str], aliases: Aliases) -> list[list[set[str]]]:
    """Return the keys of each class, from the most to the least certain: whole name,
    first synonym, all synonyms and aliases.
    """
    whole, first, others = [], [], []
    for name in known:
        synonyms = name.split(",")
        whole.append({name_key(name)})
        first.append({name_key(synonyms[0])})
        others.append(set(map(name_key, [*synonyms, *aliases.get(name, ())])))
    return [whole, first, others]


def _match_ids(wnids: Ids | None, known: Ids | None) -> tuple[int, ...] | None:
    if wnids is None or known is None:
        return None
    classes = {wnid: index for index, wnid in enumerate(known) if wnid is not None}
    return _distinct([classes.get(wnid or "") for wnid in wnids])


def _distinct(indices: Sequence[int | None]) -> tuple[int, ...] | None:
    known = tuple(index for index in indices if index is not None)
    return known if len(set(known)) == len(indices) else None
