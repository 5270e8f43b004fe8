"""Placeholders for class names, such as ``class_0`` to ``class_19`` or ``0`` to ``99``: no sense is chosen for them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = r"[\s_:.#-]*\d{1,9}"
_GENERIC = re.compile(
    rf"(?:class|classe|klasse|label|lbl|category|cat|cls|target|index|idx|id|no|nr){_NUMBER}", re.IGNORECASE
)
_WORDNET_ID = re.compile(r"[nvars]-?\d{8}", re.IGNORECASE)
_NUMBERED = re.compile(rf"(.*?){_NUMBER}", re.DOTALL)


def placeholders(labels: Sequence[str]) -> frozenset[int]:
    """Return the places of the labels that are placeholders.

    These are a generic word with a number (``label_7``), numbers where more than half of the labels are numbers, and all labels
    if they are three or more that differ in a number alone. WordNet's ids (``n02121620``) are names, not placeholders.

    Examples
    --------
    >>> sorted(placeholders(["cat", "label_7", "dog"])), sorted(placeholders(["0", "1", "2"]))
    ([1], [0, 1, 2])
    >>> sorted(placeholders(["7", "ace", "king"])), sorted(placeholders(["thing 1", "thing 2", "thing 3"]))
    ([], [0, 1, 2])
    """
    bare = [label.strip() for label in labels]
    if any(map(_WORDNET_ID.fullmatch, bare)):
        return frozenset(place for place, label in enumerate(bare) if _GENERIC.fullmatch(label))
    found = {place for place, label in enumerate(bare) if _GENERIC.fullmatch(label)}
    numbers = {place for place, label in enumerate(bare) if label.isascii() and label.isdigit()}
    if 2 * len(numbers) > len(bare):
        found |= numbers
    numbered = [match for label in bare if len(label) < 100 and (match := _NUMBERED.fullmatch(label))]
    if (
        len(numbered) == len(bare) > 2
        and len({match[1].casefold() for match in numbered}) == 1
        and len(set(bare)) == len(bare)
    ):
        found |= set(range(len(bare)))
    return frozenset(found)
