"""The label lists that ship with the package, and the recognition of a given list as one of them.

Each has a WordNet 3.0 id for every class. A list is recognised by its content alone, all names or all ids in order;
never by its length: many lists have 100 classes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from dsi_cli.errors import UsageError
from dsi_cli.labels.lists import LabelList


@dataclass(frozen=True)
class Preset:
    """A list that ships with the package: ``name`` to type, ``title`` to read, number of ``classes``, ``source``."""

    name: str
    title: str
    classes: int
    source: str


_BY_HAND = "the data set's class order; WordNet senses chosen by hand"

PRESETS = (
    Preset("imagenet1k", "ImageNet-1k (ILSVRC 2012)", 1000, "the challenge's class order (by WordNet id)"),
    Preset("mini-imagenet", "mini-ImageNet", 100, "the data set's training, validation and test classes in turn"),
    Preset("imagenet12k", "ImageNet-12k (timm's subset of the fall 2011 release)", 11821, "timm's list"),
    Preset("imagenet22k", "ImageNet-22k (fall 2011 release, all classes)", 21841, "timm's list"),
    Preset("cifar10", "CIFAR-10", 10, _BY_HAND),
    Preset("cifar100", "CIFAR-100, fine labels", 100, _BY_HAND),
    Preset("fashion-mnist", "Fashion-MNIST", 10, _BY_HAND),
    Preset("coco80", "COCO detection, 80 classes", 80, _BY_HAND),
)
"""What ``--labels NAME`` takes besides a file, and ``dsi labels --presets`` lists."""


def find_preset(name: str) -> Preset | None:
    """Return the preset of that name, or None; case, spaces, hyphens and underscores do not matter.

    Examples
    --------
    >>> find_preset("ImageNet-1k").classes
    1000
    """
    return next((preset for preset in PRESETS if _bare(preset.name) == _bare(name)), None)


def load_preset(name: str) -> LabelList:
    """Return a preset's list, with an id for every class.

    Raises
    ------
    UsageError
        There is no such preset; the message lists them, the nearest first.

    Examples
    --------
    >>> load_preset("cifar10").names[:3]
    ('airplane', 'automobile', 'bird')
    """
    preset = find_preset(name)
    if preset is None:
        raise UsageError(f"expected a preset ({', '.join(row.name for row in PRESETS)}), found {name!a}{hint(name)}")
    return _load(preset.name)


def hint(name: str) -> str:
    """Return ``; did you mean NAME?`` for the preset that is spelled most alike, or nothing."""
    near = difflib.get_close_matches(name.lower(), [preset.name for preset in PRESETS], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def recognise(
    labels: Sequence[str], source: str = "the given labels", wnids: Sequence[str | None] | None = None
) -> LabelList:
    """Return labels as a list, with a preset's name and ids where they are that preset's.

    Parameters
    ----------
    labels
        Names or WordNet ids, in the classifier's order.
    source
        Where they came from, for a person to read.
    wnids
        Ids that came with the names. They are kept, and a list with other ids than the preset's is not the preset.

    Returns
    -------
    LabelList
        Names as given (the preset's names where all labels are ids). A name equals a preset's whatever its case and its
        spaces, hyphens and underscores; of ImageNet's lists of synonyms the first one is enough.

    Examples
    --------
    >>> recognise(["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    ...            "ankle_boot"]).preset
    'fashion-mnist'
    >>> recognise(["cat", "dog"]).preset is None
    True
    """
    names, given = tuple(labels), None if wnids is None else tuple(wnids)
    for preset in PRESETS:
        if preset.classes != len(names):
            continue
        listed = _load(preset.name)
        if names == listed.wnids and given in (None, listed.wnids):
            return LabelList(listed.names, listed.wnids, source, preset.name)
        if given in (None, listed.wnids) and _same_names(names, listed.names):
            return LabelList(names, listed.wnids, source, preset.name)
    return LabelList(names, given, source)


@cache
def _load(name: str) -> LabelList:
    text = (files("dsi_cli.labels") / "data" / f"{name}.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return LabelList(tuple(row[1] for row in rows), tuple(row[0] for row in rows), f"the preset {name}", name)


def _same_names(names: Sequence[str], listed: Sequence[str]) -> bool:
    pairs = zip(names, listed, strict=True)
    return all(_key(name) in (_key(full), _key(full.split(",")[0])) for name, full in pairs)


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip().lower())


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.lower())
