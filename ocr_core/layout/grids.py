"""Grids of tables: what a table is before its text is read. Boxes lie on the page turned level by its slant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ocr_core.layout.boxes import BOTTOM, LEFT, RIGHT, TOP, Boxes
from ocr_core.types import Point, Polygon


@dataclass(frozen=True, slots=True)
class GridCell:
    """A cell from row and column on. box: left, top, right, bottom."""

    row: int
    column: int
    row_span: int
    column_span: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of cells, by row, then column. slant: of the page, in radians."""

    rows: int
    columns: int
    is_ruled: bool
    slant: float
    cells: tuple[GridCell, ...]

    @property
    def boxes(self) -> Boxes:
        """Of the cells."""
        return np.array([cell.box for cell in self.cells])

    def polygon(self, box: Boxes) -> Polygon:
        """Where a box on the level page lies in the image."""
        left, top, right, bottom = map(float, box)
        along, across = math.cos(self.slant), math.sin(self.slant)
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        return Polygon(tuple(Point(x * along - y * across, y * along + x * across) for x, y in corners))


def cell_of(grid: Grid, boxes: Boxes) -> list[int | None]:
    """Number of the cell that holds most of each box, None for those that are mostly outside."""
    cells = grid.boxes
    shared = _overlap(boxes, cells, LEFT, RIGHT) * _overlap(boxes, cells, TOP, BOTTOM)
    areas = (boxes[:, RIGHT] - boxes[:, LEFT]) * (boxes[:, BOTTOM] - boxes[:, TOP])
    inside = shared.sum(axis=1) > 0.5 * areas
    return [int(best) if held else None for best, held in zip(shared.argmax(axis=1), inside, strict=True)]


def _overlap(boxes: Boxes, cells: Boxes, start: int, end: int) -> Boxes:
    """Shared length of each box with each cell on one axis, [box, cell]."""
    ends = np.minimum(boxes[:, end, None], cells[None, :, end])
    starts = np.maximum(boxes[:, start, None], cells[None, :, start])
    return np.asarray(np.maximum(ends - starts, 0.0))
