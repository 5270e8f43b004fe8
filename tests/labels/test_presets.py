"""The lists themselves (counts, ids, orders, superclasses), and lists that are a part
of one.
"""

import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import (
    MIN_PARTIAL_NAMES,
    PRESETS,
    load_preset,
    recognise,
    superclasses_of,
)
from dsi_cli.wordnet.database import taxonomy

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "dsi_cli" / "labels" / "data"
NAMES = [preset.name for preset in PRESETS]
UNRESOLVED = {
    "caltech101": 2,
    "caltech101-background": 3,
    "oxford-pets": 8,
    "flowers102": 7,
    "food101": 25,
}
UNRESOLVED |= {"voc21": 1, "coco91": 11, "places365": 30}
FOLDER = DATA / "superclasses"
SUPERCLASSES = {
    path.stem: dict(row.split("\t") for row in path.read_text().splitlines())
    for path in FOLDER.iterdir()
}


@pytest.mark.parametrize("preset", PRESETS, ids=NAMES)
def test_a_preset_has_a_name_for_each_class_and_an_id_or_none(preset):
    labels = load_preset(preset.name)
    assert len(labels.names) == len(labels.wnids) == preset.classes
    assert labels.preset == preset.name
    assert all(name == name.strip() and name for name in labels.names)
    assert labels.wnids.count(None) == UNRESOLVED.get(preset.name, 0)
    assert None not in [taxonomy.load().node(wnid) for wnid in labels.wnids if wnid]


def test_the_table_and_the_files_agree():
    found = {path.stem for path in DATA.glob("*.tsv")} | set(
        pq.read_schema(DATA / "imagenet.parquet").names[2:]
    )
    assert (found, len(found)) == (set(NAMES), len(PRESETS))


def test_a_synset_is_named_beside_each_id():
    graph = taxonomy.load()
    for path in DATA.glob("*.tsv"):
        for line in path.read_text(encoding="utf-8").splitlines():
            wnid, _, synset = line.split("\t")
            assert synset == (graph.names[graph.node(wnid)] if wnid else "")


def test_orders_are_those_of_torchvision():
    pytest.importorskip(
        "torchvision", reason="the orders are compared with torchvision's own lists"
    )
    from torchvision.datasets import FashionMNIST, Flowers102
    from torchvision.models import ResNet50_Weights
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
    from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights

    assert list(load_preset("flowers102").names) == getattr(
        Flowers102, "classes", list(load_preset("flowers102").names)
    )
    assert list(load_preset("fashion-mnist").names) == FashionMNIST.classes
    assert (
        list(load_preset("coco91").names)
        == FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    )
    assert (
        list(load_preset("voc21").names)
        == DeepLabV3_ResNet50_Weights.DEFAULT.meta["categories"]
    )
    imagenet = recognise(ResNet50_Weights.DEFAULT.meta["categories"])
    assert (imagenet.preset, imagenet.wnids) == (
        "imagenet1k",
        load_preset("imagenet1k").wnids,
    )


def test_orders_are_those_of_timm():
    pytest.importorskip("timm", reason="the orders are compared with timm's own lists")
    from timm.data import ImageNetInfo

    for name, subset in [
        ("imagenet1k", "imagenet-1k"),
        ("imagenet12k", "imagenet-12k"),
        ("imagenet21k", "imagenet-21k-goog"),
        ("imagenet21k-miil", "imagenet-21k-miil"),
        ("imagenet22k", "imagenet-22k"),
        ("imagenet22k-ms", "imagenet-22k-ms"),
    ]:
        info = ImageNetInfo(subset)
        assert list(load_preset(name).wnids) == [
            info.index_to_label_name(k) for k in range(info.num_classes())
        ]


def test_two_classes_share_a_synset_only_where_they_are_one_thing():
    for name in (
        "oxford-pets",
        "food101",
        "stl10",
        "voc20",
        "ade20k",
        "cifar100",
        "coco80",
    ):
        wnids = [wnid for wnid in load_preset(name).wnids if wnid]
        assert len(wnids) == len(set(wnids)), name
    flowers = load_preset("flowers102")
    shared = {
        wnid for wnid, count in Counter(flowers.wnids).items() if wnid and count > 1
    }
    assert {
        name
        for name, wnid in zip(flowers.names, flowers.wnids, strict=True)
        if wnid in shared
    } == {
        "bishop of llandaff",  # a cultivar
        "orange dahlia",
        "pink-yellow dahlia?",
    }


def test_superclasses_follow_the_names():
    names = load_preset("cifar100").names
    backwards = superclasses_of(recognise([name.upper() for name in names[::-1]]))
    assert backwards == tuple(SUPERCLASSES["cifar100"].values())[::-1]
    assert superclasses_of(load_preset("cifar10")) is None
    assert superclasses_of(recognise(["cat", "dog"])) is None


IMAGENETTE = (
    *("tench", "English springer", "cassette player", "chain saw", "church"),
    *("French horn", "garbage truck", "gas pump", "golf ball", "parachute"),
)


@pytest.mark.parametrize("name", ["cifar100", "food101", "places365", "flowers102"])
@pytest.mark.parametrize("seed", range(3))
def test_a_part_has_the_presets_ids(name, seed):
    whole = load_preset(name)
    places = random.Random(seed).sample(range(len(whole.names)), 20)
    names = tuple(whole.names[place] for place in places)
    found = recognise([f"{number}: {one.upper()}" for number, one in enumerate(names)])
    assert (found.preset, found.subset_of) == (None, name)
    assert found.wnids == tuple(whole.wnids[place] for place in places)


def test_imagenette_is_a_part_of_imagenet():
    found = recognise(IMAGENETTE)
    assert found.subset_of == "imagenet1k"
    assert found.wnids[2:4] == ("n02979186", "n03000684")


def test_recognise_a_list_that_is_no_part_or_of_presets_that_disagree_gives_no_ids():
    few = load_preset("cifar100").names[: MIN_PARTIAL_NAMES - 1]
    for names in (few, (*few, "gearbox"), (*few, few[0]), ("crane", *IMAGENETTE)):
        assert recognise(names) == LabelList(tuple(names), None, "the given labels")
    assert recognise(IMAGENETTE, wnids=["n02979186", *[None] * 9]).subset_of is None
    shared = (
        "mouse",
        "keyboard",
        "bottle",
        "bowl",
        "chair",
        "couch",
        "orange",
        "bear",
        "elephant",
        "train",
    )
    # a mouse is an animal in CIFAR-100, and a device in COCO
    assert recognise(shared).subset_of is None
