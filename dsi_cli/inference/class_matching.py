"""Match the data's classes with the classifier's by their names, never by guessing.

A class is matched by the first rule that leaves exactly one candidate on both sides.
The rules compare the exact names, their letters and digits (``T-shirt-top`` is
``T-shirt/top``), their WordNet ids, and their synonyms (``tench, Tinca tinca``; also
``0 - zero``). Matched classes are not candidates for later rules. If all names of the
data are numbers, and some are not names of the classifier, they are the classifier's
class numbers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, listed
from dsi_cli.facts import Fact, fact
from dsi_cli.inference.dataset import Samples

_SYNONYMS = re.compile(r",|\s-\s")
_WNID = re.compile(r"n\d{8}")
_LISTED = 3


def match_classes(
    samples: Samples,
    classes: int,
    names: Sequence[str] | None,
    wnids: Sequence[str | None] | None,
) -> tuple[NDArray[np.int64], list[Fact]]:
    """Return the samples' targets ``(N,)`` as the classifier's class numbers, and
    facts about them.

    ``names`` and ``wnids`` are those of the classifier's classes in its order, if
    known. The facts are about classes without an image, about names that are used as
    class numbers, and about sorted names that are used as the classifier's order.

    Raise `UsageError` if a class of the data has no match or several. If one side has
    no names, raise it if the data have more classes than the classifier, or names for
    fewer.
    """
    if samples.names is None or names is None:
        return _match_by_number(samples, classes)
    if samples.names == tuple(names):  # equal lists match even if a name is repeated
        return samples.targets, _without_image(samples, samples.targets, names)
    match = match_by_name(samples.names, samples.wnids, names, wnids)
    facts = []
    if None in match and all(_is_number(name) for name in samples.names):
        # Numbers that are too high or repeated (``1`` and ``01``) have no match.
        numbers = [int(name) for name in samples.names]
        match = [
            number if number < classes and numbers.count(number) == 1 else None
            for number in numbers
        ]
        is_sorted = numbers == sorted(numbers)
        code = "class-names-are-numbers" if is_sorted else "class-names-unsorted"
        first = list(samples.names[:_LISTED])
        facts.append(fact(code, data=samples.source, names=first))
    missing = [
        name
        for name, number in zip(samples.names, match, strict=True)
        if number is None
    ]
    if missing:
        unused = [name for number, name in enumerate(names) if number not in match]
        hint = "all labels have data"
        if unused:
            hint = (
                "labels without data are"
                f" {listed([repr(name) for name in unused], _LISTED, ', ...')}"
            )
        shown = listed([repr(name) for name in missing], _LISTED, ", ...")
        message = (
            f"{samples.source}: expected a label of the classifier for each class,"
            " found none, or more than one, for "
        )
        message += (
            f"{shown}; {hint}; give --labels with the data's class names in the"
            " classifier's order"
        )
        raise UsageError(
            message, code="unmatched-classes", classes=missing, unused=unused
        )
    targets = np.array(match, dtype=np.int64)[samples.targets]
    return targets, facts + _without_image(samples, targets, names)


def match_by_name(
    data: Sequence[str],
    data_ids: Sequence[str | None] | None,
    names: Sequence[str],
    ids: Sequence[str | None] | None,
) -> list[int | None]:
    """Return the classifier's class for each class of the data; None if no rule leaves
    exactly one candidate.
    """
    data_keys = list(map(_keys, data, data_ids or [None] * len(data)))
    classifier_keys = list(map(_keys, names, ids or [None] * len(names)))
    match: list[int | None] = [None] * len(data)
    # Apply one rule after another.
    for of_data, of_classifier in zip(
        zip(*data_keys, strict=True), zip(*classifier_keys, strict=True), strict=True
    ):
        unmatched = {
            index: keys for index, keys in enumerate(of_data) if match[index] is None
        }
        unused = {
            index: keys
            for index, keys in enumerate(of_classifier)
            if index not in match
        }
        # Match the classes that share a key only with each other.
        forward = _candidates(unmatched, unused)
        backward = _candidates(unused, unmatched)
        for index, candidates in forward.items():
            if len(candidates) == 1 and len(backward[min(candidates)]) == 1:
                match[index] = min(candidates)
    return match


def _keys(name: str, wnid: str | None) -> tuple[set[str], ...]:
    """Return the keys of a class by each rule, in order of priority: name, letters and
    digits, WordNet ids, synonyms.
    """
    wnids = {text for text in (wnid, name) if text and _WNID.fullmatch(text)}
    bare, *synonyms = (
        "".join(filter(str.isalnum, text.casefold()))
        for text in (name, *_SYNONYMS.split(name))
    )
    return {name}, {bare} - {""}, wnids, {bare, *synonyms} - {""}


def _candidates(
    classes: dict[int, set[str]], others: dict[int, set[str]]
) -> dict[int, set[int]]:
    """Return for each class the other classes with a common key."""
    by_key = defaultdict(set)
    for index, keys in others.items():
        for key in keys:
            by_key[key].add(index)
    return {
        index: {other for key in keys for other in by_key.get(key, ())}
        for index, keys in classes.items()
    }


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _without_image(
    samples: Samples, targets: NDArray[np.int64], names: Sequence[str] | range
) -> list[Fact]:
    """Return a fact about classes without an image; ``names`` are those of the classes,
    or their numbers.
    """
    empty = np.flatnonzero(np.bincount(targets, minlength=len(names)) == 0).tolist()
    if not empty:
        return []
    of_empty = [names[number] for number in empty]
    found = fact(
        "classes-without-image", data=samples.source, empty=of_empty, classes=len(names)
    )
    return [found]


def _match_by_number(
    samples: Samples, classes: int
) -> tuple[NDArray[np.int64], list[Fact]]:
    """Return the targets unchanged, because one side has no names."""
    data_classes = samples.classes
    if data_classes > classes or (data_classes < classes and samples.names is not None):
        more, fewer = ("data", "head") if data_classes > classes else ("head", "data")
        message = (
            f"{samples.source}: expected {classes:,} classes, as the classifier has,"
            f" found {data_classes:,}, so the "
        )
        message += (
            f"{more} has more than the {fewer}; use the data it was trained on, or give"
            " --labels with the data's "
        )
        message += "class names in the classifier's order"
        raise UsageError(
            message, code="class-count", classes=classes, found=data_classes
        )
    # Notice if sorted names are used as the classifier's order, or if numbers are sorted
    # as text (10 before 2).
    facts = []
    names = samples.names or ()
    if not all(_is_number(name) for name in names):
        if samples.is_sorted:
            facts.append(fact("class-order-sorted"))
    elif [int(name) for name in names] != sorted(map(int, names)):
        first = list(names[:_LISTED])
        facts.append(fact("class-order-as-text", data=samples.source, names=first))
    known = range(classes) if samples.names is None else samples.names
    return samples.targets, facts + _without_image(samples, samples.targets, known)
