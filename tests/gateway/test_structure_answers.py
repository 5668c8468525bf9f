"""The structure of a page as JSON."""

from __future__ import annotations

from glyphwire import Cell, KeyValue, Paragraph, Point, Polygon, Structure, Table

from gateway.structure_answers import structure_answer

SQUARE = Polygon((Point(1.04, 2.0), Point(3.06, 2.0), Point(3.0, 4.0), Point(1.0, 4.0)))
CORNERS = [[1.0, 2.0], [3.1, 2.0], [3.0, 4.0], [1.0, 4.0]]


def test_every_part_is_there():
    """With the names of the contract, and places to a tenth of a pixel."""
    structure = Structure(
        (Paragraph("a b", (0, 2)),),
        (KeyValue("Date", "2024", 1, 3),),
        (Table(2, 3, True, (Cell(1, 2, 1, 1, "c", (4,), SQUARE),), SQUARE),),
    )
    cell = {"row": 1, "column": 2, "row_span": 1, "column_span": 1, "text": "c", "lines": [4], "polygon": CORNERS}
    assert structure_answer(structure).model_dump(mode="json") == {
        "paragraphs": [{"text": "a b", "lines": [0, 2]}],
        "key_values": [{"key": "Date", "value": "2024", "key_line": 1, "value_line": 3}],
        "tables": [{"rows": 2, "columns": 3, "is_ruled": True, "cells": [cell], "polygon": CORNERS}],
    }
