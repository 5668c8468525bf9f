"""Page image -> polygons of its text lines, in reading order.

A DB detector gives the probability that a pixel belongs to the kernel of a text line; kernels become rotated rectangles
that are grown back to the size of the line (Liao et al., Real-time Scene Text Detection with Differentiable
Binarization, AAAI 2020, section 3.4).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.engine import Engine
from ocr_core.preprocess import in_model_order, resize
from ocr_core.types import Image, Point, Polygon

KERNEL_THRESHOLD = 0.3
LINE_THRESHOLD = 0.5
UNCLIP_RATIO = 1.6
MAX_LINES = 1000
WINDOW_OVERLAP = 128

_MIN_KERNEL_SIDE = 3.0
_RotatedRect = tuple[tuple[float, float], tuple[float, float], float]


class LineDetector:
    """Finds the lines of a page with engines of a detector bundle, each compiled for one square canvas.

    A page goes onto the smallest canvas that holds it; a larger one is seen through several windows of the largest
    canvas whose maps are put together before rectangles are made, so that no line is found twice. Time and memory are
    bounded by the canvas, whatever the page.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = sorted(engines, key=lambda engine: engine.image_size)

    def find(self, image: Image, max_side: int) -> tuple[Polygon, ...]:
        """Polygons of the lines in reading order, in pixels of `image`, from a copy of at most max_side per side."""
        height, width = image.shape[:2]
        scale = min(1.0, max_side / max(height, width))
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        kernels = self._kernels(image if inner == (width, height) else resize(image, *inner))
        to_source = np.array([width / inner[0], height / inner[1]], np.float32)
        corners = [np.clip(_box(rect) * to_source, 0, (width, height)) for rect in _rectangles(kernels)]
        return reading_order([_polygon(points) for points in corners])

    def _kernels(self, image: Image) -> npt.NDArray[np.float32]:
        """Probability of each pixel to lie in the kernel of a line, float32 [height, width]."""
        height, width = image.shape[:2]
        engine = next((each for each in self._engines if each.image_size[0] >= max(height, width)), self._engines[-1])
        side, wanted = engine.image_size[0], engine.bundle.input
        kernels = np.zeros((height, width), np.float32)
        canvas = np.empty((1, side, side, 3), np.uint8)
        for top, left in itertools.product(_window_starts(height, side), _window_starts(width, side)):
            window = image[top : top + side, left : left + side]
            rows, columns = window.shape[:2]
            canvas[:] = wanted.padding
            canvas[0, :rows, :columns] = in_model_order(window, wanted)
            seen = kernels[top : top + rows, left : left + columns]
            with engine.infer(canvas) as output:
                np.maximum(seen, output[0, 0, :rows, :columns], out=seen)
        return kernels


def reading_order(polygons: Sequence[Polygon]) -> tuple[Polygon, ...]:
    """Rows from top to bottom, each from left to right, on a page as slanted as most of its lines are.

    A polygon joins the row above when the two overlap by half the height of the smaller one.
    """
    slant = statistics.median(map(_slant, polygons)) if polygons else 0.0
    levelled = sorted((_levelled(polygon, slant) for polygon in polygons), key=lambda line: line.top + line.bottom)
    rows: list[list[_LevelLine]] = []
    for line in levelled:
        if rows and _share_row(rows[-1][0], line):
            rows[-1].append(line)
        else:
            rows.append([line])
    return tuple(line.polygon for row in rows for line in sorted(row, key=lambda line: line.left))


@dataclass(frozen=True, slots=True)
class _LevelLine:
    """Where a polygon lies once the page is turned level."""

    polygon: Polygon
    left: float
    top: float
    bottom: float


def _slant(polygon: Polygon) -> float:
    """Angle of the first side against the horizontal, in radians; 0 for vertical lines, which say little about it."""
    first, second = polygon.vertices[:2]
    x, y = second.x - first.x, second.y - first.y
    return math.atan2(y, x) if x > abs(y) else 0.0


def _levelled(polygon: Polygon, slant: float) -> _LevelLine:
    along, across = math.cos(slant), math.sin(slant)
    lefts = [vertex.x * along + vertex.y * across for vertex in polygon.vertices]
    heights = [vertex.y * along - vertex.x * across for vertex in polygon.vertices]
    return _LevelLine(polygon, min(lefts), min(heights), max(heights))


def _share_row(first: _LevelLine, line: _LevelLine) -> bool:
    overlap = min(first.bottom, line.bottom) - max(first.top, line.top)
    return overlap > 0.5 * min(first.bottom - first.top, line.bottom - line.top)


def _window_starts(length: int, side: int) -> list[int]:
    """Where windows of `side` start so that they cover `length`, evenly spread, with the overlap or more."""
    count = max(1, math.ceil((length - WINDOW_OVERLAP) / (side - WINDOW_OVERLAP)))
    last = max(0, length - side)
    return [round(index * last / max(1, count - 1)) for index in range(count)]


def _rectangles(kernels: npt.NDArray[np.float32]) -> Iterable[_RotatedRect]:
    """Rotated rectangles of the lines. kernels: float32 [height, width], probability of a pixel to be in a kernel."""
    bitmap = cv2.dilate((kernels > KERNEL_THRESHOLD).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(bitmap, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    # Contours come from the bottom up; on a page of more lines than these the lowest are left out.
    for contour in reversed(contours[-MAX_LINES:]):
        center, size, angle = cast(_RotatedRect, cv2.minAreaRect(contour))
        if min(size) < _MIN_KERNEL_SIDE or _mean_inside(kernels, contour) < LINE_THRESHOLD:
            continue
        # Area times ratio over perimeter, equation 10 of the paper, for a rectangle grown on all sides.
        growth = size[0] * size[1] * UNCLIP_RATIO / (2 * (size[0] + size[1]))
        yield center, (size[0] + 2 * growth, size[1] + 2 * growth), angle


def _mean_inside(kernels: npt.NDArray[np.float32], contour: cv2.typing.MatLike) -> float:
    """Mean of the map inside the contour."""
    left, top, width, height = cv2.boundingRect(contour)
    mask = np.zeros((height, width), np.uint8)
    cv2.drawContours(mask, [contour], 0, 1, cv2.FILLED, offset=(-left, -top))
    return float(cv2.mean(kernels[top : top + height, left : left + width], mask)[0])


def _box(rect: _RotatedRect) -> npt.NDArray[np.float32]:
    """Corners clockwise from the top left, float32 [4, 2]."""
    corners = cv2.boxPoints(rect)
    center = corners.mean(axis=0)
    clockwise = corners[np.argsort(np.arctan2(*(corners - center).T[::-1]))]
    first = int(np.argmin(clockwise.sum(axis=1)))
    # OpenCV's pixel centres are at whole numbers, ours at halves.
    return np.asarray(np.roll(clockwise, -first, axis=0) + 0.5, np.float32)


def _polygon(corners: npt.NDArray[np.float32]) -> Polygon:
    return Polygon(tuple(Point(float(x), float(y)) for x, y in corners))
