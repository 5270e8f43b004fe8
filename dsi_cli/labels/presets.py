"""The label lists that ship with the package, and the recognition of a given list as
one of them.

The WordNet 3.0 id of each class was chosen by hand from the glosses. If WordNet lacks
the thing itself, the id is that of the nearest hypernym, unless two classes would then
share it. If nothing fits, the class stays unresolved. Two classes share an id only if
they are the same thing, such as a bedroom and a bedchamber. A list is recognised by its
names or ids, never by its length, because many lists have 100 classes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

from dsi_cli.errors import UsageError, suggestion
from dsi_cli.labels import label_list
from dsi_cli.labels.label_list import Ids, LabelList


@dataclass(frozen=True)
class Preset:
    """A list that ships with the package: its ``name`` for options, its ``title``,
    number of ``classes`` and ``source``.
    """

    name: str
    title: str
    classes: int
    source: str


_BY_HAND = "the data set's class order; WordNet senses chosen by hand"
_SORTED = (
    "the folders' names sorted, as torchvision reads them; WordNet senses chosen by"
    " hand"
)
_timm = "timm's list {}, by WordNet id".format

PRESETS = (
    Preset(
        "imagenet1k",
        "ImageNet-1k (ILSVRC 2012)",
        1000,
        "the challenge's class order (by WordNet id)",
    ),
    Preset(
        "mini-imagenet",
        "mini-ImageNet",
        100,
        "the data set's training, validation and test classes in turn",
    ),
    Preset(
        "tiny-imagenet",
        "Tiny-ImageNet",
        200,
        "the folders' names (WordNet ids) sorted, as torchvision reads them",
    ),
    Preset(
        "imagenet12k",
        "ImageNet-12k (timm's subset of fall 2011)",
        11821,
        _timm("imagenet12k"),
    ),
    Preset(
        "imagenet21k",
        "ImageNet-21k (fall 2011, Google's list)",
        21843,
        _timm("imagenet21k_goog"),
    ),
    Preset(
        "imagenet22k",
        "ImageNet-22k (fall 2011, all classes)",
        21841,
        _timm("imagenet22k"),
    ),
    Preset(
        "imagenet22k-ms",
        "ImageNet-22k (fall 2011, Microsoft's list)",
        21842,
        "timm's list imagenet22k_ms: ImageNet-1k's classes first, then the others",
    ),
    Preset(
        "imagenet21k-miil",
        "ImageNet-21k-P (cleaned, fall 2011)",
        11221,
        _timm("imagenet21k_miil"),
    ),
    Preset(
        "imagenet21k-miil-w21",
        "ImageNet-21k-P (cleaned, winter 2021)",
        10450,
        _timm("imagenet21k_miil_w21"),
    ),
    Preset("cifar10", "CIFAR-10", 10, _BY_HAND),
    Preset("cifar100", "CIFAR-100, fine labels", 100, _BY_HAND),
    Preset("fashion-mnist", "Fashion-MNIST", 10, _BY_HAND),
    Preset("stl10", "STL-10", 10, _BY_HAND),
    Preset("caltech101", "Caltech-101 without background", 101, _SORTED),
    Preset("caltech101-background", "Caltech-101 with background", 102, _SORTED),
    Preset("oxford-pets", "Oxford-IIIT Pets", 37, _BY_HAND),
    Preset(
        "flowers102",
        "Oxford Flowers-102",
        102,
        "the class numbers of the data set's imagelabels.mat; senses by hand",
    ),
    Preset("food101", "Food-101", 101, _SORTED),
    Preset("voc20", "Pascal VOC, 20 classes", 20, _BY_HAND),
    Preset("voc21", "Pascal VOC, 20 classes after the background", 21, _BY_HAND),
    Preset("coco80", "COCO detection, 80 classes", 80, _BY_HAND),
    Preset(
        "coco91",
        "COCO detection, ids 0 to 90 with gaps (N/A)",
        91,
        "as in torchvision's detectors",
    ),
    Preset(
        "ade20k",
        "ADE20K scene parsing, 150 classes",
        150,
        "the challenge's objectInfo150; senses chosen by hand",
    ),
    Preset(
        "places365",
        "Places365",
        365,
        "the data set's categories_places365; senses chosen by hand",
    ),
)
"""The presets for ``--labels NAME``, which ``dsi labels --presets`` lists."""
MIN_PARTIAL_NAMES = 10
"""The minimum length of a list that is recognised as part of a preset, because any
preset may contain a few names by chance.
"""
MAX_SUPERSET_CLASSES = 1000
"""The maximum length of a preset that lists are part of, because longer presets contain
most nouns in all their senses.
"""


@cache
def aliases() -> dict[str, dict[str, list[str]]]:
    """Return other common names for the classes of presets, by preset and class.

    They come from PyTorch's tutorial on CIFAR-10, darknet's COCO and Pascal VOC,
    Hugging Face's CIFAR-100 and COCO, and torchvision's ImageNet-1k. Some are corrected
    spellings. With these names, no preset equals another one, which a test checks for
    all pairs.
    """
    text = (files("dsi_cli.labels") / "aliases.json").read_text("utf-8")
    names: dict[str, dict[str, list[str]]] = json.loads(text)
    return names


def find_preset(name: str) -> Preset | None:
    """Return the preset of that name, or None; case, spaces, hyphens and underscores
    are ignored.

    >>> find_preset("ImageNet-1k").classes
    1000
    """
    for preset in PRESETS:
        if _bare(preset.name) == _bare(name):
            return preset
    return None


def load_preset(name: str) -> LabelList:
    """Return a preset's list, with an id, or None, for every class; raise `UsageError`
    if no preset has this name.

    >>> load_preset("cifar10").names[:3]
    ('airplane', 'automobile', 'bird')
    """
    preset = find_preset(name)
    if preset is None:
        names = [preset.name for preset in PRESETS]
        message = f"expected a preset ({', '.join(names)}), found {name!a}"
        hint = suggestion(name, names)
        raise UsageError(message, hint=hint, code="unknown-preset", name=name)
    return _load(preset.name)


def superclasses_of(labels: LabelList) -> tuple[str, ...] | None:
    """Return the superclass of each class of a recognised list, in the order of the
    list, or None.

    CIFAR-100 has 20 superclasses, COCO (80) 12, and Oxford Pets 2 (cats and dogs).

    >>> superclasses_of(recognise(sorted(load_preset("coco80").names, reverse=True)))[:2]
    ('animal', 'kitchen')
    """
    path = files("dsi_cli.labels") / "data" / "superclasses" / f"{labels.preset}.tsv"
    if labels.preset is None or not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    superclasses = [line.split("\t", 1)[1] for line in lines]
    other_names = aliases().get(labels.preset, {})
    indices = label_list.match_order(
        labels.names, None, _load(labels.preset), other_names
    )
    if indices is None:
        return None
    return tuple(superclasses[index] for index in indices)


def recognise(
    labels: Sequence[str], source: str = "the given labels", wnids: Ids | None = None
) -> LabelList:
    """Return labels as a list, with the name and the ids of the preset that they equal,
    if any.

    Parameters
    ----------
    labels : names or WordNet ids, in the classifier's order. Ids may also be in front
        of the names (``n02085620-Chihuahua``).
    source : the source of the labels, for messages.
    wnids : ids that belong to the names. They are kept, and a list whose ids differ
        from the preset's is not the preset.

    Returns
    -------
    LabelList
        The names in the given order, or the preset's names if all labels are ids.
        Spelling, leading numbers and common aliases do not matter (`label_list`), and
        one of ImageNet's synonyms is enough. Names and classes must match one to one.
        If a longer preset contains all of ten or more names, the ids are that preset's,
        and ``subset_of`` is its name.

    Examples
    --------
    >>> recognise(["Plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]).preset
    'cifar10'
    >>> recognise(["car", "plane", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]).description
    'the given labels (the preset cifar10 in another order)'
    >>> recognise(["cat", "dog"]).preset is None
    True
    """
    names = tuple(labels)
    given = label_list.leading_ids(names) if wnids is None else tuple(wnids)
    same = _same_preset(names, given, source)
    if same is not None:
        return same
    if given is not None:
        return LabelList(names, given, source)
    superset, ids = _superset(names)
    return LabelList(names, ids, source, subset_of=superset)


def _same_preset(
    names: tuple[str, ...], given: Ids | None, source: str
) -> LabelList | None:
    """Return the list as the preset that has the same classes, or None."""
    for preset in PRESETS:
        if preset.classes != len(names):
            continue
        known = _load(preset.name)
        other_names = aliases().get(preset.name, {})
        indices = label_list.match_order(names, given, known, other_names)
        if indices is None or known.wnids is None:
            continue
        if label_list.are_ids(names):
            names = tuple(known.names[index] for index in indices)
        return LabelList(
            names,
            tuple(known.wnids[index] for index in indices),
            source,
            preset.name,
            is_reordered=list(indices) != sorted(indices),
        )
    return None


def _superset(
    names: tuple[str, ...],
) -> tuple[str | None, tuple[str | None, ...] | None]:
    """Return a longer preset that contains all names, and their ids in it.

    Return None twice without one, or if the ids in several such presets differ.
    """
    matches: dict[tuple[str | None, ...], str] = {}
    if len(names) < MIN_PARTIAL_NAMES:
        return None, None
    for preset in PRESETS:
        if not len(names) < preset.classes <= MAX_SUPERSET_CLASSES:
            continue
        indices = label_list.match_part(names, _class_indices(preset.name))
        ids = _load(preset.name).wnids
        if indices is not None and ids is not None:
            matches.setdefault(tuple(ids[index] for index in indices), preset.name)
    if len(matches) != 1:
        return None, None
    ((ids, name),) = matches.items()
    return name, ids


@cache
def _class_indices(name: str) -> list[dict[str, int]]:
    return label_list.class_indices(_load(name), aliases().get(name, {}))


@cache
def _load(name: str) -> LabelList:
    folder = files("dsi_cli.labels") / "data"
    path = folder / f"{name}.tsv"
    if path.is_file():
        lines = path.read_text("utf-8").splitlines()
        rows = [line.split("\t")[:2] for line in lines]
    else:
        rows = _load_imagenet(name)
    wnids, names = zip(*rows, strict=True)
    ids = tuple(wnid or None for wnid in wnids)
    return LabelList(names, ids, f"the preset {name}", name)


def _load_imagenet(name: str) -> list[list[str]]:
    """Return the ids and names of a long list; the long lists share a table, which has
    the index of each class in each list.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = files("dsi_cli.labels") / "data" / "imagenet.parquet"
    with as_file(table) as path, pq.ParquetFile(path) as file:
        columns = file.read(["wnid", "name", name])
    classes = columns.filter(pc.is_valid(columns[name])).sort_by(name)
    numbers, names = classes["wnid"].to_pylist(), classes["name"].to_pylist()
    return [[f"n{wnid:08d}", label] for wnid, label in zip(numbers, names, strict=True)]


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.lower())
