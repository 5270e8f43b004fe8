"""From what a person asks for to files: which figures, checked options, and each figure in each format."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import UsageError, expected
from dsi_cli.figures import style as styles
from dsi_cli.figures.catalogue import FIGURES, FigureSpec, figure_spec
from dsi_cli.figures.figure_options import ANIMATION, FILMS, FORMATS, FigureOptions, Opener
from dsi_cli.figures.style import STYLES, Style
from dsi_cli.queries import curve_panels
from dsi_cli.queries.class_order import ORDERS
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dsi_cli.figures.animation import Animation
    from dsi_cli.store.results import Results


class DrawnFigure(NamedTuple):
    """What was made of a request."""

    folder: Path
    files: tuple[Path, ...]
    without_data: tuple[str, ...]
    """Names of figures that the output has nothing for."""
    films: tuple[Animation, ...] = ()
    """The animations among the files."""


def check_options(
    run: Results,
    runs: Sequence[str] | None,
    epochs: str | None = None,
    kind: str | None = None,
    measure: str | None = None,
    order: str = "taxonomy",
    style: str = "screen",
    columns: int = 1,
    open_image: Opener | None = None,
) -> FigureOptions:
    """Return a checked request.

    Raises
    ------
    UsageError
        A run, measure, order or style is none, or the epochs are not of a form that is read; the message says what there is.
    """
    names = list(dict.fromkeys(runs or run.names))
    for name in names:
        run.epochs(name)  # says so where there is no such run
    measures = curve_panels.sai_measures(run.curves)
    for what, value, known in (
        ("measure", measure, measures),
        ("order", order, ORDERS),
        ("style", style, STYLES),
    ):
        if value is not None and value not in known:
            raise UsageError(f"no {what} {value!r}: {expected(value, known) if known else 'this output has no SAI'}")
    return FigureOptions(tuple(names), _epochs(epochs), kind, measure, order, Style(style, columns), open_image)


def _epochs(text: str | None) -> tuple[int, ...] | None:
    """Return the epochs that ``0,5,30`` or ``first:last:step`` name."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})(?::(\d{1,9}))?", text.strip())
    if found is not None and int(found[3] or 1) > 0:
        return tuple(range(int(found[1]), int(found[2]) + 1, int(found[3] or 1)))
    if re.fullmatch(r"\d{1,9}(\s*,\s*\d{1,9})*", text.strip()) is None:
        raise UsageError(f"--epochs takes 0,5,30 or first:last:step; {text!r} is of neither form")
    return tuple(int(part) for part in text.split(","))


def absent(run: Results, request: FigureOptions) -> list[int]:
    """Return the epochs asked for that no run has."""
    there = {epoch for name in request.names(run) for epoch in run.epochs(name)}
    return [epoch for epoch in request.epochs or () if epoch not in there]


def write(
    run: Results,
    names: Sequence[str],
    request: FigureOptions,
    formats: Sequence[str],
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> DrawnFigure:
    """Draw figures and write each in each format, whole or not at all.

    Parameters
    ----------
    names : of `FIGURES`, or the animation; all figures if empty
    formats : png for figures and gif for the animation if there is none of theirs
    folder : made if it is not there
    progress : called with (stage, done, total)

    Raises
    ------
    UsageError
        A figure or a format is none.
    OutputError
        A file could not be written.
    """
    stills, moving = split_figures(names, formats)
    wanted = [figure_spec(name) for name in dict.fromkeys(names) if name != ANIMATION] or ([] if names else list(FIGURES))
    files: list[Path] = []
    without: list[str] = []
    for done, one in enumerate(wanted):
        progress("drawing figures", done, len(wanted))
        made = _written(run, one, request, stills, folder)
        files += made
        if not made:
            without.append(one.name)
    progress("drawing figures", len(wanted), len(wanted))
    if ANIMATION not in names:
        return DrawnFigure(folder, tuple(files), tuple(without))
    from dsi_cli.figures import animation

    films = animation.animations(run, request, folder, moving, progress)
    without += [] if films else [ANIMATION]
    return DrawnFigure(folder, (*files, *(film.path for film in films)), tuple(without), tuple(films))


def split_figures(names: Sequence[str], formats: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the formats of figures and of the animation.

    Raises
    ------
    UsageError
        One is none, or is of no use for what is drawn.
    """
    stills, moving = ([form for form in formats if form in known] for known in (FORMATS, FILMS))
    for form in formats:
        if form not in (*FORMATS, *FILMS):
            raise UsageError(f"no format {form!r}: {expected(form, [*FORMATS, *FILMS])}")
    if moving and ANIMATION not in names:
        raise UsageError(f"{moving[0]} is for the animation: dsi plot OUT {ANIMATION} --format {moving[0]}")
    if stills and set(names) == {ANIMATION}:
        raise UsageError(f"the {ANIMATION} is written as {', '.join(FILMS)}, not as {stills[0]}: choose one of these")
    return stills or ["png"], moving or ["gif"]


def with_data(
    run: Results, request: FigureOptions, progress: Callable[[str, int, int], None] = lambda *_: None
) -> set[str]:
    """Return the names of the figures that a request has data for, which drawing them tells; ``progress`` as for `write`."""
    found = set()
    for done, one in enumerate(FIGURES):
        progress("looking for data", done, len(FIGURES))
        with styles.using(request.style):
            found |= {one.name} if one.draw(run, request) is not None else set()
    return found | ({ANIMATION} if "heatmaps" in found else set())


def _written(run: Results, spec: FigureSpec, request: FigureOptions, formats: Sequence[str], folder: Path) -> list[Path]:
    with styles.using(request.style):
        figure = spec.draw(run, request)
        return [] if figure is None else [save(figure, folder / f"{spec.name}.{form}", form) for form in formats]


_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""So that the same tables give the same bytes."""


def save(figure: Figure, path: Path, form: str) -> Path:
    """Write a figure whole or not at all, and return its path; the settings are those of the style that is in use.

    Raises
    ------
    OutputError
        The file could not be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, metadata=_METADATA[form])
    atomic_write.write_atomically(path, buffer.getvalue())
    return path
