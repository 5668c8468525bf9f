"""Sketches of frames: fine enough for a character, coarse enough for noise, cheap."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ocr_core.frame_change import has_changed, sketch
from ocr_core.types import UnchangedOptions

DATA = Path(__file__).parents[1] / "data"
CELL = 16
"""Pixels of paper for each character of alike_old.png and alike_new.png."""
THRESHOLD = UnchangedOptions().threshold
PAIRS = ["O0", "ce", "1l", "il", ".,", "S5", "B8", "38", "QO", "GC", "hn", ":;", "Il", "56", "89"]
"""Characters that differ by little."""


def frame(text: str, size: int, left: int = 0, top: int = 0, ink: int = 0, paper: int = 255) -> np.ndarray:
    """A rendered 720p frame: twenty rows of text, then the text."""
    drawn = Image.new("L", (1280, 720), paper)
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(size)
    draw.text((20, 20), "The quick brown fox jumps over 1234567 lazy dogs\n" * 20, ink, font)
    draw.text((40 + left, 600 + top), text, ink, font)
    return np.asarray(drawn.convert("RGB"))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("size", [10, 12, 16])
def test_one_small_character_is_a_change(pair, size):
    """One character in another's place is found, however small the two and wherever on the grid they stand."""
    for left, top in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        old, new = (sketch(frame(f"Total {letter}23 EUR", size, left, top)) for letter in pair)
        assert has_changed(old, new, THRESHOLD)


@pytest.mark.parametrize("shift", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_stroke_of_a_chinese_character_is_a_change(shift):
    """Rows of 未土己日天 and 末士已曰夭 in characters of 12 pixels differ in a stroke's length each: each is found."""
    old, new = (np.asarray(Image.open(DATA / f"alike_{name}.png").convert("RGB")) for name in ("old", "new"))
    for left in range(0, old.shape[1], CELL):
        frames = [np.full((720, 1280, 3), 255, np.uint8) for _ in range(2)]
        for whole, rendered in zip(frames, (old, new), strict=True):
            whole[300 + shift[0] :, 500 + shift[1] :][:CELL, :CELL] = rendered[:, left : left + CELL]
        assert has_changed(sketch(frames[0]), sketch(frames[1]), THRESHOLD)


@pytest.mark.parametrize("seed", range(5))
def test_sensor_noise_is_no_change(seed):
    """Two shots of one page with noise of 3 grey levels per channel look the same."""
    page, random = frame("Total 123 EUR", 16, ink=40, paper=220).astype(np.float32), np.random.default_rng(seed)
    old, new = (np.clip(page + random.normal(0, 3, page.shape), 0, 255).astype(np.uint8) for _ in range(2))
    assert not has_changed(sketch(old), sketch(new), THRESHOLD)


@pytest.mark.parametrize("quality", [75, 85, 95])
def test_compression_is_no_change(quality):
    """A JPEG of a frame looks like the frame, from quality 75 on."""
    page = frame("Total 123 EUR", 16, ink=40, paper=220)
    _, encoded = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert not has_changed(sketch(page), sketch(cv2.imdecode(encoded, cv2.IMREAD_COLOR)), THRESHOLD)


def test_another_size_is_a_change():
    """Frames of different sizes are never alike."""
    assert has_changed(sketch(np.zeros((40, 40, 3), np.uint8)), sketch(np.zeros((40, 44, 3), np.uint8)), 255)


def test_the_threshold_is_what_may_differ():
    """A spot that differs by just so many levels is no change."""
    old, new = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    new[7, 9] = 12
    assert not has_changed(old, new, 12)
    assert has_changed(old, new, 11.9)


@pytest.mark.parametrize("shape", [(4, 4), (5, 4), (4, 5), (7, 9)])
def test_a_sketch_has_half_the_size(shape):
    """uint8, each side halved and rounded down; each pixel the mean of four."""
    image = np.random.default_rng(0).integers(0, 255, (*shape, 1), np.uint8).repeat(3, axis=2)
    made = sketch(image)
    assert (made.dtype, made.shape) == (np.uint8, (shape[0] // 2, shape[1] // 2))
    assert abs(int(made[0, 0]) - image[:2, :2, 0].mean()) <= 0.5
