"""Structure of a page in two steps: its layout before the lines are read, what their texts form together after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ocr_core.layout.boxes import Boxes, around, level_boxes, line_heights, page_slant
from ocr_core.layout.grids import Grid, cell_of
from ocr_core.layout.joining import joined
from ocr_core.layout.key_values import find_key_values
from ocr_core.layout.order import Block, reading_blocks, reading_order
from ocr_core.layout.paragraphs import find_paragraphs
from ocr_core.layout.ruled import find_ruled
from ocr_core.layout.snapping import snapped
from ocr_core.layout.unruled import find_unruled
from ocr_core.structure import Cell, Paragraph, Structure, Table
from ocr_core.types import Image, Line, Polygon

Place = Callable[[Polygon], Polygon]
"""From the page on which lines were found to the source image."""

_DEFAULT_LINE_HEIGHT = 24.0


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A grid, the lines in each of its cells, and where it and its cells are in the source image."""

    grid: Grid
    lines: tuple[tuple[int, ...], ...]
    cells: tuple[Polygon, ...]
    outline: Polygon


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Where things are on a page whose lines have not been read. boxes: of the lines, on the page turned level.

    blocks: of the lines that are in no table.
    """

    boxes: Boxes
    blocks: tuple[Block, ...]
    tables: tuple[TableLayout, ...]


def find_layout(image: Image, polygons: Sequence[Polygon], place: Place) -> tuple[tuple[Polygon, ...], PageLayout]:
    """Lines cut where they reach over borders of cells, in reading order, and the layout that names them by number.

    polygons: in pixels of `image`.
    """
    slant = page_slant(polygons)
    boxes = level_boxes(polygons, slant)
    line_height = float(np.median(line_heights(boxes))) if polygons else _DEFAULT_LINE_HEIGHT
    ruled = find_ruled(image, line_height, slant)
    pieces = snapped(image, polygons, [*ruled, *_unruled(polygons, ruled, slant)], slant)
    ordered = reading_order(pieces)
    return ordered, _layout(ordered, [*ruled, *_unruled(ordered, ruled, slant)], slant, place)


def _unruled(polygons: Sequence[Polygon], ruled: Sequence[Grid], slant: float) -> list[Grid]:
    """Grids among the lines that are in no ruled one."""
    boxes = level_boxes(polygons, slant)
    inside = {line for grid in ruled for line, cell in enumerate(cell_of(grid, boxes)) if cell is not None}
    return find_unruled(boxes, _without(reading_blocks(polygons), inside), slant)


def _layout(polygons: Sequence[Polygon], grids: Sequence[Grid], slant: float, place: Place) -> PageLayout:
    boxes = level_boxes(polygons, slant)
    taken: set[int] = set()
    tables = []
    for grid in grids:
        held = {line: cell for line, cell in enumerate(cell_of(grid, boxes)) if cell is not None and line not in taken}
        if held:
            taken |= held.keys()
            tables.append(_table_layout(grid, held, place))
    return PageLayout(boxes, tuple(_without(reading_blocks(polygons), taken)), tuple(tables))


def _table_layout(grid: Grid, held: dict[int, int], place: Place) -> TableLayout:
    lines = [tuple(line for line, cell in held.items() if cell == number) for number in range(len(grid.cells))]
    cells = [place(grid.polygon(box)) for box in grid.boxes]
    return TableLayout(grid, tuple(lines), tuple(cells), place(grid.polygon(around(grid.boxes))))


def _without(blocks: Sequence[Block], lines: set[int]) -> list[Block]:
    left = [Block(_rows_without(block, lines), block.vertical) for block in blocks]
    return [block for block in left if block.rows]


def _rows_without(block: Block, lines: set[int]) -> tuple[list[int], ...]:
    return tuple(row for each in block.rows if (row := [line for line in each if line not in lines]))


def build_structure(layout: PageLayout, texts: Sequence[str | None]) -> Structure:
    """texts: of all lines of the layout, None for those that are left out; the structure counts without these."""
    left_out = {line for line, text in enumerate(texts) if text is None}
    numbers = {line: number for number, line in enumerate(sorted(set(range(len(texts))) - left_out))}
    known = [text or "" for text in texts]
    blocks = _without(layout.blocks, left_out)
    paragraphs = [
        Paragraph(found.text, tuple(numbers[line] for line in found.lines))
        for found in find_paragraphs(layout.boxes, blocks, known)
    ]
    kept = sorted(numbers)
    key_values = find_key_values(layout.boxes[kept], [known[line] for line in kept])
    tables = [_table(table, known, numbers) for table in layout.tables]
    return Structure(tuple(paragraphs), tuple(key_values), tuple(tables))


def structure_of(lines: Sequence[Line]) -> Structure:
    """Of lines that come with their texts and without an image, in an order of their own; no table of it is ruled."""
    polygons = [line.polygon for line in lines]
    slant = page_slant(polygons)
    layout = _layout(polygons, _unruled(polygons, (), slant), slant, place=lambda polygon: polygon)
    return build_structure(layout, [line.text for line in lines])


def _table(table: TableLayout, texts: Sequence[str], numbers: dict[int, int]) -> Table:
    cells = [
        Cell(
            row=cell.row,
            column=cell.column,
            row_span=cell.row_span,
            column_span=cell.column_span,
            text=joined([texts[line] for line in lines]),
            lines=tuple(numbers[line] for line in lines if line in numbers),
            polygon=polygon,
        )
        for cell, lines, polygon in zip(table.grid.cells, table.lines, table.cells, strict=True)
    ]
    return Table(table.grid.rows, table.grid.columns, table.grid.is_ruled, tuple(cells), table.outline)
