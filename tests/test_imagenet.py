"""The known faults of ImageNet, the classifier in ``examples/imagenet``, and the page
about them.
"""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import imagenet_faults
from dsi_cli import Results, read_head
from dsi_cli.labels.presets import load_preset

ROOT = Path(__file__).resolve().parents[1]
make_imagenet = SimpleNamespace(**runpy.run_path(str(ROOT / "docs/make_imagenet.py")))
KINDS = {"near synonyms", "special case", "part", "together", "mixed images"}


@pytest.fixture(scope="module")
def faults():
    return imagenet_faults.load_faults()


def test_faults_of_imagenet_name_the_classes_of_the_preset(faults):
    names = load_preset("imagenet1k").names
    for one in faults:
        assert one.names == tuple(names[index] for index in one.pair), one.pair


def test_faults_of_imagenet_are_different_pairs_with_a_source(faults):
    pairs = [one.pair for one in faults]
    assert len(set(pairs)) == len(pairs) >= 30
    assert all(first < second for first, second in pairs)
    assert {one.kind for one in faults} == KINDS
    for one in faults:
        assert one.known.endswith("."), one.pair
        assert re.search(r"\b20\d\d\b", one.source), one.pair
        assert one.url.startswith("https://"), one.pair
        assert 0 <= one.both <= one.either, one.pair


def test_faults_of_imagenet_hold_what_a_quarter_of_relabelled_images_share(faults):
    for one in faults:
        is_shared = 4 * one.both >= one.either
        assert ("Beyer et al. 2020" in one.source) == is_shared, one.pair


def test_pair_ranks_count_from_the_largest_value():
    values = np.array([[0, 3, 1], [3, 0, 2], [1, 2, 0]], dtype=float)
    ranks = imagenet_faults.pair_ranks(values)
    assert ranks.tolist() == [[0, 1, 3], [0, 0, 2], [0, 0, 0]]


def test_head_of_imagenet_ranks_the_four_best_known_pairs_among_the_first_60():
    weight = read_head(imagenet_faults.HEAD)
    assert weight.shape == (1000, 1280)
    similarity, reference = imagenet_faults.similarity_and_reference()
    residuals = imagenet_faults.pair_residuals(similarity, reference)
    ranks = imagenet_faults.pair_ranks(residuals)
    assert all(ranks[pair] <= 60 for pair in imagenet_faults.FAMOUS)


def test_notes_name_their_classes_and_their_sources():
    names_in_file = [
        line.split("\t")[2]
        for line in make_imagenet.NOTES.read_text(encoding="utf-8").splitlines()[1:]
    ]
    notes = make_imagenet.load_notes()
    for name, note in zip(names_in_file, notes, strict=False):
        assert name == make_imagenet.title(note.classes)
    pairs = [note.classes for note in notes if note.of == "pair"]
    assert len(set(pairs)) == len(pairs) > 100, "one note for each pair"
    for note in notes:
        assert note.of in {"pair", "group", "class", "name"}
        assert note.known.endswith("."), note
        needs_source = note.of != "group" and note.verdict != "look-alike"
        assert note.sources or not needs_source, note


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([620, 681], "laptop / notebook"),
        ([638, 639], "maillot / maillot, tank suit"),
        ([134, 517], "crane (134) / crane (517)"),
    ],
)
def test_title_tells_classes_with_one_name_apart(classes, expected):
    assert make_imagenet.title(classes) == expected


def test_first_pairs_are_the_duplicates_in_their_order():
    suspects = pd.DataFrame(
        {
            "kind": ["duplicate", "shortcut", "duplicate"],
            "members": [[5, 2], [1, 2, 3], [0, 4]],
            "rank": [2, 1, 1],
        }
    )
    assert make_imagenet.first_pairs(suspects) == [(0, 4), (2, 5)]


def test_a_group_has_the_note_that_shares_half_of_its_classes():
    notes = [
        make_imagenet.Note("group", (1, 2, 3), "", "near", ""),
        make_imagenet.Note("group", (4, 5, 6), "", "far", ""),
    ]
    suspects = pd.DataFrame(
        {"kind": ["shortcut"] * 2, "members": [[2, 3, 9], [4, 10, 11]]}
    )
    near, unknown = list(make_imagenet.group_lines(suspects, notes))[-2:]
    assert near.endswith("| near |")
    assert unknown.endswith("|  |")


def test_pair_lines_of_a_pair_without_a_note_stop_the_script():
    with pytest.raises(SystemExit, match="lacks notes"):
        list(make_imagenet.pair_lines([(0, 999)], np.zeros((1000, 1000)), []))


@pytest.mark.slow
def test_the_page_about_imagenet_is_what_its_script_writes(dsi_process, tmp_path):
    out = tmp_path / "out"
    head = str(ROOT / "examples" / "imagenet")
    ended = dsi_process("analyze", head, "--labels", "imagenet1k", "-o", str(out))
    assert ended.code == 0, ended.err
    written = make_imagenet.PAGE.read_text(encoding="utf-8")
    assert written == make_imagenet.page(Results(out)), "make imagenet"


def test_readme_has_the_number_of_known_pairs_of_the_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = make_imagenet.PAGE.read_text(encoding="utf-8")
    (in_readme,) = re.findall(r"(\d+) of its first 10 pairs", readme)
    (in_page,) = re.findall(r"(\d+) of the first 10 pairs", page)
    assert in_readme == in_page
