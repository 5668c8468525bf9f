"""Pages and lines drawn for the tests of ocr_core.prepare."""

from __future__ import annotations

import cv2
import numpy as np

from ocr_core.types import Image

PAPER = 250
INK = 20


def page(width: int = 1024, height: int = 768, text_height: int = 20) -> Image:
    """Dark letters in rows on bright even paper, with a margin all around. text_height: of capitals, in pixels."""
    image = np.full((height, width, 3), PAPER, np.uint8)
    for baseline in range(4 * text_height, height - 2 * text_height, 2 * text_height):
        write(image, "HAMBURG 4711 PRICE 23", 3 * text_height, baseline, text_height)
    return through_lens(image)


def line(width: int = 400, height: int = 40) -> Image:
    """A tight crop of one row of letters."""
    image = np.full((height, width, 3), PAPER, np.uint8)
    write(image, "HAMBURG 4711 PRICE 23", height // 4, height * 3 // 4, height // 2)
    return through_lens(image)


def through_lens(image: Image) -> Image:
    """With edges as soft as those of a sharp photograph."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8), np.uint8)


def write(image: Image, text: str, left: int, baseline: int, text_height: int) -> None:
    """Draw one row of letters into the image."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    # OpenCV's height includes what stands above capitals.
    scale = cv2.getFontScaleFromHeight(font, round(text_height * 4 / 3), 2)
    cv2.putText(image, text, (left, baseline), font, scale, (INK, INK, INK), 2, cv2.LINE_AA)


def noisy(image: Image, deviation: float) -> Image:
    """With Gaussian noise of so many grey levels, the same in all channels."""
    noise = np.random.default_rng(1).normal(0, deviation, (*image.shape[:2], 1))
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def flat(image: Image, low: float, high: float) -> Image:
    """With its contrast pressed into the levels from low to high."""
    return np.rint(low + image * ((high - low) / 255)).astype(np.uint8)


def shadowed(image: Image, shade: float) -> Image:
    """With its left half in a soft shadow."""
    x = np.linspace(-1, 1, image.shape[1])
    light = shade + (1 - shade) / (1 + np.exp(-x / 0.05))
    return np.rint(image * light[None, :, None]).astype(np.uint8)
