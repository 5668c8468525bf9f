"""What lines form together: paragraphs, pairs of key and value, tables. Lines are named by their index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocr_core.types import Polygon


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines that belong together, in reading order, joined as their script joins lines."""

    text: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A hint that one text names the other, such as "Date: 2024-11-18"; both may be in one line."""

    key: str
    value: str
    key_line: int
    value_line: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table. row, column: from 0; it covers so many rows and columns from there. lines: may be none."""

    row: int
    column: int
    row_span: int
    column_span: int
    text: str
    lines: tuple[int, ...]
    polygon: Polygon


@dataclass(frozen=True, slots=True)
class Table:
    """Cells by row, then column. is_ruled: whether lines drawn on the page made the grid, or gaps between the texts."""

    rows: int
    columns: int
    is_ruled: bool
    cells: tuple[Cell, ...]
    polygon: Polygon


@dataclass(frozen=True, slots=True)
class Structure:
    """Of one page. A line is in a paragraph or in a table, never in both; key_values may name any line."""

    paragraphs: tuple[Paragraph, ...] = ()
    key_values: tuple[KeyValue, ...] = ()
    tables: tuple[Table, ...] = ()
