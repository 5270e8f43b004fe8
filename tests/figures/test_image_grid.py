"""The grid of images: the image and the caption of each tile."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from helpers.overlap import assert_clear
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.testing import assert_array_equal
from PIL import Image

from dsi_cli.errors import UsageError
from dsi_cli.figures.image_grid import MAX_NAME_LENGTH, grid, save
from dsi_cli.figures.style import Style, using

STYLE = Style("screen", 2)


def noise(width, height, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    )


def listing(paths, truth="cat", prediction="dog", reference="WordNet", **fields):
    frame = pd.DataFrame({"sample": range(len(paths)), "path": paths})
    values = {
        "truth": truth,
        "prediction": prediction,
        "score": 0.5,
        "rank": 1.5,
        "wordnet_rank": 3.0,
    }
    frame = frame.assign(**values | fields)
    frame.attrs = {
        "title": f"run, epoch 3, test: {len(paths)} mistakes",
        "legend": "furthest from the truth first",
        "own": "ncsm",
        "reference": reference,
    }
    return frame


def tiny(path):
    return noise(28, 28, 1)


def drawn(listed, open_image):
    """Return the tiles (axes) of a grid, the reasons for missing images, and the grid's
    pixels.
    """
    with using(STYLE):
        figure, unopened = grid(listed, open_image, STYLE)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return figure.axes, unopened, np.asarray(canvas.buffer_rgba())[..., :3]


def caption(axes):
    return [axes.get_title(loc="left"), *axes.get_xlabel().split("\n")]


@pytest.mark.parametrize("count", [1, 3, 5, 6, 20])
def test_grid_shows_all_images_row_by_row_without_overlap(count):
    images = {f"{seed}.png": noise(28, 28, 1, seed) for seed in range(count)}
    tiles, unopened, _ = drawn(listing(list(images)), images.__getitem__)
    assert (len(tiles), unopened) == (count, {})
    for axes, image in zip(tiles, images.values(), strict=True):
        (shown,) = axes.images
        assert_array_equal(np.asarray(shown.get_array())[..., 0], np.asarray(image))
        assert shown.get_interpolation() == "nearest"
    boxes = [axes.get_position() for axes in tiles]
    assert boxes == sorted(boxes, key=lambda box: (-round(box.y0, 6), box.x0))
    for box, after in pairwise(boxes):
        assert after.x0 >= box.x1 - 1e-9 or after.y1 <= box.y0 + 1e-9


def test_grid_opens_images_of_every_mode():
    clear = Image.new("RGBA", (28, 28), (255, 0, 0, 0))
    deep = Image.fromarray((np.arange(28 * 28).reshape(28, 28) * 80).astype(np.uint16))
    palette = Image.new("P", (28, 28), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    lossy = {
        mode: Image.new(mode, (28, 28))
        for mode in ("1", "CMYK", "LA", "PA", "YCbCr", "I", "HSV", "F")
    }
    images = {"clear": clear, "deep": deep, "palette": palette, **lossy}
    tiles, unopened, _ = drawn(listing(list(images)), images.__getitem__)
    assert unopened == {}
    shown = {
        name: np.asarray(axes.images[0].get_array())
        for name, axes in zip(images, tiles, strict=True)
    }
    assert shown["clear"][0, 0, 3] == 0, "transparent parts show the paper"
    assert_array_equal(shown["deep"], np.asarray(deep), "all 16 bits are shown")
    assert shown["palette"][0, 0].tolist() == [10, 20, 30, 255]


def test_grid_shows_why_an_image_cannot_be_opened():
    def opener(path):
        if path == "bad.png":
            raise UsageError("bad.png", code="no-image", reason="a cat was found")
        return noise(28, 28)

    tiles, unopened, _ = drawn(listing(["good.png", "bad.png", None]), opener)
    assert unopened == {
        1: "a cat was found",
        2: "the predictions contain no path of this image",
    }
    (text,) = tiles[1].texts
    assert text.get_text() == "no image\na cat was found"
    assert not tiles[1].images


def test_grid_caption_holds_truth_prediction_ranks_and_score():
    (axes, *_), _, _ = drawn(listing(["a"]), tiny)
    assert caption(axes) == [
        "cat",
        "→ dog",
        "NCSM #1.5 · WordNet #3",
        "score 0.500 · sample 0",
    ]
    assert (
        caption(drawn(listing(["a"], reference="kinds"), tiny)[0][0])[2]
        == "NCSM #1.5 · kinds #3"
    )
    (axes, *_), _, _ = drawn(
        listing(["a"], rank=None, wordnet_rank=None, score=None), tiny
    )
    assert caption(axes)[2:] == ["no rank", "sample 0"]


@pytest.mark.parametrize(
    "truth", ["y z " * 100, "W" * 60, "$x^2$ [bold]cat", "cat\n\x1b[31m\u202e"]
)
def test_grid_cuts_names_and_keeps_them_in_their_tile(truth):
    tiles, _, _ = drawn(listing(["a", "b", "c", "d"], truth=truth), tiny)
    name = caption(tiles[0])[0]
    assert len(name) <= MAX_NAME_LENGTH
    assert name.isprintable()
    assert_clear(tiles[0].figure)


def test_grid_heading_describes_the_listing_which_needs_paths():
    figure = drawn(listing(["a"]), tiny)[0][0].figure
    assert figure.get_suptitle() == "run, epoch 3, test: 1 mistakes"
    assert (
        " ".join(figure.get_supxlabel().split())
        == "The true class is bold, → is the prediction, and # is its rank. Furthest"
        " from the truth first."
    )
    with raises("no-image-paths", UsageError):
        grid(listing([None, None]), tiny, STYLE)


def test_save_writes_in_one_step_and_the_same_bytes_again(tmp_path):
    path = tmp_path / "sheet.png"
    path.write_bytes(b"old")
    assert save(listing(["a"]), tiny, path) == {}
    first = path.read_bytes()
    save(listing(["a"]), tiny, path)
    assert (path.read_bytes(), [file.name for file in tmp_path.iterdir()]) == (
        first,
        ["sheet.png"],
    )
