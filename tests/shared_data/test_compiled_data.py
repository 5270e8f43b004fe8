"""The compiled WordNet and the label presets against what the scripts make of the
shared data.
"""

import importlib.util
import runpy
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dsi_cli.labels.files import read_labels
from dsi_cli.labels.presets import load_preset
from dsi_cli.wordnet.database import lexicon, taxonomy
from dsi_cli.wordnet.database.taxonomy import PARTS

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "dsi_cli" / "wordnet" / "data"


@pytest.fixture(scope="module")
def script():
    path = ROOT / "scripts" / "compile_wordnet.py"
    if not path.is_file():
        pytest.skip("needs the repository's scripts")
    spec = importlib.util.spec_from_file_location("compile_wordnet", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("part", PARTS)
def test_compiling_again_gives_the_same_files(nltk_wordnet, script, tmp_path, part):
    tables, folder = script.tables(nltk_wordnet, part), DATA / part
    assert {path.stem for path in folder.glob("*.parquet")} == set(tables)
    for name, table in tables.items():
        assert table.equals(pq.read_table(folder / f"{name}.parquet")), name
    for name in ("kinds", "exceptions"):  # the large ones take seconds to compress
        kept, fresh = folder / f"{name}.parquet", tmp_path / f"{name}.parquet"
        script.write(tables[name], fresh)
        if pq.read_metadata(fresh).created_by == pq.read_metadata(kept).created_by:
            assert fresh.read_bytes() == kept.read_bytes()


def test_ids_of_verbs_are_the_releases(nltk_wordnet, script):
    """Known ids of the release on both sides of the two verbs between which another
    copy of WordNet 3.0 has others.
    """
    graph = taxonomy.load("verb")
    for wnid, name in (
        ("v00001740", "breathe.v.01"),
        ("v01926311", "run.v.01"),
        ("v02422663", "restrain.v.01"),
    ):
        assert graph.names[graph.node(wnid)] == name
    offsets = sorted(synset.offset() for synset in nltk_wordnet.all_synsets("v"))
    moved = np.flatnonzero(np.array(offsets) != graph.offsets)
    assert len(moved) in (0, 9026)  # none where the release itself is shared
    assert script.released([613018, 613036], "verb") == [613018, 613018]
    assert script.released([613018, 1926311], "verb") == [613018, 1926311]


def test_another_version_of_wordnet_is_refused(
    nltk_wordnet, shared, script, monkeypatch
):
    monkeypatch.setattr(script, "VERSION", "3.1")
    with pytest.raises(
        SystemExit, match=r"expected WordNet 3\.1 in .*, found 3\.0: its ids are others"
    ):
        script.nltk_wordnet(shared / "wordnet" / "nltk_data")


def test_sense_counts_are_nltks(nltk_wordnet):
    table = pq.read_table(DATA / "noun" / "lemmas.parquet")
    for word in ("dog", "crane", "mouse", "person"):
        counts = table["counts"][lexicon.load().rows[word]].as_py()
        senses = [nltk_wordnet.synsets(word, "n")[k] for k in range(len(counts))]
        expected = [
            next(x for x in synset.lemmas() if x.name().lower() == word).count()
            for synset in senses
        ]
        assert counts == expected


def test_the_licence_and_the_size():
    assert "Princeton" in (DATA / "LICENSE").read_text()
    assert (
        sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file())
        < 3_500_000
    )


LABELS = ROOT / "dsi_cli" / "labels" / "data"


def test_compiling_the_presets_again_gives_the_same_files(shared, tmp_path):
    runpy.run_path(str(ROOT / "scripts/compile_presets.py"))["compile_presets"](
        shared / "data" / "labels", tmp_path
    )
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(path.name for path in LABELS.iterdir() if path.is_file())
    for name in made:
        if name.endswith(".tsv"):
            assert (tmp_path / name).read_bytes() == (LABELS / name).read_bytes()
        else:  # its bytes depend on pyarrow's version, its contents on timm's lists
            assert pq.read_table(tmp_path / name).equals(pq.read_table(LABELS / name))


def test_shared_label_files_are_recognised(shared):
    for name in (
        "imagenet1k",
        "mini-imagenet",
        "cifar10",
        "cifar100",
        "fashion-mnist",
        "coco80",
    ):
        for suffix in (".tsv", ".names.txt", ".wnids.txt"):
            labels = read_labels(shared / "data" / "labels" / (name + suffix))
            assert (labels.preset, labels.wnids) == (name, load_preset(name).wnids)
