"""Tests of ocr_core.layout.order."""

import numpy as np
import pytest

from ocr_core.layout.order import reading_blocks, reading_order
from ocr_core.types import Point, Polygon


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return Polygon((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))


def column(left: float, width: float, tops: range) -> list[Polygon]:
    """Lines 20 pixels high."""
    return [box(left, top, left + width, top + 20) for top in tops]


def test_reading_order_is_by_rows_then_left_to_right() -> None:
    """Lines that overlap by half their height are one row even if one sits a little higher."""
    right_higher = box(60, 8, 90, 18)
    left = box(0, 10, 50, 20)
    below = box(0, 24, 90, 34)
    assert reading_order([below, right_higher, left]) == (left, right_higher, below)


@pytest.mark.parametrize("degrees", [-25, -5, 5, 25])
def test_reading_order_follows_a_slanted_page(degrees: int) -> None:
    """Long lines and columns of words keep their order when the page is turned."""
    level = [box(0, 0, 400, 20), box(0, 30, 90, 50), box(300, 31, 400, 51), box(0, 60, 400, 80)]
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    slanted = [
        Polygon(tuple(Point(p.x * cosine - p.y * sine, p.x * sine + p.y * cosine) for p in polygon.vertices))
        for polygon in level
    ]
    assert reading_order(slanted[::-1]) == tuple(slanted)


def test_no_lines_have_an_order_too() -> None:
    """An empty page is no error."""
    assert reading_order([]) == ()


def test_columns_of_text_are_read_one_after_the_other() -> None:
    """Below a headline the left column comes first though its lines stand beside those of the right one."""
    headline = box(100, 0, 500, 40)
    left, right = column(0, 280, range(60, 300, 30)), column(320, 280, range(60, 300, 30))
    footer = box(0, 400, 600, 420)
    mixed = [line for pair in zip(left, right, strict=True) for line in pair]
    assert reading_order([footer, *mixed, headline]) == (headline, *left, *right, footer)


def test_columns_that_do_not_align_need_not_be_wide() -> None:
    """Lines that have none beside them are of no table, so short ones make a column of text as well."""
    left, right = column(0, 100, range(0, 240, 30)), column(130, 100, range(13, 253, 30))
    assert reading_order([*right, *left]) == (*left, *right)


def test_rows_of_receipts_stay_together() -> None:
    """Short amounts to the right of long names are no column of text."""
    names, amounts = column(0, 280, range(0, 240, 30)), column(400, 60, range(2, 242, 30))
    rows = [line for pair in zip(names, amounts, strict=True) for line in pair]
    assert reading_order([*amounts, *names]) == tuple(rows)


def test_three_columns() -> None:
    """Each side of a gutter is cut again."""
    columns = [column(left, 180, range(0, 240, 30)) for left in (0, 220, 440)]
    lines = [line for each in columns for line in each]
    assert reading_order(lines[::-1]) == tuple(lines)


def test_vertical_lines_are_read_from_right_to_left() -> None:
    """Below a level headline, columns of characters go from the right one to the left one."""
    headline = box(0, 0, 200, 30)
    lines = [box(left, 50, left + 30, 250 - left) for left in (160, 110, 60, 10)]
    assert reading_order([*lines[::-1], headline]) == (headline, *lines)
    assert [block.vertical for block in reading_blocks([headline, *lines])] == [False, True]


def test_a_block_is_one_column() -> None:
    """Headline, left and right column are blocks of their own; rows of one column stay in one block."""
    lines = [box(100, 0, 500, 40), *column(0, 280, range(60, 300, 30)), *column(320, 280, range(60, 300, 30))]
    assert [len(block.rows) for block in reading_blocks(lines)] == [1, 8, 8]


def test_each_line_is_in_one_block() -> None:
    """Whatever the page, no line is lost and none is doubled."""
    rng = np.random.default_rng(5)
    for count in (1, 2, 5, 30, 80):
        corners = rng.uniform(0, 500, (count, 2))
        sizes = rng.uniform(5, 200, (count, 2))
        boxes = [box(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sizes, strict=True)]
        blocks = reading_blocks(boxes)
        assert sorted(line for block in blocks for row in block.rows for line in row) == list(range(count))
