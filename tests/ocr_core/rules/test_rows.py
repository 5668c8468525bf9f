"""Lines beside each other."""

from __future__ import annotations

import math

import pytest

from ocr_core.rules.rows import rows_from
from ocr_core.types import Point, Polygon


def box(left: float, top: float, right: float, bottom: float, degrees: float = 0.0) -> Polygon:
    """A rectangle, turned about the origin."""
    x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Polygon(tuple(Point(x * a - y * b, y * a + x * b) for a, b in corners))


@pytest.mark.parametrize("degrees", [0, 7, -20, 90, 180])
def test_rows_go_in_reading_direction(degrees):
    """Whatever way a page is turned: what is beside counts, nearest first; not what is above, below or before."""
    corners = [(0, 0, 50, 10), (200, 2, 240, 12), (100, -2, 140, 8), (0, 12, 50, 22), (300, 8, 320, 18)]
    assert rows_from([box(*each, degrees) for each in corners]) == [[0, 2, 1], [1], [2, 1], [3, 4], [4]]


def test_rows_are_bounded():
    """A row of very many lines is cut off."""
    rows = rows_from([box(20 * i, 0, 20 * i + 10, 10) for i in range(12)])
    assert [len(row) for row in rows] == [8] * 5 + [7, 6, 5, 4, 3, 2, 1]


def test_no_lines_have_no_rows():
    """An empty page is fine."""
    assert rows_from([]) == []
