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

from ocr_core.prepare.kernels import strokes
from ocr_core.prepare.skew import Skew, find_skew
from ocr_core.prepare.tone import Grey, background, level_below, luminance, sketched
from ocr_core.types import Image

_Value = TypeVar("_Value")

_SKETCH_SIDE = 512


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

    @property
    def noise(self) -> float:
        """Standard deviation of noise in grey levels."""
        return self._strokes[0]

    @property
    def blur(self) -> float:
        """Standard deviation in pixels of the blur of the sharpest edges; 0 where there are none."""
        return self._strokes[1]

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
    def _strokes(self) -> tuple[float, float, list[tuple[int, int, int, int]]]:
        """Noise, blur, and where they were measured."""
        return strokes(self.image, self.sketch)

    @_measured
    def _pieces(self) -> list[Grey]:
        """The piece with most edges of each third of the image, grey, at full size; a small image as a whole."""
        return [
            luminance(np.ascontiguousarray(self.image[top:bottom, left:right]))
            for top, left, bottom, right in self._strokes[2]
        ]


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
