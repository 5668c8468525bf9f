"""By what angle text slopes: of a page from the lines found on it, of a line from the edges of its letters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.prepare.kernels import slope
from ocr_core.prepare.tone import Grey, level_below
from ocr_core.types import Polygon

_WITHIN_PIXEL = np.random.default_rng(0).random((600, 2), np.float32)
"""Where each point lies within its pixel."""
_EDGE_SHARE = 0.88
"""So many of the pixels are no edge of a letter."""

_FAINT = 0.2
"""Rows and columns with less than this share of the most edges are beside the text."""

_ROOM = 0.15
"""Of the height of the text, left free around it."""


@dataclass(frozen=True, slots=True)
class Skew:
    """degrees: clockwise slope of the line; clearness: how much better edges pile up at it than when level, from 1."""

    degrees: float
    clearness: float


def find_skew(grey: Grey) -> Skew:
    """Slope of the line in a small grey image, uint8 [height, width]; 0 where there is too little to see."""
    return Skew(*slope(grey, _WITHIN_PIXEL))


def page_slope(polygons: Iterable[Polygon]) -> float:
    """Clockwise slope of a page in degrees: the median of its lines', the longest half of them by length."""
    sides = [(polygon.vertices[0], polygon.vertices[1]) for polygon in polygons]
    runs = [(second.x - first.x, second.y - first.y) for first, second in sides]
    wide = sorted((math.hypot(*run), math.degrees(math.atan2(run[1], run[0]))) for run in runs if run[0] > abs(run[1]))
    return median(angle for _, angle in wide[len(wide) // 2 :]) if wide else 0.0


def text_extent(grey: Grey) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what edges there are in a level line, a little room around it."""
    strength = _strength(grey)
    marks = strength > _edge_level(strength)
    top, bottom = _extent(marks.sum(axis=1))
    left, right = _extent(marks[top:bottom].sum(axis=0))
    room = max(1, round(_ROOM * (bottom - top)))
    height, width = grey.shape
    return max(0, left - room), max(0, top - room), min(width, right + room), min(height, bottom + room)


def _extent(counts: npt.NDArray[np.int_]) -> tuple[int, int]:
    """From the first to one past the last place that has its share of edges; everything where none has."""
    places = np.flatnonzero(counts > _FAINT * counts.max(initial=0))
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(counts))


def _strength(grey: Grey) -> Grey:
    across = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 1, 0))
    down = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 0, 1))
    return np.asarray(cv2.addWeighted(across, 0.5, down, 0.5, 0), np.uint8)


def _edge_level(strength: Grey) -> float:
    return max(10.0, level_below(strength, _EDGE_SHARE))
