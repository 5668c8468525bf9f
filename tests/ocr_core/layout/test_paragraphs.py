"""Tests of ocr_core.layout.paragraphs."""

import numpy as np

from ocr_core.layout.order import Block
from ocr_core.layout.paragraphs import find_paragraphs

FULL = 400.0


def paragraphs(*rows: tuple[float, float, float, str]) -> list[str]:
    """Texts of the paragraphs of a column. rows: left, right, top and text; each is 20 pixels high."""
    boxes = np.array([(left, top, right, top + 20) for left, right, top, _ in rows])
    block = Block(tuple([number] for number in range(len(rows))), vertical=False)
    return [found.text for found in find_paragraphs(boxes, [block], [text for *_, text in rows])]


def test_even_rows_are_one_paragraph() -> None:
    """Hyphens at the ends of lines go, words keep their spaces."""
    assert paragraphs(
        (0, FULL, 0, "The ferry leaves at seven and car-"),
        (0, FULL, 30, "ries the post to the islands when"),
        (0, 100, 60, "it can."),
    ) == ["The ferry leaves at seven and carries the post to the islands when it can."]


def test_chinese_rows_are_joined_without_spaces() -> None:
    """Between words of another script a space stays."""
    assert paragraphs((0, FULL, 0, "收货时请当面清点如有破损请在三日内"), (0, FULL, 30, "联系我们 by mail")) == [
        "收货时请当面清点如有破损请在三日内联系我们 by mail"
    ]


def test_a_gap_an_indent_and_a_short_row_begin_paragraphs() -> None:
    """So does an item of a list."""
    assert len(paragraphs((0, FULL, 0, "one " * 8), (0, FULL, 30, "two " * 8), (0, FULL, 80, "three " * 8))) == 2
    assert len(paragraphs((0, FULL, 0, "one " * 8), (30, FULL, 30, "two " * 8), (0, FULL, 60, "three " * 8))) == 2
    assert len(paragraphs((0, 200, 0, "one " * 4), (0, FULL, 30, "two " * 8), (0, FULL, 60, "three " * 8))) == 2
    assert len(paragraphs((0, FULL, 0, "a " * 16), (0, FULL, 30, "2. b " * 5), (0, FULL, 60, "3) c " * 5))) == 3


def test_vertical_columns_make_a_paragraph() -> None:
    """Columns from right to left are rows of the page turned."""
    boxes = np.array([(x, 0, x + 20, 200) for x in (90, 60, 30)])
    block = Block(([0], [1], [2]), vertical=True)
    (found,) = find_paragraphs(boxes, [block], ["春眠不觉晓", "处处闻啼鸟", "夜来风雨声"])
    assert (found.text, found.lines) == ("春眠不觉晓处处闻啼鸟夜来风雨声", (0, 1, 2))
