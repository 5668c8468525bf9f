"""Page image -> polygons of its text lines, in reading order.

A DB detector gives the probability that a pixel belongs to the kernel of a line; ocr_core.layout makes lines of that.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from ocr_core.engine import Engine
from ocr_core.layout.order import reading_order
from ocr_core.layout.outlines import Kernels, as_bytes, find_outlines
from ocr_core.layout.rows import rows_apart
from ocr_core.layout.scale import both_looks, first_scale, second_look
from ocr_core.layout.shapes import Points
from ocr_core.preprocess import in_model_order
from ocr_core.types import Image, Point, Polygon

WINDOW_OVERLAP = 128

SPARED_SCALE = 0.75
"""Scales of a second look down to this share of the best one are taken where they need fewer windows."""

SPARED_FIRST = 0.92
"""The same of a first look, whose lines are as they are."""

_MUCH_LARGER = 3
"""Images this many times as large as their copy are averaged at once, see _copy()."""


class LineDetector:
    """Finds the lines of a page with an engine of a detector bundle, which is compiled for one canvas.

    What does not fit onto the canvas is seen through several windows whose maps are put together before outlines are
    made, so that no line is found twice. Memory is bounded by the canvas, whatever the page.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._height, self._width = engine.image_size

    def find(self, image: Image, max_side: int | None = None) -> tuple[Polygon, ...]:
        """Polygons of the lines in reading order, in pixels of `image`.

        max_side: of the copy in which lines are looked for; None: as large as the height of the text asks for.
        """
        height, width = image.shape[:2]
        outlines = self._outlines(image, min(1.0, max_side / max(height, width))) if max_side else self._fitting(image)
        polygons = [_polygon(np.clip(points, 0, (width, height))) for points in outlines]
        return reading_order(rows_apart(image, polygons))

    def _fitting(self, image: Image) -> list[Points]:
        height, width = image.shape[:2]
        scale = self._fewer_windows(first_scale(width, height, self._width), width, height, SPARED_FIRST)
        first = self._outlines(image, scale)
        look = second_look(first, scale, width, height)
        if look is None:
            return first
        part = image[look.top : look.bottom, look.left : look.right]
        closer = self._fewer_windows(look.scale, part.shape[1], part.shape[0], SPARED_SCALE)
        corner = np.array([look.left, look.top], np.float32)
        return both_looks(first, [points + corner for points in self._outlines(part, closer)], look)

    def _fewer_windows(self, scale: float, width: int, height: int, spared: float) -> float:
        """The scale, or the largest down to a share of it at which the fewest windows are needed."""

        def windows(scale: float) -> int:
            across = _window_starts(round(width * scale), self._width)
            return len(across) * len(_window_starts(round(height * scale), self._height))

        scales: list[float] = np.linspace(scale, spared * scale, 12).tolist()
        return min(scales, key=windows)

    def _outlines(self, image: Image, scale: float) -> list[Points]:
        """Outlines of lines in pixels of `image`, found in a copy of it."""
        height, width = image.shape[:2]
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        to_image = np.array([width / inner[0], height / inner[1]], np.float32)
        return [points * to_image for points in find_outlines(self._kernels(image, *inner))]

    def _kernels(self, image: Image, width: int, height: int) -> Kernels:
        """Probability of each pixel of a copy of this size to lie in the kernel of a line."""
        wanted = self._engine.bundle.input
        kernels = np.empty((height, width), np.uint8)
        canvas = np.empty((1, self._height, self._width, 3), np.uint8)
        for down in _windows(height, self._height):
            # Copied strip by strip, half a pixel of the image off at most: the copy of a page takes 10 MB and more.
            top, bottom = (round(row * len(image) / height) for row in (down.whole.start, min(down.whole.stop, height)))
            strip = _copy(image[top:bottom], width, min(self._height, height))
            for across in _windows(width, self._width):
                window = strip[:, across.whole]
                rows, columns = window.shape[:2]
                canvas[0, :rows, :columns] = in_model_order(window, wanted)
                canvas[0, :rows, columns:] = canvas[0, rows:] = wanted.padding
                with self._engine.infer(canvas) as output:
                    kernels[down.part, across.part] = as_bytes(output[0, 0, down.within, across.within])
        return kernels


def _copy(image: Image, width: int, height: int) -> Image:
    """The image in another size, each pixel the mean of n x n of one that is about as large as the image.

    OpenCV averages whole numbers of pixels in a tenth of the time that it needs for broken ones. What is at least three
    times as large is averaged as it is, but for less than n pixels at its ends: no second image of its size, and half
    the time. Of smaller ones that would lose more than it gains.
    """
    n = int(min(image.shape[0] / height, image.shape[1] / width))
    if n >= _MUCH_LARGER:
        rows, columns = image.shape[0] // n, image.shape[1] // n
        image = np.asarray(cv2.resize(image[: n * rows, : n * columns], (columns, rows), interpolation=cv2.INTER_AREA))
    n = max(1, round(image.shape[0] / height))
    whole = cv2.resize(image, (n * width, n * height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA) if n > 1 else whole, np.uint8)


def _window_starts(length: int, side: int) -> list[int]:
    """Where windows of `side` start so that they cover `length`, evenly spread, with the overlap or more."""
    count = max(1, math.ceil((length - WINDOW_OVERLAP) / (side - WINDOW_OVERLAP)))
    last = max(0, length - side)
    return [round(index * last / max(1, count - 1)) for index in range(count)]


@dataclass(frozen=True, slots=True)
class _Window:
    """One axis of a window. whole: what it sees; part: what counts of it; within: the part from the window's start."""

    whole: slice
    part: slice
    within: slice


def _windows(length: int, side: int) -> list[_Window]:
    """Windows whose parts make up `length`. An overlap is shared evenly: lines that a border cuts look like others."""
    starts = _window_starts(length, side)
    borders = [0, *((one + side + other) // 2 for one, other in itertools.pairwise(starts)), length]
    return [
        _Window(slice(start, start + side), slice(first, last), slice(first - start, last - start))
        for start, first, last in zip(starts, borders[:-1], borders[1:], strict=True)
    ]


def _polygon(points: Points) -> Polygon:
    return Polygon(tuple(Point(float(x), float(y)) for x, y in points))
