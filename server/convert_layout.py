"""Polygons and the structure of a page -> messages: the part of server.convert that knows geometry."""

from __future__ import annotations

from glyphwire.v1 import ocr_pb2

from ocr_core.structure import Cell, Structure, Table
from ocr_core.types import Polygon


def fill_polygon(message: ocr_pb2.Polygon, polygon: Polygon) -> None:
    """Outline of a line."""
    add = message.vertices.add
    for vertex in polygon.vertices:
        add(x=vertex.x, y=vertex.y)


def polygon_message(polygon: Polygon) -> ocr_pb2.Polygon:
    """Outline of a cell, a table or a field."""
    message = ocr_pb2.Polygon()
    fill_polygon(message, polygon)
    return message


def structure_message(structure: Structure) -> ocr_pb2.Structure:
    """Paragraphs, pairs of key and value, tables."""
    return ocr_pb2.Structure(
        paragraphs=[ocr_pb2.Paragraph(text=each.text, lines=each.lines) for each in structure.paragraphs],
        key_values=[
            ocr_pb2.KeyValue(key=each.key, value=each.value, key_line=each.key_line, value_line=each.value_line)
            for each in structure.key_values
        ],
        tables=map(_table, structure.tables),
    )


def _table(table: Table) -> ocr_pb2.Table:
    return ocr_pb2.Table(
        rows=table.rows,
        columns=table.columns,
        is_ruled=table.is_ruled,
        cells=map(_cell, table.cells),
        polygon=polygon_message(table.polygon),
    )


def _cell(cell: Cell) -> ocr_pb2.Cell:
    return ocr_pb2.Cell(
        row=cell.row,
        column=cell.column,
        row_span=cell.row_span,
        column_span=cell.column_span,
        text=cell.text,
        lines=cell.lines,
        polygon=polygon_message(cell.polygon),
    )
