"""Whether a page lies on its side or upside down, from the lines that were found on it.

Long lines of an upright page are wide; where most are high, the page is on its side, or its text runs downwards. Which
way up is told by a small classifier that knows text upside down, from as few of the longest lines as decide it.

Columns of Chinese are read as surely as lines when they are turned on their side, as recognisers learn from both. What
tells them from a page on its side is that their characters stand upright one below the other: put side by side they
can be read as well, and pieces of lines that lie on their side cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import mean

from ocr_core.layout.stacked import side_by_side
from ocr_core.preprocess import crop_line, turned
from ocr_core.types import Image, LineCrop, Point, Polygon

UpsideDown = Callable[[LineCrop], float]
"""Probability that a level line crop is upside down."""

Sureness = Callable[[LineCrop], float]
"""Confidence with which a level line crop is read, in [0, 1]."""

# In natural logarithms of odds. On 31 pages one line in twenty was clearly wrong, and never the first two of a page.
_CLEAR = 3.0
_UPRIGHT, _UPSIDE_DOWN = -3.0, 6.0
_MOST_LINES = 9

_READ_LINES = 5
_READABLE = 0.5
_BETTER = 0.2
_MOST_CHARACTERS = 8

_LONG = 2.0
"""Lines at least so many times as long as high tell which way they run."""

_Sides = tuple[float, float]


def quarters_to_upright(image: Image, polygons: Sequence[Polygon], upside_down: UpsideDown, sureness: Sureness) -> int:
    """By how many quarters clockwise the page has to be turned to be upright, 0 to 3. polygons: of its lines."""
    sides = [(_sides(polygon), polygon) for polygon in polygons]
    long = sorted((each for each in sides if _is_long(*each[0])), key=lambda each: -max(each[0]))
    high = [(height, polygon) for (width, height), polygon in long if height > width]
    wide = [(width, polygon) for (width, height), polygon in long if height <= width]
    if sum(height for height, _ in high) <= sum(width for width, _ in wide):
        lines = (crop_line(image, polygon) for _, polygon in wide)
        return 2 if _is_upside_down(lines, upside_down, sureness) else 0
    return _quarters_of_side([crop_line(image, polygon) for _, polygon in high[:_MOST_LINES]], upside_down, sureness)


def _quarters_of_side(high: Sequence[LineCrop], upside_down: UpsideDown, sureness: Sureness) -> int:
    """The same for a page whose lines are high: crops of them as they stand. 0 where they are columns of characters."""
    lain = [turned(crop, 1) for crop in high]
    over = _is_upside_down(lain, upside_down, sureness)
    read = mean(sureness(turned(crop, 2) if over else crop) for crop in lain[:_READ_LINES])
    if read < _READABLE:
        return 0
    if over:
        return 1
    upright = mean(sureness(_side_by_side(crop)) for crop in high[:_READ_LINES])
    return 3 if upright < _READABLE and read > upright + _BETTER else 0


def _is_upside_down(crops: Iterable[LineCrop], upside_down: UpsideDown, sureness: Sureness) -> bool:
    """Whether the lines are, all in all; after one that is clearly upright no more are looked at.

    The classifier errs on lines that are much longer than those that it learned from, and a page turned wrongly is
    lost, so those that it calls upside down are read either way.
    """
    odds = 0.0
    seen: list[LineCrop] = []
    for crop in crops:
        seen.append(crop)
        share = min(max(upside_down(crop), 1e-3), 1 - 1e-3)
        odds += min(max(math.log(share / (1 - share)), -_CLEAR), _CLEAR)
        if odds <= _UPRIGHT or odds >= _UPSIDE_DOWN or len(seen) == _MOST_LINES:
            break
    if odds < _UPSIDE_DOWN:
        return False
    as_they_are, turned_over = ([turned(crop, quarters) for crop in seen[:_READ_LINES]] for quarters in (0, 2))
    return mean(map(sureness, turned_over)) >= mean(map(sureness, as_they_are))


def _side_by_side(column: LineCrop) -> LineCrop:
    """The first characters of a column as a line."""
    return replace(column, image=side_by_side(column.image[: _MOST_CHARACTERS * column.image.shape[1]]))


def _sides(polygon: Polygon) -> _Sides:
    """Mean width and height in pixels."""
    vertices = polygon.vertices
    half = len(vertices) // 2
    first, second, third, last = vertices[0], vertices[half - 1], vertices[half], vertices[-1]
    return (_length(first, second) + _length(last, third)) / 2, (_length(first, last) + _length(second, third)) / 2


def _length(one: Point, other: Point) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


def _is_long(width: float, height: float) -> bool:
    return max(width, height) >= _LONG * max(min(width, height), 1.0)
