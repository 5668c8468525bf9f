"""A sheet of paper photographed at an angle: its four corners, and the transform that flattens it."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.prepare.placed_image import Transform
from ocr_core.prepare.tone import Grey

Corners = npt.NDArray[np.float32]
"""Corners clockwise from the top left, float32 [4, x y]."""

_LEAST_SHARE, _MOST_SHARE = 0.25, 0.95
"""Of the image's area that a sheet may cover: less may be a sign or a stamp, more needs no flattening."""

_LARGEST_GROWTH = 1.5
_BORDER = 4


def find_sheet(grey: Grey) -> Corners | None:
    """Corners of the sheet in a small grey image, uint8 [height, width], or None where there is none."""
    smooth = cv2.GaussianBlur(grey, (5, 5), 0)
    level, bright = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    edges = cv2.dilate(cv2.Canny(smooth, 0.4 * level, 0.8 * level), np.ones((3, 3), np.uint8))
    found = [corners for mask in (bright, edges) for corners in _quadrilaterals(np.asarray(mask, np.uint8))]
    return max(found, key=cv2.contourArea, default=None)


def _quadrilaterals(mask: Grey) -> list[Corners]:
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hulls = [cv2.convexHull(contour) for contour in contours]
    shapes = [cv2.approxPolyDP(hull, 0.02 * cv2.arcLength(hull, closed=True), closed=True) for hull in hulls]
    return [
        _clockwise(shape.reshape(4, 2).astype(np.float32))
        for shape, hull in zip(shapes, hulls, strict=True)
        if len(shape) == 4
        and _LEAST_SHARE <= cv2.contourArea(shape) / mask.size <= _MOST_SHARE
        # The corners are those of the sheet and not of something round.
        and cv2.contourArea(shape) > 0.9 * cv2.contourArea(hull)
    ]


def _clockwise(points: Corners) -> Corners:
    center = points.mean(axis=0)
    ordered = points[np.argsort(np.arctan2(*(points - center).T[::-1]))]
    return np.roll(ordered, -int(np.argmin(ordered.sum(axis=1))), axis=0)


def distortion(corners: Corners) -> float:
    """Degrees by which the corner that is least square differs from a right angle."""
    sides = np.roll(corners, -1, axis=0) - corners
    angles = [math.atan2(side[1], side[0]) for side in [*sides, sides[0]]]
    turns = [math.degrees(second - first) % 360 for first, second in itertools.pairwise(angles)]
    return max(abs(turn - 90) for turn in turns)


def flattening(corners: Corners, size: tuple[int, int]) -> tuple[Transform, tuple[int, int]]:
    """Makes the sheet a rectangle of its mean sides, and how large the image must be so that what is beside it stays.

    size: width and height of the image. What is further from the sheet than half its size is cut off.
    """
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    width, height = float(top + bottom) / 2, float(left + right) / 2
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    flat = np.asarray(cv2.getPerspectiveTransform(corners.astype(np.float32), target), np.float64)
    outline = np.array([[[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]]], np.float64)
    (moved,) = cv2.perspectiveTransform(outline, flat)
    margin = (_LARGEST_GROWTH - 1) / 2
    low = np.maximum(moved.min(axis=0), (-margin * width, -margin * height))
    high = np.minimum(moved.max(axis=0), (width + margin * width, height + margin * height))
    new_width, new_height = np.ceil(high - low).astype(int)
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]], np.float64)
    return shift @ flat, (int(new_width), int(new_height))
