"""A corpus of small networks as people write them, each with its checkpoint and its true classifier weight.

A module is a family, and has a literal table `CASES`. `cases()` lists them all, `networks()` builds, trains and saves them.
"""

from __future__ import annotations

from importlib import import_module

from networks.cases import Case, Network

FAMILIES = (
    "convolutional",
    "efficient",
    "attention",
    "recurrent",
    "modalities",
    "heads",
    "tasks",
    "distractors",
    "selfsupervised",
    "factorised",
    "adapters",
    "losses",
    "containers",
    "headless",
)


def cases(families: tuple[str, ...] = FAMILIES) -> list[tuple[str, Case]]:
    """Return every case under its name with the family before it, as in ``recurrent/lstm_fc``."""
    return [(f"{family}/{case.name}", case) for family in families for case in import_module(f"networks.{family}").CASES]


def networks(families: tuple[str, ...] = FAMILIES) -> list[Network]:
    """Return every network of these families, built and trained."""
    return [case.network() for _, case in cases(families)]
