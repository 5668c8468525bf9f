"""Tables without drawn lines: rows whose texts stand one below another, with gutters between them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ocr_core.layout.boxes import BOTTOM, LEFT, RIGHT, TOP, Boxes, around, heights
from ocr_core.layout.grids import Grid, GridCell
from ocr_core.layout.order import Block, Row

_MIN_ROWS = 3
_MIN_CELLS = 6
_MIN_GUTTER = 0.5
"""Of the median height of lines."""
_SPANNING_SHARE = 0.15
"""Share of the rows whose texts may lie across a gutter: cells that span columns."""
_ROW_DISTANCE = 2.2
"""Rows this many times further apart than most are not of one table."""

_Interval = tuple[float, float]


def find_unruled(boxes: Boxes, blocks: Sequence[Block], slant: float) -> list[Grid]:
    """Grids among blocks of lines. boxes: of the lines, on the page turned level by `slant` radians."""
    return [
        grid
        for block in blocks
        if not block.vertical
        for run in _runs(boxes, block.rows)
        if (grid := _grid(boxes, run, slant)) is not None
    ]


def _runs(boxes: Boxes, rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Consecutive rows that could be of one table: they keep their gutters, and their distance."""
    start = 0
    while start < len(rows):
        end = start + 1
        if len(rows[start]) > 1:
            end = _run_end(boxes, rows, start)
            run = list(rows[start:end])
            while len(run[-1]) == 1:
                run.pop()
            if len(run) >= _MIN_ROWS:
                yield run
        start = end


def _run_end(boxes: Boxes, rows: Sequence[Row], start: int) -> int:
    """As long as there are gutters, and not three rows in a row that have one text only."""
    end = start + 1
    while end < len(rows):
        if sum(len(row) == 1 for row in rows[max(start, end - 2) : end + 1]) == 3 or _stands_apart(
            boxes, rows[start : end + 1]
        ):
            break
        if end - start >= 2 and not _gutters(boxes, rows[start : end + 1]):
            break
        end += 1
    return end


def _stands_apart(boxes: Boxes, rows: Sequence[Row]) -> bool:
    """Whether the last row is much further from the one before than those are from each other."""
    centres = [float((boxes[row, TOP] + boxes[row, BOTTOM]).mean() / 2) for row in rows]
    distances = np.diff(centres)
    usual = np.median(distances[:-1]) if len(distances) > 1 else 3 * np.median(heights(boxes[rows[0]]))
    return bool(distances[-1] > _ROW_DISTANCE * usual)


def _gutters(boxes: Boxes, rows: Sequence[Row]) -> list[_Interval]:
    """Intervals that hardly any row has text in, between the outermost texts."""
    lines = boxes[[line for row in rows for line in row]]
    least = _MIN_GUTTER * float(np.median(heights(lines)))
    edges = np.unique(lines[:, [LEFT, RIGHT]])
    covered = _covered(boxes, rows, edges)
    free = covered <= int(_SPANNING_SHARE * len(rows))
    found: list[_Interval] = []
    for start, end, is_free in zip(edges[:-1], edges[1:], free, strict=True):
        if not is_free:
            continue
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], float(end)
        else:
            found.append((float(start), float(end)))
    return [(start, end) for start, end in found if end - start >= least]


def _covered(boxes: Boxes, rows: Sequence[Row], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """How many rows have text in each interval between two edges."""
    counts = np.zeros(len(edges) - 1, np.intp)
    for row in rows:
        here = np.zeros(len(edges) - 1, bool)
        for left, right in boxes[row][:, [LEFT, RIGHT]]:
            here |= (edges[:-1] >= left) & (edges[1:] <= right)
        counts += here
    return counts


def _grid(boxes: Boxes, rows: Sequence[Row], slant: float) -> Grid | None:
    gutters = _gutters(boxes, rows)
    lines = [line for row in rows for line in row]
    if not gutters or len(lines) < _MIN_CELLS:
        return None
    outline = around(boxes[lines])
    xs = [float(outline[LEFT]), *((start + end) / 2 for start, end in gutters), float(outline[RIGHT])]
    row_boxes = [around(boxes[row]) for row in rows]
    between = [float((one[BOTTOM] + other[TOP]) / 2) for one, other in itertools.pairwise(row_boxes)]
    ys = [float(outline[TOP]), *between, float(outline[BOTTOM])]
    cells = [
        GridCell(i, first, 1, last - first, (xs[first], ys[i], xs[last], ys[i + 1]))
        for i, row in enumerate(rows)
        for first, last in _columns(boxes[row], xs, gutters)
    ]
    return Grid(len(rows), len(xs) - 1, is_ruled=False, slant=slant, cells=tuple(cells))


def _columns(boxes: Boxes, xs: Sequence[float], gutters: Sequence[_Interval]) -> Iterator[tuple[int, int]]:
    """First column, and one past the last, of each cell of a row: texts that lie across a gutter join its columns."""
    start = 0
    for column in range(1, len(xs)):
        is_last = column == len(xs) - 1
        if is_last or not _crosses(boxes, gutters[column - 1]):
            yield start, column
            start = column


def _crosses(boxes: Boxes, gutter: _Interval) -> bool:
    return bool(((boxes[:, LEFT] < gutter[0]) & (boxes[:, RIGHT] > gutter[1])).any())
