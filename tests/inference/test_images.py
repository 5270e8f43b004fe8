"""Decoding one image: modes kept, handles closed, reasons in one line."""

import gc
import io
import warnings

import numpy as np
import pytest
from PIL import Image

from dsi_cli.inference.image_folder import open_bytes, open_file, reason_not_decoded


def _encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_the_colour_mode_is_the_files(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    image = open_file(tmp_path / "a.png")
    assert (image.mode, image.size) == (mode, (4, 3))


@pytest.mark.parametrize(("kind", "mode"), [("GIF", "P"), ("TIFF", "RGB"), ("WEBP", "RGB"), ("PNG", "RGB")])
def test_the_first_frame_of_several_is_read_and_the_file_closed(tmp_path, kind, mode):
    frames = [Image.new(mode, (8, 8), value) for value in (1, 2)]
    path = tmp_path / "a"
    path.write_bytes(_encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        image = open_file(path).convert("RGB")
        gc.collect()
    assert image.size == (8, 8)


def test_an_image_is_what_pillow_reads(colour_images):
    path = next((colour_images / "apple").iterdir())
    with Image.open(path) as expected:
        np.testing.assert_array_equal(np.asarray(open_file(path)), np.asarray(expected))
    np.testing.assert_array_equal(np.asarray(open_bytes(path.read_bytes())), np.asarray(open_file(path)))


def _error(function, *args):
    with pytest.raises((OSError, Image.DecompressionBombError), match=r"\w") as caught:
        function(*args)
    return reason_not_decoded(caught.value)


def test_reason_not_decoded_is_one_line(tmp_path, monkeypatch):
    whole = _encoded(Image.effect_noise((64, 64), 90), "JPEG")
    assert _error(open_bytes, b"not an image") == "not an image that Pillow can read"
    assert _error(open_bytes, b"") == "not an image that Pillow can read"
    assert "truncated" in _error(open_bytes, whole[: len(whole) // 2])
    assert _error(open_file, tmp_path / "missing.png") == "No such file or directory"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "decompression bomb" in _error(open_bytes, whole)
