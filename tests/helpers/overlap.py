"""What no figure may do: let texts meet each other or a map, or leave its edges."""

from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return every visible text, without arrows, with its place in pixels, a little
    shrunk: edges may touch.
    """
    figure.set_dpi(100)
    figure.draw_without_rendering()
    hidden = _out_of_view(figure)
    seen = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text not in hidden and text.get_text().strip()
    ]
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in seen]
    return [
        (name, box.padded(-0.1 * min(box.height, box.width))) for name, box in boxes
    ]


def _out_of_view(figure: Figure) -> set[Text]:
    """Return the labels of ticks beyond an axis' ends, which are not drawn, and those
    of axes that are hidden.
    """
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            if not (axis.get_visible() and axes.axison):
                hidden |= set(axis.findobj(Text))
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    hidden |= {tick.label1, tick.label2}
    return hidden


def assert_clear(figure: Figure) -> None:
    """Assert that no text meets another or an image, and that all are within the
    figure.
    """
    found = texts(figure)
    assert found
    for (name, box), (other, beside) in combinations(found, 2):
        assert not box.overlaps(beside), f"{name!r} meets {other!r}"
    for legend in figure.legends:
        frame = legend.get_window_extent()
        assert not any(
            frame.overlaps(axes.get_window_extent()) for axes in figure.axes
        ), "the legend lies on axes"
    maps = [axes.get_window_extent() for axes in figure.axes if axes.images]
    edge = figure.bbox.padded(1)
    for name, box in found:
        assert not any(box.overlaps(image) for image in maps), f"{name!r} lies on a map"
        assert edge.x0 <= box.x0 <= box.x1 <= edge.x1, f"{name!r} leaves the figure"
        assert edge.y0 <= box.y0 <= box.y1 <= edge.y1, f"{name!r} leaves the figure"
