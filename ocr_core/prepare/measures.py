"""What an image is like: contrast, paper, noise, blur, height of its text, skew. Each is measured when it is asked for.

Paper and contrast are seen in a small grey copy; noise, blur and letters, which a copy would hide, in a few pieces of
the image where most edges are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.prepare.skew import Skew, find_skew
from ocr_core.prepare.tone import Grey, background, level_below, luminance, sketched
from ocr_core.types import Image

_Value = TypeVar("_Value")

_SKETCH_SIDE = 512
_GRID = 12
_PIECES = 3
_PIECE_SIDE = 192
_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NOISE_GAIN = 6.0
"""Norm of the mask: by how much it multiplies the standard deviation of noise."""

_QUARTILE_OF_NORMAL = 0.3186
"""A quarter of all values are nearer to the mean than so many standard deviations."""

_STEP_SLOPE = 0.3989
"""Steepest slope of a step of height 1 that was blurred by a Gaussian of standard deviation 1."""


class _measured(Generic[_Value]):  # noqa: N801 - used as a decorator
    """A property that is measured once.

    Until Python 3.12 that of functools has a lock, for which the images of all threads wait.
    """

    def __init__(self, measure: Callable[[Measures], _Value]) -> None:
        self._measure = measure
        self.__doc__ = measure.__doc__

    def __set_name__(self, owner: type[Measures], name: str) -> None:
        self._name = name

    def __get__(self, measures: Measures, owner: type[Measures]) -> _Value:
        # From now on found before this: it has no __set__.
        value = measures.__dict__[self._name] = self._measure(measures)
        return value


class Measures:
    """Measures of an RGB image, uint8 [height, width, 3]. Of one thread."""

    def __init__(self, image: Image) -> None:
        self.image = image

    @_measured
    def sketch(self) -> Grey:
        """A grey copy of at most 512 pixels a side."""
        return sketched(self.image, _SKETCH_SIDE)

    @_measured
    def levels(self) -> tuple[float, float]:
        """Grey levels below and above which one pixel in a hundred lies, of the image or of its text."""
        seen = [self.sketch, *self._pieces]
        return min(level_below(grey, 0.01) for grey in seen), max(level_below(grey, 0.99) for grey in seen)

    @property
    def contrast(self) -> float:
        """Grey levels between nearly the darkest and nearly the brightest."""
        low, high = self.levels
        return high - low

    @_measured
    def paper(self) -> Grey:
        """Brightness of the background, see tone.background."""
        return background(self.sketch)

    @_measured
    def noise(self) -> float:
        """Standard deviation of noise in grey levels (Immerkaer, Fast noise variance estimation, 1996).

        Of the answers of his mask the lower quartile counts, as letters have strong ones.
        """
        return _middle([_noise(piece) for piece in self._pieces])

    @_measured
    def blur(self) -> float:
        """Standard deviation in pixels of the blur of the sharpest edges; 0 where there are none."""
        return _middle([_edge_blur(piece) for piece in self._pieces])

    @_measured
    def text_height(self) -> float:
        """Height of the letters in pixels, roughly; 0 where none are seen."""
        heights = np.concatenate([_letter_heights(piece) for piece in self._pieces])
        return float(np.median(heights)) if len(heights) else 0.0

    @_measured
    def skew(self) -> Skew:
        """Slope of the lines."""
        return find_skew(self.sketch)

    @_measured
    def _pieces(self) -> list[Grey]:
        """The piece with most edges of each third of the image, grey, at full size; a small image as a whole."""
        height, width = self.image.shape[:2]
        if max(height, width) <= _SKETCH_SIDE:
            return [self.sketch]
        edges = cv2.Laplacian(self.sketch, cv2.CV_16S)
        cells = cv2.resize(np.abs(edges).astype(np.float32), (_GRID, _GRID), interpolation=cv2.INTER_AREA)
        thirds = cells.reshape(_PIECES, -1).argmax(axis=1) + np.arange(_PIECES) * (cells.size // _PIECES)
        return [self._piece(*divmod(int(cell), _GRID)) for cell in thirds]

    def _piece(self, row: int, column: int) -> Grey:
        height, width = self.image.shape[:2]
        middle_y, middle_x = (row + 0.5) * height / _GRID, (column + 0.5) * width / _GRID
        top = round(min(max(0.0, middle_y - _PIECE_SIDE / 2), max(0, height - _PIECE_SIDE)))
        left = round(min(max(0.0, middle_x - _PIECE_SIDE / 2), max(0, width - _PIECE_SIDE)))
        return luminance(np.ascontiguousarray(self.image[top : top + _PIECE_SIDE, left : left + _PIECE_SIDE]))


def _middle(values: list[float]) -> float:
    """Median of an odd number of values."""
    return sorted(values)[len(values) // 2]


def _noise(grey: Grey) -> float:
    answers = np.asarray(cv2.convertScaleAbs(cv2.filter2D(grey, cv2.CV_16S, _NOISE_MASK)), np.uint8)
    return level_below(answers, 0.25) / (_NOISE_GAIN * _QUARTILE_OF_NORMAL)


def _edge_blur(grey: Grey) -> float:
    across = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 1, 0, ksize=1))
    down = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 0, 1, ksize=1))
    # The differences are over two pixels.
    steepest = level_below(np.asarray(cv2.max(across, down), np.uint8), 0.995) / 2
    return _STEP_SLOPE * (level_below(grey, 0.98) - level_below(grey, 0.02)) / steepest if steepest >= 1 else 0.0


def _letter_heights(grey: Grey) -> npt.NDArray[np.int32]:
    """Heights in pixels of dark and bright spots that may be letters, int32 [spot]."""
    side = 31
    marks = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, side, 12)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(marks, connectivity=8)
    width, height, area = boxes[1:, cv2.CC_STAT_WIDTH], boxes[1:, cv2.CC_STAT_HEIGHT], boxes[1:, cv2.CC_STAT_AREA]
    is_letter = (
        (height >= 4) & (width >= 2) & (width < 4 * height) & (height < 6 * width) & (area > 0.15 * width * height)
    )
    return np.asarray(height[is_letter], np.int32)
