"""Frames of one line as a bad hand-held camera sees it: moved, 9 to 18 pixels high, smeared, noisy, compressed."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from ocr_core.types import Image


def shaky_frames(image: Image, count: int, seed: int) -> Iterator[Image]:
    """Seeded; uint8 [height, width, 3], as the image. Every frame is bad in another way, and some are hopeless."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield _frame(image, random)


def _frame(image: Image, random: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    centre = width / 2, height / 2
    turn = np.asarray(cv2.getRotationMatrix2D(centre, random.normal(0, 0.4), random.normal(1, 0.01)), np.float64)
    turn[:, 2] += random.normal(0, height / 30, 2)
    moved = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    scale = random.uniform(9, 18) / height
    shrunk = cv2.resize(moved, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    smear = np.zeros((5, 5), np.float32)
    smear[2, : random.integers(1, 4)] = 1
    blurred = cv2.filter2D(shrunk, -1, smear / smear.sum())
    noisy = np.clip(blurred * random.uniform(0.6, 1.1) + random.normal(0, 9, blurred.shape), 0, 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(55, 85))])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.resize(decoded, (width, height)), np.uint8)
