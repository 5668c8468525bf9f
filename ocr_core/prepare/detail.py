"""Noise and sharpness: what neighbouring pixels say to each other. Images are RGB, uint8 [height, width, 3]."""

from __future__ import annotations

import cv2
import numpy as np

from ocr_core.types import Image

_SMOOTHING = 0.8


def denoised(image: Image) -> Image:
    """Smoothed over less than a stroke. Bilateral and median filters cost more and left more errors."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), _SMOOTHING), np.uint8)


def sharpened(image: Image, blur: float) -> Image:
    """Unsharp mask. blur: standard deviation of the blur to work against, in pixels."""
    smooth = cv2.GaussianBlur(image, (0, 0), max(blur, 0.8))
    return np.asarray(cv2.addWeighted(image, 2.0, smooth, -1.0, 0), np.uint8)
