"""Light and contrast; pixels keep their places. Images are RGB, uint8 [height, width, 3]; grey is [height, width]."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.types import Image

Grey = npt.NDArray[np.uint8]
"""Luminance, uint8 [height, width]."""

_DARKEST, _BRIGHTEST = 16.0, 240.0
"""Where a stretched image has its text and its paper; the rest is left for what is darker or brighter still."""

_CLIP = 2.0
_TILES = (8, 8)
_STROKE = 13
"""Pixels of a small copy of a page that no stroke of a letter is wide."""


def luminance(image: Image) -> Grey:
    """Grey image of an RGB image."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def without_colour(image: Image) -> Image:
    """The luminance in all three channels."""
    return np.asarray(cv2.cvtColor(luminance(image), cv2.COLOR_GRAY2RGB), np.uint8)


def stretched(image: Image, low: float, high: float) -> Image:
    """Levels from `low` to `high` drawn apart to nearly the whole range; hues stay what they are, roughly."""
    table = np.clip((np.arange(256) - low) * gain(low, high) + _DARKEST, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def gain(low: float, high: float) -> float:
    """By which factor stretching multiplies the contrast."""
    return (_BRIGHTEST - _DARKEST) / max(high - low, 1.0)


def locally_stretched(image: Image) -> Image:
    """Contrast made even over the image: adaptive histogram equalisation of the lightness (CLAHE)."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = cv2.createCLAHE(_CLIP, _TILES).apply(lab[:, :, 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def background(grey: Grey) -> Grey:
    """What the paper of a small grey image looks like without its text, a quarter as large, uint8 [height, width].

    Dark strokes vanish in the brightest of their surroundings; what is left is smoothed, as light changes slowly.
    """
    height, width = grey.shape
    size = max(1, width // 4), max(1, height // 4)
    paper = cv2.resize(cv2.dilate(grey, np.ones((_STROKE, _STROKE), np.uint8)), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(cv2.medianBlur(paper, 5), (5, 5)), np.uint8)


def evenly_lit(image: Image, paper: Grey) -> Image:
    """Every pixel divided by the paper around it, so that paper is equally bright everywhere. paper: see background."""
    height, width = image.shape[:2]
    full = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR)
    lit = cv2.divide(image, cv2.merge([full, full, full]), scale=level_below(paper, 0.95))
    return np.asarray(lit, np.uint8)


def binarised(image: Image) -> Image:
    """Black and white by the mean of the surroundings, which are as wide as several letters."""
    grey = luminance(image)
    side = max(15, min(grey.shape) // 16) | 1
    mean = cv2.boxFilter(grey, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REPLICATE)
    squares = cv2.sqrBoxFilter(grey, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REPLICATE)
    deviation = np.sqrt(np.maximum(squares - mean * mean, 0))
    # Sauvola and Pietikainen, Adaptive document image binarization, 2000, equation 5.
    threshold = mean * (1 + 0.2 * (deviation / 128 - 1))
    return np.asarray(cv2.cvtColor(np.where(grey > threshold, 255, 0).astype(np.uint8), cv2.COLOR_GRAY2RGB), np.uint8)


def sketched(image: Image, side: int) -> Grey:
    """A grey copy of at most `side` pixels a side, each the mean of n x n: OpenCV shrinks by whole numbers fastest."""
    grey = luminance(image)
    height, width = grey.shape
    factor = -(-max(height, width) // side)
    if factor == 1:
        return grey
    rows, columns = max(1, height // factor), max(1, width // factor)
    whole = grey[: rows * factor, : columns * factor]
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def level_below(grey: Grey, share: float) -> float:
    """The level below which this share of the pixels lies."""
    counts = np.cumsum(cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel())
    return float(np.searchsorted(counts, share * counts[-1]))
