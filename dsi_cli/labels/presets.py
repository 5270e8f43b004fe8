"""The label lists that ship with the package, and the recognition of a given list as one of them.

Each class has the WordNet 3.0 id that a person who read its gloss chose, or none: where WordNet lacks the thing itself, the
nearest broader noun, unless two classes would then be one; then, and where nothing fits, the class stays unresolved.
Two classes share an id only where they are the same thing (a bedroom and a bedchamber, a church from inside and outside).
A list is recognised by its content alone, all names or all ids; never by its length: many lists have 100 classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

from dsi_cli.errors import UsageError, nearest
from dsi_cli.labels import same_classes
from dsi_cli.labels.aliases import VARIANTS
from dsi_cli.labels.label_list import LabelList


@dataclass(frozen=True)
class Preset:
    """A list that ships with the package: ``name`` to type, ``title`` to read, number of ``classes``, ``source``."""

    name: str
    title: str
    classes: int
    source: str


_BY_HAND = "the data set's class order; WordNet senses chosen by hand"
_SORTED = "the folders' names sorted, as torchvision reads them; WordNet senses chosen by hand"
_TIMM = "timm's list {}, by WordNet id"

PRESETS = (
    Preset("imagenet1k", "ImageNet-1k (ILSVRC 2012)", 1000, "the challenge's class order (by WordNet id)"),
    Preset("mini-imagenet", "mini-ImageNet", 100, "the data set's training, validation and test classes in turn"),
    Preset("tiny-imagenet", "Tiny-ImageNet", 200, "the folders' names (WordNet ids) sorted, as torchvision reads them"),
    Preset("imagenet12k", "ImageNet-12k (timm's subset of the fall 2011 release)", 11821, _TIMM.format("imagenet12k")),
    Preset("imagenet21k", "ImageNet-21k (fall 2011 release, Google's list)", 21843, _TIMM.format("imagenet21k_goog")),
    Preset("imagenet22k", "ImageNet-22k (fall 2011 release, all classes)", 21841, _TIMM.format("imagenet22k")),
    Preset(
        "imagenet22k-ms",
        "ImageNet-22k (fall 2011 release, Microsoft's list)",
        21842,
        "timm's list imagenet22k_ms: ImageNet-1k's classes first, then the others",
    ),
    Preset(
        "imagenet21k-miil", "ImageNet-21k-P (cleaned, of the fall 2011 release)", 11221, _TIMM.format("imagenet21k_miil")
    ),
    Preset(
        "imagenet21k-miil-w21",
        "ImageNet-21k-P (cleaned, of the winter 2021 release)",
        10450,
        _TIMM.format("imagenet21k_miil_w21"),
    ),
    Preset("cifar10", "CIFAR-10", 10, _BY_HAND),
    Preset("cifar100", "CIFAR-100, fine labels", 100, _BY_HAND),
    Preset("fashion-mnist", "Fashion-MNIST", 10, _BY_HAND),
    Preset("stl10", "STL-10", 10, _BY_HAND),
    Preset("caltech101", "Caltech-101 without background", 101, _SORTED),
    Preset("caltech101-background", "Caltech-101 with background", 102, _SORTED),
    Preset("oxford-pets", "Oxford-IIIT Pets", 37, _BY_HAND),
    Preset("flowers102", "Oxford Flowers-102", 102, "the class numbers of the data set's imagelabels.mat; senses by hand"),
    Preset("food101", "Food-101", 101, _SORTED),
    Preset("voc20", "Pascal VOC, 20 classes", 20, _BY_HAND),
    Preset("voc21", "Pascal VOC, 20 classes after the background", 21, _BY_HAND),
    Preset("coco80", "COCO detection, 80 classes", 80, _BY_HAND),
    Preset("coco91", "COCO detection, category ids 0 to 90 with gaps (N/A)", 91, "as in torchvision's detectors"),
    Preset("ade20k", "ADE20K scene parsing, 150 classes", 150, "the challenge's objectInfo150; senses chosen by hand"),
    Preset("places365", "Places365", 365, "the data set's categories_places365; senses chosen by hand"),
)
"""What ``--labels NAME`` takes besides a file, and ``dsi labels --presets`` lists."""

FEWEST_OF_PART = 10
"""Names that must be a preset's for a list to be a part of it; fewer names may be found in any list by chance."""
LONGEST_WHOLE = 1000
"""Classes of the longest preset that lists are a part of; longer ones hold most nouns there are, in all their senses."""


def find_preset(name: str) -> Preset | None:
    """Return the preset of that name, or None; case, spaces, hyphens and underscores do not matter.

    Examples
    --------
    >>> find_preset("ImageNet-1k").classes
    1000
    """
    return next((preset for preset in PRESETS if _bare(preset.name) == _bare(name)), None)


def load_preset(name: str) -> LabelList:
    """Return a preset's list, with an id, or None, for every class.

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
    near = nearest(name, [preset.name for preset in PRESETS])
    return f"; did you mean {near}?" if near else ""


def superclasses(name: str) -> dict[str, str] | None:
    """Return the superclass that a preset's data set gives each class, in class order; None where it gives none.

    CIFAR-100 has 20, COCO (80) 12, Oxford Pets 2 (cats and dogs).

    Raises
    ------
    UsageError
        There is no such preset.

    Examples
    --------
    >>> superclasses("cifar100")["whale"], superclasses("cifar10") is None
    ('aquatic_mammals', True)
    """
    path = files("dsi_cli.labels") / "data" / "superclasses" / f"{load_preset(name).preset}.tsv"
    if not path.is_file():
        return None
    return dict(line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())


def superclasses_of(labels: LabelList) -> tuple[str, ...] | None:
    """Return the superclasses of a recognised list, one a class, in the list's own order; None where it has none.

    Examples
    --------
    >>> superclasses_of(recognise(sorted(load_preset("coco80").names, reverse=True)))[:2]
    ('animal', 'kitchen')
    """
    above = superclasses(labels.preset) if labels.preset else None
    if above is None or labels.preset is None:
        return None
    places = same_classes.match_order(labels.names, None, _load(labels.preset), VARIANTS.get(labels.preset, {}))
    listed = tuple(above.values())
    return None if places is None else tuple(listed[place] for place in places)


def recognise(
    labels: Sequence[str], source: str = "the given labels", wnids: Sequence[str | None] | None = None
) -> LabelList:
    """Return labels as a list, with a preset's name and ids where they are that preset's.

    Parameters
    ----------
    labels
        Names or WordNet ids, in the classifier's order. Ids may also stand before the names (``n02085620-Chihuahua``).
    source
        Where they came from, for a person to read.
    wnids
        Ids that came with the names. They are kept, and a list with other ids than the preset's is not the preset.

    Returns
    -------
    LabelList
        Of ten names and more that are all classes of a longer preset, the ids are that preset's, and ``subset_of`` is its name.
        Names as given (the preset's names where all labels are ids), in the order given: what belongs to a class goes
        with its name. Spelling, numbers before all names and usual other names are no matter (see `matching`), and of
        ImageNet's synonyms one is enough; but every name must be a class's, and every class must have one.

    Examples
    --------
    >>> recognise(["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    ...            "ankle_boot"]).preset
    'fashion-mnist'
    >>> recognise(["cat", "dog"]).preset is None
    True
    """
    names = tuple(labels)
    given = same_classes.ids_before(names) if wnids is None else tuple(wnids)
    for preset in PRESETS:
        if preset.classes != len(names):
            continue
        listed = _load(preset.name)
        places = same_classes.match_order(names, given, listed, VARIANTS.get(preset.name, {}))
        if places is not None and listed.wnids is not None:
            shown = tuple(listed.names[place] for place in places) if same_classes.is_ids(names) else names
            return LabelList(shown, tuple(listed.wnids[place] for place in places), source, preset.name)
    part = _part_of_presets(names) if given is None else None
    return LabelList(names, given, source) if part is None else LabelList(names, part[1], source, subset_of=part[0])


def _part_of_presets(names: Sequence[str]) -> tuple[str, tuple[str | None, ...]] | None:
    """Return the first preset that has all names and more, and its ids; None where there is none, or where two disagree."""
    if not FEWEST_OF_PART <= len(names) <= LONGEST_WHOLE:
        return None
    found: dict[str, tuple[str | None, ...]] = {}
    for preset in PRESETS:
        if len(names) < preset.classes <= LONGEST_WHOLE:
            places, wnids = same_classes.match_part(names, _places(preset.name)), _load(preset.name).wnids
            if places is not None and wnids is not None:
                found[preset.name] = tuple(wnids[place] for place in places)
    return next(iter(found.items())) if len(set(found.values())) == 1 else None


@cache
def _places(name: str) -> list[dict[str, int]]:
    return same_classes.places_of(_load(name), VARIANTS.get(name, {}))


@cache
def _load(name: str) -> LabelList:
    path = files("dsi_cli.labels") / "data" / f"{name}.tsv"
    rows = _imagenet(name) if not path.is_file() else [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    return LabelList(tuple(row[1] for row in rows), tuple(row[0] or None for row in rows), f"the preset {name}", name)


def _imagenet(name: str) -> list[tuple[str, str]]:
    """Return the ids and names of one of the long lists, which share a table."""
    import pyarrow.parquet as pq

    with as_file(files("dsi_cli.labels") / "data" / "imagenet.parquet") as path, pq.ParquetFile(path) as file:
        table = file.read(["wnid", "name", name])
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    listed = sorted((place, wnid, label) for wnid, label, place in rows if place is not None)
    return [(f"n{wnid:08d}", label) for _, wnid, label in listed]


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.lower())
