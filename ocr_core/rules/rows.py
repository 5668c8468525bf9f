"""Rows of a page: a name and its value, far apart, are two lines to the detector and one row to readers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ocr_core.types import Polygon

_MAX_LINES = 8
"""Of a row, so that a page on which all lines are in one does not cost more than others."""


def rows_from(polygons: Sequence[Polygon]) -> list[list[int]]:
    """For each line its number and those of the lines to its right, in reading direction, nearest first.

    A line is in the row when the middle of its start is less than half the first line's height above or below.
    """
    corners = np.array([_corners(polygon) for polygon in polygons], np.float64).reshape(-1, 3, 2)
    first, second, last = corners[:, 0], corners[:, 1], corners[:, 2]
    starts = (first + last) / 2
    heights = np.linalg.norm(last - first, axis=1)
    along = (second - first) / np.maximum(np.linalg.norm(second - first, axis=1, keepdims=True), 1e-6)
    rows = []
    for number, (start, (x, y), height) in enumerate(zip(starts, along, heights, strict=True)):
        right, down = (starts - start) @ (x, y), (starts - start) @ (-y, x)
        beside = np.flatnonzero((right > 0) & (np.abs(down) < height / 2))
        rows.append([number, *beside[np.argsort(right[beside], kind="stable")][: _MAX_LINES - 1].tolist()])
    return rows


def _corners(polygon: Polygon) -> list[tuple[float, float]]:
    """Where the line starts at its top, where its top edge goes, and where it starts at its foot."""
    return [(vertex.x, vertex.y) for vertex in (polygon.vertices[0], polygon.vertices[1], polygon.vertices[-1])]
