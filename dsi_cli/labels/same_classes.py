"""Whether two lists are the same classes: by names, whatever their spelling and order, or by WordNet ids.

A name's *key* is its letters and digits alone, without accents and case: ``T-shirt/top`` and ``t shirt top`` have the same.
Marks that all names of a list bear in front (``001.``, ``n01440764_``, Places365's ``/a/``) belong to none of them. Every
class must be matched, each once: one name that is not known, or one class too many, and the lists are not the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence

from dsi_cli.labels.label_list import LabelList

MARKS = (re.compile(r"[nv]\d{8}[\s_-]+"), re.compile(r"\d+[\s._:-]+"), re.compile(r"/[a-z]/"))
"""What may stand before names, if it stands before each."""

_ID = re.compile(r"[nv]\d{8}")

Variants = Mapping[str, Sequence[str]]
"""A class's name to other names in use for it."""


def match_order(
    names: Sequence[str], wnids: Sequence[str | None] | None, known: LabelList, variants: Variants
) -> tuple[int, ...] | None:
    """Return for each class its place in a known list of as many classes; None where the lists are not the same.

    Parameters
    ----------
    names
        Names, or WordNet ids.
    wnids
        Ids beside the names. Where the names are the known list's, ids that differ from its own mean another list.
    known
        The list that it may be.
    variants
        Other names of the known classes.

    Examples
    --------
    >>> pets = LabelList(("cat", "dog", "T-shirt/top"), None, "made up")
    >>> match_order(["2_Dog", "1_Cat", "3_t shirt top"], None, pets, {}), match_order(["cat", "dog", "skirt"], None, pets, {})
    ((1, 0, 2), None)
    """
    if is_ids(names):
        return _by_id(names, known.wnids)
    by_name = _by_name(without_marks(names), known.names, variants)
    if by_name is None:
        return _by_id(wnids, known.wnids)
    if wnids is None or known.wnids is None or all(a == known.wnids[k] for a, k in zip(wnids, by_name, strict=True)):
        return by_name
    return None


def match_part(names: Sequence[str], places: Sequence[Mapping[str, int]]) -> tuple[int, ...] | None:
    """Return the place of each name in a longer list; None if a name is not one class's alone, or two names are one class.

    Parameters
    ----------
    places
        Of the longer list, see `places_of`.

    Examples
    --------
    >>> match_part(["2_Dog", "1_Cat"], places_of(LabelList(("cat", "dog", "T-shirt/top"), None, "made up"), {}))
    (1, 0)
    """
    keys = [key(name) for name in without_marks(names)]
    return _each_once([next((of[one] for of in places if one in of), None) for one in keys], len(names))


def places_of(known: LabelList, variants: Variants) -> list[dict[str, int]]:
    """Return the place of each key that only one class has, from the surest way to name a class to the least sure."""
    return [_places(level) for level in _levels(known.names, variants)]


def is_ids(names: Sequence[str]) -> bool:
    """Return whether all names are WordNet ids."""
    return all(_ID.fullmatch(name) for name in names)


def ids_before(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the WordNet ids that stand before all names, as in ``n02085620-Chihuahua``; None where one has none.

    Examples
    --------
    >>> ids_before(["n02085620-Chihuahua", "n02085782-Japanese_spaniel"]), ids_before(["n02085620-Chihuahua", "cat"])
    (('n02085620', 'n02085782'), None)
    """
    return tuple(name[:9] for name in names) if names and all(MARKS[0].match(name) for name in names) else None


def without_marks(names: Sequence[str]) -> Sequence[str]:
    """Return names without the mark that stands before each of them."""
    for mark in MARKS:
        ends = [found.end() for name in names if (found := mark.match(name))]
        if len(ends) == len(names):
            return [name[end:] for name, end in zip(names, ends, strict=True)]
    return names


def key(name: str) -> str:
    """Return a name's letters and digits alone, without accents and case; the name itself where it has none.

    Examples
    --------
    >>> key("Crème_brûlée"), key("?")
    ('cremebrulee', '?')
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in name.casefold() if letter.isalnum()) or name


def _by_name(names: Sequence[str], known: Sequence[str], variants: Variants) -> tuple[int, ...] | None:
    """Return the places by name: each name in its own place, else each class claimed by exactly one name."""
    keys, levels = [key(name) for name in names], _levels(known, variants)
    if all(any(one in level[place] for level in levels) for place, one in enumerate(keys)):
        return tuple(range(len(keys)))
    places = [_places(level) for level in levels]
    found = [next((of[one] for of in places if one in of), None) for one in keys]
    return _each_once(found, len(known))


def _levels(known: Sequence[str], variants: Variants) -> list[list[set[str]]]:
    """Return the keys of each class, from the surest to the least sure.

    They are the whole name, the first of its synonyms, and any of them and other names in use.
    """
    return [
        [{key(name)} for name in known],
        [{key(name.split(",")[0])} for name in known],
        [{key(other) for other in (*name.split(","), *variants.get(name, ()))} for name in known],
    ]


def _places(level: Sequence[set[str]]) -> dict[str, int]:
    """Return the place of each key that only one class has."""
    holders: dict[str, list[int]] = defaultdict(list)
    for place, keys in enumerate(level):
        for one in keys:
            holders[one].append(place)
    return {one: found[0] for one, found in holders.items() if len(found) == 1}


def _by_id(wnids: Sequence[str | None] | None, known: Sequence[str | None] | None) -> tuple[int, ...] | None:
    if wnids is None or known is None:
        return None
    place = {wnid: k for k, wnid in enumerate(known) if wnid is not None}
    return _each_once([place.get(wnid or "") for wnid in wnids], len(known))


def _each_once(places: Sequence[int | None], classes: int) -> tuple[int, ...] | None:
    found = tuple(place for place in places if place is not None)
    return found if len(found) == len(set(found)) == classes else None
