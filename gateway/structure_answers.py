"""What lines form together, as JSON. Lines are named by their index in `text`."""

from __future__ import annotations

import glyphwire
from pydantic import BaseModel, ConfigDict, Field

Corners = list[tuple[float, float]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class ParagraphAnswer(_Part):
    """Lines that belong together, and their text."""

    text: str
    lines: list[int]


class KeyValueAnswer(_Part):
    """A hint that one text names the other; both may be in one line."""

    key: str
    value: str
    key_line: int
    value_line: int


class CellAnswer(_Part):
    """A cell of a table. row, column: from 0; it covers so many of them from there."""

    row: int
    column: int
    row_span: int
    column_span: int
    text: str
    lines: list[int]
    polygon: Corners


class TableAnswer(_Part):
    """A table. is_ruled: whether drawn lines made its grid, or gaps between the texts."""

    rows: int
    columns: int
    is_ruled: bool
    cells: list[CellAnswer] = Field(description="by row, then column")
    polygon: Corners


class StructureAnswer(_Part):
    """Of a page. A line is in a paragraph or in a table; pairs of key and value may name any line."""

    paragraphs: list[ParagraphAnswer]
    key_values: list[KeyValueAnswer]
    tables: list[TableAnswer]


def structure_answer(structure: glyphwire.Structure) -> StructureAnswer:
    """As the service found it."""
    return StructureAnswer.model_construct(
        paragraphs=[
            ParagraphAnswer.model_construct(text=each.text, lines=[*each.lines]) for each in structure.paragraphs
        ],
        key_values=[KeyValueAnswer.model_construct(**vars(pair)) for pair in structure.key_values],
        tables=[_table(table) for table in structure.tables],
    )


def corners(polygon: glyphwire.Polygon) -> Corners:
    """To a tenth of a pixel."""
    return [(round(vertex.x, 1), round(vertex.y, 1)) for vertex in polygon.vertices]


def _table(table: glyphwire.Table) -> TableAnswer:
    cells = [
        CellAnswer.model_construct(**vars(cell) | {"lines": [*cell.lines], "polygon": corners(cell.polygon)})
        for cell in table.cells
    ]
    return TableAnswer.model_construct(**vars(table) | {"cells": cells, "polygon": corners(table.polygon)})
