"""Draw the pictures of the README and the docs with dsi's own figures, from the results
of ``dsi demo`` and of ``examples/planted/faulty``: make figures.

Each is a PNG of few colours, at twice the resolution at which the pages show it. Equal
tables and libraries give equal bytes.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from PIL import Image

from dsi_cli import open_results
from dsi_cli.figures.catalogue import FigureOptions, figure_spec
from dsi_cli.figures.style import (
    GROUP_COLOURS,
    NEGATIVE_COLOURS,
    NO_VALUE,
    POSITIVE_COLOURS,
    Style,
    using,
)

IMAGES = Path(__file__).parent / "images"
EXAMPLES = Path(__file__).parents[1] / "examples"
CNN, VIT = "cifar100-cnn", "cifar100-vit"
DOTS_PER_INCH, COLOURS, MAX_BYTES = 200, 192, 200_000


class Picture(NamedTuple):
    """A figure of the catalogue with its options."""

    name: str
    options: FigureOptions
    file: str = ""

    @property
    def path(self) -> Path:
        """The path of the picture."""
        return IMAGES / f"{self.file or self.name}.png"


BOTH = FigureOptions((CNN, VIT))
PICTURES = (
    Picture("agreement", BOTH, "alignment"),
    Picture("scatter", BOTH),
    Picture("wsi", BOTH),
    Picture("idm_errors", BOTH),
    Picture("heatmaps", FigureOptions((CNN,), (0, 1, 30))),
    Picture(
        "heatmaps", FigureOptions((VIT,), (1, 5, 30), kind="ccsm"), "heatmaps-ccsm"
    ),
    Picture("dendrogram", FigureOptions((CNN,))),
)
ALIGNMENT = PICTURES[0].path
MAPS = ("heatmaps", "dendrogram", "scatter")  # in the colours of `map_palette`


def map_palette() -> Image.Image:
    """Return an image with the colours of maps, groups and greys: those that Pillow
    chooses would merge groups.
    """
    steps = np.linspace(0, 1, 16)
    maps = [
        LinearSegmentedColormap.from_list("dsi", colours)(steps)[:, :3]
        for colours in (POSITIVE_COLOURS, NEGATIVE_COLOURS)
    ]
    greys = np.repeat(np.linspace(0, 1, 32)[:, None], 3, axis=1)
    colours = np.vstack([*maps, list(map(to_rgb, (*GROUP_COLOURS, NO_VALUE))), greys])
    image = Image.new("P", (1, 1))
    image.putpalette(np.round(255 * colours).astype(np.uint8).tobytes())
    return image


NUMBERED = [
    *(".headline", "#hero", ".tiles"),
    *(".suspects", "#small-matrices", ".limits"),
]
"""The parts of the first screen, which docs/report.md explains by number."""
ADD_NUMBERS = """parts => parts.forEach((part, index) => {
    const badge = document.createElement("b");
    badge.textContent = index + 1;
    const box = document.querySelector(part).getBoundingClientRect();
    badge.style = `position: absolute; left: 2px; top: ${box.top + scrollY}px; width: 26px; line-height: 26px; z-index: 9;
        border-radius: 13px; text-align: center; color: white; background: #c2185b; font-size: 16px`;
    document.body.append(badge);
})"""


def report_pictures(out: Path) -> None:
    """Take pictures of the first screen of the report by the system's Chromium: light,
    dark, and with numbered parts.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, scheme, height in (
            ("light", "light", 1180),
            ("dark", "dark", 1180),
            ("numbered", "light", 2100),
        ):
            page = browser.new_page(
                viewport={"width": 1280, "height": height},
                device_scale_factor=2,
                color_scheme=scheme,
            )
            page.goto((out / "report.html").resolve().as_uri())
            page.wait_for_selector("canvas")
            page.wait_for_timeout(1000)
            if name == "numbered":
                page.evaluate(ADD_NUMBERS, NUMBERED)
            with Image.open(io.BytesIO(page.screenshot())) as image:
                pixels = image.convert("RGB").quantize(
                    COLOURS, dither=Image.Dither.NONE
                )
            pixels.save(IMAGES / f"report-{name}.png", optimize=True)
        browser.close()


ROW_IMAGES = 6  # images of each class in the picture of planted faults


def planted_images() -> None:
    """Draw images of the classes with planted faults, a row per class."""
    from matplotlib import pyplot as plt

    sys.path.insert(0, str(EXAMPLES))
    import planted_faults as planted

    looks = planted.looks(faulty=True)
    shown = (*planted.DUPLICATE, *planted.LOOK_ALIKE, "owl", "hammer")
    rows = [*shown, *planted.SHORTCUT, *planted.SWAPPED]
    generator = np.random.default_rng(0)
    figure, axes = plt.subplots(
        len(rows) // 2, 2, figsize=(9, 0.85 * len(rows) / 2), layout="constrained"
    )
    for axis, name in zip(axes.flat, rows, strict=True):
        in_water = name in planted.SHORTCUT
        images = planted.drawn(looks[name], ROW_IMAGES, generator, in_water=in_water)
        axis.imshow(np.concatenate(images.transpose(0, 2, 3, 1), axis=1))
        axis.set_axis_off()
        axis.text(-4, 16, name, ha="right", va="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DOTS_PER_INCH // 2)
    plt.close(figure)
    with Image.open(buffer) as image:
        pixels = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    pixels.save(IMAGES / "planted-images.png", optimize=True)


def suspects_picture(out: Path) -> None:
    """Take a picture of the suspects at the top of a report."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(
            viewport={"width": 1000, "height": 1200},
            device_scale_factor=2,
            color_scheme="light",
        )
        page.goto((out / "report.html").resolve().as_uri())
        page.wait_for_selector(".suspect canvas")
        picture = page.locator(".suspects").screenshot()
        browser.close()
    with Image.open(io.BytesIO(picture)) as image:
        pixels = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    pixels.save(IMAGES / "suspects.png", optimize=True)


def main(out: Path, planted: Path) -> None:
    results = open_results(out)
    report_pictures(out)
    planted_images()
    suspects_picture(planted)
    for picture in PICTURES:
        with using(Style("screen")):
            figure = figure_spec(picture.name).draw(results, picture.options)
            assert figure is not None
            buffer = io.BytesIO()
            figure.savefig(buffer, dpi=DOTS_PER_INCH)
        with Image.open(buffer) as image:
            pixels = image.convert("RGB")
        palette = map_palette() if picture.name in MAPS else None
        pixels.quantize(COLOURS, palette=palette, dither=Image.Dither.NONE).save(
            picture.path, optimize=True
        )
        assert picture.path.stat().st_size <= MAX_BYTES, picture.path


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
