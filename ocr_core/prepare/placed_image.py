"""An image that was prepared, and where its pixels are in the source image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.prepare.steps import AppliedStep
from ocr_core.types import Image, Point, Polygon

Transform = npt.NDArray[np.float64]
"""Homography from places to places, float64 [3, 3]; pixel centres are at halves."""

# OpenCV's pixel centres are at whole numbers, ours at halves.
_TO_HALVES = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], np.float64)
_TO_WHOLES = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]], np.float64)


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """image: RGB, uint8 [height, width, 3]; source_size: width and height of the source in pixels.

    to_source: from places in `image` to places in the source; None where the two are the same.
    """

    image: Image
    source_size: tuple[int, int]
    to_source: Transform | None = None
    applied: tuple[AppliedStep, ...] = ()

    @classmethod
    def unprepared(cls, image: Image) -> PlacedImage:
        """The source image itself."""
        return cls(image, (image.shape[1], image.shape[0]))

    def with_pixels(self, image: Image, step: AppliedStep) -> PlacedImage:
        """Other pixels in the same places."""
        return replace(self, image=image, applied=(*self.applied, step))

    def warped(self, transform: Transform, size: tuple[int, int], step: AppliedStep) -> PlacedImage:
        """Pixels moved by `transform` into an image of `size`, width and height; the border is continued outwards."""
        pixels = cv2.warpPerspective(
            self.image,
            _TO_WHOLES @ transform @ _TO_HALVES,
            size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return self._moved(np.asarray(pixels, np.uint8), transform, step)

    def scaled(self, factor: float, step: AppliedStep) -> PlacedImage:
        """Enlarged by a factor above 1, smoothly."""
        height, width = self.image.shape[:2]
        size = max(1, round(width * factor)), max(1, round(height * factor))
        pixels = cv2.resize(self.image, size, interpolation=cv2.INTER_CUBIC)
        return self._moved(np.asarray(pixels, np.uint8), np.diag([size[0] / width, size[1] / height, 1.0]), step)

    def turned(self, quarters: int, step: AppliedStep) -> PlacedImage:
        """Turned clockwise by quarters of a circle."""
        height, width = self.image.shape[:2]
        transform = np.eye(3)
        for length in [height, width, height][: quarters % 4]:
            transform = np.array([[0, -1, length], [1, 0, 0], [0, 0, 1]], np.float64) @ transform
        return self._moved(np.ascontiguousarray(np.rot90(self.image, -quarters)), transform, step)

    def cut(self, left: int, top: int, right: int, bottom: int) -> PlacedImage:
        """The part between these places, in pixels of `image`."""
        back = self._back() @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1]], np.float64)
        return replace(self, image=np.ascontiguousarray(self.image[top:bottom, left:right]), to_source=back)

    def in_source(self, polygon: Polygon) -> Polygon:
        """A polygon of `image` as one of the source, no part of it outside."""
        if self.to_source is None:
            return polygon
        places = np.array([[(vertex.x, vertex.y) for vertex in polygon.vertices]], np.float64)
        (moved,) = np.clip(cv2.perspectiveTransform(places, self.to_source), 0, self.source_size)
        return Polygon(tuple(Point(float(x), float(y)) for x, y in moved))

    def outline(self) -> Polygon:
        """Corners of `image` in the source."""
        height, width = self.image.shape[:2]
        return self.in_source(Polygon((Point(0, 0), Point(width, 0), Point(width, height), Point(0, height))))

    def _moved(self, image: Image, transform: Transform, step: AppliedStep) -> PlacedImage:
        back = self._back() @ np.linalg.inv(transform)
        return PlacedImage(image, self.source_size, back, (*self.applied, step))

    def _back(self) -> Transform:
        return np.eye(3) if self.to_source is None else self.to_source


def levelling(size: tuple[int, int], degrees: float) -> tuple[Transform, tuple[int, int]]:
    """Turns an image of `size`, width and height, clockwise about its centre, and how large the result must be."""
    width, height = size
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    new_width = math.ceil(width * abs(cos) + height * abs(sin))
    new_height = math.ceil(width * abs(sin) + height * abs(cos))
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float64)
    to_origin = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]], np.float64)
    to_middle = np.array([[1, 0, new_width / 2], [0, 1, new_height / 2], [0, 0, 1]], np.float64)
    return to_middle @ turn @ to_origin, (new_width, new_height)
