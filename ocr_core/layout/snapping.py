"""Lines that reach over the borders of cells, cut there before they are read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ocr_core.layout.boxes import BOTTOM, LEFT, RIGHT, TOP, Boxes, level_boxes
from ocr_core.layout.grids import Grid
from ocr_core.layout.unread import blanks, has_ink
from ocr_core.preprocess import crop_line
from ocr_core.types import Image, Point, Polygon

_MARGIN = 0.5
"""Line heights that a line must reach over a border on either side."""
_MIN_BLANK = 0.5
"""Line heights without ink that make a gap between two cells."""


def snapped(image: Image, polygons: Sequence[Polygon], grids: Sequence[Grid], slant: float) -> tuple[Polygon, ...]:
    """The polygons, those across borders of cells cut there; ruled borders always, others where no ink is."""
    boxes = level_boxes(polygons, slant)
    return tuple(
        piece
        for polygon, box in zip(polygons, boxes, strict=True)
        for piece in cut_along(polygon, sorted(_cuts(image, polygon, box, grids)))
    )


def _cuts(image: Image, polygon: Polygon, box: Boxes, grids: Sequence[Grid]) -> Iterator[float]:
    """Where the polygon is cut, as shares of its width."""
    width, height = float(box[RIGHT] - box[LEFT]), float(box[BOTTOM] - box[TOP])
    if width < 2 * height:
        return
    middle = (box[TOP] + box[BOTTOM]) / 2
    for grid in grids:
        cells = grid.boxes
        if grid.is_ruled:
            here = cells[(cells[:, TOP] < middle) & (cells[:, BOTTOM] > middle)]
            borders = np.unique(here[:, [LEFT, RIGHT]])
        elif cells[:, TOP].min() < middle < cells[:, BOTTOM].max():
            borders = np.unique(cells[:, [LEFT, RIGHT]])
        else:
            continue
        for border in borders[(borders > box[LEFT] + _MARGIN * height) & (borders < box[RIGHT] - _MARGIN * height)]:
            share = float(border - box[LEFT]) / width
            if grid.is_ruled:
                yield share
            elif (blank := _blank_near(image, polygon, share)) is not None:
                yield blank


def _blank_near(image: Image, polygon: Polygon, share: float) -> float | None:
    """The middle of a gap without ink within a line height of a place; all as shares of the polygon's width."""
    crop = crop_line(image, polygon).image
    height, width = crop.shape[:2]
    starts, ends = blanks(has_ink(crop)).T
    wide = ends - starts >= _MIN_BLANK * height
    near = (starts < share * width + height) & (ends > share * width - height)
    if not (wide & near).any():
        return None
    best = int(np.where(wide & near, ends - starts, 0).argmax())
    return float((starts[best] + ends[best]) / 2 / width)


def cut_along(polygon: Polygon, shares: Sequence[float]) -> Iterator[Polygon]:
    """Pieces of a quadrilateral, from left to right; any other polygon as it is. shares: of its width, in order."""
    if not shares or len(polygon.vertices) != 4:
        yield polygon
        return
    top_left, top_right, bottom_right, bottom_left = polygon.vertices
    borders = [0.0, *shares, 1.0]
    for start, end in itertools.pairwise(borders):
        top = _between(top_left, top_right, start), _between(top_left, top_right, end)
        bottom = _between(bottom_left, bottom_right, end), _between(bottom_left, bottom_right, start)
        yield Polygon((*top, *bottom))


def _between(one: Point, other: Point, share: float) -> Point:
    return Point(one.x + share * (other.x - one.x), one.y + share * (other.y - one.y))
