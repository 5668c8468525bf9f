"""Curved lines: the outline of a kernel that is bent, and the crop that makes it straight.

The middle of a kernel is found by walking through it from one end to the other, so arcs of any length and waves are
followed alike; a smooth curve through it, as wide as the line is high, gives the polygon.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.types import Image, Polygon

_MAX_FILL = 0.62
"""Kernels that fill more of their rectangle than this are straight."""
_MIN_LENGTH = 3.0
"""Heights that a bent line is long at least: what is shorter is read well enough as it is."""
_MIN_BEND = 0.35
"""Heights by which the middle of a bent line leaves the straight line between its ends at least."""
_SPANS = 8
"""Pieces of a polygon's upper and lower side."""
_WALK_SIDE = 160
"""A kernel is walked through in a copy of at most so many pixels a side."""

Points = npt.NDArray[np.float32]
"""x, y of each, float32 [point, 2]."""

_Mask = npt.NDArray[np.uint8]
_Steps = npt.NDArray[np.int32]


def corners(polygon: Polygon) -> Points:
    """The vertices of a polygon as an array."""
    return np.array([(vertex.x, vertex.y) for vertex in polygon.vertices], np.float32)


def bent_outline(contour: cv2.typing.MatLike, unclip_ratio: float) -> Points | None:
    """Vertices of a bent line: those along its upper side, then back along its lower one. None for a straight line.

    contour: of the kernel. unclip_ratio: by how much kernels are grown to lines.
    """
    (_, size, _), area = cv2.minAreaRect(contour), cv2.contourArea(contour)
    if area > _MAX_FILL * size[0] * size[1] or max(size) < _MIN_LENGTH * min(size) / 2:
        return None
    middle = _middle(contour)
    if len(middle) < 3 * _SPANS:
        return None
    smooth = _smooth(middle)
    length = float(_distances(smooth)[-1])
    thickness = area / length
    half = thickness / 2 + area * unclip_ratio / (2 * (length + thickness))
    if length < _MIN_LENGTH * 2 * half or _bend(smooth) < _MIN_BEND * 2 * half:
        return None
    return _outline(smooth, half)


def straightened(image: Image, vertices: Points) -> Image:
    """The band between the two sides of a polygon, flattened. vertices: as of bent_outline()."""
    count = len(vertices) // 2
    upper, lower = vertices[:count], vertices[count:][::-1]
    along = _distances((upper + lower) / 2)
    width = max(1, round(float(along[-1])))
    height = max(1, round(float(np.linalg.norm(upper - lower, axis=1).mean())))
    places = (np.arange(width) + 0.5) * along[-1] / width
    top, bottom = (
        np.stack([np.interp(places, along, side[:, axis]) for axis in (0, 1)], -1) for side in (upper, lower)
    )
    share = ((np.arange(height) + 0.5) / height)[:, None, None]
    # OpenCV's pixel centres are at whole numbers, ours at halves.
    source = (top * (1 - share) + bottom * share - 0.5).astype(np.float32)
    flat = cv2.remap(image, source[..., 0], source[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(flat, np.uint8)


def _middle(contour: cv2.typing.MatLike) -> Points:
    """Points along the middle of a kernel, from the left of its two ends to the other."""
    left, top, width, height = cv2.boundingRect(contour)
    scale = min(1.0, _WALK_SIDE / max(width, height))
    mask = np.zeros((round(height * scale) + 3, round(width * scale) + 3), np.uint8)
    local = ((np.asarray(contour).reshape(-1, 2) - (left, top)) * scale + 1).round().astype(np.int32)
    cv2.fillPoly(mask, [local], 1)
    one_end = _furthest(_walk(mask, _any_pixel(mask)))
    steps = _walk(mask, one_end)
    ys, xs = np.nonzero(steps >= 0)
    at = steps[ys, xs]
    counts = np.bincount(at)
    points = np.stack([np.bincount(at, xs) / counts, np.bincount(at, ys) / counts], -1)
    points = points[::-1] if points[0, 0] > points[-1, 0] else points
    return np.asarray((points - 1) / scale + (left, top), np.float32)


def _walk(mask: _Mask, start: tuple[int, int]) -> _Steps:
    """Steps from `start`, (row, column), to each pixel of the mask that can be reached; -1 elsewhere."""
    steps = np.full(mask.shape, -1, np.int32)
    reached = np.zeros_like(mask)
    reached[start] = 1
    steps[start] = 0
    # A cross and a square in turn make an octagon, nearly a circle.
    shapes = np.ones((3, 3), np.uint8), np.asarray(cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), np.uint8)
    for step in range(1, mask.size):
        reached = np.asarray(cv2.bitwise_and(cv2.dilate(reached, shapes[step % 2]), mask), np.uint8)
        fresh = (reached > 0) & (steps < 0)
        if not fresh.any():
            break
        steps[fresh] = step
    return steps


def _any_pixel(mask: _Mask) -> tuple[int, int]:
    row, column = np.argwhere(mask)[0]
    return int(row), int(column)


def _furthest(steps: _Steps) -> tuple[int, int]:
    row, column = np.unravel_index(int(steps.argmax()), steps.shape)
    return int(row), int(column)


def _smooth(middle: Points) -> Points:
    """Evenly spread points of a polynomial through the middle, whose outermost points, in corners, do not count."""
    along = _distances(middle)
    places = np.linspace(along[0], along[-1], _SPANS + 1)
    outer = len(middle) // 12
    inner = slice(outer, len(middle) - outer)
    sides = [np.polynomial.Polynomial.fit(along[inner], middle[inner, axis], 4)(places) for axis in (0, 1)]
    return np.stack(sides, -1).astype(np.float32)


def _bend(middle: Points) -> float:
    """How far the middle leaves the straight line between its ends."""
    way = middle[-1] - middle[0]
    across = np.array([-way[1], way[0]]) / max(float(np.linalg.norm(way)), 1e-6)
    return float(np.abs((middle - middle[0]) @ across).max())


def _outline(middle: Points, half: float) -> Points:
    tangents = np.gradient(middle, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-6)
    # Lines are grown at their ends as well.
    grown = np.concatenate([middle[:1] - half * tangents[:1], middle[1:-1], middle[-1:] + half * tangents[-1:]])
    normals = np.stack([tangents[:, 1], -tangents[:, 0]], -1)
    return np.concatenate([grown + half * normals, (grown - half * normals)[::-1]]).astype(np.float32)


def _distances(points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Length of the way from the first point to each."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
