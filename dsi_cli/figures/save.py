"""Checks the options of figures, draws the figures and writes them in each format."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from dsi_cli.errors import UsageError, require_choice
from dsi_cli.figures import catalogue
from dsi_cli.figures import style as styles
from dsi_cli.figures.catalogue import (
    ANIMATION,
    ANIMATION_FORMATS,
    FIGURES,
    FORMATS,
    SCALES,
    FigureOptions,
)
from dsi_cli.figures.style import STYLES
from dsi_cli.queries import curve_panels
from dsi_cli.queries.run_classes import ORDERS
from dsi_cli.store import atomic_write
from dsi_cli.store.results import Results

# receives the stage, the number of completed steps and that of all steps
Progress = Callable[[str, int, int], None]
_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""Metadata that Matplotlib leaves out, so that equal tables give equal files."""


class DrawnFiles(NamedTuple):
    """The files of a request."""

    folder: Path
    files: tuple[Path, ...]
    # names of figures for which the results folder has no data
    without_data: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_options(results: Results, options: FigureOptions) -> None:
    """Raise `UsageError` if a run, or the measure, order, style or scale of some
    options, does not exist.
    """
    for name in options.names(results):
        results.epochs(name)  # raises if there is no such run
    if options.measure is not None:
        measures = curve_panels.sai_measures(results.curves)
        if not measures:
            message = (
                f"there is no measure {options.measure!r}: these results contain no SAI"
            )
            raise UsageError(message, code="unknown-measure", measure=options.measure)
        require_choice("measure", options.measure, measures, "there is no measure")
    require_choice("order", options.order, ORDERS, "there is no order")
    require_choice("style", options.style.name, STYLES, "there is no style")
    require_choice("scale", options.scale, SCALES, "there is no scale")


def parse_epochs(text: str | None) -> tuple[int, ...] | None:
    """Return the epochs of ``0,5,30`` or ``first:last:step``, or None for all; raise
    `UsageError` for other texts.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})(?::(\d{1,9}))?", text.strip())
    if match is not None and int(match[3] or 1) > 0:
        return tuple(range(int(match[1]), int(match[2]) + 1, int(match[3] or 1)))
    if re.fullmatch(r"\d{1,9}(\s*,\s*\d{1,9})*", text.strip()) is None:
        hint = "use epochs such as 0,5,30 or a range first:last:step"
        raise UsageError(
            f"--epochs {text!r} cannot be read; {hint}", code="bad-epochs", epochs=text
        )
    return tuple(int(part) for part in text.split(","))


def write(
    results: Results,
    names: Sequence[str],
    options: FigureOptions,
    formats: Sequence[str],
    folder: Path,
    progress: Progress = lambda *_: None,
) -> DrawnFiles:
    """Draw figures, all without names, and write each in each format, by default png,
    and gif for the animation.

    Raise `UsageError` if a figure or a format does not exist, and `OutputError` if a
    file could not be written.
    """
    # A format is for figures or for the animation, one of which must be requested.
    for form in formats:
        require_choice(
            "format", form, [*FORMATS, *ANIMATION_FORMATS], "there is no format"
        )
    figure_formats = [form for form in formats if form in FORMATS]
    animation_formats = [form for form in formats if form in ANIMATION_FORMATS]
    if animation_formats and ANIMATION not in names:
        form = animation_formats[0]
        message = f"only the animation can be written as {form}"
        raise UsageError(
            message,
            hint=f"run dsi plot OUT {ANIMATION} --format {form}",
            code="animation-format",
            format=form,
        )
    if figure_formats and set(names) == {ANIMATION}:
        form = figure_formats[0]
        message = f"the animation cannot be written as {form}"
        raise UsageError(
            message,
            hint=f"use one of {', '.join(ANIMATION_FORMATS)}",
            code="figure-format",
            format=form,
        )

    if names:
        specs = [
            catalogue.figure_spec(name)
            for name in dict.fromkeys(names)
            if name != ANIMATION
        ]
    else:
        specs = list(FIGURES)
    files: list[Path] = []
    without_data: list[str] = []
    for done, spec in enumerate(specs):
        progress("drawing figures", done, len(specs))
        with styles.using(options.style):
            figure = spec.draw(results, options)
            if figure is None:
                without_data.append(spec.name)
            else:
                files += [
                    save(figure, folder / f"{spec.name}.{form}", form)
                    for form in figure_formats or ["png"]
                ]
    progress("drawing figures", len(specs), len(specs))
    if ANIMATION not in names:
        return DrawnFiles(folder, tuple(files), tuple(without_data))

    from dsi_cli.figures import animation

    animations, notes = animation.animations(
        results, options, folder, animation_formats or ["gif"], progress
    )
    if not animations:
        without_data.append(ANIMATION)
    return DrawnFiles(folder, (*files, *animations), tuple(without_data), tuple(notes))


def save(figure: Figure, path: Path, form: str) -> Path:
    """Write a figure in the current style, and return its path; raise `OutputError` if
    it cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, metadata=_METADATA[form])
    atomic_write.write_atomically(path, buffer.getvalue())
    return path
