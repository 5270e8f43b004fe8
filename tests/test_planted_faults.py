"""Of the trainings with planted faults in ``examples/planted``, every fault is found in
its kind; of their clean twin, nothing is.
"""

import pytest
from helpers.example_scripts import EXAMPLES, example_module

from dsi_cli import open_results
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.suspect_kinds import STRONG

FIRST = 3  # ranks of a kind that are listed by default


@pytest.fixture(scope="module")
def planted():
    """The script of the example, as a module."""
    with example_module("planted_faults") as module:
        yield module


@pytest.fixture(scope="module")
def suspects_of(tmp_path_factory):
    """Return the kind, the names, the rank and the grade of each suspect."""

    def find(name):
        folder, out = EXAMPLES / "planted", tmp_path_factory.mktemp(name) / "out"
        options = Options(draws=0, mapping=str(folder / f"{name}.csv"))
        analyze([folder / name], out, options)
        results = open_results(out)
        names = results.rows_of("classes", results.names[0])["name"]
        return [
            (row.kind, frozenset(names.iloc[list(row.members)]), row.rank, row.grade)
            for row in results.suspects().itertuples()
        ]

    return find


def test_suspects_of_planted_faults_are_the_first_of_their_kind(planted, suspects_of):
    found = suspects_of("faulty")
    expected = {
        (kind, frozenset(names))
        for kind, groups in planted.FAULTS.items()
        for names in groups
    }
    first = {(kind, names) for kind, names, rank, _ in found if rank <= FIRST}
    assert expected <= first
    # Grades may be lower, but nothing else has the highest.
    strong = {(kind, names) for kind, names, _, grade in found if grade == STRONG}
    assert strong <= expected


def test_suspects_of_the_clean_twin_are_not_strong(suspects_of):
    """Not even car and automobile, two classes whose names say that they are one."""
    found = suspects_of("clean")
    assert found
    assert STRONG not in {grade for *_, grade in found}


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
