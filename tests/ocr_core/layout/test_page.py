"""Tests of ocr_core.layout.page: grids and structure without a detector or a recogniser."""

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.layout.page import build_structure, find_layout, structure_of
from ocr_core.types import Line, Point, Polygon

DATA = Path(__file__).parents[2] / "data" / "layout"
TRUTH = json.loads((DATA / "layout.json").read_text(encoding="utf-8"))


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return Polygon((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))


def turned(polygon: Polygon, degrees: float) -> Polygon:
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return Polygon(tuple(Point(p.x * cosine - p.y * sine, p.x * sine + p.y * cosine) for p in polygon.vertices))


def same(polygon: Polygon) -> Polygon:
    return polygon


def page(name: str) -> npt.NDArray[np.uint8]:
    return load_image((DATA / name).read_bytes(), ImageLimits())


def texts_at(image: npt.NDArray[np.uint8], margin: int, pitch: int, widths: tuple[int, ...]) -> list[Polygon]:
    """Boxes of the ink in each cell of a rendered table, row by row, inside its rules."""
    ink = image.min(axis=2) < 140
    found = []
    for row in range((image.shape[0] - 2 * margin) // pitch):
        for column, width in enumerate(widths):
            left, top = margin + sum(widths[:column]) + 3, margin + row * pitch + 3
            ys, xs = np.nonzero(ink[top : top + pitch - 6, left : left + width - 6])
            if len(xs):
                found.append(box(left + xs.min() - 2, top + ys.min() - 2, left + xs.max() + 3, top + ys.max() + 3))
    return found


WIDTHS = (150, 190, 130, 110, 130, 170)


@pytest.mark.parametrize("degrees", [0.0, 2.0, -3.0])
@pytest.mark.parametrize("name", ["table_ruled.png", "table_unruled.png"])
def test_every_cell_is_in_its_place(name: str, degrees: float) -> None:
    """Twenty rows of six texts, with rules and without, level or slanted, are a table of those rows and columns."""
    image = page(name)
    lines = texts_at(image, 40, 34, WIDTHS)
    assert len(lines) == 120
    if degrees:
        shift = Point(60.0, 60.0)
        matrix = cv2.getRotationMatrix2D((0, 0), -degrees, 1.0)
        matrix[:, 2] = shift.x, shift.y
        size = image.shape[1] + 150, image.shape[0] + 150
        image = np.asarray(cv2.warpAffine(image, matrix, size, borderValue=(250, 249, 245)), np.uint8)
        lines = [turned(line, degrees) for line in lines]
        lines = [Polygon(tuple(Point(p.x + shift.x, p.y + shift.y) for p in line.vertices)) for line in lines]
    ordered, layout = find_layout(image, lines, same)
    names = {line: f"{number // 6}/{number % 6}" for number, line in enumerate(lines)}
    structure = build_structure(layout, [names[line] for line in ordered])
    (table,) = structure.tables
    assert (table.rows, table.columns, table.is_ruled) == (20, 6, "unruled" not in name)
    assert [(cell.row, cell.column, cell.text) for cell in table.cells] == [
        (row, column, f"{row}/{column}") for row in range(20) for column in range(6)
    ]
    assert structure.paragraphs == ()


def test_spans() -> None:
    """Cells that cover several rows or columns, or both, are found by the borders that are missing."""
    image = page("table_spans.png")
    _, layout = find_layout(image, texts_at(image, 40, 40, WIDTHS[:4]), same)
    (table,) = layout.tables
    spans = [[cell.row, cell.column, cell.row_span, cell.column_span] for cell in table.grid.cells]
    assert [span for span in spans if span[2:] != [1, 1]] == TRUTH["merged"]
    assert (table.grid.rows, table.grid.columns) == (6, 4)


def test_lines_are_cut_at_borders() -> None:
    """A line found across three ruled cells becomes three; an unruled one is cut where a gutter has no ink."""
    for name in ("table_ruled.png", "table_unruled.png"):
        image = page(name)
        lines = texts_at(image, 40, 34, WIDTHS)
        merged = box(
            *(lines[7].vertices[0].x, lines[7].vertices[0].y), *(lines[9].vertices[2].x, lines[9].vertices[2].y)
        )
        ordered, layout = find_layout(image, [*lines[:7], merged, *lines[10:]], same)
        assert len(ordered) == 120
        assert [len(held) for held in layout.tables[0].lines] == [1] * 120


def test_a_frame_and_a_photographed_edge_are_no_table() -> None:
    """One box around text has no cells; text outside of tables makes paragraphs."""
    image = np.full((300, 500, 3), 250, np.uint8)
    cv2.rectangle(image, (20, 20), (480, 280), (60, 60, 60), 2)
    lines = [box(60, top, 440, top + 24) for top in (60, 100, 140)]
    ordered, layout = find_layout(image, lines, same)
    structure = build_structure(layout, ["one", "two", "three"])
    assert ordered == tuple(lines)
    assert structure.tables == ()
    assert [each.text for each in structure.paragraphs] == ["one two three"]


def test_lines_that_are_left_out_have_no_number() -> None:
    """Paragraphs, cells and pairs name lines by their place among those that are kept."""
    image = np.full((300, 500, 3), 250, np.uint8)
    lines = [box(60, top, 440, top + 24) for top in (40, 140, 240)]
    _, layout = find_layout(image, lines, same)
    structure = build_structure(layout, ["first", None, "Key: value"])
    assert [each.lines for each in structure.paragraphs] == [(0,), (1,)]
    assert [(each.key_line, each.value_line) for each in structure.key_values] == [(1, 1)]


def test_an_empty_page() -> None:
    """No lines, no structure."""
    ordered, layout = find_layout(np.full((100, 100, 3), 255, np.uint8), [], same)
    assert ordered == ()
    structure = build_structure(layout, [])
    assert (structure.paragraphs, structure.key_values, structure.tables) == ((), (), ())


def test_lines_with_texts_of_their_own_have_structure() -> None:
    """Without an image, gaps make a table's columns; every text is in its cell, and no lines are no structure."""
    rows = [("Article", "Pieces", "Price"), ("Paper", "12", "3.50"), ("Ink", "7", "19.00"), ("Pens", "30", "0.80")]
    lines = [
        Line(text, 1.0, box(100 + 300 * column, 100 + 60 * row, 200 + 300 * column, 130 + 60 * row))
        for row, texts in enumerate(rows)
        for column, text in enumerate(texts)
    ]
    (table,) = structure_of(lines).tables
    assert [[cell.text for cell in table.cells if cell.row == row] for row in range(4)] == [list(row) for row in rows]
    assert not structure_of([]).paragraphs
