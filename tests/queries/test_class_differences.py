"""Differences of two networks by class, if a network lacks the similarity of a class."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dsi_cli.errors import UsageError
from dsi_cli.queries.comparison.network_pairs import compare_classes

CSM = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.3, 0.4], [0.1, 0.3, 1, 0.8], [0.2, 0.4, 0.8, 1]])


def network(csm, names="abcd"):
    """Return a network at an epoch with a matrix and without a reference."""
    classes = pd.DataFrame({"run": "r", "class_index": range(4), "name": list(names), "wnid": None, "synset": None})

    def read(kind):
        if kind == "scsm":
            raise UsageError("no reference", code="unknown-reference")
        return csm

    return SimpleNamespace(
        csm=read, order=np.arange(4), run=SimpleNamespace(results=SimpleNamespace(classes=classes), name="r")
    )


def test_compare_classes_missing_class_is_no_neighbour():
    grown = CSM.copy()
    grown[3] = grown[:, 3] = np.nan
    pair = compare_classes([network(CSM)], [network(grown)])
    assert [entry.first_nearest for entry in pair.classes] == [["b", "c"], ["a", "c"], ["b", "a"], []]
    assert [entry.likeness for entry in pair.classes] == [pytest.approx(1.0)] * 3 + [None]
    assert np.isnan(pair.second[3]).all()
    assert pair.second[0, 1] == pytest.approx(100 * 5 / 6)
