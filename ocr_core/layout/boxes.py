"""Upright boxes around polygons, on a page turned level."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ocr_core.types import Polygon

Boxes = npt.NDArray[np.float64]
"""Left, top, right, bottom of each box, float64 [box, 4]."""

LEFT, TOP, RIGHT, BOTTOM = range(4)

TALL_RATIO = 1.5
"""Boxes this many times as high as wide are taken for vertical lines."""


def page_slant(polygons: Sequence[Polygon]) -> float:
    """Angle of most lines against the horizontal, in radians; 0 on a page without lines."""
    return statistics.median(map(_slant, polygons)) if polygons else 0.0


def level_boxes(polygons: Sequence[Polygon], slant: float | None = None) -> Boxes:
    """Boxes around the polygons once the page is turned level about its origin. slant: default page_slant."""
    slant = page_slant(polygons) if slant is None else slant
    along, across = math.cos(slant), math.sin(slant)
    boxes = np.empty((len(polygons), 4))
    for box, polygon in zip(boxes, polygons, strict=True):
        points = np.array([(vertex.x, vertex.y) for vertex in polygon.vertices])
        xs, ys = points[:, 0] * along + points[:, 1] * across, points[:, 1] * along - points[:, 0] * across
        box[:] = xs.min(), ys.min(), xs.max(), ys.max()
    return boxes


def widths(boxes: Boxes) -> npt.NDArray[np.float64]:
    """Of each box."""
    return boxes[:, RIGHT] - boxes[:, LEFT]


def heights(boxes: Boxes) -> npt.NDArray[np.float64]:
    """Of each box."""
    return boxes[:, BOTTOM] - boxes[:, TOP]


def are_tall(boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Which are vertical lines."""
    return heights(boxes) >= TALL_RATIO * widths(boxes)


def line_heights(boxes: Boxes) -> npt.NDArray[np.float64]:
    """Extent of each line across its reading direction."""
    return np.where(are_tall(boxes), widths(boxes), heights(boxes))


def turned(boxes: Boxes) -> Boxes:
    """The page turned by 90 degrees counter-clockwise: what ran downwards runs to the right, right goes to the top."""
    return np.column_stack([boxes[:, TOP], -boxes[:, RIGHT], boxes[:, BOTTOM], -boxes[:, LEFT]])


def around(boxes: Boxes) -> Boxes:
    """The one box around several, float64 [4]."""
    return np.concatenate([boxes[:, :RIGHT].min(axis=0), boxes[:, RIGHT:].max(axis=0)])


def gaps(starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    """Intervals between the first start and the last end that no [start, end] covers, in order."""
    order = np.argsort(starts)
    reached = np.maximum.accumulate(ends[order])
    nexts = starts[order][1:]
    return [(float(one), float(other)) for one, other in zip(reached[:-1], nexts, strict=True) if other > one]


def _slant(polygon: Polygon) -> float:
    """Angle of the first side against the horizontal, in radians; 0 for vertical lines, which say little about it."""
    first, second = polygon.vertices[:2]
    x, y = second.x - first.x, second.y - first.y
    return math.atan2(y, x) if x > abs(y) else 0.0
