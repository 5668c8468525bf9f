"""Map of a DB detector -> outlines of lines.

Kernels become rotated rectangles that are grown back to the size of the line (Liao et al., Real-time Scene Text
Detection with Differentiable Binarization, AAAI 2020, section 3.4), or bands along their middle where they are bent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.layout.shapes import Points, bent_outline

KERNEL_THRESHOLD = 0.3
LINE_THRESHOLD = 0.5
UNCLIP_RATIO = 1.6
MAX_LINES = 1000

_MIN_KERNEL_SIDE = 3.0

_ONE = 255

Kernels = npt.NDArray[np.uint8]
"""Probability of each pixel to lie in the kernel of a line, in 255ths, uint8 [height, width]."""

_RotatedRect = tuple[tuple[float, float], tuple[float, float], float]


def as_bytes(probabilities: npt.NDArray[np.float32]) -> Kernels:
    """Probabilities, float32 [height, width], in 255ths."""
    return np.asarray(cv2.convertScaleAbs(probabilities, alpha=_ONE), np.uint8)


def find_outlines(kernels: Kernels) -> Iterator[Points]:
    """Vertices of each line, clockwise from its upper left."""
    _, seen = cv2.threshold(kernels, int(_ONE * KERNEL_THRESHOLD), 1, cv2.THRESH_BINARY)
    bitmap = cv2.dilate(seen, np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(bitmap, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    # Contours come from the bottom up; on a page of more lines than these the lowest are left out.
    for contour in reversed(contours[-MAX_LINES:]):
        rect = cast(_RotatedRect, cv2.minAreaRect(contour))
        if min(rect[1]) < _MIN_KERNEL_SIDE or _mean_inside(kernels, contour) < LINE_THRESHOLD:
            continue
        bent = bent_outline(contour, UNCLIP_RATIO)
        # OpenCV's pixel centres are at whole numbers, ours at halves.
        yield (_grown_box(rect) if bent is None else bent) + np.float32(0.5)


def _mean_inside(kernels: Kernels, contour: cv2.typing.MatLike) -> float:
    """Mean probability inside the contour."""
    left, top, width, height = cv2.boundingRect(contour)
    mask = np.zeros((height, width), np.uint8)
    cv2.drawContours(mask, [contour], 0, 1, cv2.FILLED, offset=(-left, -top))
    return float(cv2.mean(kernels[top : top + height, left : left + width], mask)[0]) / _ONE


def _grown_box(rect: _RotatedRect) -> Points:
    """Corners clockwise from the top left, float32 [4, 2]."""
    center, size, angle = rect
    # Area times ratio over perimeter, equation 10 of the paper, for a rectangle grown on all sides.
    growth = size[0] * size[1] * UNCLIP_RATIO / (2 * (size[0] + size[1]))
    corners = cv2.boxPoints((center, (size[0] + 2 * growth, size[1] + 2 * growth), angle))
    clockwise = corners[np.argsort(np.arctan2(*(corners - corners.mean(axis=0)).T[::-1]))]
    first = int(np.argmin(clockwise.sum(axis=1)))
    return np.asarray(np.roll(clockwise, -first, axis=0), np.float32)
