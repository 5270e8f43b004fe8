"""What the page holds about class vectors."""

import numpy as np
import pytest
import torch
from helpers.outputs import heads

import dsi_cli
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.report import classes


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("geometry")
    for epoch, weight in enumerate(heads(3)):
        (folder / "run").mkdir(exist_ok=True)
        torch.save({"fc.weight": weight, "fc.bias": torch.arange(8.0)}, folder / "run" / f"epoch_{epoch}.pt")
    analyze([folder / "run"], folder / "out", Options(draws=0, permutations=0))
    return dsi_cli.open_results(folder / "out")


def test_geometry_data_lists_the_longest_vector_first(results):
    data = classes.geometry_data(results, "run")
    norms = np.stack([weight.norm(dim=1).numpy() for weight in heads(3)], axis=1)
    assert [row[0] for row in data["classes"]] == np.argsort(-norms[:, -1]).tolist()
    assert (data["epochs"], data["features"], data["count"]) == ([0, 1, 2], 8, 8)
    for index, shown, bias, previous, drift in data["classes"]:
        assert shown == pytest.approx(norms[index], rel=1e-3)
        assert bias == index
        assert 0 < previous < 180
        assert 0 < drift < 180


def test_geometry_data_of_many_classes_has_both_ends(results, monkeypatch):
    monkeypatch.setattr(classes, "MAX_CLASSES", 4)
    monkeypatch.setattr(classes, "MAX_EPOCHS", 2)
    data = classes.geometry_data(results, "run")
    falling = np.argsort(-heads(3)[-1].norm(dim=1).numpy())
    assert [row[0] for row in data["classes"]] == [*falling[:2], *falling[-2:]]
    assert (data["epochs"], data["count"]) == ([0, 2], 8)
