"""A page with its structure as Markdown, HTML or TSV: paragraphs and tables in the order in which they are read.

Takes what the pipeline returns, and what the Python client returns as well: the fields are the same.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>#|])")
_MARKDOWN_START = re.compile(r"^(\d{1,9})([.)])(?=\s)|^([-+=~])")


class _Cell(Protocol):
    @property
    def row(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def row_span(self) -> int: ...
    @property
    def column_span(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def lines(self) -> Sequence[int]: ...


class _Table(Protocol):
    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def cells(self) -> Sequence[_Cell]: ...


class _Paragraph(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def lines(self) -> Sequence[int]: ...


class Structured(Protocol):
    """Paragraphs and tables whose lines are numbered in reading order."""

    @property
    def paragraphs(self) -> Sequence[_Paragraph]:
        """In reading order."""

    @property
    def tables(self) -> Sequence[_Table]:
        """In any order."""


def to_markdown(structure: Structured) -> str:
    """Paragraphs, and tables with their first row as the header; a spanned cell's text stands in its first place."""
    return "\n\n".join(_escaped(part) if isinstance(part, str) else _markdown_table(part) for part in _parts(structure))


def to_html(structure: Structured) -> str:
    """A fragment of <p> and <table>, with spans."""
    return "\n".join(
        f"<p>{html.escape(part)}</p>" if isinstance(part, str) else _html_table(part) for part in _parts(structure)
    )


def to_tsv(structure: Structured) -> str:
    """One row per paragraph, and one per row of a table; an empty row before and after each table."""
    parts = [_one_row(part) if isinstance(part, str) else "\n" + _tsv_table(part) + "\n" for part in _parts(structure)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip("\n")


def _parts(structure: Structured) -> Iterator[str | _Table]:
    """Texts of paragraphs, and tables, by their first lines."""
    places = [(min(each.lines, default=0), each.text) for each in structure.paragraphs]
    tables = [(_first_line(each), each) for each in structure.tables]
    ordered: list[tuple[int, str | _Table]] = sorted([*places, *tables], key=lambda part: part[0])
    yield from (part for _, part in ordered)


def _first_line(table: _Table) -> int:
    return min((line for cell in table.cells for line in cell.lines), default=0)


def _grid(table: _Table) -> list[list[str]]:
    """Texts by row and column; a spanned cell's text stands in its first place."""
    texts = [[""] * table.columns for _ in range(table.rows)]
    for cell in table.cells:
        texts[cell.row][cell.column] = cell.text
    return texts


def _markdown_table(table: _Table) -> str:
    header, *others = [f"| {' | '.join(map(_escaped, row))} |" for row in _grid(table)]
    return "\n".join([header, f"|{' --- |' * table.columns}", *others])


def _tsv_table(table: _Table) -> str:
    return "\n".join("\t".join(map(_one_row, row)) for row in _grid(table))


def _html_table(table: _Table) -> str:
    rows = ["".join(_html_cell(cell) for cell in table.cells if cell.row == row) for row in range(table.rows)]
    return "\n".join(["<table>", *(f"<tr>{cells}</tr>" for cells in rows), "</table>"])


def _html_cell(cell: _Cell) -> str:
    spans = (("rowspan", cell.row_span), ("colspan", cell.column_span))
    attributes = "".join(f' {name}="{span}"' for name, span in spans if span > 1)
    return f"<td{attributes}>{html.escape(cell.text)}</td>"


def _escaped(text: str) -> str:
    """What Markdown would take for markup is marked as text."""
    escaped = _MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return _MARKDOWN_START.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", escaped)


def _one_row(text: str) -> str:
    return " ".join(text.split())
