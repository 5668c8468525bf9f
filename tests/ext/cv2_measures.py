"""Noise, blur and slope as OpenCV and NumPy find them, call by call: what ext.measures must agree with."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.prepare.tone import Grey, level_below, luminance
from ocr_core.types import Image

_GRID, _PIECES, _PIECE_SIDE = 12, 3, 192
_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_COARSE, _FINE = np.linspace(-30, 30, 31), np.linspace(-2, 2, 17)

Place = tuple[int, int, int, int]


def strokes(image: Image, sketch: Grey) -> tuple[float, float, list[Place]]:
    """As ext.measures.strokes."""
    places = [(0, 0, *sketch.shape)] if image.shape[:2] == sketch.shape else _busiest(image, sketch)
    pieces = [
        luminance(np.ascontiguousarray(image[top:bottom, left:right])).reshape(bottom - top, right - left)
        for top, left, bottom, right in places
    ]
    return _middle([_noise(piece) for piece in pieces]), _middle([_blur(piece) for piece in pieces]), places


def slope(sketch: Grey, within: npt.NDArray[np.float32]) -> tuple[float, float]:
    """As ext.measures.slope."""
    points = _edges(sketch, within)
    if len(points) < 60:
        return 0.0, 1.0
    best = _COARSE[_pile(points, _COARSE).argmax()]
    piles = _pile(points, best + _FINE)
    degrees = float((best + _FINE)[piles.argmax()])
    if abs(degrees) > 28:
        return 0.0, 1.0
    (level,) = _pile(points, np.zeros(1))
    return degrees, float(piles.max() / max(level, 1e-9))


def _busiest(image: Image, sketch: Grey) -> list[Place]:
    found = np.abs(cv2.Laplacian(sketch, cv2.CV_16S)).astype(np.float64)
    # Of equals the first, however their sums were rounded.
    cells = np.round(cv2.resize(found, (_GRID, _GRID), interpolation=cv2.INTER_AREA), 6)
    thirds = cells.reshape(_PIECES, -1).argmax(axis=1) + np.arange(_PIECES) * (cells.size // _PIECES)
    return [_place(image, *divmod(int(cell), _GRID)) for cell in thirds]


def _place(image: Image, row: int, column: int) -> Place:
    height, width = image.shape[:2]
    middle_y, middle_x = (row + 0.5) * height / _GRID, (column + 0.5) * width / _GRID
    top = round(min(max(0.0, middle_y - _PIECE_SIDE / 2), max(0, height - _PIECE_SIDE)))
    left = round(min(max(0.0, middle_x - _PIECE_SIDE / 2), max(0, width - _PIECE_SIDE)))
    return top, left, min(top + _PIECE_SIDE, height), min(left + _PIECE_SIDE, width)


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _noise(grey: Grey) -> float:
    answers = np.asarray(cv2.convertScaleAbs(cv2.filter2D(grey, cv2.CV_16S, _NOISE_MASK)), np.uint8)
    return level_below(answers, 0.25) / (6.0 * 0.3186)


def _blur(grey: Grey) -> float:
    across = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 1, 0, ksize=1))
    down = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 0, 1, ksize=1))
    steepest = level_below(np.asarray(cv2.max(across, down), np.uint8), 0.995) / 2
    return 0.3989 * (level_below(grey, 0.98) - level_below(grey, 0.02)) / steepest if steepest >= 1 else 0.0


def _edges(grey: Grey, within: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    across = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 1, 0))
    down = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 0, 1))
    strength = np.asarray(cv2.addWeighted(across, 0.5, down, 0.5, 0), np.uint8)
    places = np.flatnonzero(strength > max(10.0, level_below(strength, 0.88)))
    count = min(len(places), len(within))
    rows, columns = np.divmod(places[np.arange(count) * len(places) // max(count, 1)], grey.shape[1])
    return np.array([columns, rows], np.float32).T + within[:count]


def _pile(points: npt.NDArray[np.float32], angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    radians = np.radians(angles)
    heights = np.array([-np.sin(radians), np.cos(radians)]).T @ points.T
    rows = (heights - heights.min()).astype(np.int64)
    spread = [np.bincount(row) for row in rows]
    return np.array([counts @ counts / len(points) for counts in spread])
