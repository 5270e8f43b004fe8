"""The spelling of the class names as a reference, for a control.

If a network agrees as well with the spelling as with WordNet, shared words such as
"tree" may be the reason.
"""

import numpy as np


def spelling(names: list[str]) -> np.ndarray:
    """Return the similarities (C, C) of class names, in [0, 1].

    The similarity is the share of common pairs of letters (Jaccard's index). A
    reference is symmetric, and its largest values are on the diagonal. A class whose
    row and column are NaN is left out.
    """
    pairs = [_pairs(name.lower()) for name in names]
    return np.array([[_share(a, b) for b in pairs] for a in pairs])


def _pairs(name: str) -> set[str]:
    padded = f" {name} "
    return {padded[start : start + 2] for start in range(len(padded) - 1)}


def _share(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)
