"""NLTK's WordNet 3.0, the oracle of these tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def nltk_wordnet(shared):
    """Return NLTK's reader on the shared WordNet 3.0."""
    folder = shared / "wordnet" / "nltk_data"
    os.environ["NLTK_DATA"] = str(folder)  # before the first import: newer NLTKs refuse any other place
    wordnet = pytest.importorskip("nltk.corpus").wordnet
    assert wordnet.get_version() == "3.0"
    return wordnet
