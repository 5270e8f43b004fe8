"""The presets, and the recognition of given lists."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from dsi_cli.errors import UsageError
from dsi_cli.labels.files import read_labels
from dsi_cli.labels.presets import PRESETS, find_preset, load_preset, recognise

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "dsi_cli" / "labels" / "data"
NAMES = [preset.name for preset in PRESETS]


@pytest.mark.parametrize("preset", PRESETS, ids=NAMES)
def test_a_preset_has_a_name_and_an_id_for_each_class(preset):
    labels = load_preset(preset.name)
    assert len(labels.names) == len(labels.wnids) == preset.classes
    assert labels.preset == preset.name
    assert all(labels.names)
    assert all(labels.wnids)


def test_the_table_and_the_files_agree():
    assert sorted(path.stem for path in DATA.glob("*.tsv")) == sorted(NAMES)


def test_presets_are_those_of_the_shared_tables(shared):
    for path in (shared / "data" / "labels").glob("*.tsv"):
        if find_preset(path.stem):
            assert (DATA / path.name).read_bytes() == path.read_bytes()


def test_compiling_again_gives_the_same_files(shared, tmp_path):
    path = ROOT / "scripts" / "compile_presets.py"
    if not path.is_file() or importlib.util.find_spec("timm") is None:
        pytest.skip("needs the repository's scripts, and timm")
    spec = importlib.util.spec_from_file_location("compile_presets", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.compile_presets(shared / "data" / "labels", tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {p.name: p.read_bytes() for p in DATA.iterdir()}


@pytest.mark.parametrize("name", ["ImageNet-1k", "imagenet_1k", "IMAGENET1K"])
def test_a_name_may_be_spelled_freely(name):
    assert load_preset(name).preset == "imagenet1k"


def test_an_unknown_preset_is_told_the_others_and_the_nearest():
    with pytest.raises(
        UsageError, match=r"expected a preset \(imagenet1k, .*coco80\), found 'cifar1000'; did you mean cifar100\?"
    ):
        load_preset("cifar1000")
    with pytest.raises(UsageError, match=r"coco80\), found 'zzz'$"):
        load_preset("zzz")


@pytest.mark.parametrize("name", NAMES)
def test_names_and_ids_are_recognised(name):
    labels = load_preset(name)
    by_name, by_id = recognise(labels.names, "x"), recognise(labels.wnids, "y")
    assert (by_name.preset, by_name.wnids, by_name.source) == (name, labels.wnids, "x")
    assert (by_id.preset, by_id.wnids, by_id.names) == (name, labels.wnids, labels.names)


def test_first_synonyms_in_another_spelling_are_recognised():
    labels = load_preset("imagenet1k")
    spelled = [name.split(",")[0].replace(" ", "_").upper() for name in labels.names]
    found = recognise(spelled)
    assert (found.preset, found.names, found.wnids) == ("imagenet1k", tuple(spelled), labels.wnids)


def test_the_order_and_every_name_count():
    names = load_preset("cifar10").names
    assert recognise(names[::-1]).preset is None
    assert recognise((*names[:-1], "lorry")).preset is None
    assert recognise([f"class {k}" for k in range(1000)]).preset is None
    assert recognise(names[:-1]).preset is None
    assert recognise([]).preset is None


def test_ids_that_differ_from_the_presets_are_kept(shared):
    wrong_senses = read_labels(shared / "data" / "labels" / "cifar100-nbdt.tsv")
    assert wrong_senses.names == load_preset("cifar100").names
    assert wrong_senses.preset is None
    assert wrong_senses.wnids != load_preset("cifar100").wnids
    right = load_preset("cifar100")
    assert recognise(right.names, wnids=right.wnids).preset == "cifar100"
