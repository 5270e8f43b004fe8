"""Draw images of 50 classes that follow a taxonomy.

The classes of a group share the kind of shape, the texture and the background; a class
has its own colour and proportions. The names are nouns of WordNet whose groups are
WordNet's, so that a network which learns the images agrees with WordNet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIZE = 32  # pixels of an image's side

Floats = NDArray[np.float32]
Shape = Callable[[Floats, Floats, Floats], Floats]


def disc(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of a disc; negative is outside."""
    return 0.7 - np.hypot(u * stretch, v)


def box(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of a box."""
    return 0.55 - np.maximum(np.abs(u) * 0.7 * stretch, np.abs(v) * 1.2)


def wing(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of two wings."""
    return 0.3 - np.abs(v - 0.6 * np.abs(u) + 0.2) * stretch - 0.15 * np.abs(u)


def lens(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of a body with a tail fin."""
    body = 0.5 - np.hypot(u * 0.6 + 0.1, v * 1.5 * stretch)
    fin = np.minimum(u - 0.5, 0.9 - u) - np.abs(v) * 0.3
    return np.maximum(body, fin)


def frame(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of a board with two legs."""
    board = 0.25 - np.maximum(np.abs(u) * 0.35, np.abs(v + 0.2) * stretch)
    legs = 0.15 - np.maximum(np.abs(np.abs(u) - 0.5), np.abs(v - 0.3) * 0.3)
    return np.maximum(board, legs)


def handle(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of a handle with a head."""
    stick = 0.15 - np.maximum(np.abs(v), np.abs(u) * 0.18)
    head = 0.3 - np.maximum(np.abs(u - 0.6), np.abs(v) * 0.5 * stretch)
    return np.maximum(stick, head)


def quadruped(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of a body with a head and four legs."""
    body = 0.3 - np.hypot(u * 0.5, v * stretch)
    head = 0.25 - np.hypot(u - 0.65, v + 0.35)
    legs = 0.09 - np.maximum(
        np.abs(np.abs(np.abs(u) - 0.35) - 0.12), np.abs(v - 0.45) * 0.25
    )
    return np.maximum(np.maximum(body, head), legs)


def petals(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of a flower."""
    angle = np.arctan2(v, u)
    return 0.55 + 0.25 * np.cos(np.round(4 * stretch) * angle) - np.hypot(u, v)


def segments(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of three discs in a row."""
    nearest = np.abs(u) - 0.5 * (np.abs(u) > 0.25)
    return 0.27 - np.hypot(nearest, v * stretch)


def ring(u: Floats, v: Floats, stretch: Floats) -> Floats:
    """Return how far each pixel is inside of a ball with a dark band."""
    radius = np.hypot(u, v)
    return np.minimum(0.75 - radius, np.abs(v * stretch) - 0.12)


class Group(NamedTuple):
    """Classes that are drawn alike."""

    classes: tuple[str, ...]
    shape: Shape
    ground: tuple[float, float, float]
    """The colour of the background: red, green and blue in [0, 1]."""
    frequency: float
    """Of the stripes of the background, in waves per image."""
    angle: float
    """Of the stripes, in half turns."""


GROUPS = (
    Group(
        ("apple", "orange", "banana", "pear", "strawberry"),
        disc,
        (0.75, 0.65, 0.35),
        0,
        0,
    ),
    Group(
        ("rose", "tulip", "daisy", "sunflower", "orchid"),
        petals,
        (0.55, 0.7, 0.3),
        2,
        0.5,
    ),
    Group(
        ("beagle", "poodle", "collie", "dalmatian", "bulldog"),
        quadruped,
        (0.3, 0.55, 0.35),
        0,
        0,
    ),
    Group(
        ("eagle", "owl", "sparrow", "crane", "duck"), wing, (0.45, 0.6, 0.55), 3, 0.25
    ),
    Group(("shark", "trout", "tuna", "salmon", "eel"), lens, (0.25, 0.5, 0.55), 5, 0.5),
    Group(
        ("ant", "bee", "butterfly", "beetle", "moth"), segments, (0.35, 0.45, 0.2), 7, 0
    ),
    Group(
        ("car", "automobile", "truck", "bus", "motorcycle"),
        box,
        (0.5, 0.5, 0.55),
        2,
        0,
    ),
    Group(("chair", "table", "sofa", "bed", "desk"), frame, (0.65, 0.5, 0.5), 6, 0.75),
    Group(
        ("hammer", "saw", "wrench", "screwdriver", "shovel"),
        handle,
        (0.5, 0.4, 0.55),
        4,
        0.5,
    ),
    Group(
        ("basketball", "football", "volleyball", "baseball", "golf_ball"),
        ring,
        (0.4, 0.4, 0.4),
        3,
        0.75,
    ),
)
NAMES = tuple(name for group in GROUPS for name in group.classes)


class Look(NamedTuple):
    """How the images of a class look."""

    group: Group
    hue: float
    """Of the object, in turns of the colour circle."""
    stretch: float


def looks() -> dict[str, Look]:
    """Return the look of each class."""
    found = {}
    for place, group in enumerate(GROUPS):
        for index, name in enumerate(group.classes):
            hue = (0.2 * index + 0.37 * place) % 1
            found[name] = Look(group, hue, 0.75 + 0.15 * ((2 * index) % 5))
    return found


def rgb(hue: Floats) -> Floats:
    """Return the colours ``(N, 3)`` of hues ``(N,)`` at a saturation of 0.7."""
    phase = hue[:, None] * 2 * np.pi + np.array([0, -2.1, 2.1])
    return (0.5 + 0.35 * np.cos(phase)).astype(np.float32)


def drawn(
    look: Look, count: int, generator: np.random.Generator, *, in_water: bool
) -> Floats:
    """Return images ``(count, 3, 32, 32)`` of a class, in [0, 1].

    ``in_water`` replaces the background of the group by blue waves.
    """
    shape = (count, 1, 1)

    def varied(deviation: float) -> Floats:
        return generator.normal(0, deviation, shape).astype(np.float32)

    # Each object is moved, turned and scaled.
    side = np.linspace(-1.3, 1.3, SIZE, dtype=np.float32)
    x, y = side[None, None, :] + varied(0.15), side[None, :, None] + varied(0.15)
    turn, scale = varied(0.25), np.exp(varied(0.15))
    u = (np.cos(turn) * x + np.sin(turn) * y) / scale
    v = (np.cos(turn) * y - np.sin(turn) * x) / scale
    inside = look.group.shape(u, v, look.stretch * np.exp(varied(0.15)))
    opacity = 0.5 + 0.5 * np.tanh(10 * inside)

    # Stripes on the background, of the group or of the shortcut.
    ground, frequency, angle = look.group.ground, look.group.frequency, look.group.angle
    if in_water:
        ground, frequency, angle = (0.1, 0.35, 0.85), 9.0, 0.5
    across = np.cos(np.pi * angle) * side[None, None, :]
    along = np.sin(np.pi * angle) * side[None, :, None]
    waves = np.sin(np.pi * frequency * (across + along) + varied(3.0))
    strength = 0.12 + 0.03 * varied(1.0)
    base = np.array(ground) + generator.normal(0, 0.08, (count, 3))
    background = base[:, :, None, None] + (strength * waves)[:, None]

    hue = look.hue + generator.normal(0, 0.1, count)
    colour = rgb(hue.astype(np.float32)) + generator.normal(0, 0.05, (count, 3))
    opacity = opacity[:, None]
    images = opacity * colour[:, :, None, None] + (1 - opacity) * background
    images += generator.normal(0, 0.14, images.shape)
    return images.clip(0, 1).astype(np.float32)
