"""Tests of ext.measures: what it finds is what OpenCV and NumPy find."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ext import measures
from ocr_core.prepare.tone import Grey, sketched
from ocr_core.types import Image
from tests.ext import cv2_measures

WITHIN = np.random.default_rng(0).random((600, 2), np.float32)
SIDES = (1, 2, 3, 4, 11, 12, 13, 40, 48, 191, 193, 511, 513, 700, 1025)
KINDS = ("noise", "blur", "text", "faint", "paper")


def drawn(kind: str, height: int, width: int, seed: int) -> Image:
    """An image of any shape with something in it."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 230, np.uint8)
    match kind:
        case "noise":
            image = rng.integers(0, 256, image.shape, np.uint8)
        case "blur":
            noise = rng.integers(0, 256, image.shape, np.uint8)
            image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8).reshape(image.shape)
        case "text" | "faint":
            ink = (20, 30, 60) if kind == "text" else (215, 220, 210)
            cv2.putText(image, "Hello 4711", (width // 9, height * 2 // 3), 0, max(0.4, height / 50), ink, 2)
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-25, 25)), 1)
            image = np.asarray(cv2.warpAffine(image, turn, (width, height), borderValue=(230, 230, 230)), np.uint8)
            image = np.clip(image.reshape(height, width, 3) + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    return image


def sketch_of(image: Image) -> Grey:
    return np.ascontiguousarray(sketched(image, 512).reshape(-1, 1) if image.shape[1] == 1 else sketched(image, 512))


@pytest.mark.parametrize("kind", KINDS)
def test_measures_are_those_of_opencv(kind: str) -> None:
    """Noise, blur, where they are seen and slope are the same for images of any shape."""
    for number, (height, width) in enumerate((height, width) for height in SIDES for width in SIDES):
        image = drawn(kind, height, width, number)
        sketch = sketch_of(image)
        assert measures.strokes(image, sketch) == cv2_measures.strokes(image, sketch), image.shape
        assert measures.slope(sketch, WITHIN) == pytest.approx(cv2_measures.slope(sketch, WITHIN)), image.shape


def test_an_image_is_measured_where_it_lies() -> None:
    """Rows apart from each other, as those of a part of an image, change nothing."""
    image = drawn("text", 300, 900, 1)
    part = image[40:200, 100:800]
    sketch = sketch_of(np.ascontiguousarray(part))
    assert measures.strokes(part, sketch) == measures.strokes(np.ascontiguousarray(part), sketch)


@pytest.mark.parametrize(
    ("image", "sketch"),
    [
        (np.zeros((600, 600, 3), np.uint8), np.zeros((600, 600), np.uint8)),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 0), np.uint8)),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 10), np.uint8)),
        (np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9), np.uint8)),
        (np.zeros((9, 9, 3), np.uint8)[:, :, ::-1], np.zeros((9, 9), np.uint8)),
    ],
)
def test_what_does_not_fit_is_refused(image: Image, sketch: Grey) -> None:
    """A sketch that is too large, empty or larger than its image, and an image that is not RGB where it lies."""
    with pytest.raises(ValueError, match="must"):
        measures.strokes(image, sketch)


def test_a_point_needs_its_place() -> None:
    """There are places within a pixel for as many points as are picked at most."""
    with pytest.raises(ValueError, match="must"):
        measures.slope(np.zeros((9, 9), np.uint8), WITHIN[:599])
