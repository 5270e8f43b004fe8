"""The confused pairs and mistakes of the page, and their images."""

import base64
import io

import numpy as np
import pytest
from helpers.outputs import write_counts, write_predictions
from PIL import Image

from dsi_cli.inference.open_dataset import image_at
from dsi_cli.queries.findings import run_findings
from dsi_cli.queries.mistakes import worst_mistakes
from dsi_cli.report import page_data
from dsi_cli.store.results import Results


@pytest.fixture
def run(make_results, tmp_path):
    """Epoch 1 has three mistakes, one of which has an image; no other epoch has
    predictions.
    """
    out = make_results(2)
    Image.new("RGB", (200, 100), (250, 0, 0)).save(tmp_path / "0.png")
    paths = [str(tmp_path / "0.png"), str(tmp_path / "gone.png"), None, None]
    write_predictions(out, [0, 1, 2, 0], [1, 2, 4, 0], path=paths, epoch=1)
    counts = np.zeros((8, 8), int)
    np.add.at(counts, ([0, 1, 2, 0], [1, 2, 4, 0]), 1)
    write_counts(out, counts, epoch=1)
    return Results(out)


def test_mistake_data_equals_the_queries(run):
    found = page_data.mistake_data(run, run_findings(run.path, "run"), None)
    assert (list(found), found["test"]["epoch"]) == (["test"], 1)
    expected = worst_mistakes(run, run="run", epoch=1)
    rows = found["test"]["mistakes"]["rows"]
    assert [row["sample"] for row in rows] == expected["sample"].tolist()
    assert {
        (row["truth_index"], row["prediction_index"]) for row in found["test"]["pairs"]
    } == {(0, 1), (1, 2), (2, 4)}


def test_mistake_data_contains_thumbnails_of_images_that_open(run):
    rows = page_data.mistake_data(run, run_findings(run.path, "run"), image_at)["test"][
        "mistakes"
    ]["rows"]
    images = {row["sample"]: row["image"] for row in rows}
    assert (images[1], images[2]) == (None, None)
    kind, text = images[0].split(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        assert image.size == (64, 32)
        assert image.getpixel((5, 5)) == (250, 0, 0)


def test_curves_offer_the_excess_of_a_measure_only_if_it_has_one(make_results):
    results = Results(make_results(1))
    found = [run_findings(results.path, "run")]
    names = [one["name"] for one in page_data.curves(results, found)["quantities"]]
    assert names[:3] == ["agreement", "excess_cosine", "sai_cosine"]
    is_cosine = results.curves["variant"] == "cosine"
    results.curves.loc[is_cosine, "excess"] = np.nan
    names = [one["name"] for one in page_data.curves(results, found)["quantities"]]
    assert names[:2] == ["agreement", "sai_cosine"]
