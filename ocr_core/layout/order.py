"""The order in which lines are read: a recursive XY cut that knows columns of text from columns of a table.

Bands that nothing crosses are read from top to bottom. A gutter through several bands is a gap between two columns of
text when both sides have lines long enough to be read one below another; else, as in receipts and tables, rows go
first. Among vertical lines the same holds with the page turned: columns go from right to left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ocr_core.layout.boxes import (
    BOTTOM,
    LEFT,
    RIGHT,
    TALL_RATIO,
    TOP,
    Boxes,
    are_tall,
    gaps,
    heights,
    level_boxes,
    turned,
    widths,
)
from ocr_core.types import Polygon

_MIN_COLUMN_LINES = 3
_TEXT_RATIO = 6.0
"""Lines of running text are this many times as wide as high, at the median of a column."""
_LOOSE_TEXT_RATIO = 3.0
"""The same where rows of the two sides do not stand beside each other: no table has that."""
_MIN_GUTTER = 0.6
"""Of the median height of lines."""

Lines = npt.NDArray[np.intp]
"""Numbers of lines, [line]."""

Row = list[int]
"""Numbers of the lines that stand side by side, in reading order."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows one below another in one column. vertical: its lines run downwards, rows from right to left."""

    rows: tuple[Row, ...]
    vertical: bool


def reading_order(polygons: Sequence[Polygon]) -> tuple[Polygon, ...]:
    """The polygons in the order in which they are read."""
    return tuple(polygons[i] for block in reading_blocks(polygons) for row in block.rows for i in row)


def reading_blocks(polygons: Sequence[Polygon]) -> list[Block]:
    """Blocks of lines, in reading order; each line is in one of them."""
    if not polygons:
        return []
    return _merged(_cut(level_boxes(polygons), np.arange(len(polygons)), object()))


def _merged(pieces: Iterator[tuple[object, Block]]) -> list[Block]:
    """Neighbours that come from the same column are one block."""
    result: list[tuple[object, Block]] = []
    for column, block in pieces:
        if result and result[-1][0] is column and result[-1][1].vertical == block.vertical:
            result[-1] = column, Block(result[-1][1].rows + block.rows, block.vertical)
        else:
            result.append((column, block))
    return [block for _, block in result]


def _cut(boxes: Boxes, lines: Lines, column: object) -> Iterator[tuple[object, Block]]:
    """Blocks of some of the lines, each with the column that it stands in."""
    for run, gutter in _runs(boxes, _bands(boxes, lines)):
        if gutter is not None:
            left = boxes[run, RIGHT] <= gutter
            yield from _cut(boxes, run[left], object())
            yield from _cut(boxes, run[~left], object())
        elif _is_vertical(boxes[run]):
            for piece, block in _cut(turned(boxes), run, column):
                yield piece, Block(block.rows, vertical=True)
        else:
            yield column, Block(tuple(_rows(boxes, run)), vertical=False)


def _is_vertical(boxes: Boxes) -> bool:
    """Whether most of the text is vertical. What is neither tall nor wide goes with the others."""
    areas = widths(boxes) * heights(boxes)
    wide = widths(boxes) >= TALL_RATIO * heights(boxes)
    return bool(areas[are_tall(boxes)].sum() > areas[wide].sum())


def _bands(boxes: Boxes, lines: Lines) -> list[Lines]:
    """The lines cut where a level line can pass between them, from top to bottom."""
    cuts = [(one + other) / 2 for one, other in gaps(boxes[lines, TOP], boxes[lines, BOTTOM])]
    band = np.searchsorted(cuts, boxes[lines, TOP])
    return [lines[band == number] for number in range(len(cuts) + 1)]


def _runs(boxes: Boxes, bands: Sequence[Lines]) -> Iterator[tuple[Lines, float | None]]:
    """Bands that have a gutter between columns of text together, with its place; the others one by one."""
    start = 0
    while start < len(bands):
        end, gutter = _longest_run(boxes, bands, start)
        yield np.concatenate(bands[start:end]), gutter
        start = end


def _longest_run(boxes: Boxes, bands: Sequence[Lines], start: int) -> tuple[int, float | None]:
    """The end of the longest run of bands from `start` with a gutter; without one, the next band alone."""
    best: tuple[int, float | None] = start + 1, None
    for end in range(start + 1, len(bands) + 1):
        here = np.concatenate(bands[start:end])
        if not gaps(boxes[here, LEFT], boxes[here, RIGHT]):
            break
        # A short last line of a column belongs to the run, a heading below both columns does not make one alone.
        if (gutter := _gutter(boxes[here])) is not None:
            best = end, gutter
    return best


def _gutter(boxes: Boxes) -> float | None:
    """Right end of the left column of text, by the widest gap between two columns of text."""
    least = _MIN_GUTTER * float(np.median(heights(boxes)))
    for left, right in sorted(gaps(boxes[:, LEFT], boxes[:, RIGHT]), key=lambda gap: gap[0] - gap[1]):
        if right - left < least:
            return None
        sides = boxes[boxes[:, RIGHT] <= left], boxes[boxes[:, LEFT] >= right]
        ratio = _TEXT_RATIO if _stand_in_rows(*sides) else _LOOSE_TEXT_RATIO
        if all(_is_text(side, ratio) for side in sides):
            return left
    return None


def _is_text(boxes: Boxes, ratio: float) -> bool:
    return len(boxes) >= _MIN_COLUMN_LINES and bool(np.median(widths(boxes) / heights(boxes)) >= ratio)


def _stand_in_rows(one: Boxes, other: Boxes) -> bool:
    """Whether most boxes of the side with fewer have one beside them, as the cells of a table do."""
    fewer, more = sorted((one, other), key=len)
    centres = (more[:, TOP] + more[:, BOTTOM]) / 2
    beside = np.abs((fewer[:, TOP] + fewer[:, BOTTOM])[:, None] / 2 - centres[None]) < 0.25 * heights(fewer)[:, None]
    return bool(beside.any(axis=1).mean() > 0.7)


def _rows(boxes: Boxes, lines: Lines) -> list[Row]:
    """Rows from top to bottom, each from left to right; a line joins a row that it overlaps by half its height."""
    rows: list[Row] = []
    for line in lines[np.argsort(boxes[lines, TOP] + boxes[lines, BOTTOM], kind="stable")]:
        if rows and _share_row(boxes[rows[-1][0]], boxes[line]):
            rows[-1].append(int(line))
        else:
            rows.append([int(line)])
    return [sorted(row, key=lambda line: float(boxes[line, LEFT])) for row in rows]


def _share_row(first: Boxes, line: Boxes) -> bool:
    overlap = min(first[BOTTOM], line[BOTTOM]) - max(first[TOP], line[TOP])
    return bool(overlap > 0.5 * min(first[BOTTOM] - first[TOP], line[BOTTOM] - line[TOP]))
