"""The orders in which classes are shown, and the groups among them."""

import numpy as np
from helpers.analysed_runs import Analysed
from scipy.cluster.hierarchy import leaves_list

from dsi_cli.queries import run_classes


def test_taxonomy_is_the_tables_display_order(analysed: Analysed):
    classes = analysed.run.classes.query("run == 'cifar100-cnn'").sample(frac=1, random_state=0)
    order = run_classes.taxonomy_order(classes)
    place = classes.set_index("class_index")["display_order"]
    assert [place[index] for index in order] == list(range(100))


def test_a_cluster_holds_together_in_the_order_of_its_leaves():
    generator = np.random.default_rng(0)
    member = np.array([0, 1, 2] * 4)
    values = np.where(member[:, None] == member[None, :], 0.9, 0.1) + 0.01 * generator.random((12, 12))
    order = run_classes.cluster_order(values)
    assert sorted(order) == list(range(12))
    assert np.count_nonzero(np.diff(member[order])) == 2
    np.testing.assert_array_equal(order, leaves_list(run_classes.clustering(values)))


def test_a_class_that_a_matrix_lacks_and_an_asymmetric_one_do_no_harm():
    values = np.random.default_rng(1).random((6, 6))
    values[2] = np.nan
    assert sorted(run_classes.cluster_order(values)) == list(range(6))
    assert run_classes.cluster_order(values[:1, :1]).tolist() == [0]
