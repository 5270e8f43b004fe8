"""Of the trainings with planted faults in ``examples/planted``, every fault is found in
its kind; of their clean twin, hardly anything is suspect.
"""

import pytest
from helpers.example_scripts import EXAMPLES, example_module

from dsi_cli import open_results
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options

MAX_OTHERS = 2  # suspects that were not planted


@pytest.fixture(scope="module")
def planted():
    """The script of the example, as a module."""
    with example_module("planted_faults") as module:
        yield module


def suspects_of(name, out):
    folder = EXAMPLES / "planted"
    options = Options(draws=0, mapping=str(folder / f"{name}.csv"))
    analyze([folder / name], out, options)
    results = open_results(out)
    names = results.rows_of("classes", results.names[0])["name"]
    return [
        (row.kind, frozenset(names.iloc[index] for index in row.members))
        for row in results.suspects().itertuples()
    ]


def test_suspects_of_planted_faults_are_found_in_their_kind(planted, tmp_path):
    found = suspects_of("faulty", tmp_path)
    expected = {
        (kind, frozenset(names))
        for kind, groups in planted.FAULTS.items()
        for names in groups
    }
    assert expected <= set(found)
    assert len(set(found) - expected) <= MAX_OTHERS


def test_suspects_of_the_clean_twin_are_few(tmp_path):
    found = suspects_of("clean", tmp_path)
    assert len(found) <= MAX_OTHERS
    planted_kinds = {"duplicate", "mislabelled-images", "shortcut", "dead-class"}
    assert planted_kinds.isdisjoint(kind for kind, _ in found)


def test_planted_images_of_a_group_share_their_background(planted):
    assert len(planted.NAMES) == len(set(planted.NAMES)) == 50
    looks = planted.looks(faulty=True)
    first, second = planted.DUPLICATE
    assert looks[first] == looks[second]
    assert planted.looks(faulty=False)[first] != planted.looks(faulty=False)[second]
    listed = planted.label_list(faulty=True)
    swapped = [
        name for name, own in zip(listed, planted.NAMES, strict=True) if name != own
    ]
    assert set(swapped) == set(planted.SWAPPED)
