"""Placeholders for class names, such as ``class_0`` to ``class_19`` or ``0`` to ``99``, for which no sense is chosen."""

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
    """Return the indices of the labels that are placeholders.

    Placeholders are generic words with a number (``label_7``), and numbers if more than half of the labels are numbers. If there
    are three or more labels that differ only in a number, all are placeholders. WordNet's ids (``n02121620``) are names.

    Examples
    --------
    >>> sorted(placeholders(["cat", "label_7", "dog"])), sorted(placeholders(["0", "1", "2"]))
    ([1], [0, 1, 2])
    >>> sorted(placeholders(["7", "ace", "king"])), sorted(placeholders(["thing 1", "thing 2", "thing 3"]))
    ([], [0, 1, 2])
    """
    bare = [label.strip() for label in labels]
    generic = frozenset(index for index, label in enumerate(bare) if _GENERIC.fullmatch(label))
    if any(map(_WORDNET_ID.fullmatch, bare)):
        return generic
    numbered = [match for label in bare if len(label) < 100 and (match := _NUMBERED.fullmatch(label))]
    has_one_prefix = len(numbered) == len(bare) > 2 and len({match[1].casefold() for match in numbered}) == 1
    if has_one_prefix and len(set(bare)) == len(bare):
        return frozenset(range(len(bare)))
    numbers = frozenset(index for index, label in enumerate(bare) if label.isascii() and label.isdigit())
    return generic | numbers if 2 * len(numbers) > len(bare) else generic
