"""The clusters of classes of ``--clusters``."""

import pandas as pd
import pytest
from helpers.errors import raises

from dsi_cli.analysis.semantics.class_clusters import read_clusters
from dsi_cli.labels.presets import load_preset
from dsi_cli.queries.comparison.clusters import cluster_indices

CLASSES = pd.DataFrame(
    {
        "name": ["cat", "dog", "car", "bus", "rose", "rock"],
        "wnid": ["n1", "n2", "n3", "n4", "n5", None],
        "group": ["pet", "pet", "vehicle", "vehicle", None, "stone"],
    }
)


def test_cluster_indices_of_groups_give_ungrouped_classes_their_own():
    assert cluster_indices(CLASSES, "group").tolist() == [0, 0, 1, 1, 2, 3]


def test_cluster_indices_match_names_and_wordnet_ids():
    clusters = {"cat": "a", "n2": "a", "car": "b", "n4": "c", "rock": "c"}
    assert cluster_indices(CLASSES, clusters).tolist() == [0, 0, 1, 2, 3, 2]


@pytest.mark.parametrize("clusters", [{}, dict.fromkeys(CLASSES["name"], "all")])
def test_cluster_indices_of_too_few_or_single_classes_raises(clusters):
    with raises("bad-clusters"):
        cluster_indices(CLASSES, clusters)


def test_superclasses_of_cifar100_are_twenty_of_five():
    names = load_preset("cifar100").names
    found = read_clusters("superclass", names)
    sizes = pd.Series([found[name] for name in names]).value_counts()
    assert sizes.tolist() == [5] * 20
    assert read_clusters("group", names) == "group"
    with raises("no-superclasses"):
        read_clusters("superclass", ["cat", "dog"])


def test_read_clusters_of_a_file_has_its_superclasses(tmp_path):
    path = tmp_path / "clusters.csv"
    path.write_text("name,superclass\ncat,pet\ndog,pet\nrock,\n", encoding="utf-8")
    assert read_clusters(str(path), []) == {"cat": "pet", "dog": "pet"}
    path.write_text("name\ncat\ndog\n", encoding="utf-8")
    with raises("no-superclasses"):
        read_clusters(str(path), [])
