"""Tests of ocr_core.prepare.skew."""

import math

import numpy as np
import pytest

from ocr_core.prepare.placed_image import PlacedImage, levelling
from ocr_core.prepare.skew import find_skew, page_slope, text_extent
from ocr_core.prepare.steps import AppliedStep, Step
from ocr_core.prepare.tone import luminance
from ocr_core.types import Image, Point, Polygon
from tests.ocr_core.prepare.drawn import line


def sloping(degrees: float) -> Image:
    """A line that was level, turned clockwise."""
    placed = PlacedImage.unprepared(line())
    return placed.warped(*levelling(placed.source_size, degrees), AppliedStep(Step.DESKEW)).image


def along(degrees: float, length: float) -> Polygon:
    """A line polygon of 20 pixels' height that runs at an angle."""
    x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return Polygon(
        tuple(
            Point(a * length * x - b * 20 * y, a * length * y + b * 20 * x) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))
        )
    )


@pytest.mark.parametrize("degrees", [-25, -15, -5, 3, 8, 15, 26])
def test_the_slope_of_a_line_is_found(degrees: float) -> None:
    """Within a degree, either way, and clearly."""
    skew = find_skew(luminance(sloping(degrees)))
    assert skew.degrees == pytest.approx(degrees, abs=1)
    assert skew.clearness > 1.3


def test_a_level_line_is_level() -> None:
    """Its slope is less than a degree, and hardly clearer than none."""
    skew = find_skew(luminance(line()))
    assert abs(skew.degrees) <= 1
    assert skew.clearness < 1.15


def test_an_empty_image_has_no_slope() -> None:
    """Too few edges say nothing."""
    assert find_skew(np.full((40, 300), 200, np.uint8)).degrees == 0


def test_the_slope_of_a_page_is_that_of_its_long_lines() -> None:
    """Short and high polygons, which may lie anyhow, do not count."""
    polygons = [along(7, 300), along(7.5, 320), along(8, 310), along(-20, 30), along(2, 40), along(90, 500)]
    assert page_slope(polygons) == pytest.approx(7.5)
    assert page_slope([]) == 0


def test_text_is_found_between_its_margins() -> None:
    """Empty paper around the letters is left out, but for a little room."""
    grey = np.pad(luminance(line()), ((60, 80), (30, 0)), constant_values=250)
    left, top, right, bottom = text_extent(grey)
    assert 55 <= top <= 72
    assert 88 <= bottom <= 100
    assert 25 <= left <= 45
    assert 290 <= right <= 430
