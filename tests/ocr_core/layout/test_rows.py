"""Tests of ocr_core.layout.rows."""

import numpy as np
import pytest

from ocr_core.layout.rows import rows_apart
from ocr_core.types import Point, Polygon

USUAL = [(20, top, 300, 20) for top in (200, 240, 280, 320, 360)]


def polygon(left: float, top: float, width: float, height: float) -> Polygon:
    right, bottom = left + width, top + height
    return Polygon((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))


def page(*bars: tuple[int, int, int, int]) -> np.ndarray:
    """White, with a dark comb as letters make it in each box of left, top, width, height."""
    image = np.full((400, 400, 3), 255, np.uint8)
    for left, top, width, height in bars:
        image[top : top + height, left : left + width : 3] = 0
    return image


def test_two_lines_in_one_polygon_are_cut_apart() -> None:
    """The cut is in the middle of the rows without ink; lines of usual height are left, and so is the order."""
    image = page((20, 53, 200, 14), (20, 75, 120, 14))
    first, second, *others = rows_apart(image, [polygon(18, 50, 204, 42), *(polygon(*box) for box in USUAL)])
    assert [vertex.y for vertex in first.vertices] == pytest.approx([50, 50, 71, 71], abs=1)
    assert [vertex.x for vertex in first.vertices] == pytest.approx([18, 222, 222, 18])
    assert [vertex.y for vertex in second.vertices] == pytest.approx([71, 71, 92, 92], abs=1)
    assert others == [polygon(*box) for box in USUAL]


@pytest.mark.parametrize(
    "bars",
    [
        pytest.param([(20, 53, 200, 36)], id="a headline has no gap"),
        pytest.param([(20, 51, 200, 3), (20, 58, 200, 32)], id="a dot is no line"),
        pytest.param([], id="nothing at all"),
    ],
)
def test_what_is_one_line_stays_one(bars) -> None:
    """Only pieces as high as lines are taken for lines."""
    high = polygon(18, 50, 204, 42)
    assert rows_apart(page(*bars), [high, *(polygon(*box) for box in USUAL)])[0] == high


def test_columns_and_bent_lines_are_left() -> None:
    """Both are high for other reasons."""
    column = polygon(350, 20, 20, 120)
    bent = Polygon(tuple(Point(x, y) for x, y in [(18, 50), (120, 60), (222, 50), (222, 92), (120, 102), (18, 92)]))
    image = page((350, 20, 20, 40), (350, 80, 20, 60), (20, 53, 200, 14), (20, 75, 120, 14))
    usual = [polygon(*box) for box in USUAL]
    assert rows_apart(image, [column, bent, *usual]) == [column, bent, *usual]


def test_an_empty_page_has_no_rows() -> None:
    """Nothing is made of nothing."""
    assert rows_apart(page(), []) == []
