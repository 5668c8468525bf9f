"""Lines of a column put together to paragraphs."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ocr_core.layout.boxes import BOTTOM, LEFT, RIGHT, TOP, Boxes, around, heights, turned
from ocr_core.layout.joining import is_wide, joined
from ocr_core.layout.order import Block, Row
from ocr_core.structure import Paragraph

_LOOSER = 0.5
"""A gap that is so many line heights wider than others begins a paragraph."""
_FAR = 1.5
"""So does one that is so many line heights wide."""
_OTHER_SIZE = 1.8
"""Ratio of line heights beyond which the text is a heading, or no longer one."""
_INDENT = 0.8
"""Line heights by which a first line is indented at least."""
_LONG_WORD = 12

_ITEM = re.compile(r"(?:[•·◦▪■●○*–—-]\s*\S|\(?\d{1,3}[.)、．）]\s*\D|[一二三四五六七八九十]{1,3}、)")


def find_paragraphs(boxes: Boxes, blocks: Sequence[Block], texts: Sequence[str]) -> list[Paragraph]:
    """Paragraphs of all blocks, in reading order. boxes: of the lines, on the level page; texts: of the lines."""
    upright = boxes, turned(boxes)
    return [
        Paragraph(joined([_row_text(row, texts) for row in rows]), tuple(line for row in rows for line in row))
        for block in blocks
        for rows in _paragraphs(upright[block.vertical], block.rows, texts)
    ]


def _row_text(row: Row, texts: Sequence[str]) -> str:
    return " ".join(texts[line] for line in row)


def _paragraphs(boxes: Boxes, rows: Sequence[Row], texts: Sequence[str]) -> list[list[Row]]:
    row_boxes = np.array([around(boxes[row]) for row in rows])
    gaps = row_boxes[1:, TOP] - row_boxes[:-1, BOTTOM]
    usual_gap = float(np.percentile(gaps, 25)) if len(gaps) else 0.0
    column = around(row_boxes)
    result: list[list[Row]] = []
    for number, row in enumerate(rows):
        if number and not _begins(row_boxes[number - 1], row_boxes[number], usual_gap, column, _row_text(row, texts)):
            result[-1].append(row)
        else:
            result.append([row])
    return result


def _begins(before: Boxes, row: Boxes, usual_gap: float, column: Boxes, text: str) -> bool:
    """Whether a row begins a paragraph. before: the row above it; column: the box around all rows."""
    height, other = sorted(heights(np.stack([before, row])).tolist())
    if other > _OTHER_SIZE * height or row[TOP] - before[BOTTOM] > min(usual_gap + _LOOSER * height, _FAR * height):
        return True
    if _ITEM.match(text):
        return True
    indented = row[LEFT] - column[LEFT] > _INDENT * height and before[LEFT] - column[LEFT] < 0.5 * _INDENT * height
    # What would have had room in the row before is there for a reason.
    room = column[RIGHT] - before[RIGHT]
    return bool(indented or room > _first_word(text) * (row[RIGHT] - row[LEFT]) + height)


def _first_word(text: str) -> float:
    """Share of a row that its first word takes, which may lack a space behind; of Chinese, its first characters."""
    word = text.split(" ", 1)[0]
    return min(len(word), 2 if is_wide(word[:1]) else _LONG_WORD) / max(len(text), 1)
