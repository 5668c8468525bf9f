"""Vertical lines whose characters stand upright, one below another: the characters laid side by side."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.types import Image

_SIDE = 32
"""Lines are looked at in copies so many pixels wide."""
_PITCHES = (0.7, 1.9)
"""Distance from one character to the next, in widths of the line."""
_LONGEST = 128
"""Widths. Above them the pitch is taken to be the width: looking for it takes time by the square of the length."""
_PITCH_WEIGHT = 0.12
"""How much a pitch unlike the width counts, against a cut through ink all the way."""

_Profile = npt.NDArray[np.float64]


def side_by_side(image: Image) -> Image:
    """The characters of a vertical line from left to right. image: high and narrow, RGB, uint8 [height, width, 3]."""
    height, width = image.shape[:2]
    length = max(1, round(height * _SIDE / width))
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (_SIDE, length), interpolation=cv2.INTER_AREA)
    ink = _ink(np.asarray(small, np.uint8))
    borders = np.round(np.array(_borders(ink)) * height / length).astype(int)
    cells = [_cell(image, start, end) for start, end in itertools.pairwise(borders)]
    return np.concatenate(cells, axis=1)


def _ink(grey: npt.NDArray[np.uint8]) -> _Profile:
    """Contrast within each row, against the most that there is."""
    inner = grey[:, 2:-2].astype(np.float64)
    contrast = inner.max(axis=1) - inner.min(axis=1)
    return np.asarray(contrast / max(float(contrast.max()), 1.0))


def _borders(ink: _Profile) -> list[int]:
    """Rows where characters begin and end: as even as can be, with as little ink on them as can be."""
    length = len(ink)
    pitches = _PITCHES if length <= _LONGEST * _SIDE else (1.0, 1.0)
    high, low = (max(1, round(length / (pitch * _SIDE))) for pitch in pitches)
    tries = [_cuts(ink, count) for count in range(low, high + 1)]
    costs = [
        (ink[cuts].mean() if len(cuts) else 0.5) + _PITCH_WEIGHT * abs(np.log(length / (len(cuts) + 1) / _SIDE))
        for cuts in tries
    ]
    return [0, *tries[int(np.argmin(costs))].tolist(), length]


def _cuts(ink: _Profile, count: int) -> npt.NDArray[np.intp]:
    """Rows between so many characters: of those around each even place the one with the least ink."""
    pitch = len(ink) / count
    reach = max(1, round(0.2 * pitch))
    places = np.round(np.arange(1, count) * pitch).astype(int)
    windows = [np.arange(max(1, place - reach), min(len(ink) - 1, place + reach + 1)) for place in places]
    # Between rows with equally little ink the one in the middle.
    return np.array([_middle_of_least(ink, rows) for rows in windows], np.intp)


def _middle_of_least(ink: _Profile, rows: npt.NDArray[np.intp]) -> int:
    least = rows[ink[rows] <= ink[rows].min() + 0.02]
    return int(least[len(least) // 2])


def _cell(image: Image, start: int, end: int) -> Image:
    """Rows of a character on a square: what is longer is made shorter, what is shorter stands in its middle."""
    width = image.shape[1]
    piece = image[start:end]
    if len(piece) > width:
        return np.asarray(cv2.resize(piece, (width, width), interpolation=cv2.INTER_AREA), np.uint8)
    above = (width - len(piece)) // 2
    below = width - len(piece) - above
    return np.asarray(cv2.copyMakeBorder(piece, above, below, 0, 0, cv2.BORDER_REPLICATE), np.uint8)
