"""The label presets against the shared label tables that they are made from."""

import importlib.util
from pathlib import Path

import pyarrow.parquet as pq

from dsi_cli.labels.files import read_labels
from dsi_cli.labels.presets import find_preset, load_preset

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "dsi_cli" / "labels" / "data"


def test_presets_are_those_of_the_shared_tables(shared):
    for path in (shared / "data" / "labels").glob("*.tsv"):
        if find_preset(path.stem):
            assert (DATA / path.name).read_bytes() == path.read_bytes()


def test_compiling_again_gives_the_same_files(shared, tmp_path):
    spec = importlib.util.spec_from_file_location("compile_presets", ROOT / "scripts" / "compile_presets.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.compile_presets(shared / "data" / "labels", tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(path.name for path in DATA.iterdir() if path.is_file())
    for name in made:
        if name.endswith(".tsv"):
            assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()
        else:  # its bytes depend on pyarrow's version, its contents on timm's lists
            assert pq.read_table(tmp_path / name).equals(pq.read_table(DATA / name))


def test_shared_label_files_are_recognised(shared):
    for name in ("imagenet1k", "mini-imagenet", "cifar10", "cifar100", "fashion-mnist", "coco80"):
        for suffix in (".tsv", ".names.txt", ".wnids.txt"):
            labels = read_labels(shared / "data" / "labels" / (name + suffix))
            assert (labels.preset, labels.wnids) == (name, load_preset(name).wnids)
