"""Match the data's classes with the classifier's by their names, never by guessing.

A class is matched by the first rule that leaves exactly one candidate on both sides. The rules compare the exact names, their
letters and digits (``T-shirt-top`` is ``T-shirt/top``), their WordNet ids, and their synonyms (``tench, Tinca tinca``; also
``0 - zero``). Matched classes are not candidates for later rules. If all names of the data are numbers, and some are not names of
the classifier, they are the classifier's class numbers.
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
"""A function that returns the keys of a class from its name and WordNet id."""


def _exact(name: str, wnid: str | None) -> Iterable[Hashable]:  # noqa: ARG001
    return [name]


def _bare(name: str, wnid: str | None = None) -> list[str]:  # noqa: ARG001
    bare = "".join(character for character in name.casefold() if character.isalnum())
    return [bare] if bare else []


def _wordnet(name: str, wnid: str | None) -> Iterable[Hashable]:
    return {text for text in (wnid, name) if text and _WNID.fullmatch(text)}


def _synonyms(name: str, wnid: str | None) -> Iterable[Hashable]:  # noqa: ARG001
    return {bare for synonym in (name, *_SYNONYMS.split(name)) for bare in _bare(synonym)}


RULES: tuple[Keys, ...] = (_exact, _bare, _wordnet, _synonyms)
"""The rules in order of priority."""


def match_classes(
    samples: Samples, classes: int, names: Sequence[str] | None, wnids: Sequence[str | None] | None
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the samples' targets as the classifier's class numbers, and warnings.

    Parameters
    ----------
    samples
        The data; ``targets`` are indices of its own classes.
    classes
        The number of classes of the classifier.
    names, wnids
        The names and ids of the classifier's classes in its order, if known.

    Returns
    -------
    targets : (N,) int64
        The class numbers in 0 to ``classes`` - 1.
    warnings : list of str
        Warnings about classes without an image, about names that are used as class numbers, and about sorted names that are used
        as the classifier's order.

    Raises
    ------
    UsageError
        A class of the data has no match or several. Or one side has no names, and the data have more classes than the
        classifier, or names for fewer.
    """
    if samples.names is None or names is None:
        return _match_by_number(samples, classes)
    if samples.names == tuple(names):  # equal lists match even if a name is repeated
        return samples.targets, _warn_without_image(samples, samples.targets, names)
    match = _match_by_name(samples.names, samples.wnids, names, wnids)
    warnings = []
    if None in match and all(_is_number(name) for name in samples.names):
        match = _match_numbers(samples.names, classes)
        warnings.append(f"the class names of {samples.source} are numbers: taken as the classifier's class numbers, from 0")
    _require_all(samples, names, match)
    targets = np.array(match, dtype=np.int64)[samples.targets]
    return targets, warnings + _warn_without_image(samples, targets, names)


def _match_by_name(
    data: Sequence[str], data_ids: Sequence[str | None] | None, names: Sequence[str], ids: Sequence[str | None] | None
) -> list[int | None]:
    """Return the classifier's class for each class of the data; None if no rule leaves exactly one candidate."""
    data_ids, ids = data_ids or [None] * len(data), ids or [None] * len(names)
    match: list[int | None] = [None] * len(data)
    for keys in RULES:
        data_keys = {index: set(keys(data[index], data_ids[index])) for index in _unmatched(match)}
        unused = set(range(len(names))) - set(match)
        classifier_keys = {index: set(keys(names[index], ids[index])) for index in unused}
        # Match the classes that share a key only with each other.
        forward, backward = _candidates(data_keys, classifier_keys), _candidates(classifier_keys, data_keys)
        for index, candidates in forward.items():
            if len(candidates) == 1:
                (candidate,) = candidates
                if len(backward[candidate]) == 1:
                    match[index] = candidate
    return match


def _candidates(classes: dict[int, set[Hashable]], others: dict[int, set[Hashable]]) -> dict[int, set[int]]:
    """Return for each class the other classes with a common key."""
    by_key = defaultdict(set)
    for index, keys in others.items():
        for key in keys:
            by_key[key].add(index)
    return {index: {other for key in keys for other in by_key.get(key, ())} for index, keys in classes.items()}


def _match_numbers(data: Sequence[str], classes: int) -> list[int | None]:
    """Return names as class numbers; None for numbers that are too high or repeated (``1`` and ``01``)."""
    numbers = [int(name) for name in data]
    return [number if number < classes and numbers.count(number) == 1 else None for number in numbers]


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _unmatched(match: Sequence[int | None]) -> list[int]:
    return [index for index, candidate in enumerate(match) if candidate is None]


def _require_all(samples: Samples, names: Sequence[str], match: Sequence[int | None]) -> None:
    assert samples.names is not None
    missing = [samples.names[index] for index in _unmatched(match)]
    if missing:
        unused = [names[index] for index in sorted(set(range(len(names))) - set(match))]
        hint = f"labels without data are {_shorten(unused)}" if unused else "all labels have data"
        raise UsageError(
            f"{samples.source}: expected a label of the classifier for each class, found none, or more than one, for "
            f"{_shorten(missing)}; {hint}; give --labels with the data's class names in the classifier's order",
            code="unmatched-classes",
            classes=missing,
            unused=unused,
        )


def _warn_without_image(samples: Samples, targets: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    empty = np.flatnonzero(np.bincount(targets, minlength=len(names)) == 0)
    if not len(empty):
        return []
    listed = _shorten([names[number] for number in empty.tolist()])
    return [f"{len(empty):,} of the {len(names):,} classes {_have(len(empty))} no image in {samples.source}: {listed}"]


def _match_by_number(samples: Samples, classes: int) -> tuple[NDArray[np.int64], list[str]]:
    """Return the targets unchanged, because one side has no names."""
    data_classes = samples.classes
    if data_classes > classes or (data_classes < classes and samples.names is not None):
        more, fewer = ("data", "head") if data_classes > classes else ("head", "data")
        raise UsageError(
            f"{samples.source}: expected {classes:,} classes, as the classifier has, found {data_classes:,}: "
            f"more classes in the {more} than in the {fewer}; "
            "use the data it was trained on, or give --labels with the data's class names in the classifier's order",
            code="class-count",
            classes=classes,
            found=data_classes,
        )
    warnings = _warn_about_order(samples)
    if samples.names is not None:
        return samples.targets, warnings + _warn_without_image(samples, samples.targets, samples.names)
    empty = np.flatnonzero(np.bincount(samples.targets, minlength=classes) == 0)
    if len(empty):
        numbers = ", ".join(map(str, empty[:_LISTED])) + (", ..." if len(empty) > _LISTED else "")
        warnings.append(
            f"{len(empty):,} of the {classes:,} classes {_have(len(empty))} no image in {samples.source}: numbers {numbers}"
        )
    return samples.targets, warnings


def _warn_about_order(samples: Samples) -> list[str]:
    """Return a warning if sorted names are used as the classifier's order, or numbers are sorted as text (10 before 2)."""
    names = samples.names or ()
    if not all(_is_number(name) for name in names):
        if not samples.is_sorted:
            return []
        order = "the class names are those of the data, in sorted order: taken as the classifier's order"
        return [f"{order}; give --labels if it is another"]
    if [int(name) for name in names] == sorted(map(int, names)):
        return []
    return [
        f"the class names of {samples.source} are numbers in alphabetical order ({', '.join(names[:3])}, ...): used in this "
        "order, as torchvision's ImageFolder does; give --labels with them in the classifier's order if that is another"
    ]


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
