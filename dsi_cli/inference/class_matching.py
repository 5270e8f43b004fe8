"""The data's classes -> the classifier's, by what both are called; never by guess.

A class is matched by the first rule that leaves one candidate on either side: the name as it is; its letters and digits alone
(``T-shirt-top`` is ``T-shirt/top``); its WordNet id; one of its synonyms (``tench, Tinca tinca``; also ``0 - zero``). What was
matched by one rule is no candidate for the next. Where all the data's names are numbers and not all are names of the
classifier too, they are the classifier's class numbers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.inference.dataset import Samples

_SYNONYMS = re.compile(r"\s*,\s*|\s+-\s+")
_WNID = re.compile(r"n\d{8}")
_LISTED = 3

Keys = Callable[[str, str | None], Iterable[Hashable]]
"""A class's name and WordNet id -> what it may be recognised by."""


def _exact(name: str, wnid: str | None) -> Iterable[Hashable]:  # noqa: ARG001
    return [name]


def _bare(name: str, wnid: str | None = None) -> list[str]:  # noqa: ARG001
    bare = "".join(character for character in name.casefold() if character.isalnum())
    return [bare] if bare else []


def _wordnet(name: str, wnid: str | None) -> Iterable[Hashable]:
    return {found for found in (wnid, name) if found and _WNID.fullmatch(found)}


def _synonyms(name: str, wnid: str | None) -> Iterable[Hashable]:  # noqa: ARG001
    return {bare for synonym in (name, *_SYNONYMS.split(name)) for bare in _bare(synonym)}


RULES: tuple[Keys, ...] = (_exact, _bare, _wordnet, _synonyms)
"""In this order."""


def match_classes(
    samples: Samples, classes: int, names: Sequence[str] | None, wnids: Sequence[str | None] | None
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the samples' targets as the classifier's class numbers, and what a person should know about them.

    Parameters
    ----------
    samples
        The data; ``targets`` are positions in its own classes.
    classes
        The number of classes of the classifier.
    names, wnids
        The classifier's, in its order, where they are known.

    Returns
    -------
    targets : (N,) int64
        In 0 to ``classes`` - 1.
    warnings : list of str
        Classes without an image; names that are numbers and were taken for class numbers; names in an order that is no more
        than sorted, where the classifier has none.

    Raises
    ------
    UsageError
        A class of the data has no match, or several; or, where one side has no names, the data have more classes than
        the classifier, or names for fewer.
    """
    if samples.names is None or names is None:
        return _by_number(samples, classes)
    if samples.names == tuple(names):  # names that come twice are matched as well
        return samples.targets, _without_image(samples, samples.targets, names)
    match = _match(samples.names, samples.wnids, names, wnids)
    warnings = []
    if None in match and all(_is_number(name) for name in samples.names):
        match = _numbers(samples.names, classes)
        warnings.append(f"the class names of {samples.source} are numbers: taken as the classifier's class numbers, from 0")
    _require_all(samples, names, match)
    targets = np.array(match, dtype=np.int64)[samples.targets]
    return targets, warnings + _without_image(samples, targets, names)


def _match(
    data: Sequence[str], data_ids: Sequence[str | None] | None, names: Sequence[str], ids: Sequence[str | None] | None
) -> list[int | None]:
    """Return the classifier's class for each of the data's; None where no rule leaves exactly one."""
    match: list[int | None] = [None] * len(data)
    for keys in RULES:
        ours = {number: set(keys(data[number], data_ids[number] if data_ids else None)) for number in _unmatched(match)}
        theirs = {
            number: set(keys(names[number], ids[number] if ids else None)) for number in set(range(len(names))) - set(match)
        }
        for number, found in _pairs(ours, theirs):
            match[number] = found
    return match


def _pairs(ours: dict[int, set[Hashable]], theirs: dict[int, set[Hashable]]) -> Iterable[tuple[int, int]]:
    """Yield the classes that share a key with each other and with no one else."""
    forward, backward = _candidates(ours, theirs), _candidates(theirs, ours)
    for number, found in forward.items():
        if len(found) == 1 and len(backward[next(iter(found))]) == 1:
            yield number, next(iter(found))


def _candidates(ours: dict[int, set[Hashable]], theirs: dict[int, set[Hashable]]) -> dict[int, set[int]]:
    holders = defaultdict(set)
    for number, keys in theirs.items():
        for key in keys:
            holders[key].add(number)
    return {number: {holder for key in keys for holder in holders.get(key, ())} for number, keys in ours.items()}


def _numbers(data: Sequence[str], classes: int) -> list[int | None]:
    """Return names as numbers; None where one is too high or comes twice (``1`` and ``01``)."""
    numbers = [int(name) for name in data]
    return [number if number < classes and numbers.count(number) == 1 else None for number in numbers]


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _unmatched(match: Sequence[int | None]) -> list[int]:
    return [number for number, found in enumerate(match) if found is None]


def _require_all(samples: Samples, names: Sequence[str], match: Sequence[int | None]) -> None:
    assert samples.names is not None
    missing = _unmatched(match)
    if missing:
        free = sorted(set(range(len(names))) - set(match))
        what = (
            f"labels without data are {_listed([names[number] for number in free])}"
            if free
            else "no label is left for them"
        )
        raise UsageError(
            f"{samples.source}: expected a label of the classifier for each class, found none, or more than one, for "
            f"{_listed([samples.names[number] for number in missing])}; {what}; give --labels with the data's class names in the "
            "classifier's order"
        )


def _without_image(samples: Samples, targets: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    empty = np.flatnonzero(np.bincount(targets, minlength=len(names)) == 0)
    if not len(empty):
        return []
    listed = _listed([names[number] for number in empty.tolist()])
    return [f"{len(empty):,} of the {len(names):,} classes {_have(len(empty))} no image in {samples.source}: {listed}"]


def _by_number(samples: Samples, classes: int) -> tuple[NDArray[np.int64], list[str]]:
    """Return the targets as they are: one side has no names."""
    found = samples.classes
    if found > classes or (found < classes and samples.names is not None):
        what = (
            "more classes in the data than in the head" if found > classes else "more classes in the head than in the data"
        )
        raise UsageError(
            f"{samples.source}: expected {classes:,} classes, as the classifier has, found {found:,}: {what}; "
            "use the data it was trained on, or give --labels with the data's class names in the classifier's order"
        )
    warnings = _order_warning(samples)
    if samples.names is not None:
        return samples.targets, warnings + _without_image(samples, samples.targets, samples.names)
    empty = np.flatnonzero(np.bincount(samples.targets, minlength=classes) == 0)
    if len(empty):
        numbers = ", ".join(map(str, empty[:_LISTED])) + (", ..." if len(empty) > _LISTED else "")
        warnings.append(
            f"{len(empty):,} of the {classes:,} classes {_have(len(empty))} no image in {samples.source}: numbers {numbers}"
        )
    return samples.targets, warnings


def _order_warning(samples: Samples) -> list[str]:
    """Return a warning where the order of the names is no one's, above all where it sorts numbers as text: ``10`` before ``2``."""
    names = samples.names or ()
    if not all(_is_number(name) for name in names):
        told = "the class names are those of the data, in sorted order: taken as the classifier's order; give --labels if it is"
        return [f"{told} another"] if samples.is_sorted else []
    if [int(name) for name in names] == sorted(map(int, names)):
        return []
    return [
        f"the class names of {samples.source} are numbers in spelling's order ({', '.join(names[:3])}, ...): so taken, as "
        "torchvision's ImageFolder does; give --labels with them in the classifier's order if that is another"
    ]


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
