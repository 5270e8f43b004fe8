"""The contact sheet: an image's pixels are at its place; what is beside it can be read."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageFont

from dsi_cli.errors import OutputError, UsageError
from dsi_cli.views.contact_sheet import BLANK, BOX, MOST, _cut, _fonts, _heading, _wrapped, draw, require_png, save
from dsi_cli.views.mistakes import Asked, Listing, Mistake


def noise(width, height, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def listing(paths, truth="cat", prediction="dog", **fields):
    ranks = {"score": 0.5, "rank": 1.5, "wordnet_similarity": 0.1, "wordnet_rank": 3.0, "farness": 0.5} | fields
    rows = [Mistake(sample, path, truth, prediction, 0, 1, **ranks) for sample, path in enumerate(paths)]
    return Listing("mistakes", Asked("run", 3), "ncsm", 7, 6, len(rows), rows)


def tiny(path):
    return noise(28, 28, 1)


def drawn(**images):
    """Return the sheet of images by their path, and their pixels on it."""
    sheet = draw(listing(list(images)), images.__getitem__)
    return sheet, [np.asarray(sheet.image.crop(place)) for place in sheet.places]


def enlarged(image, factor):
    pixels = np.asarray(image.convert("RGB"))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


@pytest.mark.parametrize(("width", "height", "channels"), [(28, 28, 1), (32, 32, 3), (64, 64, 3), (50, 20, 3), (1, 1, 1)])
def test_a_tiny_image_is_enlarged_pixel_by_pixel(width, height, channels):
    image = noise(width, height, channels)
    _, (pixels,) = drawn(image=image)
    factor = BOX // max(width, height)
    assert factor >= 3
    assert_array_equal(pixels, enlarged(image, factor))


def test_an_image_of_the_box_stays_as_it_is():
    image = noise(BOX, BOX - 40)
    _, (pixels,) = drawn(image=image)
    assert_array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize(("size", "shown"), [((500, 375), (224, 168)), ((375, 500), (168, 224)), ((3000, 2), (224, 1))])
def test_a_large_image_is_scaled_down_in_its_aspect(size, shown):
    halves = Image.new("RGB", size, "red")
    halves.paste("blue", (size[0] // 2, 0, *size))
    _, (pixels,) = drawn(image=halves)
    assert pixels.shape[:2] == shown[::-1]
    assert_array_equal(pixels[:, : shown[0] // 2 - 8], np.broadcast_to([255, 0, 0], (shown[1], shown[0] // 2 - 8, 3)))
    assert_array_equal(pixels[:, shown[0] // 2 + 8 :][0, 0], [0, 0, 255])


@pytest.mark.parametrize("count", [1, 3, 5, 6, 20, 21, 70])
def test_all_images_are_there_row_by_row_and_nothing_overlaps(count):
    images = {f"{seed}.png": noise(28, 28, 1, seed) for seed in range(count)}
    sheet, pixels = drawn(**images)
    for found, image in zip(pixels, images.values(), strict=True):
        assert_array_equal(found, enlarged(image, 8))
    assert sheet.places == sorted(sheet.places, key=lambda place: (place[1], place[0]))
    width, height = sheet.image.size
    taken = np.zeros((height, width), bool)
    for left, top, right, bottom in sheet.places:
        assert 0 < left < right < width
        assert 0 < top < bottom < height - 80, "with room for the caption"
        assert not taken[top : bottom + 90, left:right].any()
        taken[top : bottom + 90, left:right] = True


def test_images_of_every_mode():
    clear = Image.new("RGBA", (28, 28), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 14, 28))
    deep = Image.fromarray((np.arange(28 * 28).reshape(28, 28) * 80).astype(np.uint16))
    palette = Image.new("P", (28, 28), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.info["transparency"] = 0
    flat = Image.new("F", (28, 28), 3.5)
    lossy = {mode: Image.new(mode, (28, 28)) for mode in ("1", "CMYK", "LA", "PA", "YCbCr", "I", "HSV")}
    sheet, pixels = drawn(clear=clear, deep=deep, palette=palette, flat=flat, **lossy)
    assert sheet.unopened == {}
    assert (pixels[0][0, 0].tolist(), pixels[0][0, -1].tolist()) == ([0, 0, 255], [255, 255, 255])
    assert (pixels[1].min(), pixels[1].max()) == (0, 255)
    assert np.all(np.diff(pixels[1][::8, ::8, 0].astype(int).ravel()) >= 0)
    assert pixels[2][0, 0].tolist() == [10, 20, 30]


def test_what_cannot_be_opened_is_grey_and_says_why():
    def opener(path):
        if path == "bad.png":
            raise UsageError("bad.png: expected an image, found a cat; feed it")
        return noise(28, 28)

    sheet = draw(listing(["good.png", "bad.png", None]), opener)
    assert sheet.unopened == {
        1: "expected an image, found a cat; feed it",
        2: "the predictions do not say where this image lies",
    }
    for at in (1, 2):
        tile = sheet.image.crop(sheet.places[at])
        assert tile.size == (BOX, BOX)
        colours = {colour: number for number, colour in tile.getcolors(10_000)}
        grey = tuple(bytes.fromhex(BLANK[1:]))
        assert colours[grey] > 0.8 * BOX * BOX
        assert len(colours) > 1, "there is text"


def test_captions_differ_and_stay_in_their_column():
    ink = []
    for fields in (
        {},
        {"prediction": "x" * 500},
        {"truth": "y z " * 100},
        {"rank": None},
        {"score": None},
        {"wordnet_rank": None},
    ):
        sheet = draw(listing(["a", "b"], **fields), tiny)
        (left, _, right, bottom), (after, *_) = sheet.places
        caption = np.asarray(sheet.image.convert("L"))[bottom + 1 :]
        assert (caption[:, left:right] < 128).any()
        assert (caption[:, right + 1 : after - 1] > 250).all(), "the gap is empty"
        ink.append(caption[:, left:right].tobytes())
    assert len(set(ink)) == len(ink)


def test_names_with_markup_and_control_characters():
    plain, marked, broken = (
        np.asarray(draw(listing(["a"], truth=truth), tiny).image)
        for truth in ("cat", "[bold]cat[/bold]", "cat\n\x1b[31m\u202e")
    )
    assert plain.shape == marked.shape == broken.shape
    assert not np.array_equal(plain, marked)


def test_all_is_said_in_grey():
    sheet = draw(listing(["a"], truth="été → Кот"), tiny)
    pixels = np.asarray(sheet.image)
    assert_array_equal(pixels[..., 0], pixels[..., 1])
    assert_array_equal(pixels[..., 0], pixels[..., 2])


def test_the_heading_says_what_these_are():
    title, key = (line.text for line in _heading(listing(["a"]), _fonts(), 2000))
    assert title == "run, epoch 3, test: 1 of 1 mistakes"
    assert key == (
        "Bold: the truth; →: the prediction; #: its rank. Furthest from the truth first;"
        " ranks from 1, the most similar to the truth, to 7 (WordNet: 6)."
    )


def test_a_listing_of_nothing():
    sheet = draw(listing([]), tiny)
    assert sheet.places == []
    assert (np.asarray(sheet.image) < 128).any(), "the title says so"


def test_more_than_a_sheet_holds():
    with pytest.raises(UsageError, match=rf"room for {MOST} images, found {MOST + 1}: ask for fewer with --most"):
        draw(listing(["a"] * (MOST + 1)), tiny)


def test_predictions_without_a_path():
    with pytest.raises(
        UsageError,
        match=r"^a contact sheet needs images, and these predictions name none: dsi analyze --test with image files",
    ):
        draw(listing([None, None]), tiny)


@pytest.mark.parametrize("name", ["a.jpg", "png", "a"])
def test_a_sheet_is_a_png(name, tmp_path):
    with pytest.raises(UsageError, match=r"expected a name that ends in .png, found '.*'"):
        require_png(tmp_path / name)
    require_png(tmp_path / "a.PNG")


def test_a_sheet_is_written_in_one_step_and_replaced(tmp_path):
    path = tmp_path / "sheet.png"
    path.write_bytes(b"old")
    sheet, _ = drawn(image=noise(28, 28))
    save(sheet, path)
    with Image.open(path) as found:
        assert_array_equal(np.asarray(found), np.asarray(sheet.image))
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]


def test_a_sheet_that_cannot_be_written(tmp_path):
    sheet, _ = drawn(image=noise(28, 28))
    with pytest.raises(OutputError, match=r"sheet.png could not be written: No such file or directory; .*--sheet"):
        save(sheet, tmp_path / "none" / "sheet.png")
    (tmp_path / "sheet.png").mkdir()
    with pytest.raises(OutputError, match=r"sheet.png could not be written: Is a directory"):
        save(sheet, tmp_path / "sheet.png")
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]


def test_the_same_listing_makes_the_same_sheet():
    first, second = (draw(listing(["a", "b"]), tiny) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()


@pytest.mark.parametrize(
    "text", ["", "short", "a longer text of several words that goes on and on and on and on", "x" * 300]
)
def test_text_is_cut_and_wrapped_to_its_width(text):
    font: ImageFont.FreeTypeFont = _fonts().plain
    cut = _cut(text, font, 200)
    assert font.getlength(cut) <= 200
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))
    lines = _wrapped(text, font, 200, 3)
    assert len(lines) <= 3
    assert all(font.getlength(line) <= 200 for line in lines)
    assert len(text) > 50 or lines == [text]
    assert " ".join(_wrapped(text, font, 200, 100)).replace(" ", "") == text.replace(" ", "")
