"""The lowest common hypernym of every two classes, packed for the page like a symmetric matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.queries.class_order import synset_words
from dsi_cli.report.matrix_codec import LEVELS, off_diagonal, pack

CommonHypernyms = Callable[[Sequence[str | None]], tuple[Sequence[str], NDArray[np.int32]]]
"""Takes a synset name per class; returns names, and for every two classes the index of a name, -1 for no hypernym."""


def hypernym_data(
    synsets: Sequence[str | None], common_hypernyms: CommonHypernyms, lines_name: str
) -> tuple[dict[str, Any], str]:
    """Return the description of the common hypernyms for the page, and their packed text.

    Code 0 is a pair without a common hypernym, and code ``k`` is the ``k``-th name.
    """
    names, hypernyms = common_hypernyms(synsets)
    pairs = off_diagonal(hypernyms, symmetric=True)
    used = np.unique(pairs[pairs >= 0])
    codes = np.where(pairs >= 0, np.searchsorted(used, pairs) + 1, 0).astype(np.uint16)
    words = [synset_words(names[index]) for index in used.tolist()]
    return {"lines": lines_name, "levels": LEVELS[0], "symmetric": True, "names": words}, pack(codes, LEVELS[0])
