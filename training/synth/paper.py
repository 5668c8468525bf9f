"""What lines are written on, and the colour of their ink."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from training.synth.pixels import Field, to_field
from training.synth.rolls import Rolls

Colour = Field  # RGB, float32 [3], 0 to 255
_LUMA = to_field([0.299, 0.587, 0.114])


def luminance(colour: Colour) -> float:
    """Brightness of an RGB colour, 0 to 255."""
    return float(colour @ _LUMA)


def make_paper(weights: Mapping[str, float], height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    """A background of one of PAPERS by weight, float32 [height, width, 3] from 0 to 255, and a colour of ink for it."""
    name = rolls.dice.choices(tuple(weights), tuple(weights.values()))[0]
    return PAPERS[name](height, width, rolls)


def _grey(rolls: Rolls, low: float, high: float, tint: float) -> Colour:
    level = rolls.between(low, high)
    return to_field(np.clip(level + tint * rolls.normal(3), 0, 255))


def _colour(rolls: Rolls, low: float, high: float) -> Colour:
    """Any hue with a luminance in the given range."""
    colour = to_field([rolls.between(0, 255) for _ in range(3)])
    wanted = rolls.between(low, high)
    mix = rolls.between(0.3, 1)
    return to_field(np.clip(mix * (colour - luminance(colour)) + wanted, 0, 255))


def _dark_ink(rolls: Rolls) -> Colour:
    """Black or nearly, and now and then a coloured pen."""
    return _colour(rolls, 20, 110) if rolls.happens(0.15) else _grey(rolls, 0, 70, 5)


def _contrasting(paper: Colour, rolls: Rolls, least: float) -> Colour:
    """A colour whose luminance is at least so far from the paper's, on the side with more room more often."""
    base = luminance(paper)
    dark_room, light_room = base - least, 255 - least - base
    darker = light_room <= 0 or (dark_room > 0 and rolls.happens(max(dark_room, 0) / (max(dark_room, 0) + light_room)))
    return _colour(rolls, 0, max(dark_room, 0)) if darker else _colour(rolls, min(255, base + least), 255)


def _flat(height: int, width: int, colour: Colour) -> Field:
    return np.full((height, width, 3), colour, np.float32)


def _white(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    paper = np.full(3, 255, np.float32) if rolls.happens(0.5) else _grey(rolls, 225, 255, 3)
    return _flat(height, width, paper), _dark_ink(rolls)


def _aged(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    """Book pages and copies: grey or yellowish, stained, grained."""
    paper = _grey(rolls, 150, 240, 2) * to_field([1, rolls.between(0.94, 1), rolls.between(0.8, 1)])
    stains = rolls.between(0, 9) * rolls.field(height, width, height * rolls.between(0.5, 3))
    return _flat(height, width, paper) + stains[..., None], _grey(rolls, 10, 80, 4)


def _tinted(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    paper = _colour(rolls, 150, 245)
    canvas = _flat(height, width, paper)
    if rolls.happens(0.2):  # guilloche of forms and notes
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        period = rolls.between(5, 16)
        waves = np.sin((rows + rolls.between(2, 6) * np.sin(columns / rolls.between(8, 40))) * (2 * np.pi / period))
        canvas -= (rolls.between(4, 22) * (waves > 0.6))[..., None] * (255 - _colour(rolls, 100, 200)) / 255
    return canvas, _contrasting(paper, rolls, 70) if rolls.happens(0.4) else _dark_ink(rolls)


def _dark(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    paper = _grey(rolls, 0, 60, 4) if rolls.happens(0.5) else _colour(rolls, 10, 90)
    ink = _grey(rolls, 190, 255, 3) if rolls.happens(0.6) else _colour(rolls, luminance(paper) + 80, 250)
    return _flat(height, width, paper), ink


def _any_flat(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    paper = _colour(rolls, 10, 250)
    return _flat(height, width, paper), _contrasting(paper, rolls, 70)


def _scene(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    """A painted or lit surface: one colour with gradient, grain and dirt; ink that may stand out little."""
    paper = _colour(rolls, 15, 245)
    canvas = _flat(height, width, paper)
    canvas += rolls.between(2, 16) * rolls.field(
        height, width, height * rolls.between(0.4, 2), 3 if rolls.happens(0.4) else 1
    ).reshape(height, width, -1)
    if rolls.happens(0.35):
        canvas += rolls.between(1, 7) * rolls.field(height, width, rolls.between(1.5, 5)).reshape(height, width, 1)
    if rolls.happens(0.12):
        canvas = 0.6 * canvas + 0.4 * _photo_picture(height, width, rolls)
    return canvas, _contrasting(paper, rolls, rolls.between(45, 110) if rolls.happens(0.5) else rolls.between(100, 125))


def _photo_picture(height: int, width: int, rolls: Rolls) -> Field:
    """Smooth colours, shapes with soft and hard edges, and grain: like a frame of a film out of focus."""
    rows, columns = 24, max(24, round(24 * width / height))
    small = _flat(rows, columns, _colour(rolls, 10, 220))
    small += rolls.between(8, 35) * rolls.field(rows, columns, rolls.between(6, 20), 3)
    for _ in range(rolls.dice.randint(0, 6)):
        colour = _colour(rolls, 0, 230).tolist()
        center = rolls.dice.randrange(columns), rolls.dice.randrange(rows)
        axes = rolls.dice.randint(2, 20), rolls.dice.randint(1, 16)
        cv2.ellipse(small, center, axes, rolls.between(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    if rolls.happens(0.6):
        small = to_field(cv2.GaussianBlur(small, (0, 0), rolls.between(0.6, 3)))
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return large + rolls.between(0, 8) * rolls.field(height, width, rolls.between(1, 4)).reshape(height, width, 1)


def _photo(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    """Film behind subtitles: the ink is white or yellow as a rule."""
    ink = _grey(rolls, 225, 255, 3)
    if rolls.happens(0.2):
        ink = to_field([rolls.between(220, 255), rolls.between(190, 240), rolls.between(0, 120)])
    elif rolls.happens(0.1):
        ink = _colour(rolls, 60, 220)
    return _photo_picture(height, width, rolls) * np.float32(rolls.between(0.4, 1)), ink


_PLATES = {"blue": (20, 60, 170), "green": (60, 190, 110), "yellow": (235, 180, 20), "white": (235, 235, 235)}


def _plate(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    """Number plates: white on blue, black on yellow, green or white."""
    kind = rolls.dice.choices(tuple(_PLATES), (12, 3, 2, 1))[0]
    # Cameras and headlights make of the one blue anything from cyan to nearly black.
    canvas = _flat(height, width, to_field(_PLATES[kind]) * to_field(rolls.between(0.4, 1.15)) + 18 * rolls.normal(3))
    if kind == "green":
        canvas += np.linspace(130, 0, height, dtype=np.float32)[:, None, None]
    canvas += rolls.between(0, 12) * rolls.field(height, width, height / 2).reshape(height, width, 1)
    ink = np.full(3, 245, np.float32) if kind == "blue" else np.full(3, 25, np.float32)
    return canvas, ink


def _thermal(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    paper = _grey(rolls, 190, 252, 2) * to_field([1, 1, rolls.between(0.9, 1)])
    ink = _grey(rolls, 20, luminance(paper) - 55, 3) if rolls.happens(0.6) else _grey(rolls, 10, 80, 3)
    return _flat(height, width, paper), ink


def _sleeve(height: int, width: int, rolls: Rolls) -> tuple[Field, Colour]:
    """Round tubes and labels of machines: white, yellow or grey, darker towards the edges."""
    paper = _colour(rolls, 120, 200) * to_field([1.1, 1, 0.4]) if rolls.happens(0.3) else _grey(rolls, 120, 245, 4)
    bend = np.linspace(-1, 1, height, dtype=np.float32) + rolls.between(-0.5, 0.5)
    canvas = _flat(height, width, np.clip(paper, 0, 255)) - (rolls.between(0, 60) * bend**2)[:, None, None]
    return canvas, _grey(rolls, 5, 90, 4)


PAPERS: Mapping[str, Callable[[int, int, Rolls], tuple[Field, Colour]]] = {
    "white": _white,
    "aged": _aged,
    "tinted": _tinted,
    "dark": _dark,
    "flat": _any_flat,
    "scene": _scene,
    "photo": _photo,
    "plate": _plate,
    "thermal": _thermal,
    "sleeve": _sleeve,
}
