"""At what scale lines are looked for: a first look at the page tells how high they are, a second sees small ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.layout.shapes import Points

SMALL = 20.0
"""Pixels of the first look below which lines are looked for again."""
BEST_HEIGHT = 36.0
"""Pixels to which lines are shrunk at most: there they are found best."""
LARGE = 90.0
"""Pixels of the second look above which lines fall apart: there those of the first look count."""
ENLARGED_HEIGHT = 26.0
"""Pixels to which lines lower than that are enlarged: more shows nothing new, and takes more windows."""
MAX_SCALE = 2.0
"""Small text is enlarged no more than this."""

_SMALL_SHARE = 0.1
"""Share of the lines that must be small for a second look."""
_MIN_GAIN = 1.25
"""By how much the second look must be closer."""
_MARGIN = 3.0
"""Line heights around small lines that are looked at again."""
_MIN_SHORT_SIDE = 288
"""Pixels of the first look that the shorter side of a long page has at least."""
_SEVERAL_SHARE = 0.3
"""Share of a large outline that the lines in it take when it is none itself."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """scale: pixels for each pixel of the page. left, top, right, bottom: the part of the page that has small lines."""

    scale: float
    left: int
    top: int
    right: int
    bottom: int


def first_scale(width: int, height: int, side: int) -> float:
    """Pixels for each pixel of a page so that it fits onto a canvas of `side`; long pages may need several."""
    fitting = side / max(width, height)
    return min(1.0, max(fitting, _MIN_SHORT_SIDE / min(width, height)))


def second_look(outlines: Sequence[Points], scale: float, width: int, height: int) -> SecondLook | None:
    """What to look at again, and how closely; None when the lines are large enough.

    outlines: of the first look, in pixels of the page; scale: of that look; width, height: of the page.
    """
    heights = np.array([line_height(points) for points in outlines])
    is_small = heights * scale < SMALL
    if not len(heights) or is_small.mean() < _SMALL_SHARE:
        return None
    usual = float(np.median(heights[is_small]))
    closer = max(min(1.0, BEST_HEIGHT / usual), min(MAX_SCALE, ENLARGED_HEIGHT / usual))
    if closer < _MIN_GAIN * scale:
        return None
    places = np.concatenate([points for points, small in zip(outlines, is_small, strict=True) if small])
    left, top = np.floor(places.min(axis=0) - _MARGIN * usual)
    right, bottom = np.ceil(places.max(axis=0) + _MARGIN * usual)
    return SecondLook(closer, max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom)))


def both_looks(first: Sequence[Points], second: Sequence[Points], look: SecondLook) -> list[Points]:
    """Outlines of the second look, and those of the first that are too large for it or reach out of its part."""
    kept = [points for points in first if _is_kept(points, look) and not _is_several(points, second)]
    return kept + [points for points in second if not any(_covers(other, points) for other in kept)]


def line_height(points: Points) -> float:
    """Of an outline: the distance between its two long sides."""
    count = len(points) // 2
    across = np.linalg.norm(points[:count] - points[count:][::-1], axis=1).mean()
    along = np.linalg.norm(np.diff(points[:count], axis=0), axis=1).sum()
    return float(min(across, along))


def _is_kept(points: Points, look: SecondLook) -> bool:
    low, high = points.min(axis=0), points.max(axis=0)
    seen = (low >= (look.left, look.top)).all() and (high <= (look.right, look.bottom)).all()
    return not seen or line_height(points) * look.scale > LARGE


def _is_several(large: Points, second: Sequence[Points]) -> bool:
    """Whether an outline is of several lines that the second look saw apart, and no headline that it saw in pieces."""
    lines = [points for points in second if _covers(large, points) and line_height(points) < 0.5 * line_height(large)]
    return sum(map(_area, lines)) > _SEVERAL_SHARE * _area(large)


def _covers(large: Points, small: Points) -> bool:
    """Whether most of an outline lies in another."""
    return covered_share(small, [large]) > 0.5


def covered_share(outline: Points, others: Sequence[Points]) -> float:
    """Share of an outline's area that lies in others, which do not lie in each other."""
    hull = _hull(outline)
    shared = sum(cv2.intersectConvexConvex(hull, _hull(other))[0] for other in others)
    return shared / max(cv2.contourArea(hull), 1e-6)


def _area(points: Points) -> float:
    return cv2.contourArea(_hull(points))


def _hull(points: Points) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.convexHull(points), np.float32)
